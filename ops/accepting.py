"""An event loop for one of several workers at one socket, which leaves new connections to those that have fewer.

The kernel wakes all workers and the quickest takes every connection that waits: of sixteen callers that keep their
connections, one worker had twelve, or all, and was at its limit while the other one slept. Here a worker that has
connections already waits a moment before it takes another, the longer the more it has, and takes few at a time.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvloop

log = logging.getLogger("govopen.service")

WAIT_EACH_S = 0.0005
WAIT_MAX_S = 0.01
"""A caller who opens a connection notices nothing of so little; one who keeps it gains every time."""
AT_ONCE = 8
"""A worker takes one more at a time for so many that it has."""
AGAIN_S = 0.5


class Accepting:
    """What ``create_server`` gives: takes connections of a socket until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, factory: Callable[[], Any], sock: socket.socket) -> None:
        self._loop, self._factory, self._sock = loop, factory, sock
        self.sockets = [sock]
        self._open: set[asyncio.BaseTransport] = set()
        self._beginning: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._closed = False
        sock.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Take no more; those that are there stay."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._sock)
            if self._later is not None:
                self._later.cancel()

    async def wait_closed(self) -> None:
        if self._beginning:
            await asyncio.wait(self._beginning)

    def _listen(self) -> None:
        self._later = None
        if not self._closed:
            self._loop.add_reader(self._sock, self._somebody_waits)

    def _somebody_waits(self) -> None:
        self._open = {one for one in self._open if not one.is_closing()}
        here = len(self._open) + len(self._beginning)
        if not here:
            self._take(1)
            return
        self._loop.remove_reader(self._sock)
        self._later = self._loop.call_later(min(WAIT_MAX_S, WAIT_EACH_S * here), self._take_and_listen, here)

    def _take_and_listen(self, here: int) -> None:
        if self._take(1 + here // AT_ONCE):
            self._listen()
        else:
            self._later = self._loop.call_later(AGAIN_S, self._listen)

    def _take(self, most: int) -> bool:
        """Take what waits, up to so many; False when the system gives no more connections for now."""
        for _ in range(most):
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return True  # another worker was quicker, or the caller went away
            except OSError as fault:
                log.error("no connection can be taken: %s", errno.errorcode.get(fault.errno or 0, fault))
                return False
            beginning = self._loop.create_task(self._begin(connection))
            self._beginning.add(beginning)
            beginning.add_done_callback(self._beginning.discard)
        return True

    async def _begin(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await self._loop.connect_accepted_socket(self._factory, connection)
            self._open.add(transport)
        except OSError:
            connection.close()


class BalancedLoop(uvloop.Loop):
    """uvloop's loop, but for servers at a socket that was opened before: one that workers share."""

    async def create_server(self, protocol_factory: Any, *places: Any, **more: Any) -> Any:
        sock = more.get("sock")
        if sock is None or more.get("ssl") is not None or sock.family == socket.AF_UNIX:
            return await super().create_server(protocol_factory, *places, **more)
        sock.listen(more.get("backlog") or 100)
        return Accepting(self, protocol_factory, sock)
