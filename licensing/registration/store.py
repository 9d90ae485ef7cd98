"""Registrations in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg

from licensing.registration.lifecycle import RegistrationState


@dataclass
class Registration:
    """A registration as stored; dates are Beijing dates, ``due_on`` the end of the running step."""

    id: str
    number: str
    version: int
    state: RegistrationState
    party_id: str
    party_name: str
    party_code: str
    content: dict[str, Any]
    step: str | None
    step_started_on: date | None
    due_on: date | None
    supplements: int
    notice_from: date | None
    notice_until: date | None
    code: str | None
    coded_on: date | None
    valid_until: date | None
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Registration:
        return cls(**{**dict(row), "state": RegistrationState(row["state"])})


COLUMNS = tuple(Registration.__dataclass_fields__)


async def insert(tx: asyncpg.Connection, made: Registration) -> None:
    places = ", ".join(f"${n}" for n in range(1, len(COLUMNS) + 1))
    await tx.execute(
        f"INSERT INTO licensing.registration ({', '.join(COLUMNS)}) VALUES ({places})",
        *(getattr(made, name) for name in COLUMNS),
    )


async def fetch(tx: asyncpg.Connection, registration_id: str, *, lock: bool = False) -> Registration | None:
    row = await tx.fetchrow(
        f"SELECT * FROM licensing.registration WHERE id = $1{' FOR UPDATE' if lock else ''}", registration_id
    )
    return Registration.from_row(row) if row else None


async def save(tx: asyncpg.Connection, changed: Registration) -> None:
    """Write back a locked row; its version has been raised by the service."""
    names = [name for name in COLUMNS if name != "id"]
    sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(names, start=2))
    await tx.execute(
        f"UPDATE licensing.registration SET {sets} WHERE id = $1",
        changed.id, *(getattr(changed, name) for name in names),
    )


async def listed(
    tx: asyncpg.Connection, *, parties: list[str] | None, states: list[str] | None, after: str, limit: int
) -> list[Registration]:
    """Registrations by id, after ``after``; of these parties and in these states when given."""
    rows = await tx.fetch(
        "SELECT * FROM licensing.registration WHERE id > $1 AND ($2::text[] IS NULL OR party_id = ANY($2))"
        " AND ($3::text[] IS NULL OR state = ANY($3)) ORDER BY id LIMIT $4",
        after, parties, states, limit,
    )
    return [Registration.from_row(row) for row in rows]


async def history(tx: asyncpg.Connection, registration_id: str) -> list[asyncpg.Record]:
    return await tx.fetch(
        "SELECT * FROM licensing.registration_event WHERE registration_id = $1 ORDER BY id", registration_id
    )


async def objections(tx: asyncpg.Connection, registration_id: str) -> list[asyncpg.Record]:
    return await tx.fetch(
        "SELECT * FROM licensing.objection WHERE registration_id = $1 ORDER BY id", registration_id
    )


async def open_objections(tx: asyncpg.Connection, registration_id: str) -> int:
    number: int = await tx.fetchval(
        "SELECT count(*) FROM licensing.objection WHERE registration_id = $1 AND verdict IS NULL",
        registration_id,
    )
    return number
