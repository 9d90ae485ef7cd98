"""上限收费标准: proposed by the authority with its source document, approved by another, published when due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import asyncpg

from authz import NotFound, new_id
from billing.acting import Act
from billing.catalogue import chargeable_object
from billing.errors import CeilingBelowRates
from billing.lifecycles import CEILING, PriceState
from billing.prices.proposals import Kind, Verdictum, as_published, decide, document, publish
from billing.pricing import Ceiling, Pricing, over_ceiling
from billing.rows import one

KIND = Kind("ceiling", CEILING, "ceiling", "ceiling:approve")


@dataclass(frozen=True)
class CeilingProposal:
    """What is proposed: at most ``max_amount_fen`` per ``per`` units of ``meter`` for one data object."""

    resource_id: str
    meter: str
    max_amount_fen: int
    per: int
    stage: str
    source_document: str
    effective_on: date
    reason: str = ""


async def propose(act: Act, proposal: CeilingProposal) -> dict[str, Any]:
    """Record the proposal. Raises OpenDataFree for data that is open without conditions."""
    act.require("ceiling:propose")
    found = await chargeable_object(act.tx, proposal.resource_id)
    ceiling_id = new_id("cei")
    await act.tx.execute(
        """
        INSERT INTO billing.ceiling (id, resource_id, resource_title, open_attribute, meter, max_amount_fen, per,
            stage, source_document, effective_on, state, proposed_by, proposed_name, proposed_at, proposal_reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        ceiling_id, proposal.resource_id, found.dataset_title or found.title, found.open_attribute.value,
        proposal.meter, proposal.max_amount_fen, proposal.per, proposal.stage, proposal.source_document,
        proposal.effective_on, PriceState.PROPOSED.value, act.who.user_id, act.who.display_name, act.now,
        proposal.reason,
    )
    await act.record(
        "ceiling.proposed", ceiling_id, organisation_id=found.organisation_id, basis=proposal.source_document,
        details={"resource_id": proposal.resource_id, "meter": proposal.meter, "per": proposal.per,
                 "max_amount_fen": proposal.max_amount_fen},
    )
    return await show(act.tx, ceiling_id)


async def decide_ceiling(act: Act, ceiling_id: str, given: Verdictum) -> dict[str, Any]:
    """Approve or reject. An approved ceiling whose date has come is published at once."""
    state = await decide(act, KIND, ceiling_id, given)
    if state is PriceState.APPROVED:
        row = await one(act.tx, "SELECT effective_on FROM billing.ceiling WHERE id = $1", ceiling_id)
        if row["effective_on"] <= act.today:
            await publish_ceiling(act, ceiling_id)
    return await show(act.tx, ceiling_id)


async def publish_ceiling(act: Act, ceiling_id: str) -> None:
    """Put an approved ceiling in force in place of the former one.

    Raises CeilingBelowRates while a standing rate is above it: then the rates must come down first.
    """
    row = await one(act.tx, "SELECT * FROM billing.ceiling WHERE id = $1 FOR UPDATE", ceiling_id)
    standing = await in_force(act.tx, row["resource_id"])
    new = Ceiling(row["id"], row["meter"], row["max_amount_fen"], row["per"], row["stage"])
    after = [*(c for c in standing if c.meter != new.meter), new]
    versions = await act.tx.fetch(
        "SELECT v.id, v.pricing FROM billing.rate_card_version v JOIN billing.rate_card c ON c.id = v.rate_card_id"
        " WHERE c.resource_id = $1 AND v.state IN ('proposed', 'approved', 'published') ORDER BY v.id",
        row["resource_id"],
    )
    above = [v["id"] for v in versions if over_ceiling(Pricing.model_validate(v["pricing"]), after)]
    if above:
        raise CeilingBelowRates(count=len(above), cards="、".join(above[:5]))
    await publish(act, KIND, ceiling_id, [c.id for c in standing if c.meter == new.meter])


async def in_force(tx: asyncpg.Connection, resource_id: str) -> list[Ceiling]:
    """The published ceilings of a data object, one per meter at most."""
    rows = await tx.fetch(
        "SELECT id, meter, max_amount_fen, per, stage FROM billing.ceiling"
        " WHERE resource_id = $1 AND state = 'published' ORDER BY meter",
        resource_id,
    )
    return [Ceiling(r["id"], r["meter"], r["max_amount_fen"], r["per"], r["stage"]) for r in rows]


async def show(tx: asyncpg.Connection, ceiling_id: str) -> dict[str, Any]:
    row = await tx.fetchrow("SELECT * FROM billing.ceiling WHERE id = $1", ceiling_id)
    if row is None:
        raise NotFound
    return document(row, KIND)


async def listed(
    tx: asyncpg.Connection, resource_id: str | None, state: str | None, limit: int, after: str | None, *,
    proposals: bool = True,
) -> list[dict[str, Any]]:
    """Newest first; without ``proposals`` only those that are or were in force, as they were published."""
    rows = await tx.fetch(
        "SELECT * FROM billing.ceiling WHERE ($1::text IS NULL OR resource_id = $1) AND ($2::text IS NULL OR"
        " state = $2) AND ($3::text IS NULL OR id < $3) AND ($5 OR state IN ('published', 'retired'))"
        " ORDER BY id DESC LIMIT $4",
        resource_id, state, after, limit, proposals,
    )
    found = [document(row, KIND) for row in rows]
    return found if proposals else [as_published(one) for one in found]


async def publish_due(act: Act) -> int:
    """Publish approved ceilings whose date has come; how many. Those that rates stand above are left waiting."""
    due = await act.tx.fetch(
        "SELECT id FROM billing.ceiling WHERE state = 'approved' AND effective_on <= $1 ORDER BY effective_on, id",
        act.today,
    )
    done = 0
    for row in due:
        try:
            async with act.tx.transaction():
                await publish_ceiling(act, row["id"])
                done += 1
        except CeilingBelowRates:
            continue
    return done
