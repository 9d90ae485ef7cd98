"""What billing asks of licensing: applications to price, grants to bill. The only place that calls it for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from authz import NotFound
from billing.acting import Act
from licensing import applications


@dataclass(frozen=True)
class PricedApplication:
    """An application as pricing needs it."""

    id: str
    version: int
    state: str
    party_id: str
    resource_id: str
    purpose_class: str


async def application(tx: asyncpg.Connection, application_id: str) -> PricedApplication:
    """The application; raises NotFound."""
    found = await applications.get(tx, application_id)
    if found is None:
        raise NotFound
    return PricedApplication(
        found.id, found.version, found.state.value, found.party_id, found.resource_id,
        found.request.purpose_class.value,
    )


async def price_proposed(
    act: Act, application_id: str, version: int, proposal: Mapping[str, Any], reason: str
) -> None:
    await applications.price_proposed(
        act.tx, act.call, application_id, version, proposal, audit=act.audit, reason=reason or None
    )


async def price_returned(act: Act, application_id: str, version: int, reason: str) -> None:
    await applications.price_returned(act.tx, act.call, application_id, version, reason, audit=act.audit)


async def price_approved(
    act: Act, application_id: str, version: int, offer: Mapping[str, Any], reason: str
) -> None:
    await applications.price_approved(
        act.tx, act.call, application_id, version, offer, audit=act.audit, reason=reason or None
    )


@dataclass(frozen=True)
class BillableGrant:
    """A grant as its invoice lines need it. ``pricing`` facts are those of the agreement: card and version."""

    id: str
    party_id: str
    party_name: str
    resource_id: str
    resource_title: str
    holder_id: str
    use_class: str
    application_id: str
    rate_card_id: str | None
    rate_card_version: int | None
    starts_at: datetime
    ends_at: datetime


async def billable_grants(
    tx: asyncpg.Connection, grant_ids: Sequence[str], active_from: datetime, active_until: datetime
) -> list[BillableGrant]:
    """The grants named, and all others that were valid at some instant of ``[active_from, active_until)``."""
    rows = await tx.fetch(
        """
        SELECT g.id, g.party_id, p.name AS party_name, g.resource_id, g.organisation_id, g.object, g.purpose_class,
            g.application_id, g.price, g.valid_from, coalesce(g.ended_at, g.valid_until) AS ends_at
        FROM licensing.access_grant g JOIN licensing.party p ON p.id = g.party_id
        WHERE g.id = ANY($1) OR (g.valid_from < $3 AND coalesce(g.ended_at, g.valid_until) > $2)
        ORDER BY g.party_id, g.id
        """,
        list(grant_ids), active_from, active_until,
    )
    return [
        BillableGrant(
            row["id"], row["party_id"], row["party_name"], row["resource_id"],
            row["object"].get("dataset_title") or row["object"].get("title") or row["resource_id"],
            row["organisation_id"], row["purpose_class"], row["application_id"], row["price"].get("rate_card_id"),
            row["price"].get("rate_card_version"), row["valid_from"], row["ends_at"],
        )
        for row in rows
    ]


@dataclass(frozen=True)
class ReportableGrant:
    """A grant as reports of its use are checked: whose it is, what of, and from when to when."""

    id: str
    party_id: str
    resource_id: str
    starts_at: datetime
    ends_at: datetime


async def reportable_grants(tx: asyncpg.Connection, grant_ids: Sequence[str]) -> list[ReportableGrant]:
    """Those of the grants that exist, ended ones too: their last events may come late."""
    rows = await tx.fetch(
        "SELECT id, party_id, resource_id, valid_from, coalesce(ended_at, valid_until) AS ends_at"
        " FROM licensing.access_grant WHERE id = ANY($1)",
        list(grant_ids),
    )
    return [
        ReportableGrant(row["id"], row["party_id"], row["resource_id"], row["valid_from"], row["ends_at"])
        for row in rows
    ]
