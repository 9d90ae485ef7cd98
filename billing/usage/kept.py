"""One connection that is used again and again by one user at a time, and given up at the first doubt about it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg

PLANNING = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off"
"""Counters are looked up by key: their table is short and, changed all the time, has many pages to read."""


class Kept:
    """Holds a connection of the pool for as long as it works: no reset between uses, and its plans stay made."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._connection: asyncpg.Connection | None = None

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[asyncpg.Connection]:
        """The connection; after any fault inside, the next use gets another one."""
        try:
            if self._connection is None or not _works(self._connection):
                await self.give_back()
                self._connection = cast(asyncpg.Connection, await self._pool.acquire())
                await self._connection.execute(PLANNING)
            yield self._connection
        except BaseException:
            await self.give_back()
            raise

    async def give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await self._pool.release(cast(Any, connection), timeout=5)


def _works(connection: asyncpg.Connection) -> bool:
    """A connection that the server cut while nobody used it was taken back by the pool: it may not even be asked."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False
