"""Events in PostgreSQL: identity once and for all in one table, the events themselves by month in another.

Every writer takes its numbers while it holds ROW EXCLUSIVE on ``billing.usage_event``: whoever holds SHARE there, as
the close of a month does, knows that every number up to the sequence's last one is committed or never will be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import asyncpg

from authz import beijing_date
from billing.usage.model import UsageEvent, UsageEventConflict, month_of

Row = asyncpg.Record | Mapping[str, Any]

NUMBERED = """
fresh AS (
    INSERT INTO billing.usage_identity (source, id, digest, number, time)
    SELECT source, id, digest, number, time FROM n ORDER BY source COLLATE "C", id COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING number
),
counted AS (
    INSERT INTO billing.usage_grant_sequence AS s (grant_id, last)
    SELECT subject, count(*) FROM n JOIN fresh USING (number) GROUP BY subject ORDER BY subject
    ON CONFLICT (grant_id) DO UPDATE SET last = s.last + excluded.last
    RETURNING grant_id, last
),
numbered AS (
    SELECT n.*, c.last - count(*) OVER (PARTITION BY n.subject)
        + row_number() OVER (PARTITION BY n.subject ORDER BY n.number) AS sequence
    FROM n JOIN fresh USING (number) JOIN counted c ON c.grant_id = n.subject
)
"""
"""Identity first, then the grant's own count, in one statement; ``n`` holds the events with their numbers."""


async def ensure_months(tx: asyncpg.Connection, times: Iterable[datetime]) -> None:
    """Make the partitions that the times need; a month that is there costs a look into the catalogue."""
    months = sorted({month_of(beijing_date(at)) for at in times})
    if months:
        await tx.execute("SELECT billing.usage_add_month(m) FROM unnest($1::date[]) AS m", months)


async def months_ahead(tx: asyncpg.Connection, today: date, months: int) -> None:
    """Make the partitions of this month and the following ones before anybody needs them."""
    await tx.execute(
        "SELECT billing.usage_add_month(($1::date + make_interval(months => k))::date)"
        " FROM generate_series(0, $2::int) AS k",
        month_of(today), months,
    )


async def insert_events(
    tx: asyncpg.Connection, events: Sequence[UsageEvent], now: datetime
) -> tuple[list[UsageEvent], list[UsageEvent]]:
    """Add events that are new; returns (added, already there with equal content).

    Raises UsageEventConflict when one is there with other content; then nothing of the batch may be committed.
    """
    if not events:
        return [], []
    await ensure_months(tx, (e.time for e in events))
    rows = await tx.fetch(
        f"""
        WITH n AS MATERIALIZED (
            SELECT nextval('billing.usage_event_number') AS number, u.* FROM unnest($1::text[], $2::text[],
                $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
                $10::jsonb[], $11::bytea[])
                AS u (source, id, type, subject, time, resource_id, rows, calls, bytes, data, digest)
        ), {NUMBERED}
        INSERT INTO billing.usage_event (number, source, id, type, subject, time, resource_id, rows, calls, bytes,
                                         data, digest, recorded_at, sequence)
        SELECT number, source, id, type, subject, time, resource_id, rows, calls, bytes, data, digest, $12, sequence
        FROM numbered
        RETURNING source, id
        """,
        [e.source for e in events], [e.id for e in events], [e.type for e in events],
        [e.subject for e in events], [e.time for e in events], [e.resource_id for e in events],
        [e.rows for e in events], [e.calls for e in events], [e.bytes for e in events],
        [e.data for e in events], [e.digest for e in events], now,
    )
    added = {(row["source"], row["id"]) for row in rows}
    fresh: list[UsageEvent] = []
    known: list[UsageEvent] = []
    for event in events:
        if (event.source, event.id) in added:
            added.discard((event.source, event.id))
            fresh.append(event)
        else:
            known.append(event)
    await _same_content(tx, known)
    return fresh, known


async def _same_content(tx: asyncpg.Connection, events: Sequence[UsageEvent]) -> None:
    if not events:
        return
    rows = await tx.fetch(
        "SELECT i.source, i.id, i.digest FROM billing.usage_identity i"
        " JOIN unnest($1::text[], $2::text[]) AS k (source, id) ON (i.source, i.id) = (k.source, k.id)",
        [e.source for e in events], [e.id for e in events],
    )
    stands = {(row["source"], row["id"]): row["digest"] for row in rows}
    for event in events:
        if stands.get((event.source, event.id)) != event.digest:
            raise UsageEventConflict(source=event.source, id=event.id)


def event_of_record(row: Row) -> UsageEvent:
    data = row["data"]
    corrects = None if row["corrects_id"] is None else (row["corrects_source"], row["corrects_id"])
    return UsageEvent(
        source=row["source"], id=row["id"], subject=row["subject"], time=row["time"],
        resource_id=row["resource_id"], rows=row["rows"], calls=row["calls"], bytes=row["bytes"],
        details={k: v for k, v in data.items() if k not in ("resource_id", "rows", "calls", "bytes")},
        type=row["type"], number=row["number"], body=data, source_sequence=row["source_sequence"],
        sequence=row["sequence"], corrects=corrects, issued_at=row["issued_at"],
    )
