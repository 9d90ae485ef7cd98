"""Building a Runtime from settings, and keeping its clock in step with the stack's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authz import CkanIdentities, Clock, Runtime, Settings, ShiftedClock, SystemClock, open_pool, versions
from ops.audit import PostgresAuditLog

CLOCK_REFRESH_S = 0.5

log = logging.getLogger("govopen.runtime")


def load_signing_key(path: str) -> Ed25519PrivateKey:
    key = load_pem_private_key(Path(path).read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("the signing key must be an Ed25519 key in PEM")
    return key


async def refresh_clock(runtime: Runtime) -> None:
    """Read the demo city's clock; a real city's clock is the system's and cannot be moved."""
    if isinstance(runtime.clock, ShiftedClock):
        async with runtime.pool.acquire() as connection:
            runtime.clock.shift_s = await connection.fetchval("SELECT shift_s FROM authz.clock")


@asynccontextmanager
async def runtime_over(
    settings: Settings, pool: asyncpg.Pool, datastore: asyncpg.Pool | None, clock: Clock
) -> AsyncIterator[Runtime]:
    """A runtime over pools that are open and stay so; what it opens besides is closed on leaving."""
    identities = CkanIdentities(settings.token_public_key_file, settings.site_url, settings.ckan_url)
    runtime = Runtime(
        settings=settings,
        pool=pool,
        datastore=datastore,
        clock=clock,
        audit=PostgresAuditLog(clock),
        identities=identities,
        signing_key=load_signing_key(settings.signing_key_file),
        extras={},
    )
    try:
        yield runtime
    finally:
        await identities.close()
        await runtime.close_redis()


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings.database_url)
        stack.push_async_callback(pool.close)
        datastore = await open_pool(settings.datastore_url, size_min=0) if settings.datastore_url else None
        if datastore is not None:
            stack.push_async_callback(datastore.close)
        clock: Clock = ShiftedClock() if settings.demo else SystemClock()
        runtime = await stack.enter_async_context(runtime_over(settings, pool, datastore, clock))
        await refresh_clock(runtime)
        async with pool.acquire() as connection:
            await versions.load_policies(connection)
        followers = [asyncio.create_task(versions.follow_policies(pool))]
        if settings.demo:
            followers.append(asyncio.create_task(_follow_clock(runtime)))
        try:
            yield runtime
        finally:
            for follower in followers:
                follower.cancel()


async def _follow_clock(runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(CLOCK_REFRESH_S)
        try:
            await refresh_clock(runtime)
        except Exception as away:  # keep the last known shift until the database is back
            log.warning("the clock could not be read: %s", type(away).__name__)
