"""Reading usage: totals, events, what is still open; and the rule for deliveries whose process was lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from authz import AuditEntry, AuditLog, beijing_date
from billing.usage import store
from billing.usage.carry import Work, carry_out
from billing.usage.model import (
    OpenReservation,
    Quota,
    UsageEvent,
    UsageTotals,
    beijing_start,
    next_month,
    seconds_until,
)
from billing.usage.quota import METERS, QuotaExhausted
from billing.usage.recorder import LEASE_S

LOST_BATCH = 500
PROCESSES_KEPT_S = 3600.0


@dataclass(frozen=True)
class SpanTotals:
    """Sums of one day or month in Beijing, with what is reserved by deliveries under way."""

    starts_on: date
    totals: UsageTotals
    open_rows: int
    open_calls: int


async def totals(
    tx: asyncpg.Connection, grant_id: str, period_start: date, period_end: date
) -> UsageTotals:
    """Sums of the grant's events from ``period_start`` up to, not including, ``period_end`` (Beijing)."""
    row = await tx.fetchrow(
        "SELECT coalesce(sum(rows), 0)::bigint AS rows, coalesce(sum(calls), 0)::bigint AS calls,"
        " coalesce(sum(bytes), 0)::bigint AS bytes FROM billing.usage_event"
        " WHERE subject = $1 AND time >= $2 AND time < $3",
        grant_id, beijing_start(period_start), beijing_start(period_end),
    )
    return UsageTotals(row["rows"], row["calls"], row["bytes"]) if row else UsageTotals()


async def totals_by_grant(
    tx: asyncpg.Connection, period_start: date, period_end: date
) -> dict[str, UsageTotals]:
    """Sums of every grant that has events in the period (days in Beijing, end excluded)."""
    rows = await tx.fetch(
        "SELECT subject, sum(rows)::bigint AS rows, sum(calls)::bigint AS calls, sum(bytes)::bigint AS bytes"
        " FROM billing.usage_event WHERE time >= $1 AND time < $2 GROUP BY subject",
        beijing_start(period_start), beijing_start(period_end),
    )
    return {row["subject"]: UsageTotals(row["rows"], row["calls"], row["bytes"]) for row in rows}


async def events(
    tx: asyncpg.Connection, grant_ids: Sequence[str] | None = None, *, period_start: date | None = None,
    period_end: date | None = None, after: int = 0, limit: int = 1000,
) -> list[UsageEvent]:
    """Events in the order they were recorded, after the one numbered ``after``; None asks for every grant."""
    rows = await tx.fetch(
        """
        SELECT * FROM billing.usage_event
        WHERE ($1::text[] IS NULL OR subject = ANY($1)) AND number > $2
          AND ($3::timestamptz IS NULL OR time >= $3) AND ($4::timestamptz IS NULL OR time < $4)
        ORDER BY number LIMIT $5
        """,
        None if grant_ids is None else list(grant_ids), after,
        beijing_start(period_start) if period_start else None,
        beijing_start(period_end) if period_end else None, limit,
    )
    return [store.event_of_record(row) for row in rows]


async def each_event(
    tx: asyncpg.Connection, grant_id: str, period_start: date, period_end: date
) -> AsyncIterator[UsageEvent]:
    """Every event of a grant in a period, page by page: flat memory for long periods."""
    after = 0
    while True:
        page = await events(
            tx, [grant_id], period_start=period_start, period_end=period_end, after=after, limit=5000
        )
        for event in page:
            yield event
        if len(page) < 5000:
            return
        after = page[-1].number or after


async def open_reservations(
    tx: asyncpg.Connection, *, grant_id: str | None = None, before: date | None = None
) -> list[OpenReservation]:
    """Deliveries not settled yet, oldest first; ``before`` names the day (Beijing) they were reserved before.

    A period must not close while one of its own is open: its event will bear the time of the reservation.
    """
    rows = await tx.fetch(
        "SELECT id, grant_id, resource_id, rows_reserved, reserved_at FROM billing.usage_reservation"
        " WHERE state = 'open' AND ($1::text IS NULL OR grant_id = $1) AND ($2::date IS NULL OR day < $2)"
        " ORDER BY reserved_at, id",
        grant_id, before,
    )
    return [OpenReservation(**dict(row)) for row in rows]


async def record_event(tx: asyncpg.Connection, event: UsageEvent, now: datetime) -> bool:
    """Add an event made elsewhere; False when it is there. Raises UsageEventConflict on other content."""
    keys = store.keys_of(event.subject, beijing_date(event.time))
    counters = await store.lock_counters(tx, keys)
    added, _ = await store.insert_events(tx, [event], now)
    if not added:
        return False
    for key in keys:
        counters[key].calls += event.calls
        counters[key].rows += event.rows
        counters[key].bytes += event.bytes
    await store.write_counters(tx, counters)
    return True


async def spans(
    tx: asyncpg.Connection, grant_id: str, span: str, start: date, end: date
) -> list[SpanTotals]:
    """Sums per ``day`` or ``month`` that begin within [start, end), from the counters: live, one read."""
    rows = await tx.fetch(
        """
        SELECT starts_on, sum(calls)::bigint AS calls, sum(rows)::bigint AS rows, sum(bytes)::bigint AS bytes,
            sum(open_rows)::bigint AS open_rows, sum(open_calls)::bigint AS open_calls
        FROM (
            SELECT grant_id, span, starts_on, calls, rows, bytes, open_rows, open_calls FROM billing.usage_counter
            UNION ALL
            SELECT grant_id, span, starts_on, calls, rows, bytes, 0, 0 FROM billing.usage_counter_late
        ) AS c
        WHERE grant_id = $1 AND span = $2 AND starts_on >= $3 AND starts_on < $4 GROUP BY starts_on ORDER BY starts_on
        """,
        grant_id, span, start, end,
    )
    return [
        SpanTotals(
            row["starts_on"], UsageTotals(row["rows"], row["calls"], row["bytes"]), row["open_rows"],
            row["open_calls"],
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Bound:
    """One bound of a quota and what it leaves; what is reserved counts as used until it is settled."""

    meter: str
    span: str
    limit: int
    left: int
    resets_on: date | None

    @property
    def name(self) -> str:
        return f"{self.meter}_{self.span}"

    def as_document(self) -> dict[str, Any]:
        return {
            "limit": self.limit, "left": self.left,
            "resets_on": self.resets_on.isoformat() if self.resets_on else None,
        }


@dataclass(frozen=True)
class QuotaLeft:
    """What a grant may still use; None is without bound."""

    rows_month: int | None
    calls_day: int | None
    month_resets_on: date
    bounds: tuple[Bound, ...] = ()

    def refusal(self, now: datetime) -> QuotaExhausted | None:
        """What every further call is answered with, as no call is served where nothing is left.

        Keys are another matter: those that were asked for before may be asked for again.
        """
        for one in self.bounds:
            if one.left == 0 and one.meter != "keys":
                wait = seconds_until(one.resets_on, now) if one.resets_on else None
                return QuotaExhausted(one.meter, one.span, 0, one.resets_on, wait)
        return None


async def quota_left(tx: asyncpg.Connection, grant_id: str, quota: Quota, today: date) -> QuotaLeft:
    counters = await store.read_counters(tx, store.keys_of(grant_id, today))
    resets = {"day": today + timedelta(days=1), "month": next_month(today)}
    bounds = []
    for meter, span, limit in quota.set_bounds():
        counter = counters.get(store.key_of(grant_id, today, span))
        used = counter.used()[METERS.index(meter)] if counter else 0
        bounds.append(Bound(meter, span, limit, max(0, limit - used), resets.get(span)))
    left = {one.name: one.left for one in bounds}
    return QuotaLeft(left.get("rows_month"), left.get("calls_day"), resets["month"], tuple(bounds))


async def settle_lost(
    pool: asyncpg.Pool, audit: AuditLog, now: datetime, *, lease_s: float = LEASE_S
) -> int:
    """Settle deliveries whose process is gone, at the rows they had reserved; returns how many.

    Nobody can know how much a lost process had sent. Reserved rows are the most it may have sent, so what is
    recorded is never less than what was served. The event says ``settled_by_rule``: it can be corrected.
    """
    settled = 0
    while True:
        async with store.acquire(pool) as connection, connection.transaction():
            lost = await store.lost_reservations(connection, lease_s, LOST_BATCH)
            if not lost:
                await store.forget_lost_processes(connection, PROCESSES_KEPT_S)
                return settled
            done = await carry_out(connection, audit, "worker", Work(settles=lost), now)
            settled += len(done.events)
            await audit.append(
                connection,
                AuditEntry(
                    "usage.settled_by_rule", "system", "usage", lost[0].id,
                    details={"count": len(done.events), "lease_s": lease_s},
                ),
            )
