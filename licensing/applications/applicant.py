"""What the applicant's side does: draft, edit, submit, answer a supplement, withdraw, accept the offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import asyncpg

from authz import (
    AuditEntry,
    AuditLog,
    Call,
    DataObject,
    NotFound,
    beijing_date,
    new_id,
    objects,
    require,
    require_operator_apart,
)
from licensing import agreements, parties
from licensing.access import belongs_to
from licensing.applications import store
from licensing.applications.checks import Asked, checked_request, require_applyable
from licensing.applications.model import Application, FieldAsked, ObjectSnapshot, Review
from licensing.applications.steps import E, S, as_system, move, next_stop
from licensing.errors import OfferLapsed, PartyKindCannotApply
from licensing.lifecycle import APPLICATION, ApplicationEvent, ApplicationState, Transition
from licensing.limits import procedure
from licensing.numbers import next_number
from licensing.parties import APPLICANT_KINDS


def snapshot(data_object: DataObject) -> ObjectSnapshot:
    """The facts of the object that stay with the application."""
    return ObjectSnapshot(
        resource_id=data_object.resource_id, dataset_name=data_object.dataset_name,
        dataset_title=data_object.dataset_title, title=data_object.title,
        organisation_id=data_object.organisation_id, organisation_name=data_object.organisation_name,
        version=data_object.version, grade=data_object.grade.value,
    )


async def _object(tx: asyncpg.Connection, resource_id: str, party_id: str) -> DataObject:
    """What is applied for; raises NotFound, what ``require_applyable`` raises, OperatorConflict."""
    found = await objects.get(tx, resource_id)
    if found is None:
        raise NotFound
    require_applyable(found)
    require_operator_apart(found, await parties.usccs(tx, party_id))
    return found


async def create(
    tx: asyncpg.Connection, call: Call, party_id: str, resource_id: str, asked: Asked, *, audit: AuditLog
) -> Application:
    """A draft of a member; the party need not be verified yet. Raises InvalidInput with every fault."""
    if not belongs_to(call.identity, party_id):
        raise NotFound
    require(call.identity, "application:draft", party_id)
    party = await parties.get(tx, party_id)
    if party.kind not in APPLICANT_KINDS:
        raise PartyKindCannotApply
    data_object = await _object(tx, resource_id, party_id)
    request = checked_request(data_object, asked)
    await parties.ensure_department(
        tx, call, data_object.organisation_id, data_object.organisation_name, audit=audit
    )
    application = Application(
        id=new_id("app"), number=await next_number(tx, call, "SQ"), version=1, state=S.DRAFT, party_id=party_id,
        resource_id=resource_id, organisation_id=data_object.organisation_id, object=snapshot(data_object),
        request=request, review=Review(), row_filter=(), masks={}, price_proposal=None, offer=None,
        created_by=call.identity.user_id, created_by_name=call.identity.display_name, created_at=call.now,
        lapses_on=procedure().limit("draft").deadline(beijing_date(call.now)).on,
    )
    await store.insert(tx, application)
    await audit.append(
        tx,
        AuditEntry(
            "application.drafted", call.identity.name, "application", application.id,
            organisation_id=party_id, request_id=call.request_id,
            details={"number": application.number, "resource_id": resource_id, "fields": len(request.fields)},
        ),
    )
    return application


async def _mine(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, event: ApplicationEvent
) -> tuple[Application, Transition]:
    """The locked application of one's own party and the row of the event; strangers get 404."""
    known = await store.find(tx, application_id)
    if known is None or not belongs_to(call.identity, known.party_id):
        raise NotFound
    application = await store.locked(tx, application_id, version)
    row = APPLICATION.require(application.state, event)
    require(call.identity, row.who, application.party_id)
    return application, row


async def edit(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, asked: Asked, *, audit: AuditLog
) -> Application:
    """Change a draft."""
    before, row = await _mine(tx, call, application_id, version, E.EDIT)
    data_object = await _object(tx, before.resource_id, before.party_id)
    after = replace(
        before, request=checked_request(data_object, asked), object=snapshot(data_object),
        organisation_id=data_object.organisation_id,
    )
    moved = await move(tx, call, before, row, after, audit=audit)
    kept = replace(moved, lapses_on=procedure().limit("draft").deadline(beijing_date(call.now)).on)
    await store.save(tx, kept)
    return kept


def asked_again(application: Application, changes: Mapping[str, Any]) -> Asked:
    """The application's content with changes on top."""
    request = application.request
    content: dict[str, Any] = {
        "fields": [one.name for one in request.fields], "purpose_class": request.purpose_class,
        "purpose": request.purpose, "purpose_text": request.purpose_text, "scenario": request.scenario,
        "region_codes": list(request.region_codes), "term_months": request.term_months,
        "delivery": list(request.delivery), "expected_rows_month": request.expected_rows_month,
    }
    return Asked(**{**content, **changes})


async def submit(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, *, audit: AuditLog
) -> Application:
    """Hand in: the party must be verified, the object still open under conditions. Goes to the first reviewer."""
    before, row = await _mine(tx, call, application_id, version, E.SUBMIT)
    await parties.require_acting(tx, call, before.party_id)
    data_object = await _object(tx, before.resource_id, before.party_id)
    request = checked_request(data_object, asked_again(before, {}))
    after = replace(
        before, state=S.SUBMITTED, request=request, object=snapshot(data_object),
        organisation_id=data_object.organisation_id, submitted_by=call.identity.user_id, submitted_at=call.now,
        lapses_on=None,
    )
    submitted = await move(
        tx, call, before, row, after, audit=audit, details={"fields": [one.name for one in request.fields]}
    )
    return await move(
        tx, as_system(call), submitted, APPLICATION.require(S.SUBMITTED, E.ROUTE),
        replace(submitted, state=next_stop(submitted, ())), audit=audit,
    )


async def answer_supplement(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, text: str,
    changes: Mapping[str, Any], *, audit: AuditLog,
) -> Application:
    """Answer what was asked, with changes to the application when they are needed; goes back to who asked."""
    before, row = await _mine(tx, call, application_id, version, E.ANSWER_SUPPLEMENT)
    data_object = await _object(tx, before.resource_id, before.party_id)
    request = checked_request(data_object, asked_again(before, changes))
    decided = {one.name: one for one in before.request.fields}
    fields = tuple(decided.get(one.name, FieldAsked(one.name, one.title)) for one in request.fields)
    supplement = dict(before.review.supplement or {})
    step = ApplicationState(supplement["step"])
    supplement.update(answer=text, answered_at=call.now.isoformat(), changed=sorted(changes))
    after = replace(
        before, state=step, request=replace(request, fields=fields), object=snapshot(data_object),
        review=replace(before.review, supplement=supplement),
    )
    return await move(tx, call, before, row, after, audit=audit, details={"changed": sorted(changes)})


async def withdraw(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, reason: str | None, *, audit: AuditLog
) -> Application:
    """Take it back, at any time before the agreement is in force; an agreement drawn up becomes void."""
    before, row = await _mine(tx, call, application_id, version, E.WITHDRAW)
    after = await move(
        tx, call, before, row, replace(before, state=S.WITHDRAWN), audit=audit, reason=reason
    )
    if before.agreement_id:
        await agreements.void(tx, as_system(call), before.agreement_id, audit=audit)
    return after


async def accept_offer(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, *, audit: AuditLog
) -> Application:
    """Accept what is offered; the agreement is drawn up at once and waits to be signed."""
    before, row = await _mine(tx, call, application_id, version, E.ACCEPT_OFFER)
    party = await parties.require_acting(tx, call, before.party_id)
    offer = before.offer or {}
    until = date.fromisoformat(str(offer["valid_until_on"]))
    if beijing_date(call.now) > until:
        raise OfferLapsed(until=until.isoformat())
    accepted = await move(tx, call, before, row, replace(before, state=S.ACCEPTED), audit=audit)
    agreement = await agreements.draw_up(tx, as_system(call), accepted, party, audit=audit)
    return await move(
        tx, as_system(call), accepted, APPLICATION.require(S.ACCEPTED, E.DRAFT_AGREEMENT),
        replace(accepted, state=S.SIGNING, agreement_id=agreement.id), audit=audit,
        details={"agreement_id": agreement.id, "sha256": agreement.sha256},
    )
