"""AuthZEN Access Request and Approval profile, the request service's part: a request is a data use application.

The task is the application under its own id; its states collapse into the profile's (``STATUS``). What is approved is
a grant: ``result.approval.id`` is its id, and evaluating again with it decides whether access is given, by the policy
and the grant's facts of that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from authz import Call, CallDep, Conflict, Effect, InvalidInput, NotFound, Runtime, RuntimeDep, authzen, may, once
from licensing import applications
from licensing.applications import Application, Asked
from licensing.errors import invalid
from licensing.lifecycle import ApplicationState as S
from licensing.routes import bodies as b

router = APIRouter(tags=["AuthZEN"])

STATUS: Mapping[S, str] = {
    S.GRANTED: "approved", S.PARTLY_GRANTED: "approved", S.REFUSED: "denied", S.WITHDRAWN: "cancelled",
    S.EXPIRED: "expired",
}
"""Every other state is ``pending``."""

TERM_MONTHS_DEFAULT = 12


class UnknownTask(NotFound):
    code = "unknown_task"
    type = f"{authzen.ERROR}unknown_task"


class InvalidTaskState(Conflict):
    code = "invalid_task_state"
    type = f"{authzen.ERROR}invalid_task_state"
    zh = "该申请已办结，不能撤回。"
    en = "The request has ended and cannot be cancelled."
    next_zh = "请查看办理结果。"
    next_en = "Look at its result."


class RequestedAccess(b.RequestBody):
    """``requested_access`` of a submission: what an application needs beside the denied question."""

    party_id: b.Identifier | None = None
    term_months: b.TermMonths = TERM_MONTHS_DEFAULT


async def _sent(request: Request) -> Mapping[str, Any]:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise authzen.Malformed("Content-Type")
    try:
        found = orjson.loads(await request.body())
    except orjson.JSONDecodeError as fault:
        raise authzen.Malformed("JSON") from fault
    if not isinstance(found, dict):
        raise authzen.Malformed("JSON object")
    return found


def _wanted(sent: Mapping[str, Any], call: Call) -> authzen.EvaluationRequest:
    """The denied question; raises Malformed, or NotRequestable unless it is about the caller and one data object."""
    if sent.get("items") is not None:
        raise authzen.NotRequestable(why_zh="请为每项数据单独提交申请", why_en="submit a request for each data object")
    wanted = authzen.EvaluationRequest.read(sent)
    if wanted.subject_type != "user" or wanted.subject_id != call.identity.user_id:
        raise authzen.NotRequestable(why_zh="只能为本人所在单位申请", why_en="a request is made for one's own party")
    if wanted.resource_type != "data_object":
        raise authzen.NotRequestable(why_zh="只有数据可以申请", why_en="only data can be requested")
    return wanted


def _content(sent: Mapping[str, Any], wanted: authzen.EvaluationRequest) -> RequestedAccess:
    """The application's content; what the denied question said is taken from it. Raises InvalidInput by field."""
    told = sent.get("requested_access") or {}
    if not isinstance(told, dict):
        raise authzen.Malformed("requested_access")
    context = sent.get("context") or {}
    filled = {
        "fields": list(wanted.fields) if wanted.fields else None, "purpose": wanted.purpose,
        "purpose_class": wanted.purpose_class, "scenario": wanted.scenario, "delivery": [wanted.channel],
        "purpose_text": context.get("business_justification"), **told,
    }
    try:
        return RequestedAccess.model_validate({k: v for k, v in filled.items() if v is not None})
    except ValidationError as fault:
        faults = [invalid_field(one) for one in fault.errors()]
        raise InvalidInput(faults) from fault


def invalid_field(fault: Any) -> Any:
    """A fault of ``requested_access`` by its path, without the value."""
    path = ".".join(["requested_access", *(str(part) for part in fault["loc"])])
    needed = fault["type"] == "missing"
    return invalid(
        path, str(fault["type"]), "必填项" if needed else "取值不正确",
        "is required" if needed else "has an unacceptable value",
    ).errors[0]


def _party(call: Call, named: str | None) -> str:
    """The party that asks: the one named, or the only one the caller may draft applications for."""
    if named is not None:
        return named
    seats = sorted(
        seat for seat in call.identity.organisations()
        if may(call.identity, "application:draft", seat).effect is Effect.PERMIT
    )
    if len(seats) != 1:
        raise invalid(
            "requested_access.party_id", "party_unclear", "请指明申请单位",
            "name the party that applies",
        )
    return seats[0]


TEXT = {"type": "string", "minLength": 1}
QUESTION: dict[str, Any] = {
    "subject": {"type": "object", "properties": {"type": TEXT, "id": TEXT}, "required": ["type", "id"]},
    "action": {"type": "object", "properties": {"name": TEXT}, "required": ["name"]},
    "resource": {"type": "object", "properties": {"type": TEXT, "id": TEXT}, "required": ["type", "id"]},
}
SUBMISSION: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": {"schema": {
    "type": "object", "required": [*QUESTION, "denial"], "properties": {
        **QUESTION, "context": {"type": "object"}, "requested_access": {"type": "object"},
        "denial": {"type": "object", "properties": {"binding_token": TEXT}, "required": ["binding_token"]},
    },
}}}}}
CANCELLATION: dict[str, Any] = {"requestBody": {"required": False, "content": {"application/json": {"schema": {
    "type": "object", "properties": {"comment": {"type": "string", "minLength": 1, "maxLength": 500}},
}}}}}


@router.post(authzen.ENDPOINT, status_code=202, openapi_extra=SUBMISSION)
async def submit(request: Request, response: Response, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Ask for the access that an evaluation denied; the answer is the task, an application in procedure.

    An enterprise's administrator hands the application in at once; for another member it stays a draft that the
    administrator submits.
    """
    sent = await _sent(request)
    wanted = _wanted(sent, call)
    denial = sent.get("denial")
    if not isinstance(denial, dict):
        raise authzen.InvalidDenialBinding
    evaluation_id = authzen.bound_denial(
        wanted.asked, denial, key=runtime.signing_key, site_url=runtime.settings.site_url
    )
    content = _content(sent, wanted)
    party_id = _party(call, content.party_id)
    async with runtime.transaction() as tx:

        async def produce() -> dict[str, Any]:
            asked = Asked(**{name: getattr(content, name) for name in b.RequestBody.model_fields})
            made = await applications.create(tx, call, party_id, wanted.resource_id, asked, audit=runtime.audit)
            if may(call.identity, "application:submit", party_id).effect is Effect.PERMIT:
                made = await applications.submit(tx, call, made.id, made.version, audit=runtime.audit)
            return await _answer(tx, runtime, call, made) | {"evaluation_id": evaluation_id}

        answer = await once(tx, call, "access_request", sent, produce)
    response.headers["Location"] = answer["task"]["status_endpoint"]
    return answer


@router.get(authzen.SCHEMA)
async def show_schema() -> dict[str, Any]:
    """JSON Schema of ``requested_access``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "properties": {"requested_access": RequestedAccess.model_json_schema()}, "required": ["requested_access"],
    }


async def _task(tx: asyncpg.Connection, call: Call, task_id: str) -> Application:
    try:
        return await applications.require_view(tx, call, task_id)
    except NotFound as fault:
        raise UnknownTask from fault


@router.get(authzen.ENDPOINT + "/{task_id}")
async def show(task_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Where a request stands; once approved, the approval to evaluate again with."""
    async with runtime.snapshot() as tx:
        return await _answer(tx, runtime, call, await _task(tx, call, task_id))


@router.post(authzen.ENDPOINT + "/{task_id}/cancel", openapi_extra=CANCELLATION)
async def cancel(task_id: str, request: Request, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Withdraw a request that is pending."""
    sent = await _sent(request) if await request.body() else {}
    reason = sent.get("comment") or sent.get("reason")
    if reason is not None and (not isinstance(reason, str) or not 0 < len(reason) <= 500 or "\0" in reason):
        raise authzen.Malformed("comment")
    async with runtime.transaction() as tx:
        found = await _task(tx, call, task_id)
        if found.state in STATUS:
            raise InvalidTaskState
        moved = await applications.withdraw(tx, call, found.id, found.version, reason, audit=runtime.audit)
        return await _answer(tx, runtime, call, moved)


async def _answer(
    tx: asyncpg.Connection, runtime: Runtime, call: Call, application: Application
) -> dict[str, Any]:
    """``{task, result?}`` of the profile."""
    shown = await applications.document(tx, call, application)
    site = runtime.settings.site_url
    address = f"{site}{authzen.ENDPOINT}/{application.id}"
    status = STATUS.get(application.state, "pending")
    task: dict[str, Any] = {
        "id": application.id, "status": status, "status_endpoint": address,
        "links": {"ticket": f"{site}/my/applications/{application.id}"},
        "display": {"title": application.number, "description": {"zh": shown["label_zh"], "en": shown["label_en"]}},
    }
    if status == "pending":
        task["links"]["cancel"] = f"{address}/cancel"
        task["progress"] = _progress(shown["steps"])
    answer: dict[str, Any] = {"task": task}
    if status == "approved" and shown.get("grant_id"):
        grant = await tx.fetchrow(
            "SELECT valid_from, valid_until FROM licensing.access_grant WHERE id = $1", shown["grant_id"]
        )
        answer["result"] = {"mode": "reevaluate", "approval": {
            "id": shown["grant_id"], **({
                "approved_at": _stamp(grant["valid_from"]), "approved_until": _stamp(grant["valid_until"]),
            } if grant else {}),
        }}
    return answer


def _progress(steps: list[dict[str, Any]]) -> dict[str, Any]:
    current = next((place for place, step in enumerate(steps, 1) if step["status"] == "current"), 1)
    return {"current_step": current, "total_steps": len(steps), "step_name": steps[current - 1]["state"]}


def _stamp(at: datetime) -> str:
    return at.isoformat()
