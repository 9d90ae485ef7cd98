"""Pages of rows: read in one statement, recorded durably, and only then answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import asyncpg
from starlette.requests import Request
from starlette.types import Send

from authz import Refusal, Unavailable, beijing_date
from billing.usage import Served
from ops.delivery import holders, service
from ops.delivery.access import key_of
from ops.delivery.connections import acquired
from ops.delivery.holders import Shape
from ops.delivery.parts import DeliveryParts
from ops.delivery.query import DataQuery
from ops.delivery.refusals import DataNotLoaded
from ops.delivery.service import Permit

Here = Callable[[], None]
TRIES = 12
"""How often a page is read anew because something about the key, the grant or the data changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the body, and headers that go with it."""

    body: bytes
    headers: dict[str, str]

    async def send(self, send: Send, *more: tuple[bytes, bytes]) -> None:
        """Answer with it, as JSON, with ``more`` headers."""
        headers = [(_name(name), value.encode("latin-1")) for name, value in self.headers.items()]
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.body)), *more]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@lru_cache(100)
def _name(header: str) -> bytes:
    return header.lower().encode()


async def page(
    parts: DeliveryParts, request: Request, resource_id: str, query: DataQuery, cursor: str | None
) -> Page:
    """One page of rows after ``cursor``, in the order of their key. Raises the refusal that applies.

    Under a grant nothing is returned that is not durably recorded. What a key was found to be is remembered, and
    proven anew by the statement that reads the page.
    """
    key = key_of(request)
    if key is None:
        return await _page(parts, request, resource_id, query, cursor, None, lambda: None)
    with parts.recorder.coming() as here:
        return await _page(parts, request, resource_id, query, cursor, key, here)


async def _page(
    parts: DeliveryParts, request: Request, resource_id: str, query: DataQuery, cursor: str | None, key: str | None,
    here: Here,
) -> Page:
    limits, counted = await service.limit_rate(parts, request), False
    refusal: Refusal | None = None
    for _ in range(TRIES):
        holder, remembered = None, False
        if key:
            holder, remembered = await holders.holder_of(parts, request, resource_id, query)
        if holder is None:
            permit = await service.permit(parts, request, resource_id, query, scope="rows", limits=limits)
            return await _open_page(permit, query, cursor)
        try:
            shape = await holders.shape_of(parts, request, holder, query, final=not remembered)
            after = _after(parts, shape.identity, shape.permit.generation, cursor)
        except Refusal as fault:
            if not remembered:
                raise
            refusal = fault
            parts.holders.drop(key or "", resource_id)  # nobody is refused for what is only remembered
            continue
        if not counted:
            await service.limit_grant(parts, shape.permit.access)
            counted = True
        try:
            row = await parts.lanes.fetchrow(shape.sql, (*shape.params[:-1], after, holder.prefix, resource_id))
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.DatatypeMismatchError):
            row = None
        if row is not None and row["stamp"] == holder.stamp:
            return await _recorded(parts, request, shape, query, row, limits, here)
        assert key is not None  # noqa: S101 - a holder has a key
        parts.holders.drop(key, resource_id)
        if row is None:
            parts.columns.forget()
            refusal = DataNotLoaded()
    raise refusal or Unavailable(part="delivery")


def _after(parts: DeliveryParts, identity: str, generation: str, cursor: str | None) -> int:
    """The key after which the page begins; raises CursorInvalid or CursorStale."""
    return parts.cursors.read(cursor, identity, generation) if cursor else 0


async def _recorded(
    parts: DeliveryParts, request: Request, shape: Shape, query: DataQuery, row: asyncpg.Record,
    limits: dict[str, str], here: Here,
) -> Page:
    permit = shape.permit
    body, shown = _body(parts, shape.identity, permit.generation, query, row)
    ask = permit.ask(shape.columns, shown, len(body))
    parts.decisions.add(shape.asked, shape.decision, request.state.request_id, ask.at)
    here()
    await parts.recorder.record(ask, Served(shown, len(body)))
    headers = {**limits, "X-Govopen-Usage-Id": ask.id, "Cache-Control": "private, no-store"}
    if shape.watermark:
        headers["X-Govopen-Watermark"] = shape.watermark
    return Page(body, headers)


def _body(
    parts: DeliveryParts, identity: str, generation: str, query: DataQuery, row: asyncpg.Record
) -> tuple[bytes, int]:
    """The answer and how many rows it shows; one more was read to know whether there is a next page."""
    limit, rows, items = query.limit or 1, row["rows"], row["items"]
    if not rows:
        return b'{"items":[],"next":null}', 0
    following = b"null"
    if rows > limit:
        items, rows = items[: items.rindex(holders.BETWEEN)], limit
        following = b'"%b"' % parts.cursors.make(identity, generation, row["last"]).encode()
    return b'{"items":[{%b}],"next":%b}' % (items, following), rows


async def _open_page(permit: Permit, query: DataQuery, cursor: str | None) -> Page:
    """A page of data that needs no grant."""
    parts, limit = permit.parts, query.limit or 1
    identity = holders.identity_of(permit, query)
    after = _after(parts, identity, permit.generation, cursor)
    compiled = permit.compile(query, limit=limit + 1, cursor=after, with_key=True)
    try:
        async with acquired(permit.pool) as connection:
            sql = holders.page_sql(compiled, limit, holders.server_of(connection))
            row = await connection.fetchrow(sql, *compiled.params, timeout=30)
    except asyncpg.UndefinedTableError as fault:
        raise DataNotLoaded from fault
    assert row is not None  # noqa: S101 - aggregates always give a row
    body, shown = _body(parts, identity, permit.generation, query, row)
    day = beijing_date(parts.runtime.clock.now())
    parts.recorder.count_open(permit.data.resource_id, day, shown, len(body), downloads=0)
    headers = dict(permit.limits)
    if compiled.watermark:
        headers["X-Govopen-Watermark"] = compiled.watermark
    return Page(body, headers)
