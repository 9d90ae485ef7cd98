"""Ends running deliveries of a grant or a key that no longer stands, within a second.

Two ways, either of which is enough: a notification on ``govopen_grant``, heard on a connection of its own; and a
sweep that reads the state of every grant with a running delivery twice a second. When the state cannot be read, the
deliveries end as well: closed when in doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

import asyncpg

log = logging.getLogger("govopen.delivery")

CHANNEL = "govopen_grant"
SWEEP_EVERY_S = 0.4
BLIND_MAX_S = 0.9
"""How long deliveries go on without a successful look at their grants."""

Under = tuple[str, str, str | None]
"""What a delivery runs under: grant id, resource id, id of the key when one was used."""
Standing = Callable[[Iterable[Under]], Awaitable[set[Under]]]
"""Of these, the ones that still allow delivery at this moment."""


class Running:
    """One delivery under way; ``stopped`` becomes done when it must end."""

    def __init__(self, grant_id: str, resource_id: str, key_id: str | None = None) -> None:
        self.under: Under = (grant_id, resource_id, key_id)
        self.stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def stop(self, why: str) -> None:
        if not self.stopped.done():
            self.stopped.set_result(why)


class GrantWatch:
    """Knows what is running under which grant and ends it when the grant ends."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], standing: Standing) -> None:
        self._connect, self._standing = connect, standing
        self._running: set[Running] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._seen_at = time.monotonic()

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._sweep())]

    async def close(self) -> None:
        for running in self._running:
            running.stop("service_stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, running: Running) -> None:
        if not self._running:
            self._seen_at = time.monotonic()
        self._running.add(running)
        self._wake.set()

    def discard(self, running: Running) -> None:
        self._running.discard(running)

    async def _sweep(self) -> None:
        while True:
            if not self._running:
                self._wake.clear()
                await self._wake.wait()
            await self._look()
            with contextlib.suppress(TimeoutError):
                self._wake.clear()
                await asyncio.wait_for(self._wake.wait(), SWEEP_EVERY_S)

    async def _look(self) -> None:
        """Read the grants of everything that runs; end what no longer stands, or everything when blind too long."""
        while running := list(self._running):
            left_s = self._seen_at + BLIND_MAX_S - time.monotonic()
            try:
                standing = await asyncio.wait_for(self._standing({one.under for one in running}), max(0.05, left_s))
            except Exception as fault:
                if time.monotonic() - self._seen_at < BLIND_MAX_S:
                    await asyncio.sleep(0.05)
                    continue
                log.warning("grants cannot be read (%s): deliveries end", type(fault).__name__)
                for one in running:
                    one.stop("grant_not_readable")
                return
            self._seen_at = time.monotonic()
            for one in running:
                if one.under not in standing:
                    one.stop("grant_ended")
            return

    async def _listen(self) -> None:
        while True:
            try:
                connection = await self._connect()
            except Exception as fault:  # the sweep goes on meanwhile
                log.warning("cannot listen for revocations: %s", type(fault).__name__)
                await asyncio.sleep(1)
                continue
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _, lost=lost: lost.set())
            try:
                await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
                self._wake.set()
                await lost.wait()
            finally:
                connection.terminate()
