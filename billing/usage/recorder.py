"""Group commit: many callers, one transaction at a time, so that a durable reservation costs milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import asyncpg

from authz import AuditLog, Clock, Unavailable, new_id
from billing.usage import store
from billing.usage.at_once import fit_for_it, record_at_once
from billing.usage.carry import Done, Work, carry_out
from billing.usage.kept import Kept
from billing.usage.model import Ask, Served, Settle
from billing.usage.store import acquire

log = logging.getLogger("govopen.usage")

BATCH_MAX = 400
BEAT_EVERY_S = 2.0
LEASE_S = 15.0
"""A process that gave no sign of life for so long is gone; its open reservations are settled by rule."""
TRIES = 3
RETRY_AFTER_S = 0.2
OPEN_SUMS_EVERY_S = 1.0
GATHER_S = 0.005
"""The longest that a commit waits for answers that are being read and will be recorded in a moment: one commit for
eight of them costs little more than one for one."""

AWAY = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError,
        asyncpg.InternalClientError, asyncpg.OperatorInterventionError,
        asyncpg.DeadlockDetectedError, TimeoutError, asyncpg.PostgresIOError)


def is_away(fault: Exception, *, is_last: bool) -> bool:
    """Is the database away, or did it give up on us? Then the work may be tried again.

    A dying server also says of some sessions that something went wrong inside it. Where it still says so at the last
    attempt, the reason lies in the work, such as in one faulty item.
    """
    return isinstance(fault, AWAY) or (type(fault) is asyncpg.InternalServerError and not is_last)


@dataclass(eq=False)
class _Item:
    """One caller's wish and the future it waits on."""

    answer: asyncio.Future[None]
    reserve: Ask | None = None
    record: tuple[Ask, Served] | None = None
    settle: Settle | None = None

    @property
    def ask_id(self) -> str | None:
        if self.reserve:
            return self.reserve.id
        return self.record[0].id if self.record else None


@dataclass
class _OpenSums:
    sums: dict[tuple[str, date], tuple[int, int, int]] = field(default_factory=dict)

    def add(self, resource_id: str, day: date, downloads: int, rows: int, size: int) -> None:
        before = self.sums.get((resource_id, day), (0, 0, 0))
        self.sums[resource_id, day] = (before[0] + downloads, before[1] + rows, before[2] + size)


class UsageRecorder:
    """Reserves, settles and records for one service process; ``start`` before use, ``close`` at the end."""

    def __init__(self, pool: asyncpg.Pool, audit: AuditLog, clock: Clock) -> None:
        self.process_id = new_id("prc")
        self._pool, self._audit, self._clock = pool, audit, clock
        self._kept = Kept(pool)
        self._waiting: list[_Item] = []
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._open_sums = _OpenSums()
        self._closing = False
        self._coming = self._awaited = 0
        self._here = asyncio.Event()

    async def start(self) -> None:
        """Announce the process (so that its reservations have a living owner) and begin to commit."""
        await self._beat()
        self._tasks = [asyncio.create_task(work()) for work in (self._commit_loop, self._beat_loop)]

    async def close(self) -> None:
        """Finish what is waiting, then withdraw; what could not be written is settled by rule later."""
        self._closing = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks[:1], timeout=5)
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        await self._kept.give_back()
        with contextlib.suppress(*AWAY):
            await self._write_open_sums()
            async with acquire(self._pool) as connection:
                await store.forget_process(connection, self.process_id)

    async def reserve(self, ask: Ask) -> None:
        """Make the reservation durable. Raises QuotaExhausted, or Unavailable when it could not be written."""
        await self._submit(_Item(self._future(), reserve=ask))

    async def record(self, ask: Ask, served: Served) -> None:
        """Reserve and settle in one, for an answer whose rows are known before its first byte."""
        await self._submit(_Item(self._future(), record=(ask, served)))

    def coming(self) -> Coming:
        """What is worked on inside will be recorded soon: a commit may wait for it a moment.

        Gives what is to be called when it is there, right before ``record``; leaving does as well.
        """
        return Coming(self)

    def _one_more(self) -> None:
        self._coming += 1

    def _one_is_here(self) -> None:
        self._coming -= 1
        self._awaited -= 1
        if self._awaited == 0:
            self._here.set()

    def settle(self, ask: Ask, served: Served | None) -> asyncio.Future[None]:
        """Close a reservation; tried until it is written. The future is done when it is durable."""
        item = _Item(self._future(), settle=Settle(ask.id, ask.grant_id, ask.day, served))
        item.answer.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._enqueue(item)
        return item.answer

    def count_open(self, resource_id: str, day: date, rows: int, size: int, downloads: int = 1) -> None:
        """Add a download of open data to the day's sums, which are written within a second."""
        self._open_sums.add(resource_id, day, downloads, rows, size)

    def _future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def _enqueue(self, item: _Item) -> None:
        self._waiting.append(item)
        self._wake.set()

    async def _submit(self, item: _Item) -> None:
        if self._closing:
            raise Unavailable(part="usage")
        self._enqueue(item)
        try:
            await item.answer
        except asyncio.CancelledError:
            self._give_back(item)
            raise

    def _give_back(self, item: _Item) -> None:
        """The caller went away while waiting: whatever gets reserved is released again."""
        item.answer.add_done_callback(lambda f: f.cancelled() or f.exception())
        if item in self._waiting:
            self._waiting.remove(item)
        elif item.reserve is not None:
            self.settle(item.reserve, None)

    async def _commit_loop(self) -> None:
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._gather()
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                await self._commit(batch)

    async def _gather(self) -> None:
        """Wait for as many answers as are being read at this moment, but not long."""
        if not self._coming or self._closing:
            return
        self._awaited = self._coming
        self._here.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GATHER_S):
                await self._here.wait()

    async def _commit(self, batch: list[_Item], *, again: bool = False) -> None:
        for attempt in range(TRIES):
            try:
                done = await self._write(batch, again=again or attempt > 0)
            except Exception as fault:
                if not is_away(fault, is_last=attempt == TRIES - 1):
                    await self._commit_apart(batch, fault)
                    return
                log.warning("usage could not be written (%s), try %d", type(fault).__name__, attempt + 1)
                await asyncio.sleep(RETRY_AFTER_S * (attempt + 1))
            else:
                _answer(batch, done)
                return
        self._put_off(batch)

    async def _write(self, batch: list[_Item], *, again: bool) -> Done:
        work = Work(
            reserves=[one.reserve for one in batch if one.reserve],
            records=[one.record for one in batch if one.record],
            settles=[one.settle for one in batch if one.settle],
        )
        now = self._clock.now()
        async with asyncio.timeout(10), self._kept.held() as connection:
            first = not again and not work.reserves and not work.settles
            if first and fit_for_it(work.records) and await record_at_once(connection, self._audit, work.records, now):
                return Done()
            async with connection.transaction():
                return await carry_out(connection, self._audit, self.process_id, work, now, again=again)

    async def _commit_apart(self, batch: list[_Item], fault: Exception) -> None:
        """One faulty item must not harm its neighbors: each alone; the faulty one gets its fault."""
        if len(batch) == 1:
            log.error("usage refused by the database", exc_info=fault)
            self._refuse(batch[0], fault)
            return
        for item in batch:
            await self._commit([item], again=True)

    def _put_off(self, batch: list[_Item]) -> None:
        """The database stays away: asks are refused and released later, settlements are tried again."""
        for item in batch:
            if item.settle is not None:
                self._waiting.append(item)
                continue
            self._refuse(item, Unavailable(part="PostgreSQL"))

    def _refuse(self, item: _Item, fault: Exception) -> None:
        """Hand the fault to the caller; a reservation that was committed all the same is released."""
        if not item.answer.done():
            item.answer.set_exception(fault)
        if item.reserve is not None:
            self.settle(item.reserve, None)

    async def _beat(self) -> None:
        async with acquire(self._pool) as connection:
            await store.beat(connection, self.process_id)

    async def _beat_loop(self) -> None:
        loop = asyncio.get_running_loop()
        next_beat = loop.time() + BEAT_EVERY_S
        while not self._closing:
            await asyncio.sleep(OPEN_SUMS_EVERY_S / 2)
            await _survive(self._write_open_sums(), "open downloads could not be counted")
            if loop.time() >= next_beat:
                await _survive(self._beat(), "the sign of life could not be written")
                next_beat = loop.time() + BEAT_EVERY_S

    async def _write_open_sums(self) -> None:
        sums, self._open_sums = self._open_sums.sums, _OpenSums()
        if not sums:
            return
        try:
            async with acquire(self._pool) as connection:
                await store.add_open_downloads(connection, sums)
        except BaseException:
            for (resource_id, day), (downloads, rows, size) in sums.items():
                self._open_sums.add(resource_id, day, downloads, rows, size)
            raise


class Coming:
    """An answer on its way, until it is there or given up."""

    __slots__ = ("_on_its_way", "_recorder")

    def __init__(self, recorder: UsageRecorder) -> None:
        self._recorder, self._on_its_way = recorder, False

    def __enter__(self) -> Callable[[], None]:
        self._on_its_way = True
        self._recorder._one_more()
        return self._here

    def __exit__(self, *fault: object) -> None:
        self._here()

    def _here(self) -> None:
        if self._on_its_way:
            self._on_its_way = False
            self._recorder._one_is_here()


def _answer(batch: list[_Item], done: Done) -> None:
    for item in batch:
        if item.answer.done():
            continue
        refusal = done.refused.get(item.ask_id) if item.ask_id else None
        if refusal is not None:
            item.answer.set_exception(refusal)
        else:
            item.answer.set_result(None)


async def _survive(work: Coroutine[Any, Any, None], message: str) -> None:
    try:
        await asyncio.wait_for(work, 5)
    except Exception as fault:  # the loop must live: it is what keeps reservations from being settled by rule
        log.warning("%s: %s", message, type(fault).__name__)
