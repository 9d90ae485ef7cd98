"""The price of one application: simulated, proposed by a pricer, approved by another, handed over as an offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from billing import licences
from billing.acting import Act, check_version
from billing.catalogue import chargeable_object
from billing.errors import NothingProposed
from billing.lifecycles import RATE_CARD, PriceState
from billing.money import CURRENCY
from billing.prices import ceilings, rate_cards
from billing.prices.proposals import Kind, Verdictum
from billing.prices.rate_cards import RateProposal
from billing.pricing import Ceiling, Pricing, UseClass, over_ceiling
from billing.rating import rate
from billing.tax import split_lines
from billing.taxes import rate_in_force

KIND = Kind("rate_card_version", RATE_CARD, "rate_card", "application:price_approve")
OFFER_VALID_DAYS = 30
"""How long an offer stands. Our choice."""


@dataclass(frozen=True)
class PriceProposal:
    """What the pricer proposes for an application that stands at ``version``."""

    pricing: Pricing
    quota: dict[str, Any]
    reason: str
    version: int


async def simulate(act: Act, application_id: str, pricing: Pricing, quantities: Sequence[int]) -> dict[str, Any]:
    """Bills for each monthly quantity, beside what the ceiling would allow; nothing is written.

    A price above its ceiling is answered too, with its ``violations``, so that the form can show them.
    """
    act.require("rate:view")
    application = await licences.application(act.tx, application_id)
    await chargeable_object(act.tx, application.resource_id)
    standing = await ceilings.in_force(act.tx, application.resource_id)
    tax_bp = await rate_in_force(act.tx, act.today)
    free = application.purpose_class == UseClass.PUBLIC_INTEREST
    faults = over_ceiling(pricing, standing)
    return {
        "application_id": application_id, "use_class": application.purpose_class, "currency": CURRENCY,
        "tax_rate_bp": tax_bp, "must_be_free": free,
        "ceilings": [vars(ceiling) for ceiling in standing],
        "violations": [{"code": f.code, "detail_zh": f.zh, "detail_en": f.en, **f.facts} for f in faults],
        "bills": [_bill(pricing, quantity, standing, tax_bp) for quantity in quantities],
    }


def _bill(pricing: Pricing, quantity: int, standing: Sequence[Ceiling], tax_bp: int) -> dict[str, Any]:
    rated = rate(pricing, quantity)
    splits = split_lines([line.amount_fen for line in rated.lines], tax_bp)
    cap = next((c for c in standing if c.meter == pricing.meter), None)
    top = rate(cap.as_pricing(pricing.meter), quantity).total_fen if cap else None
    return {
        "quantity": quantity, "total_fen": rated.total_fen, "net_fen": sum(s.net_fen for s in splits),
        "tax_fen": sum(s.tax_fen for s in splits), "ceiling_total_fen": top,
        "lines": [
            {**vars(line), "net_fen": split.net_fen, "tax_fen": split.tax_fen}
            for line, split in zip(rated.lines, splits, strict=True)
        ],
    }


async def propose(act: Act, application_id: str, given: PriceProposal) -> dict[str, Any]:
    """Propose a price: a version of the application's own rate card, waiting for another person.

    A proposal that still waits is withdrawn in favor of the new one only by being rejected first.
    """
    act.require("application:price_propose")
    application = await licences.application(act.tx, application_id)
    check_version(application.version, given.version)
    version = await rate_cards.propose(
        act,
        RateProposal(
            application.resource_id, application.purpose_class, given.pricing, act.today, given.reason,
            application_id, given.quota,
        ),
    )
    await licences.price_proposed(act, application_id, given.version, _proposal(version), given.reason)
    return version


async def decide(act: Act, application_id: str, given: Verdictum) -> dict[str, Any]:
    """Approve (the card is published and the application gets its offer) or reject (the pricer proposes anew)."""
    act.require("application:price_approve")
    application = await licences.application(act.tx, application_id)
    check_version(application.version, given.version)
    waiting = await act.tx.fetchrow(
        "SELECT v.id, v.version FROM billing.rate_card_version v JOIN billing.rate_card c ON c.id = v.rate_card_id"
        " WHERE c.application_id = $1 AND v.state = 'proposed' FOR UPDATE OF v",
        application_id,
    )
    if waiting is None:
        raise NothingProposed
    inner = Verdictum(given.verdict, given.reason, waiting["version"])
    version = await rate_cards.decide_version(act, waiting["id"], inner, KIND)
    if version["state"] == PriceState.REJECTED:
        await licences.price_returned(act, application_id, given.version, given.reason)
    else:
        await licences.price_approved(act, application_id, given.version, _offer(version, act.today), given.reason)
    return version


def _proposal(version: dict[str, Any]) -> dict[str, Any]:
    return {
        "rate_card_id": version["rate_card_id"], "rate_card_version": version["number"],
        "use_class": version["use_class"], "currency": version["currency"], "pricing": version["pricing"],
        "quota": version["quota"],
    }


def _offer(version: dict[str, Any], today: date) -> dict[str, Any]:
    until = today + timedelta(days=OFFER_VALID_DAYS)
    return {**_proposal(version), "valid_until_on": until.isoformat()}


async def overview(act: Act, application_id: str) -> dict[str, Any]:
    """Every version proposed for an application, newest first, and the ceilings that bind it; for exchange staff."""
    act.require("rate:view")
    found = await licences.application(act.tx, application_id)
    rows = await act.tx.fetch(
        "SELECT v.id FROM billing.rate_card_version v JOIN billing.rate_card c ON c.id = v.rate_card_id"
        " WHERE c.application_id = $1 ORDER BY v.number DESC",
        application_id,
    )
    return {
        "items": [await rate_cards.show(act.tx, row["id"]) for row in rows],
        "ceilings": [vars(ceiling) for ceiling in await ceilings.in_force(act.tx, found.resource_id)],
    }
