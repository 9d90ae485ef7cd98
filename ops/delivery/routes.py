"""HTTP routes of delivery: ``/data/v1`` for rows, ``/v1`` for loading and usage."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from authz import NotFound, Runtime, RuntimeDep
from ops.delivery import documents, downloads, key_routes, listing, pages, service
from ops.delivery.access import header_of
from ops.delivery.downloads import compiled_for, headers_of, media_type
from ops.delivery.exports import people
from ops.delivery.exports import routes as exports
from ops.delivery.loading import routes as loading
from ops.delivery.negotiate import preferred_format
from ops.delivery.parts import delivery_of
from ops.delivery.query import RESOURCE_ID, DataQuery, read_download, read_page_again
from ops.delivery.webhooks import routes as webhooks

PURPOSE_HEADER = "x-govopen-purpose"
PURPOSE_NAME = PURPOSE_HEADER.encode()
FAULT = "rows.fault"
"""What became of a page that was tried before the request came this way."""

router = APIRouter(tags=["delivery"])
router.include_router(loading.router)
router.include_router(key_routes.router)
router.include_router(exports.router)
router.include_router(people.router)
router.include_router(webhooks.router)


def _known_shape(resource_id: str) -> str:
    if not RESOURCE_ID.fullmatch(resource_id):
        raise NotFound
    return resource_id


@router.get("/data/v1/{resource_id}", summary="下载数据 Download", openapi_extra=documents.DOWNLOAD)
@router.head("/data/v1/{resource_id}", include_in_schema=False)
async def download(resource_id: str, request: Request, runtime: RuntimeDep) -> Response:
    """Rows in the format of your choice: open data for everyone, restricted data for the key of a grant.

    Whole open data comes as a file with size, checksum and resume once that was made, which the first download begins;
    everything else is streamed, and a stream that ends without its final chunk is incomplete. HEAD answers
    as GET would, a used-up quota included, and is not metered.
    """
    parts = await delivery_of(runtime)
    named = "format" in request.query_params
    preferred = "csv" if named else preferred_format(request.headers.get("accept"))
    query = read_download(request.query_params, request.headers.get(PURPOSE_HEADER), preferred)
    permit = await service.permit(parts, request, _known_shape(resource_id), query)
    ready = await downloads.from_file(permit, query, request)
    if ready is not None:
        return ready
    if request.method == "HEAD":
        await service.require_quota(permit)
        compiled = compiled_for(permit, query)
        headers = headers_of(permit, query, compiled.watermark)
        return Response(headers=headers, media_type=media_type(query))
    return await downloads.download(permit, query)


@router.get("/data/v1/{resource_id}/rows", summary="分页读取 Rows by page", openapi_extra=documents.PAGE)
async def rows(resource_id: str, request: Request, runtime: RuntimeDep) -> Response:
    """One page of rows in a stable order, with the cursor of the next page."""
    page = await page_of(runtime, request, resource_id)
    return Response(page.body, headers=page.headers, media_type="application/json")


async def page_of(runtime: Runtime, request: Request, resource_id: str) -> pages.Page:
    parts = await delivery_of(runtime)
    query, cursor = read_page_again(request.scope["query_string"], header_of(request.scope, PURPOSE_NAME))
    return await pages.page(parts, request, _known_shape(resource_id), query, cursor)


class RowsRoute(BaseRoute):
    """``GET /data/v1/{id}/rows`` before all other routes: the same answer as ``rows``, without what it does not need.

    It stands in the application's own list, so that refusals and faults are answered as everywhere.
    """

    HEAD, TAIL = "/data/v1/", "/rows"

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or scope["method"] != "GET":
            return Match.NONE, {}
        path: str = scope["path"]
        resource_id = path[len(self.HEAD) : -len(self.TAIL)]
        if not path.startswith(self.HEAD) or not path.endswith(self.TAIL) or "/" in resource_id or not resource_id:
            return Match.NONE, {}
        return Match.FULL, {"path_params": {"resource_id": resource_id}}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault: Exception | None = scope["state"].pop(FAULT, None)
        if fault is not None:
            raise fault
        request = Request(scope, receive)
        page = await page_of(scope["app"].state.runtime, request, scope["path_params"]["resource_id"])
        await page.send(send)


@router.get("/data/v1/{resource_id}/files", summary="文件清单 Files", openapi_extra=documents.FILES)
async def files(resource_id: str, request: Request, runtime: RuntimeDep) -> JSONResponse:
    """Every format with its address; size, SHA-256 and number of rows of the files that are ready."""
    parts = await delivery_of(runtime)
    permit = await service.permit(parts, request, _known_shape(resource_id), DataQuery())
    return JSONResponse(await listing.files_of(permit), headers={**permit.limits, "Cache-Control": "no-cache"})


@router.get("/data/v1/{resource_id}/schema", summary="字段说明 Fields")
async def schema(resource_id: str, request: Request, runtime: RuntimeDep) -> JSONResponse:
    """Fields with type, grade and the mask that would apply to this caller."""
    parts = await delivery_of(runtime)
    limits = await service.limit_rate(parts, request)
    document = await service.describe(parts, request, _known_shape(resource_id))
    return JSONResponse(document, headers=limits)
