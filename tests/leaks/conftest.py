"""One city for the whole matrix: it is built once, and asked by everybody about everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
import redis.asyncio

from authz import CkanIdentities, FixedClock, Runtime, Settings
from ops import testing
from ops.app import build_app
from ops.audit import PostgresAuditLog
from ops.delivery import close_delivery
from ops.leaks import report
from ops.leaks.canaries import Book
from ops.leaks.city import City, grant, publish
from ops.leaks.papers import plant
from ops.leaks.viewers import PARTIES
from ops.runtime import load_signing_key

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
    settings = Settings(
        database_url=database_url,
        datastore_url=None,
        redis_url=redis_url,
        site_url=SITE_URL,
        ckan_url="http://127.0.0.1:9",
        token_public_key_file=str(keys["token_public"]),
        signing_key_file=str(keys["signing"]),
        demo=False,
    )
    identities = CkanIdentities(settings.token_public_key_file, SITE_URL, settings.ckan_url)
    client = redis.asyncio.Redis.from_url(redis_url)
    made = Runtime(
        settings=settings,
        pool=pool,
        datastore=pool,
        redis=client,
        clock=now,
        audit=PostgresAuditLog(now),
        identities=identities,
        signing_key=load_signing_key(settings.signing_key_file),
        extras={},
    )
    yield made
    await close_delivery(made)
    await identities.close()
    await client.aclose()


@pytest.fixture(scope="module")
def now() -> FixedClock:
    from datetime import UTC, datetime

    return FixedClock(datetime(2026, 11, 23, 2, 0, tzinfo=UTC))


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
