"""Grants at rest: ``licensing.access_grant``; every change of state is announced by a trigger."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import asyncpg

from authz import GrantState
from licensing.grants.model import Grant
from licensing.parties.store import USCCS

COLUMNS = (
    "id", "number", "version", "state", "state_reason", "party_id", "resource_id", "organisation_id", "object",
    "application_id", "agreement_id", "columns", "masks", "row_filter", "purpose_class", "purpose", "scenario",
    "delivery", "quota", "price", "valid_from", "valid_until", "salt", "consent_of_provider", "risk_assessment_id",
    "created_at", "ended_at",
)
FROM = " FROM licensing.access_grant g JOIN licensing.party p ON p.id = g.party_id"
SELECT = (
    "SELECT " + ", ".join(f"g.{name}" for name in COLUMNS) + ", p.state = 'verified' AS party_active,"
    f" {USCCS.format(party='p')} AS party_usccs"
    + FROM
)

STAMP = (
    "(SELECT concat_ws('.', g.xmin, p.xmin) FROM licensing.access_grant g JOIN licensing.party p ON p.id = g.party_id"
    " WHERE g.id = {grant_id})"
)
"""SQL of a text that is another one after any change of the grant or its party; NULL without such a grant."""


async def find(tx: asyncpg.Connection, grant_id: str, *, lock: bool = False) -> Grant | None:
    row = await tx.fetchrow(f"{SELECT} WHERE g.id = $1" + (" FOR UPDATE OF g" if lock else ""), grant_id)
    return Grant.from_row(row) if row else None


async def of_agreement(tx: asyncpg.Connection, agreement_id: str, *, lock: bool = False) -> Grant | None:
    row = await tx.fetchrow(
        f"{SELECT} WHERE g.agreement_id = $1" + (" FOR UPDATE OF g" if lock else ""), agreement_id
    )
    return Grant.from_row(row) if row else None


async def insert(tx: asyncpg.Connection, grant: Grant) -> None:
    plain = {
        **{name: getattr(grant, name) for name in COLUMNS}, "state": grant.state.value,
        "object": dict(grant.object), "columns": list(grant.columns), "masks": dict(grant.masks),
        "row_filter": [dict(one) for one in grant.row_filter], "delivery": list(grant.delivery),
        "quota": dict(grant.quota), "price": dict(grant.price),
    }
    places = ", ".join(f"${n}" for n in range(1, len(COLUMNS) + 1))
    await tx.execute(
        f"INSERT INTO licensing.access_grant ({', '.join(COLUMNS)}) VALUES ({places})",
        *(plain[name] for name in COLUMNS),
    )


async def save_state(tx: asyncpg.Connection, grant: Grant) -> None:
    await tx.execute(
        "UPDATE licensing.access_grant SET state = $2, state_reason = $3, version = $4, ended_at = $5 WHERE id = $1",
        grant.id, grant.state.value, grant.state_reason, grant.version, grant.ended_at,
    )


async def listing(
    tx: asyncpg.Connection, *, parties: Iterable[str], organisations: Iterable[str] | None,
    states: Iterable[GrantState] | None = None, resource_id: str | None = None, before: str | None = None,
    limit: int = 50,
) -> list[Grant]:
    """Newest first: of the parties, and of the organisations whose data it is (None: of any)."""
    rows = await tx.fetch(
        f"{SELECT} WHERE (g.party_id = ANY($1::text[]) OR $2::text[] IS NULL OR g.organisation_id = ANY($2))"
        " AND ($3::text[] IS NULL OR g.state = ANY($3)) AND ($4::text IS NULL OR g.resource_id = $4)"
        " AND ($5::text IS NULL OR g.id < $5) ORDER BY g.id DESC LIMIT $6",
        list(parties), list(organisations) if organisations is not None else None,
        [s.value for s in states] if states is not None else None, resource_id, before, limit,
    )
    return [Grant.from_row(row) for row in rows]


async def ending(tx: asyncpg.Connection, now: datetime, limit: int) -> list[str]:
    """Ids of live grants whose term has ended; locked ones are left for later."""
    rows = await tx.fetch(
        "SELECT id FROM licensing.access_grant WHERE valid_until <= $1"
        " AND state IN ('active', 'suspended', 'exhausted') ORDER BY valid_until, id LIMIT $2 FOR UPDATE SKIP LOCKED",
        now, limit,
    )
    return [row["id"] for row in rows]
