"""What is known of a key that calls again and again: its grant, the object, the decisions, the compiled statements.

None of it is trusted for being remembered. Every page is read by a statement that reads, in the same snapshot, a stamp
of the key, the grant, the party and the object; when that is not the stamp under which the facts were read, the page is
thrown away and everything is looked up anew. A revocation therefore holds from the next call, without waiting for any
announcement, and a page costs one round trip.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from starlette.requests import Request

from authz import Decision, DecisionRequest, beijing_date, objects, policy_version
from authz.obligations import CompiledQuery, quoted
from authz.obligations.values import SQL_TYPES
from authz.obligations.written import WRITTEN, label
from billing.usage.model import beijing_start
from licensing import grants
from ops.delivery import service
from ops.delivery.access import Access, decided, key_of, require, require_scope
from ops.delivery.connections import acquired
from ops.delivery.parts import DeliveryParts
from ops.delivery.query import DataQuery, check_fields
from ops.delivery.refusals import DataNotLoaded
from ops.delivery.service import Found, Permit
from ops.delivery.sources import COLUMNS_KEPT_S

KEPT_S = 60.0
SHAPES_MAX = 64
PAIRS_MAX = 48
"""Columns that one call of ``concat`` takes, each with its name: a function has at most a hundred arguments."""

BETWEEN = b"}\n,{"
"""What stands between two rows of a page."""

STAMP = f"{grants.STAMP} || '/' || {objects.STAMP}"


@dataclass(frozen=True, slots=True)
class Shape:
    """A question that was decided and compiled: all but the place in the table at which the page begins."""

    asked: DecisionRequest
    decision: Decision
    permit: Permit
    sql: str
    params: tuple[Any, ...]
    columns: tuple[str, ...]
    watermark: str | None
    identity: str
    """What a cursor belongs to."""


@dataclass(slots=True)
class Holder:
    """A key at one data object. ``since`` ≤ now < ``until``: nothing that depends on the time changes in between."""

    found: Found
    prefix: str
    stamp: str
    since: datetime
    until: datetime
    ends: float
    server: tuple[int, ...]
    shapes: dict[Any, Shape] = field(default_factory=dict)

    def fresh(self, now: datetime) -> bool:
        return self.since <= now < self.until and time.monotonic() < self.ends


async def holder_of(
    parts: DeliveryParts, request: Request, resource_id: str, query: DataQuery
) -> tuple[Holder | None, bool]:
    """The holder behind the request's key, None for data that needs no grant; and whether it is only remembered.

    Raises as ``service.permit`` does.

    The stamp is read before the facts, so that a change in between is seen when the page is read.
    """
    key, now = key_of(request), parts.runtime.clock.now()
    prefix = grants.prefix_of(key) if key else None
    if key is None or prefix is None:
        await service.look_up(parts, request, resource_id)
        return None, False
    known = parts.holders.get(key, resource_id, now)
    if isinstance(known, Holder):
        return known, True
    return await _loaded(parts, request, resource_id, query, key, prefix)


async def _loaded(
    parts: DeliveryParts, request: Request, resource_id: str, query: DataQuery, key: str, prefix: str
) -> tuple[Holder | None, bool]:
    """Read the facts once for all who ask at the same moment. A refusal is only for the one who read them."""
    loading = parts.holders.loading
    name = parts.holders.name(key, resource_id)
    other = loading.get(name)
    if other is not None:
        await asyncio.wait([other])
        if not other.cancelled() and other.exception() is None:
            joined: Holder | None = other.result()
            return joined, True
    own = asyncio.ensure_future(_load(parts, request, resource_id, query, key, prefix))
    loading[name] = own
    own.add_done_callback(lambda done: loading.pop(name, None) if loading.get(name) is done else None)
    return await own, False


async def _load(
    parts: DeliveryParts, request: Request, resource_id: str, query: DataQuery, key: str, prefix: str
) -> Holder | None:
    now = parts.runtime.clock.now()
    ends = time.monotonic() + min(KEPT_S, COLUMNS_KEPT_S)
    async with acquired(parts.runtime.pool) as connection:
        stamp, server = await _stamp(connection, prefix, resource_id), server_of(connection)
    try:
        found = await service.look_up(parts, request, resource_id)
    except DataNotLoaded:
        await service.decide_without_rows(parts, request, resource_id, query, "rows")
        raise
    if found.held is None:
        return None
    midnight = beijing_start(beijing_date(now) + timedelta(days=1))
    ending = [one for one in (found.held.facts.valid_until, found.held.key.expires_at) if one is not None and one > now]
    holder = Holder(found, prefix, stamp or "", now, min(midnight, *ending), ends, server)
    parts.holders.keep(key, resource_id, holder)
    return holder


async def _stamp(connection: asyncpg.Connection, prefix: str, resource_id: str) -> str | None:
    sql = STAMP.format(prefix="$1::text", resource_id="$2::text")
    stamp: str | None = await connection.fetchval(f"SELECT {sql}", prefix, resource_id)
    return stamp


async def shape_of(
    parts: DeliveryParts, request: Request, holder: Holder, query: DataQuery, *, final: bool = True
) -> Shape:
    """Decide and compile, or find it done: the facts are the same, and so is everything that depends on the time.

    A refusal that is not ``final`` is not logged: it will be decided again on what is true now.
    """
    facts = holder.found.grant
    assert facts is not None  # noqa: S101 - a holder has a grant
    address = request.client.host if request.client and facts.ip_allow else None
    name = (query.columns, query.filters, query.limit, query.purpose, address, policy_version())
    known = holder.shapes.get(name)
    if known is not None:
        return known
    found = holder.found
    require_scope(found.held, "rows")
    if found.data.fields:
        check_fields(query, list(found.data.by_name))
    asked, decision = await decided(parts.runtime, request, found.data, facts, query)
    if not decision.permitted and final:
        parts.decisions.add(asked, decision, request.state.request_id)
    require(parts.runtime, found.data, facts, decision)
    access = Access(found.data, facts, decision.obligations)
    permit = Permit(parts, access, found.pool, found.key, found.version, found.generation, {})
    compiled = permit.compile(query, limit=(query.limit or 1) + 1, cursor=0, with_key=True, kept=found.written)
    places = len(compiled.params)
    stamp = STAMP.format(prefix=f"${places + 1}::text", resource_id=f"${places + 2}::text")
    page = page_sql(compiled, query.limit or 1, holder.server, for_lane=True)
    sql = f"SELECT {stamp} AS stamp, page.* FROM ({page}) AS page"
    shape = Shape(
        asked, decision, permit, sql, compiled.params, compiled.columns, compiled.watermark, identity_of(permit, query)
    )
    if parts.runtime.settings.opa_url is None:  # the policy of a server may change at any time
        if len(holder.shapes) >= SHAPES_MAX:
            holder.shapes.clear()
        holder.shapes[name] = shape
    return shape


def identity_of(permit: Permit, query: DataQuery) -> str:
    """What a cursor belongs to: the object, the grant, and the rows in their order."""
    return repr((permit.data.resource_id, permit.grant.id if permit.grant else None, query.identity))


def server_of(connection: asyncpg.Connection) -> tuple[int, ...]:
    """The version of PostgreSQL at the other end."""
    version = connection.get_server_version()
    return version.major, version.minor


def page_sql(compiled: CompiledQuery, limit: int, server: tuple[int, ...], *, for_lane: bool = False) -> str:
    """One row: how many rows there are up to ``limit`` + 1, the key of the last one shown, all of them as JSON.

    The rows have no braces at the very beginning and end, and ``BETWEEN`` stands between them. JSON text escapes line
    feeds, and ``json`` columns, which are kept as they were written, go through ``jsonb``; so the last row can be cut
    off at the last line feed. ``server`` is the version of the PostgreSQL that will run it. ``for_lane`` asks for the
    text as the connections of ``lanes`` read it, byte for byte without a conversion.
    """
    rows = "string_agg(p.item, E'}\\n,{')"
    items = f"{rows}::varchar" if for_lane else f"convert_to({rows}, 'UTF8')"
    item = _item_by_values(compiled) if server >= (17,) else _item_by_record(compiled)
    return (
        f"SELECT count(*) AS rows, (array_agg(p.key))[{int(limit)}] AS last, {items} AS items"
        f" FROM (SELECT q.{quoted(compiled.key or '')} AS key, {item} AS item FROM ({compiled.sql}) AS q) AS p"
    )


def _item_by_record(compiled: CompiledQuery) -> str:
    shown = ", ".join(
        f"q.{quoted(name)}::jsonb AS {quoted(name)}" if compiled.types[name] == "json" else f"q.{quoted(name)}"
        for name in compiled.columns
    )
    return f"(SELECT left(right(row_to_json(x)::text, -1), -1) FROM (SELECT {shown}) AS x)"


def _item_by_values(compiled: CompiledQuery) -> str:
    """The same text put together value by value, in half the time: ``JSON_SCALAR`` finds out once per statement how a
    type is written, ``row_to_json`` once per value. What the table keeps as finished JSON is taken as it is."""
    pieces: list[str] = []
    pairs: list[str] = []
    for place, name in enumerate(compiled.columns):
        written = compiled.types[name] == WRITTEN
        if pairs and (written or len(pairs) == PAIRS_MAX):
            pieces.append(f"concat({', '.join(pairs)})")
            pairs = []
        if written:
            pieces.append(f"q.{quoted(name)}")
        else:
            pairs.append(f"{label(name, ',' if place else '')}, {_value(compiled, name)}")
    if pairs:
        pieces.append(f"concat({', '.join(pairs)})")
    return _joined(pieces)


def _joined(pieces: Sequence[str]) -> str:
    """All of them one after the other: halves of halves, so that no long text is copied once for every piece."""
    if len(pieces) == 1:
        return pieces[0]
    half = (len(pieces) + 1) // 2
    return f"({_joined(pieces[:half])} || {_joined(pieces[half:])})"


def _value(compiled: CompiledQuery, name: str) -> str:
    column, kind = f"q.{quoted(name)}", compiled.types[name]
    if kind == "json":
        return f"coalesce({column}::jsonb, 'null')"
    if kind in SQL_TYPES:
        return f"coalesce(JSON_SCALAR({column}), 'null')"
    return f"coalesce(to_json({column}), 'null')"
