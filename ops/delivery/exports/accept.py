"""From a wish to a job: decided, counted, reserved, and only then accepted; and how a job ends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg
from starlette.requests import Request

from authz import AuditEntry, Call, Identity, Runtime, new_id, once
from billing.usage import Ask, QuotaExhausted, Served
from billing.usage.carry import Work, carry_out
from billing.usage.model import Settle
from ops.delivery import downloads, service
from ops.delivery.connections import Lease
from ops.delivery.exports import store
from ops.delivery.exports.model import PROCESS, ExportJob, ExportNotNeeded, ExportsTooMany, query_document
from ops.delivery.parts import DeliveryParts
from ops.delivery.query import DataQuery
from ops.delivery.service import Permit

OPEN_MAX = 5
DAYS_DEFAULT = 7


def kept_for(env: Mapping[str, str] = os.environ) -> timedelta:
    """How long a file can be fetched: ``GOVOPEN_EXPORT_DAYS``, 7 when it is not said."""
    return timedelta(days=float(env.get("GOVOPEN_EXPORT_DAYS") or DAYS_DEFAULT))


async def accept(parts: DeliveryParts, request: Request, resource_id: str, query: DataQuery) -> tuple[ExportJob, bool]:
    """The job and whether it is new; the same ``Idempotency-Key`` with the same content gives the same job.

    The rows are counted and reserved in full, so that a job that was accepted is never refused for its quota later
    (unless the data grows meanwhile). Raises what a download would raise, ExportNotNeeded, ExportsTooMany.
    """
    runtime = parts.runtime
    store.ExportFolder.from_env()
    permit = await service.permit(parts, request, resource_id, query, scope="export")
    grant = permit.grant
    if grant is None or permit.access.key_id is None:
        raise ExportNotNeeded(resource_id=resource_id)
    name = f"grant:{grant.id}"
    return await accept_permitted(permit, query, Call(
        Identity(name, name, grant.party_id), runtime.clock.now(), request.state.request_id,
        request.headers.get("idempotency-key"),
    ))


async def accept_permitted(
    permit: Permit, query: DataQuery, call: Call, **said: str
) -> tuple[ExportJob, bool]:
    """The job of whoever calls, and whether it is new, once it has been decided that it may be made.

    ``said`` is what belongs to the request besides the query: under the same ``Idempotency-Key`` it has to be the same.
    """
    grant, runtime = permit.grant, permit.parts.runtime
    assert grant is not None  # noqa: S101 - only restricted data is exported
    store.ExportFolder.from_env()
    ask = await measured(permit, query)
    async with runtime.transaction() as tx:
        made = await once(
            tx, call, f"export:{permit.data.resource_id}", {**query_document(query), **said},
            lambda: _insert(tx, permit, query, ask, call),
        )
        job = await store.find(tx, made["id"], grant_id=grant.id)
    return job, job.usage_id == ask.id


async def measured(permit: Permit, query: DataQuery) -> Ask:
    """What has to be reserved, counted in a snapshot. Raises what the format cannot hold, RowsPerCallExceeded."""
    compiled = downloads.compiled_for(permit, query)
    lease = await Lease.take(permit.pool)
    try:
        rows, size = await downloads.count_rows(lease, compiled, permit.rows_max, sizes=permit.bytes_bounded)
        ask = permit.ask(compiled.columns, rows, size)
        if permit.rows_max is None or rows <= permit.rows_max:
            await downloads.framing_of(lease, permit, query, compiled, ask.id)
    except BaseException:
        await lease.throw_away()
        raise
    await lease.give_back()
    return ask


async def _insert(tx: asyncpg.Connection, permit: Permit, query: DataQuery, ask: Ask, call: Call) -> dict[str, Any]:
    """Reservation and job in one transaction: neither is there without the other."""
    audit, grant = permit.parts.runtime.audit, permit.grant
    assert grant is not None  # noqa: S101 - only restricted data is exported
    if await store.count_open(tx, grant.id) >= OPEN_MAX:
        raise ExportsTooMany(limit=OPEN_MAX, wait_s=30)
    await reserve(tx, permit, ask)
    job_id = new_id("exp")
    await store.insert(tx, {
        "id": job_id, "grant_id": grant.id, "party_id": grant.party_id, "resource_id": permit.data.resource_id,
        "key_id": permit.access.key_id, "query": query_document(query), "columns": list(ask.columns),
        "usage_id": ask.id, "usage_day": ask.day, "rows_reserved": ask.rows, "bytes_reserved": ask.bytes,
        "created_at": ask.at,
    })
    await audit.append(tx, AuditEntry(
        "export.accepted", call.identity.name, "export", job_id, organisation_id=permit.data.organisation_id,
        request_id=call.request_id,
        details={
            "grant_id": grant.id, "resource_id": permit.data.resource_id, "usage_id": ask.id, "rows": ask.rows,
            "columns": list(ask.columns), "purpose": ask.purpose, "format": query.format,
        },
    ))
    return {"id": job_id}


async def reserve(tx: asyncpg.Connection, permit: Permit, ask: Ask, instead_of: Settle | None = None) -> None:
    """Hold the rows, in place of an earlier reservation where one is named. Raises QuotaExhausted."""
    runtime = permit.parts.runtime
    work = Work(reserves=[ask], settles=[instead_of] if instead_of else [])
    done = await carry_out(tx, runtime.audit, PROCESS, work, ask.at)
    refused: QuotaExhausted | None = done.refused.get(ask.id)
    if refused is not None:
        raise refused


async def end(
    tx: asyncpg.Connection, runtime: Runtime, job: ExportJob, state: str, error: str | None = None, *,
    actor: str | None = None,
) -> ExportJob:
    """End a job that the caller has locked. A job without a file costs nothing: its reservation is given back.

    What was settled when the file became ready stays settled, whatever becomes of the file.
    """
    now = runtime.clock.now()
    if job.is_open:
        void = Settle(job.usage_id, job.grant_id, job.usage_day, None)
        await carry_out(tx, runtime.audit, PROCESS, Work(settles=[void]), now)
    await tx.execute(
        "UPDATE ops.export_job SET state = $2, error = $3, ended_at = $4 WHERE id = $1", job.id, state, error, now
    )
    await runtime.audit.append(tx, AuditEntry(
        f"export.{state}", actor or ("worker" if state != "cancelled" else f"grant:{job.grant_id}"), "export", job.id,
        details={"grant_id": job.grant_id, "resource_id": job.resource_id, "error": error},
    ))
    return await store.find(tx, job.id)


def served(job: ExportJob, rows: int, size: int) -> Settle:
    return Settle(job.usage_id, job.grant_id, job.usage_day, Served(rows, size))
