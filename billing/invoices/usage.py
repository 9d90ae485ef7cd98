"""Usage as closing sees it: a cut in the numbered events, and sums per grant and month up to that cut."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from billing.errors import ReservationsOpen
from billing.periods import Period


@dataclass(frozen=True)
class MonthlyUse:
    """Sums of events of one grant in one Beijing month, recorded after ``after_number`` up to the cut."""

    grant_id: str
    usage_period: str
    rows: int
    calls: int


async def take_cut(tx: asyncpg.Connection, period: Period) -> int:
    """The highest event number such that every event up to it is committed.

    The share lock waits for writers under way and is held until the end of this short transaction; events that come
    later have higher numbers. Raises ReservationsOpen while a delivery accepted in the period is not settled.
    """
    await tx.execute("LOCK TABLE ONLY billing.usage_event IN SHARE MODE")
    open_now = await tx.fetchval(
        "SELECT count(*) FROM billing.usage_reservation WHERE state = 'open' AND reserved_at < $1", period.ends_at
    )
    if open_now:
        raise ReservationsOpen(period=str(period), count=open_now)
    cut: int = await tx.fetchval(
        "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM billing.usage_event_number"
    )
    return cut


async def monthly_use(tx: asyncpg.Connection, period: Period, after: int, cut: int) -> list[MonthlyUse]:
    """Use to bill at the close of ``period``: its own events, and late ones of earlier months that came since
    event number ``after``, the cut of the previous close."""
    rows = await tx.fetch(
        """
        SELECT subject, $5::text AS month, sum(rows)::bigint AS rows, sum(calls)::bigint AS calls
        FROM billing.usage_event WHERE time >= $1 AND time < $2 AND number <= $4 GROUP BY 1
        UNION ALL
        SELECT subject, to_char(time AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM'), sum(rows)::bigint, sum(calls)::bigint
        FROM billing.usage_event WHERE time < $1 AND number > $3 AND number <= $4 GROUP BY 1, 2
        ORDER BY 1, 2
        """,
        period.starts_at, period.ends_at, after, cut, str(period),
    )
    return [MonthlyUse(row["subject"], row["month"], row["rows"], row["calls"]) for row in rows]


async def earliest_unbilled(tx: asyncpg.Connection, after: int) -> str | None:
    """The month of the earliest event recorded after the last close's cut; None when there is none."""
    month: str | None = await tx.fetchval(
        "SELECT to_char(min(time) AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM') FROM billing.usage_event"
        " WHERE number > $1",
        after,
    )
    return month
