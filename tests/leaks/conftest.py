"""One city for the whole matrix: it is built once, and asked by everybody about everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from authz import FixedClock, Runtime
from ops import testing
from ops.app import build_app
from ops.leaks import report
from ops.leaks.canaries import Book
from ops.leaks.city import City, grant, publish
from ops.leaks.papers import plant
from ops.leaks.serve import NOW, running
from ops.leaks.viewers import PARTIES

SITE_URL = "http://govopen.test"


@pytest.fixture(scope="module")
def rates() -> Iterator[None]:
    """Nobody is refused for asking too often: that refusal would hide the answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOVOPEN_RATE_PUBLIC", "100000000")
        yield


@pytest.fixture(scope="module")
async def runtime(
    database_url: str, redis_url: str, keys: dict[str, Path], pool: asyncpg.Pool, rates: None, now: FixedClock
) -> AsyncIterator[Runtime]:
    token_key, key = str(keys["token_public"]), str(keys["signing"])
    opened = running(pool, now, SITE_URL, database=database_url, redis_url=redis_url, token_key=token_key, key=key)
    async with opened as made:
        yield made


@pytest.fixture(scope="module")
def now() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture(scope="module")
async def client(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build_app(runtime), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=SITE_URL) as opened:
        yield opened


@pytest.fixture(scope="module")
async def city(runtime: Runtime) -> City:
    made = City(Book(), testing.ORGANISATION)
    await publish(runtime, made)
    people = {viewer: (f"user-{viewer}", viewer) for viewer in PARTIES}
    await plant(runtime, made, people)
    made.objects["elsewhere"] = await testing.publish(
        runtime,
        testing.data_object(
            "res-elsewhere",
            [
                {"name": name, "title": name, "type": "text"}
                for name in ("region", "firm", "person", "digest", "income")
            ],
        ),
    )
    await grant(runtime, made, "other_enterprise", "elsewhere")
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    report.write(terminalreporter.write_line)
