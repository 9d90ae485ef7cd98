"""What a restricted table is made of: a key, the fields, and fields once more as the finished JSON of pages."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from authz import DataField
from authz.obligations import WrittenText, quoted, written_texts
from authz.obligations.written import SERVER_MIN

TEXTS_MAX = 200
ROW_BYTES_MAX = 1_600
"""PostgreSQL moves parts of rows of 2 KB to another place, from where reading them takes longer than writing JSON."""


def texts_worth_keeping(fields: Sequence[DataField], row_bytes: float, server: int) -> list[WrittenText]:
    """The finished JSON to keep of each field; none where rows, of ``row_bytes`` in the middle, would become too long.

    ``server`` is PostgreSQL's major version.
    """
    if server < SERVER_MIN or len(fields) > TEXTS_MAX:
        return []
    names = sum(len(one.name.encode()) + len('"",:""') for one in fields)
    return written_texts(fields) if 2 * row_bytes + names <= ROW_BYTES_MAX else []


def definition(columns: Sequence[tuple[str, str]], texts: Sequence[WrittenText], *, key: str) -> str:
    """The columns of ``CREATE TABLE``: the key, (name, SQL type) pairs, texts that PostgreSQL makes of them."""
    parts = [f"{quoted(key)} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"]
    parts += [f"{quoted(name)} {kind}" for name, kind in columns]
    parts += [f"{quoted(one.name)} text GENERATED ALWAYS AS ({one.sql}) STORED" for one in texts]
    return ", ".join(parts)


async def without_statistics(tx: asyncpg.Connection, place: str, texts: Sequence[WrittenText]) -> None:
    """Nobody searches in the texts: PostgreSQL need not look at what they hold."""
    if texts:
        changes = ", ".join(f"ALTER COLUMN {quoted(one.name)} SET STATISTICS 0" for one in texts)
        await tx.execute(f"ALTER TABLE {place} {changes}")
