"""A load of HTTP requests over a few kept-alive connections: as cheap as Python allows, for it shares the machine."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop


@dataclass
class Result:
    """What came back: answers a second, the time of each, and those that were not 200."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)
    bytes: int = 0

    @property
    def rps(self) -> float:
        return len(self.times) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


class _Caller(asyncio.Protocol):
    """One connection that sends the next request when the answer to the last one is complete."""

    def __init__(
        self, requests: Iterator[bytes], until: float, fine: Sequence[bytes], result: Result, done: asyncio.Future[None]
    ) -> None:
        self._requests, self._until, self._fine, self._result, self._done = requests, until, fine, result, done
        self._buffer = bytearray()
        self._sent_at = 0.0
        self._whole = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._next()

    def _next(self) -> None:
        now = time.perf_counter()
        request = next(self._requests, None) if now < self._until else None
        if request is None:
            self._transport.close()
            return
        self._sent_at, self._whole = now, -1
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._whole < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            at = head.find(b"content-length:")
            if at < 0:
                self._done.set_exception(ValueError("an answer without a length"))
                self._transport.abort()
                return
            self._whole = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < self._whole:
            return
        took = time.perf_counter() - self._sent_at
        if self._buffer[9:12] in self._fine:
            self._result.times.append(took)
            self._result.bytes += self._whole
        elif len(self._result.failures) < 20:
            self._result.failures.append(bytes(self._buffer[: self._whole]))
        del self._buffer[: self._whole]
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def _load(port: int, each: Iterator[bytes], callers: int, seconds: float, fine: Sequence[bytes]) -> Result:
    loop, result = asyncio.get_running_loop(), Result()
    begun = time.perf_counter()
    ends = []
    for _ in range(callers):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(
            lambda done=done: _Caller(each, begun + seconds, fine, result, done), "127.0.0.1", port  # type: ignore[misc]
        )
        ends.append(done)
    await asyncio.gather(*ends)
    result.seconds = time.perf_counter() - begun
    return result


def load(port: int, requests: Sequence[bytes], *, callers: int, seconds: float) -> Result:
    """Send the requests in turn, over ``callers`` connections at once, for that long."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_load(port, itertools.cycle(requests), callers, seconds, (b"200",)))


def send_all(port: int, requests: Sequence[bytes], *, callers: int, fine: Sequence[bytes] = (b"200",)) -> Result:
    """Send every request once, over ``callers`` connections at once; ``fine`` are the answers that are no failures."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_load(port, iter(requests), callers, math.inf, fine))


def request(port: int, path: str, **headers: str) -> bytes:
    """A GET request as it goes over the wire."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: keep-alive"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
