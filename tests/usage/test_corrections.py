"""Corrections add and never edit; whatever their order and however often they come, the totals are the same."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz import FixedClock, Role, Runtime, SystemClock, new_id
from billing import usage
from billing.testing.operator import Operator, OperatorMaker
from billing.usage import Ask, Quota, Served, UsageRecorder
from billing.usage.cloudevents import CANCELLED, CORRECTED, Fault, parse
from billing.usage.corrections import rank_of, stated
from billing.usage.ingest import Ingestor, Parcel
from billing.usage.model import UsageEvent
from billing.usage.staging import fold_late

EVER = (date(2020, 1, 1), date(2035, 1, 1))


async def totals(operator: Operator, pool: asyncpg.Pool) -> tuple[int, int, int]:
    """Rows, calls and bytes: the same by the events and by the counters."""
    async with pool.acquire() as connection, connection.transaction():
        await fold_late(connection)
    found = await usage.totals(pool, operator.grant, *EVER)
    row = await pool.fetchrow(
        "SELECT sum(rows)::bigint, sum(calls)::bigint, sum(bytes)::bigint FROM billing.usage_counter"
        " WHERE grant_id = $1 AND span = 'day'", operator.grant,
    )
    assert tuple(row) == (found.rows, found.calls, found.bytes)
    return found.rows, found.calls, found.bytes


async def test_a_correction_says_what_the_event_should_have_said(operator: Operator, pool: asyncpg.Pool) -> None:
    first, other = operator.event(), operator.event()
    await operator.send(first, other)
    before = await pool.fetchrow("SELECT * FROM billing.usage_event WHERE id = $1", first["id"])
    fix = operator.fix(first, 10)
    assert (await operator.send(fix)).status_code == 201
    assert await totals(operator, pool) == (13, 2, 130)
    assert await pool.fetchrow("SELECT * FROM billing.usage_event WHERE id = $1", first["id"]) == before
    listed = await operator.client.get(f"/v1/usage/events?grant_id={operator.grant}", headers=operator.headers())
    assert [one["id"] for one in listed.json()["items"]] == [first["id"], other["id"], fix["id"]]
    assert listed.json()["items"][2]["data"] == fix["data"]
    assert (await operator.send(fix)).json()["status"] == "duplicate"
    changed = {**fix, "data": {**fix["data"], "reason": "别的理由"}}
    assert (await operator.send(changed)).json()["code"] == "usage_event_conflict"
    await operator.send(operator.fix(first, None, after_s=-60))
    assert await totals(operator, pool) == (3, 1, 30)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("cancel", [False, True])
async def test_corrections_commute(
    operator: Operator, pool: asyncpg.Pool, order: tuple[int, ...], cancel: bool
) -> None:
    event = operator.event()
    await operator.send(event)
    fixes = [operator.fix(event, 10), operator.fix(event, 20, after_s=60), operator.fix(event, 5, after_s=30)]
    if cancel:
        fixes[0] = operator.fix(event, None)
    for place in order:
        assert (await operator.send(fixes[place])).status_code == 201
    assert await totals(operator, pool) == ((0, 0, 0) if cancel else (20, 1, 200))


async def test_an_event_and_its_correction_may_come_in_one_batch(operator: Operator, pool: asyncpg.Pool) -> None:
    event = operator.event()
    answer = await operator.send(operator.fix(event, 7), event, event)
    assert [one["status"] for one in answer.json()["results"]] == ["recorded", "recorded", "duplicate"]
    assert await totals(operator, pool) == (7, 1, 70)


async def test_only_what_was_recorded_by_the_same_source_can_be_corrected(
    operator: Operator, make_operator: OperatorMaker
) -> None:
    other = await make_operator()
    mine, theirs = operator.event(), other.event()
    await operator.send(mine)
    await other.send(theirs)
    fix = operator.fix(mine, 5)
    await operator.send(fix)
    for event, status, code in (
        (operator.fix(operator.event(), 1), 422, "usage_event_unknown"),
        (operator.fix(theirs, 1), 403, "usage_not_permitted"),
        ({**operator.fix(theirs, 1), "source": other.source}, 403, "usage_not_permitted"),
        ({**operator.fix(mine, 1), "subject": other.grant}, 403, "usage_not_permitted"),
        (operator.fix({"source": operator.source, "id": fix["id"]}, 1), 422, "correction_of_correction"),
        (operator.fix({"source": "/data/v1", "id": "use_1"}, 1), 403, "usage_not_permitted"),
    ):
        answer = await operator.send(event)
        found = [one["code"] for one in answer.json().get("errors", [])] or [answer.json()["code"]]
        assert (answer.status_code, found) == (status, [code])
    bad = operator.fix(mine, 1)
    del bad["data"]["reason"]
    assert (await operator.send(bad)).json()["errors"][0]["code"] == "correction_malformed"


async def test_staff_correct_what_was_settled_by_rule(
    operator: Operator, runtime: Runtime, clock: FixedClock, pool: asyncpg.Pool,
    token_for: Callable[..., dict[str, str]], give_role: Callable[..., Any],
) -> None:
    recorder = UsageRecorder(runtime.pool, runtime.audit, clock)
    await recorder.start()
    ask = Ask(operator.grant, "res", "lending", ("a",), 500, clock.now(), Quota())
    await recorder.record(ask, Served(500, 5_000))
    await recorder.close()
    await give_role("officer-corrects", Role.EXCHANGE_OFFICER, "pty_exchange")
    body = {
        "grant_id": operator.grant, "source": "/data/v1", "id": ask.id, "kind": "corrected", "rows": 120, "calls": 1,
        "bytes": 1_200, "reason": "进程中断，按日志核定",
    }
    address = "/v1/usage/corrections"
    assert (await operator.client.post(address, json=body, headers=operator.headers())).status_code == 403
    officer = {**token_for("officer-corrects"), "Idempotency-Key": new_id("key")}
    answers = [await operator.client.post(address, json=body, headers=officer) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert await totals(operator, pool) == (120, 1, 1_200)
    left = (await operator.usage())["quota"]["rows_month"]["left"]
    assert left == 880
    wrong = await operator.client.post(address, json={**body, "id": "use_none"}, headers=token_for("officer-corrects"))
    assert wrong.json()["reasons"][0]["code"] == "usage_event_unknown"
    leaf = await pool.fetchval("SELECT leaf FROM audit.entry WHERE action = 'usage.corrected' ORDER BY id DESC LIMIT 1")
    assert "按日志核定" in leaf


def by_hand(events: list[UsageEvent]) -> tuple[int, int, int]:
    """Totals by the rule alone: each event counts for what the greatest of its corrections says, else for itself."""
    plain = {(one.source, one.id): one for one in events if one.corrects is None}
    fixes: dict[tuple[str, str], UsageEvent] = {}
    for one in events:
        if one.corrects in plain and (one.corrects not in fixes or rank_of(one) > rank_of(fixes[one.corrects])):
            fixes[one.corrects] = one
    rows = calls = size = 0
    for name, event in plain.items():
        what = stated(fixes[name]) if name in fixes else event
        rows, calls, size = rows + what.rows, calls + what.calls, size + what.bytes
    return rows, calls, size


def some_events(draw: random.Random, subject: str, now: Any) -> list[UsageEvent]:
    """Events over months, some corrected, some more than once, some cancelled; all decided by the seed."""
    found: list[UsageEvent] = []
    prefix = new_id("p")
    for number in range(draw.randint(1, 12)):
        at = now - timedelta(hours=draw.randint(0, 24 * 150))
        body = {"rows": draw.randint(0, 50), "calls": 1, "bytes": draw.randint(0, 500)}
        base = {"specversion": "1.0", "source": f"https://x.example/{number % 3}", "subject": subject}
        event = {**base, "id": f"{prefix}-{number}", "type": "cn.example.q", "time": at.isoformat(), "data": body}
        fixes = []
        for turn in range(draw.choice([0, 0, 0, 1, 2, 4])):
            cancel = draw.random() < 0.25
            data: dict[str, Any] = {"source": event["source"], "id": event["id"], "reason": "更正"}
            if not cancel:
                data["data"] = {"rows": draw.randint(0, 50), "calls": draw.randint(0, 2), "bytes": draw.randint(0, 500)}
            issued = now - timedelta(seconds=draw.randint(0, 3))
            fixes.append({**base, "id": f"{prefix}-{number}-c{turn}", "type": CANCELLED if cancel else CORRECTED,
                          "time": issued.isoformat(), "data": data})
        for one in (event, *fixes):
            read = parse(one)
            assert isinstance(read, UsageEvent), read
            found.append(read)
    return found


@settings(max_examples=40, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
async def test_any_order_and_any_repetition_yield_the_same_totals(
    seed: int, pool: asyncpg.Pool, runtime: Runtime
) -> None:
    """Events come in any order and batches, some often; those refused because the original is unknown come again."""
    draw, now = random.Random(seed), SystemClock().now()
    ingestor = Ingestor(pool, runtime.audit, runtime.clock)
    grants = [new_id("gra"), new_id("gra")]
    events = some_events(draw, grants[0], now)
    expected = by_hand(events)
    waiting = events + draw.choices(events, k=draw.randint(0, len(events)))
    draw.shuffle(waiting)
    while waiting:
        size = draw.randint(1, len(waiting))
        batch, waiting = waiting[:size], waiting[size:]
        answers = await ingestor.record(Parcel("test", "req", batch))
        again = [one for one, answer in zip(batch, answers, strict=True) if isinstance(answer, Fault)]
        assert all(one.corrects for one in again)
        waiting += again
    found = await usage.totals(pool, grants[0], *EVER)
    assert (found.rows, found.calls, found.bytes) == expected
    async with pool.acquire() as connection, connection.transaction():
        await fold_late(connection)
    by_day = await pool.fetchrow(
        "SELECT coalesce(sum(rows), 0)::bigint, coalesce(sum(calls), 0)::bigint, coalesce(sum(bytes), 0)::bigint"
        " FROM billing.usage_counter WHERE grant_id = $1 AND span = 'day'", grants[0],
    )
    assert tuple(by_day) == expected
    kept = await pool.fetchrow(
        "SELECT count(*) AS n, count(DISTINCT sequence) AS different, max(sequence) AS last FROM billing.usage_event"
        " WHERE subject = $1", grants[0],
    )
    assert tuple(kept) == (len(events),) * 3
