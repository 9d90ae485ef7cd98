"""Is a document, made anew, the one that is there already?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import orjson

from ops.search.schema import NOTED
from ops.search.store import BIG_FIELDS, Row, raw_of, unpack_head, unpack_raw

WHEN = "indexed_ts"
"""The moment of indexing: no two documents have the same."""
ELSEWHERE = frozenset({*BIG_FIELDS, *NOTED, WHEN})


class Sameness(Enum):
    DIFFERENT = 0
    BUT_NOTES = 1
    """What only rebuilds look at differs: nothing that is indexed."""
    SAME = 2


def compare(document: dict[str, Any], row: Row) -> Sameness:
    """A checked document beside what is kept. The order of fields says nothing, nor does that of a dataset's extras."""
    head = unpack_head(row.head)
    for name, value in document.items():
        if name not in ELSEWHERE and (name not in head or head.pop(name) != value):
            return Sameness.DIFFERENT
    if not ELSEWHERE.issuperset(head) or not _are_same_bigs(document, row):
        return Sameness.DIFFERENT
    return Sameness.SAME if all(document.get(name) == head.get(name) for name in NOTED) else Sameness.BUT_NOTES


def _are_same_bigs(document: dict[str, Any], row: Row) -> bool:
    data, validated = row.big
    near = None if validated is None else unpack_raw(validated)
    kept = (None if data is None else unpack_raw(data, near), near)
    given = (raw_of(document.get(name)) for name in BIG_FIELDS)
    return all(one == other or _read(one) == _read(other) for one, other in zip(given, kept, strict=True))


def _read(raw: bytes | None) -> Any:
    """A dataset as CKAN wrote it: its extras come in the order of the database or in that of a form."""
    if raw is None:
        return None
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw
    extras = found.get("extras") if isinstance(found, dict) else None
    if isinstance(extras, list) and all(isinstance(one, dict) for one in extras):
        extras.sort(key=lambda one: str(one.get("key")))
    return [found]
