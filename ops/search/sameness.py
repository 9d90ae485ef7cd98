"""Is a document, made anew, the one that is there already?"""

from __future__ import annotations

from typing import Any

import orjson

from ops.search.store import Row, unpack_head, unpack_raw

WHEN = "indexed_ts"
"""The moment of indexing: no two documents have the same."""


def is_same(new: Row, old: Row) -> bool:
    """Do both say the same? The order of fields says nothing, nor does that of a dataset's extras."""
    return _is_same_head(new.head, old.head) and (new.big == old.big or _bigs(new) == _bigs(old))


def _is_same_head(new: bytes, old: bytes) -> bool:
    one, other = unpack_head(new), unpack_head(old)
    one.pop(WHEN, None)
    other.pop(WHEN, None)
    return one == other


def _bigs(row: Row) -> list[Any]:
    data, validated = row.big
    near = None if validated is None else unpack_raw(validated)
    return [_read(None if data is None else unpack_raw(data, near)), _read(near)]


def _read(raw: bytes | None) -> Any:
    """A dataset as CKAN wrote it: its extras come in the order of the database or in that of a form."""
    try:
        found = orjson.loads(raw or b"null")
    except orjson.JSONDecodeError:
        return raw
    extras = found.get("extras") if isinstance(found, dict) else None
    if isinstance(extras, list) and all(isinstance(one, dict) for one in extras):
        extras.sort(key=lambda one: str(one.get("key")))
    return found
