"""Decisions about data on their way into the decision log: many in one transaction, a moment after the answer.

What was delivered is durable before its first byte by its reservation; this log tells why it was allowed or denied.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

import asyncpg

from authz import Decision, DecisionRequest, record_decisions

log = logging.getLogger("govopen.delivery")

FLUSH_EVERY_S = 0.2
WAITING_MAX = 20_000
BATCH = 500

Taken = tuple[DecisionRequest, Decision, str, datetime]


class DecisionLog:
    """Collects decisions and writes them in order; while the database is away they wait, up to a bound."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._waiting: list[Taken] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._loop())

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._flush()

    def add(
        self, request: DecisionRequest, decision: Decision, request_id: str, at: datetime | None = None
    ) -> None:
        """``at`` is when the decision was relied on, if that is not when it was made."""
        if len(self._waiting) >= WAITING_MAX:
            log.error("the decision log cannot keep up: a decision on %s is dropped", request.object.resource_id)
            return
        self._waiting.append((request, decision, request_id, at or request.now))

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self._flush()

    async def _flush(self) -> None:
        """Write what is there now; what comes meanwhile is written with others, the next time."""
        left = len(self._waiting)
        while left > 0:
            batch = self._waiting[: min(BATCH, left)]
            try:
                async with self._pool.acquire(timeout=5) as connection, connection.transaction():
                    await record_decisions(connection, batch)  # type: ignore[arg-type]
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
                log.warning("decisions wait to be written: %s", type(away).__name__)
                return
            del self._waiting[: len(batch)]
            left -= len(batch)
