"""What really leaves: the columns of a compiled query with PostgreSQL's own types, and what their values need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from authz.obligations import CompiledQuery, quoted

WHOLE = ("int2", "int4", "int8")
FLOATS = ("float4", "float8")
TEXTS = ("text", "varchar", "name")
JSONS = ("json", "jsonb")
TIMES = ("timestamp", "timestamptz")

FIRST_DAY, LAST_DAY = "0001-01-01", "9999-12-31"
"""Days that every format can write; PostgreSQL's infinity and the years before and after are beyond them."""


@dataclass(frozen=True)
class Column:
    """One column on its way out. ``pg`` is PostgreSQL's type, ``facts`` what was found out about the values."""

    name: str
    title: str
    pg: str
    facts: Mapping[str, Any]


async def columns_of(
    connection: asyncpg.Connection, compiled: CompiledQuery, titles: Mapping[str, str]
) -> list[Column]:
    """The columns with their types, as PostgreSQL describes the compiled query; nothing is read."""
    prepared = await connection.prepare(compiled.sql)
    return [
        Column(one.name, titles.get(one.name, one.name), one.type.name, {})
        for one in prepared.get_attributes()[: len(compiled.columns)]
    ]


async def with_facts(
    connection: asyncpg.Connection, compiled: CompiledQuery, columns: Sequence[Column], asked: Mapping[str, str]
) -> tuple[list[Column], dict[str, Any]]:
    """Columns with the facts that ``asked`` names, and facts of the whole; one pass over the rows, none without need.

    ``asked`` is aggregate SQL by ``<number of column>:<fact>``, or ``:<fact>`` for the whole, over ``q``. It is read in
    the snapshot that the rows are sent from, so that what is found out holds for what is sent.
    """
    if not asked:
        return list(columns), {}
    names = list(asked)
    shown = ", ".join(f"{asked[name]} AS f{place}" for place, name in enumerate(names))
    row = await connection.fetchrow(f"SELECT {shown} FROM ({compiled.sql}) AS q", *compiled.params)
    assert row is not None  # noqa: S101 - aggregates without GROUP BY give one row
    facts: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(names):
        number, _, fact = name.partition(":")
        facts.setdefault(number, {})[fact] = row[place]
    return (
        [replace(one, facts=facts.get(str(number), {})) for number, one in enumerate(columns)],
        facts.get("", {}),
    )


def cell(column: Column) -> str:
    """The column as SQL inside ``FROM (…) AS q``."""
    return f"q.{quoted(column.name)}"


def within_days(column: Column) -> str:
    """Aggregate: whether every value is a day, or a time, that can be written."""
    return f"bool_and({cell(column)} BETWEEN '{FIRST_DAY}' AND '{LAST_DAY} 23:59:59.999999')"


def day_facts(columns: Sequence[Column]) -> dict[str, str]:
    return {
        f"{number}:days": within_days(one)
        if one.pg != "date"
        else f"bool_and({cell(one)} BETWEEN '{FIRST_DAY}' AND '{LAST_DAY}')"
        for number, one in enumerate(columns)
        if one.pg in (*TIMES, "date")
    }


def is_day(column: Column) -> bool:
    """Whether a date or time can be written as one; no value at all can."""
    return column.facts.get("days") is not False
