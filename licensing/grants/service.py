"""Issuing grants and changing their state; every change has its row, its reason and its evidence."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from authz import (
    BEIJING,
    SYSTEM,
    AuditEntry,
    AuditLog,
    Call,
    GrantFacts,
    GrantState,
    NotFound,
    VersionConflict,
    new_id,
    require,
)
from licensing.access import require_other_side, require_visible
from licensing.grants import store
from licensing.grants.model import Grant
from licensing.history import Happening, record_transition
from licensing.lifecycle import GRANT, GrantEvent
from licensing.numbers import next_number

if TYPE_CHECKING:
    from licensing.agreements.model import Agreement
    from licensing.applications.model import Application

VIEW = "grant:view"


async def issue(
    tx: asyncpg.Connection, call: Call, application: Application, agreement: Agreement, *, audit: AuditLog
) -> Grant:
    """The grant of an agreement that has just taken force: from now until the end of its last day in Beijing."""
    if agreement.ends_on is None:
        raise ValueError("an agreement in force has a last day")
    terms = agreement.terms
    scope, purpose = terms["scope"], terms["purpose"]
    grant = Grant(
        id=new_id("gra"), number=await next_number(tx, call, "QX"), version=1, state=GrantState.ACTIVE,
        state_reason=None, party_id=application.party_id, resource_id=application.resource_id,
        organisation_id=application.organisation_id, object=terms["object"], application_id=application.id,
        agreement_id=agreement.id, columns=tuple(scope["columns"]), masks=scope["masks"],
        row_filter=tuple(scope["row_filter"]), purpose_class=purpose["class"], purpose=purpose["code"],
        scenario=purpose["scenario"], delivery=tuple(terms["manner"]["delivery"]), quota=scope["quota"],
        price=terms["price"], valid_from=call.now,
        valid_until=datetime.combine(agreement.ends_on + timedelta(days=1), time(), BEIJING),
        created_at=call.now, consent_of_provider=bool(application.review.consent_reference),
        risk_assessment_id=application.review.risk_assessment_id, salt=secrets.token_hex(32),
    )
    await store.insert(tx, grant)
    await audit.append(
        tx,
        AuditEntry(
            "grant.issued", call.identity.name, "grant", grant.id, organisation_id=grant.organisation_id,
            request_id=call.request_id,
            details={"number": grant.number, "agreement_id": agreement.id, "party_id": grant.party_id,
                     "columns": list(grant.columns), "purpose": grant.purpose, "quota": dict(grant.quota)},
        ),
    )
    return grant


async def get(tx: asyncpg.Connection, grant_id: str) -> Grant:
    """The grant for other services; raises NotFound. Who may see it is the caller's question."""
    found = await store.find(tx, grant_id)
    if found is None:
        raise NotFound
    return found


async def facts_of(tx: asyncpg.Connection, grant_id: str) -> GrantFacts | None:
    """The facts of a grant for a decision, None when there is no such grant."""
    found = await store.find(tx, grant_id)
    return found.facts() if found else None


async def view(tx: asyncpg.Connection, call: Call, grant_id: str) -> Grant:
    """The grant for its holder, the data's department and supervisors; a stranger gets 404."""
    found = await get(tx, grant_id)
    require_visible(call.identity, VIEW, found.party_id, found.organisation_id)
    return found


async def _locked(tx: asyncpg.Connection, grant_id: str, version: int | None) -> Grant:
    grant = await store.find(tx, grant_id, lock=True)
    if grant is None:
        raise NotFound
    if version is not None and grant.version != version:
        raise VersionConflict(current=grant.version, given=version)
    return grant


async def _move(
    tx: asyncpg.Connection, call: Call, before: Grant, event: GrantEvent, reason: str | None, *,
    audit: AuditLog, details: dict[str, Any] | None = None,
) -> Grant:
    row = GRANT.require(before.state, event)
    after = before.moved(GrantState(row.target), reason, call.now)
    await record_transition(
        tx, audit, call, GRANT, row, after.state.value,
        Happening(before.id, before.organisation_id, after.version, reason=reason,
                  details={"party_id": before.party_id, **(details or {})}),
    )
    await store.save_state(tx, after)
    return after


async def change(
    tx: asyncpg.Connection, call: Call, grant_id: str, event: GrantEvent, version: int, reason: str | None, *,
    audit: AuditLog,
) -> Grant:
    """Suspend, resume or revoke, by the data's department, the exchange or the authority, with a reason."""
    await view(tx, call, grant_id)
    before = await _locked(tx, grant_id, version)
    row = GRANT.require(before.state, event)
    require(call.identity, row.who, before.organisation_id)
    require_other_side(call.identity, before.party_id)
    return await _move(tx, call, before, event, reason, audit=audit)


async def revoke(
    tx: asyncpg.Connection, call: Call, grant_id: str, version: int, reason: str, *, audit: AuditLog
) -> Grant:
    """Revoke: holds from the next call, and streams that run are stopped by the announcement."""
    return await change(tx, call, grant_id, GrantEvent.REVOKE, version, reason, audit=audit)


async def end_with_agreement(
    tx: asyncpg.Connection, call: Call, grant: Grant, reason: str, *, audit: AuditLog
) -> Grant:
    """Revoke a locked grant because its agreement was terminated; the right to terminate has been checked."""
    return await _move(
        tx, call, grant, GrantEvent.REVOKE, reason, audit=audit, details={"agreement_id": grant.agreement_id}
    )


async def exhaust(tx: asyncpg.Connection, call: Call, grant_id: str, *, audit: AuditLog) -> Grant:
    """Mark the quota as used up; a rule's step, so the actor is the system."""
    before = await _locked(tx, grant_id, None)
    return await _move(tx, replace(call, identity=SYSTEM), before, GrantEvent.EXHAUST, "额度用尽", audit=audit)


async def replenish(tx: asyncpg.Connection, call: Call, grant_id: str, *, audit: AuditLog) -> Grant:
    """Make an exhausted grant active again: a new month has begun or the quota was raised."""
    before = await _locked(tx, grant_id, None)
    return await _move(tx, replace(call, identity=SYSTEM), before, GrantEvent.REPLENISH, "额度恢复", audit=audit)


async def expire_due(tx: asyncpg.Connection, call: Call, *, audit: AuditLog, limit: int = 200) -> int:
    """Grants whose term has ended expire; returns how many. Decisions look at the dates and never wait for this."""
    ids = await store.ending(tx, call.now, limit)
    for grant_id in ids:
        before = await _locked(tx, grant_id, None)
        await _move(tx, replace(call, identity=SYSTEM), before, GrantEvent.EXPIRE, "授权期限届满", audit=audit)
    return len(ids)
