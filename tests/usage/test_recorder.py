"""Reservations, quotas and events on a real PostgreSQL: exact under concurrency, nothing twice or lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime

import asyncpg
import pytest

from authz import FixedClock, Runtime, new_id
from billing import usage
from billing.usage import Ask, Quota, QuotaExhausted, Served, UsageEvent, UsageRecorder

MONTH = (date(2026, 11, 1), date(2026, 12, 1))


@pytest.fixture
async def recorder(runtime: Runtime) -> AsyncIterator[UsageRecorder]:
    opened = UsageRecorder(runtime.pool, runtime.audit, runtime.clock)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def grant_id() -> str:
    return new_id("grt")


def ask(grant_id: str, clock: FixedClock, rows: int = 10, **quota: int) -> Ask:
    return Ask(grant_id, "res-1", "lending", ("name", "code"), rows, clock.now(), Quota(**quota))


async def counter(pool: asyncpg.Pool, grant_id: str, span: str) -> asyncpg.Record:
    return await pool.fetchrow(
        "SELECT calls, rows, bytes, open_calls, open_rows FROM billing.usage_counter"
        " WHERE grant_id = $1 AND span = $2", grant_id, span,
    )


async def test_reserved_then_settled_by_what_was_sent(
    recorder: UsageRecorder, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    wish = ask(grant_id, clock, 100)
    await recorder.reserve(wish)
    assert tuple(await counter(pool, grant_id, "month")) == (0, 0, 0, 1, 100)
    assert [one.id for one in await usage.open_reservations(pool, grant_id=grant_id)] == [wish.id]
    await recorder.settle(wish, Served(37, 4_000, "client_left"))
    assert tuple(await counter(pool, grant_id, "day")) == (1, 37, 4_000, 0, 0)
    (event,) = await usage.events(pool, [grant_id])
    assert (event.source, event.id, event.rows, event.calls) == ("/data/v1", wish.id, 37, 1)
    assert event.data["columns"] == ["name", "code"]
    assert await usage.totals(pool, grant_id, *MONTH) == usage.UsageTotals(37, 1, 4_000)
    assert await usage.open_reservations(pool, grant_id=grant_id) == []


async def test_settling_twice_counts_once(
    recorder: UsageRecorder, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    wish = ask(grant_id, clock)
    await recorder.reserve(wish)
    await asyncio.gather(*(recorder.settle(wish, Served(9, 90)) for _ in range(5)))
    await recorder.settle(wish, Served(3, 30))
    assert (await usage.totals(pool, grant_id, *MONTH)).rows == 9


async def test_nothing_sent_counts_nothing(
    recorder: UsageRecorder, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    wish = ask(grant_id, clock)
    await recorder.reserve(wish)
    await recorder.settle(wish, None)
    assert tuple(await counter(pool, grant_id, "month")) == (0, 0, 0, 0, 0)
    assert await usage.events(pool, [grant_id]) == []


async def test_rows_quota_is_exact_under_200_callers_of_two_processes(
    recorder: UsageRecorder, runtime: Runtime, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    other = UsageRecorder(runtime.pool, runtime.audit, runtime.clock)
    await other.start()

    async def call(number: int) -> int:
        at = (recorder, other)[number % 2]
        wish = ask(grant_id, clock, 7, rows_month=500)
        try:
            if number % 3 == 0:
                await at.record(wish, Served(7, 70))
                return 7
            await at.reserve(wish)
        except QuotaExhausted:
            return 0
        await asyncio.sleep(0.001)
        await at.settle(wish, Served(7, 70))
        return 7

    served = sum(await asyncio.gather(*(call(number) for number in range(200))))
    await other.close()
    assert served == 497
    assert (await usage.totals(pool, grant_id, *MONTH)).rows == served
    assert (await counter(pool, grant_id, "month"))["rows"] == served


async def test_calls_quota_is_exact_under_concurrency_and_opens_again_next_day(
    recorder: UsageRecorder, clock: FixedClock, grant_id: str
) -> None:
    told: list[object] = []

    async def call() -> bool:
        try:
            await recorder.record(ask(grant_id, clock, 1, calls_day=25), Served(1, 1))
        except QuotaExhausted as refusal:
            told.append((refusal.facts["meter"], refusal.headers()["Retry-After"]))
            return False
        return True

    assert sum(await asyncio.gather(*(call() for _ in range(100)))) == 25
    assert set(told) == {("calls_day", str(14 * 3600))}
    clock.advance(hours=14)
    assert await call()


async def test_a_refusal_tells_what_is_left_and_until_when(
    recorder: UsageRecorder, clock: FixedClock, grant_id: str
) -> None:
    await recorder.record(ask(grant_id, clock, 6, rows_month=10), Served(6, 60))
    with pytest.raises(QuotaExhausted) as caught:
        await recorder.reserve(ask(grant_id, clock, 5, rows_month=10))
    assert caught.value.facts["left"] == 4
    assert caught.value.facts["resets_on"] == "2026-12-01"
    assert "limit=4" in caught.value.next("en")


async def test_what_a_lost_process_had_reserved_is_recorded_once(
    recorder: UsageRecorder, runtime: Runtime, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    lost = UsageRecorder(runtime.pool, runtime.audit, runtime.clock)
    await lost.start()
    wish, alive = ask(grant_id, clock, 50), ask(grant_id, clock, 5)
    await lost.reserve(wish)
    await recorder.reserve(alive)
    for task in lost._tasks:
        task.cancel()
    await pool.execute(
        "UPDATE billing.usage_process SET beat_at = beat_at - interval '1 min' WHERE id = $1", lost.process_id
    )
    counts = await asyncio.gather(
        *(usage.settle_lost(pool, runtime.audit, clock.now()) for _ in range(4))
    )
    assert sum(counts) == 1
    (event,) = await usage.events(pool, [grant_id])
    assert (event.rows, event.data["settled_by_rule"], event.data["outcome"]) == (50, True, "by_rule")
    assert [one.id for one in await usage.open_reservations(pool, grant_id=grant_id)] == [alive.id]
    await recorder.settle(wish, Served(20, 200))
    assert (await usage.totals(pool, grant_id, *MONTH)).rows == 50


async def test_a_caller_that_gives_up_while_waiting_holds_nothing(
    recorder: UsageRecorder, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    async def give_up(after: float) -> None:
        task = asyncio.create_task(recorder.reserve(ask(grant_id, clock)))
        await asyncio.sleep(after)
        task.cancel()
        await asyncio.wait([task])

    await asyncio.gather(*(give_up(number / 2000) for number in range(40)))
    kept = len(await usage.open_reservations(pool, grant_id=grant_id))
    await asyncio.sleep(0.3)
    still = await usage.open_reservations(pool, grant_id=grant_id)
    month = await counter(pool, grant_id, "month")
    assert month["open_calls"] == len(still) <= kept
    assert month["rows"] == 0


async def test_one_faulty_ask_harms_no_neighbor(
    recorder: UsageRecorder, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    bad = replace(ask(grant_id, clock), purpose="nul\x00")
    answers = await asyncio.gather(
        *(recorder.record(one, Served(1, 1)) for one in (ask(grant_id, clock), bad, ask(grant_id, clock))),
        return_exceptions=True,
    )
    assert [type(one).__name__ for one in answers][0::2] == ["NoneType", "NoneType"]
    assert isinstance(answers[1], Exception)
    assert (await usage.totals(pool, grant_id, *MONTH)).rows == 2


async def test_the_database_going_away_loses_and_doubles_nothing(
    recorder: UsageRecorder, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    """Connections are cut at random moments while many callers record; acknowledged is exactly recorded."""
    acknowledged = 0
    stop = asyncio.Event()

    async def call() -> None:
        nonlocal acknowledged
        while not stop.is_set():
            try:
                await recorder.record(ask(grant_id, clock, 1), Served(1, 1))
            except usage.QuotaExhausted:
                raise
            except Exception:
                await asyncio.sleep(0.01)
            else:
                acknowledged += 1

    async def cut() -> None:
        connection = await asyncpg.connect(pool._connect_args[0])
        for _ in range(25):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.05)
        await connection.close()
        stop.set()

    await asyncio.gather(cut(), *(call() for _ in range(20)))
    totals = await usage.totals(pool, grant_id, *MONTH)
    assert acknowledged > 0
    assert acknowledged <= totals.rows <= acknowledged + 20 * 25
    assert (await counter(pool, grant_id, "month"))["rows"] == totals.rows == totals.calls


async def test_a_connection_that_is_cut_while_nobody_uses_it_is_replaced(
    recorder: UsageRecorder, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    cutter = await asyncpg.connect(pool._connect_args[0])
    for number in range(1, 4):
        await recorder.record(ask(grant_id, clock, 1), Served(1, 1))
        assert (await counter(pool, grant_id, "life"))["rows"] == number
        await cutter.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0.2)
    await cutter.close()


async def test_events_are_never_edited(tx: asyncpg.Connection, clock: FixedClock, grant_id: str) -> None:
    event = UsageEvent("/operator/x", "e-1", grant_id, clock.now(), "res", 5, 1, 10, {})
    assert await usage.record_event(tx, event, clock.now())
    assert not await usage.record_event(tx, event, clock.now())
    with pytest.raises(usage.UsageEventConflict):
        await usage.record_event(tx, replace(event, rows=6), clock.now())
    with pytest.raises(asyncpg.RestrictViolationError):
        await tx.execute("UPDATE billing.usage_event SET rows = 0")


async def test_months_and_days_are_those_of_beijing(
    recorder: UsageRecorder, pool: asyncpg.Pool, clock: FixedClock, grant_id: str
) -> None:
    clock.at = datetime(2026, 11, 30, 16, 30, tzinfo=UTC)
    await recorder.record(ask(grant_id, clock, 3), Served(3, 1))
    assert (await usage.totals(pool, grant_id, *MONTH)).rows == 0
    (december,) = await usage.spans(pool, grant_id, "month", date(2026, 1, 1), date(2027, 1, 1))
    assert (december.starts_on, december.totals.rows) == (date(2026, 12, 1), 3)


async def test_open_downloads_are_sums_per_day(
    recorder: UsageRecorder, pool: asyncpg.Pool, grant_id: str
) -> None:
    for _ in range(3):
        recorder.count_open(grant_id, date(2026, 11, 23), 10, 100)
    await asyncio.sleep(0.8)
    row = await pool.fetchrow("SELECT * FROM billing.usage_open_day WHERE resource_id = $1", grant_id)
    assert (row["downloads"], row["rows"], row["bytes"]) == (3, 30, 300)
