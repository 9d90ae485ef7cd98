"""Corrections and cancellations: events that add, never edit, and whose order of arrival does not matter.

A correction names the event it corrects and says what that event should have said, as a whole. Of several corrections
of one event one counts: a cancellation before any correction, then the one issued last, then the greater (source, id).
That is a total order over what the corrections themselves say, so that in whatever order and however often they arrive,
the event counts for the same in the end. What is kept with each correction is the difference that it made when it
arrived (nothing, when one that counts more was there before), so that plain sums over events stay right at every moment
and a month that is closed already gets the difference in the next bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Literal

import asyncpg

from authz import beijing_date
from billing.usage import staging, store
from billing.usage.cloudevents import CANCELLED, COUNTED, Fault
from billing.usage.model import UsageEvent, month_of

Rank = tuple[bool, datetime, str, str]
Target = tuple[str, str]
Found = Literal["recorded", "duplicate", "conflict"]

NEVER = datetime(1900, 1, 1, tzinfo=UTC)
"""The rank of what the event said itself: below every correction."""

UNKNOWN = Fault(
    "data.id", "usage_event_unknown", "没有该授权下的这一事件；请先报送原事件，再报送更正",
    "there is no such event of this grant; send the event before its correction",
)
NOT_TWICE = Fault(
    "data.id", "correction_of_correction", "不能更正一条更正事件；请再次更正原事件",
    "is a correction itself; correct the first event again",
)
MOVED_OUT = Fault(
    "data.id", "usage_month_archived", "该事件所在月份已归档；恢复该月后方可更正",
    "lies in a month that was moved out; it can be corrected when the month is restored",
)


@dataclass(slots=True)
class Effective:
    """What a corrected event counts for now, and by which correction."""

    rank: Rank
    rows: int
    calls: int
    bytes: int
    data: Mapping[str, Any]


def rank_of(event: UsageEvent) -> Rank:
    return (event.type == CANCELLED, event.issued_at or NEVER, event.source, event.id)


def stated(event: UsageEvent) -> Effective:
    """What a correction says that its event should count for."""
    data: Mapping[str, Any] = {} if event.type == CANCELLED else event.data["data"]
    rows, calls, size = (int(data.get(name, 0)) for name in COUNTED)
    return Effective(rank_of(event), rows, calls, size, data)


async def record(tx: asyncpg.Connection, events: Sequence[UsageEvent], now: datetime) -> list[Found | Fault]:
    """Record corrections, each (source, id) of which comes once; an answer for each in their order."""
    originals = await _originals(tx, [event.corrects for event in events if event.corrects])
    answers: list[Found | Fault] = [_fault(event, originals) or "recorded" for event in events]
    places = [place for place, answer in enumerate(answers) if answer == "recorded"]
    if not places:
        return answers
    placed = {
        place: replace(
            events[place], time=original["time"], resource_id=original["resource_id"] or "",
        )
        for place in places
        if (original := originals[events[place].corrects or ("", "")])
    }
    await staging.prepare(tx, placed.values())
    await staging.stage(tx, [staging.row_of(place, one, events[place].digest) for place, one in placed.items()])
    for place, same in (await staging.identify(tx)).items():
        answers[place] = "duplicate" if same else "conflict"
        del placed[place]
    if not placed:
        return answers
    differences = await _differences(tx, placed, originals)
    await _count(tx, differences.values(), month_of(beijing_date(now)))
    await tx.executemany(
        "UPDATE usage_staging SET rows = $2, calls = $3, bytes = $4 WHERE ord = $1",
        [(place, one.rows, one.calls, one.bytes) for place, one in differences.items()],
    )
    await staging.write(tx, now)
    return answers


async def _originals(tx: asyncpg.Connection, targets: Sequence[Target]) -> dict[Target, asyncpg.Record]:
    """What the targets are; ``moved`` when the identity is known but the month is not here."""
    rows = await tx.fetch(
        """
        SELECT i.source, i.id, i.time, e.number, e.subject, e.resource_id, e.type, e.rows, e.calls, e.bytes, e.data,
            e.corrects_id, e.number IS NULL AS moved
        FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS k (source, id)) AS k
        JOIN billing.usage_identity i ON (i.source, i.id) = (k.source, k.id)
        LEFT JOIN billing.usage_event e ON e.number = i.number AND e.time = i.time
        """,
        [source for source, _ in targets], [name for _, name in targets],
    )
    found = {(row["source"], row["id"]): row for row in rows}
    # a correction's identity bears its original's time, so that it is found in the same month
    return found


def _fault(event: UsageEvent, originals: Mapping[Target, asyncpg.Record]) -> Fault | None:
    original = originals.get(event.corrects or ("", ""))
    if original is None:
        return UNKNOWN
    if original["moved"]:
        return MOVED_OUT
    if original["subject"] != event.subject:
        return UNKNOWN
    return NOT_TWICE if original["corrects_id"] is not None else None


async def _differences(
    tx: asyncpg.Connection, placed: Mapping[int, UsageEvent], originals: Mapping[Target, asyncpg.Record]
) -> dict[int, UsageEvent]:
    """Each correction with the difference it makes for its counts; what the originals count for follows."""
    targets = sorted({event.corrects for event in placed.values() if event.corrects})
    now = await _lock(tx, [originals[target] for target in targets])
    found: dict[int, UsageEvent] = {}
    changed: dict[Target, UsageEvent] = {}
    for place, event in placed.items():
        target = event.corrects or ("", "")
        before, after = now[target], stated(event)
        if after.rank <= before.rank:
            found[place] = replace(event, rows=0, calls=0, bytes=0)
            continue
        found[place] = replace(
            event, rows=after.rows - before.rows, calls=after.calls - before.calls, bytes=after.bytes - before.bytes
        )
        now[target], changed[target] = after, event
    await tx.executemany(
        "UPDATE billing.usage_effective SET cancelled = $3, issued_at = $4, by_source = $5, by_id = $6, rows = $7,"
        " calls = $8, bytes = $9, data = $10 WHERE subject = $11 AND (source, id) = ($1, $2)",
        [(*target, *now[target].rank, now[target].rows, now[target].calls, now[target].bytes, dict(now[target].data),
          event.subject) for target, event in changed.items()],
    )
    return found


async def _lock(tx: asyncpg.Connection, originals: Sequence[asyncpg.Record]) -> dict[Target, Effective]:
    """What each original counts for, held until the transaction ends; first made from what it said itself."""
    rows = await tx.fetch(
        """
        INSERT INTO billing.usage_effective AS e (source, id, subject, resource_id, time, number, type, cancelled,
                                                  issued_at, by_source, by_id, rows, calls, bytes, data)
        SELECT source, id, subject, resource_id, time, number, type, false, $11, '', '', rows, calls, bytes, data
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::text[],
                    $8::bigint[], $9::bigint[], $10::bigint[], $12::jsonb[])
            AS o (source, id, subject, resource_id, time, number, type, rows, calls, bytes, data)
        ORDER BY source COLLATE "C", id COLLATE "C"
        ON CONFLICT (subject, source, id) DO UPDATE SET number = e.number
        RETURNING *
        """,
        *([one[name] for one in originals] for name in (
            "source", "id", "subject", "resource_id", "time", "number", "type", "rows", "calls", "bytes",
        )), NEVER, [one["data"] for one in originals],
    )
    return {
        (row["source"], row["id"]): Effective(
            (row["cancelled"], row["issued_at"], row["by_source"], row["by_id"]), row["rows"], row["calls"],
            row["bytes"], row["data"],
        )
        for row in rows
    }


async def _count(tx: asyncpg.Connection, events: Iterable[UsageEvent], this_month: date) -> None:
    """Add the differences, negative ones too, where the events that were corrected are counted."""
    now: list[tuple[store.Key, UsageEvent]] = []
    late: list[tuple[store.Key, UsageEvent]] = []
    for event in events:
        for key in store.keys_of(event.subject, beijing_date(event.time)):
            (late if key[1] != "life" and key[2] < this_month else now).append((key, event))
    counters = await store.lock_counters(tx, (key for key, _ in now))
    for key, event in now:
        counters[key].rows += event.rows
        counters[key].calls += event.calls
        counters[key].bytes += event.bytes
    await store.write_counters(tx, counters)
    await tx.executemany(
        "INSERT INTO billing.usage_counter_late (grant_id, span, starts_on, calls, rows, bytes)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        [(*key, event.calls, event.rows, event.bytes) for key, event in late],
    )
