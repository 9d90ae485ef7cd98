"""What taking events in costs: in batches, one by one, on one shard or on both kinds; and that none counts twice."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from authz import Runtime, Settings, new_id
from billing.usage import ingest, staging
from billing.usage.ingest_routes import close_ingest
from billing.usage.model import Ask, Served, UsageEvent
from billing.usage.recorder import UsageRecorder
from billing.usage.store import acquire
from ops.bench import meter
from ops.bench.citus.figures import GRANTS, UNTIL, Results, event, latency, report, spent, timed
from ops.bench.citus.nodes import Cluster
from ops.bench.framework import Say
from ops.runtime import open_runtime

ROUNDS = 3
FRESH, TWICE, DIFFERENT = 20_000, 2_000, 20
"""Of a round: new events, how many of them come a second time, how many of those with another time."""
SINGLES, CALLERS = 1_000, 32
PROBES = 300
RACES = 20


@asynccontextmanager
async def service(cluster: Cluster) -> AsyncIterator[Runtime]:
    """The product's runtime over the coordinator, each of its connections used once."""
    with tempfile.TemporaryDirectory() as folder:
        private, public = _keys(Path(folder))
        settings = Settings(
            database_url=cluster.coordinator.url, datastore_url=None, redis_url="redis://127.0.0.1:1/0",
            site_url="http://bench.test", ckan_url="http://bench.test", token_public_key_file=public,
            signing_key_file=private,
        )
        async with open_runtime(settings) as runtime:
            yield runtime
            await close_ingest(runtime)


def _keys(folder: Path) -> tuple[str, str]:
    """A signing key and another's public one, in files."""
    private, public = folder / "key.pem", folder / "public.pem"
    key = Ed25519PrivateKey.generate()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(private), str(public)


async def warm(pool: asyncpg.Pool, results: Results) -> None:
    """The first look of a connection at the tables costs more than the following ones: every one is made to look."""
    drawn = random.Random(1)
    at = [replace(event(drawn), time=UNTIL - timedelta(days=30 * month)) for month in range(7)]
    async with acquire(pool) as connection, connection.transaction():
        await staging.prepare(connection, at)
    connections = [await pool.acquire() for _ in range(pool.get_max_size())]
    found = []
    for one in connections:
        found += await timed(1, lambda one=one: _look(one, at))  # type: ignore[misc]
    for one in connections:
        await pool.release(one)
    results.add("connection_first_ms", sorted(found)[len(found) // 2], "ms")


async def _look(connection: asyncpg.Connection, events: list[UsageEvent]) -> None:
    async with connection.transaction():
        await staging.prepare(connection, events)


async def batches(cluster: Cluster, runtime: Runtime, results: Results, say: Say) -> None:
    """Rounds as ``govopen bench meter`` sends them, in process; then every month closed and billed."""
    city = await meter.build_city(runtime)
    drawn = random.Random(7)
    rounds = []
    for _ in range(ROUNDS):
        bodies, changed = meter.bodies_of(drawn, city, FRESH, TWICE, DIFFERENT)
        became: Counter[str] = Counter()

        async def send(first: list[bytes] = bodies, second: list[bytes] = changed, all_: Counter[str] = became) -> None:
            all_ += await meter.send(runtime, first)
            all_ += await meter.send(runtime, second)
            async with runtime.transaction() as tx:
                await staging.fold_late(tx)

        rounds.append(await spent(cluster, FRESH + TWICE, send))
        if became != Counter(recorded=FRESH, duplicate=TWICE - DIFFERENT, refused=DIFFERENT):
            raise RuntimeError(f"{became} of {FRESH} new, {TWICE} sent twice, {DIFFERENT} of those changed")
        say(f"{results.layout}: {rounds[-1].rate:,.0f} events/s; seconds of each server {rounds[-1].nodes}")
    report(results, "batch", rounds)
    await _counted(runtime, FRESH * ROUNDS)
    results.add("billing_s", await meter.rate_all(runtime, city, say), "s")
    total = await runtime.pool.fetchval("SELECT sum(total_fen) FROM billing.period_close")
    results.add("billed_fen", total, "fen")


async def _counted(runtime: Runtime, sent: int) -> None:
    pool = runtime.pool
    kept = await pool.fetchval("SELECT count(*) FROM billing.usage_event")
    counted = await pool.fetchval("SELECT sum(calls) FROM billing.usage_counter WHERE span = 'day'")
    known = await pool.fetchval("SELECT count(*) FROM billing.usage_identity")
    if not kept == counted == known == sent:
        raise RuntimeError(f"{kept} kept, {counted} counted, {known} identities of {sent}")


async def singles(cluster: Cluster, runtime: Runtime, results: Results) -> None:
    """Answers recorded one by one as delivery does it: many callers at once, then one after the other."""
    recorder = UsageRecorder(runtime.pool, runtime.audit, runtime.clock)
    await recorder.start()
    drawn = random.Random(3)

    async def one() -> None:
        ask = Ask(f"grt_{drawn.randrange(GRANTS)}", "res-bench", "purpose", ("a", "b"), 20, runtime.clock.now())
        await recorder.record(ask, Served(20, 900))

    async def caller(count: int) -> None:
        for _ in range(count):
            await one()

    async def all_callers() -> None:
        await asyncio.gather(*(caller(SINGLES // CALLERS) for _ in range(CALLERS)))

    await all_callers()  # the counters of the day are there from now on
    rounds = [await spent(cluster, SINGLES // CALLERS * CALLERS, all_callers) for _ in range(ROUNDS)]
    report(results, "single", rounds)
    latency(results, "single", await timed(PROBES, one))
    await recorder.close()


async def shards(runtime: Runtime, results: Results) -> None:
    """One event written: to one shard only, to its shard and its identity's, and by the product's own way."""
    drawn = random.Random(4)
    async with acquire(runtime.pool) as connection:
        for name, kinds in (("one_shard", False), ("both_kinds", True)):
            latency(results, name, await timed(PROBES, lambda kinds=kinds: _probe(connection, drawn, kinds)))  # type: ignore[misc]

        async def whole() -> None:
            await _take(runtime, connection, [event(drawn)])

        latency(results, "take_in_one", await timed(PROBES, whole))


async def _probe(connection: asyncpg.Connection, drawn: random.Random, both: bool) -> None:
    one = event(drawn)
    async with connection.transaction():
        number = await connection.fetchval("SELECT nextval('billing.usage_event_number')")
        if both:
            await connection.execute(
                "INSERT INTO billing.usage_identity (source, id, digest, number, time) VALUES ($1, $2, $3, $4, $5)",
                one.source, one.id, one.digest, number, one.time,
            )
        await connection.execute(
            "INSERT INTO billing.usage_event (number, source, id, type, subject, time, resource_id, rows, calls, bytes,"
            " data, digest, recorded_at, sequence) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $6, 0)",
            number, one.source, one.id, one.type, one.subject, one.time, one.resource_id, one.rows, one.calls,
            one.bytes, one.data, one.digest,
        )


async def _take(runtime: Runtime, connection: asyncpg.Connection, events: list[UsageEvent]) -> list[ingest.Answer]:
    parcel = ingest.Parcel("bench", new_id("req"), events)
    (answers,) = await ingest.record(connection, runtime.audit, [parcel], runtime.clock.now())
    return answers


async def once(runtime: Runtime, results: Results) -> None:
    """The same id again: of another grant, at another time, word for word; and from two connections at once."""
    drawn = random.Random(5)
    wrong = 0
    async with acquire(runtime.pool) as here, acquire(runtime.pool) as there:
        for _ in range(RACES):
            first = event(drawn)
            second = replace(first, subject=f"{first.subject}-other")
            later = replace(first, time=first.time + timedelta(days=31))
            answers = await _take(runtime, here, [first])
            for again in (second, later, replace(first)):
                answers += await _take(runtime, there, [again])
            wrong += answers != ["recorded", ingest.CONFLICT, ingest.CONFLICT, "duplicate"]
        for _ in range(RACES):
            many = [event(drawn) for _ in range(50)]
            others = [replace(one, subject=f"{one.subject}-other") for one in many]
            one, two = await asyncio.gather(
                _retried(runtime, here, many), _retried(runtime, there, others[::-1])
            )
            new = [*one, *two].count("recorded")
            wrong += new != len(many) or [*one, *two].count(ingest.CONFLICT) != len(many)
        twice = await here.fetchval(
            "SELECT count(*) FROM (SELECT source, id FROM billing.usage_event GROUP BY 1, 2 HAVING count(*) > 1) AS t"
        )
    results.add("doubled", wrong + twice, "events")


async def _retried(runtime: Runtime, connection: asyncpg.Connection, events: list[UsageEvent]) -> list[ingest.Answer]:
    """As a lane does it: who lost a deadlock comes again."""
    while True:
        try:
            return await _take(runtime, connection, events)
        except asyncpg.DeadlockDetectedError:
            continue
