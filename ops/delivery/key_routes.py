"""HTTP routes around keys: lookups by the key of a row, and access keys that leaked."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from authz import NotFound, RuntimeDep
from licensing import grants
from licensing.routes.bodies import LeakBody
from ops.delivery import lookup
from ops.delivery.access import address_of
from ops.delivery.limits import Rate
from ops.delivery.parts import ProvenKeys, delivery_of
from ops.delivery.query import RESOURCE_ID

router = APIRouter(tags=["delivery"])

LEAK_RATE = Rate("leak", 60, 30)
LEAK_SAID = {
    "received": True,
    "detail_zh": "已收到。若该文本是有效的访问密钥，它已立即停用，并已告知其持有单位。",
    "detail_en": "Received. If the text was a live access key, it has been ended and its holder is told.",
}


@router.post("/data/v1/{resource_id}/lookup", summary="按键查询 Look up by key")
async def look_up(
    resource_id: str, body: lookup.LookupBody, request: Request, runtime: RuntimeDep
) -> Response:
    """Rows that have one of up to 1,000 values in a field: ``items``, and the values that no row has: ``not_found``."""
    if not RESOURCE_ID.fullmatch(resource_id):
        raise NotFound
    answer = await lookup.look_up(await delivery_of(runtime), request, resource_id, body)
    return Response(answer.body, headers=answer.headers, media_type="application/json")


@router.post("/v1/keys/leaked", status_code=202, summary="报告泄露的密钥 Report a leaked key")
async def report_leak(body: LeakBody, request: Request, runtime: RuntimeDep) -> JSONResponse:
    """Ends the key at once when it is a live one. Needs no account; the answer is the same for every text."""
    parts = await delivery_of(runtime)
    verdict = await parts.limiter.check(ProvenKeys.digest(address_of(request) or "-"), LEAK_RATE)
    verdict.require()
    async with runtime.transaction() as tx:
        await grants.report_leak(
            tx, body.key, runtime.clock.now(), request.state.request_id, audit=runtime.audit
        )
    told: dict[str, Any] = LEAK_SAID
    return JSONResponse(told, 202, headers={**verdict.headers(), "Cache-Control": "no-store"})
