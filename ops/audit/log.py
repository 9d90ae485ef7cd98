"""Appending to the audit log within the transaction of the action."""

from __future__ import annotations

import json
from dataclasses import asdict

import asyncpg

from authz import AuditEntry, Clock


def leaf_text(entry: AuditEntry, at: str) -> str:
    """The exact text that is hashed: JSON with sorted keys, no spaces, no ASCII escapes."""
    body = {key: value for key, value in asdict(entry).items() if value not in (None, {})}
    body["at"] = at
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


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
