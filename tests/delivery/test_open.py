"""Open data out of CKAN's DataStore: for everyone, whole or filtered, exactly as it is in the table."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import replace
from datetime import datetime

import asyncpg
import httpx
import orjson
import pytest

from authz import DataObject, Runtime, new_id
from ops import testing
from ops.delivery.downloads import stem_of

FIELDS = [
    {"name": "code", "title": "代码", "type": "text"},
    {"name": "名称", "title": "名称", "type": "text"},
    {"name": "n", "title": "数", "type": "numeric"},
    {"name": "at", "title": "时间", "type": "timestamp"},
]
SQL = {"code": "text", "名称": "text", "n": "numeric", "at": "timestamp"}
AT = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001
ROWS = [
    ("001", "朝阳街道", 1, AT), ("002", 'a "quoted"\nname', 2.5, None), ("003", "=HYPERLINK(1)", None, AT),
    ("010", "-5", 7, AT), ("011", "+1+1", 7, AT), ("012", "", 7, AT), ("013", None, 7, AT),
]


@pytest.fixture
async def data(runtime: Runtime, pool: asyncpg.Pool) -> DataObject:
    resource_id = new_id("res")
    await testing.fill_table(pool, "public", resource_id, SQL, ROWS)
    made = testing.data_object(
        resource_id, FIELDS, open_attribute="unconditional", grade="general-1", title='村/街道:"代码" 2026',
    )
    return await testing.publish(runtime, made)


async def test_everyone_gets_every_row_without_an_account(
    client: httpx.AsyncClient, data: DataObject, pool: asyncpg.Pool
) -> None:
    answer = await client.get(f"/data/v1/{data.resource_id}")
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["code", "名称", "n", "at"]
    assert [row[:3] for row in rows] == [[str(c or "") for c in row[:3]] for row in ROWS]
    assert ',""' in answer.text.splitlines()[7], "an empty text is told apart from no value"
    await asyncio.sleep(0.7)
    sums = await pool.fetchrow("SELECT * FROM billing.usage_open_day WHERE resource_id = $1", data.resource_id)
    assert (sums["downloads"], sums["rows"], sums["bytes"]) == (1, 7, len(answer.content))


async def test_the_file_name_is_chinese_and_cannot_break_the_header(
    client: httpx.AsyncClient, data: DataObject
) -> None:
    header = (await client.get(f"/data/v1/{data.resource_id}")).headers["content-disposition"]
    assert header.isascii()
    assert header.endswith("filename*=UTF-8''%E6%9D%91_%E8%A1%97%E9%81%93_%E4%BB%A3%E7%A0%81_%202026.csv")


@pytest.mark.parametrize(("title", "name"), [
    ("账单\u202etxt.exe", "账单_txt.exe"), ("a\r\nSet-Cookie: x", "a_Set-Cookie_ x"), ("\u2066..\u2069", "data"),
    ("长" * 200, "长" * 66),
])
def test_no_title_makes_a_name_that_deceives_or_cannot_be_saved(title: str, name: str) -> None:
    assert stem_of(title) == name


async def test_for_spreadsheets_formulas_are_text_and_numbers_stay(
    client: httpx.AsyncClient, data: DataObject
) -> None:
    answer = await client.get(f"/data/v1/{data.resource_id}", params={"bom": "1"})
    assert answer.content.startswith(b"\xef\xbb\xbfcode,")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))[1:]
    assert [row[1] for row in rows[2:5]] == ["'=HYPERLINK(1)", "-5", "'+1+1"]
    assert rows[1][1] == 'a "quoted"\nname'


async def test_types_survive_in_json(client: httpx.AsyncClient, data: DataObject) -> None:
    answer = await client.get(f"/data/v1/{data.resource_id}", params={"format": "json", "limit": "3"})
    items = answer.json()["items"]
    assert items[0] == {"code": "001", "名称": "朝阳街道", "n": 1, "at": "2026-01-02T03:04:05"}
    assert (items[1]["n"], items[1]["at"], items[2]["n"]) == (2.5, None, None)


async def test_filters_columns_and_limit(client: httpx.AsyncClient, data: DataObject) -> None:
    params = {"filter[code][prefix]": "01", "filter[n][gte]": "7", "columns": "名称,code", "format": "jsonl"}
    answer = await client.get(f"/data/v1/{data.resource_id}", params=params)
    assert orjson.loads(answer.content.splitlines()[0]) == {"名称": "-5", "code": "010"}
    assert answer.content.count(b"\n") == 4
    none = await client.get(f"/data/v1/{data.resource_id}", params={"filter[code]": "x", "format": "json"})
    assert none.json()["items"] == []


async def test_pages_of_open_data(client: httpx.AsyncClient, data: DataObject) -> None:
    first = (await client.get(f"/data/v1/{data.resource_id}/rows", params={"limit": "4"})).json()
    rest = (
        await client.get(f"/data/v1/{data.resource_id}/rows", params={"limit": "4", "cursor": first["next"]})
    ).json()
    assert [one["code"] for one in first["items"] + rest["items"]] == [row[0] for row in ROWS]
    assert rest["next"] is None


async def test_own_columns_of_the_datastore_are_not_fields(client: httpx.AsyncClient, data: DataObject) -> None:
    answer = await client.get(f"/data/v1/{data.resource_id}", params={"columns": "_id"})
    assert answer.json()["errors"][0]["code"] == "unknown_field"


async def test_an_object_that_describes_no_fields_has_those_of_its_table(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject
) -> None:
    await testing.publish(runtime, replace(data, fields=()))
    answer = await client.get(f"/data/v1/{data.resource_id}", params={"limit": "1"})
    assert answer.text.startswith("code,名称,n,at\n")


async def test_what_is_not_loaded_says_so(client: httpx.AsyncClient, runtime: Runtime) -> None:
    made = testing.data_object(new_id("res"), FIELDS, open_attribute="unconditional", grade="general-1")
    await testing.publish(runtime, made)
    answer = await client.get(f"/data/v1/{made.resource_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "data_not_loaded")


async def test_a_table_that_goes_away_is_no_crash(
    client: httpx.AsyncClient, data: DataObject, pool: asyncpg.Pool
) -> None:
    await client.get(f"/data/v1/{data.resource_id}")
    await pool.execute(f'DROP TABLE "{data.resource_id}"')
    for tail in ("", "/rows"):
        answer = await client.get(f"/data/v1/{data.resource_id}{tail}")
        assert (answer.status_code, answer.json()["code"]) == (404, "data_not_loaded")


async def test_limits_are_told_and_held(client: httpx.AsyncClient, runtime: Runtime, data: DataObject) -> None:
    from ops.delivery import delivery_of
    from ops.delivery.limits import Rate, Rates

    parts = await delivery_of(runtime)
    parts.rates = Rates(public=Rate(new_id("t"), 60, 3))
    answers = [await client.get(f"/data/v1/{data.resource_id}/rows") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert [one.headers["ratelimit-remaining"] for one in answers[:3]] == ["2", "1", "0"]
    assert answers[3].headers["retry-after"] == "1"
    told = {name: answers[3].headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "policy")}
    assert told == {"limit": "3", "remaining": "0", "policy": "60;w=60;burst=3"}
    await runtime.redis.aclose()
    parts.limiter._away_until = float("inf")
    parts.rates = Rates(public=Rate(new_id("t"), 60, 2))
    local = [(await client.get(f"/data/v1/{data.resource_id}/rows")).status_code for _ in range(3)]
    assert local == [200, 200, 429]


async def test_made_up_keys_are_counted_with_their_address(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject
) -> None:
    from ops.delivery import delivery_of
    from ops.delivery.limits import Rate, Rates

    parts = await delivery_of(runtime)
    parts.rates = Rates(public=Rate(new_id("t"), 60, 2))
    answers = [
        await client.get(f"/data/v1/{data.resource_id}/rows", headers={"Authorization": f"Bearer gok_{n}madeup00_x"})
        for n in range(3)
    ]
    assert answers[-1].status_code == 429
