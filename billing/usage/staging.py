"""Many events in few statements: a temporary table filled by COPY, then identity, counters, counts and events from it.

One lock order: identities, what corrected events count for, counters, the grants' own counts, events. Each is taken
sorted by its key. What delivery records takes counters first, but the identities it writes are its own alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from billing.usage.model import UsageEvent

COLUMNS = (
    "ord", "source", "id", "type", "subject", "time", "resource_id", "rows", "calls", "bytes", "data", "digest",
    "source_sequence", "issued_at", "corrects_source", "corrects_id",
)
EIGHT_HOURS = timedelta(hours=8)
"""Beijing's distance from UTC; it has kept no summer time since 1991 and no grant is that old."""
RANGES_MAX = 10_000
"""Holes that are remembered per sender and grant; whoever has more does not count but draw at random."""

Row = tuple[Any, ...]


async def prepare(tx: asyncpg.Connection, events: Iterable[UsageEvent]) -> None:
    """Hold what a close waits for, have the months and the table to stage in."""
    await tx.execute("LOCK TABLE ONLY billing.usage_event IN ROW EXCLUSIVE MODE")
    months = {(local.year, local.month): local.date().replace(day=1)
              for local in (event.time + EIGHT_HOURS for event in events)}
    await tx.execute("SELECT billing.usage_add_month(m) FROM unnest($1::date[]) AS m", sorted(months.values()))
    await tx.execute(
        """
        CREATE TEMPORARY TABLE IF NOT EXISTS usage_staging (
            number bigint NOT NULL DEFAULT nextval('billing.usage_event_number'), ord int, source text COLLATE "C",
            id text COLLATE "C", type text, subject text, time timestamptz, resource_id text, rows bigint, calls bigint,
            bytes bigint, data text, digest bytea, source_sequence bigint, issued_at timestamptz, corrects_source text,
            corrects_id text
        ) ON COMMIT DELETE ROWS
        """
    )


def row_of(number: int, event: UsageEvent, digest: bytes) -> Row:
    text = event.body_json if event.body_json is not None else orjson.dumps(event.data)
    source, target = event.corrects or (None, None)
    return (
        number, event.source, event.id, event.type, event.subject, event.time, event.resource_id, event.rows,
        event.calls, event.bytes, text.decode(), digest, event.source_sequence, event.issued_at, source, target,
    )


async def stage(tx: asyncpg.Connection, rows: Sequence[Row]) -> None:
    await tx.copy_records_to_table("usage_staging", schema_name="pg_temp", columns=COLUMNS, records=rows)


async def identify(tx: asyncpg.Connection) -> dict[int, bool]:
    """Claim the identities of what is staged; known ones are taken out of it again.

    Returns for each known one, by its place, whether its content is the same.
    """
    known = await tx.fetch(
        """
        WITH fresh AS (
            INSERT INTO billing.usage_identity (source, id, digest, number, time)
            SELECT source, id, digest, number, time FROM usage_staging ORDER BY source, id
            ON CONFLICT DO NOTHING RETURNING number
        )
        DELETE FROM usage_staging WHERE number NOT IN (SELECT number FROM fresh) RETURNING ord, source, id, digest
        """
    )
    return await compare(tx, known) if known else {}


async def compare(tx: asyncpg.Connection, known: Sequence[asyncpg.Record]) -> dict[int, bool]:
    """Whether what was recorded under each of these identities has the same content, by place."""
    rows = await tx.fetch(
        # looked up one by one: a plan that read the whole of the identities would be right for the planner only
        """
        SELECT k.ord, i.digest = k.digest AS same
        FROM unnest($1::int[], $2::text[], $3::text[], $4::bytea[]) AS k (ord, source, id, digest)
        CROSS JOIN LATERAL (
            SELECT digest FROM billing.usage_identity i WHERE i.source = k.source AND i.id = k.id OFFSET 0
        ) AS i
        """,
        *([row[name] for row in known] for name in ("ord", "source", "id", "digest")),
    )
    return {row["ord"]: row["same"] for row in rows}


SPANS = """
day AS (
    SELECT subject, (time AT TIME ZONE 'Asia/Shanghai')::date AS on_day, sum(calls) AS calls, sum(rows) AS rows,
        sum(bytes) AS bytes
    FROM usage_staging GROUP BY 1, 2
), spans AS (
    SELECT subject AS grant_id, 'day' AS span, on_day AS starts_on, calls, rows, bytes FROM day
    UNION ALL
    SELECT subject, 'month', date_trunc('month', on_day)::date, sum(calls), sum(rows), sum(bytes) FROM day GROUP BY 1, 3
    UNION ALL
    SELECT subject, 'life', date '2000-01-01', sum(calls), sum(rows), sum(bytes) FROM day GROUP BY 1
), told AS (
    SELECT *, span <> 'life' AND starts_on < $1 AS is_late FROM spans WHERE (calls, rows, bytes) <> (0, 0, 0)
)
"""
"""What is staged by grant and span; ``$1`` is the first day of the month that it is now."""


async def count(tx: asyncpg.Connection, this_month: date) -> None:
    """Add what is staged, of which nothing is negative, to the grants' counters; what is late is kept aside."""
    await tx.execute(
        f"""
        WITH {SPANS}, late AS (
            INSERT INTO billing.usage_counter_late (grant_id, span, starts_on, calls, rows, bytes)
            SELECT grant_id, span, starts_on, calls, rows, bytes FROM told WHERE is_late
        )
        INSERT INTO billing.usage_counter AS c (grant_id, span, starts_on, calls, rows, bytes)
        SELECT grant_id, span, starts_on, calls, rows, bytes FROM told WHERE NOT is_late ORDER BY 1, 2, 3
        ON CONFLICT (grant_id, span, starts_on) DO UPDATE
            SET calls = c.calls + excluded.calls, rows = c.rows + excluded.rows, bytes = c.bytes + excluded.bytes
        """,
        this_month,
    )


async def fold_late(tx: asyncpg.Connection) -> None:
    """Add what was kept aside to the counters. What became less than nothing finds a counter that it is taken from."""
    await tx.execute(
        """
        WITH taken AS (
            DELETE FROM billing.usage_counter_late RETURNING *
        ), sums AS MATERIALIZED (
            SELECT grant_id, span, starts_on, sum(calls) AS calls, sum(rows) AS rows, sum(bytes) AS bytes
            FROM taken GROUP BY 1, 2, 3
        ), added AS (
            INSERT INTO billing.usage_counter AS c (grant_id, span, starts_on, calls, rows, bytes)
            SELECT * FROM sums WHERE least(calls, rows, bytes) >= 0 ORDER BY 1, 2, 3
            ON CONFLICT (grant_id, span, starts_on) DO UPDATE
                SET calls = c.calls + excluded.calls, rows = c.rows + excluded.rows, bytes = c.bytes + excluded.bytes
        )
        UPDATE billing.usage_counter AS c
        SET calls = c.calls + s.calls, rows = c.rows + s.rows, bytes = c.bytes + s.bytes
        FROM sums s WHERE least(s.calls, s.rows, s.bytes) < 0
            AND (c.grant_id, c.span, c.starts_on) = (s.grant_id, s.span, s.starts_on)
        """
    )


async def write(tx: asyncpg.Connection, now: datetime) -> None:
    """Keep what is staged as events, each with its place in its grant's count; every one of it is new."""
    await tx.execute(
        """
        WITH many AS MATERIALIZED (
            SELECT subject AS grant_id, count(*) AS events FROM usage_staging GROUP BY subject
        ), counted AS (
            INSERT INTO billing.usage_grant_sequence AS s (grant_id, last)
            SELECT grant_id, events FROM many ORDER BY grant_id
            ON CONFLICT (grant_id) DO UPDATE SET last = s.last + excluded.last
            RETURNING grant_id, last
        ), starts AS MATERIALIZED (
            SELECT grant_id, last - events AS before FROM counted JOIN many USING (grant_id)
        )
        INSERT INTO billing.usage_event (number, source, id, type, subject, time, resource_id, rows, calls, bytes, data,
            digest, recorded_at, sequence, source_sequence, issued_at, corrects_source, corrects_id)
        SELECT number, source, id, type, subject, time, resource_id, rows, calls, bytes, data::jsonb, digest, $1,
            before + row_number() OVER (PARTITION BY subject ORDER BY number),
            source_sequence, issued_at, corrects_source, corrects_id
        FROM usage_staging JOIN starts ON grant_id = subject
        """,
        now,
    )


async def note_sequences(tx: asyncpg.Connection) -> None:
    """Remember which of the senders' own numbers have come; for reading, what is missing."""
    await tx.execute(
        f"""
        INSERT INTO billing.usage_source_sequence AS s (grant_id, source, received)
        SELECT subject, source, range_agg(int8range(source_sequence, source_sequence, '[]')) FROM usage_staging
        WHERE source_sequence IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (grant_id, source) DO UPDATE SET received = s.received + excluded.received
            WHERE (SELECT count(*) FROM unnest(s.received)) < {RANGES_MAX}
        """
    )
