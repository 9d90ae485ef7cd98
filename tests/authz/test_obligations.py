"""Obligations as SQL, against real PostgreSQL: masks never reveal, filters never widen, text never becomes syntax."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz import FilterNotAllowed, InvalidInput, Mask, Obligations, ObligationUnfulfillable, RowFilter, compile_select
from authz.model import DataField, DataObject
from authz.obligations import literal, quoted
from authz.testing import SALT, a_register

EVIL = [
    "'; DROP TABLE t; --", '"; DROP TABLE t; --', "a\\'b", "$1", "%s", "\\", "''", "$$x$$", "E'\\x41'", "：", "\x01",
]
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30) | st.sampled_from(EVIL)

FIELDS = (
    DataField("name", "名称"), DataField("id", "证件号"), DataField("phone", "手机"), DataField("region", "区划"),
    DataField("amount", "金额", type="numeric"), DataField("count", "数量", type="integer"),
    DataField("born", "日期", type="date"), DataField("seen", "时间", type="timestamp"),
    DataField("live", "存续", type="boolean"), DataField('odd "name"; --', "怪名"),
)
TABLE = DataObject(
    **{**a_register().__dict__, "fields": FIELDS,
       "location": {"kind": "restricted", "schema": "restricted", "table": "r_masks"}}
)
at = datetime.fromisoformat
ROWS: list[tuple[Any, ...]] = [
    ("杭州西湖科技有限公司", "330106199003070018", "13812345678", "330106", Decimal("1234.56"), 42,
     date(1990, 3, 7), at("2026-01-02T03:04:05"), True, "x"),
    ("宁波港", "330203198811112222", "13987654321", "330203", Decimal("-7.5"), -3,
     date(1988, 11, 11), at("2025-12-31T23:59:59"), False, "y"),
    ("张三", "110101200001010000", "021", "110101", Decimal("0"), 0, date(2000, 1, 1), at("2026-06-01"), True, "z"),
    ("王", "1", "1", "33", Decimal("99999999999.99"), 7, date(2020, 2, 29), at("2020-02-29"), None, ""),
    (None, None, None, None, None, None, None, None, None, None),
]
ALL = tuple(field.name for field in FIELDS)


@pytest.fixture(scope="module")
async def connection(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    async with pool.acquire() as opened:
        await opened.execute(
            'CREATE SCHEMA IF NOT EXISTS restricted;'
            ' CREATE TABLE restricted.r_masks (_id bigint PRIMARY KEY, name text, id text, phone text, region text,'
            ' amount numeric, count bigint, born date, seen timestamp, live boolean,'
            ' "odd ""name""; --" text)'
        )
        await opened.executemany(
            "INSERT INTO restricted.r_masks VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)",
            [(place, *row) for place, row in enumerate(ROWS, 1)],
        )
        yield opened


def duties(**changes: Any) -> Obligations:
    return replace(Obligations(columns=ALL), **changes)


async def rows(connection: asyncpg.Connection, obligations: Obligations, *args: Any, **more: Any) -> list[Any]:
    """The rows by the bound form, after checking that the written-out form gives the same."""
    query = compile_select(obligations, TABLE, *args, **{"salt": SALT, **more})
    bound = await connection.fetch(query.sql, *query.params)
    written = await connection.fetch(query.sql_literal)
    assert bound == written
    return bound


async def test_everything_unmasked(connection: asyncpg.Connection) -> None:
    assert [tuple(row) for row in await rows(connection, duties(), None, (), None, 0)] == ROWS


async def test_projection_order_and_key(connection: asyncpg.Connection) -> None:
    found = await rows(connection, duties(), ["count", "name", "count"], (), 2, 1, with_key=True)
    assert [list(row.keys()) for row in found] == [["count", "name", "_id"]] * 2
    assert [row["_id"] for row in found] == [2, 3]


MASKED = [
    ("name", "partial:name", ["杭**", "宁**", "张**", "**", None]),
    ("phone", "partial:phone", ["138****5678", "139****4321", "****", "****", None]),
    ("id", "partial:id", ["330*************18", "330*************22", "110*************00", "****", None]),
    ("name", "partial", ["杭********司", "****", "****", "****", None]),
    ("region", "generalise_region:4", ["330100", "330200", "110100", "33", None]),
    ("region", "generalise_region:2", ["330000", "330000", "110000", "33", None]),
    ("name", "generalise_region:2", [None] * 5),
    ("amount", "generalise_number:1000", [Decimal(1000), Decimal(-1000), Decimal(0), Decimal(99999999000), None]),
    ("count", "generalise_number:10", [Decimal(40), Decimal(-10), Decimal(0), Decimal(0), None]),
    ("born", "generalise_date:year", ["1990", "1988", "2000", "2020", None]),
    ("born", "generalise_date:quarter", ["1990-Q1", "1988-Q4", "2000-Q1", "2020-Q1", None]),
    ("seen", "generalise_date:month", ["2026-01", "2025-12", "2026-06", "2020-02", None]),
    ("amount", "null", [None] * 5),
]


@pytest.mark.parametrize(("column", "mask", "expected"), MASKED, ids=[f"{m} on {c}" for c, m, _ in MASKED])
async def test_masks(connection: asyncpg.Connection, column: str, mask: str, expected: list[Any]) -> None:
    found = await rows(connection, duties(masks={column: Mask.parse(mask)}), [column], (), None, 0)
    assert [row[0] for row in found] == expected


async def test_hash_is_hmac_and_differs_per_grant(connection: asyncpg.Connection) -> None:
    import hashlib
    import hmac

    mask = duties(masks={"id": Mask("hash"), "count": Mask("hash")})
    one = [row[0] for row in await rows(connection, mask, ["id"], (), None, 0)]
    assert one == [
        hmac.new(SALT.encode(), row[1].encode(), hashlib.sha256).hexdigest() if row[1] else None for row in ROWS
    ]
    other = [row[0] for row in await rows(connection, mask, ["id"], (), None, 0, salt="another-salt-of-another-grant")]
    assert not set(one[:4]) & set(other[:4])
    assert len({row[0] for row in await rows(connection, mask, ["count"], (), None, 0)}) == 5
    for bad in ("", "short", "s" * 65):
        with pytest.raises(ObligationUnfulfillable):
            compile_select(mask, TABLE, ["id"], salt=bad)


UNFULFILLABLE: list[Obligations] = [
    duties(columns=()), duties(k_floor=10), duties(masks={"name": Mask("hide")}),
    duties(masks={"name": Mask("blur")}), duties(masks={"name": Mask("partial", "face")}),
    duties(masks={"name": Mask("generalise_date", "year")}), duties(masks={"born": Mask("generalise_number", "10")}),
    duties(masks={"live": Mask("generalise_region", "2")}),
    duties(row_filter=(RowFilter("nothing", "eq", "1"),)), duties(row_filter=(RowFilter("region", "like", "3"),)),
    duties(row_filter=(RowFilter("count", "eq", "many"),)), duties(row_filter=(RowFilter("region", "prefix", ""),)),
    duties(row_filter=(RowFilter("region", "in", ()),)),
]


@pytest.mark.parametrize("obligations", UNFULFILLABLE, ids=str)
def test_what_cannot_be_compiled_is_refused(obligations: Obligations) -> None:
    with pytest.raises(ObligationUnfulfillable) as refused:
        compile_select(obligations, TABLE, salt=SALT)
    assert refused.value.status == 403


@pytest.mark.parametrize("location", [None, {}, {"kind": "file", "table": "x"}, {"kind": "restricted", "table": "x"}])
def test_no_location_no_query(location: dict[str, str] | None) -> None:
    with pytest.raises(ObligationUnfulfillable):
        compile_select(duties(), replace(TABLE, location=location))


async def test_caller_narrows_the_row_filter(connection: asyncpg.Connection) -> None:
    granted = duties(row_filter=(RowFilter("region", "prefix", "3302"),))
    assert [row["name"] for row in await rows(connection, granted)] == ["宁波港"]
    assert await rows(connection, granted, None, [RowFilter("region", "eq", "330106")]) == []
    inside = await rows(connection, granted, None, [RowFilter("count", "lte", "0"), RowFilter("live", "eq", "false")])
    assert [row["name"] for row in inside] == ["宁波港"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds(
    RowFilter, st.sampled_from(ALL), st.sampled_from(["eq", "in", "prefix", "gte", "lte", "like", "or 1=1"]),
    texts | st.integers() | st.booleans() | st.floats() | st.lists(texts, max_size=3),
), max_size=4), st.sampled_from([None, ["name"], ["region", "count"]]))
async def test_no_filter_widens_the_rows(
    connection: asyncpg.Connection, filters: list[RowFilter], columns: list[str] | None
) -> None:
    """Whatever a caller filters by, only rows of the grant come out, or a refusal."""
    granted = duties(row_filter=(RowFilter("region", "prefix", "3301"),), masks={"id": Mask("hash")})
    try:
        found = await rows(connection, granted, columns, filters, with_key=True)
    except InvalidInput:
        return
    assert {row["_id"] for row in found} <= {1}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, st.sampled_from(["partial:name", "partial:phone", "partial:id", "partial", "hash", "null"]))
async def test_a_masked_value_never_reveals_the_raw(connection: asyncpg.Connection, raw: str, mask: str) -> None:
    """Neither the value itself nor a filter on it comes through a mask (values made of stars aside)."""
    if not raw.strip("*") or "**" in raw:
        return
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("UPDATE restricted.r_masks SET name = $1 WHERE _id = 1", raw)
        hidden = duties(masks={"name": Mask.parse(mask)})
        [first, *_] = await rows(connection, hidden, ["name"], (), 1, 0)
        assert first["name"] != raw
        if len(raw) > 1 and first["name"] is not None:
            assert raw not in first["name"]
        if mask != "null":
            by_raw = await rows(connection, hidden, ["count"], [RowFilter("name", "eq", raw)], with_key=True)
            assert 1 not in {row["_id"] for row in by_raw}
            by_shown = await rows(
                connection, hidden, ["count"], [RowFilter("name", "eq", first["name"])], with_key=True
            )
            assert 1 in {row["_id"] for row in by_shown}
    finally:
        await transaction.rollback()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts)
async def test_text_is_never_syntax(connection: asyncpg.Connection, text: str) -> None:
    """Any text comes back from a literal and from a filter as it was, under both settings of the server."""
    for setting in ("on", "off"):
        await connection.execute(f"SET standard_conforming_strings = {setting}")
        try:
            assert await connection.fetchval(f"SELECT {literal(text)}::text") == text
        finally:
            await connection.execute("SET standard_conforming_strings = on")
    query = compile_select(duties(), TABLE, ["name"], [RowFilter("name", "eq", text)])
    assert all(row["name"] == text for row in await connection.fetch(query.sql, *query.params))
    name = text.encode()[:60].decode("utf-8", "ignore")
    if name:
        record = await connection.fetchrow(f"SELECT 1 AS {quoted(name)}")
        assert record is not None
        assert list(record.keys()) == [name]


def test_names_postgres_would_cut_are_refused() -> None:
    for name in ("", "a\0b", "字" * 22):
        with pytest.raises(ValueError, match="name"):
            quoted(name)
    for value in ("a\0", Decimal("NaN"), object()):
        with pytest.raises(ValueError, match=r"text|number|literal"):
            literal(value)


async def test_columns_outside_the_permit(connection: asyncpg.Connection) -> None:
    some = duties(columns=("name",), row_filter=(RowFilter("region", "eq", "330106"),))
    for call in (
        lambda: compile_select(some, TABLE, ["name", "phone"]),
        lambda: compile_select(some, TABLE, None, [RowFilter("phone", "eq", "1")]),
        lambda: compile_select(some, TABLE, None, [RowFilter("nothing", "eq", "1")]),
        lambda: compile_select(duties(masks={"name": Mask("null")}), TABLE, None, [RowFilter("name", "eq", "1")]),
    ):
        with pytest.raises(FilterNotAllowed):
            call()
    assert [tuple(row) for row in await rows(connection, some)] == [(ROWS[0][0],)]


BAD_VALUES = [
    ("count", "eq", "1.5"), ("count", "eq", str(2**63)), ("count", "eq", "1" * 200), ("amount", "gte", "NaN"),
    ("amount", "eq", "1e999"), ("born", "eq", "2026-02-30"), ("seen", "lte", "yesterday"), ("live", "eq", "maybe"),
    ("name", "eq", "a\0b"), ("name", "eq", "x" * 2_000), ("name", "eq", "\ud800"), ("name", "in", []),
    ("name", "in", "abc"), ("count", "in", ["1", "x"]), ("name", "like", "a%"), ("name", "eq", {"a": 1}),
    ("name", "eq", None),
]


@pytest.mark.parametrize(("field", "op", "value"), BAD_VALUES, ids=lambda one: repr(one)[:14])
def test_values_that_do_not_fit_their_field(field: str, op: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        compile_select(duties(), TABLE, None, [RowFilter(field, op, value)])
    assert refused.value.errors[0].field == f"filter.{field}"


async def test_values_that_fit(connection: asyncpg.Connection) -> None:
    fits = [("count", "eq", "42"), ("count", "in", ["42", 1]), ("amount", "gte", "1234.5"),
            ("born", "lte", "1990-03-07"), ("seen", "eq", "2026-01-02T03:04:05+08:00"),
            ("live", "eq", "1"), ("region", "prefix", "3301")]
    for field, op, value in fits:
        found = await rows(connection, duties(), None, [RowFilter(field, op, value)])
        assert ROWS[0][0] in {row["name"] for row in found}, (field, op, value)


def test_limits_and_cursors_out_of_range() -> None:
    for more in ({"limit": -1}, {"limit": 10**9}, {"cursor": 2**70}, {"requested_columns": []}):
        with pytest.raises(InvalidInput):
            compile_select(duties(), TABLE, **more)


async def test_copy_takes_the_literal_form(connection: asyncpg.Connection) -> None:
    query = compile_select(
        duties(masks={"name": Mask("partial", "name"), "id": Mask("hash")}), TABLE, ["name", "id"],
        [RowFilter("region", "eq", "330106")], salt=SALT,
    )
    out = io.BytesIO()
    await connection.copy_from_query(query.sql_literal, output=out, format="csv")
    assert out.getvalue().decode().startswith("杭**,")
