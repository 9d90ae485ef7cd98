"""Restricted data: what a grant gives, and nothing else; every refusal says what to do."""

from __future__ import annotations

import asyncio
import csv
import io
import random
from datetime import date
from decimal import Decimal

import asyncpg
import httpx
import orjson
import pytest

from authz import DataObject, FixedClock, Runtime, new_id
from billing import usage
from ops import testing
from ops.testing import Granted

FIELDS = [
    {"name": "name", "title": "企业名称", "type": "text", "mask": "partial:name"},
    {"name": "uscc", "title": "统一社会信用代码", "type": "text"},
    {"name": "region_code", "title": "区划代码", "type": "text"},
    {"name": "capital", "title": "注册资本", "type": "numeric", "mask": "generalise_number:100"},
    {"name": "founded_on", "title": "成立日期", "type": "date"},
    {"name": "listed", "title": "是否上市", "type": "boolean"},
    {"name": "staff", "title": "人数", "type": "integer"},
    {"name": "phone", "title": "电话", "type": "text", "mask": "partial:phone"},
]
SQL = {
    "name": "text", "uscc": "text", "region_code": "text", "capital": "numeric", "founded_on": "date",
    "listed": "boolean", "staff": "bigint", "phone": "text",
}
ODD = ['带"引号"', "两行\n文字", "a,b", "=1+1", "反斜杠\\n", "制表\t符", "", "\\.", "😀 emoji", "\u2028"]
MONTH = (date(2026, 11, 1), date(2026, 12, 1))


def made_rows(count: int = 400) -> list[tuple[object, ...]]:
    seeded = random.Random(7)
    rows: list[tuple[object, ...]] = []
    for number in range(count):
        odd = number % 10 == 0
        rows.append((
            seeded.choice(ODD) if odd else f"华恒{number}科技有限公司", f"91{number:016d}",
            seeded.choice(["320501", "320502", "110101"]), None if number % 17 == 0 else Decimal(number * 37) / 8,
            date(2000 + number % 20, 1 + number % 12, 1 + number % 28), number % 3 == 0, number,
            f"12{number:09d}",
        ))
    return rows


ROWS = made_rows()


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    made = testing.data_object(new_id("res"), FIELDS)
    return await testing.load_restricted(runtime, made, SQL, ROWS)


@pytest.fixture
async def granted(runtime: Runtime, data: DataObject) -> Granted:
    return await testing.issue_grant(
        runtime, data, ["name", "capital", "region_code"],
        row_filter=[{"field": "region_code", "op": "prefix", "value": "3205"}],
    )


def masked_name(name: str) -> str:
    return name[0] + "**" if len(name) > 1 else "**"


def expected(region: str = "3205") -> list[tuple[str | None, int | None, str]]:
    """What the grant above lets through, computed without SQL."""
    out = []
    for name, _, code, capital, *_ in ROWS:
        if str(code).startswith(region):
            step = None if capital is None else int(Decimal(str(capital)) // 100 * 100)
            out.append((masked_name(str(name)), step, str(code)))
    return out


async def test_csv_is_masked_and_filtered_as_an_independent_computation_says(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    answer = await client.get(f"/data/v1/{data.resource_id}", headers=granted.headers)
    assert answer.status_code == 200, answer.text
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["name", "region_code", "capital"]
    got = sorted(str((name, int(capital) if capital else None, code)) for name, code, capital in rows)
    assert got == sorted(str(row) for row in expected())
    (event,) = await usage.events(pool, [granted.id])
    assert (event.rows, event.bytes, event.calls) == (len(expected()), len(answer.content), 1)
    assert event.id == answer.headers["x-govopen-usage-id"]
    assert answer.headers["x-govopen-watermark"] == testing.PARTY


async def test_jsonl_and_json_hold_the_same_rows(
    client: httpx.AsyncClient, data: DataObject, granted: Granted
) -> None:
    address = f"/data/v1/{data.resource_id}"
    lines = (await client.get(address, params={"format": "jsonl"}, headers=granted.headers)).content
    items = [orjson.loads(line) for line in lines.splitlines() if line]
    whole = (await client.get(address, params={"format": "json"}, headers=granted.headers)).json()
    assert whole["items"] == items
    assert [one["name"] for one in whole["fields"]] == ["name", "region_code", "capital"]
    got = sorted(str((one["name"], one["capital"], one["region_code"])) for one in items)
    assert got == sorted(str(row) for row in expected())


async def test_pages_hold_every_row_once_and_are_metered(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    address, cursor, items, pages = f"/data/v1/{data.resource_id}/rows", None, [], 0
    while True:
        params = {"limit": "70", **({"cursor": cursor} if cursor else {})}
        answer = await client.get(address, params=params, headers=granted.headers)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor, pages = answer.json()["next"], pages + 1
        if cursor is None:
            break
    assert [str((one["name"], one["capital"], one["region_code"])) for one in items] == [
        str(row) for row in expected()
    ]
    totals = await usage.totals(pool, granted.id, *MONTH)
    assert (totals.rows, totals.calls) == (len(items), pages)


@pytest.mark.parametrize("cursor", ["x", "AAAA", "a" * 300, "é", "eyJ", ""])
async def test_a_cursor_that_was_not_given_out_is_refused(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, cursor: str
) -> None:
    answer = await client.get(
        f"/data/v1/{data.resource_id}/rows", params={"cursor": cursor}, headers=granted.headers
    )
    assert answer.status_code == (400 if cursor else 200)


async def test_a_cursor_belongs_to_its_query_and_grant(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted
) -> None:
    address = f"/data/v1/{data.resource_id}/rows"
    first = (await client.get(address, params={"limit": "5"}, headers=granted.headers)).json()["next"]
    other = await testing.issue_grant(runtime, data, ["name"])
    for params, headers in (
        ({"cursor": first, "columns": "name"}, granted.headers),
        ({"cursor": first, "filter[name]": "x"}, granted.headers),
        ({"cursor": first}, other.headers),
    ):
        answer = await client.get(address, params=params, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


async def test_without_a_key_the_answer_is_where_to_apply(client: httpx.AsyncClient, data: DataObject) -> None:
    answer = await client.get(f"/data/v1/{data.resource_id}", headers={"Accept-Language": "en"})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_required")
    assert f"/apply/{data.resource_id}" in answer.json()["next"]
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("key", ["gok_", "gok_x", "gok_" + "0" * 12 + "_" + "0" * 32, "gok_'; DROP TABLE x"])
async def test_an_unknown_key_is_401(client: httpx.AsyncClient, data: DataObject, key: str) -> None:
    answer = await client.get(f"/data/v1/{data.resource_id}", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_invalid")


async def test_a_key_in_the_address_is_refused_even_when_it_is_right(
    client: httpx.AsyncClient, data: DataObject, granted: Granted
) -> None:
    for name in ("key", "access_token", "columns"):
        answer = await client.get(f"/data/v1/{data.resource_id}", params={name: granted.key})
        assert (answer.status_code, answer.json()["code"]) == (400, "key_in_address")


async def refusal(client: httpx.AsyncClient, data: DataObject, granted: Granted, **params: str) -> dict[str, object]:
    answer = await client.get(f"/data/v1/{data.resource_id}", params=params, headers=granted.headers)
    assert answer.status_code in (400, 403, 422, 429), answer.text
    document: dict[str, object] = answer.json()
    document["reason_codes"] = [one["code"] for one in document.get("reasons", [])]  # type: ignore[attr-defined]
    return document


async def test_a_field_outside_the_grant(client: httpx.AsyncClient, data: DataObject, granted: Granted) -> None:
    found = await refusal(client, data, granted, columns="name,uscc")
    assert found["reason_codes"] == ["fields_not_granted"]
    assert "/apply/" in str(found["next"])
    filtered = await refusal(client, data, granted, **{"filter[uscc]": "91"})
    assert filtered["code"] == "column_not_allowed"


async def test_a_purpose_outside_the_grant(client: httpx.AsyncClient, data: DataObject, granted: Granted) -> None:
    assert (await refusal(client, data, granted, purpose="advertising"))["reason_codes"] == ["purpose_not_granted"]
    header = {**granted.headers, "X-Govopen-Purpose": "advertising"}
    answer = await client.get(f"/data/v1/{data.resource_id}", headers=header)
    assert answer.json()["reasons"][0]["code"] == "purpose_not_granted"
    right = {**granted.headers, "X-Govopen-Purpose": testing.PURPOSE}
    assert (await client.get(f"/data/v1/{data.resource_id}", headers=right)).status_code == 200


@pytest.mark.parametrize(("state", "reason"), [
    ("revoked", "grant_revoked"), ("suspended", "grant_suspended"), ("expired", "grant_expired"),
])
async def test_a_grant_that_does_not_stand(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted, state: str, reason: str
) -> None:
    await testing.set_grant_state(runtime, granted.id, state)
    assert (await refusal(client, data, granted))["reason_codes"][0] == reason  # type: ignore[index]


async def test_a_grant_whose_term_is_over(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, clock: FixedClock
) -> None:
    clock.advance(days=366)
    assert (await refusal(client, data, granted))["reason_codes"][0] == "grant_expired"  # type: ignore[index]


async def test_what_is_unknown_is_named_with_what_exists(
    client: httpx.AsyncClient, data: DataObject, granted: Granted
) -> None:
    found = await refusal(
        client, data, granted, format="xls", color="red", limit="0", columns="a,", **{"filter[name][like]": "x"}
    )
    errors = {one["field"]: one["code"] for one in found["errors"]}  # type: ignore[attr-defined]
    assert errors == {
        "format": "unknown_value", "color": "unknown_parameter", "limit": "out_of_range", "columns": "empty_name",
        "filter[name][like]": "unknown_operator",
    }
    unknown = await refusal(client, data, granted, columns="name,nope", **{"filter[nix]": "1"})
    assert [one["field"] for one in unknown["errors"]] == ["columns.nope", "filter.nix"]  # type: ignore[attr-defined]
    assert "region_code" in unknown["errors"][0]["detail"]  # type: ignore[index]


@pytest.mark.parametrize(("name", "value"), [
    ("filter[capital][gte]", "viel"), ("filter[capital]", "1'; DROP TABLE x--"), ("filter[capital]", "NaN"),
    ("filter[name]", "a\x00b"), ("filter[capital][in]", "1,x"), ("filter[]", "1"), ("filter[name][", "1"),
    ("limit", "1e3"), ("limit", "９"), ("bom", "yes"), ("purpose", "a b"), ("columns", "name,name"),
])
async def test_values_that_do_not_fit_are_422(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, name: str, value: str
) -> None:
    found = await refusal(client, data, granted, **{name: value})
    assert found["errors"], found
    assert value not in str(found["errors"])


async def test_filters_narrow_within_the_grant(
    client: httpx.AsyncClient, data: DataObject, granted: Granted
) -> None:
    params = {
        "format": "jsonl", "filter[region_code][in]": "320501,110101", "filter[capital][gte]": "300",
        "filter[capital][lte]": "900",
    }
    answer = await client.get(f"/data/v1/{data.resource_id}", params=params, headers=granted.headers)
    got = sorted(str(tuple(orjson.loads(line).values())) for line in answer.content.splitlines())
    assert got == sorted(
        str((name, code, capital)) for name, capital, code in expected()
        if code == "320501" and capital is not None and 300 <= capital <= 900
    )


async def test_a_filter_sees_no_more_than_the_mask_shows(
    client: httpx.AsyncClient, data: DataObject, granted: Granted
) -> None:
    """The name is masked: asking for the whole name finds nothing, so it cannot be guessed."""
    answer = await client.get(
        f"/data/v1/{data.resource_id}/rows", params={"filter[name]": str(ROWS[1][0])}, headers=granted.headers
    )
    assert answer.json()["items"] == []


async def test_rows_quota_is_never_overrun_and_the_refusal_says_what_is_left(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    granted = await testing.issue_grant(runtime, data, ["uscc"], quota={"rows_month": 500})

    async def call(number: int) -> int:
        if number % 2:
            answer = await client.get(
                f"/data/v1/{data.resource_id}/rows", params={"limit": "30"}, headers=granted.headers
            )
            return len(answer.json()["items"]) if answer.status_code == 200 else 0
        answer = await client.get(
            f"/data/v1/{data.resource_id}", params={"limit": "30", "format": "jsonl"}, headers=granted.headers
        )
        return answer.content.count(b"\n") if answer.status_code == 200 else 0

    served = sum(await asyncio.gather(*(call(number) for number in range(60))))
    totals = await usage.totals(pool, granted.id, *MONTH)
    assert served == totals.rows == 480
    found = await refusal(client, data, granted)
    assert found["code"] == "quota_exhausted"
    assert "20" in str(found["detail"])
    assert str(len(ROWS)) not in f"{found['detail']}{found['next']}{found['reasons']}"
    assert "2026-12-01" in str(found["next"])
    last = await client.get(f"/data/v1/{data.resource_id}", params={"limit": "20"}, headers=granted.headers)
    assert last.status_code == 200
    empty = await client.get(f"/data/v1/{data.resource_id}/rows", headers=granted.headers)
    assert (empty.status_code, empty.json()["code"]) == (429, "quota_exhausted")
    assert int(empty.headers["retry-after"]) > 0


async def test_rows_per_call_and_calls_per_minute(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject
) -> None:
    granted = await testing.issue_grant(
        runtime, data, ["uscc"], quota={"rows_call": 50, "calls_minute": 3, "rows_month": 10_000}
    )
    found = await refusal(client, data, granted)
    assert found["code"] == "rows_call_exceeded"
    assert str(len(ROWS)) not in f"{found['detail']}{found['next']}"
    ok = await client.get(f"/data/v1/{data.resource_id}", params={"limit": "50"}, headers=granted.headers)
    assert ok.status_code == 200
    await client.get(f"/data/v1/{data.resource_id}", params={"limit": "1"}, headers=granted.headers)
    assert (await refusal(client, data, granted, limit="1"))["code"] == "rate_limited"


async def test_head_decides_and_is_not_metered(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    answer = await client.head(f"/data/v1/{data.resource_id}", headers=granted.headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert "filename*=UTF-8''%E4%BC%81" in answer.headers["content-disposition"]
    assert (await client.head(f"/data/v1/{data.resource_id}")).status_code == 401
    assert await usage.events(pool, [granted.id]) == []


async def test_head_of_a_used_up_quota_is_refused_as_its_get_is(
    client: httpx.AsyncClient, data: DataObject, runtime: Runtime
) -> None:
    granted = await testing.issue_grant(runtime, data, ["uscc"], quota={"rows_month": 5})
    address = f"/data/v1/{data.resource_id}"
    assert (await client.get(address, params={"limit": "5"}, headers=granted.headers)).status_code == 200
    got, head = await client.get(address, headers=granted.headers), await client.head(address, headers=granted.headers)
    assert (got.status_code, got.json()["code"]) == (429, "quota_exhausted")
    assert (head.status_code, head.headers["retry-after"]) == (429, got.headers["retry-after"])
    assert (await client.get(f"{address}/files", headers=granted.headers)).status_code == 200


async def test_schema_tells_the_masks_and_never_where_the_rows_are(
    client: httpx.AsyncClient, data: DataObject, granted: Granted
) -> None:
    public = await client.get(f"/data/v1/{data.resource_id}/schema")
    assert (public.status_code, public.json()["access"]) == (200, "deny")
    assert [one["available"] for one in public.json()["fields"]] == [False] * 8
    mine = await client.get(f"/data/v1/{data.resource_id}/schema", headers=granted.headers)
    shown = {one["name"]: (one["available"], one["mask"]) for one in mine.json()["fields"]}
    assert (shown["name"], shown["uscc"]) == ((True, "partial:name"), (False, None))
    assert data.location is not None
    assert data.location["table"] not in public.text + mine.text


async def test_closed_data_core_data_and_data_taken_back_stay_shut(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted
) -> None:
    from dataclasses import replace

    from authz import Grade, OpenAttribute, objects

    await testing.publish(runtime, replace(data, open_attribute=OpenAttribute.CLOSED))
    assert (await refusal(client, data, granted))["reason_codes"][0] == "object_closed"  # type: ignore[index]
    await testing.publish(runtime, replace(data, grade=Grade.CORE))
    assert (await refusal(client, data, granted))["reason_codes"][0] == "grade_core"  # type: ignore[index]
    async with runtime.transaction() as tx:
        await objects.delete(tx, runtime.audit, testing.call_by(testing.PUBLISHER, runtime), data.resource_id)
    answer = await client.get(f"/data/v1/{data.resource_id}", headers=granted.headers)
    assert (answer.status_code, answer.json()["code"]) == (410, "data_withdrawn")
    assert (await client.get("/data/v1/never-was")).status_code == 404


async def test_a_key_of_another_grant_opens_nothing(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject
) -> None:
    other = await testing.load_restricted(runtime, testing.data_object(new_id("res"), FIELDS), SQL, ROWS[:3])
    granted = await testing.issue_grant(runtime, other, ["uscc"])
    assert (await refusal(client, data, granted))["reason_codes"] == ["grant_other_object"]


async def test_every_delivery_is_in_the_evidence(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    answer = await client.get(f"/data/v1/{data.resource_id}/rows", headers=granted.headers)
    leaf = await pool.fetchval(
        "SELECT leaf FROM audit.entry WHERE action = 'data.delivered' AND object_id = $1", granted.id
    )
    body = orjson.loads(leaf)
    (delivery,) = body["details"]["deliveries"]
    assert delivery["usage_id"] == answer.headers["x-govopen-usage-id"]
    assert delivery["rows"] == len(answer.json()["items"])


async def test_permits_and_denials_are_in_the_decision_log(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    await client.get(f"/data/v1/{data.resource_id}/rows", headers=granted.headers)
    await client.get(f"/data/v1/{data.resource_id}")
    await asyncio.sleep(0.6)
    rows = await pool.fetch(
        "SELECT effect, reasons, grant_id FROM authz.decision_log WHERE resource_id = $1 ORDER BY id",
        data.resource_id,
    )
    assert [tuple(row) for row in rows] == [("permit", [], granted.id), ("deny", ["grant_required"], None)]
