"""Servers that die and shards that move while events are taken in: what was acknowledged must be there, once."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from authz import SystemClock, new_id, open_pool
from billing.usage import staging
from billing.usage.ingest import Ingestor, Parcel
from billing.usage.model import UsageEvent
from ops.audit import PostgresAuditLog
from ops.bench.citus.figures import Results, event
from ops.bench.citus.nodes import Cluster, Node
from ops.bench.framework import Say

KILLS = int(os.environ.get("GOVOPEN_CITUS_KILLS", "24"))
SENDERS, PARCEL = 4, 250
CALM_S = (0.2, 1.2)
"""Events are taken in for so long before the next server dies."""
DOWN_S = 0.5
MOVE_MAX_S = 240


@dataclass
class Sent:
    """Events of senders that send each parcel until it is answered; of these, the ones that were acknowledged."""

    events: dict[tuple[str, str], UsageEvent] = field(default_factory=dict)
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    sent_again: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    stop: bool = False

    async def more(self, than: int) -> None:
        """Wait until more than so many events are acknowledged."""
        while len(self.acknowledged) <= than:  # noqa: ASYNC110 - a set tells nobody
            await asyncio.sleep(0.05)


async def _sender(ingestor: Ingestor, drawn: random.Random, sent: Sent) -> None:
    while not sent.stop:
        events = [event(drawn) for _ in range(PARCEL)]
        sent.events.update({(one.source, one.id): one for one in events})
        while True:
            try:
                answers = await ingestor.record(Parcel("bench", new_id("req"), events))
            except Exception as fault:  # whatever it is: who gets no answer sends again
                name = f"{type(fault).__name__}: {str(fault)[:80]}"
                sent.faults[name] = sent.faults.get(name, 0) + 1
                sent.sent_again += 1
                await asyncio.sleep(0.1)
                continue
            if any(one not in ("recorded", "duplicate") for one in answers):
                raise RuntimeError(f"refused: {answers}")
            sent.acknowledged.update((one.source, one.id) for one in events)
            break


@asynccontextmanager
async def taking_in(cluster: Cluster, seed: int) -> AsyncIterator[Sent]:
    """Senders at work, whose parcels are all acknowledged on leaving."""
    sent = Sent()
    pool = await open_pool(cluster.coordinator.url)
    ingestor = Ingestor(pool, PostgresAuditLog(SystemClock()), SystemClock())
    senders = [asyncio.create_task(_sender(ingestor, random.Random(seed + place), sent)) for place in range(SENDERS)]
    try:
        yield sent
    finally:
        sent.stop = True
        await asyncio.gather(*senders)
        await ingestor.close()
        await pool.close()


async def kills(cluster: Cluster, results: Results, say: Say) -> None:
    """Servers killed in turn while events are taken in; afterwards everything counted."""
    drawn = random.Random(11)
    between = 0
    async with taking_in(cluster, 1_000) as sent:
        await asyncio.sleep(5)
        for number in range(KILLS):
            await asyncio.sleep(drawn.uniform(*CALM_S))
            victim = cluster.nodes[number % len(cluster.nodes)]
            before = len(sent.acknowledged)
            victim.kill()
            await asyncio.sleep(DOWN_S)
            if victim is cluster.coordinator:
                between += sum(_waiting(node) for node in cluster.workers)
            await asyncio.to_thread(victim.start)
            if victim is not cluster.coordinator:
                between += _waiting(victim)
            await sent.more(before)
            say(f"{number + 1}: {victim.name}, {before:,} → {len(sent.acknowledged):,} acknowledged")
    left = _prepared(cluster)
    recovered = cluster.coordinator.ask("SELECT recover_prepared_transactions()")[0][0]
    results.add("kills", KILLS, "kills", "higher")
    results.add("kills_between_phases", between, "transactions")
    results.add("kills_prepared_left", left, "transactions")
    results.add("kills_prepared_recovered", float(str(recovered)), "transactions")
    results.add("kills_prepared_after", _prepared(cluster), "transactions")
    say(f"{sent.sent_again} parcels sent again: {sent.faults}")
    await _compare(cluster, sent, results, "kills")


def _prepared(cluster: Cluster) -> int:
    return sum(_waiting(node) for node in cluster.nodes)


def _waiting(node: Node) -> int:
    """Transactions of the node that are prepared and wait for their second phase."""
    return int(str(node.ask("SELECT count(*) FROM pg_prepared_xacts")[0][0]))


async def _compare(cluster: Cluster, sent: Sent, results: Results, name: str) -> None:
    """Every acknowledged event is there, once, with its identity and its counts; and none that was never sent."""
    connection = await asyncpg.connect(cluster.coordinator.url)
    try:
        await staging.fold_late(connection)
        rows = await connection.fetch("SELECT source, id, subject, rows, number, sequence FROM billing.usage_event")
        known = await connection.fetch("SELECT source, id, number FROM billing.usage_identity")
        counted = await connection.fetchval("SELECT sum(rows) FROM billing.usage_counter WHERE span = 'day'")
        last = await connection.fetchval("SELECT sum(last)::bigint FROM billing.usage_grant_sequence")
    finally:
        await connection.close()
    present = {(row["source"], row["id"]) for row in rows}
    numbers = {(row["source"], row["id"], row["number"]) for row in rows}
    results.add(f"{name}_acknowledged", len(sent.acknowledged), "events", "higher")
    results.add(f"{name}_lost", len(sent.acknowledged - present), "events")
    results.add(f"{name}_doubled", len(rows) - len(present), "events")
    results.add(f"{name}_unsent", len(present - set(sent.events)), "events")
    without = numbers ^ {(row["source"], row["id"], row["number"]) for row in known}
    results.add(f"{name}_identity_differs", len(without), "events")
    owed = sum(one.rows for key, one in sent.events.items() if key in present)
    written = sum(row["rows"] for row in rows)
    results.add(f"{name}_rows_miscounted", abs(owed - (counted or 0)) + abs(owed - written), "rows")
    places = {(row["subject"], row["sequence"]) for row in rows}
    results.add(f"{name}_sequence_gaps", abs(last - len(rows)) + abs(len(places) - len(rows)), "events")


async def grow(cluster: Cluster, results: Results, say: Say) -> None:
    """One worker more, and the shards moved to it while events are taken in."""
    async with taking_in(cluster, 2_000) as sent:
        await asyncio.sleep(12)
        results.add("grow_before_per_s", await _rate(sent, 5), "1/s", "higher")
        begun = time.perf_counter()
        node = await asyncio.to_thread(cluster.add_worker)
        results.add("grow_add_node_s", time.perf_counter() - begun, "s")
        here, begun = len(sent.acknowledged), time.perf_counter()
        start = "SELECT citus_rebalance_start(shard_transfer_mode => 'force_logical')"
        job = (await asyncio.to_thread(cluster.coordinator.ask, start))[0][0]
        state = await _moved(cluster, job, say)
        took = time.perf_counter() - begun
        results.add("grow_move_s", took, "s")
        results.add("grow_meanwhile_per_s", (len(sent.acknowledged) - here) / took, "1/s", "higher")
        say(f"{state} after {took:.1f} s; {_bytes(cluster, node) / 1e6:.0f} MB on the new worker")
        results.add("grow_new_worker_mb", _bytes(cluster, node) / 1e6, "MB")
        results.add("grow_after_per_s", await _rate(sent, 5), "1/s", "higher")
    say(f"{sent.sent_again} parcels sent again: {sent.faults}")
    results.add("grow_sent_again", sent.sent_again, "parcels")
    await _compare_counts(cluster, sent, results)


async def _rate(sent: Sent, seconds: float) -> float:
    before = len(sent.acknowledged)
    await asyncio.sleep(seconds)
    return (len(sent.acknowledged) - before) / seconds


async def _moved(cluster: Cluster, job: object, say: Say) -> str:
    end = time.monotonic() + MOVE_MAX_S
    state = "?"
    while time.monotonic() < end:
        state = str(cluster.coordinator.ask("SELECT state FROM pg_dist_background_job WHERE job_id = %s", job)[0][0])
        if state in ("finished", "failed", "cancelled"):
            break
        await asyncio.sleep(0.25)
    if state != "finished":
        say(str(cluster.coordinator.ask("SELECT status, message FROM pg_dist_background_task WHERE message <> ''")))
    return state


def _bytes(cluster: Cluster, node: Node) -> int:
    return int(str(cluster.coordinator.ask(
        "SELECT coalesce(sum(shard_size), 0) FROM citus_shards WHERE nodeport = %s", node.port
    )[0][0]))


async def _compare_counts(cluster: Cluster, sent: Sent, results: Results) -> None:
    """Like ``_compare``, among other events that were there before."""
    connection = await asyncpg.connect(cluster.coordinator.url)
    try:
        keys = sorted(sent.acknowledged)
        found = await connection.fetchval(
            "SELECT count(*) FROM billing.usage_event e JOIN unnest($1::text[], $2::text[]) AS k (source, id)"
            " USING (source, id)", [key[0] for key in keys], [key[1] for key in keys],
        )
        orphans = await connection.fetchval(
            "SELECT (SELECT count(*) FROM billing.usage_identity) - (SELECT count(*) FROM billing.usage_event)"
        )
    finally:
        await connection.close()
    results.add("grow_acknowledged", len(keys), "events", "higher")
    results.add("grow_lost_or_doubled", abs(len(keys) - found), "events")
    results.add("grow_identity_differs", abs(orphans), "events")
