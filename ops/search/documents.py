"""A document of CKAN's becomes a row of the store and a document of the tantivy index."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson
from tantivy import Document, PreTokenizedString, Token

from ops.search import analysis
from ops.search.dates import format_date, parse_date, to_millis
from ops.search.errors import SearchFault
from ops.search.fields import COLUMNS, EXACT, KEY, SEP, SEQUENCE, SORT_TEXT, clean_name, fits, place_of
from ops.search.schema import UNIQUE_KEY, Kind, copies_of, field_of
from ops.search.store import BIG_FIELDS, Row, pack

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


def to_row(source: Any, now: datetime) -> Row:
    """Check a document and split it as the store keeps it. ``indexed_ts`` is filled in as the schema says."""
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
    try:
        return Row(key, orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS), big)
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
        self.text: dict[str, list[Token]] = {}
        self.position: dict[str, int] = {}
        self.grams: dict[str, set[str]] = {}

    def add_exact(self, term: str) -> None:
        if fits(term):
            self.exact.add(term)

    def add_text(self, name: str, kind: Kind, values: Iterable[str]) -> None:
        place, prefix = place_of(name)
        self.exact.add(SEP + name)
        if kind is Kind.NGRAM:
            for value in values:
                self.grams.setdefault(place, set()).update(analysis.ngrams(value))
            return
        tokens = self.text.setdefault(place, [])
        position = self.position.get(place, 0)
        for value in values:
            found, position = analysis.index_tokens(value, kind, position)
            tokens.extend(
                Token(prefix + token.text, token.position, 0, 0) for token in found if fits(prefix + token.text)
            )
            position += analysis.VALUE_GAP
        self.position[place] = position


def to_index(head: dict[str, Any], sequence: int, now: datetime) -> Document:
    """The postings and columns of one document."""
    document = Document()
    document.add_text(KEY, head[UNIQUE_KEY])
    document.add_unsigned(SEQUENCE, sequence)
    builder = _Builder()
    for name, value in head.items():
        values = texts(name, value)
        if not values:
            continue
        field = field_of(name)
        if field.kind.is_text:
            builder.add_text(name, field.kind, values)
        elif field.kind is not Kind.STORED:
            builder.add_exact(SEP + name)
            for text in values:
                builder.add_exact(name + SEP + text)
            if name in SORT_TEXT and name != "title" and fits(values[0]):
                document.add_text(SORT_TEXT[name], values[0])
            elif name in COLUMNS:
                document.add_integer(
                    name, parse_date(values[0], now) if field.kind is Kind.DATE else int(values[0])
                )
        for target in copies_of(name):
            builder.add_text(target, field_of(target).kind, values)
    for term in builder.exact:
        document.add_text(EXACT, term)
    for place, tokens in builder.text.items():
        if tokens:
            document.add_pre_tokenized_text(place, PreTokenizedString("", tokens))
    for place, grams in builder.grams.items():
        for gram in grams:
            document.add_text(place, gram)
    return document
