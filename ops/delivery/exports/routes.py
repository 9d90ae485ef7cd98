"""``/data/v1/{id}/exports``: ask for a file, see how far it is, fetch it, give it up."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from authz import Body, FieldError, InvalidInput, NotFound, RowFilter, RuntimeDep
from authz.model import FILTER_OPS
from ops.delivery import service
from ops.delivery.access import authenticate, decide_access, decided, find_object, key_of, require_scope
from ops.delivery.connections import acquired
from ops.delivery.exports import accept, store
from ops.delivery.exports.by_link import by_ticket, require_ready
from ops.delivery.exports.model import ExportGone, ExportJob
from ops.delivery.files.serve import FileStream
from ops.delivery.files.store import Manifest
from ops.delivery.formats import FORMATS
from ops.delivery.parts import DeliveryParts, delivery_of
from ops.delivery.query import FILTERS_MAX, IN_VALUES_MAX, PURPOSE, RESOURCE_ID, SORTS_MAX, DataQuery
from ops.delivery.ranges import Representation, http_date, part_of
from ops.delivery.refusals import KeyInAddress, KeyRequired
from ops.delivery.watch import Running

router = APIRouter(tags=["delivery"])

SCOPE = "export"
LISTED_MAX = 100
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(max_length=4_000)]


class FilterBody(Body):
    field: Name
    op: str = "eq"
    value: Text | Annotated[list[Text], Field(max_length=IN_VALUES_MAX)]


class ExportBody(Body):
    """What a download would be asked for, as a document."""

    format: Literal["csv", "json", "jsonl", "parquet", "arrow", "xlsx", "geojson"] = "csv"
    columns: Annotated[list[Name], Field(min_length=1, max_length=500)] | None = None
    filters: Annotated[list[FilterBody], Field(max_length=FILTERS_MAX)] = []
    sort: Annotated[list[Name], Field(max_length=SORTS_MAX)] = []
    purpose: Annotated[str, StringConstraints(max_length=64)] | None = None
    bom: bool = False
    encoding: Literal["utf-8", "gb18030"] = "utf-8"

    def query(self) -> DataQuery:
        """Raises InvalidInput naming every fault, KeyInAddress for a key among the values."""
        faults, filters = [], []
        for place, one in enumerate(self.filters):
            values = one.value if isinstance(one.value, list) else [one.value]
            if any(value.startswith("gok_") for value in values):
                raise KeyInAddress(parameter=f"filters.{place}")
            if one.op not in FILTER_OPS:
                known = "、".join(FILTER_OPS)
                faults.append(FieldError(
                    f"filters.{place}.op", "unknown_operator", f"可用：{known}", f"must be one of {known}"
                ))
            elif (one.op == "in") != isinstance(one.value, list):
                faults.append(FieldError(
                    f"filters.{place}.value", "malformed", "in 用列表，其他用单个值", "in takes a list, others a value"
                ))
            filters.append(RowFilter(one.field, one.op, tuple(values) if one.op == "in" else values[0]))
        keys = [(name.removeprefix("-"), name.startswith("-")) for name in self.sort]
        for names, field in ((self.columns or [], "columns"), ([name for name, _ in keys], "sort")):
            if len(set(names)) < len(names):
                faults.append(FieldError(field, "repeated_name", "字段重复", "names a field twice"))
        if self.purpose is not None and not PURPOSE.fullmatch(self.purpose):
            faults.append(FieldError("purpose", "malformed", "应为用途代码", "must be the code of a purpose"))
        if self.format != "csv" and (self.bom or self.encoding != "utf-8"):
            faults.append(FieldError("encoding", "csv_only", "只用于 csv", "is for csv only"))
        elif self.bom and self.encoding != "utf-8":
            faults.append(FieldError("bom", "contradiction", "BOM 只用于 UTF-8", "goes with UTF-8 only"))
        if faults:
            raise InvalidInput(faults)
        return DataQuery(
            format=self.format, columns=tuple(self.columns) if self.columns else None, filters=tuple(filters),
            purpose=self.purpose, bom=self.bom, sort=tuple(keys), encoding=self.encoding,
        )


@router.post("/data/v1/{resource_id}/exports", status_code=202, summary="提交导出任务 Ask for an export")
async def create(resource_id: str, body: ExportBody, request: Request, runtime: RuntimeDep) -> JSONResponse:
    """A file of restricted data, made in the background; its rows are reserved now and counted once, when it is ready.

    With an ``Idempotency-Key`` the same request gives the same job.
    """
    parts = await delivery_of(runtime)
    job, _ = await accept.accept(parts, request, _known_shape(resource_id), body.query())
    return _shown(parts, job, 202, Location=job.path)


@router.get("/data/v1/{resource_id}/exports", summary="导出任务 Exports")
async def listing(resource_id: str, request: Request, runtime: RuntimeDep) -> JSONResponse:
    """The grant's jobs on this data, newest first."""
    parts = await delivery_of(runtime)
    grant_id, limits = await _grant(parts, request, resource_id)
    async with runtime.snapshot() as tx:
        found = await store.of_grant(tx, grant_id, resource_id, LISTED_MAX)
    items = [one.as_document(runtime.clock.now()) for one in found]
    return JSONResponse({"items": items, "next": None}, headers={**limits, "Cache-Control": "private, no-store"})


@router.get("/data/v1/{resource_id}/exports/{job_id}", summary="导出任务的状态 State of an export")
async def show(resource_id: str, job_id: str, request: Request, runtime: RuntimeDep) -> JSONResponse:
    parts = await delivery_of(runtime)
    return _shown(parts, await _job(parts, request, resource_id, job_id), 200)


@router.delete("/data/v1/{resource_id}/exports/{job_id}", summary="取消导出 Give an export up")
async def cancel(resource_id: str, job_id: str, request: Request, runtime: RuntimeDep) -> JSONResponse:
    """Cancels a job that is not done, which then costs nothing; removes the file of one that is."""
    parts = await delivery_of(runtime)
    known = await _job(parts, request, resource_id, job_id)
    async with runtime.transaction() as tx:
        job = await store.find(tx, known.id, lock=True)
        if job.is_open or job.state == "ready":
            job = await accept.end(tx, runtime, job, "cancelled")
    if job.state == "cancelled":
        await asyncio.to_thread(store.ExportFolder.from_env().file(job).unlink, missing_ok=True)
    return _shown(parts, job, 200)


@router.get("/data/v1/{resource_id}/exports/{job_id}/manifest", summary="导出文件的签名说明 Signed manifest")
async def manifest(resource_id: str, job_id: str, request: Request, runtime: RuntimeDep) -> Response:
    """Whose file it is, from what, with which bytes: a JWS that verifies with the keys of /v1/keys.json."""
    parts = await delivery_of(runtime)
    job, _ = await _ready(parts, request, resource_id, job_id)
    return Response(job.manifest or "", media_type="application/jose", headers={"Cache-Control": "private, no-store"})


@router.get("/data/v1/{resource_id}/exports/{job_id}/file", summary="下载导出文件 The file of an export")
@router.head("/data/v1/{resource_id}/exports/{job_id}/file", include_in_schema=False)
async def file(resource_id: str, job_id: str, request: Request, runtime: RuntimeDep) -> Response:
    """The file, whole or from where you left off (Range with If-Range). Not metered: its rows were when it was made."""
    parts = await delivery_of(runtime)
    ticket = request.query_params.get("ticket")
    if ticket is None:
        job, grant_id = await _ready(parts, request, resource_id, job_id)
    else:
        job, grant_id = await by_ticket(parts, request, _known_shape(resource_id), job_id, ticket)
    assert job.sha256 is not None and job.size is not None and job.ended_at is not None  # noqa: S101, PT018 - it is ready
    found = Representation(f'"{job.sha256.hex()[:40]}"', job.ended_at.replace(microsecond=0), job.size)
    part = part_of(request.headers, found)
    form = FORMATS[job.query["format"]]
    headers = {
        "ETag": found.etag, "Last-Modified": http_date(found.modified_at), "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{base64.b64encode(job.sha256).decode()}:", "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="{job.id}.{form.suffix}"', "Content-Length": str(part.length),
        "X-Govopen-Version": job.version or "", "X-Govopen-Usage-Id": job.usage_id,
        "X-Govopen-Rows": str(job.rows_done), "X-Content-Type-Options": "nosniff", "X-Accel-Buffering": "no",
        "Expires": http_date(job.expires_at) if job.expires_at else "0", "Content-Type": form.media_type,
    }
    if job.watermark:
        headers["X-Govopen-Watermark"] = job.watermark
    if part.partial:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{job.size}"
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Length": str(job.size)})
    place = store.ExportFolder.from_env().file(job)
    try:
        number = await asyncio.to_thread(os.open, place, os.O_RDONLY)
    except FileNotFoundError as fault:
        raise ExportGone(state=job.state) from fault
    about = Manifest(
        resource_id, job.id, job.id, "", job.version or "", form.media_type, place.name, job.rows_done, job.size,
        job.sha256.hex(), "", "", 0,
    )
    running = Running(grant_id, resource_id)
    return ExportStream(parts, running, number, about, part, headers, lambda *_: None)


class ExportStream(FileStream):
    """A file on its way that ends, unfinished, when its grant does."""

    def __init__(self, parts: DeliveryParts, running: Running, *more: Any) -> None:
        super().__init__(*more)
        self._parts, self._running = parts, running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._parts.watch.add(self._running)
        sending = asyncio.create_task(super().__call__(scope, receive, send))
        try:
            ends: set[asyncio.Future[Any]] = {sending, self._running.stopped}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            self._parts.watch.discard(self._running)


def _known_shape(resource_id: str) -> str:
    if not RESOURCE_ID.fullmatch(resource_id):
        raise NotFound
    return resource_id


def _shown(parts: DeliveryParts, job: ExportJob, status: int, **headers: str) -> JSONResponse:
    more = {"Retry-After": "2"} if job.is_open else {}
    return JSONResponse(
        job.as_document(parts.runtime.clock.now()), status,
        headers={"Cache-Control": "private, no-store", **more, **headers},
    )


async def _grant(parts: DeliveryParts, request: Request, resource_id: str) -> tuple[str, dict[str, str]]:
    """The grant whose key was shown, whatever its state, and headers of the rate.

    Raises KeyRequired, KeyUnknown, and Denied from an address that the key is not for.
    """
    limits = await service.limit_rate(parts, request)
    async with acquired(parts.runtime.pool) as connection:
        data = await find_object(connection, _known_shape(resource_id))
        held = await authenticate(parts.runtime, connection, data, key_of(request))
    if held is None:
        raise KeyRequired(site=parts.runtime.settings.site_url, resource_id=resource_id)
    require_scope(held, SCOPE)
    if held.facts.ip_allow:
        _, decision = await decided(parts.runtime, request, data, held.facts, DataQuery())
        if "address_not_allowed" in decision.codes:
            decision.require()
    return held.facts.id, limits


async def _job(parts: DeliveryParts, request: Request, resource_id: str, job_id: str) -> ExportJob:
    """The grant's own job; raises NotFound for one of any other grant."""
    grant_id, _ = await _grant(parts, request, resource_id)
    async with parts.runtime.snapshot() as tx:
        return await store.find(tx, job_id, grant_id=grant_id, resource_id=resource_id)


async def _ready(
    parts: DeliveryParts, request: Request, resource_id: str, job_id: str
) -> tuple[ExportJob, str]:
    """A job with a file that may be fetched at this moment: decided anew. Raises Denied, ExportGone, ExportNotReady."""
    job = await _job(parts, request, resource_id, job_id)
    async with acquired(parts.runtime.pool) as connection:
        data = await find_object(connection, resource_id)
        held = await authenticate(parts.runtime, connection, data, key_of(request))
    query = DataQuery(columns=tuple(job.columns), purpose=job.query["purpose"])
    await decide_access(parts.runtime, parts.decisions, request, data, held.facts if held else None, query)
    require_ready(job, parts.runtime.clock.now())
    return job, job.grant_id
