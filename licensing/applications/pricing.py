"""The price of an application, brought here by billing: proposed by one person, approved by another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import asyncpg

from authz import AuditLog, Call, FieldError, beijing_date
from licensing.access import require_decider
from licensing.applications import store
from licensing.applications.model import Application
from licensing.applications.steps import E, S, move
from licensing.applications.views import require_view
from licensing.errors import OfferMalformed, SamePerson, invalid
from licensing.lifecycle import APPLICATION, ApplicationEvent, Transition
from licensing.working_days import working_days_between


async def _priceable(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, event: ApplicationEvent
) -> tuple[Application, Transition]:
    await require_view(tx, call, application_id)
    before = await store.locked(tx, application_id, version)
    row = APPLICATION.require(before.state, event)
    require_decider(call.identity, row.who, before.organisation_id, before.party_id, *before.submitters)
    return before, row


async def price_proposed(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, proposal: Mapping[str, Any], *,
    audit: AuditLog, reason: str | None = None,
) -> Application:
    """Keep the proposal; whoever makes it is remembered, because somebody else has to approve it."""
    before, row = await _priceable(tx, call, application_id, version, E.PRICE_PROPOSED)
    kept = {
        **proposal, "proposed_by": call.identity.user_id, "proposed_by_name": call.identity.display_name,
        "proposed_at": call.now.isoformat(),
    }
    return await move(
        tx, call, before, row, replace(before, price_proposal=kept), audit=audit, reason=reason
    )


def _require_second_person(call: Call, application: Application) -> Mapping[str, Any]:
    proposal = application.price_proposal
    if proposal is None:
        raise invalid("proposal", "no_proposal", "尚无待复核的报价", "there is no price to approve yet")
    if proposal["proposed_by"] == call.identity.user_id:
        raise SamePerson
    return proposal


async def price_returned(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, reason: str | None, *, audit: AuditLog
) -> Application:
    """Send the proposal back to the pricer with a reason."""
    before, row = await _priceable(tx, call, application_id, version, E.PRICE_RETURNED)
    _require_second_person(call, before)
    return await move(
        tx, call, before, row, replace(before, price_proposal=None), audit=audit, reason=reason
    )


async def price_approved(
    tx: asyncpg.Connection, call: Call, application_id: str, version: int, offer: Mapping[str, Any], *,
    audit: AuditLog, reason: str | None = None,
) -> Application:
    """Make the offer to the applicant, valid until its ``valid_until_on``."""
    before, row = await _priceable(tx, call, application_id, version, E.PRICE_APPROVED)
    _require_second_person(call, before)
    today = beijing_date(call.now)
    until = _checked_offer(before, offer, today)
    made = {
        **offer, "approved_by_name": call.identity.display_name, "approved_at": call.now.isoformat(),
    }
    return await move(
        tx, call, before, row, replace(before, state=S.OFFERED, offer=made), audit=audit, reason=reason,
        limit=working_days_between(today, until),
        details={"rate_card_id": offer.get("rate_card_id"), "rate_card_version": offer.get("rate_card_version")},
    )


def _checked_offer(application: Application, offer: Mapping[str, Any], today: date) -> date:
    """The offer's last day; raises OfferMalformed for one that does not hold together."""
    errors = []
    if offer.get("currency") != "CNY":
        errors.append(FieldError("offer.currency", "currency", "币种应为 CNY", "must be CNY"))
    if offer.get("use_class") != application.request.purpose_class.value:
        errors.append(FieldError(
            "offer.use_class", "use_class", "与申请的用途类别不一致", "differs from the purpose class"
        ))
    if not isinstance(offer.get("pricing"), Mapping):
        errors.append(FieldError("offer.pricing", "missing", "必填项", "is required"))
    rows = (offer.get("quota") or {}).get("rows_month")
    if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 1):
        errors.append(FieldError("offer.quota.rows_month", "quota", "应为正整数", "must be a whole number above 0"))
    until = _date(offer.get("valid_until_on"))
    if until is None or until < today:
        errors.append(FieldError(
            "offer.valid_until_on", "valid_until", "应为今天或以后的日期", "must be a date from today on"
        ))
    if errors or until is None:
        raise OfferMalformed(errors)
    return until


def _date(value: Any) -> date | None:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
