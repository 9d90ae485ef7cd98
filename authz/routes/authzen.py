"""OpenID AuthZEN Authorization API 1.0: evaluation, evaluations, searches, discovery.

Whatever is malformed is 400, unknown members are ignored, a bad item of a batch is a denial of that item. Strangers
may not probe: the caller is signed in and asks about itself, about a grant of its own party or about data of its own
department; ``decision:evaluate`` (authority, auditors, security and system administrators) asks about anyone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request

from authz.authzen.evaluate import Evaluator
from authz.authzen.request import EvaluationRequest, Malformed, SearchKind, SearchRequest, members, semantics
from authz.authzen.requestable import CAPABILITY, ENDPOINT
from authz.authzen.search import search
from authz.foundation.http import CallDep, RuntimeDep
from authz.foundation.identity import Call
from authz.foundation.runtime import Runtime
from authz.routes import documents

router = APIRouter(tags=["AuthZEN"])


async def body_of(request: Request) -> Mapping[str, Any]:
    """The JSON object that was sent; raises Malformed (400) for anything else."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Malformed("Content-Type")
    try:
        found = orjson.loads(await request.body())
    except orjson.JSONDecodeError as fault:
        raise Malformed("JSON") from fault
    if not isinstance(found, dict):
        raise Malformed("JSON object")
    return found


@router.post("/access/v1/evaluation", openapi_extra=documents.EVALUATION)
async def evaluate(request: Request, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """One decision."""
    wanted = EvaluationRequest.read(await body_of(request))
    async with runtime.snapshot() as connection:
        return await Evaluator(runtime, connection, call).answer(wanted)


@router.post("/access/v1/evaluations", openapi_extra=documents.EVALUATIONS)
async def evaluate_many(request: Request, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Several decisions with common defaults; without ``evaluations`` it behaves as a single evaluation."""
    body = await body_of(request)
    items = members(body)
    semantic = semantics(body)
    async with runtime.snapshot() as connection:
        evaluator = Evaluator(runtime, connection, call)
        if not items:
            return await evaluator.answer(EvaluationRequest.read(body))
        await evaluator.fetch(body, items)
        answers: list[dict[str, Any]] = []
        for item in items:
            answers.append(await evaluator.answer_item(body, item))
            if semantic is not None and answers[-1]["decision"] is semantic:
                break
    return {"evaluations": answers}


async def _found(kind: SearchKind, request: Request, runtime: Runtime, call: Call) -> dict[str, Any]:
    wanted = SearchRequest.read(kind, await body_of(request))
    async with runtime.snapshot() as connection:
        return await search(Evaluator(runtime, connection, call), kind, wanted)


@router.post("/access/v1/search/subject", openapi_extra=documents.SEARCH_SUBJECT)
async def search_subjects(request: Request, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Who may do this to that: users, grants or keys, by pages."""
    return await _found("subject", request, runtime, call)


@router.post("/access/v1/search/resource", openapi_extra=documents.SEARCH_RESOURCE)
async def search_resources(request: Request, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """What this subject may do that to, by pages."""
    return await _found("resource", request, runtime, call)


@router.post("/access/v1/search/action", openapi_extra=documents.SEARCH_ACTION)
async def search_actions(request: Request, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """What this subject may do to that, by pages."""
    return await _found("action", request, runtime, call)


@router.get("/.well-known/authzen-configuration")
async def describe(runtime: RuntimeDep) -> dict[str, Any]:
    """Metadata of the policy decision point."""
    site = runtime.settings.site_url
    return {
        "policy_decision_point": site,
        "access_evaluation_endpoint": f"{site}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{site}/access/v1/evaluations",
        "search_subject_endpoint": f"{site}/access/v1/search/subject",
        "search_resource_endpoint": f"{site}/access/v1/search/resource",
        "search_action_endpoint": f"{site}/access/v1/search/action",
        "access_request_endpoint": f"{site}{ENDPOINT}",
        "jwks_uri": f"{site}/v1/keys.json",
        "capabilities": [CAPABILITY],
    }
