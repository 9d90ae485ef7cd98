"""Signing: the applicant signs, another side countersigns, the agreement takes force and the grant is issued."""

from __future__ import annotations

from dataclasses import replace

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from authz import AuditLog, Call, beijing_date, objects, require, require_operator_apart
from licensing import agreements, clocks, grants, parties
from licensing.access import require_other_side, require_visible
from licensing.agreements import Agreement, Side
from licensing.applications import store
from licensing.applications.applicant import _mine
from licensing.applications.model import Application
from licensing.applications.reviewers import ObjectGone
from licensing.applications.steps import KIND, STEPS, E, S, as_system, move, start_clock, with_dates
from licensing.clocks import ClockKind
from licensing.errors import AlreadySigned, NotYetSigned, invalid
from licensing.lifecycle import AGREEMENT, APPLICATION, AgreementEvent, AgreementState


async def sign(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, signer_name: str, consent: bool, *,
    audit: AuditLog, signing_key: Ed25519PrivateKey,
) -> Application:
    """The applicant's signature under the agreement's digest; from here the countersigner's clock runs."""
    if not consent:
        raise invalid("consent", "consent_required", "须确认同意协议全文", "the agreement has to be consented to")
    before, row = await _mine(tx, call, application_id, version, E.SIGN)
    await parties.require_acting(tx, call, before.party_id)
    agreement = await agreements.locked(tx, str(before.agreement_id), None)
    if agreement.state is not AgreementState.DRAFTED:
        raise AlreadySigned
    signed = await agreements.sign(
        tx, call, agreement, AGREEMENT.require(agreement.state, AgreementEvent.SIGN), Side.APPLICANT, signer_name,
        audit=audit, signing_key=signing_key,
    )
    moved = await move(
        tx, call, before, row, before, audit=audit,
        details={"agreement_id": signed.id, "sha256": signed.sha256},
    )
    await clocks.record(tx, call, KIND, before.id, STEPS[S.SIGNING], ClockKind.STOP)
    await start_clock(tx, call, before.id, "countersign")
    dated = await with_dates(tx, call, moved)
    await store.save(tx, dated)
    return dated


async def countersign(
    tx: asyncpg.Connection, call: Call, agreement_id: str, version: int, signer_name: str, *,
    audit: AuditLog, signing_key: Ed25519PrivateKey,
) -> Agreement:
    """The platform's signature: the agreement takes force, the application is granted, the grant is issued.

    The application is locked before the agreement, as everywhere, so that no two paths wait for each other.
    """
    known = await agreements.get(tx, agreement_id)
    require_visible(call.identity, "application:view", known.party_id, known.organisation_id)
    application = await store.locked(tx, known.application_id, None)
    agreement = await agreements.locked(tx, agreement_id, version)
    if agreement.state is AgreementState.DRAFTED:
        raise NotYetSigned
    agreement_row = AGREEMENT.require(agreement.state, AgreementEvent.COUNTERSIGN)
    row = APPLICATION.require(application.state, E.COUNTERSIGN)
    require(call.identity, row.who, application.organisation_id)
    require_other_side(call.identity, application.party_id, *application.submitters)
    data_object = await objects.get(tx, application.resource_id)
    if data_object is None or not data_object.restricted:
        raise ObjectGone
    require_operator_apart(data_object, await parties.usccs(tx, application.party_id))
    started = beijing_date(call.now)
    ends = agreements.last_day(started, application.request.term_months)
    in_force = await agreements.sign(
        tx, call, replace(agreement, starts_on=started, ends_on=ends), agreement_row, Side.PLATFORM, signer_name,
        audit=audit, signing_key=signing_key,
    )
    grant = await grants.issue(tx, as_system(call), application, in_force, audit=audit)
    target = S.PARTLY_GRANTED if application.refused_fields else S.GRANTED
    await move(
        tx, call, application, row, replace(application, state=target, grant_id=grant.id), audit=audit,
        reason=application.review.decision_reason if application.refused_fields else None,
        adverse=bool(application.refused_fields), details={"agreement_id": in_force.id, "grant_id": grant.id},
    )
    return in_force
