"""The running service as one object: pools, clock, evidence, keys. Routes and jobs are handed it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from authz.foundation.clock import Clock
from authz.foundation.evidence import AuditLog
from authz.foundation.settings import Settings
from authz.foundation.tokens import IdentitySource

if TYPE_CHECKING:
    import redis.asyncio


async def prepare_connection(connection: asyncpg.Connection) -> None:
    """Make JSON and JSONB columns Python objects on both sides."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            encoder=lambda value: orjson.dumps(value).decode(),
            decoder=orjson.loads,
            schema="pg_catalog",
            format="text",
        )


async def open_pool(url: str, *, size_min: int = 1, size_max: int = 12) -> asyncpg.Pool:
    """A pool of connections, of which ``size_min`` are opened at once and kept."""
    return await asyncpg.create_pool(url, min_size=size_min, max_size=size_max, init=prepare_connection)


@dataclass
class Runtime:
    settings: Settings
    pool: asyncpg.Pool
    datastore: asyncpg.Pool | None
    clock: Clock
    audit: AuditLog
    identities: IdentitySource
    signing_key: Ed25519PrivateKey
    extras: dict[str, Any]

    @cached_property
    def redis(self) -> redis.asyncio.Redis:
        """Redis, of which the library is loaded when somebody asks: a process that limits nobody does without 5 MB."""
        from redis.asyncio import Redis

        return Redis.from_url(self.settings.redis_url)

    async def close_redis(self) -> None:
        """Close the client of Redis if there is one."""
        if "redis" in self.__dict__:
            await self.redis.aclose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection inside one transaction: committed on leaving, rolled back on any exception."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield cast(asyncpg.Connection, connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for reading one consistent state."""
        async with (
            self.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield cast(asyncpg.Connection, connection)


@dataclass(frozen=True)
class Job:
    """Scheduled work: run every ``every_s`` seconds by one worker at a time; must be safe to repeat."""

    name: str
    every_s: float
    run: Callable[[Runtime], Awaitable[None]]
