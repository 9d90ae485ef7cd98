"""The stream itself: COPY out of PostgreSQL into the response, flat in memory, and an exact end whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import asyncpg
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from billing.usage import Served
from billing.usage.model import Outcome
from ops.delivery.connections import Lease
from ops.delivery.framing import Framing
from ops.delivery.pump import Overrun, pump
from ops.delivery.watch import Running

log = logging.getLogger("govopen.delivery")

SEND_BYTES = 128 * 1024
"""Pieces are joined up to this size before they are sent."""
STALL_S = 60.0
"""A client that takes nothing for so long is treated as gone: it would hold a connection for ever."""
SETTLE_WAIT_S = 3.0


class ClientStalled(Exception):
    """The client took nothing for STALL_S seconds."""


@dataclass
class Delivery:
    """One delivery ready to begin. ``rows_max`` and ``bytes_max`` were reserved; ``settle`` is called exactly once."""

    lease: Lease
    sql: str
    framing: Framing
    settle: Callable[[Served], asyncio.Future[None] | None]
    rows_max: int | None = None
    bytes_max: int | None = None
    running: Running | None = None
    on_end: Callable[[], None] = lambda: None


class DataStream(Response):
    """Sends a delivery. An incomplete one ends without the final chunk, so that no client takes it for whole."""

    def __init__(self, delivery: Delivery, headers: Mapping[str, str], media_type: str) -> None:
        self.delivery = delivery
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers({**headers, "content-type": media_type})
        self._rows = self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outcome: Outcome = "failed"
        left = asyncio.create_task(client_left(receive))
        copying = asyncio.create_task(self._send_all(send))
        try:
            stopped = self.delivery.running.stopped if self.delivery.running else None
            ends = {copying, left} | ({stopped} if stopped else set())
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if copying.done():
                outcome = _outcome_of(copying)
            elif stopped is not None and stopped.done():
                outcome = "stopped"
            else:
                outcome = "client_left"
        finally:
            left.cancel()
            copying.cancel()  # before counting: not a piece more is handed over
            settled = self.delivery.settle(Served(self._rows, self._bytes, outcome))
            self.delivery.on_end()
            await asyncio.shield(self._release(copying, outcome))
        if outcome == "complete":
            if settled is not None:
                await asyncio.wait([settled], timeout=SETTLE_WAIT_S)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _release(self, copying: asyncio.Task[None], outcome: Outcome) -> None:
        if outcome == "complete":
            await self.delivery.lease.give_back()
            return
        copying.cancel()
        await asyncio.wait([copying], timeout=1)
        await self.delivery.lease.throw_away()

    async def _send_all(self, send: Send) -> None:
        """Start, head, rows, end. Rows count as sent when they are handed over, not when they are fetched."""
        delivery = self.delivery
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        pieces: list[bytes] = []
        size = rows = 0

        async def flush() -> None:
            nonlocal pieces, size, rows
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if delivery.bytes_max is not None and self._bytes + len(body) > delivery.bytes_max:
                raise Overrun
            self._rows += rows
            self._bytes += len(body)
            pieces, size, rows = [], 0, 0
            if body:
                await hand_over(send, {"type": "http.response.body", "body": body, "more_body": True})

        async def take(body: bytes, count: int) -> None:
            nonlocal size, rows
            pieces.append(body)
            size += len(body)
            rows += count
            if size >= SEND_BYTES or not self._bytes:
                await flush()

        await pump(delivery.lease.connection, delivery.sql, delivery.framing, take, delivery.rows_max)
        await flush()


async def hand_over(send: Send, message: Message) -> None:
    try:
        async with asyncio.timeout(STALL_S):
            await send(message)
    except TimeoutError as fault:
        raise ClientStalled from fault


async def client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _outcome_of(copying: asyncio.Task[None]) -> Outcome:
    fault = copying.exception()
    if fault is None:
        return "complete"
    if isinstance(fault, ClientStalled | ConnectionError) and not isinstance(fault, asyncpg.PostgresError):
        return "client_left"
    log.error("a delivery broke off: %s", type(fault).__name__, exc_info=fault)
    return "failed"
