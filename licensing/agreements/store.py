"""Agreements at rest: ``licensing.agreement`` (whose text a trigger keeps) and ``licensing.agreement_signature``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import asyncpg

from authz import NotFound, VersionConflict
from licensing.agreements.model import Agreement, Signature
from licensing.lifecycle import AgreementState
from licensing.rows import Row


def _from_row(row: Row) -> Agreement:
    return Agreement(**{**dict(row), "state": AgreementState(row["state"])})


async def _with_signatures(tx: asyncpg.Connection, agreement: Agreement) -> Agreement:
    rows = await tx.fetch(
        "SELECT * FROM licensing.agreement_signature WHERE agreement_id = $1 ORDER BY signed_at, side", agreement.id
    )
    return replace(agreement, signatures=tuple(Signature.from_row(row) for row in rows))


async def get(tx: asyncpg.Connection, agreement_id: str) -> Agreement:
    """The agreement with its signatures; raises NotFound. Who may see it is the caller's question."""
    row = await tx.fetchrow("SELECT * FROM licensing.agreement WHERE id = $1", agreement_id)
    if row is None:
        raise NotFound
    return await _with_signatures(tx, _from_row(row))


async def locked(tx: asyncpg.Connection, agreement_id: str, version: int | None) -> Agreement:
    """The same, locked until the transaction ends; raises VersionConflict when it has moved on."""
    row = await tx.fetchrow("SELECT * FROM licensing.agreement WHERE id = $1 FOR UPDATE", agreement_id)
    if row is None:
        raise NotFound
    if version is not None and row["version"] != version:
        raise VersionConflict(current=row["version"], given=version)
    return await _with_signatures(tx, _from_row(row))


async def insert(tx: asyncpg.Connection, agreement: Agreement) -> None:
    await tx.execute(
        "INSERT INTO licensing.agreement (id, number, version, state, application_id, party_id, organisation_id,"
        " terms, text, sha256, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        agreement.id, agreement.number, agreement.version, agreement.state.value, agreement.application_id,
        agreement.party_id, agreement.organisation_id, dict(agreement.terms), agreement.text, agreement.sha256,
        agreement.created_at,
    )


async def save(tx: asyncpg.Connection, agreement: Agreement) -> None:
    await tx.execute(
        "UPDATE licensing.agreement SET version = $2, state = $3, starts_on = $4, ends_on = $5, in_force_at = $6,"
        " ended_at = $7 WHERE id = $1",
        agreement.id, agreement.version, agreement.state.value, agreement.starts_on, agreement.ends_on,
        agreement.in_force_at, agreement.ended_at,
    )


async def add_signature(tx: asyncpg.Connection, agreement_id: str, one: Signature) -> None:
    await tx.execute(
        "INSERT INTO licensing.agreement_signature (agreement_id, side, signer_id, signer_account, signer_name,"
        " signed_at, sha256, statement, algorithm, key_id, signature)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        agreement_id, one.side.value, one.signer_id, one.signer_account, one.signer_name, one.signed_at,
        one.sha256, one.statement, one.algorithm, one.key_id, one.signature,
    )


async def waiting(tx: asyncpg.Connection, limit: int) -> list[tuple[Agreement, str, date | None]]:
    """Agreements that wait for the countersignature, with the application's number and due date, urgent first."""
    rows = await tx.fetch(
        "SELECT g.*, a.number AS application_number, a.due_on FROM licensing.agreement g"
        " JOIN licensing.application a ON a.id = g.application_id WHERE g.state = 'signed_by_one'"
        " ORDER BY a.due_on NULLS LAST, g.id LIMIT $1",
        limit,
    )
    found = []
    for row in rows:
        plain = dict(row)
        number, due = plain.pop("application_number"), plain.pop("due_on")
        found.append((_from_row(plain), number, due))
    return found


async def ending(tx: asyncpg.Connection, today: date, limit: int) -> list[str]:
    rows = await tx.fetch(
        "SELECT id FROM licensing.agreement WHERE state = 'in_force' AND ends_on < $1 ORDER BY ends_on, id LIMIT $2",
        today, limit,
    )
    return [row["id"] for row in rows]


async def listing(
    tx: asyncpg.Connection, *, parties: Iterable[str], organisations: Iterable[str] | None, before: str | None,
    limit: int,
) -> list[Agreement]:
    """Newest first: of the parties, and of the organisations (None: of any)."""
    rows = await tx.fetch(
        "SELECT * FROM licensing.agreement WHERE (party_id = ANY($1::text[]) OR $2::text[] IS NULL"
        " OR organisation_id = ANY($2)) AND ($3::text IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        list(parties), list(organisations) if organisations is not None else None, before, limit,
    )
    return [_from_row(row) for row in rows]
