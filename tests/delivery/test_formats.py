"""Every format gives back the rows that went in, with their types, whatever is in them."""

from __future__ import annotations

import datetime
import math
import os
from decimal import Decimal
from typing import Any

import asyncpg
import orjson
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from authz.obligations import CompiledQuery
from ops.delivery.formats import About, Wish, framing_for
from ops.delivery.framing import count_csv_rows
from ops.delivery.pump import pump, slices
from ops.delivery.testing import read_arrow, read_csv, read_jsonl, read_parquet, read_xlsx

Row = tuple[Any, ...]
EXAMPLES = int(os.environ.get("GOVOPEN_FORMAT_EXAMPLES", "25"))
COLUMNS = {
    "t": "text",
    "名称": "varchar",
    "small": "smallint",
    "whole": "integer",
    "big": "bigint",
    "n": "numeric",
    "f": "double precision",
    "d": "date",
    "at": "timestamp",
    "zoned": "timestamptz",
    "yes": "boolean",
    "j": "json",
}
SPECIAL = [
    '"',
    '""',
    "\n",
    "\r\n",
    "\r",
    "\\",
    "\\.",
    "\\N",
    "\x01",
    "\x02",
    ",",
    "\x7f",
    "\u2028",
    "' \" \\\n",
    "",
    "=1+1",
    "\ufeff",
    "\ufeffx",
    "NULL",
    "_x0041_",
    "&<>",
    "\x1f\t",
    "\U00020000𠮷",
    "😀",
    "\ufffe\uffff",
    " 前后 ",
    "-",
    "0",
    "<c/>",
    "null",
]
TEXT = (
    st.none()
    | st.sampled_from(SPECIAL)
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=12)
)
DAY = st.dates(datetime.date(1, 1, 2), datetime.date(9999, 12, 30))  # asyncpg takes the first and last for infinity
TIME = st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30))  # noqa: DTZ001
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('a\n"\\é', max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)
NUMERIC = (
    st.decimals(allow_nan=False, allow_infinity=False, places=4)
    | st.just(Decimal("NaN"))
    | st.integers(-(10**30), 10**30).map(Decimal)
    | (st.decimals(min_value=-1000, max_value=1000, places=2))
)
ROW = st.tuples(
    TEXT,
    TEXT,
    st.none() | st.integers(-(2**15), 2**15 - 1),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | NUMERIC,
    st.none() | st.floats(),
    st.none() | DAY,
    st.none() | TIME,
    st.none() | TIME,
    st.none() | st.booleans(),
    st.none() | JSON,
)
FIELDS = {"phone": "text", "n": "numeric"}


def compiled(columns: dict[str, str], table: str = "p") -> CompiledQuery:
    sql = "SELECT " + ", ".join(f'"{name}"' for name in columns) + f" FROM {table}"
    return CompiledQuery(sql, sql, (), tuple(columns), {}, None, None)


async def filled(connection: asyncpg.Connection, columns: dict[str, str], rows: list[Row]) -> None:
    defined = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    await connection.execute(f"DROP TABLE IF EXISTS p; CREATE TEMP TABLE p ({defined})")
    placed = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await connection.executemany(f"INSERT INTO p VALUES ({placed})", rows)


async def made(
    connection: asyncpg.Connection, columns: dict[str, str], wish: Wish, batch: int | None = None
) -> tuple[bytes, int]:
    """The whole body and the rows that were counted on the way; ``batch`` makes batches small."""
    framing = await framing_for(connection, compiled(columns), {}, About("r", "标题", "1"), wish)
    if batch and framing.batch_bytes:
        framing.batch_bytes = framing.batch_first = batch  # type: ignore[misc]
    body, counted = bytearray(), 0

    async def take(piece: bytes, rows: int) -> None:
        nonlocal counted
        body.extend(piece)
        counted += rows

    rows = await pump(connection, compiled(columns).sql_literal, framing, take)
    assert counted == rows
    return bytes(body), counted


def as_utc(rows: list[Row]) -> list[Row]:
    return [(*row[:9], row[9] and row[9].replace(tzinfo=datetime.UTC), *row[10:]) for row in rows]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float | Decimal) and isinstance(right, float | Decimal):
        return left == right or (math.isnan(left) and math.isnan(right))
    return bool(left == right)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
@given(rows=st.lists(ROW, max_size=12), batch=st.sampled_from([1, 200, 1 << 20]))
async def test_every_format_gives_back_what_went_in(pool: asyncpg.Pool, rows: list[Row], batch: int) -> None:
    async with pool.acquire() as connection:
        rows = as_utc(rows)
        await filled(connection, COLUMNS, rows)
        for name in ("csv", "json", "jsonl", "parquet", "arrow", "xlsx"):
            wish = Wish(name)
            body, counted = await made(connection, COLUMNS, wish, batch)
            assert counted == len(rows), name
            await CHECKS[name](connection, body, rows)
        body, counted = await made(connection, COLUMNS, Wish("csv", encoding="gb18030"), batch)
        whole, _ = await made(connection, COLUMNS, Wish("csv"))
        assert (body.decode("gb18030"), counted) == (whole.decode(), len(rows))


async def check_csv(connection: asyncpg.Connection, body: bytes, rows: list[Row]) -> None:
    names, got = read_csv(body)
    assert names == list(COLUMNS)
    assert count_csv_rows(body) == len(rows) + 1
    # Python's reader cannot tell no value from empty text.
    assert [(row[0], row[1]) for row in got] == [(row[0] or "", row[1] or "") for row in rows]


async def check_jsonl(connection: asyncpg.Connection, body: bytes, rows: list[Row]) -> None:
    """PostgreSQL's own JSON is the judge; the texts of values have to be the same ones, digit for digit."""
    shown = ", ".join(f'"{name}"' if kind != "json" else f'"{name}"::jsonb' for name, kind in COLUMNS.items())
    wanted = await connection.fetch(f"SELECT row_to_json(q)::text AS t FROM (SELECT {shown} FROM p) AS q")
    lines = body.decode().split("\n")[:-1]
    assert lines == [one["t"] for one in wanted]
    assert len(lines) == len(rows)


async def check_json(connection: asyncpg.Connection, body: bytes, rows: list[Row]) -> None:
    document = orjson.loads(body)
    lines, _ = await made(connection, COLUMNS, Wish("jsonl"))
    assert [orjson.dumps(one) for one in document["items"]] == [orjson.dumps(one) for one in read_jsonl(lines)]
    assert [one["name"] for one in document["fields"]] == list(COLUMNS)


async def check_columns(table: Any, rows: list[Row]) -> None:
    assert table.num_rows == len(rows)
    kinds = {one.name: str(one.type) for one in table.schema}
    assert [kinds[name] for name in ("t", "small", "whole", "big", "f", "yes")] == [
        "string",
        "int16",
        "int32",
        "int64",
        "double",
        "bool",
    ]
    if rows:
        assert (kinds["d"], kinds["at"], kinds["zoned"]) == ("date32[day]", "timestamp[us]", "timestamp[us, tz=UTC]")
    for number, name in enumerate(COLUMNS):
        for got, row in zip(table.column(name).to_pylist(), rows, strict=True):
            wanted = row[number]
            if name == "j":
                got, wanted = got and orjson.loads(got), wanted if got is not None else None
            elif name == "n" and kinds[name] == "string":
                got = got and Decimal(got)
            assert same(got, wanted), (name, got, wanted)


async def check_parquet(connection: asyncpg.Connection, body: bytes, rows: list[Row]) -> None:
    await check_columns(read_parquet(body), rows)


async def check_arrow(connection: asyncpg.Connection, body: bytes, rows: list[Row]) -> None:
    await check_columns(read_arrow(body), rows)


async def check_xlsx(connection: asyncpg.Connection, body: bytes, rows: list[Row]) -> None:
    names, *got = read_xlsx(body)
    assert names == list(COLUMNS)
    assert [(one[0], one[1]) for one in got] == [(row[0], row[1]) for row in rows]
    for cells, row in zip(got, rows, strict=True):
        for number in (2, 3, 4, 5):
            assert same(cells[number] and Decimal(cells[number] or 0), row[number] and Decimal(row[number]))
        assert cells[10] == (None if row[10] is None else str(int(row[10])))


CHECKS = {
    "csv": check_csv,
    "json": check_json,
    "jsonl": check_jsonl,
    "parquet": check_parquet,
    "arrow": check_arrow,
    "xlsx": check_xlsx,
}


def test_gb18030_holds_every_character_of_unicode() -> None:
    everything = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    assert everything.encode("gb18030").decode("gb18030") == everything


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ") + b"\n"), max_size=30), st.integers(1, 60))
def test_slices_lose_nothing_and_count_lines(lines: list[bytes], size: int) -> None:
    from unittest import mock

    with mock.patch("ops.delivery.pump.SLICE_BYTES", size):
        parts = list(slices(b"".join(lines), len(lines), by_line=True))
    assert (b"".join(body for body, _ in parts), sum(rows for _, rows in parts)) == (b"".join(lines), len(lines))


async def test_what_no_decimal_can_hold_is_text_with_all_its_digits(pool: asyncpg.Pool) -> None:
    columns = {"n": "numeric", "m": "numeric", "d": "date"}
    async with pool.acquire() as connection:
        await filled(connection, columns, [(Decimal("1e30"), Decimal("0.1250"), None), (Decimal("1e-30"), None, None)])
        await connection.execute("INSERT INTO p VALUES (NULL, 3, 'infinity')")
        table = read_parquet((await made(connection, columns, Wish("parquet")))[0])
    assert [str(one.type) for one in table.schema] == ["string", "decimal128(18, 4)", "string"]
    assert [Decimal(one) for one in table.column("n").to_pylist()[:2]] == [Decimal("1e30"), Decimal("1e-30")]
    assert table.column("d").to_pylist() == [None, None, "infinity"]
    assert table.schema.field("n").metadata[b"postgresql_type"] == b"numeric"


async def test_xlsx_writes_days_as_days_and_numbers_it_would_round_as_text(pool: asyncpg.Pool) -> None:
    columns = {"d": "date", "old": "date", "at": "timestamp", "id": "bigint", "n": "numeric", "s": "text"}
    at = datetime.datetime(2026, 11, 21, 12, 0)  # noqa: DTZ001
    row = (datetime.date(2026, 11, 21), datetime.date(1899, 1, 1), at, 440301199001011234, Decimal("12.50"), "=1+1")
    async with pool.acquire() as connection:
        await filled(connection, columns, [row])
        body, _ = await made(connection, columns, Wish("xlsx"))
    assert read_xlsx(body)[1] == ["46347", "1899-01-01", "46347.50000000000", "440301199001011234", "12.50", "=1+1"]
    assert ["标题 title", "标题"] in read_xlsx(body, 2)


async def test_geojson_of_a_geometry_column(pool: asyncpg.Pool) -> None:
    columns = {"geom": "text", "name": "text"}
    shape = '{"type": "Polygon",\n "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}'
    async with pool.acquire() as connection:
        await filled(connection, columns, [(shape, "a"), ("POINT(1 2)", "b"), (None, None), ('{"type":"Cat"}', "c")])
        body, rows = await made(connection, columns, Wish("geojson"), 40)
    features = orjson.loads(body)["features"]
    assert [one["geometry"] for one in features] == [orjson.loads(shape), None, None, None]
    assert ([one["properties"]["name"] for one in features], rows) == (["a", "b", None, "c"], 4)
