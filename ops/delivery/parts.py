"""The parts of delivery that live as long as the process: pools, recorder, watch, limiter."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import asyncpg

from authz import Runtime, Unavailable, objects, open_pool
from billing.usage import UsageRecorder
from licensing import grants
from ops.delivery.cursors import Cursors
from ops.delivery.decisions import DecisionLog
from ops.delivery.files import Files, FileStore
from ops.delivery.grants import standing as standing_grants
from ops.delivery.known import Holders
from ops.delivery.lanes import Lanes, connector
from ops.delivery.limits import Limiter, Rates
from ops.delivery.sources import Columns
from ops.delivery.watch import GrantWatch, Under

EXTRA = "delivery"
STREAMS_MAX = 24
"""Deliveries of restricted data that one process runs at a time."""


class ProvenKeys:
    """Keys that this process has seen authenticate within the last minutes, as digests.

    Only they are counted by themselves. A key that somebody made up is counted with its address, so that making up
    another one for each call buys nothing.
    """

    KEPT_S = 300.0
    MOST = 50_000

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    @staticmethod
    def digest(key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest()[:32]

    def add(self, key: str) -> None:
        if len(self._until) >= self.MOST:
            self._until.clear()
        self._until[self.digest(key)] = time.monotonic() + self.KEPT_S

    def knows(self, digest: str) -> bool:
        """Whether the key of that digest is one of them."""
        return self._until.get(digest, 0.0) > time.monotonic()


@dataclass
class DeliveryParts:
    """Made at the first request that needs them, closed with the runtime."""

    runtime: Runtime
    recorder: UsageRecorder
    watch: GrantWatch
    restricted: asyncpg.Pool
    limiter: Limiter
    rates: Rates
    cursors: Cursors
    decisions: DecisionLog
    lanes: Lanes
    watching: Lanes
    holders: Holders
    files: Files
    columns: Columns = field(default_factory=Columns)
    proven: ProvenKeys = field(default_factory=lambda: ProvenKeys())

    @property
    def datastore(self) -> asyncpg.Pool:
        """CKAN's DataStore, read-only; raises Unavailable when the service was started without it."""
        if self.runtime.datastore is None:
            raise Unavailable(part="DataStore")
        return self.runtime.datastore


async def delivery_of(runtime: Runtime) -> DeliveryParts:
    """The parts of this process, opened once."""
    known = runtime.extras.get(EXTRA)
    if isinstance(known, DeliveryParts):
        return known
    lock: asyncio.Lock = runtime.extras.setdefault("delivery.lock", asyncio.Lock())
    async with lock:
        known = runtime.extras.get(EXTRA)
        if isinstance(known, DeliveryParts):
            return known
        opened = await _open(runtime)
        runtime.extras[EXTRA] = opened
        return opened


async def _open(runtime: Runtime) -> DeliveryParts:
    pool = await open_pool(runtime.settings.database_url, size_min=0, size_max=STREAMS_MAX)
    recorder = UsageRecorder(runtime.pool, runtime.audit, runtime.clock)
    await recorder.start()

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(runtime.settings.database_url, timeout=5)

    watching = Lanes(connector(runtime.settings.database_url), 1)

    async def standing(running: Iterable[Under]) -> set[Under]:
        wanted, now = list(running), runtime.clock.now()
        async with watching.held() as connection:  # one of its own: a rush of callers must not blind it
            good = await standing_grants(connection, {one[0] for one in wanted}, now)
            live = await grants.live_keys(connection, {one[2] for one in wanted if one[2]}, now)
            there = {
                resource for resource in {one[1] for one in wanted}
                if await objects.get(connection, resource) is not None
            }
        return {one for one in wanted if one[0] in good and one[1] in there and (one[2] is None or one[2] in live)}

    watch = GrantWatch(connect, standing)
    await watching.open()
    watch.start()
    decisions = DecisionLog(runtime.pool)
    decisions.start()
    return DeliveryParts(
        runtime=runtime, recorder=recorder, watch=watch, restricted=pool,
        limiter=Limiter(runtime.redis), rates=Rates.from_env(), cursors=Cursors.of(runtime.signing_key),
        decisions=decisions, lanes=Lanes(connector(runtime.settings.database_url)), watching=watching,
        holders=Holders(),
        files=Files(FileStore.from_env()),
    )


async def close_delivery(runtime: Runtime) -> None:
    """End running deliveries, write what is waiting, close the pools; nothing when none was opened."""
    parts = runtime.extras.pop(EXTRA, None)
    if isinstance(parts, DeliveryParts):
        await parts.watch.close()
        await parts.files.close()
        await parts.recorder.close()
        await parts.decisions.close()
        await parts.limiter.close()
        await parts.lanes.close()
        await parts.watching.close()
        try:
            await asyncio.wait_for(parts.restricted.close(), 5)
        except TimeoutError:
            parts.restricted.terminate()
