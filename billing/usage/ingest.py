"""Taking in events that others send: group-committed, recorded once whatever the time, each with its own answer."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import asyncpg

from authz import AuditEntry, AuditLog, Clock, Unavailable, beijing_date
from billing.usage import corrections, staging
from billing.usage.cloudevents import CANCELLED, Fault
from billing.usage.model import UsageEvent, month_of
from billing.usage.recorder import is_away
from billing.usage.store import acquire

log = logging.getLogger("govopen.usage")

COMMIT_MAX = 2_000
"""Events of one transaction, when requests are not larger: while one is written, others are read."""
LANES = 2
"""Transactions under way at once. A second one waits for the counters that the first one holds, but is ready then."""
WAITING_MAX = 200_000
"""Events that may wait in memory; who comes then is told to come again."""
TRIES = 4
RETRY_AFTER_S = 0.1
TIMEOUT_S = 60.0
GRANTS_NAMED = 20
"""Grants and sources that an audit entry names; the digest stands for all."""

Status = Literal["recorded", "duplicate"]
Answer = Status | Fault
"""What became of one event."""

CONFLICT = Fault(
    "id", "usage_event_conflict", "该事件（source、id）已记录，且内容不同；已记录的事件不可修改，请报送更正事件",
    "this event (source, id) is already recorded with other content; nothing is changed, send a correction",
)


@dataclass(eq=False)
class Parcel:
    """The events of one request that may be recorded, and who sends them."""

    actor: str
    request_id: str
    events: Sequence[UsageEvent]
    answer: asyncio.Future[list[Answer]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Ingestor:
    """Records parcels for one service process, a few transactions at a time, each with all that waits."""

    def __init__(self, pool: asyncpg.Pool, audit: AuditLog, clock: Clock) -> None:
        self._pool, self._audit, self._clock = pool, audit, clock
        self._waiting: deque[Parcel] = deque()
        self._events_waiting = 0
        self._lanes: set[asyncio.Task[None]] = set()

    async def record(self, parcel: Parcel) -> list[Answer]:
        """Record the events; an answer for each, in their order. Raises Unavailable when nothing was recorded."""
        if not parcel.events:
            return []
        if self._events_waiting > WAITING_MAX:
            raise Unavailable(part="usage")
        self._waiting.append(parcel)
        self._events_waiting += len(parcel.events)
        if len(self._lanes) < LANES:
            lane = asyncio.create_task(self._lane())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await asyncio.shield(parcel.answer)

    async def close(self) -> None:
        """Finish what is waiting, for a few seconds; senders of the rest get no answer and send again."""
        if self._lanes:
            _, late = await asyncio.wait(list(self._lanes), timeout=5)
            for lane in late:
                lane.cancel()

    async def _lane(self) -> None:
        while self._waiting:
            parcels: list[Parcel] = []
            count = 0
            while self._waiting and count < COMMIT_MAX:
                parcels.append(self._waiting.popleft())
                count += len(parcels[-1].events)
            self._events_waiting -= count
            await self._commit(parcels)

    async def _commit(self, parcels: list[Parcel]) -> None:
        """Tried again when the database was away: identity makes sending again harmless, for us as for others."""
        for attempt in range(TRIES):
            try:
                async with asyncio.timeout(TIMEOUT_S), acquire(self._pool) as connection:
                    answers = await record(connection, self._audit, parcels, self._clock.now())
            except Exception as fault:
                if not is_away(fault, is_last=attempt == TRIES - 1):
                    await self._apart(parcels, fault)
                    return
                log.warning("events could not be recorded (%s), try %d", type(fault).__name__, attempt + 1)
                await asyncio.sleep(RETRY_AFTER_S * (attempt + 1))
            else:
                for parcel, answer in zip(parcels, answers, strict=True):
                    if not parcel.answer.done():
                        parcel.answer.set_result(answer)
                return
        _refuse(parcels, Unavailable(part="PostgreSQL"))

    async def _apart(self, parcels: list[Parcel], fault: Exception) -> None:
        """One faulty parcel must not harm its neighbors."""
        if len(parcels) > 1:
            for parcel in parcels:
                await self._commit([parcel])
            return
        log.error("events refused by the database", exc_info=fault)
        _refuse(parcels, fault)


def _refuse(parcels: Sequence[Parcel], fault: Exception) -> None:
    for parcel in parcels:
        if not parcel.answer.done():
            parcel.answer.set_exception(fault)


async def record(
    connection: asyncpg.Connection, audit: AuditLog, parcels: Sequence[Parcel], now: datetime
) -> list[list[Answer]]:
    """Record parcels: plain events in one transaction, then corrections in another. One answer per event."""
    batch = _Batch(parcels)
    plain, fixes = batch.places(corrections=False), batch.places(corrections=True)
    if plain:
        async with connection.transaction():
            await _record_plain(connection, batch, plain, now)
            await _leave_evidence(connection, audit, batch, plain)
    if fixes:
        async with connection.transaction():
            found = await corrections.record(connection, [batch.events[place] for place in fixes], now)
            for place, answer in zip(fixes, found, strict=True):
                batch.answers[place] = CONFLICT if answer == "conflict" else answer
            await _leave_corrections(connection, audit, batch, fixes)
    return batch.answered()


class _Batch:
    """The events of several parcels in a row; what repeats an earlier one of them waits for that one's answer."""

    def __init__(self, parcels: Sequence[Parcel]) -> None:
        self.parcels = parcels
        self.events = [event for parcel in parcels for event in parcel.events]
        self.digests = [event.digest for event in self.events]
        self.answers: list[Answer] = ["recorded"] * len(self.events)
        firsts: dict[tuple[str, str], int] = {}
        self._repeats: list[tuple[int, int]] = []
        self._firsts: list[int] = []
        for place, event in enumerate(self.events):
            first = firsts.setdefault((event.source, event.id), place)
            if first == place:
                self._firsts.append(place)
            else:
                self._repeats.append((place, first))

    def places(self, *, corrections: bool) -> list[int]:
        return [place for place in self._firsts if (self.events[place].corrects is not None) is corrections]

    def answered(self) -> list[list[Answer]]:
        for place, first in self._repeats:
            answer = self.answers[first]
            if self.digests[place] != self.digests[first]:
                self.answers[place] = CONFLICT
            else:
                self.answers[place] = "duplicate" if isinstance(answer, str) else answer
        found, at = [], 0
        for parcel in self.parcels:
            found.append(self.answers[at : at + len(parcel.events)])
            at += len(parcel.events)
        return found


async def _record_plain(tx: asyncpg.Connection, batch: _Batch, places: Sequence[int], now: datetime) -> None:
    events = [batch.events[place] for place in places]
    await staging.prepare(tx, events)
    await staging.stage(
        tx, [staging.row_of(place, event, batch.digests[place]) for place, event in zip(places, events, strict=True)]
    )
    for place, same in (await staging.identify(tx)).items():
        batch.answers[place] = "duplicate" if same else CONFLICT
    await staging.count(tx, month_of(beijing_date(now)))
    if any(event.source_sequence is not None for event in events):
        await staging.note_sequences(tx)
    await staging.write(tx, now)


async def _leave_evidence(
    tx: asyncpg.Connection, audit: AuditLog, batch: _Batch, places: Sequence[int]
) -> None:
    """One audit entry per parcel: how many events of which grants, and a digest over theirs."""
    recorded = {place for place in places if batch.answers[place] == "recorded"}
    start = 0
    for parcel in batch.parcels:
        mine = [place for place in range(start, start + len(parcel.events)) if place in recorded]
        start += len(parcel.events)
        if not mine:
            continue
        whole = hashlib.sha256(b"".join(sorted(batch.digests[place] for place in mine))).hexdigest()
        grants = sorted({batch.events[place].subject for place in mine})
        sources = sorted({batch.events[place].source for place in mine})
        await audit.append(
            tx,
            AuditEntry(
                "usage.reported", parcel.actor, "usage", parcel.request_id, request_id=parcel.request_id,
                details={"events": len(mine), "digest": whole, "grants": grants[:GRANTS_NAMED],
                         "grants_in_all": len(grants), "sources": sources[:GRANTS_NAMED]},
            ),
        )


async def _leave_corrections(
    tx: asyncpg.Connection, audit: AuditLog, batch: _Batch, places: Sequence[int]
) -> None:
    """One audit entry per correction, with its reason."""
    actors = [parcel for parcel in batch.parcels for _ in parcel.events]
    for place in places:
        if batch.answers[place] != "recorded":
            continue
        event, parcel = batch.events[place], actors[place]
        target = event.corrects or ("", "")
        await audit.append(
            tx,
            AuditEntry(
                "usage.cancelled" if event.type == CANCELLED else "usage.corrected", parcel.actor, "usage",
                target[1], request_id=parcel.request_id, reason=str(event.data["reason"]),
                details={"grant_id": event.subject, "source": target[0], "by_source": event.source,
                         "by_id": event.id, "digest": batch.digests[place].hex()},
            ),
        )
