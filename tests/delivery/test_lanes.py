"""Connections for pages: few while reads are quick, more while some are slow, and an end to waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from ops.delivery.lanes import Lanes, connector
from ops.delivery.refusals import Busy

QUICK, SLOW = "SELECT 1 AS one", "SELECT 1 AS one FROM pg_advisory_xact_lock(7411)"
"""The slow one lasts until the lock is given back."""
Make = Callable[..., Lanes]


@pytest.fixture
def opened() -> list[asyncpg.Connection]:
    return []


@pytest.fixture
async def make(database_url: str, opened: list[asyncpg.Connection]) -> AsyncIterator[Make]:
    connect, made = connector(database_url), []

    async def counted() -> asyncpg.Connection:
        opened.append(await connect())
        return opened[-1]

    def lanes(size: int, usual: int, **seconds: float) -> Lanes:
        made.append(Lanes(counted, size, usual, **seconds))
        return made[-1]

    yield lanes
    for one in made:
        await one.close()


@pytest.fixture
async def lock(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A connection that holds up slow reads for as long as its transaction lasts."""
    async with pool.acquire() as connection:
        yield connection


async def test_quick_reads_share_the_usual_connections(make: Make, opened: list[asyncpg.Connection]) -> None:
    lanes = make(size=8, usual=2, patience_s=60)
    await asyncio.gather(*(lanes.fetchrow(QUICK, ()) for _ in range(50)))
    assert len(opened) == 2


async def test_who_waits_for_slow_reads_gets_a_connection_of_its_own(
    make: Make, opened: list[asyncpg.Connection], lock: asyncpg.Connection
) -> None:
    lanes = make(size=8, usual=2)
    async with lock.transaction():
        await lock.execute("SELECT pg_advisory_xact_lock(7411)")
        slow = [asyncio.create_task(lanes.fetchrow(SLOW, ())) for _ in range(2)]
        await asyncio.sleep(0)
        assert (await lanes.fetchrow(QUICK, ()))["one"] == 1
        assert not any(one.done() for one in slow)
    await asyncio.gather(*slow)
    assert len(opened) == 3


async def test_nobody_waits_for_ever(
    make: Make, opened: list[asyncpg.Connection], lock: asyncpg.Connection
) -> None:
    lanes = make(size=3, usual=3, wait_s=0.1)
    async with lock.transaction():
        await lock.execute("SELECT pg_advisory_xact_lock(7411)")
        slow = [asyncio.create_task(lanes.fetchrow(SLOW, ())) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await lanes.fetchrow(QUICK, ())
    await asyncio.gather(*slow)
    assert len(opened) == 3
    assert (await lanes.fetchrow(QUICK, ()))["one"] == 1


async def test_a_lost_connection_is_replaced(make: Make, opened: list[asyncpg.Connection]) -> None:
    lanes = make(size=1, usual=1)
    await lanes.fetchrow(QUICK, ())
    opened[0].terminate()
    assert (await lanes.fetchrow(QUICK, ()))["one"] == 1
    assert len(opened) == 2
