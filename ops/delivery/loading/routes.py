"""Routes of loading: for publishers of the department whose data it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from authz import CallDep, FieldError, InvalidInput, RuntimeDep
from ops.delivery.loading import service

BLOCK_BYTES = 256 * 1024

router = APIRouter(tags=["restricted data"])


@router.put(
    "/v1/restricted/{resource_id}", summary="载入受限数据 Load restricted data",
    openapi_extra={"requestBody": {"required": True, "content": {
        "text/csv": {"schema": {"type": "string"}},
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {"schema": {
            "type": "object", "properties": {"file": {"type": "string", "format": "binary"}},
        }},
    }}},
)
async def load(resource_id: str, request: Request, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Replace the rows by those of a CSV or Parquet file, all or nothing, as a new version.

    What the file is, is told by its content. Its columns must be the fields of the catalogue. Faults name row and
    column and never a value.
    """
    data = await service.may_load(runtime, call, resource_id)
    with service.temporary_folder() as name:
        folder = Path(name)
        upload = await service.receive(_blocks(request), folder)
        loaded = await service.replace(runtime, call, data, upload, folder)
    return loaded.as_document()


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """The file's bytes: the body itself, or the part ``file`` of a form."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        async for block in request.stream():
            yield block
        return
    async with request.form(max_files=1, max_fields=8) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidInput([FieldError("file", "missing", "必填项", "is required")])
        while block := await file.read(BLOCK_BYTES):
            yield block


@router.get("/v1/restricted/{resource_id}", summary="受限数据的载入情况 State of restricted data")
async def show(resource_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """What is loaded: rows, version, when, by whom; for publishers of the department."""
    await service.may_load(runtime, call, resource_id)
    found = await service.current(runtime, resource_id)
    return {"loaded": found is not None, **(found.as_document() if found else {"resource_id": resource_id})}
