"""A document of CKAN's becomes a row of the store and a document of the tantivy index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from tantivy import Document

from ops.search import analysis
from ops.search.chinese.lexicon import LEXICON
from ops.search.dates import format_date, parse_date, to_millis
from ops.search.errors import SearchFault
from ops.search.fields import INITIALS, KEY, PINYIN, fits
from ops.search.postings import PLANS, Postings
from ops.search.schema import UNIQUE_KEY, Kind, field_of
from ops.search.store import BIG_FIELDS, Row, pack, pack_bigs

MAX_NUMBER = 2**63 - 1
REQUIRED = (UNIQUE_KEY, "id", "site_id")
_ONE_TYPE = frozenset({str})


def texts(name: str, value: Any) -> list[str]:
    """The values of a field as Solr would read them from JSON."""
    if type(value) is str:
        return [value]
    if type(value) is list and _ONE_TYPE.issuperset(map(type, value)):
        return value
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
    """A checked document: its row of the store, and its postings unless they are made elsewhere."""

    row: Row
    document: Document | None


def check(source: Any, now: datetime) -> dict[str, Any]:
    """A document as it is kept: no fields without a value, dates and numbers in one spelling."""
    if not isinstance(source, dict):
        raise SearchFault("A document must be a JSON object")
    for name in REQUIRED:
        if not source.get(name):
            raise SearchFault(f"Document is missing mandatory field: {name}")
    key = source[UNIQUE_KEY]
    if not isinstance(key, str) or not fits(key):
        raise SearchFault(f"{UNIQUE_KEY} must be a short string")
    document: dict[str, Any] = {}
    for name, value in source.items():
        if value is not None:
            plan = PLANS[name]
            if not plan.clean:
                raise SearchFault("A field name is empty or holds a control character")
            document[name] = _canonical(key, name, value, now) if plan.checked else value
    return document


def prepare(source: Any, now: datetime, *, postings: bool = True) -> Prepared:
    """Check a document and make its forms."""
    return make_forms(check(source, now), now, postings=postings)


def make_forms(document: dict[str, Any], now: datetime, *, postings: bool = True) -> Prepared:
    """The forms of a checked document. ``indexed_ts`` is filled in as the schema says."""
    key, id_ = document[UNIQUE_KEY], document["id"]
    document = {**document}
    document.setdefault("indexed_ts", format_date(to_millis(now)))
    big = pack_bigs(document.pop(BIG_FIELDS[0], None), document.pop(BIG_FIELDS[1], None))
    try:
        row = Row(key, pack(orjson.dumps(document)) or b"", big, id_ if isinstance(id_, str) else None)
        if postings:
            return Prepared(row, to_index(document, now))
    except (TypeError, orjson.JSONEncodeError) as error:
        raise SearchFault(f"The document cannot be stored: {error}") from error
    for name, value in document.items():
        if type(value) is not str:
            texts(name, value)
    return Prepared(row, None)


def _canonical(key: str, name: str, value: Any, now: datetime) -> Any:
    """Dates and whole numbers in one spelling; a text that is neither is refused, as Solr does."""
    values = texts(name, value)
    where = f"ERROR: [doc={key}] Error adding field '{name}'"
    if len(values) > 1:
        raise SearchFault(f"{where}: multiple values encountered for non multiValued field")
    if not values:
        return []
    try:
        if field_of(name).kind is Kind.DATE:
            return format_date(parse_date(values[0], now))
        number = int(values[0])
        if abs(number) > MAX_NUMBER:
            raise ValueError("it is too large")
        return number
    except (SearchFault, ValueError) as error:
        raise SearchFault(f"{where}='{values[0][:100]}' msg={error}") from error


def to_index(head: dict[str, Any], now: datetime) -> Document:
    """The postings and columns of one document; the engine adds its sequence number."""
    LEXICON.learn(head)
    postings = Postings()
    columns: list[tuple[str, int]] = []
    sorts: list[tuple[str, str]] = []
    for name, value in head.items():
        plan = PLANS[name]
        if type(value) is str:
            first = value
            postings.add(plan, value)
        else:
            values = texts(name, value)
            if not values:
                continue
            first = values[0]
            postings.add_all(plan, values)
        if plan.sort is not None and fits(first):
            sorts.append((plan.sort, first))
        elif plan.date or plan.number:
            columns.append((name, parse_date(first, now) if plan.date else int(first)))
    document = postings.document()
    document.add_text(KEY, head[UNIQUE_KEY])
    for name, text in sorts:
        document.add_text(name, text)
    for name, number in columns:
        document.add_integer(name, number)
    if titles := texts("title", head.get("title")):
        syllables, starts = analysis.reading_terms(titles[0])
        document.add_text(PINYIN, " ".join(syllables))
        document.add_text(INITIALS, " ".join(starts))
    return document
