"""Deliveries end when nobody can tell whether their grants still stand; a moment's silence is forgiven."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from ops.delivery import watch
from ops.delivery.watch import GrantWatch, Running, Under

PATIENCE_S = 30.0


async def no_notifications() -> None:
    raise ConnectionError


@asynccontextmanager
async def watching(standing: Callable[[Iterable[Under]], object]) -> AsyncIterator[Running]:
    async def look(unders: Iterable[Under]) -> set[Under]:
        found = standing(unders)
        if isinstance(found, set):
            return found
        await asyncio.Event().wait()
        raise AssertionError

    made = GrantWatch(no_notifications, look)
    made.start()
    running = Running("grant", "resource")
    made.add(running)
    yield running
    await made.close()


def failing(_: Iterable[Under]) -> object:
    raise ConnectionError


@pytest.mark.parametrize("standing", [failing, lambda _: None], ids=["fails", "hangs"])
async def test_deliveries_end_when_grants_cannot_be_read(
    standing: Callable[[Iterable[Under]], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BLIND_MAX_S", 0.3)
    async with watching(standing) as running:
        assert await asyncio.wait_for(running.stopped, PATIENCE_S) == "grant_not_readable"


async def test_one_look_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BLIND_MAX_S", PATIENCE_S)
    monkeypatch.setattr(watch, "SWEEP_EVERY_S", 0.01)
    looks = 0
    enough = asyncio.Event()

    def standing(unders: Iterable[Under]) -> set[Under]:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise ConnectionError
        if looks > 3:
            enough.set()
        return set(unders)

    async with watching(standing) as running:
        await asyncio.wait_for(enough.wait(), PATIENCE_S)
        assert not running.stopped.done()


async def test_a_grant_that_ended_ends_its_delivery() -> None:
    async with watching(lambda _: set()) as running:
        assert await asyncio.wait_for(running.stopped, PATIENCE_S) == "grant_ended"
