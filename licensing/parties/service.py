"""Signing up, verifying, correcting, members: what can be done with a party."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import asyncpg

from authz import (
    SYSTEM,
    AuditEntry,
    AuditLog,
    Call,
    FieldError,
    Forbidden,
    Identity,
    InvalidInput,
    NotFound,
    Role,
    RoleAssignment,
    VersionConflict,
    assign_role,
    assignments,
    end_role,
    new_id,
    require,
)
from licensing import clocks
from licensing.access import belongs_to, require_other_side, require_visible
from licensing.clocks import ClockKind
from licensing.errors import PartyNotVerified, UsccTaken, invalid
from licensing.history import Happening, record_transition
from licensing.lifecycle import PARTY, PartyEvent, PartyState
from licensing.limits import procedure
from licensing.parties import store
from licensing.parties.model import APPLICANT_KINDS, INSTITUTION_KINDS, Particulars, Party, PartyKind, checked_uscc

STEP = "party_verification"
MEMBER_ROLES = frozenset({Role.ENTERPRISE_ADMIN, Role.ENTERPRISE_MEMBER})


async def get(tx: asyncpg.Connection, party_id: str) -> Party:
    """The party, for other services; raises NotFound. Who may see it is the caller's question."""
    found = await store.find(tx, party_id)
    if found is None:
        raise NotFound
    return found


async def of_person(tx: asyncpg.Connection, identity: Identity) -> list[dict[str, Any]]:
    """Parties in which the person holds a role, as short facts: whom they can act for."""
    found = await store.names(tx, identity.organisations())
    return [
        {**party.as_public(), "roles": sorted(r.value for r, where in identity.roles if where == party.id)}
        for party in sorted(found.values(), key=lambda one: one.id)
    ]


async def view(tx: asyncpg.Connection, call: Call, party_id: str) -> Party:
    """The party for those who hold a role in it, the authority and auditors; a stranger gets 404."""
    if not belongs_to(call.identity, party_id):
        require_visible(call.identity, "party:view", party_id)
    return await get(tx, party_id)


async def sign_up(
    tx: asyncpg.Connection, call: Call, kind: PartyKind, particulars: Particulars, *, audit: AuditLog
) -> Party:
    """A new party. Enterprises and public-welfare organisations wait for verification, the caller becomes their
    administrator; institutions are appointed by a security administrator and start verified.

    Raises InvalidInput, UsccTaken (409) or ActionNotPermitted (403).
    """
    if kind is PartyKind.DEPARTMENT:
        raise invalid(
            "kind", "department_mirrored", "政府部门由目录中的机构自动建立，无需注册",
            "departments come from the catalogue's organisations by themselves",
        )
    if kind in INSTITUTION_KINDS:
        require(call.identity, "role:assign", None)
    code = _code_of(kind, particulars)
    if code and await store.find_by_uscc(tx, code):
        raise UsccTaken
    appointed = kind in INSTITUTION_KINDS
    party = Party(
        id=new_id("pty"), kind=kind, state=PartyState.VERIFIED if appointed else PartyState.PENDING, version=1,
        state_reason=None, created_by=call.identity.user_id, created_by_name=call.identity.display_name,
        created_at=call.now, **{**asdict(particulars), "uscc": code, "affiliates": _affiliates(code, particulars)},
    )
    if not await store.insert(tx, party):
        raise UsccTaken
    await audit.append(
        tx,
        AuditEntry(
            "party.signed_up", call.identity.name, "party", party.id, organisation_id=party.id,
            request_id=call.request_id, details={"kind": kind.value, "state": party.state.value},
        ),
    )
    if kind in APPLICANT_KINDS:
        limit = procedure().limit(STEP)
        await clocks.record(
            tx, call, "party", party.id, STEP, ClockKind.START, days=limit.working_days, basis=limit.source
        )
        await assign_role(
            tx, audit, call, user_id=call.identity.user_id, user_name=call.identity.name,
            role=Role.ENTERPRISE_ADMIN, organisation_id=party.id,
        )
    return party


def _code_of(kind: PartyKind, particulars: Particulars) -> str | None:
    if particulars.uscc:
        return checked_uscc(particulars.uscc)
    if kind in APPLICANT_KINDS:
        raise invalid("uscc", "missing", "必填项", "is required")
    return None


def _affiliates(code: str | None, particulars: Particulars) -> tuple[str, ...]:
    """The declared codes, each once and without one's own; raises InvalidInput naming every one that is wrong."""
    found: list[str] = []
    errors: list[FieldError] = []
    for place, one in enumerate(particulars.affiliates):
        try:
            found.append(checked_uscc(one, f"affiliates.{place}"))
        except InvalidInput as wrong:
            errors.extend(wrong.errors)
    if errors:
        raise InvalidInput(errors)
    return tuple(dict.fromkeys(one for one in found if one != code))


async def ensure_department(
    tx: asyncpg.Connection, call: Call, organisation_id: str, name: str, *, audit: AuditLog
) -> Party:
    """The party that mirrors a department of the catalogue (same id), made when it is first needed."""
    found = await store.find(tx, organisation_id)
    if found is not None:
        return found
    party = Party(
        id=organisation_id, kind=PartyKind.DEPARTMENT, name=name, uscc=None, state=PartyState.VERIFIED, version=1,
        legal_representative=None, contact_name=None, contact_phone=None, contact_email=None, address=None,
        state_reason=None, created_by=SYSTEM.user_id, created_by_name=SYSTEM.display_name, created_at=call.now,
    )
    if not await store.insert(tx, party):
        return await get(tx, organisation_id)
    await audit.append(
        tx,
        AuditEntry("party.mirrored", SYSTEM.name, "party", party.id, organisation_id=party.id,
                   request_id=call.request_id, details={"kind": party.kind.value}),
    )
    return party


async def _locked(tx: asyncpg.Connection, party_id: str, version: int) -> Party:
    party = await store.find(tx, party_id, lock=True)
    if party is None:
        raise NotFound
    if party.version != version:
        raise VersionConflict(current=party.version, given=version)
    return party


async def decide(
    tx: asyncpg.Connection, call: Call, party_id: str, event: PartyEvent, version: int,
    reason: str | None = None, *, audit: AuditLog,
) -> Party:
    """The authority's verdict on a party: approve, refuse, suspend, reinstate."""
    require_visible(call.identity, "party:view", party_id)
    locked = await store.lock_with_declared(tx, party_id)
    party = await _locked(tx, party_id, version)
    row = PARTY.require(party.state, event)
    require(call.identity, row.who, party_id)
    require_other_side(call.identity, party_id, party.created_by)
    after = replace(
        party, state=PartyState(row.target), version=party.version + 1, state_reason=reason,
        verified_by=call.identity.user_id, verified_by_name=call.identity.display_name, verified_at=call.now,
    )
    await record_transition(
        tx, audit, call, PARTY, row, after.state, Happening(party_id, party_id, after.version, reason=reason)
    )
    if event in (PartyEvent.APPROVE, PartyEvent.REFUSE):
        await clocks.record(tx, call, "party", party_id, STEP, ClockKind.STOP)
    await store.save(tx, after)
    if event in (PartyEvent.SUSPEND, PartyEvent.REINSTATE):
        await store.announce_grants(tx, party_id)
    await store.touch(tx, [one for one in locked if one != party_id])
    return after


async def amend(
    tx: asyncpg.Connection, call: Call, party_id: str, version: int, particulars: Particulars, *, audit: AuditLog
) -> Party:
    """Correct the particulars while the check is open or after it failed; the check begins anew."""
    require_visible(call.identity, "party:view", party_id)
    require(call.identity, "party:manage", party_id)
    party = await _locked(tx, party_id, version)
    row = PARTY.require(party.state, PartyEvent.AMEND)
    code = _code_of(party.kind, particulars)
    holder = await store.find_by_uscc(tx, code) if code else None
    if holder is not None and holder.id != party_id:
        raise UsccTaken
    told = {**asdict(particulars), "uscc": code, "affiliates": _affiliates(code, particulars)}
    after = replace(
        party, **told, state=PartyState.PENDING, version=party.version + 1,
        created_by=call.identity.user_id, created_by_name=call.identity.display_name, state_reason=None,
    )
    await record_transition(
        tx, audit, call, PARTY, row, after.state, Happening(party_id, party_id, after.version)
    )
    limit = procedure().limit(STEP)
    await clocks.record(
        tx, call, "party", party_id, STEP, ClockKind.START, days=limit.working_days, basis=limit.source
    )
    await store.save(tx, after)
    return after


async def require_acting(tx: asyncpg.Connection, call: Call, party_id: str) -> Party:
    """The party a member acts for; raises NotFound for strangers and PartyNotVerified while it may not act."""
    if not belongs_to(call.identity, party_id):
        raise NotFound
    party = await get(tx, party_id)
    if not party.verified:
        raise PartyNotVerified
    return party


async def members(tx: asyncpg.Connection, call: Call, party_id: str) -> list[RoleAssignment]:
    """Live seats in the party, for its members and those who verify it."""
    await view(tx, call, party_id)
    return await assignments(tx, organisation_id=party_id, limit=200)


async def add_member(
    tx: asyncpg.Connection, call: Call, party_id: str, *, user_id: str, user_name: str, role: Role, audit: AuditLog
) -> RoleAssignment:
    """A sub-account of the party, by its administrator; raises RoleAlreadyHeld (409) when the seat is taken."""
    require_visible(call.identity, "party:view", party_id)
    require(call.identity, "member:manage", party_id)
    if role not in MEMBER_ROLES:
        raise Forbidden
    return await assign_role(
        tx, audit, call, user_id=user_id, user_name=user_name, role=role, organisation_id=party_id
    )


async def remove_member(
    tx: asyncpg.Connection, call: Call, party_id: str, assignment_id: str, *, audit: AuditLog
) -> RoleAssignment:
    """End a seat; raises LastAdministrator (409) for the last administrator's."""
    require_visible(call.identity, "party:view", party_id)
    require(call.identity, "member:manage", party_id)
    seats = await assignments(tx, organisation_id=party_id, limit=1000)
    seat = next((s for s in seats if s.id == assignment_id), None)
    if seat is None or seat.role not in MEMBER_ROLES:
        raise NotFound
    return await end_role(tx, audit, call, assignment_id)


