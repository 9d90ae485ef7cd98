"""An update request: JSON or XML into changes for the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from xml.parsers import expat

import orjson

from ops.search import lucene
from ops.search.deletions import ByQuery
from ops.search.documents import prepare
from ops.search.engine import Change
from ops.search.errors import SearchFault, unsupported
from ops.search.schema import UNIQUE_KEY

MAX_DEPTH = 20


@dataclass(slots=True)
class Update:
    changes: list[Change] = field(default_factory=list)
    commit: bool = False


def read_update(body: bytes, content_type: str, now: datetime, *, postings: bool = True) -> Update:
    """Understand the body by its type; an empty body changes nothing (a bare ``?commit=true``).

    Without ``postings`` the documents are checked, their terms are left to whoever writes them.
    """
    if not body.strip():
        return Update()
    if "json" in content_type:
        return _Reader(now, postings).json(body)
    if "xml" in content_type or body.lstrip()[:1] == b"<":
        return _Reader(now, postings).xml(body)
    raise SearchFault(f"Unsupported ContentType: {content_type[:100]}", 415)


class _Reader:
    def __init__(self, now: datetime, postings: bool) -> None:
        self.now = now
        self.postings = postings
        self.update = Update()

    # -- commands ----------------------------------------------------------------------------------------

    def _add(self, documents: list[Any]) -> None:
        puts = [prepare(document, self.now, postings=self.postings) for document in documents]
        self.update.changes.append(Change(puts=puts))

    def _delete(self, keys: list[str]) -> None:
        self.update.changes.append(Change(keys=keys))

    def _delete_query(self, text: str) -> None:
        lucene.parse(text, conjunction=False)  # raises when it is none
        self.update.changes.append(Change(query=ByQuery(text, self.now)))

    # -- JSON --------------------------------------------------------------------------------------------

    def json(self, body: bytes) -> Update:
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise SearchFault(f"Cannot parse JSON: {error}") from error
        if isinstance(content, list):
            self._add(content)
        elif isinstance(content, dict):
            for command, value in content.items():
                self._json_command(command, value)
        else:
            raise SearchFault("An update is a JSON list of documents or an object of commands")
        return self.update

    def _json_command(self, command: str, value: Any) -> None:
        if command == "add" and isinstance(value, dict) and isinstance(value.get("doc"), dict):
            self._add([value["doc"]])
        elif command == "add" and isinstance(value, list):
            self._add(value)
        elif command == "commit":
            self.update.commit = True
        elif command == "delete":
            self._json_delete(value)
        else:
            raise SearchFault(f"Unknown command '{command[:50]}' at [0]")

    def _json_delete(self, value: Any) -> None:
        if isinstance(value, dict) and isinstance(value.get("query"), str):
            self._delete_query(value["query"])
            return
        keys = value.get("id") if isinstance(value, dict) else value
        keys = keys if isinstance(keys, list) else [keys]
        if not all(isinstance(key, str) for key in keys):
            raise SearchFault(f"delete needs the {UNIQUE_KEY} of documents, or a query")
        self._delete(keys)

    # -- XML ---------------------------------------------------------------------------------------------

    def xml(self, body: bytes) -> Update:
        for root in _children(_tree(body)):
            if root.name == "commit":
                self.update.commit = True
            elif root.name == "delete":
                self._xml_delete(root)
            elif root.name == "add":
                self._add([_document(child) for child in _children(root) if child.name == "doc"])
            elif root.name == "optimize":
                self.update.commit = True
            else:
                raise unsupported(f"The command <{root.name[:50]}>")
        return self.update

    def _xml_delete(self, root: _Element) -> None:
        for child in _children(root):
            if child.name == "id":
                self._delete([child.text])
            elif child.name == "query":
                self._delete_query(child.text)
            else:
                raise SearchFault(f"Unexpected <{child.name[:50]}> in <delete>")


@dataclass(slots=True)
class _Element:
    name: str
    attributes: dict[str, str]
    parts: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))


def _children(element: _Element) -> list[_Element]:
    return [part for part in element.parts if isinstance(part, _Element)]


def _document(element: _Element) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for child in _children(element):
        name = child.attributes.get("name")
        if child.name != "field" or not name or "update" in child.attributes:
            raise SearchFault("A <doc> holds <field name=…> only")
        if name in document:
            before = document[name]
            document[name] = [*(before if isinstance(before, list) else [before]), child.text]
        else:
            document[name] = child.text
    return document


def _tree(body: bytes) -> _Element:
    """A plain tree; declarations of types and entities are refused before they can do anything."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    top = _Element("", {})
    stack = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            raise SearchFault("The XML is nested too deep")
        element = _Element(name, attributes)
        stack[-1].parts.append(element)
        stack.append(element)

    def refuse(*_: Any) -> None:
        raise SearchFault("The XML may not declare types or entities")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: stack.pop() and None
    parser.CharacterDataHandler = lambda data: stack[-1].parts.append(data)
    handler: Callable[..., None] = refuse
    parser.StartDoctypeDeclHandler = handler
    parser.EntityDeclHandler = handler
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise SearchFault(f"Cannot parse XML: {error}") from error
    return top
