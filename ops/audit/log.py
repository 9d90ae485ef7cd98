"""Appending to the audit log within the transaction of the action."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import asyncpg
import orjson

from authz import AuditEntry, Clock, arrays

NAMED, PLAIN = frozenset({str}), frozenset({str, int, bool, type(None)})
NAMES = tuple(one.name for one in fields(AuditEntry))


def leaf_text(entry: AuditEntry, at: str) -> str:
    """The exact text that is hashed: JSON with sorted keys, no spaces, no ASCII escapes."""
    body = {name: getattr(entry, name) for name in NAMES}
    body = {key: value for key, value in body.items() if value not in (None, {})}
    body["at"] = at
    if _is_plain(body):
        try:
            return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:  # a number or a text that is beyond it
            pass
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _is_plain(value: Any) -> bool:
    """Whether a value is made of such types only that both writers of JSON write alike, the quick and the other one."""
    kind = type(value)
    if kind is dict:
        if not NAMED.issuperset(map(type, value)):
            return False
        value = value.values()
    elif kind is not list:
        return kind in PLAIN
    return PLAIN.issuperset(map(type, value)) or all(map(_is_plain, value))


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


class PostgresAuditLog:
    """Entries in ``audit.entry``; an entry exists exactly when its action was committed.

    Appending takes no lock, so actions do not wait for one another; the place in the tree is given
    afterwards by the sequencer, in the order in which entries become visible.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def append(self, tx: asyncpg.Connection, entry: AuditEntry) -> int:
        at = self._clock.now()
        number: int = await tx.fetchval(
            "INSERT INTO audit.entry (at, action, object_kind, object_id, organisation_id, leaf)"
            " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
            at, entry.action, entry.object_kind, entry.object_id, entry.organisation_id,
            leaf_text(entry, at.isoformat()),
        )
        return number

    def insertion(self, entries: Sequence[AuditEntry], first: int) -> tuple[str, tuple[Any, ...]]:
        """The entries as a part of a larger statement; see ``AuditLog``."""
        at = self._clock.now()
        places = ", ".join(f"${first + 1 + place}::text::text[]" for place in range(5))
        sql = (
            "INSERT INTO audit.entry (at, action, object_kind, object_id, organisation_id, leaf)"
            f" SELECT ${first}::timestamptz, a.* FROM unnest({places})"
            " AS a (action, object_kind, object_id, organisation_id, leaf)"
        )
        said = at.isoformat()
        return sql, (
            at, arrays.texts([one.action for one in entries]), arrays.texts([one.object_kind for one in entries]),
            arrays.texts([one.object_id for one in entries]), arrays.texts([one.organisation_id for one in entries]),
            arrays.texts([leaf_text(one, said) for one in entries]),
        )
