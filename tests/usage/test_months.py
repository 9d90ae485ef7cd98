"""Events by month: the move into partitions loses nothing, identity holds across them, nothing is edited in a part."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import psycopg2
import pytest
from alembic import command

from authz import FixedClock, new_id
from billing import usage
from billing.usage import UsageEvent, UsageEventConflict
from ops.database.migrate import _config


@pytest.fixture
def empty_database(postgres_uri: str) -> Iterator[str]:
    name = f"govopen_move_{uuid.uuid4().hex[:8]}"
    connection = psycopg2.connect(postgres_uri)
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name}")
    head, _, query = postgres_uri.partition("?")
    yield head.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")
    connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()


def an_event(subject: str, at: datetime, rows: int = 1, event_id: str | None = None) -> UsageEvent:
    return UsageEvent("/operator/x", event_id or new_id("evt"), subject, at, "res", rows, 1, rows * 10, {})


SUMS = "SELECT subject, count(*), sum(rows), sum(calls), sum(bytes), min(number), max(number), bit_xor(hash) FROM (" \
       " SELECT *, hashtextextended(source || id || time || encode(digest, 'hex') || data::text, 0) AS hash" \
       " FROM billing.usage_event) e GROUP BY 1 ORDER BY 1"


def test_the_move_into_months_loses_nothing_and_can_be_taken_back(empty_database: str) -> None:
    config = _config(empty_database)
    command.upgrade(config, "billing_usage_0001")
    with psycopg2.connect(empty_database) as connection, connection.cursor() as cursor:
        start = datetime(2024, 12, 31, 15, 59, 59, tzinfo=UTC)
        for number in range(500):
            digest = hashlib.sha256(str(number).encode()).digest()
            cursor.execute(
                "INSERT INTO billing.usage_event (source, id, type, subject, time, resource_id, rows, calls, bytes,"
                " data, digest, recorded_at)"
                " VALUES ('/data/v1', %s, 't', %s, %s, 'res', %s, 1, 7, '{\"a\": 1}', %s, now())",
                (f"use_{number}", f"grant-{number % 7}", start + timedelta(hours=number * 17), number, digest),
            )
        cursor.execute(SUMS)
        before = cursor.fetchall()
    connection.close()
    command.upgrade(config, "billing_usage@head")
    connection = psycopg2.connect(empty_database)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(SUMS)
    assert cursor.fetchall() == before
    cursor.execute("SELECT count(*), count(DISTINCT tableoid), max(sequence) FROM billing.usage_event")
    assert cursor.fetchone() == (500, 13, 72)
    cursor.execute("SELECT count(*) FROM billing.usage_identity")
    assert cursor.fetchone() == (500,)
    cursor.execute("SELECT nextval('billing.usage_event_number')")
    assert cursor.fetchone() == (501,)
    command.downgrade(config, "billing_usage@billing_usage_0001")
    cursor.execute(SUMS)
    assert cursor.fetchall() == before
    connection.close()


async def test_the_same_event_at_another_time_is_a_conflict_not_a_second_event(
    pool: asyncpg.Pool, clock: FixedClock
) -> None:
    event = an_event(new_id("grt"), clock.now(), 5)
    async with pool.acquire() as connection, connection.transaction():
        assert await usage.record_event(connection, event, clock.now())
    for days in (1, 40, -400):
        moved = replace(event, time=event.time + timedelta(days=days))
        with pytest.raises(UsageEventConflict):
            async with pool.acquire() as connection, connection.transaction():
                await usage.record_event(connection, moved, clock.now())
    found = await usage.events(pool, [event.subject])
    assert [(one.id, one.time) for one in found] == [(event.id, event.time)]


async def test_a_month_that_nobody_foresaw_is_made_when_it_is_needed(pool: asyncpg.Pool, clock: FixedClock) -> None:
    subject = new_id("grt")
    for year in (2019, 2031):
        async with pool.acquire() as connection, connection.transaction():
            at = datetime(year, 5, 31, 16, 0, tzinfo=UTC)
            assert await usage.record_event(connection, an_event(subject, at), clock.now())
    names = await pool.fetch(
        "SELECT DISTINCT tableoid::regclass::text AS name FROM billing.usage_event WHERE subject = $1 ORDER BY 1",
        subject,
    )
    assert [row["name"] for row in names] == ["billing.usage_event_2019_06", "billing.usage_event_2031_06"]


async def test_a_grant_s_events_are_counted_without_gaps(pool: asyncpg.Pool, clock: FixedClock) -> None:
    subjects = [new_id("grt") for _ in range(3)]
    for number in range(12):
        async with pool.acquire() as connection, connection.transaction():
            await usage.record_event(connection, an_event(subjects[number % 3], clock.now()), clock.now())
    rows = await pool.fetch(
        "SELECT subject, array_agg(sequence ORDER BY number) AS found FROM billing.usage_event"
        " WHERE subject = ANY($1) GROUP BY 1", subjects,
    )
    assert [row["found"] for row in rows] == [[1, 2, 3, 4]] * 3


@pytest.mark.parametrize(
    "act", ["UPDATE {} SET rows = 0", "DELETE FROM {}", "TRUNCATE {}"], ids=["update", "delete", "truncate"]
)
@pytest.mark.parametrize(
    "table", ["billing.usage_event", "billing.usage_event_{month}", "billing.usage_identity", "{part}"]
)
async def test_nothing_is_changed_through_a_part_either(
    tx: asyncpg.Connection, clock: FixedClock, act: str, table: str
) -> None:
    event = an_event(new_id("grt"), clock.now())
    await usage.record_event(tx, event, clock.now())
    part = await tx.fetchval("SELECT tableoid::regclass::text FROM billing.usage_identity WHERE id = $1", event.id)
    act = act.replace("rows = 0", "number = 0")
    with pytest.raises(asyncpg.RestrictViolationError):
        await tx.execute(act.format(table.format(month="2026_11", part=part)))
