"""The service as a process of its own: killed, left by its clients, its grants revoked, while data flows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from authz import DataObject, Runtime, SystemClock, beijing_date, new_id
from billing import usage
from ops import testing
from ops.testing import Granted

FIELDS = [{"name": "code", "title": "代码", "type": "text"}, {"name": "text", "title": "内容", "type": "text"}]
ROWS = 300_000
ROW_TEXT = "数" * 60
EVER = (date(2020, 1, 1), date(2040, 1, 1))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One uvicorn process of the service."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "ops.app:create_app", "--factory", "--port", str(self.port),
             "--no-access-log", "--log-level", "warning"],
            env={**os.environ, **self.env},
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/v1/health", timeout=2).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError("the service did not start")

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


@pytest.fixture(scope="module")
def server(database_url: str, redis_url: str, keys: dict[str, Path]) -> Iterator[Server]:
    made = Server({
        "GOVOPEN_DATABASE_URL": database_url, "GOVOPEN_DATASTORE_URL": database_url, "GOVOPEN_REDIS_URL": redis_url,
        "GOVOPEN_SITE_URL": "http://govopen.test", "GOVOPEN_CKAN_URL": "http://127.0.0.1:9",
        "GOVOPEN_TOKEN_PUBLIC_KEY_FILE": str(keys["token_public"]),
        "GOVOPEN_SIGNING_KEY_FILE": str(keys["signing"]),
    })
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def runtime(runtime: Runtime) -> Runtime:
    """Grants and loads at the present instant: the process outside lives by the system's clock."""
    return replace(runtime, clock=SystemClock())


@pytest.fixture(scope="module")
def known() -> dict[str, DataObject]:
    return {}


@pytest.fixture
async def data(runtime: Runtime, known: dict[str, DataObject]) -> DataObject:
    if "data" not in known:
        rows = ((f"{number:08d}", ROW_TEXT) for number in range(ROWS))
        known["data"] = await testing.load_restricted(
            runtime, testing.data_object(new_id("res"), FIELDS), {"code": "text", "text": "text"}, rows
        )
    return known["data"]


@pytest.fixture
async def granted(runtime: Runtime, data: DataObject) -> Granted:
    return await testing.issue_grant(runtime, data, ["code", "text"], quota={"rows_month": 100_000_000})


@contextlib.asynccontextmanager
async def flowing(server: Server, data: DataObject, granted: Granted) -> AsyncIterator[httpx.Response]:
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", f"{server.url}/data/v1/{data.resource_id}?format=jsonl", headers=granted.headers) as got,
    ):
        assert got.status_code == 200
        yield got


async def settled(pool: asyncpg.Pool, granted: Granted, within_s: float = 10) -> list[usage.UsageEvent]:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not await usage.open_reservations(pool, grant_id=granted.id):
            found = await usage.events(pool, [granted.id])
            if found:
                return found
        await asyncio.sleep(0.02)
    raise AssertionError("not settled")


async def test_a_whole_download_is_complete_and_exact(
    server: Server, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    await read_whole(server, data, granted)
    before = process.memory_info().rss
    rows, size = await read_whole(server, data, granted)
    assert rows == ROWS
    assert process.memory_info().rss - before < 32_000_000, "memory is flat in the size of the data"
    for event in await settled(pool, granted):
        assert (event.rows, event.bytes, event.data["outcome"]) == (ROWS, size, "complete")


async def read_whole(server: Server, data: DataObject, granted: Granted) -> tuple[int, int]:
    rows = size = 0
    async with flowing(server, data, granted) as got:
        async for block in got.aiter_raw():
            rows += block.count(b"\n")
            size += len(block)
    return rows, size


async def test_a_client_that_leaves_pays_for_what_was_sent(
    server: Server, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    received = 0
    async with flowing(server, data, granted) as got:
        async for block in got.aiter_raw():
            received += block.count(b"\n")
            if received > 2_000:
                break
    (event,) = await settled(pool, granted)
    assert event.data["outcome"] == "client_left"
    assert received <= event.rows < ROWS // 2
    month = beijing_date(event.time).replace(day=1)
    (span,) = await usage.spans(pool, granted.id, "month", month, date(2040, 1, 1))
    assert (span.totals.rows, span.open_rows) == (event.rows, 0)


async def count_rows(blocks: AsyncIterator[bytes]) -> int:
    return sum([block.count(b"\n") async for block in blocks])


async def stopped_after(
    server: Server, data: DataObject, granted: Granted, pool: asyncpg.Pool, end: Callable[[], object]
) -> float:
    """Seconds from the end of the grant until the delivery was closed and settled; the client got a broken body."""
    async with flowing(server, data, granted) as got:
        blocks = got.aiter_raw()
        received = (await anext(blocks)).count(b"\n")
        await asyncio.sleep(0.3)
        await end()  # type: ignore[misc]
        began = time.monotonic()
        (event,) = await settled(pool, granted)
        took = time.monotonic() - began
        with pytest.raises(httpx.RemoteProtocolError):
            received += await count_rows(blocks)
    assert event.data["outcome"] == "stopped"
    assert received <= event.rows < ROWS
    return took


async def test_a_revoked_grant_stops_what_runs_and_refuses_what_comes(
    server: Server, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    took = await stopped_after(
        server, data, granted, pool, lambda: testing.set_grant_state(runtime, granted.id, "revoked")
    )
    assert took < 1.0
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{server.url}/data/v1/{data.resource_id}", headers=granted.headers)
    assert (answer.status_code, answer.json()["reasons"][0]["code"]) == (403, "grant_revoked")
    assert answer.json()["next"]


async def test_a_revocation_nobody_announced_is_seen_all_the_same(
    server: Server, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    await pool.execute("ALTER TABLE licensing.access_grant DISABLE TRIGGER announce")
    try:
        took = await stopped_after(
            server, data, granted, pool, lambda: testing.set_grant_state(runtime, granted.id, "suspended")
        )
    finally:
        await pool.execute("ALTER TABLE licensing.access_grant ENABLE TRIGGER announce")
    assert took < 1.0


async def test_when_grants_cannot_be_read_deliveries_end(
    server: Server, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    try:
        took = await stopped_after(
            server, data, granted, pool,
            lambda: pool.execute("ALTER TABLE licensing.access_grant RENAME TO access_grant_away"),
        )
    finally:
        await pool.execute("ALTER TABLE licensing.access_grant_away RENAME TO access_grant")
    assert took < 1.5


async def test_data_taken_out_of_the_catalogue_stops_flowing(
    server: Server, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    async def withdraw() -> None:
        await pool.execute(
            "UPDATE authz.data_object SET deleted_at = now() WHERE resource_id = $1", data.resource_id
        )

    try:
        assert await stopped_after(server, data, granted, pool, withdraw) < 1.0
    finally:
        await pool.execute(
            "UPDATE authz.data_object SET deleted_at = NULL WHERE resource_id = $1", data.resource_id
        )


async def test_a_killed_service_has_served_no_more_than_is_recorded(
    server: Server, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    """kill -9 while several deliveries run, several times over: each delivery counts once, at least as served."""
    served = 0

    async def read(until_killed: asyncio.Event) -> None:
        nonlocal served
        with contextlib.suppress(httpx.HTTPError):
            async with flowing(server, data, granted) as got:
                async for block in got.aiter_raw():
                    served += block.count(b"\n")
                    if served > 20_000:
                        until_killed.set()

    async def page(until_killed: asyncio.Event) -> None:
        nonlocal served
        async with httpx.AsyncClient() as client:
            while not until_killed.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    answer = await client.get(
                        f"{server.url}/data/v1/{data.resource_id}/rows?limit=10", headers=granted.headers
                    )
                    served += len(answer.json()["items"])

    for _ in range(3):
        reached = asyncio.Event()
        readers = [asyncio.create_task(read(reached)) for _ in range(4)]
        readers += [asyncio.create_task(page(reached)) for _ in range(4)]
        await asyncio.wait_for(reached.wait(), 30)
        server.kill()
        await asyncio.gather(*readers)
        await asyncio.to_thread(server.start)

    still_open = await usage.open_reservations(pool, grant_id=granted.id)
    await asyncio.sleep(0.5)
    by_rule = await usage.settle_lost(pool, runtime.audit, runtime.clock.now(), lease_s=0.4)
    again = await usage.settle_lost(pool, runtime.audit, runtime.clock.now(), lease_s=0.4)
    assert (by_rule, again) == (len(still_open), 0)
    events = await usage.events(pool, [granted.id])
    recorded = await usage.totals(pool, granted.id, *EVER)
    assert len({event.id for event in events}) == len(events) == recorded.calls
    assert served <= recorded.rows
    assert sum(event.data["settled_by_rule"] for event in events) == by_rule
    assert await usage.open_reservations(pool, grant_id=granted.id) == []
    open_rows = await pool.fetchval(
        "SELECT sum(open_rows) + sum(open_calls) FROM billing.usage_counter WHERE grant_id = $1", granted.id
    )
    assert open_rows == 0


async def test_stopping_the_service_settles_what_it_sent(
    server: Server, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    received = 0
    with contextlib.suppress(httpx.HTTPError):
        async with flowing(server, data, granted) as got:
            blocks = got.aiter_raw()
            received += (await anext(blocks)).count(b"\n")
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            async for block in blocks:
                received += block.count(b"\n")
    await stopping
    (event,) = await settled(pool, granted)
    assert received <= event.rows
    assert not event.data["settled_by_rule"]
    await asyncio.to_thread(server.start)
