"""The service as it runs in a stack, several worker processes at one port: what holds in one holds in all."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest
from worker_processes import WORKERS, Workers, callers, environment

from authz import DataObject, Runtime, SystemClock, new_id
from billing import usage
from ops import testing
from ops.testing import Granted

CALLERS = 200
FIELDS = [{"name": "code", "title": "代码", "type": "text"}, {"name": "text", "title": "内容", "type": "text"}]
ROWS = 120_000


@pytest.fixture(scope="module")
def workers(database_url: str, redis_url: str, keys: dict[str, Path]) -> Iterator[Workers]:
    made = Workers(environment(database_url, redis_url, keys))
    yield made
    made.stop()


@pytest.fixture
async def runtime(runtime: Runtime) -> Runtime:
    """Grants and loads at the present instant: the processes outside live by the system's clock."""
    return replace(runtime, clock=SystemClock())


@pytest.fixture(scope="module")
def known() -> dict[str, DataObject]:
    return {}


@pytest.fixture
async def data(runtime: Runtime, known: dict[str, DataObject]) -> DataObject:
    if "data" not in known:
        rows = ((f"{number:08d}", "数" * 60) for number in range(ROWS))
        known["data"] = await testing.load_restricted(
            runtime, testing.data_object(new_id("res"), FIELDS), {"code": "text", "text": "text"}, rows
        )
    return known["data"]


@pytest.mark.parametrize(("quota", "meter", "most"), [
    ({"calls_day": 70}, "calls", 70), ({"rows_life": 507}, "rows", 507),
    ({"bytes_month": 20_000}, "bytes", 20_000), ({"keys_month": 60}, "keys", 60),
])
async def test_quotas_are_exact_under_200_callers(
    workers: Workers, runtime: Runtime, data: DataObject, pool: asyncpg.Pool, quota: dict[str, int], meter: str,
    most: int,
) -> None:
    """200 real requests at once, pages, downloads and lookups among them, on two processes."""
    granted = await testing.issue_grant(runtime, data, ["code"], quota=quota)
    address = f"/data/v1/{data.resource_id}"
    served: Counter[str] = Counter()

    async def call(client: httpx.AsyncClient, number: int) -> httpx.Response:
        if meter == "keys":
            values = [f"{(number * 3 + place) % 150:08d}" for place in range(3)]
            body = {"key": "code", "values": values, "columns": ["code"]}
            return await client.post(f"{address}/lookup", json=body, headers=granted.headers)
        if number % 3 or meter == "bytes":
            return await client.get(f"{address}/rows?limit=10", headers=granted.headers)
        return await client.get(f"{address}?limit=10&format=jsonl", headers=granted.headers)

    async with callers(workers, CALLERS) as client:
        calls = (call(client, number) for number in range(CALLERS))
        answers = await asyncio.gather(*calls, return_exceptions=True)
    broken = 0
    for answer in answers:
        if isinstance(answer, httpx.RemoteProtocolError):  # a stream is broken off when grants cannot be read in time
            broken += 1
            continue
        assert not isinstance(answer, BaseException), answer
        assert answer.status_code in (200, 429), answer.text
        if answer.status_code == 200:
            served["calls"] += 1
            served["rows"] += rows_in(answer)
            served["bytes"] += len(answer.content)
        else:
            assert answer.json()["reasons"][0]["code"] == "quota_exhausted"
    await settled(pool, granted)
    row = await pool.fetchrow(
        "SELECT calls, rows, bytes, keys FROM billing.usage_counter WHERE grant_id = $1 AND span = $2",
        granted.id, next(iter(quota)).partition("_")[2],
    )
    for name, count in served.items():
        assert count == row[name] if not broken else count <= row[name]
    assert row[meter] <= most
    assert served["calls"] < CALLERS
    step = {"calls": 1, "rows": 10, "bytes": 1_000, "keys": 3}[meter]
    assert broken or row[meter] > most - step, "what is left would not have been enough for another call"


def rows_in(answer: httpx.Response) -> int:
    if answer.headers["content-type"] == "application/json":
        return len(answer.json()["items"])
    return answer.content.count(b"\n")


async def settled(pool: asyncpg.Pool, granted: Granted) -> list[usage.UsageEvent]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not await usage.open_reservations(pool, grant_id=granted.id):
            return await usage.events(pool, [granted.id])
        await asyncio.sleep(0.02)
    raise AssertionError("not settled")


async def running_in(pool: asyncpg.Pool, granted: Granted) -> Counter[str]:
    """How many deliveries of the grant are open in each process of the service."""
    rows = await pool.fetch(
        "SELECT process_id FROM billing.usage_reservation WHERE grant_id = $1 AND state = 'open'", granted.id
    )
    return Counter(row["process_id"] for row in rows)


async def stops_everywhere(
    workers: Workers, runtime: Runtime, data: DataObject, pool: asyncpg.Pool, granted: Granted,
    end: Callable[[], object],
) -> None:
    """Streams run in both workers; the end of what they run under is the end of all of them."""
    async with callers(workers, 24) as client, contextlib.AsyncExitStack() as open_streams:
        blocks = []
        while len(await running_in(pool, granted)) < WORKERS:
            assert len(blocks) < 24, "the system gave every connection to one worker"
            answer = await open_streams.enter_async_context(client.stream(
                "GET", f"/data/v1/{data.resource_id}?format=jsonl", headers=granted.headers
            ))
            assert answer.status_code == 200
            blocks.append(answer.aiter_raw())
            await anext(blocks[-1])
        await end()  # type: ignore[misc]
        began = time.monotonic()
        events = await settled(pool, granted)
        took = time.monotonic() - began
    assert [one.data["outcome"] for one in events] == ["stopped"] * len(blocks)
    print(f"{len(blocks)} streams in {WORKERS} workers ended in {took:.2f} s")
    again = httpx.get(f"{workers.url}/data/v1/{data.resource_id}/rows", headers=granted.headers)
    assert again.status_code in (401, 403)


async def test_a_revocation_stops_the_streams_of_every_worker(
    workers: Workers, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    granted = await testing.issue_grant(runtime, data, ["code", "text"])
    await stops_everywhere(
        workers, runtime, data, pool, granted, lambda: testing.set_grant_state(runtime, granted.id, "revoked")
    )


async def test_a_leaked_key_stops_its_streams_on_every_worker(
    workers: Workers, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    granted = await testing.issue_grant(runtime, data, ["code", "text"])

    async def report() -> None:
        async with callers(workers, 1) as client:
            assert (await client.post("/v1/keys/leaked", json={"key": granted.key})).status_code == 202

    await stops_everywhere(workers, runtime, data, pool, granted, report)


async def test_a_revocation_holds_from_the_next_call_on_every_worker(
    workers: Workers, runtime: Runtime, data: DataObject
) -> None:
    """Every worker has seen the key at work, and none lets it in after the end, without being told."""
    granted = await testing.issue_grant(runtime, data, ["code"])
    address = f"/data/v1/{data.resource_id}/rows?limit=1"
    for state, status in (("active", 200), ("suspended", 403), ("active", 200), ("revoked", 403)):
        await testing.set_grant_state(runtime, granted.id, state)
        async with callers(workers, 24) as client:
            calls = [client.get(address, headers=granted.headers) for _ in range(24)]
            assert {answer.status_code for answer in await asyncio.gather(*calls)} == {status}
