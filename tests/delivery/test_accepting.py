"""Workers that share a socket: every connection is served, by whichever takes it, also after one of them has ended."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from ops.accepting import BalancedLoop


class Naming(asyncio.Protocol):
    """Answers whatever comes with the worker's name."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.name)


@contextmanager
def worker(name: bytes, shared: socket.socket) -> Iterator[None]:
    """A worker in a thread of its own, at its own copy of the shared socket."""
    mine, begun, ends = shared.dup(), threading.Event(), asyncio.Event()
    loop = BalancedLoop()

    async def serve() -> None:
        server = await loop.create_server(lambda: Naming(name), sock=mine, backlog=64)
        begun.set()
        await ends.wait()
        server.close()
        await server.wait_closed()
        mine.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join()
        loop.close()


def ask(connection: socket.socket) -> bytes:
    connection.sendall(b"?")
    return connection.recv(1)


def open_many(port: int, many: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(many)]


def test_every_connection_is_served() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as shared:
        port = shared.getsockname()[1]
        with worker(b"a", shared):
            with worker(b"b", shared):
                kept = open_many(port, 40)
                asked = Counter(ask(one) for one in kept)
                assert asked.total() == 40
                assert set(asked) <= {b"a", b"b"}
                assert Counter(ask(one) for one in kept) == asked
            after = open_many(port, 20)
            assert {ask(one) for one in after} == {b"a"}
        for one in kept + after:
            one.close()
