"""The record of every transition: a row of history and an audit entry in the action's own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from authz import AuditEntry, AuditLog, Call, InvalidInput, beijing_date
from licensing.errors import invalid
from licensing.lifecycle import Transition, TransitionTable
from licensing.remedy import remedy

PAST = {
    "edit": "edited", "submit": "submitted", "route": "routed", "pass_form": "form_passed", "refuse": "refused",
    "decide_owner": "owner_decided", "sign": "signed", "countersign": "countersigned", "withdraw": "withdrawn",
    "expire": "expired", "revoke": "revoked", "suspend": "suspended", "resume": "resumed", "void": "voided",
    "terminate": "terminated", "approve": "verified", "amend": "amended", "reinstate": "reinstated",
    "exhaust": "exhausted", "replenish": "replenished", "request_supplement": "supplement_requested",
    "answer_supplement": "supplement_answered", "consult_third_party": "third_party_consulted",
    "record_opinion": "opinion_recorded", "request_extension": "extension_requested",
    "decide_extension": "extension_decided", "waive_price": "price_waived", "accept_offer": "offer_accepted",
    "draft_agreement": "agreement_drafted",
}
"""Audit actions are ``<object kind>.<past participle>``; events that already are participles stay as they are."""


@dataclass(frozen=True)
class Happening:
    """What a transition was about: who it concerns and why, facts without personal values."""

    object_id: str
    organisation_id: str | None
    version: int
    reason: str | None = None
    basis: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


async def record_transition(
    tx: asyncpg.Connection, audit: AuditLog, call: Call, table: TransitionTable, row: Transition,
    target: str, happening: Happening, *, adverse: bool = False,
) -> None:
    """Write history and evidence of one step.

    ``adverse`` adds the remedy to rows that do not demand a reason by themselves (a partial approval).
    Raises InvalidInput when the row demands a reason and none was given.
    """
    reason = (happening.reason or "").strip() or None
    if (row.reason_required or adverse) and reason is None:
        raise reason_missing()
    basis = happening.basis or row.basis or None
    way_out = remedy(beijing_date(call.now)) if row.reason_required or adverse else None
    await tx.execute(
        "INSERT INTO licensing.transition (object_kind, object_id, version, at, actor_id, actor_name, event,"
        " from_state, to_state, reason, basis, remedy, details, request_id)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        table.name, happening.object_id, happening.version, call.now, call.identity.user_id,
        call.identity.display_name, row.event.value, row.state.value, target, reason, basis, way_out,
        dict(happening.details), call.request_id,
    )
    await audit.append(
        tx,
        AuditEntry(
            action=f"{table.name}.{PAST.get(row.event.value, row.event.value)}",
            actor=call.identity.name, object_kind=table.name, object_id=happening.object_id,
            organisation_id=happening.organisation_id, basis=basis, reason=reason, request_id=call.request_id,
            details={"from": row.state.value, "to": target, "version": happening.version, **happening.details},
        ),
    )


def reason_missing(field_name: str = "reason") -> InvalidInput:
    return invalid(field_name, "reason_required", "必须说明理由", "a reason is required")


async def history_of(
    tx: asyncpg.Connection, table: TransitionTable, object_id: str
) -> list[dict[str, Any]]:
    """All steps of one object, oldest first, as the API shows them."""
    rows = await tx.fetch(
        "SELECT * FROM licensing.transition WHERE object_kind = $1 AND object_id = $2 ORDER BY id",
        table.name, object_id,
    )
    labels = {state.value: label for state, label in table.states.items()}
    events = {event.value: label for event, label in table.events.items()}
    return [
        {
            "at": row["at"].isoformat(), "actor": row["actor_name"], "event": row["event"],
            "event_zh": events[row["event"]].zh, "event_en": events[row["event"]].en,
            "from": row["from_state"], "to": row["to_state"],
            "from_zh": labels[row["from_state"]].zh, "to_zh": labels[row["to_state"]].zh,
            "to_en": labels[row["to_state"]].en,
            "reason": row["reason"], "basis": row["basis"], "remedy": row["remedy"], "details": row["details"],
        }
        for row in rows
    ]
