"""``/v1/me`` and ``/v1/roles``: who the caller is, and who holds which role."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import StringConstraints, field_validator

from authz.decision import Effect
from authz.foundation.errors import NotFound
from authz.foundation.http import Body, CallDep, RuntimeDep
from authz.foundation.identity import LABELS_ZH, Call, Role
from authz.roles import assign_role, assignments, end_role, may, require, separate
from authz.roles.workflow import current_index
from authz.routes.bodies import Id

router = APIRouter(tags=["people"])

ENTERPRISE_ROLES = frozenset({Role.ENTERPRISE_MEMBER, Role.ENTERPRISE_ADMIN})


class RoleBody(Body):
    """One role for one person in one organisation."""

    user_id: Id
    user_name: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]
    role: Role
    organisation_id: Id

    @field_validator("role")
    @classmethod
    def _assignable(cls, role: Role) -> Role:
        if role is Role.PUBLIC:
            raise ValueError("公众角色无需分配 / everyone is the public, it is not assigned")
        return role


@router.get("/v1/me")
async def show_me(runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """The caller: identity, seats in departments, roles, parties, and the actions they permit."""
    identity = call.identity
    source = runtime.extras.get("parties_of")
    if source is not None:
        async with runtime.snapshot() as connection:
            parties = await source(connection, identity)
    else:
        seats = {seat.organisation_id for seat in identity.memberships}
        parties = [{"id": one} for one in sorted(identity.organisations() - seats)]
    return {
        "user_id": identity.user_id, "name": identity.name, "display_name": identity.display_name,
        "sysadmin": identity.sysadmin,
        "memberships": [
            {"organisation_id": seat.organisation_id, "name": seat.name, "title": seat.title,
             "capacity": seat.capacity}
            for seat in identity.memberships
        ],
        "roles": [
            {"role": role.value, "role_zh": LABELS_ZH[role], "organisation_id": organisation}
            for role, organisation in sorted(identity.roles)
        ],
        "parties": parties,
        "actions": _actions(call),
    }


def _actions(call: Call) -> dict[str, list[str]]:
    """Actions the caller may do, each with the organisations it holds for; ``*`` is every one."""
    index = current_index()
    found: dict[str, set[str]] = {}
    for role, organisation in call.identity.roles:
        for action, roles in index.everywhere.items():
            if role.value in roles:
                found.setdefault(action, set()).add("*")
        for action, roles in index.own.items():
            if role.value in roles:
                found.setdefault(action, set()).add(organisation)
    return {action: sorted(where) for action, where in sorted(found.items())}


def _authorise(call: Call, role: Role, organisation_id: str) -> None:
    """An enterprise's administrator manages its own members; everything else is the security administrator's."""
    own = role in ENTERPRISE_ROLES and may(call.identity, "member:manage", organisation_id).effect is Effect.PERMIT
    if not own:
        require(call.identity, "role:assign", organisation_id)


@router.get("/v1/roles")
async def list_roles(
    runtime: RuntimeDep, call: CallDep, user_id: Id | None = None, organisation_id: Id | None = None,
    role: Role | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: Id | None = None,
) -> dict[str, Any]:
    """Live assignments. An enterprise's administrator sees those of their enterprise by naming it."""
    if organisation_id is None or may(call.identity, "member:manage", organisation_id).effect is Effect.DENY:
        require(call.identity, "role:view", organisation_id)
    async with runtime.snapshot() as connection:
        found = await assignments(
            connection, user_id=user_id, organisation_id=organisation_id, role=role, after=cursor or "",
            limit=limit + 1,
        )
    page = found[:limit]
    return {"items": [one.as_document() for one in page], "next": page[-1].id if len(found) > limit else None}


@router.post("/v1/roles", status_code=201)
async def create_role(body: RoleBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Give a person a role; 409 for roles that one person may not hold together (三员), 403 to oneself."""
    _authorise(call, body.role, body.organisation_id)
    separate(call.identity, body.user_id, "self_approval")
    async with runtime.transaction() as tx:
        made = await assign_role(
            tx, runtime.audit, call, user_id=body.user_id, user_name=body.user_name, role=body.role,
            organisation_id=body.organisation_id,
        )
    return made.as_document()


@router.delete("/v1/roles/{assignment_id}")
async def delete_role(assignment_id: Id, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """End an assignment."""
    async with runtime.transaction() as tx:
        row = await tx.fetchrow(
            "SELECT role, organisation_id FROM authz.role_assignment WHERE id = $1 AND ended_at IS NULL",
            assignment_id,
        )
        if row is None:
            require(call.identity, "role:view", None)
            raise NotFound
        _authorise(call, Role(row["role"]), row["organisation_id"])
        ended = await end_role(tx, runtime.audit, call, assignment_id)
    return ended.as_document()
