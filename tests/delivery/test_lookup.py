"""Lookups by key: what is found, what is not, and nothing that a download would not show."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from authz import DataObject, Runtime, new_id
from billing import usage
from ops import testing
from ops.testing import Granted

FIELDS = [
    {"name": "uscc", "title": "统一社会信用代码", "type": "text"},
    {"name": "name", "title": "企业名称", "type": "text", "mask": "partial:name"},
    {"name": "capital", "title": "注册资本", "type": "numeric"},
    {"name": "founded_on", "title": "成立日期", "type": "date"},
    {"name": "staff", "title": "人数", "type": "integer"},
    {"name": "region_code", "title": "区划代码", "type": "text"},
    {"name": "secret", "title": "内部编号", "type": "text", "mask": "null"},
]
SQL = {
    "uscc": "text", "name": "text", "capital": "numeric", "founded_on": "date", "staff": "bigint",
    "region_code": "text", "secret": "text",
}
ROWS = [
    (f"91{number:04d}", f"华恒{number}公司", Decimal(number) / 4, date(2020, 1, 1 + number % 28), number,
     "320501" if number % 2 else "110101", f"s{number}")
    for number in range(200)
]
EVER = (date(2020, 1, 1), date(2040, 1, 1))
COLUMNS = ["uscc", "name", "capital", "founded_on", "staff", "secret"]


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    return await testing.load_restricted(runtime, testing.data_object(new_id("res"), FIELDS), SQL, ROWS)


async def grant(runtime: Runtime, data: DataObject, **quota: int) -> Granted:
    filters = [{"field": "region_code", "op": "prefix", "value": "3205"}]
    return await testing.issue_grant(runtime, data, COLUMNS, row_filter=filters, quota=quota)


async def look_up(
    client: httpx.AsyncClient, data: DataObject, granted: Granted | None, **body: Any
) -> httpx.Response:
    headers = granted.headers if granted else {}
    return await client.post(f"/data/v1/{data.resource_id}/lookup", json=body, headers=headers)


async def test_found_masked_filtered_and_metered(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    granted = await grant(runtime, data)
    values = ["910003", "910001", "910002", "nobody", "910003"]
    answer = await look_up(client, data, granted, key="uscc", values=values, columns=["name", "staff"])
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "items": [{"name": "华**", "staff": 1}, {"name": "华**", "staff": 3}],
        "not_found": ["910002", "nobody"],  # one is outside of the grant's rows: it is as if it were not there
    }
    (event,) = await usage.events(pool, [granted.id])
    assert (event.rows, event.calls, event.bytes, event.data["keys"]) == (2, 1, len(answer.content), 4)
    assert event.id == answer.headers["x-govopen-usage-id"]


@pytest.mark.parametrize(("key", "values", "found", "missing"), [
    ("capital", [0.25, "1.250", 7777], [1, 5], [7777]), ("staff", [1, 3, 5, 2], [1, 3, 5], [2]),
    ("founded_on", ["2020-01-02", "1999-01-01"], [1, 29, 57, 85, 113, 141, 169, 197], ["1999-01-01"]),
])
async def test_values_are_compared_as_the_field_s_type(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, key: str, values: list[Any], found: list[int],
    missing: list[Any],
) -> None:
    answer = await look_up(client, data, await grant(runtime, data), key=key, values=values, columns=["staff"])
    assert answer.status_code == 200, answer.text
    assert [one["staff"] for one in answer.json()["items"]] == found
    assert answer.json()["not_found"] == missing


async def test_a_masked_key_is_compared_as_it_is_shown(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject
) -> None:
    granted = await grant(runtime, data)
    real = await look_up(client, data, granted, key="name", values=[ROWS[1][1]])
    assert (real.json()["items"], real.json()["not_found"]) == ([], [ROWS[1][1]])
    shown = await look_up(client, data, granted, key="name", values=["华**"], columns=["staff"])
    assert len(shown.json()["items"]) == 100
    hidden = await look_up(client, data, granted, key="secret", values=["s1"])
    assert (hidden.status_code, hidden.json()["code"]) == (403, "column_not_allowed")


@pytest.mark.parametrize(("body", "field"), [
    ({"key": "uscc", "values": []}, "values"), ({"key": "uscc", "values": ["x"] * 1001}, "values"),
    ({"key": "nope", "values": ["x"]}, "key"), ({"key": "staff", "values": ["many"]}, "values.0"),
    ({"key": "uscc", "values": ["a"], "columns": ["uscc", "uscc"]}, "columns"),
    ({"key": "uscc", "values": ["a"], "columns": ["nix"]}, "columns.nix"),
    ({"key": "uscc", "values": ["a"], "purpose": "a b"}, "purpose"),
    ({"key": "uscc", "values": ["a"], "color": "red"}, "color"), ({"key": "uscc", "values": [None]}, "values"),
    ({"key": "uscc", "values": ["a\x00"]}, "values"), ({"values": ["a"]}, "key"),
])
async def test_what_does_not_fit_is_named(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, body: dict[str, Any], field: str
) -> None:
    answer = await look_up(client, data, await grant(runtime, data), **body)
    assert answer.status_code == 422, answer.text
    assert any(one["field"].startswith(field) for one in answer.json()["errors"]), answer.text


async def test_what_the_grant_does_not_hold(client: httpx.AsyncClient, runtime: Runtime, data: DataObject) -> None:
    granted = await grant(runtime, data)
    assert (await look_up(client, data, None, key="uscc", values=["1"])).json()["code"] == "key_required"
    outside = await look_up(client, data, granted, key="region_code", values=["320501"], columns=["staff"])
    assert outside.json()["code"] == "column_not_allowed"
    other = await look_up(client, data, granted, key="uscc", values=["1"], purpose="advertising")
    assert other.json()["reasons"][0]["code"] == "purpose_not_granted"
    leaked = await look_up(client, data, granted, key="uscc", values=[granted.key])
    assert leaked.json()["code"] == "key_in_address"


async def test_distinct_keys_are_counted_once_and_bounded_exactly_under_concurrency(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    granted = await grant(runtime, data, keys_month=50, keys_life=60)

    async def ask(first: int) -> int:
        values = [f"91{number:04d}" for number in range(first, first + 10)]
        answer = await look_up(client, data, granted, key="uscc", values=values, columns=["uscc"])
        assert answer.status_code in (200, 429), answer.text
        if answer.status_code == 429:
            assert answer.json()["reasons"][0]["code"] == "quota_exhausted"
        return answer.status_code

    # ten windows of ten keys, each asked for five times at once, by turns: five of the windows fit
    codes = await asyncio.gather(*(ask(10 * (number % 10)) for number in range(50)))
    assert codes.count(200) == 25
    counter = await pool.fetchrow(
        "SELECT keys FROM billing.usage_counter WHERE grant_id = $1 AND span = 'month'", granted.id
    )
    assert counter["keys"] == 50
    assert await pool.fetchval("SELECT count(*) FROM billing.usage_key WHERE grant_id = $1", granted.id) == 100
    again = await asyncio.gather(*(ask(10 * number) for number in range(10)))
    assert again.count(200) == 5, "what was asked for before may be asked for again"
    digests = [row["digest"] for row in await pool.fetch(
        "SELECT digest FROM billing.usage_key WHERE grant_id = $1", granted.id
    )]
    assert not any(b"9100" in one for one in digests), "the values themselves are not kept"


async def test_open_data_can_be_looked_up_without_a_key(
    client: httpx.AsyncClient, runtime: Runtime, pool: asyncpg.Pool
) -> None:
    resource = new_id("res")
    await testing.publish(runtime, testing.data_object(resource, FIELDS[:1], open_attribute="unconditional",
                                                       grade="general-1"))
    await testing.fill_table(pool, "public", resource, {"uscc": "text"}, [("a",), ("b",)])
    answer = await client.post(f"/data/v1/{resource}/lookup", json={"key": "uscc", "values": ["b", "c"]})
    assert answer.json() == {"items": [{"uscc": "b"}], "not_found": ["c"]}
    assert orjson.loads(answer.content)["items"]
