"""Months out to files and back: nothing is dropped that was not compared, and no total ever changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from authz import Call, FixedClock, Runtime
from billing.invoices.closing import close_period
from billing.periods import Period
from billing.testing.builders import OFFICER
from billing.testing.meter_history import a_history, check_all
from billing.testing.operator import Operator
from billing.usage import archive
from billing.usage.archive_back import bring_back
from billing.usage.archive_out import move_out

SEPTEMBER = date(2026, 9, 1)


@pytest.fixture
def folder(runtime: Runtime, tmp_path: Path) -> str:
    place = str(tmp_path / "archive")
    object.__setattr__(runtime.settings, "archive_folder", place)
    return place


async def one(pool: asyncpg.Pool, runtime: Runtime, move: Any, folder: str, month: date = SEPTEMBER) -> Any:
    said: list[str] = []
    async with pool.acquire() as connection:
        found = await move(connection, runtime.audit, folder, month, runtime.clock.now(), said.append)
    assert any("/" in line for line in said)
    return found


async def everything(pool: asyncpg.Pool, subject: str) -> list[tuple[Any, ...]]:
    rows = await pool.fetch(
        f"SELECT {', '.join(archive.COLUMNS)} FROM billing.usage_event WHERE subject = $1 ORDER BY number", subject
    )
    return [tuple(row) for row in rows]


async def close_until(runtime: Runtime, clock: FixedClock, last: Period) -> None:
    """Close every month up to ``last``; grants of these tests are not priced, so that nothing is owed."""
    await runtime.pool.execute("UPDATE licensing.access_grant SET purpose_class = 'public_interest'")
    before = clock.at
    closed = await runtime.pool.fetchval("SELECT max(period) FROM billing.period_close")
    month = Period.parse(closed).following() if closed else Period(2026, 8)
    while month <= last:
        clock.at = month.ends_at + timedelta(days=1)
        await close_period(runtime, Call(OFFICER, clock.now(), "req-test"), month)
        month = month.following()
    clock.at = before


async def test_what_is_not_billed_yet_stays(
    operator: Operator, runtime: Runtime, clock: FixedClock, pool: asyncpg.Pool, folder: str
) -> None:
    await operator.send(operator.event(at=datetime(2026, 9, 5, tzinfo=UTC)))
    with pytest.raises(archive.MonthNotClosed):
        await one(pool, runtime, move_out, folder)
    with pytest.raises(archive.NothingToMove):
        await one(pool, runtime, move_out, folder, date(2020, 1, 1))
    with pytest.raises(archive.NothingToMove):
        await one(pool, runtime, bring_back, folder)


async def test_out_and_back_changes_no_total_and_no_event(
    operator: Operator, runtime: Runtime, clock: FixedClock, pool: asyncpg.Pool, folder: str,
    defined: None,
) -> None:
    truth = await a_history(operator)
    await close_until(runtime, clock, Period(2026, 10))
    before, usage = await everything(pool, operator.grant), (await operator.usage())["months"]
    address = f"/v1/usage/events?grant_id={operator.grant}&limit=1000"
    listed = (await operator.client.get(address, headers=operator.headers())).json()
    invoices = (await operator.client.get("/v1/invoices", headers=operator.headers())).json()["items"]
    behind = f"/v1/invoices/{next(i['id'] for i in invoices if i['period'] == '2026-09')}/lines/1/usage"
    lines = (await operator.client.get(f"{behind}?limit=200", headers=operator.headers())).json()
    table = (await operator.client.get(f"{behind}.csv", headers=operator.headers())).text
    assert len(lines["items"]) == len(table.splitlines()) - 1 > 10

    async def nothing_changed() -> None:
        await check_all(operator, truth)
        assert (await operator.usage())["months"] == usage
        assert (await operator.client.get(address, headers=operator.headers())).json() == listed
        assert (await operator.client.get(f"{behind}?limit=200", headers=operator.headers())).json() == lines
        assert (await operator.client.get(f"{behind}.csv", headers=operator.headers())).text == table

    segment = await one(pool, runtime, move_out, folder)
    manifest = orjson.loads((Path(folder) / segment.file).with_suffix(".json").read_bytes())
    assert (manifest["sha256"], manifest["events"]) == (archive.checksum(Path(folder) / segment.file), segment.events)
    assert len(await everything(pool, operator.grant)) < len(before)
    await nothing_changed()
    await one(pool, runtime, bring_back, folder)
    assert await everything(pool, operator.grant) == before
    await nothing_changed()


async def test_an_event_of_a_month_that_is_away_is_still_known_and_late_ones_are_taken(
    operator: Operator, runtime: Runtime, clock: FixedClock, pool: asyncpg.Pool, folder: str
) -> None:
    september = datetime(2026, 9, 20, tzinfo=UTC)
    event, late = operator.event(at=september), operator.event(at=september)
    await operator.send(event)
    await close_until(runtime, clock, Period(2026, 11))
    await one(pool, runtime, move_out, folder)
    assert (await operator.send(event)).json()["status"] == "duplicate"
    assert (await operator.send({**event, "data": {"rows": 9}})).status_code == 409
    assert (await operator.send({**event, "time": operator.clock.now().isoformat()})).status_code == 409
    refused = await operator.send(operator.fix(event, 1))
    assert refused.json()["errors"][0]["code"] == "usage_month_archived"
    assert (await operator.send(late)).status_code == 201
    with pytest.raises(archive.MonthNotClosed):
        await one(pool, runtime, move_out, folder)
    await close_until(runtime, clock, Period(2026, 12))
    second = await one(pool, runtime, move_out, folder)
    assert (second.events, second.segment > 1) == (1, True)
    found = await operator.client.get(
        f"/v1/meters/rows/values?grant_id={operator.grant}&from=2026-09-01&to=2026-10-01&window=month",
        headers=operator.headers(),
    )
    assert [value["value"] for value in found.json()["items"]] == [6]
    assert len(await one(pool, runtime, bring_back, folder)) == 2
    assert (await operator.send(operator.fix(event, 1))).status_code == 201


async def test_an_interrupted_move_goes_on_and_a_changed_file_is_refused(
    operator: Operator, runtime: Runtime, clock: FixedClock, pool: asyncpg.Pool, folder: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await operator.send(*(operator.event(at=datetime(2026, 9, 25, tzinfo=UTC)) for _ in range(60)))
    await close_until(runtime, clock, Period(2027, 1))
    before = await everything(pool, operator.grant)
    monkeypatch.setattr("billing.usage.archive.CHUNK", 25)
    monkeypatch.setattr("billing.usage.archive_out.CHUNK", 25)
    monkeypatch.setattr("billing.usage.archive_back.CHUNK", 25)

    def stop_at(text: str) -> Any:
        def say(line: str) -> None:
            if text in line:
                raise KeyboardInterrupt
        return say

    for moment in ("25 /", "✓ 25 /"):
        async with pool.acquire() as connection:
            with pytest.raises(KeyboardInterrupt):
                await move_out(connection, runtime.audit, folder, SEPTEMBER, clock.now(), stop_at(moment))
        assert await everything(pool, operator.grant) == before
    segment = await one(pool, runtime, move_out, folder)
    assert await everything(pool, operator.grant) == []
    path = Path(folder) / segment.file
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"x" + whole[-8:])
    with pytest.raises(archive.ArchiveChanged):
        await one(pool, runtime, bring_back, folder)
    path.unlink()
    with pytest.raises(archive.ArchiveMissing):
        await one(pool, runtime, bring_back, folder)
    path.write_bytes(whole)
    async with pool.acquire() as connection:
        with pytest.raises(KeyboardInterrupt):
            await bring_back(connection, runtime.audit, folder, SEPTEMBER, clock.now(), stop_at("50 /"))
    assert await everything(pool, operator.grant) == []
    await one(pool, runtime, bring_back, folder)
    assert await everything(pool, operator.grant) == before
    months = {found["month"]: found for found in await archive.whereabouts(pool)}  # type: ignore[arg-type]
    assert months["2026-09"]["in_database"]
