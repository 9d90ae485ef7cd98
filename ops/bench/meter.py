"""``meter``: usage events taken in, and a million of them made into invoices.

``events_per_s`` is what an operator gets: batches of a thousand CloudEvents sent to ``POST /v1/usage/events`` of the
running service with its usual workers, over eight connections, by a client on the same cores. Every request has its key
checked, every event is checked against what the key may report, recorded durably, each (source, id) once whatever its
time, counted per grant and day, left as evidence, and answered for itself. ``process_events_per_s`` is the same from
the body of a request on, in one process and without HTTP. The events lie in six months, one in nine is sent twice, one
in a hundred of those with another time; what was recorded is counted afterwards and must be what was sent, once.
``rate_1m_s`` closes the months in which this million of events lies, one after the other.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import uvloop

from authz import Call, FixedClock, Runtime, Settings, new_id
from billing.invoices.closing import close_period
from billing.periods import Period
from billing.testing.builders import DEMO_PRICING, OFFICER, GrantSpec, Scene
from billing.usage import cloudevents, staging
from billing.usage.ingest_routes import close_ingest, take_in
from billing.usage.products import Reporter
from licensing.grants import keys
from ops.app import settle_memory
from ops.bench.framework import Figure, Say, register
from ops.bench.load import send_all
from ops.runtime import open_runtime
from ops.stack import Stack
from ops.stack.postgres import url
from ops.stack.testing import running_stack

ROUNDS = 5
BATCH = 1_000
PAIRS = 80
"""Of requests of a round over HTTP: the second one of each repeats a part of what the first one said."""
AGAIN = 200
FRESH_HTTP = PAIRS * (2 * BATCH - AGAIN)
CHANGED_EACH = 2
FRESH = 200_000 - FRESH_HTTP
"""New events of one round in process; a million over all rounds of both."""
TWICE = FRESH // 10
CHANGED = TWICE // 100
"""Of those, how many come with another time the second time."""
SENDERS = 8
GRANTS = 200
PARTIES = 100
MONTHS = 6
TYPE = "cn.bench.query"


@dataclass
class City:
    """Grants with products that report on them, and what was sent about them."""

    grants: list[str]
    keys: list[str]
    until: datetime
    sent: int = 0


@register("meter", "usage events recorded durably and once; a million events to invoices")
def measure(say: Say) -> list[Figure]:
    """Medians of five rounds; what was recorded is counted afterwards and must be what was sent, once."""
    with running_stack(env={"GOVOPEN_RATE_KEY": "10000000"}) as stack:
        settings = _settings(stack)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            city, rates = runner.run(_in_process(settings, say))
        http = [_over_http(stack, settings, city, number, say) for number in range(ROUNDS)]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rating = runner.run(_rated(settings, city, say))
    return [
        Figure("events_per_s", round(statistics.median(http)), "1/s", "higher", 25_000),
        Figure("process_events_per_s", round(statistics.median(rates)), "1/s", "higher"),
        Figure("rate_1m_s", round(rating, 2), "s", "lower", 10),
    ]


def _over_http(stack: Stack, settings: Settings, city: City, number: int, say: Say) -> float:
    """One round through the running service, what is late folded into the counters included; events a second."""
    port = stack.ports["service"]
    requests, changed = _requests(port, city, number)
    begun = time.perf_counter()
    whole = send_all(port, requests, callers=SENDERS)
    contradicting = send_all(port, changed, callers=SENDERS, fine=(b"207",))
    asyncio.run(_fold(settings))
    took = time.perf_counter() - begun
    failed = whole.failures + contradicting.failures
    if failed or len(whole.times) != len(requests) or len(contradicting.times) != len(changed):
        raise RuntimeError(failed[0].decode("utf-8", "replace")[:2000] if failed else "not all requests were answered")
    rate = (len(requests) * BATCH + len(changed) * CHANGED_EACH) / took
    say(f"{rate:,.0f} events/s over HTTP; {len(requests)} requests of {BATCH}, p50 {whole.percentile_ms(0.5):.0f} ms")
    return rate


async def _fold(settings: Settings) -> None:
    async with open_runtime(settings) as runtime, runtime.transaction() as tx:
        await staging.fold_late(tx)


def _settings(stack: Stack) -> Settings:
    home, ports = stack.home, stack.ports
    return Settings(
        database_url=url(home, ports["postgres"], "govopen", "govopen"), datastore_url=None,
        redis_url=f"redis://:{home.secret('redis')}@127.0.0.1:{ports['redis']}/1", site_url=stack.site_url,
        ckan_url=f"http://127.0.0.1:{ports['ckan']}", token_public_key_file=str(home.token_public_key),
        signing_key_file=str(home.signing_key),
    )


async def _in_process(settings: Settings, say: Say) -> tuple[City, list[float]]:
    async with open_runtime(settings) as runtime:
        city = await build_city(runtime)
        rates = []
        settle_memory()
        seeded = random.Random(7)
        for _ in range(ROUNDS):
            bodies, changed = bodies_of(seeded, city)
            begun = time.perf_counter()
            answers = await send(runtime, bodies) + await send(runtime, changed)
            async with runtime.transaction() as tx:
                await staging.fold_late(tx)
            took = time.perf_counter() - begun
            if answers != Counter(recorded=FRESH, duplicate=TWICE - CHANGED, refused=CHANGED):
                raise RuntimeError(f"{answers} of {FRESH} new, {TWICE} sent twice, {CHANGED} of those changed")
            rates.append(answers.total() / took)
            say(f"{rates[-1]:,.0f} events/s; {answers['recorded']:,} recorded of {answers.total():,}")
        await close_ingest(runtime)
    return city, rates


async def _rated(settings: Settings, city: City, say: Say) -> float:
    """Seconds to rate everything, once it is sure that everything is there, once."""
    sent = (FRESH + FRESH_HTTP) * ROUNDS
    async with open_runtime(settings) as runtime:
        kept, counted, events = await runtime.pool.fetchrow(  # type: ignore[misc]
            "SELECT (SELECT count(*) FROM billing.usage_event), (SELECT sum(calls) FROM billing.usage_counter"
            " WHERE span = 'day'), (SELECT count(*) FROM billing.usage_identity)"
        )
        if not kept == counted == events == sent:
            raise RuntimeError(f"{kept} kept, {counted} counted, {events} identities of {sent}")
        return await rate_all(runtime, city, say)


async def build_city(runtime: Runtime) -> City:
    """Priced grants of a hundred parties that began before the months, each with a key that may report."""
    now = runtime.clock.now()
    since = now - timedelta(days=31 * (MONTHS + 2))
    made: list[tuple[str, str]] = []
    async with runtime.transaction() as tx:
        scene = Scene(tx, runtime.audit, now)
        await scene.data_object("res-bench")
        await scene.ceiling("res-bench", 20, 100)
        card = await scene.rate_card("res-bench", DEMO_PRICING)
        for number in range(GRANTS):
            party = f"pty_bench_{number % PARTIES}"
            await scene.party(party, f"第 {number % PARTIES} 企业")
            grant = await scene.grant(GrantSpec(
                party, "res-bench", since, rate_card_id=card["rate_card_id"], rate_card_version=card["number"]
            ))
            prefix, secret = keys._random(keys.PREFIX_DIGITS), keys._random(keys.SECRET_DIGITS)
            await tx.execute(
                "INSERT INTO licensing.access_key (id, grant_id, label, prefix, secret_sha256, created_by,"
                " created_by_name, created_at, scopes)"
                " VALUES ($1, $2, 'bench', $3, $4, 'bench', 'bench', $5, '{report}')",
                new_id("key"), grant, prefix, keys._digest(secret), now,
            )
            await tx.execute(
                "INSERT INTO billing.usage_product (id, party_id, source, title, types, created_by, created_at)"
                " VALUES ($1, $2, $3, 'bench', $4, 'bench', $5)",
                f"prd_{number}", party, _source(number), [TYPE], now,
            )
            await tx.execute("INSERT INTO billing.usage_product_grant VALUES ($1, $2)", f"prd_{number}", grant)
            made.append((grant, f"gok_{prefix}_{secret}"))
    return City([grant for grant, _ in made], [key for _, key in made], Period.of(now).starts_at)


def _source(number: int) -> str:
    return f"https://operator-{number}.example/credit"


def event_of(seeded: random.Random, city: City, number: int) -> dict[str, Any]:
    at = city.until - timedelta(seconds=seeded.random() * MONTHS * 30 * 86_400)
    return {
        "specversion": "1.0", "id": f"{seeded.getrandbits(96):024x}", "source": _source(number), "type": TYPE,
        "subject": city.grants[number], "time": at.isoformat(),
        "data": {"rows": seeded.randrange(100), "calls": 1, "bytes": 300, "product": "score", "region": "320500"},
    }


def bodies_of(
    seeded: random.Random, city: City, fresh: int = FRESH, twice: int = TWICE, different: int = CHANGED
) -> tuple[list[bytes], list[bytes]]:
    """Requests of a round: events of all grants and months in disorder, a tenth of them twice; and those of the
    second times that say another time. They are sent after the others: of two that contradict each other, whichever
    comes first is the one that counts."""
    events = [event_of(seeded, city, seeded.randrange(GRANTS)) for _ in range(fresh)]
    copies = seeded.sample(events, twice)
    events += copies[different:]
    seeded.shuffle(events)
    changed = [{**one, "time": city.until.isoformat()} for one in copies[:different]]
    return list(_batches(events)), list(_batches(changed))


def _batches(events: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    for start in range(0, len(events), BATCH):
        yield orjson.dumps(events[start : start + BATCH])


async def send(runtime: Runtime, bodies: Sequence[bytes]) -> Counter[str]:
    """What the route does with each body, from a few senders at once; how many events became what."""
    reporter = Reporter("bench", frozenset(f"pty_bench_{number}" for number in range(PARTIES)))
    waiting = iter(bodies)
    became: Counter[str] = Counter()

    async def sender() -> None:
        for body in waiting:
            given, _ = cloudevents.read(cloudevents.BATCH, {}, body)
            answers, _ = await take_in(runtime, reporter, "bench", given)
            became.update(one if isinstance(one, str) else "refused" for one in answers)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return became


async def rate_all(runtime: Runtime, city: City, say: Say) -> float:
    """Seconds from a million recorded events to the invoices of every month in which they lie."""
    first = Period.of(city.until - timedelta(days=MONTHS * 30))
    await runtime.pool.execute("VACUUM ANALYZE billing.usage_event")
    took = 0.0
    month = first
    while month.ends_at <= city.until:
        clock = FixedClock(month.ends_at + timedelta(days=1))
        begun = time.perf_counter()
        answer = await close_period(runtime, Call(OFFICER, clock.now(), "bench"), month)
        took += time.perf_counter() - begun
        say(f"{month}: {answer['invoices']} invoices, {answer['total_fen'] / 100:,.2f} yuan")
        month = month.following()
    billed = await runtime.pool.fetchval("SELECT sum(quantity) FROM billing.invoice_line WHERE kind = 'usage'")
    used = await runtime.pool.fetchval("SELECT sum(rows) FROM billing.usage_event")
    if billed != used:
        raise RuntimeError(f"{billed} rows were billed, {used} were used")
    return took


def _requests(port: int, city: City, number: int) -> tuple[list[bytes], list[bytes]]:
    """Requests of a round as they go over the wire, each of one grant's key; and those that contradict them."""
    seeded = random.Random(100 + number)
    firsts, seconds, changed = [], [], []
    for place in range(PAIRS):
        grant = (number * PAIRS + place) % GRANTS
        events = [event_of(seeded, city, grant) for _ in range(2 * BATCH - AGAIN)]
        again = seeded.sample(events[:BATCH], AGAIN)
        later = [*events[BATCH:], *again]
        seeded.shuffle(later)
        firsts.append(_request(port, city.keys[grant], events[:BATCH]))
        seconds.append(_request(port, city.keys[grant], later))
        other = [{**one, "time": city.until.isoformat()} for one in again[:CHANGED_EACH]]
        changed.append(_request(port, city.keys[grant], other))
    return firsts + seconds, changed


def _request(port: int, key: str, events: Sequence[dict[str, Any]]) -> bytes:
    body = orjson.dumps(events)
    head = [
        "POST /v1/usage/events HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: keep-alive",
        f"Authorization: Bearer {key}", f"Content-Type: {cloudevents.BATCH}", f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body
