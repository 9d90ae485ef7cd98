"""Versions of the policies in PostgreSQL: ``authz.policy_version``."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from authz.foundation.errors import VersionConflict
from authz.versions.model import PolicyVersion, PolicyVersionUnknown, State

COLUMNS = ", ".join(PolicyVersion.__dataclass_fields__)


def _of(row: asyncpg.Record) -> PolicyVersion:
    return PolicyVersion(**dict(row))


async def find(tx: asyncpg.Connection, version_id: str) -> PolicyVersion:
    """Raises PolicyVersionUnknown (404)."""
    row = await tx.fetchrow(f"SELECT {COLUMNS} FROM authz.policy_version WHERE id = $1", version_id)
    if row is None:
        raise PolicyVersionUnknown
    return _of(row)


async def locked(tx: asyncpg.Connection, version_id: str, version: int) -> PolicyVersion:
    """The row, locked, as the caller saw it; one change of the policies at a time."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('policy_version', 3))")
    found = await find(tx, version_id)
    if found.version != version:
        raise VersionConflict(current=found.version, given=version)
    return found


async def insert(tx: asyncpg.Connection, made: PolicyVersion) -> None:
    names = list(PolicyVersion.__dataclass_fields__)
    places = ", ".join(f"${n}" for n in range(1, len(names) + 1))
    values = [dict(made.files) if name == "files" else getattr(made, name) for name in names]
    await tx.execute(f"INSERT INTO authz.policy_version ({COLUMNS}) VALUES ({places})", *values)


async def decide(
    tx: asyncpg.Connection, found: PolicyVersion, state: State, who: tuple[str, str], at: datetime, reason: str
) -> PolicyVersion:
    """Set the state with who decided and why; what was in force before is superseded by what now is."""
    if state == "in_force":
        await tx.execute(
            "UPDATE authz.policy_version SET state = 'superseded', in_force_until = $1, version = version + 1"
            " WHERE state = 'in_force'",
            at,
        )
    row = await tx.fetchrow(
        "UPDATE authz.policy_version SET state = $2, version = version + 1, decided_by = $3, decided_by_name = $4,"
        " decided_at = $5, decision_reason = $6,"
        " in_force_from = CASE WHEN $2 = 'in_force' THEN $5 ELSE in_force_from END, in_force_until = NULL"
        f" WHERE id = $1 RETURNING {COLUMNS}",
        found.id, state, *who, at, reason,
    )
    assert row is not None  # noqa: S101 - the row is locked
    return _of(row)


async def retire(tx: asyncpg.Connection, at: datetime) -> None:
    """Nothing stored is in force any more: the release's own policies are."""
    await tx.execute(
        "UPDATE authz.policy_version SET state = 'superseded', in_force_until = $1, version = version + 1"
        " WHERE state = 'in_force'",
        at,
    )


async def listing(tx: asyncpg.Connection, before: str | None, limit: int) -> list[PolicyVersion]:
    """Newest first."""
    rows = await tx.fetch(
        f"SELECT {COLUMNS} FROM authz.policy_version WHERE ($1::text IS NULL OR id < $1) ORDER BY id DESC LIMIT $2",
        before, limit,
    )
    return [_of(row) for row in rows]
