"""One path for open and restricted data: authenticate, decide, compile, reserve, stream, settle."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import asyncpg
from starlette.requests import Request
from starlette.responses import Response

from authz import BEIJING, DataObject, GrantFacts, beijing_date, decide_async
from authz.obligations import CompiledQuery, compile_select
from billing.usage import Ask, Quota, Served
from ops.delivery.access import (
    Access,
    address_of,
    authenticate,
    decide_access,
    find_object,
    key_of,
    question,
    require_scope,
)
from ops.delivery.connections import Lease, acquired
from ops.delivery.framing import MEDIA_TYPES, CsvFraming, Framing, JsonFraming, JsonLinesFraming
from ops.delivery.grants import Held
from ops.delivery.limits import Rate
from ops.delivery.parts import DeliveryParts, ProvenKeys
from ops.delivery.query import DataQuery, check_fields
from ops.delivery.refusals import DataNotLoaded, RowsPerCallExceeded
from ops.delivery.sources import DATASTORE_OWN, location_of, with_columns
from ops.delivery.stream import DataStream, Delivery
from ops.delivery.watch import Running

ROW_KEY = "_row"
UNSAFE_IN_NAMES = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


@dataclass(frozen=True)
class Permit:
    """A request that may be served: the decision and what it compiles against.

    ``version`` changes with the rows or the catalogue entry; ``generation`` only when the table was replaced.
    """

    parts: DeliveryParts
    access: Access
    pool: asyncpg.Pool
    key: str
    version: str
    generation: str
    limits: Mapping[str, str]

    @property
    def data(self) -> DataObject:
        return self.access.data

    @property
    def grant(self) -> GrantFacts | None:
        return self.access.grant

    def compile(self, query: DataQuery, **more: Any) -> CompiledQuery:
        salt = self.grant.salt if self.grant else ""
        return compile_select(
            self.access.obligations, self.data, query.columns, query.filters, salt=salt, key=self.key, **more
        )

    @property
    def rows_max(self) -> int | None:
        """The most rows the grant could ever let through in one call; None is without bound."""
        quota = self.access.obligations.quota
        bounds = [one for one in (quota.rows_call, quota.rows_month) if one is not None] if quota else []
        return min(bounds, default=None)

    def ask(self, columns: tuple[str, ...], rows: int) -> Ask:
        """What to reserve; raises RowsPerCallExceeded."""
        grant = self.grant
        assert grant is not None  # noqa: S101 - only metered calls ask
        quota = self.access.obligations.quota
        most = quota.rows_call if quota else None
        if most is not None and rows > most:
            raise RowsPerCallExceeded(limit=most)
        return Ask(
            grant_id=grant.id, resource_id=self.data.resource_id, purpose=grant.purpose,
            columns=columns, rows=rows, at=self.parts.runtime.clock.now(),
            quota=Quota(quota.rows_month, quota.calls_day) if quota else Quota(),
        )


@dataclass(frozen=True)
class Found:
    """A data object with its real columns and the grant of the caller, before any decision."""

    data: DataObject
    held: Held | None
    pool: asyncpg.Pool
    key: str
    version: str
    generation: str

    @property
    def grant(self) -> GrantFacts | None:
        return self.held.facts if self.held else None


async def look_up(parts: DeliveryParts, request: Request, resource_id: str) -> Found:
    """Authenticate and find the rows. Raises NotFound, DataWithdrawn, KeyUnknown, DataNotLoaded."""
    runtime = parts.runtime
    async with acquired(runtime.pool) as connection:
        data = await find_object(connection, resource_id)
        held = await authenticate(runtime, connection, data, key_of(request))
    key = key_of(request)
    if held is not None and key is not None:
        parts.proven.add(key)
    return await _with_rows(parts, data, held)


async def _with_rows(parts: DeliveryParts, data: DataObject, held: Held | None) -> Found:
    kind, schema, table = location_of(data)
    pool = parts.restricted if kind == "restricted" else parts.datastore
    columns = parts.columns.known(schema, table)
    if columns is None:
        async with acquired(pool) as connection:
            columns = await parts.columns.of(connection, schema, table)
    own = (ROW_KEY,) if kind == "restricted" else DATASTORE_OWN
    data = replace(
        with_columns(data, columns[0], own=own), location={"kind": kind, "schema": schema, "table": table}
    )
    mark = columns[1]
    return Found(data, held, pool, own[0], f"{data.version}-{mark}", mark.partition("-")[0])


async def limit_rate(parts: DeliveryParts, request: Request) -> dict[str, str]:
    """Count the call against its proven key, else its address; raises TooManyRequests; headers otherwise."""
    key = key_of(request)
    proven = key if key is not None and key in parts.proven else None
    caller = ProvenKeys.digest(proven or address_of(request) or "-")
    verdict = await parts.limiter.check(caller, parts.rates.key if proven else parts.rates.public)
    verdict.require()
    return verdict.headers()


async def permit(
    parts: DeliveryParts, request: Request, resource_id: str, query: DataQuery, *, scope: str = "download",
    limits: dict[str, str] | None = None,
) -> Permit:
    """Everything before the first row: raises the refusal that applies, says nothing about rows.

    ``scope`` is what the caller's key must have been made for; ``limits`` the headers of a call already counted.
    """
    if limits is None:
        limits = await limit_rate(parts, request)
    try:
        found = await look_up(parts, request, resource_id)
    except DataNotLoaded:
        await decide_without_rows(parts, request, resource_id, query, scope)
        raise
    require_scope(found.held, scope)
    if found.data.fields:
        check_fields(query, list(found.data.by_name))
    access = await decide_access(parts.runtime, parts.decisions, request, found.data, found.grant, query)
    await limit_grant(parts, access)
    return Permit(parts, access, found.pool, found.key, found.version, found.generation, limits)


async def limit_grant(parts: DeliveryParts, access: Access) -> None:
    """Count the call against the grant's own bound a minute; raises TooManyRequests."""
    quota = access.obligations.quota
    if access.grant is not None and quota is not None and quota.calls_minute:
        rate = Rate("grant", quota.calls_minute, quota.calls_minute)
        (await parts.limiter.check(access.grant.id, rate)).require()


async def decide_without_rows(
    parts: DeliveryParts, request: Request, resource_id: str, query: DataQuery, scope: str
) -> None:
    """Whether rows are loaded is told only to those who may read them."""
    runtime = parts.runtime
    async with acquired(runtime.pool) as connection:
        data = await find_object(connection, resource_id)
        held = await authenticate(runtime, connection, data, key_of(request))
    require_scope(held, scope)
    if data.fields:
        grant = held.facts if held else None
        await decide_access(runtime, parts.decisions, request, data, grant, replace(query, columns=None))


def framing_of(query: DataQuery, permit: Permit, compiled: CompiledQuery, usage_id: str | None) -> Framing:
    if query.format == "csv":
        return CsvFraming(compiled.columns, spreadsheet=query.bom)
    if query.format == "jsonl":
        return JsonLinesFraming()
    facts = {
        "resource_id": permit.data.resource_id, "title": permit.data.title, "version": permit.version,
        "usage_id": usage_id, "watermark": compiled.watermark,
        "fields": [
            {"name": name, "title": permit.data.by_name[name].title, "type": shown_type(compiled.types[name])}
            for name in compiled.columns
        ],
    }
    return JsonFraming(facts=facts)


def shown_type(kind: str) -> str:
    """The field type as it is told to callers: what we do not know better is text."""
    return kind if kind in ("integer", "numeric", "date", "timestamp", "boolean") else "text"


def headers_of(permit: Permit, query: DataQuery, watermark: str | None) -> dict[str, str]:
    """Headers of a download, but for its usage."""
    data = permit.data
    stem = UNSAFE_IN_NAMES.sub("_", data.title or data.dataset_title or data.resource_id).strip(" ._") or "data"
    plain = re.sub(r"[^A-Za-z0-9_-]", "", data.dataset_name or data.resource_id) or "data"
    identity = repr((permit.version, query, permit.grant.id if permit.grant else None))
    headers = {
        **permit.limits,
        "Content-Disposition": (
            f'attachment; filename="{plain}.{query.format}"; filename*=UTF-8\'\'{quote(stem, safe="")}.{query.format}'
        ),
        "ETag": f'W/"{hashlib.sha256(identity.encode()).hexdigest()[:32]}"',
        "X-Govopen-Version": permit.version,
        "Cache-Control": "private, no-store" if permit.grant else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "X-Accel-Buffering": "no",
    }
    if permit.grant:
        headers["Vary"] = "Authorization"
    if watermark:
        headers["X-Govopen-Watermark"] = watermark
    return headers


async def download(permit: Permit, query: DataQuery) -> Response:
    """Reserve and hand back the stream. Raises QuotaExhausted, RowsPerCallExceeded, Busy, DataNotLoaded."""
    # Rows beyond a limit must be the same ones every time, so a limit puts them in order of their key.
    compiled = permit.compile(query, limit=query.limit, cursor=0 if query.limit else None)
    headers = headers_of(permit, query, compiled.watermark)
    parts = permit.parts
    grant = permit.grant
    lease = await Lease.take(permit.pool)
    running = Running(grant.id, permit.data.resource_id) if grant else None
    try:
        if grant is None or running is None:
            await _still_there(lease, compiled)
            framing = framing_of(query, permit, compiled, None)
            delivery = Delivery(lease, _statement(framing, compiled), framing, _count_open(permit))
        else:
            parts.watch.add(running)
            rows = await _count_rows(lease, compiled, permit.rows_max)
            ask = permit.ask(compiled.columns, rows)
            await parts.recorder.reserve(ask)
            framing = framing_of(query, permit, compiled, ask.id)
            headers["X-Govopen-Usage-Id"] = ask.id
            delivery = Delivery(
                lease, _statement(framing, compiled), framing,
                lambda served: parts.recorder.settle(ask, served), rows_max=rows, running=running,
                on_end=lambda: parts.watch.discard(running),
            )
    except BaseException:
        if running is not None:
            parts.watch.discard(running)
        await asyncio.shield(lease.throw_away())
        raise
    return DataStream(delivery, headers, MEDIA_TYPES[query.format])


def _statement(framing: Framing, compiled: CompiledQuery) -> str:
    return framing.select(compiled.sql_literal, compiled.columns, compiled.types)


def _count_open(permit: Permit) -> Callable[[Served], asyncio.Future[None] | None]:
    parts, resource_id = permit.parts, permit.data.resource_id
    day = beijing_date(parts.runtime.clock.now())

    def settle(served: Served) -> None:
        parts.recorder.count_open(resource_id, day, served.rows, served.bytes)

    return settle


async def _count_rows(lease: Lease, compiled: CompiledQuery, most: int | None) -> int:
    """Exactly the rows that will be sent, read in the snapshot they will be sent from.

    Beyond ``most`` nothing will be sent, so that counting stops at one more than that.
    """
    bound = f" LIMIT {most + 1:d}" if most is not None else ""
    try:
        rows: int = await lease.connection.fetchval(
            f"SELECT count(*) FROM (SELECT 1 FROM ({compiled.sql}) AS p{bound}) AS q", *compiled.params
        )
    except asyncpg.UndefinedTableError as fault:
        raise DataNotLoaded from fault
    return rows


async def _still_there(lease: Lease, compiled: CompiledQuery) -> None:
    """Fail before the first byte when the table went away meanwhile, and bind it to the snapshot."""
    try:
        await lease.connection.fetchval(f"SELECT 1 FROM ({compiled.sql}) AS q LIMIT 1", *compiled.params)
    except asyncpg.UndefinedTableError as fault:
        raise DataNotLoaded from fault


async def describe(parts: DeliveryParts, request: Request, resource_id: str) -> dict[str, Any]:
    """The schema document: fields with the mask that would apply; never where the rows are."""
    runtime = parts.runtime
    try:
        found = await look_up(parts, request, resource_id)
        data, grant, version = found.data, found.grant, found.version
    except DataNotLoaded:
        async with acquired(runtime.pool) as connection:
            data = await find_object(connection, resource_id)
            held = await authenticate(runtime, connection, data, key_of(request))
        grant, version = held.facts if held else None, str(data.version)
    decision = await decide_async(question(runtime, request, data, grant, DataQuery()))
    allowed = set(decision.obligations.columns)
    masks = decision.obligations.masks
    return {
        "resource_id": data.resource_id, "title": data.title, "dataset_title": data.dataset_title,
        "open_attribute": data.open_attribute.value, "grade": data.grade.value, "version": version,
        "access": "permit" if decision.permitted else "deny", "reasons": list(decision.codes),
        "valid_until": grant.valid_until.astimezone(BEIJING).isoformat() if grant else None,
        "fields": [
            {
                "name": one.name, "title": one.title, "type": shown_type(one.type), "grade": one.grade.value,
                "open_attribute": one.open_attribute.value, "description": one.description,
                "mask": str(masks.get(one.name) or one.mask or "") or None,
                "available": one.name in allowed,
            }
            for one in data.fields
        ],
        "formats": ["csv", "jsonl", "json"],
    }
