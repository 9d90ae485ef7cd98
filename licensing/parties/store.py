"""Parties at rest: ``licensing.party``."""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg

from licensing.lifecycle import PartyState
from licensing.parties.model import Party


async def find(tx: asyncpg.Connection, party_id: str, *, lock: bool = False) -> Party | None:
    row = await tx.fetchrow(
        "SELECT * FROM licensing.party WHERE id = $1" + (" FOR UPDATE" if lock else ""), party_id
    )
    return Party.from_row(row) if row else None


async def lock_with_declared(tx: asyncpg.Connection, party_id: str) -> list[str]:
    """Lock the party and those that it declares by the order of their ids, as they may declare it in turn and be
    decided at the same instant. Ids of what was locked: without the party's own there is no such party."""
    rows = await tx.fetch(
        "SELECT id FROM licensing.party WHERE id = $1"
        " OR uscc = ANY(SELECT unnest(affiliates) FROM licensing.party WHERE id = $1) ORDER BY id FOR UPDATE",
        party_id,
    )
    return [row["id"] for row in rows]


async def find_by_uscc(tx: asyncpg.Connection, uscc: str) -> Party | None:
    """The live party with that code; one whose check failed does not hold it."""
    row = await tx.fetchrow("SELECT * FROM licensing.party WHERE uscc = $1 AND state <> 'rejected'", uscc)
    return Party.from_row(row) if row else None


async def insert(tx: asyncpg.Connection, party: Party) -> bool:
    """Insert; False when the code or the id is already taken by a live party."""
    done = await tx.fetchval(
        "INSERT INTO licensing.party (id, kind, name, uscc, state, version, legal_representative, contact_name,"
        " contact_phone, contact_email, address, state_reason, created_by, created_by_name, created_at, verified_by,"
        " verified_by_name, verified_at, affiliates)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"
        " ON CONFLICT DO NOTHING RETURNING true",
        party.id, party.kind.value, party.name, party.uscc, party.state.value, party.version,
        party.legal_representative, party.contact_name, party.contact_phone, party.contact_email, party.address,
        party.state_reason, party.created_by, party.created_by_name, party.created_at, party.verified_by,
        party.verified_by_name, party.verified_at, list(party.affiliates),
    )
    return bool(done)


async def save(tx: asyncpg.Connection, party: Party) -> None:
    await tx.execute(
        "UPDATE licensing.party SET name = $2, uscc = $3, state = $4, version = $5, legal_representative = $6,"
        " contact_name = $7, contact_phone = $8, contact_email = $9, address = $10, state_reason = $11,"
        " verified_by = $12, verified_by_name = $13, verified_at = $14, affiliates = $15 WHERE id = $1",
        party.id, party.name, party.uscc, party.state.value, party.version, party.legal_representative,
        party.contact_name, party.contact_phone, party.contact_email, party.address, party.state_reason,
        party.verified_by, party.verified_by_name, party.verified_at, list(party.affiliates),
    )


async def listing(
    tx: asyncpg.Connection, *, ids: Iterable[str] | None, state: PartyState | None = None,
    kind: str | None = None, before: str | None = None, limit: int = 50,
) -> list[Party]:
    """Parties newest first, those below ``before``; ``ids`` None means all."""
    rows = await tx.fetch(
        "SELECT * FROM licensing.party WHERE ($1::text[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR state = $2)"
        " AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR id < $4) ORDER BY id DESC LIMIT $5",
        list(ids) if ids is not None else None, state.value if state else None, kind, before, limit,
    )
    return [Party.from_row(row) for row in rows]


async def names(tx: asyncpg.Connection, ids: Iterable[str]) -> dict[str, Party]:
    """Parties by id, for showing beside what concerns them."""
    rows = await tx.fetch("SELECT * FROM licensing.party WHERE id = ANY($1::text[])", list(set(ids)))
    return {row["id"]: Party.from_row(row) for row in rows}


async def announce_grants(tx: asyncpg.Connection, party_id: str) -> None:
    """Wake those who stream under any of the party's grants, so that they decide anew."""
    await tx.execute(
        "SELECT pg_notify('govopen_grant', id) FROM licensing.access_grant WHERE party_id = $1 AND state = 'active'",
        party_id,
    )


USCCS = (
    "array_remove(array_prepend({party}.uscc, {party}.affiliates || ARRAY(SELECT q.uscc FROM licensing.party q"
    " WHERE q.affiliates @> ARRAY[{party}.uscc] AND q.state IN ('verified', 'suspended'))), NULL)"
)
"""SQL of the codes of a party and of all under the same control: those it declares, and those who declare it and were
verified once; that one of them is suspended ends no control."""


async def usccs(tx: asyncpg.Connection, party_id: str) -> list[str]:
    """Codes of the party and of those under the same control; empty when it has none."""
    found = await tx.fetchval(f"SELECT {USCCS.format(party='p')} FROM licensing.party p WHERE p.id = $1", party_id)
    return list(found or ())


async def touch(tx: asyncpg.Connection, ids: Iterable[str]) -> None:
    """What is told of these parties has changed by another's doing: whoever keeps their facts reads them anew."""
    rows = await tx.fetch("UPDATE licensing.party SET uscc = uscc WHERE id = ANY($1::text[]) RETURNING id", list(ids))
    for row in rows:
        await announce_grants(tx, row["id"])
