"""One path for open and restricted data: authenticate, decide, compile, reserve, stream, settle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import asyncpg
from starlette.requests import Request

from authz import BEIJING, DataObject, GrantFacts, beijing_date, decide_async
from authz.obligations import CompiledQuery, compile_select
from billing.usage import Ask, Quota, quota_left
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
from ops.delivery.connections import acquired
from ops.delivery.formats import FORMATS
from ops.delivery.grants import Held
from ops.delivery.limits import Rate
from ops.delivery.parts import DeliveryParts, ProvenKeys
from ops.delivery.query import DataQuery, check_fields
from ops.delivery.refusals import DataNotLoaded, RowsPerCallExceeded
from ops.delivery.sources import DATASTORE_OWN, location_of, with_columns

ROW_KEY = "_row"


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
            self.access.obligations, self.data, query.columns, query.filters, salt=salt, key=self.key,
            order=query.sort, **more,
        )

    @property
    def rows_max(self) -> int | None:
        """The most rows the grant could ever let through in one call; None is without bound."""
        quota = self.access.obligations.quota
        if quota is None:
            return None
        rows = (quota.rows_call, quota.rows_day, quota.rows_month, quota.rows_life)
        bounds = [one for one in rows if one is not None]
        return min(bounds, default=None)

    @property
    def bytes_bounded(self) -> bool:
        """Whether the grant bounds bytes, so that they have to be reserved too."""
        quota = self.access.obligations.quota
        return quota is not None and (quota.bytes_day, quota.bytes_month, quota.bytes_life) != (None, None, None)

    @cached_property
    def quota(self) -> Quota:
        """The grant's bounds."""
        return Quota.of(self.access.obligations.quota)

    def ask(self, columns: tuple[str, ...], rows: int, size: int = 0, keys: tuple[bytes, ...] = ()) -> Ask:
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
            quota=self.quota, bytes=size, keys=keys,
        )


@dataclass(frozen=True)
class Found:
    """A data object with its real columns and the grant of the caller, before any decision.

    ``written`` are the columns in which the table keeps fields as finished JSON.
    """

    data: DataObject
    held: Held | None
    pool: asyncpg.Pool
    key: str
    version: str
    generation: str
    written: frozenset[str] = frozenset()

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
    return await with_rows(parts, data, held)


async def with_rows(parts: DeliveryParts, data: DataObject, held: Held | None) -> Found:
    """The object with the columns and the version of its rows. Raises DataNotLoaded."""
    kind, schema, table = location_of(data)
    pool = parts.restricted if kind == "restricted" else parts.datastore
    columns = parts.columns.known(schema, table)
    if columns is None:
        async with acquired(pool) as connection:
            columns = await parts.columns.of(connection, schema, table)
    own = (ROW_KEY,) if kind == "restricted" else DATASTORE_OWN
    data = replace(
        with_columns(data, columns.fields, own=own), location={"kind": kind, "schema": schema, "table": table}
    )
    mark = columns.mark
    return Found(
        data, held, pool, own[0], f"{data.version}-{mark}", mark.partition("-")[0], columns.written,
    )


async def limit_rate(parts: DeliveryParts, request: Request) -> dict[str, str]:
    """Count the call against its proven key, else its address; raises TooManyRequests; headers otherwise."""
    key = key_of(request)
    caller = ProvenKeys.digest(key) if key is not None else None
    proven = caller is not None and parts.proven.knows(caller)
    if caller is None or not proven:
        caller = ProvenKeys.digest(address_of(request) or "-")
    rate = parts.rates.key if proven else parts.rates.public
    verdict = parts.limiter.ahead(caller, rate) or await parts.limiter.check(caller, rate)
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
    if found.held is not None:
        access = replace(access, key_id=found.held.key.id)
    return Permit(parts, access, found.pool, found.key, found.version, found.generation, limits)


async def limit_grant(parts: DeliveryParts, access: Access) -> None:
    """Count the call against the grant's own bound a minute; raises TooManyRequests."""
    quota = access.obligations.quota
    if access.grant is not None and quota is not None and quota.calls_minute:
        rate = Rate("grant", quota.calls_minute, quota.calls_minute)
        (await parts.limiter.check(access.grant.id, rate)).require()


async def require_quota(permit: Permit) -> None:
    """Raise QuotaExhausted where a call would be refused whatever it asked for. Nothing is reserved or counted."""
    quota, grant, runtime = permit.access.obligations.quota, permit.access.grant, permit.parts.runtime
    if grant is None or quota is None:
        return
    now = runtime.clock.now()
    async with acquired(runtime.pool) as connection:
        left = await quota_left(connection, grant.id, Quota.of(quota), beijing_date(now))
    if (refusal := left.refusal(now)) is not None:
        raise refusal


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


def shown_field(kind: str) -> str:
    """The field type as it is told to callers: what we do not know better is text."""
    return kind if kind in ("integer", "numeric", "date", "timestamp", "boolean") else "text"


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
                "name": one.name, "title": one.title, "type": shown_field(one.type), "grade": one.grade.value,
                "open_attribute": one.open_attribute.value, "description": one.description,
                "mask": str(masks.get(one.name) or one.mask or "") or None,
                "available": one.name in allowed,
            }
            for one in data.fields
        ],
        "formats": list(FORMATS),
    }
