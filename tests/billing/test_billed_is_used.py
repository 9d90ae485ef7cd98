"""What is billed over all months is what was used, whatever the order: a property, tried on streams drawn by seed.

Deliveries, reports of others, sent again, sent with other content, corrected, cancelled, late, at the first and the
last instant of a month, all of them from several senders at once and while the month is being closed by two people.
``GOVOPEN_BILL_MONTHS`` is how many months are gone through (4).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from authz import Call, FixedClock, Runtime, new_id
from billing.errors import ReservationsOpen
from billing.invoices.closing import close_period
from billing.periods import Period
from billing.testing.builders import OFFICER, a_billed_city
from billing.usage import Served
from billing.usage.cloudevents import CANCELLED, CORRECTED, parse
from billing.usage.ingest import CONFLICT, Ingestor, Parcel
from billing.usage.model import Ask, UsageEvent
from billing.usage.recorder import UsageRecorder

MONTHS = int(os.environ.get("GOVOPEN_BILL_MONTHS") or 4)
FIRST = Period(2026, 9)
TICK = timedelta(microseconds=1)
ROWS = (0, 1, 7, 99, 450, 3_333, 9_999, 12_345)


def by_hand(rows: int) -> int:
    """Fen for so many rows of a month: 20 per 100 up to 10,000 and 10 per 100 beyond, each half-up."""
    first, rest = min(rows, 10_000), max(0, rows - 10_000)
    return (first * 20 + 50) // 100 + (rest * 10 + 50) // 100


@dataclass
class Sent:
    """One use as the world knows it: what it counts for in the end, kept apart from the platform."""

    grant: str
    month: Period
    rows: int
    document: dict[str, Any] | None
    fixed_at: datetime | None = None
    cancelled: bool = False


@dataclass
class World:
    runtime: Runtime
    grants: list[str]
    recorder: UsageRecorder
    ingestor: Ingestor
    draw: random.Random
    months: list[Period] = field(default_factory=list)
    sent: dict[str, Sent] = field(default_factory=dict)
    issued: int = 0

    def instant(self, month: Period) -> datetime:
        """Often the first or the last instant of the month, else any."""
        whole = month.ends_at - month.starts_at
        return self.draw.choice([
            month.starts_at, month.starts_at + TICK, month.ends_at - TICK, month.ends_at - timedelta(seconds=1),
            month.starts_at + self.draw.random() * (whole - timedelta(seconds=2)),
        ])

    def some_month(self) -> Period:
        return self.draw.choice(self.months[-1:] * 3 + self.months)

    # --- what may happen ---------------------------------------------------------------------------------------

    async def deliver(self) -> None:
        """A delivery of our own: recorded at once, or reserved first and settled with less."""
        grant, month, rows = self.draw.choice(self.grants), self.some_month(), self.draw.choice(ROWS)
        ask = Ask(grant, "res-city", "x", ("a",), rows + 5, self.instant(month))
        if self.draw.random() < 0.5:
            await self.recorder.record(ask, Served(rows, rows))
        else:
            await self.recorder.reserve(ask)
            await asyncio.sleep(self.draw.random() * 0.02)
            await self.recorder.settle(ask, Served(rows, rows))
        self.sent[ask.id] = Sent(grant, month, rows, None)

    async def report(self) -> None:
        """Reports of an operator in one request, some of them twice, then one with other content."""
        documents = []
        for _ in range(self.draw.randrange(1, 6)):
            grant, month, rows = self.draw.choice(self.grants), self.some_month(), self.draw.choice(ROWS)
            documents.append(self._document(grant, month, rows))
        again = self.draw.sample(documents, k=self.draw.randrange(len(documents) + 1))
        answers = await self._send(documents + again)
        assert answers == ["recorded"] * len(documents) + ["duplicate"] * len(again)
        other = self.draw.choice(documents)
        assert await self._send([{**other, "time": self.instant(self.some_month()).isoformat(), "type": "cn.x"}]) == [
            CONFLICT
        ]

    def _document(self, grant: str, month: Period, rows: int) -> dict[str, Any]:
        document = {
            "specversion": "1.0", "id": new_id("evt"), "source": "https://operator.example/p",
            "type": "cn.example.q", "subject": grant, "time": self.instant(month).isoformat(),
            "data": {"rows": rows, "calls": 1, "bytes": rows},
        }
        self.sent[str(document["id"])] = Sent(grant, month, rows, document)
        return document

    async def report_late(self) -> dict[str, Any]:
        """A use of a month that was closed before, by one who pays."""
        document = self._document(self.grants[0], FIRST, 9_999)
        assert await self._send([document]) == ["recorded"]
        return document

    async def take_back(self, document: dict[str, Any]) -> None:
        """Cancel what was billed."""
        data = {"source": document["source"], "id": document["id"], "reason": "核对后取消"}
        at = datetime(2026, 8, 1, tzinfo=UTC)
        cancelled = {**document, "id": new_id("cor"), "type": CANCELLED, "time": at.isoformat(), "data": data}
        assert await self._send([cancelled]) == ["recorded"]
        self.sent[document["id"]].rows = 0

    async def fix(self) -> None:
        """A correction or a cancellation of a report, sent twice: whichever was issued last counts, a cancellation
        before all."""
        known = [(name, one) for name, one in self.sent.items() if one.document is not None]
        if not known:
            return
        name, one = self.draw.choice(known)
        assert one.document is not None
        self.issued += 1
        at = datetime(2026, 8, 1, tzinfo=UTC) + timedelta(seconds=self.draw.randrange(10**6), microseconds=self.issued)
        cancel, rows = self.draw.random() < 0.3, self.draw.choice(ROWS)
        data: dict[str, Any] = {"source": one.document["source"], "id": name, "reason": "核对后更正"}
        if not cancel:
            data["data"] = {"rows": rows, "calls": 1, "bytes": rows}
        document = {
            **one.document, "id": new_id("cor"), "type": CANCELLED if cancel else CORRECTED, "time": at.isoformat(),
            "data": data,
        }
        (answer,) = await self._send([document])
        if not isinstance(answer, str):  # its event has not come yet, and may come now: not sent again
            assert answer.code == "usage_event_unknown"
            return
        assert (answer, await self._send([document])) == ("recorded", ["duplicate"])
        if cancel:
            one.cancelled, one.rows = True, 0
        elif not one.cancelled and (one.fixed_at is None or at > one.fixed_at):
            one.fixed_at, one.rows = at, rows

    async def _send(self, documents: list[dict[str, Any]]) -> list[Any]:
        events = [parse(one) for one in documents]
        assert all(isinstance(one, UsageEvent) for one in events), events
        return list(await self.ingestor.record(Parcel("test", "req", events)))  # type: ignore[arg-type]

    async def close(self, month: Period) -> None:
        while True:
            try:
                await close_period(self.runtime, Call(OFFICER, self.runtime.clock.now(), "req-test"), month)
                return
            except ReservationsOpen:  # told to come again when deliveries have ended
                await asyncio.sleep(0.005)

    async def end(self, month: Period) -> None:
        self.months.append(month)
        self.runtime.clock.at = month.ends_at + timedelta(minutes=1)  # type: ignore[attr-defined]
        await self.close(month)

    async def live_through(self, month: Period, doings: int) -> None:
        """Senders before the month's end, others while two people close it."""
        self.months.append(month)
        self.runtime.clock.at = month.ends_at + timedelta(minutes=1)  # type: ignore[attr-defined]
        await asyncio.gather(*(self._sender(doings) for _ in range(3)))
        work: list[Coroutine[Any, Any, None]] = [self._sender(doings) for _ in range(3)]
        work += [self.close(month), self.close(month)]
        self.draw.shuffle(work)
        await asyncio.gather(*work)

    async def _sender(self, doings: int) -> None:
        for _ in range(doings):
            await self.draw.choice([self.deliver, self.report, self.report, self.fix])()
            await asyncio.sleep(self.draw.random() * 0.005)


@pytest.fixture
async def world(runtime: Runtime, committed: Any, clock: FixedClock) -> AsyncIterator[World]:
    clock.at = datetime(2026, 9, 1, tzinfo=UTC)
    async with committed() as scene:
        grants = await a_billed_city(scene, since=datetime(2026, 8, 20, tzinfo=UTC))
    recorder = UsageRecorder(runtime.pool, runtime.audit, clock)
    await recorder.start()
    seed = int(os.environ.get("GOVOPEN_BILL_SEED") or 20261122)
    yield World(
        runtime, [grants["alpha"], grants["beta"], grants["charity"]], recorder,
        Ingestor(runtime.pool, runtime.audit, clock), random.Random(seed),
    )
    await recorder.close()


async def test_billed_over_all_months_is_used_once_and_wholly(world: World, pool: asyncpg.Pool) -> None:
    month = FIRST
    for _ in range(MONTHS):
        await world.live_through(month, doings=8)
        month = month.following()
    late = await world.report_late()
    await world.end(month)  # with what came while the last month was being closed
    await world.take_back(late)
    await world.end(month.following())
    used: dict[tuple[str, str], int] = defaultdict(int)
    for one in world.sent.values():
        used[one.grant, str(one.month)] += one.rows
    assert sum(used.values()) == await pool.fetchval("SELECT sum(rows)::bigint FROM billing.usage_event")
    billed = {
        (row["grant_id"], row["usage_period"]): row["rows_total"]
        for row in await pool.fetch(
            "SELECT DISTINCT ON (grant_id, usage_period) * FROM billing.billed_usage"
            " ORDER BY grant_id, usage_period, closed_period DESC"
        )
    }
    assert {key: rows for key, rows in billed.items() if rows} == {key: rows for key, rows in used.items() if rows}
    await _cuts_meet(pool)
    charity = world.grants[2]
    for (grant, period), rows in used.items():
        assert await _owed(pool, grant, period) == (0 if grant == charity else by_hand(rows)), (grant, period, rows)
    assert await pool.fetchval("SELECT count(*) FROM billing.invoice_line WHERE kind = 'adjustment'") > 0
    assert await pool.fetchval("SELECT count(*) FROM billing.credit_note") > 0


async def _cuts_meet(pool: asyncpg.Pool) -> None:
    """The stretches of events that a month's bills stand for begin where the one before ended: none twice, none left
    out."""
    rows = await pool.fetch("SELECT * FROM billing.billed_usage ORDER BY grant_id, usage_period, closed_period")
    for before, after in itertools.pairwise(rows):
        if (before["grant_id"], before["usage_period"]) == (after["grant_id"], after["usage_period"]):
            assert before["up_to_number"] <= after["up_to_number"]
            assert after["after_number"] == before["up_to_number"]


async def _owed(pool: asyncpg.Pool, grant: str, period: str) -> int:
    """Fen billed for a month's use in all invoices, less what was credited."""
    owed: int = await pool.fetchval(
        """
        SELECT coalesce(sum(l.amount_fen - coalesce((
            SELECT sum(n.amount_fen) FROM billing.credit_note_line n
            WHERE (n.invoice_id, n.line) = (l.invoice_id, l.line)), 0)), 0)::bigint
        FROM billing.invoice_line l WHERE l.grant_id = $1 AND l.usage_period = $2
        """,
        grant, period,
    )
    return owed
