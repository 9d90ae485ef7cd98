"""Fetching a file by a link that holds for minutes: decided anew, and only from where the job's key may be used."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from starlette.requests import Request

from authz import NotFound, Runtime
from licensing import grants
from licensing.grants import keys
from ops.delivery import service
from ops.delivery.access import decide_access, find_object
from ops.delivery.exports import store, tickets
from ops.delivery.exports.model import ExportGone, ExportJob, ExportNotReady
from ops.delivery.parts import DeliveryParts
from ops.delivery.query import DataQuery


def require_ready(job: ExportJob, now: datetime) -> None:
    """Raise ExportNotReady or ExportGone unless there is a file to be fetched."""
    if job.is_open:
        raise ExportNotReady(state=job.state)
    shown = job.as_document(now)["state"]
    if shown != "ready":
        raise ExportGone(state=shown)


async def by_ticket(
    parts: DeliveryParts, request: Request, resource_id: str, job_id: str, ticket: str
) -> tuple[ExportJob, str]:
    """A job whose file may be fetched with this ticket at this moment, and its grant.

    Raises TicketOver, Denied, ExportGone, TooManyRequests.
    """
    runtime: Runtime = parts.runtime
    now = runtime.clock.now()
    await service.limit_rate(parts, request)
    tickets.require(runtime.signing_key, job_id, ticket, now)
    async with runtime.snapshot() as tx:
        job = await store.find(tx, job_id, resource_id=resource_id)
        data = await find_object(tx, resource_id)
        facts = await grants.facts_of(tx, job.grant_id)
        allowed = await keys.addresses_of(tx, job.key_id)
    if facts is None:
        raise NotFound
    query = DataQuery(columns=tuple(job.columns), purpose=job.query["purpose"])
    await decide_access(runtime, parts.decisions, request, data, replace(facts, ip_allow=allowed), query)
    require_ready(job, now)
    return job, job.grant_id
