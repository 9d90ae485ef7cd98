"""Local parameters at the start of a query: ``{!bool must=bees}``, ``{!term f=tags}air quality``.

Spoken: ``lucene`` (q.op, df), ``bool`` (must, should, must_not, filter), ``term``, ``terms``, ``field`` and ``prefix``.
CKAN lets none of them through unless its ``ckan.search.solr_allowed_query_parsers`` names them. References to other
parameters (``$name``) and every other parser are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ops.search.errors import SearchFault, unsupported
from ops.search.lucene import parse
from ops.search.nodes import Bool, Boost, Joker, Node, Occur, Phrase, Term, Wildcard

MAX_DEPTH = 10
_PART = re.compile(
    r"""\s*(?P<name>[\w.]+)(?:\s*=\s*(?:"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'|(?P<bare>[^\s}]*)))?""",
    re.S,
)
_OCCURS = {"must": Occur.MUST, "should": Occur.SHOULD, "must_not": Occur.MUST_NOT, "filter": Occur.MUST}

Parameters = list[tuple[str, str]]


def parse_with_locals(text: str, *, conjunction: bool, field: str | None = None, depth: int = 0) -> Node | None:
    """A query in Lucene's grammar, or in the parser that its local parameters name."""
    stripped = text.lstrip()
    if not stripped.startswith("{!"):
        return parse(text, conjunction=conjunction, field=field)
    if depth > MAX_DEPTH:
        raise SearchFault("Local parameters are nested too deep")
    kind, parameters, rest = _split(stripped)
    value = next((value for name, value in parameters if name == "v"), rest)
    if kind == "lucene":
        _only(parameters, "v", "q.op", "df")
        operator = next((given.upper() for name, given in parameters if name == "q.op"), "")
        if operator not in ("", "AND", "OR"):
            raise SearchFault(f"Invalid q.op: {operator[:20]}")
        conjunction = operator == "AND" if operator else conjunction
        field = next((given for name, given in parameters if name == "df"), field)
        return parse_with_locals(value, conjunction=conjunction, field=field, depth=depth + 1)
    if kind == "bool":
        _only(parameters, "v", *_OCCURS)

        def inner(one: str) -> Node | None:
            return parse_with_locals(one, conjunction=conjunction, field=field, depth=depth + 1)

        return _bool(parameters, inner)
    if kind in ("term", "terms", "field", "prefix"):
        return _values(kind, parameters, value)
    raise unsupported(f"The query parser {{!{kind[:50]}}}")


def _split(text: str) -> tuple[str, Parameters, str]:
    at = 2
    kind = "lucene"
    parameters: Parameters = []
    first = True
    while True:
        while text[at : at + 1].isspace():
            at += 1
        if text[at : at + 1] == "}":
            return kind, parameters, text[at + 1 :]
        match = _PART.match(text, at)
        if match is None or match.end() == at:
            raise SearchFault(f"org.apache.solr.search.SyntaxError: cannot read local parameters of '{text[:100]}'")
        quoted = match["double"] if match["double"] is not None else match["single"]
        value = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.S)
        if value is None:
            if not first:
                raise SearchFault(f"org.apache.solr.search.SyntaxError: expected '=' after '{match['name'][:50]}'")
            kind = match["name"]
        elif match["bare"] is not None and value.startswith("$"):
            raise unsupported("A reference to another parameter ($name)")
        elif match["name"] == "type":
            kind = value
        else:
            parameters.append((match["name"], value))
        first = False
        at = match.end()


def _only(parameters: Parameters, *allowed: str) -> None:
    for name, _ in parameters:
        if name not in allowed:
            raise unsupported(f"The local parameter {name[:50]}")


def _bool(parameters: Parameters, inner: Callable[[str], Node | None]) -> Node | None:
    clauses: list[tuple[Occur, Node]] = []
    for name, value in parameters:
        node = inner(value) if name in _OCCURS else None
        if node is not None:
            clauses.append((_OCCURS[name], Boost(node, 0.0, True) if name == "filter" else node))
    return Bool(tuple(clauses)) if clauses else None


def _values(kind: str, parameters: Parameters, value: str) -> Node:
    _only(parameters, "v", "f", "separator")
    field = next((given for name, given in parameters if name == "f"), "")
    if not field:
        raise SearchFault(f"{{!{kind}}} needs the field f")
    if kind == "prefix":
        return Wildcard(field, (*value, Joker.ANY))
    if kind == "field":
        return Phrase(field, value)
    if kind == "term":
        return Term(field, value)
    separator = next((given for name, given in parameters if name == "separator"), ",")
    parts = value.split(separator) if separator else value.split()
    return Boost(Bool(tuple((Occur.SHOULD, Term(field, part.strip())) for part in parts)), 1.0, True)
