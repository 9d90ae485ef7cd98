"""具体收费标准: versions of a price list entry, or of the price agreed with one application."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import asyncpg

from authz import NotFound, new_id
from billing.acting import Act
from billing.catalogue import chargeable_object
from billing.errors import CeilingExceeded, ProposalWaiting, PublicInterestFree
from billing.lifecycles import RATE_CARD, PriceState
from billing.money import CURRENCY
from billing.prices import ceilings
from billing.prices.proposals import Kind, Verdictum, decide, document, publish
from billing.pricing import Pricing, UseClass, over_ceiling
from billing.rows import one

KIND = Kind("rate_card_version", RATE_CARD, "rate_card", "rate:approve")

SELECT = """
SELECT v.*, c.resource_id, c.resource_title, c.application_id, c.use_class, c.currency
FROM billing.rate_card_version v JOIN billing.rate_card c ON c.id = v.rate_card_id
"""


@dataclass(frozen=True)
class RateProposal:
    """A price for one use class of a data object; ``application_id`` when it is for that application alone."""

    resource_id: str
    use_class: str
    pricing: Pricing
    effective_on: date
    reason: str = ""
    application_id: str | None = None
    quota: dict[str, Any] = field(default_factory=dict)


async def refuse_unlawful(tx: asyncpg.Connection, resource_id: str, use_class: str, pricing: Pricing) -> None:
    """Raise PublicInterestFree or CeilingExceeded; the database refuses the same by itself."""
    if use_class == UseClass.PUBLIC_INTEREST and not pricing.is_free:
        raise PublicInterestFree
    reasons = over_ceiling(pricing, await ceilings.in_force(tx, resource_id))
    if reasons:
        raise CeilingExceeded(
            reasons=reasons, count=len(reasons), first_zh=reasons[0].zh, first_en=reasons[0].en
        )


async def propose(act: Act, proposal: RateProposal) -> dict[str, Any]:
    """Record a new version, not yet in force."""
    act.require("application:price_propose" if proposal.application_id else "rate:propose")
    found = await chargeable_object(act.tx, proposal.resource_id)
    await act.tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
                         f"billing.price {proposal.resource_id}")
    await refuse_unlawful(act.tx, proposal.resource_id, proposal.use_class, proposal.pricing)
    card_id = await _card(act, proposal, found.dataset_title or found.title, found.open_attribute.value)
    waiting = await act.tx.fetchval(
        "SELECT id FROM billing.rate_card_version WHERE rate_card_id = $1 AND state = 'proposed'", card_id
    )
    if waiting:
        raise ProposalWaiting(version_id=waiting)
    version_id = new_id("rcv")
    await act.tx.execute(
        """
        INSERT INTO billing.rate_card_version (id, rate_card_id, number, pricing, quota, effective_on, state,
            proposed_by, proposed_name, proposed_at, proposal_reason)
        SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, 'proposed', $6, $7, $8, $9
        FROM billing.rate_card_version WHERE rate_card_id = $2
        """,
        version_id, card_id, proposal.pricing.stored(), proposal.quota, proposal.effective_on, act.who.user_id,
        act.who.display_name, act.now, proposal.reason,
    )
    await act.record(
        "rate_card.proposed", version_id, organisation_id=found.organisation_id, reason=proposal.reason or None,
        details={"resource_id": proposal.resource_id, "application_id": proposal.application_id,
                 "use_class": proposal.use_class, "pricing": proposal.pricing.stored()},
    )
    return await show(act.tx, version_id)


async def _card(act: Act, proposal: RateProposal, title: str, open_attribute: str) -> str:
    known: str | None = await act.tx.fetchval(
        "SELECT id FROM billing.rate_card WHERE CASE WHEN $2::text IS NULL THEN application_id IS NULL AND"
        " resource_id = $1 AND use_class = $3 ELSE application_id = $2 END",
        proposal.resource_id, proposal.application_id, proposal.use_class,
    )
    if known:
        return known
    card_id = new_id("rtc")
    await act.tx.execute(
        "INSERT INTO billing.rate_card (id, resource_id, resource_title, open_attribute, application_id, use_class,"
        " currency, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        card_id, proposal.resource_id, title, open_attribute, proposal.application_id, proposal.use_class,
        CURRENCY, act.now,
    )
    return card_id


async def decide_version(act: Act, version_id: str, given: Verdictum, kind: Kind = KIND) -> dict[str, Any]:
    """Approve or reject a version; checked against the ceiling in force again, published when its date has come."""
    state = await decide(act, kind, version_id, given)
    if state is PriceState.APPROVED:
        row = await one(act.tx, f"{SELECT} WHERE v.id = $1", version_id)
        await refuse_unlawful(act.tx, row["resource_id"], row["use_class"], Pricing.model_validate(row["pricing"]))
        if row["effective_on"] <= act.today:
            await publish_version(act, version_id)
    return await show(act.tx, version_id)


async def publish_version(act: Act, version_id: str) -> None:
    """Put an approved version in force in place of the card's former one."""
    former = await act.tx.fetch(
        "SELECT o.id FROM billing.rate_card_version v JOIN billing.rate_card_version o"
        " ON o.rate_card_id = v.rate_card_id AND o.state = 'published' WHERE v.id = $1",
        version_id,
    )
    await publish(act, KIND, version_id, [row["id"] for row in former])


async def show(tx: asyncpg.Connection, version_id: str) -> dict[str, Any]:
    row = await tx.fetchrow(f"{SELECT} WHERE v.id = $1", version_id)
    if row is None:
        raise NotFound
    return document(row, KIND)


async def listed(
    tx: asyncpg.Connection, resource_id: str | None, state: str | None, limit: int, after: str | None
) -> list[dict[str, Any]]:
    rows = await tx.fetch(
        f"{SELECT} WHERE ($1::text IS NULL OR c.resource_id = $1) AND ($2::text IS NULL OR v.state = $2)"
        " AND ($3::text IS NULL OR v.id < $3) ORDER BY v.id DESC LIMIT $4",
        resource_id, state, after, limit,
    )
    return [document(row, KIND) for row in rows]


async def publish_due(act: Act) -> int:
    """Publish approved versions whose date has come; how many."""
    due = await act.tx.fetch(
        "SELECT id FROM billing.rate_card_version WHERE state = 'approved' AND effective_on <= $1"
        " ORDER BY effective_on, number",
        act.today,
    )
    for row in due:
        await publish_version(act, row["id"])
    return len(due)


async def price_list(tx: asyncpg.Connection) -> list[dict[str, Any]]:
    """明码标价 [发改价格〔2025〕65号]: every ceiling in force with the standard rates under it, for anyone to read."""
    caps = await tx.fetch(
        "SELECT id, resource_id, resource_title, meter, max_amount_fen, per, stage, source_document, effective_on"
        " FROM billing.ceiling WHERE state = 'published' ORDER BY resource_title, resource_id, meter"
    )
    rates = await tx.fetch(
        f"{SELECT} WHERE v.state = 'published' AND c.application_id IS NULL ORDER BY c.use_class"
    )
    products: dict[str, dict[str, Any]] = {}
    for row in (*caps, *rates):
        products.setdefault(
            row["resource_id"],
            {"resource_id": row["resource_id"], "title": row["resource_title"], "currency": CURRENCY,
             "tax_included": True, "ceilings": [], "rates": []},
        )
    for row in caps:
        item = dict(row)
        products[item.pop("resource_id")]["ceilings"].append(item)
    for row in rates:
        products[row["resource_id"]]["rates"].append(
            {"rate_card_id": row["rate_card_id"], "version": row["number"], "use_class": row["use_class"],
             "pricing": row["pricing"], "effective_on": row["effective_on"]}
        )
    return list(products.values())


async def decide_standard(act: Act, version_id: str, given: Verdictum) -> dict[str, Any]:
    """Decide a version of a standard card; raises NotFound for one that belongs to an application."""
    act.require(KIND.approve_action)
    if (await show(act.tx, version_id))["application_id"]:
        raise NotFound
    return await decide_version(act, version_id, given)
