"""Grants and keys by the data they are on and the parties that hold them: what the decision point searches through."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import asyncpg

from authz import GrantFacts
from licensing.grants.model import Grant
from licensing.grants.store import SELECT

WHERE = "($1::text IS NULL OR g.resource_id = $1) AND ($2::text[] IS NULL OR g.party_id = ANY($2))"


async def grants_found(
    tx: asyncpg.Connection, *, resource_id: str | None = None, party_ids: Iterable[str] | None = None,
    grant_ids: Iterable[str] | None = None, after: str = "", limit: int = 200,
) -> list[GrantFacts]:
    """Facts of grants on the resource, held by the parties, of these ids (None: of any), in the order of their ids."""
    rows = await tx.fetch(
        f"{SELECT} WHERE {WHERE} AND g.id > $3 AND ($4::text[] IS NULL OR g.id = ANY($4)) ORDER BY g.id LIMIT $5",
        resource_id, list(party_ids) if party_ids is not None else None, after,
        list(grant_ids) if grant_ids is not None else None, limit,
    )
    return [Grant.from_row(row).facts() for row in rows]


async def keys_found(
    tx: asyncpg.Connection, *, resource_id: str | None, party_ids: Iterable[str] | None, after: str = "",
    limit: int = 200,
) -> list[str]:
    """Ids of keys that still open something, of the same grants, in order. Never the keys themselves."""
    rows = await tx.fetch(
        "SELECT k.id FROM licensing.access_key k JOIN licensing.access_grant g ON g.id = k.grant_id"
        f" WHERE {WHERE} AND k.id > $3 AND k.revoked_at IS NULL ORDER BY k.id LIMIT $4",
        resource_id, list(party_ids) if party_ids is not None else None, after, limit,
    )
    return [row["id"] for row in rows]


async def grant_of_key(tx: asyncpg.Connection, key_id: str, at: datetime) -> str | None:
    """The grant of a key by the key's id, None when there is none or it opens nothing at that time."""
    found: str | None = await tx.fetchval(
        "SELECT grant_id FROM licensing.access_key WHERE id = $1 AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > $2)",
        key_id, at,
    )
    return found
