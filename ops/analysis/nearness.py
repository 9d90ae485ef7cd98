"""Sets of records that differ by too few: figures of both would, subtracted, tell of those between them.

Noise alone does not answer this. Who asks for a set with and without one record, again and again in another company of
records, averages the noise away. Nor does refusing: that a question is refused when somebody is between, and answered
when nobody is, tells just that. So a set that comes nearer than the floor to one that was told is answered as that one,
whether they differ or not.

Of every set that a party was told of a sketch is kept: 1,024 bits, each the parity of how many of its records fall to
that bit. The bits in which two sketches differ are as many as the records in which the sets differ while those are few,
and about half of all when they are many. What data there was is part of it: a table loaded anew is another one.

Three sets and more, put together, can still leave a few records between them, and enough such figures could be
averaged. So the noise of a set grows with how many questions were answered before it: its ``rank``, which stays with
it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg
import orjson

from ops.analysis.query import Condition, Group

BITS = 1024
MONTHS = {"month": 1, "quarter": 3, "year": 12}


def seed_of(resource_id: str) -> int:
    """By what records fall to bits: the same for all grants on the data, so that a party's grants are held together."""
    digest = hashlib.sha256(f"analysis sketch\0{resource_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@dataclass(frozen=True)
class RecordSet:
    """``rows`` is a fingerprint of exactly these records, ``sketch`` the parities, ``conditions`` what they meet."""

    size: int
    rows: int
    sketch: str
    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any], conditions: tuple[Condition, ...]) -> RecordSet:
        return cls(row["size"], row["same"], row["sketch"].as_string().replace(" ", ""), conditions)


def union(sets: Sequence[RecordSet], conditions: tuple[Condition, ...]) -> RecordSet:
    """All records of sets that share none."""
    size, rows, sketch = 0, 0, 0
    for one in sets:
        size, rows, sketch = size + one.size, rows ^ one.rows, sketch ^ int(one.sketch, 2)
    return RecordSet(size, rows, f"{sketch:0{BITS}b}", conditions)


def in_group(groups: Sequence[Group], row: Mapping[str, Any]) -> tuple[Condition, ...]:
    """What the records of a group have in common."""
    found: list[Condition] = []
    for place, one in enumerate(groups):
        value = row[f"g{place}"]
        if value is None:
            found.append(Condition(one.column, "null", ()))
        elif one.unit is not None:
            found.append(Condition(one.column, "gte", (value.isoformat(),)))
            found.append(Condition(one.column, "lt", (_after(value, MONTHS[one.unit]).isoformat(),)))
        else:
            found.append(Condition(one.column, "eq", (_text(value),)))
    return tuple(found)


def _after(start: date, months: int) -> date:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, 1)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


@dataclass(frozen=True)
class Asker:
    """Who is told, of what data in which state."""

    party_id: str
    resource_id: str
    state: int


async def alone(tx: asyncpg.Connection, asker: Asker) -> None:
    """One question at a time of a party about a data object, until the transaction ends."""
    await tx.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", f"{asker.party_id} {asker.resource_id}"
    )


async def told_near(
    tx: asyncpg.Connection, asker: Asker, sets: Sequence[RecordSet], floor: int
) -> dict[int, tuple[Condition, ...]]:
    """By the places of sets that differ from one that was told, by fewer records than the floor: that one's conditions.

    Of several the nearest: told sets are apart, so that few records more or less lead to the same one. A set that was
    itself told is not among them.
    """
    rows = await tx.fetch(
        "SELECT n.place, near.conditions FROM unnest($4::bigint[], $5::bigint[], $6::text[]) WITH ORDINALITY"
        " AS n (size, rows, sketch, place) CROSS JOIN LATERAL (SELECT s.conditions, s.size, s.rows"
        " FROM analysis.told_set s WHERE s.party_id = $1 AND s.resource_id = $2 AND s.state = $3"
        " AND s.size BETWEEN n.size - $7 AND n.size + $7 AND ((s.size, s.rows) = (n.size, n.rows)"
        f" OR bit_count(s.sketch # n.sketch::bit({BITS})) < $7)"
        " ORDER BY (s.size, s.rows) = (n.size, n.rows) DESC,"
        f" bit_count(s.sketch # n.sketch::bit({BITS})), s.rank, s.size, s.rows LIMIT 1) AS near"
        " WHERE (near.size, near.rows) <> (n.size, n.rows)",
        asker.party_id, asker.resource_id, asker.state, [one.size for one in sets], [one.rows for one in sets],
        [one.sketch for one in sets], floor,
    )
    return {
        row["place"] - 1: tuple(Condition(column, op, tuple(values)) for column, op, values in row["conditions"])
        for row in rows
    }


async def keep(
    tx: asyncpg.Connection, asker: Asker, query_id: str, sets: Sequence[RecordSet], at: datetime
) -> list[int]:
    """Keep what is about to be told; the rank of each set, which is that of its first telling."""
    of_asker = "party_id = $1 AND resource_id = $2 AND state = $3"
    which = ([one.size for one in sets], [one.rows for one in sets])
    documents = [
        orjson.dumps([[one.column, one.op, one.values] for one in each.conditions]).decode() for each in sets
    ]
    await tx.execute(
        "INSERT INTO analysis.told_set (party_id, resource_id, state, size, rows, sketch, conditions, rank, query_id,"
        f" at) SELECT $1, $2, $3, n.size, n.rows, n.sketch::bit({BITS}), n.conditions::jsonb,"
        f" (SELECT count(DISTINCT query_id) FROM analysis.told_set WHERE {of_asker}), $8, $9"
        " FROM unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[]) AS n (size, rows, sketch, conditions)"
        " ON CONFLICT DO NOTHING",
        asker.party_id, asker.resource_id, asker.state, *which, [one.sketch for one in sets], documents, query_id, at,
    )
    rows = await tx.fetch(
        f"SELECT size, rows, rank FROM analysis.told_set WHERE {of_asker} AND (size, rows) IN"
        " (SELECT n.size, n.rows FROM unnest($4::bigint[], $5::bigint[]) AS n (size, rows))",
        asker.party_id, asker.resource_id, asker.state, *which,
    )
    ranks = {(row["size"], row["rows"]): row["rank"] for row in rows}
    return [ranks[one.size, one.rows] for one in sets]
