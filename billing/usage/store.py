"""Usage in PostgreSQL. One lock order everywhere: counters sorted by key, then reservations, then events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast

import asyncpg

from billing.usage.eventstore import event_of_record as event_of_record
from billing.usage.eventstore import insert_events as insert_events
from billing.usage.model import Served, Settle, UsageEvent, month_of


@asynccontextmanager
async def acquire(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the pool, typed as what it stands for."""
    async with pool.acquire() as connection:
        yield cast(asyncpg.Connection, connection)


Key = tuple[str, str, date]
"""(grant, 'day', 'month' or 'life', first day)."""

LIFE_STARTS_ON = date(2000, 1, 1)
"""Where the counter of a grant's whole life is kept; it says nothing of when the grant began."""


@dataclass(slots=True)
class Counter:
    """A counter under lock: what stands in the database, changed in memory, written back once."""

    calls: int
    rows: int
    bytes: int
    open_calls: int
    open_rows: int
    open_bytes: int
    keys: int

    def used(self) -> tuple[int, int, int, int]:
        """Calls, rows, bytes and distinct keys, what is reserved among them."""
        return self.calls + self.open_calls, self.rows + self.open_rows, self.bytes + self.open_bytes, self.keys


def key_of(grant_id: str, day: date, span: str) -> Key:
    starts_on = day if span == "day" else month_of(day) if span == "month" else LIFE_STARTS_ON
    return grant_id, span, starts_on


def keys_of(grant_id: str, day: date) -> tuple[Key, Key, Key]:
    return (grant_id, "day", day), (grant_id, "month", month_of(day)), (grant_id, "life", LIFE_STARTS_ON)


async def lock_counters(tx: asyncpg.Connection, keys: Iterable[Key]) -> dict[Key, Counter]:
    """Make the counters that are missing and hold all of them locked until the transaction ends."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = await tx.fetch(
        """
        INSERT INTO billing.usage_counter AS c (grant_id, span, starts_on)
        SELECT * FROM unnest($1::text[], $2::text[], $3::date[]) AS k (grant_id, span, starts_on)
        ORDER BY 1, 2, 3
        ON CONFLICT (grant_id, span, starts_on) DO UPDATE SET calls = c.calls
        RETURNING *
        """,
        [key[0] for key in wanted], [key[1] for key in wanted], [key[2] for key in wanted],
    )
    return _counters(rows)


def _counters(rows: Iterable[asyncpg.Record]) -> dict[Key, Counter]:
    return {
        (row["grant_id"], row["span"], row["starts_on"]): Counter(
            row["calls"], row["rows"], row["bytes"], row["open_calls"], row["open_rows"], row["open_bytes"],
            row["keys"],
        )
        for row in rows
    }


async def read_counters(tx: asyncpg.Connection, keys: Iterable[Key]) -> dict[Key, Counter]:
    """Those of the counters that are there, as they are now."""
    wanted = list(keys)
    return _counters(await tx.fetch(
        "SELECT * FROM billing.usage_counter WHERE (grant_id, span, starts_on) IN"
        " (SELECT * FROM unnest($1::text[], $2::text[], $3::date[]))",
        [key[0] for key in wanted], [key[1] for key in wanted], [key[2] for key in wanted],
    ))


async def write_counters(tx: asyncpg.Connection, counters: Mapping[Key, Counter]) -> None:
    if not counters:
        return
    keys, values = list(counters), list(counters.values())
    await tx.execute(
        """
        UPDATE billing.usage_counter AS c
        SET calls = n.calls, rows = n.rows, bytes = n.bytes, open_calls = n.open_calls, open_rows = n.open_rows,
            open_bytes = n.open_bytes, keys = n.keys
        FROM unnest($1::text[], $2::text[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                    $8::bigint[], $9::bigint[], $10::bigint[])
            AS n (grant_id, span, starts_on, calls, rows, bytes, open_calls, open_rows, open_bytes, keys)
        WHERE (c.grant_id, c.span, c.starts_on) = (n.grant_id, n.span, n.starts_on)
        """,
        [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys],
        [one.calls for one in values], [one.rows for one in values], [one.bytes for one in values],
        [one.open_calls for one in values], [one.open_rows for one in values], [one.open_bytes for one in values],
        [one.keys for one in values],
    )


async def insert_reservations(
    tx: asyncpg.Connection, process_id: str, asks: Sequence[Any]
) -> None:
    """Open reservations of one process; ``asks`` are Ask values that were granted."""
    if asks:
        await tx.executemany(
            "INSERT INTO billing.usage_reservation (id, process_id, grant_id, resource_id, purpose, columns,"
            " rows_reserved, reserved_at, day, bytes_reserved) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [
                (a.id, process_id, a.grant_id, a.resource_id, a.purpose, list(a.columns), a.rows, a.at, a.day, a.bytes)
                for a in asks
            ],
        )


async def close_reservations(
    tx: asyncpg.Connection, settles: Sequence[Settle], now: datetime
) -> list[asyncpg.Record]:
    """Close those that are open; rows of the closed ones. One that was closed before stays as it is."""
    if not settles:
        return []
    served = [one.served for one in settles]
    return list(await tx.fetch(
        """
        UPDATE billing.usage_reservation AS r
        SET state = CASE WHEN n.outcome IS NULL THEN 'void' ELSE 'settled' END, outcome = n.outcome,
            rows = n.rows, bytes = n.bytes, settled_at = $5, by_rule = coalesce(n.outcome = 'by_rule', false)
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS n (id, outcome, rows, bytes)
        WHERE r.id = n.id AND r.state = 'open'
        RETURNING r.*
        """,
        [one.id for one in settles],
        [one.outcome if one else None for one in served],
        [one.rows if one else None for one in served],
        [one.bytes if one else None for one in served],
        now,
    ))


async def known_ids(tx: asyncpg.Connection, source: str, ids: Sequence[str]) -> set[str]:
    """Which of the ids are reservations or events already."""
    rows = await tx.fetch(
        "SELECT id FROM billing.usage_reservation WHERE id = ANY($1)"
        " UNION SELECT id FROM billing.usage_identity WHERE source = $2 AND id = ANY($1)",
        list(ids), source,
    )
    return {row["id"] for row in rows}


def event_of_reservation(row: asyncpg.Record, source: str) -> UsageEvent:
    """The event of a reservation that has been settled."""
    return UsageEvent(
        source=source, id=row["id"], subject=row["grant_id"], time=row["reserved_at"],
        resource_id=row["resource_id"], rows=row["rows"], calls=1, bytes=row["bytes"],
        details={
            "columns": row["columns"], "purpose": row["purpose"], "outcome": row["outcome"],
            "settled_by_rule": row["by_rule"],
        },
    )


async def lost_reservations(tx: asyncpg.Connection, lease_s: float, limit: int) -> list[Settle]:
    """Open reservations whose process has not given a sign of life for ``lease_s`` seconds."""
    rows = await tx.fetch(
        """
        SELECT r.id, r.grant_id, r.day, r.rows_reserved, r.bytes_reserved FROM billing.usage_reservation r
        LEFT JOIN billing.usage_process p ON p.id = r.process_id
        WHERE r.state = 'open'
          AND (p.id IS NULL OR p.beat_at < clock_timestamp() - make_interval(secs => $1))
        ORDER BY r.id LIMIT $2
        """,
        lease_s, limit,
    )
    return [
        Settle(row["id"], row["grant_id"], row["day"], Served(row["rows_reserved"], row["bytes_reserved"], "by_rule"))
        for row in rows
    ]


async def beat(tx: asyncpg.Connection, process_id: str) -> None:
    await tx.execute(
        "INSERT INTO billing.usage_process (id, started_at, beat_at)"
        " VALUES ($1, clock_timestamp(), clock_timestamp())"
        " ON CONFLICT (id) DO UPDATE SET beat_at = clock_timestamp()",
        process_id,
    )


async def forget_process(tx: asyncpg.Connection, process_id: str) -> None:
    await tx.execute("DELETE FROM billing.usage_process WHERE id = $1", process_id)


async def forget_lost_processes(tx: asyncpg.Connection, after_s: float) -> None:
    """Remove processes long gone that hold nothing open."""
    await tx.execute(
        """
        DELETE FROM billing.usage_process p WHERE p.beat_at < statement_timestamp() - make_interval(secs => $1)
          AND p.id NOT IN (SELECT r.process_id FROM billing.usage_reservation r WHERE r.state = 'open')
        """,
        after_s,
    )


async def add_open_downloads(
    tx: asyncpg.Connection, sums: Mapping[tuple[str, date], tuple[int, int, int]]
) -> None:
    keys = sorted(sums)
    await tx.executemany(
        "INSERT INTO billing.usage_open_day AS d (resource_id, day, downloads, rows, bytes)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (resource_id, day) DO UPDATE SET"
        " downloads = d.downloads + excluded.downloads, rows = d.rows + excluded.rows,"
        " bytes = d.bytes + excluded.bytes",
        [(*key, *sums[key]) for key in keys],
    )
