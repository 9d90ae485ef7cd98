"""One connection to Redis that the calls of many requests share: each is written at once and answered in turn.

A request that borrows a connection from a pool pays for it several times over; here it pays for one write. Any
doubt about the connection ends it: every call that waits on it fails, and the next one opens another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis.asyncio

ANSWER_S = 0.5
"""A Redis that takes longer counts as away."""
PIECE = 64 * 1024


class RedisAway(Exception):
    """Redis cannot be asked at this moment."""


def command(*words: str | bytes) -> bytes:
    """A command as Redis reads it (RESP)."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word.encode() if isinstance(word, str) else word
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


class RedisLine:
    """Runs one script over and over: ``run(keys and arguments)`` gives its answer, a list of integers."""

    def __init__(self, client: redis.asyncio.Redis, script: str) -> None:
        self._pool, self._script = client.connection_pool, script
        self._sha = b""
        self._connection: redis.asyncio.Connection | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: deque[asyncio.Future[list[int]]] = deque()
        self._opening: asyncio.Lock = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def run(self, key: str, *arguments: str) -> list[int]:
        """The script's answer for one key; raises RedisAway."""
        if self._writer is None:
            await self._open()
        writer = self._writer
        if writer is None or writer.is_closing():
            self._end()
            raise RedisAway
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[int]] = loop.create_future()
        self._waiting.append(answer)
        writer.write(command("EVALSHA", self._sha, "1", key, *arguments))
        if self._watch is None:
            self._watch = loop.call_later(ANSWER_S, self._look, answer)
        return await answer

    async def _open(self) -> None:
        from redis.exceptions import RedisError

        async with self._opening:
            if self._writer is not None:
                return
            connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                async with asyncio.timeout(ANSWER_S * 2):
                    await connection.connect()
                    await connection.send_command("SCRIPT", "LOAD", self._script)
                    sha = await connection.read_response()
            except (RedisError, OSError, TimeoutError) as away:
                with contextlib.suppress(Exception):
                    await connection.disconnect(nowait=True)
                raise RedisAway from away
            self._sha = sha if isinstance(sha, bytes) else str(sha).encode()
            # The client's own connection has shaken hands (user, database, TLS); from here on its streams are ours.
            self._connection, self._writer = connection, connection._writer
            self._reading = asyncio.create_task(self._read(connection._reader, connection._writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = b""
        with contextlib.suppress(OSError, ValueError, IndexError):
            while piece := await reader.read(PIECE):
                left = self._answer(left + piece)
        if self._writer is writer:
            self._end()

    def _answer(self, received: bytes) -> bytes:
        """Hand out the whole answers in what was received; returns the rest. ValueError for one that is no list."""
        at = 0
        while at < len(received):
            line_end = received.find(b"\r\n", at)
            if line_end < 0:
                break
            if received[at : at + 1] != b"*":
                raise ValueError("not the answer of the script")
            count = int(received[at + 1 : line_end])
            parts = received[line_end + 2 :].split(b"\r\n", count) if count else [b""]
            if len(parts) <= count:
                break
            values = [int(part[1:]) for part in parts[:count]]
            at = len(received) - len(parts[count])
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(values)
        return received[at:]

    def _look(self, oldest: asyncio.Future[list[int]]) -> None:
        """Whoever waited longest must have been answered by now."""
        self._watch = None
        if self._waiting and self._waiting[0] is oldest:
            self._end()
        elif self._waiting:
            self._watch = asyncio.get_running_loop().call_later(ANSWER_S, self._look, self._waiting[0])

    def _end(self) -> None:
        """Give the connection up: nobody may get an answer that was meant for another."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        writer, self._writer, self._connection = self._writer, None, None
        if writer is not None:
            with contextlib.suppress(Exception):
                writer.close()
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(RedisAway())

    async def close(self) -> None:
        self._end()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
