"""The JSON of a page is the same, byte for byte, whichever way PostgreSQL is asked for it."""

from __future__ import annotations

import asyncpg
import orjson

from authz.obligations import CompiledQuery
from ops.delivery.holders import PAIRS_MAX, page_sql, server_of

ROWS = """
SELECT * FROM (VALUES
    (1::bigint, E'"\\\\\\b\\f\\n\\r\\t\\u0001\\u007f\\u2028ü语'::text, 1.50::numeric, date '2026-02-28',
        timestamp '2026-02-28 01:02:03.45', true, 9007199254740993::bigint, '{"b":1, "a" : [1,\n2]}'::json,
        timestamptz '2026-02-28 01:02:03+08', ARRAY['x', NULL, 'y"']),
    (2, '', 'NaN', date '0044-03-15 BC', timestamp 'infinity', false, -1, '"\\n,"', 'infinity', '{}'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, '{"a":1}', 1e20, 'infinity', '-infinity', true, 0, 'null', NULL, ARRAY[]::text[])
) AS v (_row, "te""xt\\", "数字", day, at, flag, whole, doc, zoned, list) ORDER BY _row
"""
TYPES = {
    'te"xt\\': "text", "数字": "numeric", "day": "date", "at": "timestamp", "flag": "boolean", "whole": "integer",
    "doc": "json", "zoned": "other", "list": "other",
}


def of(sql: str, types: dict[str, str]) -> CompiledQuery:
    return CompiledQuery(sql, sql, (), tuple(types), types, "_row", None)


async def both(tx: asyncpg.Connection, compiled: CompiledQuery, limit: int) -> bytes:
    by_record = await tx.fetchrow(page_sql(compiled, limit, (16, 0)))
    by_value = await tx.fetchrow(page_sql(compiled, limit, server_of(tx)))
    assert by_record is not None
    assert by_value is not None
    assert dict(by_record) == dict(by_value)
    return bytes(by_value["items"])


async def test_every_type_is_written_alike(tx: asyncpg.Connection) -> None:
    found = orjson.loads(b"[{%b}]" % await both(tx, of(ROWS, TYPES), 3))
    assert found[0]["te\"xt\\"] == '"\\\b\f\n\r\t\x01\x7f\u2028ü语'
    assert found[1] == {
        'te"xt\\': "", "数字": "NaN", "day": "0044-03-15 BC", "at": "infinity", "flag": False, "whole": -1,
        "doc": "\n,", "zoned": "infinity", "list": [],
    }
    assert set(found[2].values()) == {None}


async def test_more_columns_than_a_function_takes(tx: asyncpg.Connection) -> None:
    names = [f"c{number}" for number in range(PAIRS_MAX * 2 + 5)]
    shown = ", ".join(f"g + {number} AS {name}" for number, name in enumerate(names))
    sql = f"SELECT g::bigint AS _row, {shown} FROM generate_series(1, 3) AS g"
    found = orjson.loads(b"[{%b}]" % await both(tx, of(sql, dict.fromkeys(names, "integer")), 2))
    assert found[2] == {name: 3 + number for number, name in enumerate(names)}
