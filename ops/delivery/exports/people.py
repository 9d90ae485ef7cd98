"""``/v1/grants/{id}/exports``: the same jobs for people of the grant's holder, who sign in rather than show a key.

A job is asked for in the name of one of the grant's keys that may export: it is bound by what that key is bound by. The
file is fetched at an address that holds for minutes; every fetch is decided anew, from an address that the key allows.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Request
from pydantic import StringConstraints
from starlette.responses import JSONResponse

from authz import AuditEntry, Call, CallDep, Conflict, FieldError, InvalidInput, RuntimeDep, require
from licensing import grants
from licensing.grants import keys
from ops.delivery import service
from ops.delivery.access import Access, decide_access, find_object
from ops.delivery.exports import accept, store, tickets
from ops.delivery.exports.by_link import require_ready
from ops.delivery.exports.model import ExportJob
from ops.delivery.exports.routes import LISTED_MAX, SCOPE, ExportBody
from ops.delivery.parts import DeliveryParts, delivery_of
from ops.delivery.query import DataQuery, check_fields

router = APIRouter(prefix="/v1/grants/{grant_id}/exports", tags=["delivery"])

VIEW, ASK = "grant:view", "key:issue"
"""Who sees the jobs of a grant; who may start them is who may make its keys."""


class ExportNotOpen(Conflict):
    code = "export_over"
    zh = "该导出任务已经结束（{state}）。"
    en = "This export has ended ({state})."


class NewExport(ExportBody):
    key_id: Annotated[str, StringConstraints(min_length=1, max_length=100)]


async def _grant(tx: asyncpg.Connection, call: Call, grant_id: str, action: str) -> grants.Grant:
    """The grant, for members of its party with the right; strangers get 404."""
    grant = await grants.view(tx, call, grant_id)
    require(call.identity, action, grant.party_id)
    return grant


def _document(job: ExportJob, call: Call) -> dict[str, Any]:
    return {**job.as_document(call.now), "key_id": job.key_id}


@router.get("", summary="导出任务 Exports of a grant")
async def listing(grant_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    async with runtime.snapshot() as tx:
        grant = await _grant(tx, call, grant_id, VIEW)
        found = await store.of_grant(tx, grant.id, grant.resource_id, LISTED_MAX)
    return {"items": [_document(one, call) for one in found], "next": None}


@router.post("", status_code=202, summary="提交导出任务 Ask for an export")
async def create(
    grant_id: str, body: NewExport, request: Request, runtime: RuntimeDep, call: CallDep
) -> JSONResponse:
    """Reserves the rows and has the file made in the background, as a program's request with the key would."""
    query = body.query()
    async with runtime.snapshot() as tx:
        grant = await _grant(tx, call, grant_id, ASK)
        key = next((one for one in await keys.listing(tx, call, grant_id) if one.id == body.key_id), None)
    if key is None or key.as_document(call.now)["state"] != "active" or SCOPE not in key.scopes:
        raise InvalidInput([FieldError(
            "key_id", "key_not_usable", "请选择仍有效且可用于导出的密钥", "must be a key that works and may export"
        )])
    parts = await delivery_of(runtime)
    permit = await _permit(parts, request, grant, key.id, query)
    job, _ = await accept.accept_permitted(permit, query, call, grant_id=grant.id, key_id=key.id)
    return JSONResponse(_document(job, call), 202, headers={"Cache-Control": "private, no-store"})


async def _permit(
    parts: DeliveryParts, request: Request, grant: grants.Grant, key_id: str, query: DataQuery
) -> service.Permit:
    """As for a key's request, but for the address: the person who asks need not sit where the program runs."""
    async with parts.runtime.snapshot() as tx:
        data = await find_object(tx, grant.resource_id)
    found = await service.with_rows(parts, data, None)
    if found.data.fields:
        check_fields(query, list(found.data.by_name))
    facts = replace(grant.facts(), ip_allow=())
    access = await decide_access(parts.runtime, parts.decisions, request, found.data, facts, query)
    await service.limit_grant(parts, access)
    access = Access(access.data, access.grant, access.obligations, key_id)
    return service.Permit(parts, access, found.pool, found.key, found.version, found.generation, {})


@router.delete("/{job_id}", summary="取消导出 Give an export up")
async def cancel(grant_id: str, job_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Cancels a job that is not done, which then costs nothing; removes the file of one that is."""
    async with runtime.transaction() as tx:
        await _grant(tx, call, grant_id, ASK)
        job = await store.find(tx, job_id, grant_id=grant_id, lock=True)
        if not job.is_open and job.state != "ready":
            raise ExportNotOpen(state=job.state)
        job = await accept.end(tx, runtime, job, "cancelled", actor=call.identity.name)
    await asyncio.to_thread(store.ExportFolder.from_env().file(job).unlink, missing_ok=True)
    return _document(job, call)


@router.post("/{job_id}/link", summary="取得下载链接 A link to the file")
async def link(grant_id: str, job_id: str, runtime: RuntimeDep, call: CallDep) -> JSONResponse:
    """An address that a browser can follow for a quarter of an hour, Range and resume included."""
    async with runtime.transaction() as tx:
        grant = await _grant(tx, call, grant_id, ASK)
        job = await store.find(tx, job_id, grant_id=grant_id)
        require_ready(job, call.now)
        await runtime.audit.append(tx, AuditEntry(
            "export.link_given", call.identity.name, "export", job.id, organisation_id=grant.party_id,
            request_id=call.request_id, details={"grant_id": grant_id, "resource_id": job.resource_id},
        ))
    ticket, until = tickets.make(runtime.signing_key, job.id, call.now)
    return JSONResponse(
        {"url": f"{job.path}/file?ticket={ticket}", "expires_at": until.isoformat()},
        headers={"Cache-Control": "private, no-store"},
    )
