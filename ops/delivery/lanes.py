"""A few connections to PostgreSQL for reading pages: kept open, prepared once, handed on without a round trip.

A pool resets each connection when it comes back, which costs another round trip; a page changes nothing that would
need one. Plans are made once per statement, for a page is always read in the order of its key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from authz import Unavailable, prepare_connection
from ops.delivery.refusals import Busy

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

    Statement = PreparedStatement[asyncpg.Record]

LANES = 8
USUAL = 4
PATIENCE_S = 0.02
"""So many connections are enough for pages as they mostly are: more at once only take turns on the processor. A further
one is opened for who has waited so long, for then those in use read something slow."""
WAIT_S = 5.0
READ_S = 30.0

PREPARED_MAX = 60
"""Statements that a connection keeps prepared, beside the driver's own."""

STALE = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.TooManyConnectionsError,
        asyncpg.InternalClientError, asyncpg.PostgresIOError)

Connect = Callable[[], Awaitable[asyncpg.Connection]]


def connector(url: str) -> Connect:
    """Opens connections whose plans are made once: what a caller asks for changes values, not shape.

    ``varchar`` comes as its bytes in UTF-8: a page is handed on as it is.
    """

    async def connect() -> asyncpg.Connection:
        connection = await asyncpg.connect(
            url, timeout=WAIT_S, server_settings={"plan_cache_mode": "force_generic_plan"}
        )
        await prepare_connection(connection)
        await connection.set_type_codec(
            "varchar", schema="pg_catalog", format="binary", encoder=str.encode, decoder=bytes
        )
        return connection

    return connect


class Lanes:
    """At most ``size`` connections, those beyond ``usual`` for who waited ``patience_s``; nobody waits for one longer
    than ``wait_s``."""

    def __init__(
        self, connect: Connect, size: int = LANES, usual: int = USUAL, *,
        patience_s: float = PATIENCE_S, wait_s: float = WAIT_S,
    ) -> None:
        self._connect, self._size, self._usual = connect, size, min(usual, size)
        self._patience_s, self._wait_s = patience_s, wait_s
        self._free: list[asyncpg.Connection] = []
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._open = 0
        self._prepared: dict[asyncpg.Connection, OrderedDict[str, Statement]] = {}

    async def fetchrow(self, sql: str, params: tuple[Any, ...]) -> asyncpg.Record:
        """The one row of a statement that only reads. Raises Busy, Unavailable, or the statement's own fault."""
        for attempt in (1, 2):
            connection = None
            try:
                connection = await self._take()
                statement = self._known(connection, sql) or await self._prepare(connection, sql)
                row = await statement.fetchrow(*params, timeout=READ_S)
                assert row is not None  # noqa: S101 - aggregates always give a row
                return row
            except STALE:
                self._prepared.clear()
                if attempt == 2:
                    raise
            except LOST as away:
                if attempt == 2:
                    raise Unavailable(part="PostgreSQL") from away
            finally:
                if connection is not None:
                    self._give(connection)
        raise Unavailable(part="PostgreSQL")

    def _known(self, connection: asyncpg.Connection, sql: str) -> Statement | None:
        kept = self._prepared.get(connection)
        return kept.get(sql) if kept is not None else None

    async def _prepare(self, connection: asyncpg.Connection, sql: str) -> Statement:
        """By hand: the driver, which does it by itself, looks for it at greater length with every use."""
        kept = self._prepared.setdefault(connection, OrderedDict())
        statement: Statement = await connection.prepare(sql, timeout=READ_S)
        if len(kept) >= PREPARED_MAX:
            kept.popitem(last=False)
        kept[sql] = statement
        return statement

    async def open(self) -> None:
        """Have one connection ready before it is needed."""
        self._give(await self._take())

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for a moment; raises Busy when none becomes free in time."""
        connection = await self._take()
        try:
            yield connection
        finally:
            self._give(connection)

    async def _take(self) -> asyncpg.Connection:
        waited = False
        while True:
            while self._free:
                connection = self._free.pop()
                if not connection.is_closed():
                    return connection
                self._lost(connection)
            if self._open < (self._size if waited else self._usual):
                return await self._another()
            patient = self._open >= self._size
            try:
                given = await self._wait(self._wait_s if patient else self._patience_s)
            except TimeoutError as fault:
                if patient:
                    raise Busy(part="delivery") from fault
                waited = True
                continue
            if given is not None and not given.is_closed():
                return given
            if given is not None:
                self._lost(given)

    async def _another(self) -> asyncpg.Connection:
        self._open += 1
        try:
            return await self._connect()
        except BaseException:
            self._open -= 1
            self._wake(None)
            raise

    async def _wait(self, most_s: float) -> asyncpg.Connection | None:
        """The connection that is given back first, None when one was lost; raises TimeoutError."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[asyncpg.Connection | None] = loop.create_future()
        self._waiting.append(waiting)
        expiry = loop.call_later(most_s, _expire, waiting)
        try:
            return await waiting
        except BaseException:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif not waiting.cancelled() and waiting.exception() is None and (given := waiting.result()) is not None:
                self._give(given)  # it came in the very moment in which the wait was given up
            raise
        finally:
            expiry.cancel()

    def _lost(self, connection: asyncpg.Connection) -> None:
        self._open -= 1
        self._prepared.pop(connection, None)

    def _wake(self, connection: asyncpg.Connection | None) -> bool:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return True
        return False

    def _give(self, connection: asyncpg.Connection) -> None:
        if connection.is_closed():
            self._lost(connection)
            self._wake(None)
        elif not self._wake(connection):
            self._free.append(connection)

    async def close(self) -> None:
        self._size = 0
        self._prepared.clear()
        while self._free:
            await self._free.pop().close(timeout=2)


def _expire(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())
