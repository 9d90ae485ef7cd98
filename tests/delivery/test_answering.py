"""Heads of answers go out with the first of the body, and by themselves when there is nothing to wait for."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pytest
import uvicorn

from ops.answering import Together

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Noting:
    """A transport that notes what is done with it."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.read_paused = False

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def writelines(self, pieces: Sequence[bytes]) -> None:
        self.done.append(tuple(pieces))

    def close(self) -> None:
        self.done.append("close")

    def is_closing(self) -> bool:
        return "close" in self.done

    def pause_reading(self) -> None:
        self.read_paused = True


@pytest.fixture
async def noting() -> Noting:
    return Noting()


def together(noting: Noting) -> Together:
    return Together(cast(asyncio.Transport, noting), asyncio.get_running_loop())


async def test_a_head_and_its_body_are_one_write(noting: Noting) -> None:
    transport = together(noting)
    transport.write(HEAD)
    transport.write(b"body")
    transport.write(b"more")
    await asyncio.sleep(0)
    assert noting.done == [(HEAD, b"body"), b"more"]


async def test_a_head_that_nothing_follows_leaves_with_the_turn_of_the_loop(noting: Noting) -> None:
    transport = together(noting)
    transport.write(HEAD)
    await asyncio.sleep(0)
    transport.write(b"late")
    assert noting.done == [HEAD, b"late"]


async def test_what_is_kept_back_goes_out_before_the_connection_closes(noting: Noting) -> None:
    transport = together(noting)
    transport.write(HEAD)
    transport.close()
    await asyncio.sleep(0)
    assert noting.done == [HEAD, "close"]


async def test_answers_one_after_the_other_keep_their_order(noting: Noting) -> None:
    transport = together(noting)
    for body in (b"HTTP/ is how this body begins", b"b"):
        transport.write(HEAD)
        transport.write(body)
    transport.write(HEAD)
    await asyncio.sleep(0)
    assert noting.done == [(HEAD, b"HTTP/ is how this body begins"), (HEAD, b"b"), HEAD]


async def test_everything_else_is_the_transports_own(noting: Noting) -> None:
    transport = together(noting)
    transport.pause_reading()
    assert (noting.read_paused, transport.is_closing()) == (True, False)


@contextmanager
def served(app: Any) -> Iterator[int]:
    """The port of a server of that application with answers as the service gives them."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(
        app, http="ops.answering:Answers", loop="ops.accepting:BalancedLoop", log_level="error", lifespan="off"
    ))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def ask(connection: socket.socket, body: bytes = b"") -> None:
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def whole(scope: Any, receive: Any, send: Any) -> None:
    """Answers with as many bytes as the request's body has."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def test_a_whole_answer_comes_as_it_was_sent() -> None:
    sent = bytes(range(256)) * 4_000
    with served(whole) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for body in (b"", b"x", sent):
            ask(connection, body)
            received = b""
            while b"\r\n\r\n" not in received or len(received.split(b"\r\n\r\n", 1)[1]) < len(body):
                received += connection.recv(65_536)
            assert received.split(b"\r\n\r\n", 1)[1] == body


def test_the_head_of_a_stream_does_not_wait_for_its_body() -> None:
    goes_on = threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await asyncio.to_thread(goes_on.wait)
        await send({"type": "http.response.body", "body": b"body"})

    with served(slow) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        ask(connection)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1_000)
        goes_on.set()
        assert connection.recv(4, socket.MSG_WAITALL) == b"body"
