"""Times, processor seconds and made events, as every measurement of this bench takes them."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.usage.model import UsageEvent
from ops.bench.citus.nodes import Cluster
from ops.bench.framework import Figure

GRANTS = 200
DAYS = 170
UNTIL = datetime(2026, 10, 31, 12, tzinfo=UTC)
"""The events of this bench lie in the six months before; those of the batches, in the six before the present one."""


@dataclass
class Results:
    """Figures of one layout, named after it."""

    layout: str
    figures: list[Figure]

    def add(self, name: str, value: float, unit: str, better: str = "lower") -> None:
        self.figures.append(Figure(f"{self.layout}.{name}", round(float(value), 3), unit, better))


@dataclass
class Spent:
    """What some events cost: seconds on the clock, and processor seconds of this process and of each server."""

    events: int
    wall: float
    client: float
    nodes: list[float]

    @property
    def rate(self) -> float:
        return self.events / self.wall


async def spent(cluster: Cluster, events: int, work: Callable[[], Awaitable[object]]) -> Spent:
    before, own, begun = cluster.cpu_s(), time.process_time(), time.perf_counter()
    await work()
    wall, client = time.perf_counter() - begun, time.process_time() - own
    return Spent(events, wall, client, [after - was for after, was in zip(cluster.cpu_s(), before, strict=True)])


def report(results: Results, name: str, rounds: Sequence[Spent]) -> None:
    """Medians over the rounds: events a second, and microseconds of processor time an event."""
    results.add(f"{name}_per_s", statistics.median(one.rate for one in rounds), "1/s", "higher")
    results.add(f"{name}_client_us", statistics.median(one.client / one.events for one in rounds) * 1e6, "µs")
    for place in range(len(rounds[0].nodes)):
        node = "coordinator" if place == 0 else f"worker{place}"
        cost = statistics.median(one.nodes[place] / one.events for one in rounds) * 1e6
        results.add(f"{name}_{node}_us", cost, "µs")


async def timed(times: int, work: Callable[[], Awaitable[object]]) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        await work()
        found.append((time.perf_counter() - begun) * 1000)
    return found


def latency(results: Results, name: str, found: Sequence[float]) -> None:
    ordered = sorted(found)
    results.add(f"{name}_p50_ms", ordered[len(ordered) // 2], "ms")
    results.add(f"{name}_p95_ms", ordered[int(len(ordered) * 0.95)], "ms")


def event(drawn: random.Random, grant: str | None = None) -> UsageEvent:
    """A plain event of some grant at some time, its id at random."""
    return UsageEvent(
        source=f"https://operator-{drawn.randrange(GRANTS)}.example/credit", id=f"{drawn.getrandbits(96):024x}",
        subject=grant or f"grt_{drawn.randrange(GRANTS)}", time=UNTIL - timedelta(days=drawn.random() * DAYS),
        resource_id="res-bench", rows=drawn.randrange(100), calls=1, bytes=300,
        details={"product": "score", "region": "320500"},
    )
