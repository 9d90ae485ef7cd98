"""``POST /data/v1/{resource}/analysis`` and ``/verify``; what was asked, for the department and the auditors."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints
from starlette.responses import Response

from authz import Body, CallDep, NotFound, RuntimeDep, objects, organisations_where
from authz.obligations.values import BIGINT_MAX
from ops.analysis.limits import AnalysisLimits
from ops.analysis.query import TEXT_LENGTH_MAX
from ops.analysis.service import analyse
from ops.analysis.verify import Claim, verify
from ops.delivery.parts import delivery_of

router = APIRouter(tags=["analysis"])

Name = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Purpose = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
ResourceId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Value = (
    Annotated[bool, Field(strict=True)] | Annotated[int, Field(strict=True, ge=-BIGINT_MAX, le=BIGINT_MAX)]
    | Annotated[str, StringConstraints(max_length=4_000)]
)


class AnalysisBody(Body):
    sql: Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LENGTH_MAX)]
    purpose: Purpose | None = None

    model_config = Body.model_config | {"json_schema_extra": {"examples": [{
        "sql": "SELECT region, count(*) AS n, avg(capital) FROM data WHERE founded >= '2020-01-01' GROUP BY region",
    }]}}


class CheckBody(Body):
    """``match`` names the one field that finds the record; ``claims`` are what is said of it."""

    match: Annotated[dict[Name, Value], Field(min_length=1, max_length=1)]
    claims: Annotated[dict[Name, Value], Field(min_length=1, max_length=20)]


class VerifyBody(Body):
    checks: Annotated[list[CheckBody], Field(min_length=1, max_length=AnalysisLimits.checks_a_call)]
    purpose: Purpose | None = None


ANALYSED: dict[str, Any] = {"responses": {"200": {"description": "统计结果 (figures)", "content": {"application/json": {
    "schema": {
        "type": "object", "required": ["id", "columns", "rows", "floor", "blurred_by_records"],
        "properties": {
            "id": {"type": "string"}, "columns": {"type": "array", "items": {"type": "string"}},
            "rows": {"type": "array", "items": {"type": "array"}},
            "floor": {"type": "integer"}, "blurred_by_records": {"type": "integer"},
        },
    },
}}}}}
VERIFIED: dict[str, Any] = {"responses": {"200": {"description": "逐项结果 (a result for each)", "content": {
    "application/json": {"schema": {
        "type": "object", "required": ["results"], "properties": {
            "results": {"type": "array", "items": {"type": "string", "enum": ["yes", "no", "locked"]}},
        },
    }},
}}}}


@router.post("/data/v1/{resource_id}/analysis", openapi_extra=ANALYSED)
async def ask(
    resource_id: ResourceId, body: AnalysisBody, request: Request, response: Response, runtime: RuntimeDep
) -> dict[str, Any]:
    """Aggregates over restricted rows: groups of at least the floor, blurred; no row leaves."""
    parts = await delivery_of(runtime)
    shown, headers = await analyse(parts, request, resource_id, body.sql, body.purpose, AnalysisLimits.from_env())
    response.headers.update(headers | {"Cache-Control": "no-store"})
    return shown


@router.post("/data/v1/{resource_id}/verify", openapi_extra=VERIFIED)
async def check(
    resource_id: ResourceId, body: VerifyBody, request: Request, response: Response, runtime: RuntimeDep
) -> dict[str, Any]:
    """Yes or no on given values; ``locked`` where the grant was wrong about a record too often today."""
    parts = await delivery_of(runtime)
    checks = [Claim(*next(iter(one.match.items())), one.claims) for one in body.checks]
    told, headers = await verify(parts, request, resource_id, checks, body.purpose, AnalysisLimits.from_env())
    response.headers.update(headers | {"Cache-Control": "no-store"})
    return {"results": told}


@router.get("/v1/analyses")
async def list_queries(
    runtime: RuntimeDep, call: CallDep, resource_id: ResourceId, limit: Annotated[int, Field(ge=1, le=200)] = 50,
    cursor: Annotated[str, StringConstraints(max_length=100)] | None = None,
) -> dict[str, Any]:
    """Queries on a data object with what was told, newest first; for its department and who may read the audit."""
    async with runtime.snapshot() as tx:
        data = await objects.last_known(tx, resource_id)
        own, audits = (organisations_where(call.identity, action) for action in ("object:publish", "audit:read"))
        if data is None or not (audits is None or own is None or data.organisation_id in own):
            raise NotFound
        rows = await tx.fetch(
            "SELECT q.*, o.refused, o.groups, o.withheld, o.answer FROM analysis.query q"
            " LEFT JOIN analysis.outcome o ON o.query_id = q.id"
            " WHERE q.resource_id = $1 AND ($2::text IS NULL OR q.id < $2) ORDER BY q.id DESC LIMIT $3",
            resource_id, cursor, limit + 1,
        )
    shown = [
        {
            "id": row["id"], "at": row["at"].isoformat(), "grant_id": row["grant_id"], "purpose": row["purpose"],
            "sql": row["sql"], "refused": row["refused"], "groups": row["groups"], "withheld": row["withheld"],
            "answer": row["answer"],
        }
        for row in rows[:limit]
    ]
    return {"items": shown, "next": rows[limit - 1]["id"] if len(rows) > limit else None}
