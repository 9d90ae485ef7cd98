"""``/v1/applications``: drafts, lists, one endpoint for all events."""

from __future__ import annotations

from typing import Any

import asyncpg
from fastapi import APIRouter

from authz import Call, CallDep, Runtime, RuntimeDep, once
from licensing import applications
from licensing.applications import Application, Asked, FieldVerdict
from licensing.errors import invalid
from licensing.lifecycle import ApplicationState
from licensing.routes import bodies as b
from licensing.routes.paging import Cursor, Limit, page

router = APIRouter(prefix="/v1/applications", tags=["applications"], route_class=b.EventRoute)
plain = APIRouter(prefix="/v1/applications", tags=["applications"])


def _asked(body: b.RequestBody) -> Asked:
    return Asked(**{name: getattr(body, name) for name in b.RequestBody.model_fields})


@plain.post("", status_code=201)
async def create(body: b.ApplicationBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """A draft, or with ``submit`` an application handed in."""
    async with runtime.transaction() as tx:

        async def produce() -> dict[str, Any]:
            made = await applications.create(
                tx, call, body.party_id, body.resource_id, _asked(body), audit=runtime.audit
            )
            if body.submit:
                made = await applications.submit(tx, call, made.id, made.version, audit=runtime.audit)
            return await applications.document(tx, call, made)

        return await once(tx, call, "application.create", body.model_dump(mode="json"), produce)


def _states(text: str | None) -> list[str] | None:
    if not text:
        return None
    known = {state.value for state in ApplicationState}
    named = [part.strip() for part in text.split(",") if part.strip()]
    if set(named) - known:
        raise invalid(
            "state", "unknown_state", "没有这样的状态：" + "、".join(sorted(set(named) - known)),
            "there is no such state",
        )
    return named


@plain.get("")
async def list_applications(
    runtime: RuntimeDep, call: CallDep, mine: bool = False, queue: bool = False, state: str | None = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> dict[str, Any]:
    """What the caller may see, newest first; ``queue`` keeps those on which they can act now."""
    states = _states(state)
    async with runtime.snapshot() as tx:
        found = await applications.visible_page(
            tx, call, mine=mine, states=states, before=cursor, limit=limit + 1
        )
        shown = await applications.brief(tx, call, found)
    items = page(shown, limit, lambda one: str(one["id"]), lambda one: one)
    if queue:
        items["items"] = [one for one in items["items"] if one["allowed_events"]]
    return items


@plain.get("/{application_id}")
async def show(application_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Everything about an application that the caller may see."""
    async with runtime.snapshot() as tx:
        found = await applications.require_view(tx, call, application_id)
        return await applications.document(tx, call, found)


@plain.put("/{application_id}")
async def edit(
    application_id: str, body: b.ApplicationEditBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """New content of a draft."""
    async with runtime.transaction() as tx:
        edited = await applications.edit(
            tx, call, application_id, body.version, _asked(body), audit=runtime.audit
        )
        return await applications.document(tx, call, edited)


@router.post("/{application_id}/events")
async def happen(
    application_id: str, body: b.ApplicationEventBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """One event; the answer is the application as it stands afterwards."""
    async with runtime.transaction() as tx:
        moved = await _apply(tx, runtime, call, application_id, body)
        return await applications.document(tx, call, moved)


async def _apply(
    tx: asyncpg.Connection, runtime: Runtime, call: Call, application_id: str, body: Any
) -> Application:
    to, audit = (tx, call, application_id, body.version), runtime.audit
    match body:
        case b.Submit():
            return await applications.submit(*to, audit=audit)
        case b.AnswerSupplement():
            changes = body.changes.model_dump(exclude_none=True) if body.changes else {}
            return await applications.answer_supplement(*to, body.text, changes, audit=audit)
        case b.Withdraw():
            return await applications.withdraw(*to, body.reason, audit=audit)
        case b.AcceptOffer():
            return await applications.accept_offer(*to, audit=audit)
        case b.Sign():
            return await applications.sign(
                *to, body.signer_name, body.consent, audit=audit, signing_key=runtime.signing_key
            )
        case _:
            return await _review(to, runtime, body)


async def _review(
    to: tuple[asyncpg.Connection, Call, str, int], runtime: Runtime, body: Any
) -> Application:
    audit = runtime.audit
    match body:
        case b.RequestSupplement():
            return await applications.request_supplement(*to, body.reason, body.items, audit=audit)
        case b.PassForm():
            return await applications.pass_form(*to, body.reason, audit=audit)
        case b.Refuse():
            return await applications.refuse(*to, body.reason, body.basis, audit=audit)
        case b.DecideOwner():
            return await applications.decide_owner(
                *to, verdicts=[FieldVerdict(one.name, one.verdict, one.reason) for one in body.fields],
                row_filter=[one.model_dump() for one in body.row_filter], masks=body.masks, reason=body.reason,
                consent_reference=body.consent_reference, risk_assessment_id=body.risk_assessment_id, audit=audit,
            )
        case b.ConsultThirdParty():
            return await applications.consult_third_party(*to, body.party, body.reason, audit=audit)
        case b.RecordOpinion():
            return await applications.record_opinion(*to, body.opinion, body.text, audit=audit)
        case b.RequestExtension():
            return await applications.request_extension(*to, body.working_days, body.reason, audit=audit)
        case b.DecideExtension():
            return await applications.decide_extension(*to, body.verdict, body.reason, audit=audit)
    raise TypeError(f"an event without a service: {type(body).__name__}")
