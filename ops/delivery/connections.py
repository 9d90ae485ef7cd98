"""Connections for deliveries: one in use by each running stream, so the wait for one has an end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg

from ops.delivery.refusals import Busy

ACQUIRE_S = 5.0


@contextlib.asynccontextmanager
async def acquired(pool: asyncpg.Pool, timeout_s: float = ACQUIRE_S) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the pool for a short read; raises Busy when none becomes free in time."""
    connection = await _take(pool, timeout_s)
    try:
        yield connection
    finally:
        await pool.release(cast(Any, connection))


async def _take(pool: asyncpg.Pool, timeout_s: float) -> asyncpg.Connection:
    try:
        return cast(asyncpg.Connection, await pool.acquire(timeout=timeout_s))
    except TimeoutError as fault:
        raise Busy(part="delivery") from fault


class Lease:
    """A connection held for one delivery, inside one read-only snapshot; given back whole or thrown away."""

    def __init__(self, pool: asyncpg.Pool, connection: asyncpg.Connection) -> None:
        self._pool = pool
        self.connection = connection

    @classmethod
    async def take(cls, pool: asyncpg.Pool) -> Lease:
        """Raises Busy when no connection becomes free in time."""
        lease = cls(pool, await _take(pool, ACQUIRE_S))
        try:
            await lease.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        except BaseException:
            await lease.throw_away()
            raise
        return lease

    async def give_back(self) -> None:
        try:
            await self.connection.execute("COMMIT")
        except Exception:
            await self.throw_away()
            return
        await self._pool.release(cast(Any, self.connection))

    async def throw_away(self) -> None:
        """Cut the connection: a COPY that is under way cannot be ended more gently in bounded time."""
        with contextlib.suppress(Exception):
            self.connection.terminate()
        with contextlib.suppress(Exception):
            await self._pool.release(cast(Any, self.connection))
