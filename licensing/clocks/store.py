"""Clock events at rest: ``licensing.clock_event``, append-only."""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg

from authz import Call, beijing_date
from licensing.clocks.model import ClockEvent, ClockKind, Reading, read_clock
from licensing.working_days import WorkingDays


async def record(
    tx: asyncpg.Connection, call: Call, object_kind: str, object_id: str, step: str, kind: ClockKind, *,
    days: WorkingDays | None = None, approver: str | None = None, reason: str | None = None,
    basis: str | None = None,
) -> None:
    """Append one event at the call's time."""
    await tx.execute(
        "INSERT INTO licensing.clock_event (object_kind, object_id, step, kind, at, on_date, days, actor, approver,"
        " reason, basis) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        object_kind, object_id, step, kind.value, call.now, beijing_date(call.now),
        days.count if days else 0,
        call.identity.name, approver, reason, basis,
    )


async def events_of(
    tx: asyncpg.Connection, object_kind: str, object_ids: Iterable[str]
) -> dict[str, list[ClockEvent]]:
    """Events of each object in order of happening; objects without any are absent."""
    rows = await tx.fetch(
        "SELECT * FROM licensing.clock_event WHERE object_kind = $1 AND object_id = ANY($2::text[]) ORDER BY id",
        object_kind, list(object_ids),
    )
    found: dict[str, list[ClockEvent]] = {}
    for row in rows:
        found.setdefault(row["object_id"], []).append(
            ClockEvent(
                step=row["step"], kind=ClockKind(row["kind"]), on=row["on_date"], days=WorkingDays(row["days"]),
                actor=row["actor"], approver=row["approver"], reason=row["reason"], basis=row["basis"],
                at=row["at"],
            )
        )
    return found


async def reading(
    tx: asyncpg.Connection, call: Call, object_kind: str, object_id: str, step: str
) -> Reading | None:
    """The clock of one step as of the call's day; None when it never started."""
    events = await events_of(tx, object_kind, [object_id])
    return read_clock(events.get(object_id, ()), step, beijing_date(call.now))
