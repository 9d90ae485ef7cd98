"""Rows through a framing: COPY out, batches in a thread, bytes with their count of rows to whoever takes them.

At most one batch is being worked on while the next is being read and the last is being sent, so that memory stays flat
and PostgreSQL, the thread and the client work at the same time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg

from ops.delivery.framing import Framing

SLICE_BYTES = 128 * 1024
"""Large results are handed on in slices, so that an interrupted delivery is counted closely."""
EXECUTOR = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="govopen-format")

Emit = Callable[[bytes, int], Awaitable[None]]


class Overrun(Exception):
    """More rows came than were reserved: nothing beyond the reservation may be sent."""


async def pump(
    connection: asyncpg.Connection, sql: str, framing: Framing, emit: Emit, rows_max: int | None = None
) -> int:
    """COPY ``sql`` through the framing into ``emit(bytes, rows)``; the number of rows. Raises Overrun."""
    run = _Run(framing, emit, rows_max)
    if framing.head:
        await emit(framing.head, 0)
    await connection.copy_from_query(framing.select(sql), output=run.take, **framing.copy_options)
    await run.end()
    return run.rows


class _Run:
    def __init__(self, framing: Framing, emit: Emit, rows_max: int | None) -> None:
        self.framing, self.emit, self.rows_max = framing, emit, rows_max
        self.rows = 0
        self.take = self._batched if framing.batch_bytes else self._at_once
        self._pieces: list[bytes] = []
        self._size = 0
        self._limit = min(framing.batch_first, framing.batch_bytes)
        self._job: asyncio.Future[tuple[bytes, int]] | None = None

    async def _at_once(self, piece: bytes) -> None:
        body, rows = self.framing.frame(piece)
        self._count(rows)
        await self.emit(body, rows)

    def _count(self, rows: int) -> None:
        self.rows += rows
        if self.rows_max is not None and self.rows > self.rows_max:
            raise Overrun

    async def _batched(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= self._limit:
            self._limit = min(self._limit * 2, self.framing.batch_bytes)
            await self._hand_on()

    async def _hand_on(self) -> None:
        """Begin with the batch that is full; meanwhile send what the one before has become."""
        done = await self._job if self._job else None
        self._job = None
        if self._pieces:
            batch = b"".join(self._pieces)
            self._pieces, self._size = [], 0
            self._job = asyncio.get_running_loop().run_in_executor(EXECUTOR, self.framing.frame, batch)
        if done is not None:
            self._count(done[1])
            for body, rows in slices(*done, by_line=self.framing.by_line):
                await self.emit(body, rows)

    async def end(self) -> None:
        while self._pieces or self._job:
            await self._hand_on()
        if not self.framing.batch_bytes:
            last = self.framing.finish()
        else:
            last = await asyncio.get_running_loop().run_in_executor(EXECUTOR, self.framing.finish)
        for body, rows in slices(last, 0, by_line=False):
            await self.emit(body, rows)


def slices(body: bytes, rows: int, *, by_line: bool) -> Iterator[tuple[bytes, int]]:
    """Parts of a large body; the rows of each when they are lines, else all rows with the first part."""
    if len(body) <= SLICE_BYTES:
        if body or rows:
            yield body, rows
        return
    start = 0
    while start < len(body):
        end = min(start + SLICE_BYTES, len(body))
        if by_line and end < len(body):
            end = body.rfind(b"\n", start, end) + 1 or body.find(b"\n", end) + 1 or len(body)
        part = body[start:end]
        count = part.count(b"\n") if by_line else rows if start == 0 else 0
        yield part, count
        start = end
