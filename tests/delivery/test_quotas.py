"""Quotas by calls, rows, bytes and distinct keys, by day, month and life: what they refuse and when they open again."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg
import httpx
import pytest

from authz import DataObject, FixedClock, Runtime, new_id
from ops import testing
from ops.testing import Granted

FIELDS = [{"name": "code", "title": "代码", "type": "text"}]
ROWS = [(f"{number:06d}",) for number in range(500)]


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    return await testing.load_restricted(runtime, testing.data_object(new_id("res"), FIELDS), {"code": "text"}, ROWS)


async def page(client: httpx.AsyncClient, data: DataObject, granted: Granted, limit: int = 10) -> httpx.Response:
    return await client.get(f"/data/v1/{data.resource_id}/rows?limit={limit}", headers=granted.headers)


def refusal(answer: httpx.Response) -> tuple[str, object]:
    assert answer.status_code == 429, answer.text
    facts = answer.json()["reasons"][0]
    assert answer.json()["code"] == facts["code"] == "quota_exhausted"
    return facts["detail"], answer.headers.get("retry-after")


@pytest.mark.parametrize(("quota", "calls", "words"), [
    ({"calls_day": 3}, 3, "每日调用次数"), ({"calls_month": 2}, 2, "月度调用次数"),
    ({"calls_life": 4}, 4, "授权期内调用次数"), ({"rows_day": 25}, 2, "每日行数"), ({"rows_month": 39}, 3, "月度行数"),
    ({"rows_life": 10}, 1, "授权期内行数"), ({"bytes_day": 800}, 2, "每日字节数"),
    ({"bytes_month": 1000}, 3, "月度字节数"), ({"bytes_life": 400}, 1, "授权期内字节数"),
])
async def test_each_meter_in_each_span(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, quota: Mapping[str, int], calls: int, words: str
) -> None:
    granted = await testing.issue_grant(runtime, data, ["code"], quota=quota)
    for _ in range(calls):
        assert (await page(client, data, granted)).status_code == 200
    detail, wait = refusal(await page(client, data, granted))
    assert words in detail
    assert (wait is None) == next(iter(quota)).endswith("life")


async def test_days_and_months_open_again_and_a_life_does_not(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, clock: FixedClock
) -> None:
    quota = {"rows_day": 10, "rows_month": 20, "rows_life": 40}
    granted = await testing.issue_grant(runtime, data, ["code"], quota=quota)
    for days in (1, 8):  # the second leads into December
        assert (await page(client, data, granted)).status_code == 200
        refusal(await page(client, data, granted))
        clock.advance(days=days)
    for _ in range(2):
        assert (await page(client, data, granted)).status_code == 200
        clock.advance(days=31)
    detail, _ = refusal(await page(client, data, granted))
    assert "授权期内" in detail


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet", "arrow", "xlsx"])
async def test_a_stream_never_goes_beyond_its_bytes(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool, form: str
) -> None:
    granted = await testing.issue_grant(runtime, data, ["code"], quota={"bytes_day": 70_000})
    sent = 0
    for _ in range(12):
        answer = await client.get(f"/data/v1/{data.resource_id}?format={form}", headers=granted.headers)
        if answer.status_code == 429:
            break
        assert answer.status_code == 200, answer.text
        sent += len(answer.content)
    refusal(answer)
    assert 0 < sent <= 70_000
    row = await pool.fetchrow(
        "SELECT bytes, open_bytes FROM billing.usage_counter WHERE grant_id = $1 AND span = 'day'", granted.id
    )
    assert tuple(row) == (sent, 0)


async def test_the_grant_s_page_shows_every_bound(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    from authz import beijing_date
    from billing import usage
    from billing.usage import Quota

    quota = {"rows_month": 100, "keys_life": 5, "bytes_day": 10_000}
    granted = await testing.issue_grant(runtime, data, ["code"], quota=quota)
    await page(client, data, granted)
    left = await usage.quota_left(pool, granted.id, Quota.of(quota), beijing_date(runtime.clock.now()))
    assert {one.name: one.left for one in left.bounds if one.meter != "bytes"} == {"rows_month": 90, "keys_life": 5}
    assert {one.name: one.resets_on for one in left.bounds}["keys_life"] is None
