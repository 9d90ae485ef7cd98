"""Appending to the audit log within the transaction of the action."""

from __future__ import annotations

from dataclasses import asdict

import asyncpg

from authz import AuditEntry, Clock


class PostgresAuditLog:
    """Entries in ``audit.entry``; an entry exists exactly when its action was committed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def append(self, tx: asyncpg.Connection, entry: AuditEntry) -> int:
        body = {key: value for key, value in asdict(entry).items() if value not in (None, {})}
        at = self._clock.now()
        body["at"] = at.isoformat()
        number: int = await tx.fetchval(
            "INSERT INTO audit.entry (at, action, body) VALUES ($1, $2, $3) RETURNING id",
            at, entry.action, body,
        )
        return number
