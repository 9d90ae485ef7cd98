"""Loading restricted tables: by content, typed, all or nothing; faults name row and column, never a value."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from authz import DataObject, Grade, OpenAttribute, Runtime, new_id
from ops import testing
from ops.delivery.loading.service import drop_retired

FIELDS = [
    {"name": "name", "title": "名称", "type": "text"}, {"name": "n", "title": "数", "type": "integer"},
    {"name": "价格", "title": "价格", "type": "numeric"}, {"name": "day", "title": "日", "type": "date"},
    {"name": "at", "title": "时间", "type": "timestamp"}, {"name": "ok", "title": "是否", "type": "boolean"},
]
HEADER = "name,n,价格,day,at,ok\n"
GOOD = (
    HEADER + '"王,""小""\n二",7,1.50,2026-11-21,2026-11-21T09:30:00,是\n,,,,,\n'
    "=1+1,-3,1e3,2024-02-29,2026-11-21 01:30:00Z,0\n"
)

TokenFor = Callable[..., dict[str, str]]


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    return await testing.publish(runtime, testing.data_object(new_id("res"), FIELDS))


@pytest.fixture
def publisher(token_for: TokenFor) -> dict[str, str]:
    return token_for("zhang", orgs=[(testing.ORGANISATION, "editor")])


async def put(
    client: httpx.AsyncClient, data: DataObject, body: Any, headers: dict[str, str], **more: Any
) -> httpx.Response:
    return await client.put(f"/v1/restricted/{data.resource_id}", content=body, headers=headers, **more)


async def delivered(client: httpx.AsyncClient, runtime: Runtime, data: DataObject) -> list[dict[str, Any]]:
    granted = await testing.issue_grant(runtime, data, [one["name"] for one in FIELDS])
    answer = await client.get(
        f"/data/v1/{data.resource_id}", params={"format": "json"}, headers=granted.headers
    )
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


EXPECTED = [
    {"name": '王,"小"\n二', "n": 7, "价格": 1.5, "day": "2026-11-21", "at": "2026-11-21T09:30:00", "ok": True},
    dict.fromkeys(["name", "n", "价格", "day", "at", "ok"]),
    {"name": "=1+1", "n": -3, "价格": 1000, "day": "2024-02-29", "at": "2026-11-21T09:30:00", "ok": False},
]


async def test_a_csv_is_loaded_typed_and_delivered(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, publisher: dict[str, str], pool: asyncpg.Pool
) -> None:
    answer = await put(client, data, GOOD.encode(), publisher)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["rows"], answer.json()["version"], answer.json()["format"]) == (3, 1, "csv")
    assert "r_" not in answer.text
    assert await delivered(client, runtime, data) == EXPECTED
    status = await client.get(f"/v1/restricted/{data.resource_id}", headers=publisher)
    assert (status.json()["loaded"], status.json()["rows"]) == (True, 3)
    assert await pool.fetchval(
        "SELECT count(*) FROM audit.entry WHERE action = 'restricted_data.loaded' AND object_id = $1",
        data.resource_id,
    ) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
async def test_other_encodings_and_orders_of_columns(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, publisher: dict[str, str], encoding: str
) -> None:
    body = "ok,at,day,价格,n,name\r\nno,2026-01-01T00:00,2026-01-01,.5,1,汉字测试\r\n".encode(encoding)
    assert (await put(client, data, body, publisher)).status_code == 200
    assert (await delivered(client, runtime, data))[0]["name"] == "汉字测试"


async def test_a_form_upload(
    client: httpx.AsyncClient, data: DataObject, publisher: dict[str, str]
) -> None:
    files = {"file": ("登记.xlsx", GOOD.encode(), "application/vnd.ms-excel")}
    answer = await client.put(f"/v1/restricted/{data.resource_id}", files=files, headers=publisher)
    assert (answer.status_code, answer.json()["rows"]) == (200, 3)
    missing = await client.put(f"/v1/restricted/{data.resource_id}", files={"x": b"1"}, headers=publisher)
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (422, "file")


def parquet(columns: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


async def test_parquet_with_its_own_types(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, publisher: dict[str, str]
) -> None:
    body = parquet({
        "name": ['王,"小"\n二', None, "=1+1"], "n": pa.array([7, None, -3], pa.int32()),
        "价格": [Decimal("1.50"), None, Decimal("1000.00")],
        "day": [date(2026, 11, 21), None, date(2024, 2, 29)],
        "at": [datetime(2026, 11, 21, 9, 30), None, datetime(2026, 11, 21, 9, 30)],  # noqa: DTZ001
        "ok": [True, None, False],
    })
    answer = await put(client, data, body, publisher)
    assert (answer.status_code, answer.json().get("format")) == (200, "parquet"), answer.text
    assert await delivered(client, runtime, data) == EXPECTED


async def test_parquet_of_text_and_wrong_types(
    client: httpx.AsyncClient, data: DataObject, publisher: dict[str, str]
) -> None:
    text = parquet({"name": ["a"], "n": ["7"], "价格": ["1.5"], "day": ["2026-01-01"], "at": ["2026-01-01T00:00"],
                    "ok": ["true"]})
    assert (await put(client, data, text, publisher)).status_code == 200
    wrong = parquet({"name": [b"\xff"], "n": [1.5], "价格": [float("nan")], "day": [1], "at": [True], "ok": [2]})
    answer = await put(client, data, wrong, publisher)
    assert answer.status_code == 422
    assert {one["field"] for one in answer.json()["errors"]} == {
        f"rows.1.{name}" for name in ("name", "n", "价格", "day", "at", "ok")
    }


SECRET = "440301199001011234"


@pytest.mark.parametrize(("row", "column"), [
    (f"a,{SECRET}x,1,2026-01-01,2026-01-01T00:00:00,1", "n"),
    (f"a,1,{SECRET}x,2026-01-01,2026-01-01T00:00:00,1", "价格"),
    ("a,1,NaN,2026-01-01,2026-01-01T00:00:00,1", "价格"),
    ("a,1,1,2026-02-30,2026-01-01T00:00:00,1", "day"),
    ("a,1,1,2026/01/01,2026-01-01T00:00:00,1", "day"),
    ("a,1,1,2026-01-01,2026-01-01T25:00:00,1", "at"),
    (f"a,1,1,2026-01-01,2026-01-01T00:00:00,{SECRET}", "ok"),
    ("a,9223372036854775808,1,2026-01-01,2026-01-01T00:00:00,1", "n"),
    ("a,１,1,2026-01-01,2026-01-01T00:00:00,1", "n"),
    ("a,1.0,1,2026-01-01,2026-01-01T00:00:00,1", "n"),
])
async def test_a_wrong_cell_is_named_by_row_and_column_and_not_shown(
    client: httpx.AsyncClient, data: DataObject, publisher: dict[str, str], row: str, column: str
) -> None:
    answer = await put(client, data, (GOOD + row + "\n").encode(), publisher)
    assert (answer.status_code, answer.json()["code"]) == (422, "table_invalid"), answer.text
    assert [one["field"] for one in answer.json()["errors"]] == [f"rows.4.{column}"]
    assert SECRET not in answer.text
    assert (await client.get(f"/v1/restricted/{data.resource_id}", headers=publisher)).json()["loaded"] is False


async def test_only_the_first_twenty_faults_are_listed(
    client: httpx.AsyncClient, data: DataObject, publisher: dict[str, str]
) -> None:
    answer = await put(client, data, (HEADER + "a,x,x,x,x,x\n" * 50).encode(), publisher)
    assert len(answer.json()["errors"]) == 20
    assert "仅列出前 20 处" in answer.json()["detail"]


@pytest.mark.parametrize(("header", "fields"), [
    ("name,n,价格,day,at", {"columns.ok": "missing_column"}),
    ("name,n,价格,day,at,ok,extra", {"columns.extra": "unknown_column"}),
    ("name,n,价格,day,at,ok,n", {"columns.n": "repeated_column"}),
    ("name;n;价格;day;at;ok", {"columns.name": "missing_column", "columns.name;n;价格;day;at;ok": "unknown_column"}),
])
async def test_columns_must_be_those_of_the_catalogue(
    client: httpx.AsyncClient, data: DataObject, publisher: dict[str, str], header: str, fields: dict[str, str]
) -> None:
    answer = await put(client, data, f"{header}\n".encode(), publisher)
    got = {one["field"]: one["code"] for one in answer.json()["errors"]}
    assert fields.items() <= got.items()


@pytest.mark.parametrize("body", [
    b"", b"   \n", b"PK\x03\x04" + b"x" * 50, b"%PDF-1.7", b"\x89PNG\r\n", b"<html><body>", b'{"a": 1}',
    b"PAR1" + b"\0" * 50 + b"PAR1", b"name,n\n\xff\xfe\xff", b"\xd0\xcf\x11\xe0xx", b"a\0b", b"\x1f\x8b\x08",
])
async def test_files_that_are_not_what_they_claim(
    client: httpx.AsyncClient, data: DataObject, publisher: dict[str, str], body: bytes
) -> None:
    answer = await put(client, data, body, {**publisher, "Content-Type": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (415, "not_a_table"), answer.text


@pytest.mark.parametrize(("body", "where"), [
    (HEADER + '"a,1,1,2026-01-01,2026-01-01T00:00:00,1\n', "rows.1"), (HEADER + "a,1\n", "rows.1"),
    (HEADER + "a,1,1,2026-01-01,2026-01-01T00:00:00,1,9\n", "rows.1"),
    (HEADER + 'a"b"c",1,1,2026-01-01,"x"y,1\n', "rows.1"), (HEADER + "x" * 1_100_000 + ",1,1,,,1\n", "rows.1"),
])
async def test_broken_rows(
    client: httpx.AsyncClient, data: DataObject, publisher: dict[str, str], body: str, where: str
) -> None:
    answer = await put(client, data, body.encode(), publisher)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith(where)


async def test_replacing_keeps_the_old_rows_until_the_new_ones_stand(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, publisher: dict[str, str], pool: asyncpg.Pool
) -> None:
    await put(client, data, GOOD.encode(), publisher)
    granted = await testing.issue_grant(runtime, data, ["name"])
    address = f"/data/v1/{data.resource_id}/rows?limit=1"
    cursor = (await client.get(address, headers=granted.headers)).json()["next"]
    assert (await put(client, data, (GOOD + "a,b,c\n").encode(), publisher)).status_code == 422
    assert len((await client.get(f"/data/v1/{data.resource_id}/rows", headers=granted.headers)).json()["items"]) == 3
    same = await put(client, data, GOOD.encode(), publisher)
    assert same.json()["version"] == 1, "the same content is no new version"
    second = await put(client, data, (HEADER + "new,1,1,2026-01-01,2026-01-01T00:00:00,1\n").encode(), publisher)
    assert (second.json()["version"], second.json()["rows"]) == (2, 1)
    assert await delivered(client, runtime, data) == [{
        "name": "new", "n": 1, "价格": 1, "day": "2026-01-01", "at": "2026-01-01T00:00:00", "ok": True,
    }]
    stale = await client.get(f"{address}&cursor={cursor}", headers=granted.headers)
    assert (stale.status_code, stale.json()["code"]) == (409, "cursor_stale")
    assert await drop_retired(runtime, kept_s=0) == 1
    assert await drop_retired(runtime, kept_s=0) == 0
    left = await pool.fetch(
        "SELECT table_name FROM ops.restricted_load WHERE resource_id = $1 AND state <> 'dropped'", data.resource_id
    )
    assert len(left) == 1


async def test_two_loads_at_once_leave_one_current_and_nothing_orphaned(
    client: httpx.AsyncClient, data: DataObject, publisher: dict[str, str], pool: asyncpg.Pool
) -> None:
    bodies = [HEADER + f"row{n},1,1,2026-01-01,2026-01-01T00:00:00,1\n" * (n + 1) for n in range(5)]
    answers = await asyncio.gather(*(put(client, data, body.encode(), publisher) for body in bodies))
    assert {one.status_code for one in answers} == {200}
    rows = await pool.fetch("SELECT version, state FROM ops.restricted_load WHERE resource_id = $1", data.resource_id)
    assert sorted(row["version"] for row in rows) == [1, 2, 3, 4, 5]
    assert [row["version"] for row in rows if row["state"] == "current"] == [5]


async def test_who_may_load(
    client: httpx.AsyncClient, data: DataObject, token_for: TokenFor
) -> None:
    assert (await put(client, data, b"x", {})).status_code == 401
    for headers in (
        token_for("li", orgs=[("org-other", "admin")]), token_for("wu"),
        token_for("he", orgs=[(testing.ORGANISATION, "member")]),
    ):
        answer = await put(client, data, b"x", headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "action_not_permitted")
        assert (await client.get(f"/v1/restricted/{data.resource_id}", headers=headers)).status_code == 403


async def test_what_may_not_be_loaded(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, publisher: dict[str, str]
) -> None:
    for changed, code in (
        (replace(data, grade=Grade.CORE), "grade_core"),
        (replace(data, fields=(replace(data.fields[0], grade=Grade.CORE), *data.fields[1:])), "grade_core"),
        (replace(data, open_attribute=OpenAttribute.UNCONDITIONAL), "not_restricted"),
        (replace(data, fields=()), "fields_missing"),
        (replace(data, fields=(replace(data.fields[0], name="_row"),)), "fields_missing"),
    ):
        await testing.publish(runtime, changed)
        answer = await put(client, data, GOOD.encode(), publisher)
        assert answer.json()["code"] == code
    assert (await client.put("/v1/restricted/none", content=b"x", headers=publisher)).status_code == 404


async def test_a_catalogue_entry_that_changes_while_loading_wins(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, publisher: dict[str, str]
) -> None:
    async def slow() -> Any:
        yield GOOD.encode()
        await testing.publish(runtime, replace(data, title="改名"))

    answer = await put(client, data, slow(), publisher)
    assert (answer.status_code, answer.json()["code"]) == (409, "object_changed")


async def test_what_tells_rows_apart_is_indexed_for_lookups(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, publisher: dict[str, str], pool: asyncpg.Pool
) -> None:
    long = "长" * 5_000
    lines = [f"{long if n == 7 else n}号,{n},1,2026-11-21,2026-11-21T09:30:00,是\n" for n in range(200)]
    answer = await put(client, data, (HEADER + "".join(lines)).encode(), publisher)
    assert answer.status_code == 200, answer.text
    row = await pool.fetchrow(
        "SELECT location->>'table' AS name FROM authz.data_object WHERE resource_id = $1", data.resource_id
    )
    found = await pool.fetch(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'restricted' AND tablename = $1", row["name"]
    )
    definitions = " ".join(one["indexdef"] for one in found)
    assert "hash (name)" in definitions
    assert "btree (n)" in definitions
    assert len(found) == 3, "the row key, and the two fields whose values tell rows apart"
    granted = await testing.issue_grant(runtime, data, ["name", "n"])
    body = {"key": "name", "values": ["9号", "x"], "columns": ["n"]}
    said = await client.post(f"/data/v1/{data.resource_id}/lookup", json=body, headers=granted.headers)
    assert said.json() == {"items": [{"n": 9}], "not_found": ["x"]}
