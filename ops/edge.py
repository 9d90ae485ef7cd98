"""The outermost layer of the service: request ids and size limits, without standing in a stream's way.

It is plain ASGI: a middleware that runs the app behind a queue would hide the client's disconnect from a
running download and break its back-pressure.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authz import TooLarge, new_id
from ops import problems

REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
UPLOAD_PATHS = ("/v1/restricted/",)
DRAIN_BYTES = 16 * 2**20
DRAIN_S = 10.0
"""What is read and thrown away of a body that is refused. An answer to somebody who is still sending is lost when
the connection closes under unread bytes, so the rest is taken first, up to these limits."""


def name_request(scope: Scope, headers: Mapping[bytes, bytes]) -> str:
    """The request's id: the one that it has by now, the caller's own if it is well formed, or a new one."""
    state: dict[str, Any] = scope.setdefault("state", {})
    known: str | None = state.get("request_id")
    if known is None:
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        known = state["request_id"] = given if REQUEST_ID.fullmatch(given) else new_id("req")
    return known


class Edge:
    """Give every request its id, refuse bodies above the limit, also those that do not say their length."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = name_request(scope, headers)
        settings = scope["app"].state.runtime.settings
        upload = scope["path"].startswith(UPLOAD_PATHS)
        limit = settings.upload_bytes_max if upload else settings.body_bytes_max
        exchange = _Exchange(scope, receive, send, request_id, limit)
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit:
            await exchange.refuse()
            return
        await self.app(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request on its way in and its answer on the way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str, limit: int) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._request_id = request_id.encode()
        self._limit = limit
        self._received = 0
        self._refused = False
        self._started = False
        self._more = True

    async def refuse(self) -> None:
        """Answer 413 in place of whatever the app would have said."""
        self._refused = True
        answer = problems.problem(Request(self._scope), TooLarge(limit=f"{self._limit:,} B"))
        if not await self._drained():
            answer.headers["Connection"] = "close"
        await answer(self._scope, self._receive, self._send_with_id)

    async def _drained(self) -> bool:
        """Whether the rest of the body was short enough, and came soon enough, to be read away."""
        left = DRAIN_BYTES
        try:
            async with asyncio.timeout(DRAIN_S):
                while self._more and left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self._more = message["type"] == "http.request" and message.get("more_body", False)
        except TimeoutError:
            return False
        return not self._more

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._more = message.get("more_body", False)
            if self._received > self._limit and not self._refused:
                if not self._started:
                    await self.refuse()
                self._refused = True
        if self._refused:
            raise TooLarge(limit=f"{self._limit:,} B")
        return message

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        await self._send_with_id(message)

    async def _send_with_id(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._request_id)]
        await self._send(message)
