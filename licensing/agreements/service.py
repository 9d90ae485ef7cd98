"""Drawing up, signing, ending an agreement. What its force brings about (the grant) is issued by the application."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from authz import SYSTEM, AuditLog, Call, beijing_date, new_id, require
from licensing import grants
from licensing.access import require_other_side, require_visible
from licensing.agreements import signatures, store
from licensing.agreements.drafting import digest, terms_of, text_of
from licensing.agreements.model import Agreement, Side
from licensing.history import Happening, record_transition
from licensing.lifecycle import AGREEMENT, AgreementEvent, AgreementState, Transition
from licensing.numbers import next_number
from licensing.parties import Party

if TYPE_CHECKING:
    from licensing.applications.model import Application

VIEW = "application:view"


async def draw_up(
    tx: asyncpg.Connection, call: Call, application: Application, party: Party, *, audit: AuditLog
) -> Agreement:
    """The agreement of an accepted offer; its making is part of the application's own transition and evidence."""
    number = await next_number(tx, call, "XY")
    terms = terms_of(application, party)
    text = text_of(number, application.number, terms)
    agreement = Agreement(
        id=new_id("agr"), number=number, version=1, state=AgreementState.DRAFTED, application_id=application.id,
        party_id=application.party_id, organisation_id=application.organisation_id, terms=terms, text=text,
        sha256=digest(text), created_at=call.now,
    )
    await store.insert(tx, agreement)
    return agreement


async def view(tx: asyncpg.Connection, call: Call, agreement_id: str) -> Agreement:
    """The agreement for both sides and those who supervise; a stranger gets 404."""
    found = await store.get(tx, agreement_id)
    require_visible(call.identity, VIEW, found.party_id, found.organisation_id)
    return found


async def _move(
    tx: asyncpg.Connection, call: Call, before: Agreement, row: Transition, after: Agreement, *,
    audit: AuditLog, reason: str | None = None, details: dict[str, str] | None = None,
) -> Agreement:
    after = replace(after, state=AgreementState(row.target), version=before.version + 1)
    await record_transition(
        tx, audit, call, AGREEMENT, row, after.state.value,
        Happening(before.id, before.organisation_id, after.version, reason=reason, details=details or {}),
    )
    await store.save(tx, after)
    return after


async def sign(
    tx: asyncpg.Connection, call: Call, agreement: Agreement, row: Transition, side: Side, signer_name: str, *,
    audit: AuditLog, signing_key: Ed25519PrivateKey,
) -> Agreement:
    """Add a side's signature to the locked agreement; the second one brings it into force."""
    made = signatures.make(agreement, side, signer_name, call, signing_key)
    await store.add_signature(tx, agreement.id, made)
    after = replace(agreement, signatures=(*agreement.signatures, made))
    if row.target is AgreementState.IN_FORCE:
        after = replace(after, in_force_at=call.now)
    return await _move(
        tx, call, agreement, row, after, audit=audit,
        details={"side": side.value, "sha256": agreement.sha256, "key_id": made.key_id},
    )


async def void(tx: asyncpg.Connection, call: Call, agreement_id: str, *, audit: AuditLog) -> Agreement:
    """An agreement that never took force ends with its application."""
    before = await store.locked(tx, agreement_id, None)
    row = AGREEMENT.require(before.state, AgreementEvent.VOID)
    return await _move(tx, call, before, row, replace(before, ended_at=call.now), audit=audit)


async def terminate(
    tx: asyncpg.Connection, call: Call, agreement_id: str, version: int, reason: str | None, *, audit: AuditLog
) -> Agreement:
    """End it before its time: the grant it carries is revoked in the same transaction."""
    known = await view(tx, call, agreement_id)
    grant = await grants.of_agreement(tx, known.id, lock=True)
    before = await store.locked(tx, agreement_id, version)
    row = AGREEMENT.require(before.state, AgreementEvent.TERMINATE)
    require(call.identity, row.who, before.organisation_id)
    require_other_side(call.identity, before.party_id)
    after = await _move(
        tx, call, before, row, replace(before, ended_at=call.now), audit=audit, reason=reason
    )
    if grant is not None and not grant.ended:
        await grants.end_with_agreement(tx, call, grant, f"协议终止：{reason}", audit=audit)
    return after


async def expire_due(tx: asyncpg.Connection, call: Call, *, audit: AuditLog, limit: int = 100) -> int:
    """Agreements whose last day has passed expire; returns how many."""
    ids = await store.ending(tx, beijing_date(call.now), limit)
    for agreement_id in ids:
        before = await store.locked(tx, agreement_id, None)
        if before.state is not AgreementState.IN_FORCE:
            continue
        row = AGREEMENT.require(before.state, AgreementEvent.EXPIRE)
        system = replace(call, identity=SYSTEM)
        await _move(tx, system, before, row, replace(before, ended_at=call.now), audit=audit)
    return len(ids)
