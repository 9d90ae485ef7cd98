"""Late, corrected and cancelled use after a month was billed: bills and credits together are what one bill would be."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from authz import Call, FixedClock, Runtime, new_id
from billing.invoices.closing import close_period
from billing.periods import Period
from billing.testing.builders import OFFICER, a_billed_city
from billing.usage.cloudevents import CANCELLED, CORRECTED, parse
from billing.usage.ingest import Ingestor, Parcel
from billing.usage.model import UsageEvent

MONTHS = [Period(2026, month) for month in (9, 10, 11, 12)]


def by_hand(rows: int) -> int:
    """Fen for so many rows of a month: 20 per 100 up to 10,000 and 10 per 100 beyond, each half-up."""
    first, rest = min(rows, 10_000), max(0, rows - 10_000)
    return (first * 20 + 50) // 100 + (rest * 10 + 50) // 100


@dataclass
class City:
    """What really was used, kept apart from the platform: rows by event, of grant and month."""

    runtime: Runtime
    grants: dict[str, str]
    used: dict[str, tuple[str, Period, int]] = field(default_factory=dict)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    clock_s: int = 0

    async def send(self, *given: dict[str, Any]) -> None:
        ingestor = Ingestor(self.runtime.pool, self.runtime.audit, self.runtime.clock)
        events = [parse(one) for one in given]
        assert all(isinstance(one, UsageEvent) for one in events), events
        answers = await ingestor.record(Parcel("test", "req", events))  # type: ignore[arg-type]
        assert set(answers) <= {"recorded"}, answers

    async def use(self, name: str, month: Period, rows: int) -> str:
        event = {
            "specversion": "1.0", "id": new_id("evt"), "source": f"https://{name}.example", "type": "cn.example.q",
            "subject": self.grants[name], "time": (month.starts_at + timedelta(days=9)).isoformat(),
            "data": {"rows": rows, "calls": 1, "bytes": rows},
        }
        await self.send(event)
        self.used[event["id"]], self.events[event["id"]] = (name, month, rows), event
        return str(event["id"])

    async def correct(self, event_id: str, rows: int | None) -> None:
        """Set an event right, later than whatever corrected it before; what was cancelled stays so."""
        self.clock_s += 1
        name, month, _ = self.used[event_id]
        event = self.events[event_id]
        data: dict[str, Any] = {"source": event["source"], "id": event_id, "reason": "核对后更正"}
        if rows is not None:
            data["data"] = {"rows": rows, "calls": 1, "bytes": rows}
        at = datetime(2026, 8, 1, tzinfo=UTC) + timedelta(seconds=self.clock_s)
        await self.send({
            **event, "id": new_id("cor"), "type": CANCELLED if rows is None else CORRECTED, "time": at.isoformat(),
            "data": data,
        })
        if rows is None:
            self.cancelled.add(event_id)
        self.used[event_id] = (name, month, 0 if event_id in self.cancelled else rows or 0)

    async def close(self, month: Period) -> None:
        self.runtime.clock.at = month.ends_at + timedelta(days=2)  # type: ignore[attr-defined]
        await close_period(self.runtime, Call(OFFICER, self.runtime.clock.now(), "req-test"), month)

    async def check(self, closed: list[Period]) -> None:
        """Bills less credits of each closed month are what its true use costs by hand."""
        for name, grant in self.grants.items():
            for month in closed:
                billed = await self.runtime.pool.fetchval(
                    "SELECT coalesce(sum(amount_fen), 0)::bigint FROM billing.invoice_line WHERE grant_id = $1"
                    " AND usage_period = $2", grant, str(month),
                )
                credited = await self.runtime.pool.fetchval(
                    "SELECT coalesce(sum(n.amount_fen), 0)::bigint FROM billing.credit_note_line n"
                    " JOIN billing.invoice_line l USING (invoice_id, line)"
                    " WHERE l.grant_id = $1 AND l.usage_period = $2", grant, str(month),
                )
                rows = sum(r for n, m, r in self.used.values() if (n, m) == (name, month))
                due = 0 if name == "charity" else by_hand(rows)
                assert billed - credited == due, (name, str(month), rows)


@pytest.fixture
async def city(runtime: Runtime, committed: Any, clock: FixedClock) -> City:
    clock.at = datetime(2026, 9, 1, tzinfo=UTC)
    async with committed() as scene:
        grants = await a_billed_city(scene, since=datetime(2026, 8, 20, tzinfo=UTC))
    return City(runtime, grants)


async def test_bills_follow_the_truth_through_every_kind_of_change(
    city: City, pool: asyncpg.Pool, client: httpx.AsyncClient, staff: Any
) -> None:
    """Four months with late, corrected and cancelled use between the closes, decided by a seed."""
    draw = random.Random(20261123)
    for place, month in enumerate(MONTHS):
        for _ in range(12):
            name = draw.choice(["alpha", "beta", "charity"])
            await city.use(name, draw.choice(MONTHS[: place + 1]), draw.choice([0, 7, 99, 450, 3_333, 9_999, 12_345]))
        for event_id in draw.sample(sorted(city.used), k=min(8, len(city.used))):
            await city.correct(event_id, draw.choice([None, 0, 1, 50, 5_000, 11_111]))
        await city.close(month)
    last = Period(2027, 1)
    for event_id in draw.sample(sorted(city.used), k=6):
        await city.correct(event_id, None)
    await city.close(last)
    await city.check([*MONTHS, last])
    assert await pool.fetchval("SELECT count(*) FROM billing.credit_note") > 3
    assert await pool.fetchval("SELECT count(*) FROM billing.invoice_line WHERE kind = 'adjustment'") > 5
    report = (await client.get("/v1/ledger/verify", headers=staff("officer"))).json()
    assert (report["balanced"], report["faults"], report["total_fen"]) == (True, [], 0)


async def test_the_events_behind_a_credited_invoice_show_what_changed(
    pool: asyncpg.Pool, client: httpx.AsyncClient, staff: Any
) -> None:
    row = await pool.fetchrow(
        "SELECT n.invoice_id, l.line, l.grant_id, l.usage_period FROM billing.credit_note_line n"
        " JOIN billing.invoice_line l USING (invoice_id, line) ORDER BY n.credit_note_id LIMIT 1"
    )
    listed = (await client.get(f"/v1/invoices/{row['invoice_id']}/usage?limit=200", headers=staff("officer"))).json()
    rows = [one["rows"] for one in listed["items"] if one["grant_id"] == row["grant_id"]]
    assert min(rows) < 0 < max(rows)
