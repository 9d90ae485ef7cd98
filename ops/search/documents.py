"""A document of CKAN's becomes a row of the store and a document of the tantivy index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from tantivy import Document

from ops.search import analysis
from ops.search.analysis import MAX_TERM_BYTES
from ops.search.chinese.lexicon import LEXICON
from ops.search.dates import format_date, parse_date, to_millis
from ops.search.errors import SearchFault
from ops.search.fields import (
    COLUMNS,
    DYNAMIC_TEXT,
    EXACT,
    INITIALS,
    JOIN,
    KEY,
    PINYIN,
    SEP,
    SORT_TEXT,
    clean_name,
    fits,
    place_of,
    sequence_of,
)
from ops.search.schema import UNIQUE_KEY, Kind, copies_of, field_of
from ops.search.store import BIG_FIELDS, Row, pack

BREAK = "\x04"
"""Stands between two values, so that a phrase does not run from one into the next."""
REQUIRED = (UNIQUE_KEY, "id", "site_id")


def texts(name: str, value: Any) -> list[str]:
    """The values of a field as Solr would read them from JSON."""
    items = value if isinstance(value, list) else [value]
    found: list[str] = []
    for item in items:
        if item is None:
            continue
        if isinstance(item, bool):
            found.append("true" if item else "false")
        elif isinstance(item, (str, int, float)):
            found.append(str(item))
        else:
            raise SearchFault(f"ERROR: field '{name}' holds a {type(item).__name__}, not a value or list of values")
    return found


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked document: its row of the store and its postings."""

    row: Row
    document: Document


def prepare(source: Any, now: datetime) -> Prepared:
    """Check a document and make both its forms. ``indexed_ts`` is filled in as the schema says."""
    if not isinstance(source, dict):
        raise SearchFault("A document must be a JSON object")
    document = {str(name): value for name, value in source.items() if value is not None}
    for name in REQUIRED:
        if not document.get(name):
            raise SearchFault(f"Document is missing mandatory field: {name}")
    key = document[UNIQUE_KEY]
    if not isinstance(key, str) or not fits(key):
        raise SearchFault(f"{UNIQUE_KEY} must be a short string")
    document.setdefault("indexed_ts", format_date(to_millis(now)))
    big = (pack(document.pop(BIG_FIELDS[0], None)), pack(document.pop(BIG_FIELDS[1], None)))
    for name, value in document.items():
        if not clean_name(name):
            raise SearchFault("A field name is empty or holds a control character")
        if field_of(name).kind in (Kind.DATE, Kind.INT):
            document[name] = _canonical(document, name, value, now)
    LEXICON.learn(document)
    try:
        return Prepared(Row(key, orjson.dumps(document), big), to_index(document, now))
    except (TypeError, orjson.JSONEncodeError) as error:
        raise SearchFault(f"The document cannot be stored: {error}") from error


def _canonical(document: dict[str, Any], name: str, value: Any, now: datetime) -> Any:
    """Dates and whole numbers in one spelling; a text that is neither is refused, as Solr does."""
    values = texts(name, value)
    where = f"ERROR: [doc={document[UNIQUE_KEY]}] Error adding field '{name}'"
    if len(values) > 1:
        raise SearchFault(f"{where}: multiple values encountered for non multiValued field")
    if not values:
        return []
    try:
        if field_of(name).kind is Kind.DATE:
            return format_date(parse_date(values[0], now))
        return int(values[0])
    except (SearchFault, ValueError) as error:
        raise SearchFault(f"{where}='{values[0][:100]}' msg={error}") from error


class _Builder:
    """Collects the terms of one document."""

    def __init__(self) -> None:
        self.exact: set[str] = set()
        self.words: dict[str, list[str]] = {}
        self.sequence: dict[str, list[str]] = {}
        self.grams: dict[str, set[str]] = {}
        self._analyzed: dict[tuple[str, Kind], tuple[list[str], list[str]]] = {}

    def add_exact(self, name: str, text: str) -> None:
        term = name + SEP + text
        if len(term) < MAX_TERM_BYTES // 4 or fits(term):
            self.exact.add(term.replace(JOIN, ""))

    def add_text(self, name: str, kind: Kind, values: Iterable[str]) -> None:
        place, prefix = place_of(name)
        self.exact.add(SEP + name)
        if kind is Kind.NGRAM:
            for value in values:
                self.grams.setdefault(place, set()).update(analysis.ngrams(value))
            return
        words = self.words.setdefault(place, [])
        sequence = self.sequence.setdefault(place, [])
        for value in values:
            found = self._analyzed.get((value, kind))
            if found is None:
                found = self._analyzed[(value, kind)] = analysis.index_terms(value, kind)
            words += [prefix + term for term in found[0]] if prefix else found[0]
            sequence += [prefix + term for term in found[1]] if prefix else found[1]
            sequence.append(BREAK)

    def finish(self, document: Document) -> None:
        document.add_text(EXACT, JOIN.join(self.exact))
        for place, words in self.words.items():
            joint = JOIN if place == DYNAMIC_TEXT else " "
            document.add_text(place, joint.join(words))
            document.add_text(sequence_of(place), joint.join(self.sequence[place]))
        for place, grams in self.grams.items():
            document.add_text(place, JOIN.join(grams))


def to_index(head: dict[str, Any], now: datetime) -> Document:
    """The postings and columns of one document; the engine adds its sequence number."""
    document = Document()
    document.add_text(KEY, head[UNIQUE_KEY])
    builder = _Builder()
    for name, value in head.items():
        values = texts(name, value)
        if not values:
            continue
        field = field_of(name)
        if field.kind.is_text:
            builder.add_text(name, field.kind, values)
            if name == "title":
                syllables, starts = analysis.reading_terms(values[0])
                document.add_text(PINYIN, " ".join(syllables))
                document.add_text(INITIALS, " ".join(starts))
        elif field.kind is not Kind.STORED:
            builder.exact.add(SEP + name)
            for text in values:
                builder.add_exact(name, text)
            if name in SORT_TEXT and name != "title" and fits(values[0]):
                document.add_text(SORT_TEXT[name], values[0])
            elif name in COLUMNS:
                document.add_integer(
                    name, parse_date(values[0], now) if field.kind is Kind.DATE else int(values[0])
                )
        for target in copies_of(name):
            builder.add_text(target, field_of(target).kind, values)
    builder.finish(document)
    return document
