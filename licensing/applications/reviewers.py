"""What reviewers do: supplement, form review, decision on substance, third parties, extensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import asyncpg

from authz import AuditLog, Call, Conflict, FieldError, InvalidInput, objects, require, require_operator_apart
from licensing import clocks, parties
from licensing.access import require_decider, require_other_side
from licensing.applications import store
from licensing.applications.checks import (
    FieldVerdict,
    checked_conditions,
    checked_masks,
    checked_row_filter,
    checked_verdicts,
)
from licensing.applications.model import Application
from licensing.applications.steps import KIND, STEPS, E, S, enter_pricing, move, next_stop, readings, with_dates
from licensing.applications.views import require_view
from licensing.clocks import ClockKind
from licensing.errors import (
    ExtensionNotPossible,
    SamePerson,
    SilenceTooEarly,
    SupplementAlreadyRequested,
    invalid,
)
from licensing.history import reason_missing
from licensing.lifecycle import APPLICATION, ApplicationEvent, Transition
from licensing.limits import procedure
from licensing.working_days import WorkingDays


class ObjectGone(Conflict):
    """The data was withdrawn from the catalogue while the application was under way."""

    code = "object_gone"
    zh = "所申请的数据已从目录中撤下，不能同意。"
    en = "The data has been taken out of the catalogue and cannot be granted."
    next_zh = "请说明理由后作出不予同意的决定。"
    next_en = "Refuse the application with this reason."


async def _decidable(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, event: ApplicationEvent
) -> tuple[Application, Transition]:
    """The locked application and the row, when the caller may decide it; strangers get 404."""
    await require_view(tx, call, application_id)
    before = await store.locked(tx, application_id, version)
    row = APPLICATION.require(before.state, event)
    require_decider(
        call.identity, row.who, before.organisation_id, before.party_id, *before.submitters
    )
    return before, row


async def request_supplement(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, reason: str | None,
    items: Sequence[str], *, audit: AuditLog,
) -> Application:
    """Tell once everything that is missing; the reviewer's clock pauses until the answer."""
    before, row = await _decidable(tx, call, application_id, version, E.REQUEST_SUPPLEMENT)
    step = before.state.value
    asked = before.review.supplements.get(step, 0)
    if asked >= procedure().supplements_per_step_max:
        raise SupplementAlreadyRequested
    supplement = {
        "step": step, "reason": reason, "items": list(items), "requested_at": call.now.isoformat(),
        "requested_by": call.identity.display_name, "answer": None,
    }
    review = replace(
        before.review, supplement=supplement, supplements={**before.review.supplements, step: asked + 1},
        extension=None,
    )
    return await move(
        tx, call, before, row, replace(before, state=S.SUPPLEMENT, review=review), audit=audit, reason=reason,
        details={"items": len(items)},
    )


async def pass_form(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, reason: str | None, *, audit: AuditLog
) -> Application:
    """The form is in order; on to the next reviewer or to pricing. Raises OperatorConflict (409): then refuse."""
    before, row = await _decidable(tx, call, application_id, version, E.PASS_FORM)
    data_object = await objects.get(tx, before.resource_id)
    if data_object is not None:
        require_operator_apart(data_object, await parties.usccs(tx, before.party_id))
    passed = (*before.review.passed, before.state.value)
    after = replace(
        before, state=next_stop(before, passed), review=replace(before.review, passed=passed, extension=None)
    )
    moved = await move(tx, call, before, row, after, audit=audit, reason=reason)
    return await enter_pricing(tx, call, moved, audit=audit)


async def refuse(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, reason: str | None,
    basis: str | None, *, audit: AuditLog,
) -> Application:
    """Refuse the whole application, with reason, basis and remedy."""
    before, row = await _decidable(tx, call, application_id, version, E.REFUSE)
    review = replace(before.review, decision_reason=reason, extension=None)
    return await move(
        tx, call, before, row, replace(before, state=S.REFUSED, review=review), audit=audit, reason=reason,
        basis=basis,
    )


async def decide_owner(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, *, verdicts: Sequence[FieldVerdict],
    row_filter: Sequence[Mapping[str, Any]], masks: Mapping[str, str], reason: str | None,
    consent_reference: str | None, risk_assessment_id: str | None, audit: AuditLog,
) -> Application:
    """The department's decision field by field (政府信息公开条例 37: what can be given is given)."""
    before, row = await _decidable(tx, call, application_id, version, E.DECIDE_OWNER)
    fields = checked_verdicts(before.request.fields, verdicts)
    approved = [one.name for one in fields if one.decision == "approve"]
    refused = [one for one in fields if one.decision == "refuse"]
    told = reason or "；".join(f"{one.title}：{one.reason}" for one in refused) or None
    passed = (*before.review.passed, before.state.value)
    after = before.with_fields(fields)
    if not approved:
        after = replace(after, state=S.REFUSED)
    else:
        data_object = await objects.get(tx, before.resource_id)
        if data_object is None or not data_object.restricted:
            raise ObjectGone
        require_operator_apart(data_object, await parties.usccs(tx, before.party_id))
        _still_there(approved, fields, data_object.by_name)
        checked_conditions(data_object, fields, consent_reference, risk_assessment_id)
        after = replace(
            after, state=next_stop(before, passed), row_filter=checked_row_filter(data_object, row_filter),
            masks=checked_masks(data_object, masks, approved),
        )
    review = replace(
        before.review, passed=passed, decision_reason=told, consent_reference=consent_reference,
        risk_assessment_id=risk_assessment_id, extension=None,
    )
    moved = await move(
        tx, call, before, row, replace(after, review=review), audit=audit, reason=told, adverse=bool(refused),
        details={
            "approved": approved, "refused": [one.name for one in refused],
            "filtered_fields": [str(one["field"]) for one in after.row_filter], "masks": dict(after.masks),
        },
    )
    return await enter_pricing(tx, call, moved, audit=audit)


def _still_there(approved: list[str], fields: Sequence[Any], known: Mapping[str, Any]) -> None:
    gone = [
        FieldError(f"fields.{n}.name", "unknown_field", "该字段已从数据中移除", "has been removed from the data")
        for n, one in enumerate(fields) if one.name in approved and one.name not in known
    ]
    if gone:
        raise InvalidInput(gone)


async def consult_third_party(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, party: str, reason: str | None, *,
    audit: AuditLog,
) -> Application:
    """Ask somebody whose rights are touched; the department's clock pauses meanwhile."""
    before, row = await _decidable(tx, call, application_id, version, E.CONSULT_THIRD_PARTY)
    consultation = {
        "party": party, "reason": reason, "asked_at": call.now.isoformat(), "opinion": None, "text": None,
    }
    after = replace(
        before, state=S.THIRD_PARTY_OPINION, review=replace(before.review, consultation=consultation, extension=None)
    )
    return await move(tx, call, before, row, after, audit=audit, reason=reason)


async def record_opinion(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int,
    opinion: Literal["consent", "objection", "silence"], text: str | None, *, audit: AuditLog,
) -> Application:
    """Record the answer; silence can be recorded only after the limit, and decides nothing by itself."""
    before, row = await _decidable(tx, call, application_id, version, E.RECORD_OPINION)
    clock = (await readings(tx, call, before.id))[STEPS[S.THIRD_PARTY_OPINION]]
    if opinion == "silence" and not clock.overdue:
        raise SilenceTooEarly(until=clock.due_on.isoformat() if clock.due_on else "—")
    if opinion != "silence" and not (text or "").strip():
        raise reason_missing("text")
    consultation = {**(before.review.consultation or {}), "opinion": opinion, "text": text,
                    "recorded_at": call.now.isoformat()}
    after = replace(before, state=S.OWNER_REVIEW, review=replace(before.review, consultation=consultation))
    return await move(tx, call, before, row, after, audit=audit, details={"opinion": opinion})


async def request_extension(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, days: int, reason: str | None, *,
    audit: AuditLog,
) -> Application:
    """The reviewer asks for more working days; the authority decides."""
    before, row = await _decidable(tx, call, application_id, version, E.REQUEST_EXTENSION)
    step, most = before.state.value, procedure().limit("extension").days
    if not 1 <= days <= most:
        raise invalid(
            "working_days", "extension_out_of_range", f"延长应为1至{most}个工作日", f"must be 1 to {most} working days"
        )
    if before.review.extension is not None:
        raise ExtensionNotPossible(why_zh="已有延期申请待审批。", why_en="An extension is already being decided.")
    if before.review.extensions.get(step, 0) >= procedure().extensions_per_step_max:
        raise ExtensionNotPossible(
            why_zh="本环节的延期次数已用完。", why_en="This step has had its extension already."
        )
    extension = {"step": step, "working_days": days, "reason": reason, "asked_by": call.identity.user_id,
                 "asked_by_name": call.identity.display_name}
    after = replace(before, review=replace(before.review, extension=extension))
    return await move(tx, call, before, row, after, audit=audit, reason=reason, details={"working_days": days})


async def decide_extension(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, verdict: Literal["approve", "refuse"],
    reason: str | None, *, audit: AuditLog,
) -> Application:
    """The authority approves or refuses more time; never the person who asked for it."""
    await require_view(tx, call, application_id)
    before = await store.locked(tx, application_id, version)
    row = APPLICATION.require(before.state, E.DECIDE_EXTENSION)
    require(call.identity, row.who, before.organisation_id)
    require_other_side(call.identity, before.party_id, *before.submitters)
    extension = before.review.extension
    if extension is None:
        raise ExtensionNotPossible(why_zh="没有待审批的延期申请。", why_en="No extension has been asked for.")
    if extension["asked_by"] == call.identity.user_id:
        raise SamePerson
    step, days = str(extension["step"]), int(extension["working_days"])
    extensions = dict(before.review.extensions)
    if verdict == "approve":
        extensions[step] = extensions.get(step, 0) + 1
        await clocks.record(
            tx, call, KIND, before.id, step, ClockKind.EXTEND, days=WorkingDays(days),
            approver=call.identity.display_name, reason=str(extension["reason"]), basis=row.basis,
        )
    after = replace(before, review=replace(before.review, extension=None, extensions=extensions))
    moved = await move(
        tx, call, before, row, after, audit=audit, reason=reason,
        details={"verdict": verdict, "working_days": days},
    )
    dated = await with_dates(tx, call, moved)
    await store.save(tx, dated)
    return dated


__all__ = [
    "ObjectGone", "consult_third_party", "decide_extension", "decide_owner", "pass_form", "record_opinion",
    "refuse", "request_extension", "request_supplement",
]
