"""Roles given to people by assignment: the store behind ``/v1/roles``. They end, they are never deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from authz.foundation.errors import Conflict, NotFound, Reason
from authz.foundation.evidence import AuditEntry, AuditLog
from authz.foundation.identity import LABELS_ZH, Call, Role
from authz.foundation.ids import new_id
from authz.roles.duties import conflicting
from authz.roles.workflow import may


class RolesExclude(Conflict):
    """Two roles that one person may not hold."""

    code = "roles_exclude"
    zh = "同一人不能同时担任“{held_zh}”和“{wanted_zh}”。"
    en = "One person may not be both {held} and {wanted}."
    next_zh = "请分配给另一人，或先结束其现有角色。"
    next_en = "Assign it to somebody else, or end the role they hold first."


class RoleAlreadyHeld(Conflict):
    code = "role_already_held"
    zh = "该用户已在该机构担任此角色。"
    en = "The person already holds this role in that organisation."
    next_zh = "无需重复分配。"
    next_en = "There is nothing to do."


class LastAdministrator(Conflict):
    code = "last_administrator"
    zh = "不能移除最后一名管理员。"
    en = "The last administrator cannot be removed."
    next_zh = "请先指定另一名管理员，或请安全管理员办理。"
    next_en = "Name another administrator first, or ask the security administrator."


@dataclass(frozen=True)
class RoleAssignment:
    """One role of one person in one organisation, from when to when and by whom."""

    id: str
    user_id: str
    user_name: str
    role: Role
    organisation_id: str
    assigned_by: str
    assigned_at: datetime
    ended_by: str | None
    ended_at: datetime | None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> RoleAssignment:
        return cls(**{**dict(row), "role": Role(row["role"])})

    def as_document(self) -> dict[str, Any]:
        return {
            "id": self.id, "user_id": self.user_id, "user_name": self.user_name, "role": self.role.value,
            "role_zh": LABELS_ZH[self.role], "organisation_id": self.organisation_id,
            "assigned_by": self.assigned_by, "assigned_at": self.assigned_at.isoformat(),
            "ended_by": self.ended_by, "ended_at": self.ended_at.isoformat() if self.ended_at else None,
        }


async def assign_role(
    tx: asyncpg.Connection, audit: AuditLog, call: Call, *, user_id: str, user_name: str, role: Role,
    organisation_id: str,
) -> RoleAssignment:
    """Give a person a role in an organisation, with its audit entry.

    The caller's right is checked by the route; a city's first security administrator is made by calling this as
    SYSTEM from the command line. Raises RolesExclude (409) for roles one person may not hold together, and
    RoleAlreadyHeld (409).
    """
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", user_id)
    rows = await tx.fetch(
        "SELECT role, organisation_id FROM authz.role_assignment WHERE user_id = $1 AND ended_at IS NULL",
        user_id,
    )
    if any(row["role"] == role.value and row["organisation_id"] == organisation_id for row in rows):
        raise RoleAlreadyHeld
    held = conflicting(frozenset(Role(row["role"]) for row in rows), role)
    if held is not None:
        raise RolesExclude(
            reasons=[Reason(
                "three_administrations",
                "系统、安全、审计三类管理职责由三人分别担任；定价与审批由两人分别担任。",
                "System, security and audit administration are three people; pricing and approval are two.",
            )],
            held=held.value, wanted=role.value, held_zh=LABELS_ZH[held], wanted_zh=LABELS_ZH[role],
        )
    row = await tx.fetchrow(
        "INSERT INTO authz.role_assignment (id, user_id, user_name, role, organisation_id, assigned_by,"
        " assigned_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
        new_id("rol"), user_id, user_name, role.value, organisation_id, call.identity.name, call.now,
    )
    assert row is not None  # noqa: S101 - INSERT ... RETURNING gives the row
    made = RoleAssignment.from_row(row)
    await audit.append(tx, _entry("role.assigned", call, made))
    return made


async def end_role(tx: asyncpg.Connection, audit: AuditLog, call: Call, assignment_id: str) -> RoleAssignment:
    """End an assignment; raises NotFound when there is no live one with that id.

    The last administrator of an enterprise stays (LastAdministrator, 409), unless who ends it may assign roles.
    """
    organisation_id: str | None = await tx.fetchval(
        "SELECT organisation_id FROM authz.role_assignment WHERE id = $1 AND role = $2 AND ended_at IS NULL",
        assignment_id, Role.ENTERPRISE_ADMIN.value,
    )
    if organisation_id is not None:
        await _require_another_administrator(tx, call, organisation_id, assignment_id)
    row = await tx.fetchrow(
        "UPDATE authz.role_assignment SET ended_by = $2, ended_at = $3 WHERE id = $1 AND ended_at IS NULL"
        " RETURNING *",
        assignment_id, call.identity.name, call.now,
    )
    if row is None:
        raise NotFound
    ended = RoleAssignment.from_row(row)
    await audit.append(tx, _entry("role.ended", call, ended))
    return ended


async def _require_another_administrator(
    tx: asyncpg.Connection, call: Call, organisation_id: str, assignment_id: str
) -> None:
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))", organisation_id)
    others = await tx.fetchval(
        "SELECT count(*) FROM authz.role_assignment WHERE organisation_id = $1 AND role = $2 AND id <> $3"
        " AND ended_at IS NULL",
        organisation_id, Role.ENTERPRISE_ADMIN.value, assignment_id,
    )
    if not others and not may(call.identity, "role:assign", organisation_id).permitted:
        raise LastAdministrator


async def assignments(
    tx: asyncpg.Connection, *, user_id: str | None = None, organisation_id: str | None = None,
    role: Role | None = None, after: str = "", limit: int = 50,
) -> list[RoleAssignment]:
    """Live assignments ordered by id, those after ``after``, at most ``limit``."""
    rows = await tx.fetch(
        "SELECT * FROM authz.role_assignment WHERE ended_at IS NULL AND id > $1"
        " AND ($2::text IS NULL OR user_id = $2) AND ($3::text IS NULL OR organisation_id = $3)"
        " AND ($4::text IS NULL OR role = $4) ORDER BY id LIMIT $5",
        after, user_id, organisation_id, role.value if role else None, limit,
    )
    return [RoleAssignment.from_row(row) for row in rows]


def _entry(action: str, call: Call, made: RoleAssignment) -> AuditEntry:
    return AuditEntry(
        action, call.identity.name, "role_assignment", made.id, organisation_id=made.organisation_id,
        request_id=call.request_id, details={"user_id": made.user_id, "role": made.role.value},
    )
