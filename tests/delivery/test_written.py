"""Finished JSON that a table keeps: the same page byte for byte, under no other mask, never a column of the data."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import pytest

from authz import DataField, DataObject, Grade, Obligations, Runtime, new_id
from authz.model import Mask
from authz.obligations import compile_select, written_texts
from authz.obligations.values import SQL_TYPES
from authz.obligations.written import PREFIX, WRITTEN, written_text
from ops import testing
from ops.delivery.holders import page_sql, server_of
from ops.delivery.loading.made import texts_worth_keeping

FIELDS = [
    {"name": 'te"x\\t', "title": "文", "type": "text"},
    {"name": "姓名", "title": "姓名", "type": "text", "mask": "partial:name"},
    {"name": "phone", "title": "电话", "type": "text", "mask": "partial:phone"},
    {"name": "region", "title": "区划", "type": "integer", "mask": "generalise_region:4"},
    {"name": "n", "title": "数", "type": "integer"},
    {"name": "money", "title": "金额", "type": "numeric", "mask": "generalise_number:100"},
    {"name": "amount", "title": "量", "type": "numeric"},
    {"name": "born", "title": "出生", "type": "date", "mask": "generalise_date:month"},
    {"name": "day", "title": "日", "type": "date"},
    {"name": "at", "title": "时", "type": "timestamp"},
    {"name": "ok", "title": "是否", "type": "boolean"},
    {"name": "id", "title": "编号", "type": "text", "mask": "hash"},
]
COLUMNS = {str(one["name"]): SQL_TYPES[str(one["type"])] for one in FIELDS}
NAMES = list(COLUMNS)
HOSTILE = '"\\/\b\f\n\r\t\x01\x1f\x7f\u2028\u00a0ü语😀},{"a":1}\n,{'


def moment(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001 - a time without zone, as the column has it


ROWS: list[tuple[Any, ...]] = [
    (HOSTILE, HOSTILE, HOSTILE, 320505, 7, Decimal("1234.50"), Decimal("1.50"), date(2026, 2, 28), date(2026, 2, 28),
     moment(2026, 2, 28, 1, 2, 3, 450000), True, HOSTILE),
    ("", "", "", -1, -9007199254740993, Decimal("-0.01"), Decimal("-0"), date(1, 1, 1), date(1, 1, 1),
     moment(1, 1, 1), False, ""),
    (None,) * 12,
    ("null", "x", "13800000000", 0, 2**63 - 1, Decimal("NaN"), Decimal("NaN"), date(9999, 12, 31), date(9999, 12, 31),
     moment(9999, 12, 31, 23, 59, 59, 999999), True, "x"),
    ("}", "😀😀", "1380000000", 99, -(2**63), Decimal("Infinity"), Decimal("-Infinity"), date.max, date(987, 6, 5),
     moment(2026, 1, 2, 3, 4, 5), None, "😀"),
    (" ", "é", "😀" * 11, 32, 0, Decimal("1e20"), Decimal("1e-20"), date(1987, 12, 3), date(2024, 2, 29),
     moment(2026, 1, 2, 3, 4, 5, 1), False, "\t"),
]


def object_of(fields: list[dict[str, Any]]) -> DataObject:
    return testing.data_object(new_id("res"), fields)


async def items(tx: asyncpg.Connection, data: DataObject, obligations: Obligations, kept: frozenset[str]) -> bytes:
    compiled = compile_select(obligations, data, limit=101, salt="s" * 32, key="_row", with_key=True, kept=kept)
    row = await tx.fetchrow(page_sql(compiled, 100, server_of(tx)), *compiled.params)
    assert row is not None
    return bytes(row["items"])


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    """An object whose rows hold all that is hard to write."""
    loaded = await testing.load_restricted(runtime, object_of(FIELDS), COLUMNS, ROWS)
    table = (loaded.location or {})["table"]
    await runtime.pool.execute(  # years that Python does not have
        f"INSERT INTO restricted.\"{table}\" (day, at, born) VALUES ('0044-03-15 BC', '0044-03-15 01:02:03 BC', NULL),"
        " ('infinity', '-infinity', NULL), ('10000-01-01', '123456-07-08 09:10:11.5', NULL)"
    )
    return loaded


async def kept_in(tx: asyncpg.Connection, data: DataObject) -> frozenset[str]:
    rows = await tx.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attgenerated = 's'",
        f"restricted.{(data.location or {})['table']}",
    )
    return frozenset(row["attname"] for row in rows)


DECLARED = {one["name"]: Mask.parse(str(one["mask"])) for one in FIELDS if one.get("mask")}


@pytest.mark.parametrize(
    "columns",
    [NAMES, NAMES[::-1], ["n", 'te"x\\t'], ["id", "day", "born", "at"], *([name] for name in NAMES)],
    ids=lambda columns: "-".join(columns)[:40],
)
async def test_a_page_of_kept_texts_is_the_page_of_expressions(
    runtime: Runtime, data: DataObject, columns: list[str]
) -> None:
    obligations = Obligations(columns=tuple(columns), masks=DECLARED)
    async with runtime.transaction() as tx:
        kept = await kept_in(tx, data)
        assert await items(tx, data, obligations, kept) == await items(tx, data, obligations, frozenset())


async def test_a_kept_text_is_used_for_its_own_mask_only(runtime: Runtime, data: DataObject) -> None:
    masks = [None, *map(Mask.parse, ("partial:name", "partial:middle", "partial:phone", "null", "hash"))]
    async with runtime.transaction() as tx:
        kept = await kept_in(tx, data)
        used = {}
        for mask in masks:
            obligations = Obligations(columns=("姓名",), masks={"姓名": mask} if mask else {})
            compiled = compile_select(obligations, data, salt="s" * 32, key="_row", with_key=True, kept=kept)
            used[str(mask)] = compiled.types["姓名"] == WRITTEN
            assert await items(tx, data, obligations, kept) == await items(tx, data, obligations, frozenset())
    assert used == {str(one): str(one) == "partial:name" for one in masks}


async def test_all_that_can_be_kept_is_and_no_hash(runtime: Runtime, data: DataObject) -> None:
    async with runtime.transaction() as tx:
        kept = await kept_in(tx, data)
    missing = {
        one.name for place, one in enumerate(data.fields)
        if getattr(written_text(one.name, one.type, one.mask, "," if place else ""), "name", None) not in kept
    }
    assert missing == {"born", "id"}


async def test_a_changed_row_changes_its_text(runtime: Runtime, data: DataObject) -> None:
    table = (data.location or {})["table"]
    obligations = Obligations(columns=tuple(NAMES), masks=DECLARED)
    async with runtime.transaction() as tx:
        kept = await kept_in(tx, data)
        await tx.execute(f'UPDATE restricted."{table}" SET "姓名" = \'王小二\', n = 42, day = \'2020-02-02\'')
        page = await items(tx, data, obligations, kept)
        assert page == await items(tx, data, obligations, frozenset())
        assert page.count('"姓名":"王**"'.encode()) == len(ROWS) + 3


async def test_a_column_that_is_not_generated_is_no_kept_text(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    """A forged text would show what nobody masked."""
    text = written_texts(object_of([FIELDS[1]]).fields)[0]
    data = await testing.load_restricted(
        runtime, object_of([FIELDS[1]]), {"姓名": "text", text.name: "text"}, [("王小二", '"姓名":"王小二"')],
        written=False,
    )
    granted = await testing.issue_grant(runtime, data, ["姓名"])
    answer = await client.get(f"/data/v1/{data.resource_id}/rows", headers=granted.headers)
    assert answer.json()["items"] == [{"姓名": "王**"}]


async def test_a_mask_that_is_declared_after_loading_holds(client: httpx.AsyncClient, runtime: Runtime) -> None:
    plain = {**FIELDS[1], "mask": None}
    data = await testing.load_restricted(runtime, object_of([plain]), {"姓名": "text"}, [("王小二",)])
    granted = await testing.issue_grant(runtime, data, ["姓名"])
    address = f"/data/v1/{data.resource_id}/rows"
    before = await client.get(address, headers=granted.headers)
    await testing.publish(runtime, testing.data_object(data.resource_id, [FIELDS[1]]))
    after = await client.get(address, headers=granted.headers)
    assert (before.json()["items"], after.json()["items"]) == ([{"姓名": "王小二"}], [{"姓名": "王**"}])


async def test_kept_texts_are_no_columns_of_the_data(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject
) -> None:
    granted = await testing.issue_grant(runtime, data, NAMES)
    address = f"/data/v1/{data.resource_id}"
    schema = (await client.get(f"{address}/schema", headers=granted.headers)).json()
    csv = await client.get(address, params={"format": "csv"}, headers=granted.headers)
    jsonl = await client.get(address, params={"format": "jsonl"}, headers=granted.headers)
    assert [one["name"] for one in schema["fields"]] == NAMES
    assert PREFIX not in str(schema) + csv.text + jsonl.text


async def test_a_kept_text_can_be_neither_asked_for_nor_filtered_by(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject
) -> None:
    granted = await testing.issue_grant(runtime, data, NAMES)
    async with runtime.transaction() as tx:
        name = sorted(await kept_in(tx, data))[0]
    for question in ({"columns": name}, {f"filter[{name}]": "x"}):
        answer = await client.get(f"/data/v1/{data.resource_id}/rows", params=question, headers=granted.headers)
        assert answer.status_code == 422, answer.text


async def test_a_loaded_file_is_kept_as_json_and_paged_alike(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    fields = [{"name": "name", "title": "名", "type": "text", "mask": "partial:name"},
              {"name": "day", "title": "日", "type": "date"}]
    rows = [("王小二", "2026-11-21"), ("", ""), ('"', "0001-01-01")]
    data = await testing.load_file(runtime, object_of(fields), rows)
    async with runtime.transaction() as tx:
        assert len(await kept_in(tx, data)) == 2
    granted = await testing.issue_grant(runtime, data, ["name", "day"])
    answer = await client.get(f"/data/v1/{data.resource_id}/rows", headers=granted.headers)
    assert answer.json()["items"] == [
        {"name": "王**", "day": "2026-11-21"}, {"name": None, "day": None}, {"name": "**", "day": "0001-01-01"},
    ]


async def test_a_file_whose_mask_does_not_fit_its_field_is_loaded_and_not_shown(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    fields = [{"name": "name", "title": "名", "type": "text", "mask": "generalise_number:10"}]
    data = await testing.load_file(runtime, object_of(fields), [("王小二",)])
    granted = await testing.issue_grant(runtime, data, ["name"])
    answer = await client.get(f"/data/v1/{data.resource_id}/rows", headers=granted.headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "obligation_unfulfillable")


def test_long_rows_are_kept_once() -> None:
    fields = [DataField(f"f{number}", "", "text", Grade.GENERAL_1) for number in range(10)]
    assert len(texts_worth_keeping(fields, 200, 18)) == 10
    assert texts_worth_keeping(fields, 900, 18) == []


def test_an_older_server_keeps_none() -> None:
    assert texts_worth_keeping(object_of(FIELDS).fields, 10, 16) == []
