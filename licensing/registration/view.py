"""Registrations as documents: whole for those concerned, four items for the public notice."""

from __future__ import annotations

from datetime import date
from typing import Any

import asyncpg

from authz import Identity, may
from licensing.access import belongs_to
from licensing.lifecycle.table import SYSTEM_WORK
from licensing.registration.content import PUBLIC_FIELDS
from licensing.registration.lifecycle import REGISTRATION, RegistrationState
from licensing.registration.store import Registration
from licensing.working_days import working_days_between

MAIN_LINE = (
    RegistrationState.DRAFT, RegistrationState.APPLIED, RegistrationState.ACCEPTED,
    RegistrationState.PUBLIC_NOTICE, RegistrationState.CODED,
)
HOLDERS = {"acceptance": "registrar", "review": "registrar", "notice": "registrar", "supplement": "registrant"}


def clock(found: Registration, today: date) -> dict[str, Any] | None:
    """The running step: who holds it, when it is due, working days left (negative when overdue)."""
    if not found.step:
        return None
    left = None
    if found.due_on:
        left = (working_days_between(today, found.due_on).count if today <= found.due_on
                else -working_days_between(found.due_on, today).count)
    return {
        "step": found.step, "holder_role": HOLDERS.get(found.step), "started_on": found.step_started_on,
        "due_on": found.due_on, "working_days_left": left, "paused": found.due_on is None,
        "overdue": bool(found.due_on and today > found.due_on),
    }


def steps(found: Registration) -> list[dict[str, str]]:
    """The line of steps a page shows."""
    here = {RegistrationState.SUPPLEMENT: RegistrationState.APPLIED}.get(found.state, found.state)
    place = MAIN_LINE.index(here) if here in MAIN_LINE else len(MAIN_LINE)
    return [
        {
            "state": state.value, "label_zh": REGISTRATION.states[state].zh,
            "label_en": REGISTRATION.states[state].en,
            "status": "done" if number < place or here is RegistrationState.CODED else
            "current" if number == place else "todo",
        }
        for number, state in enumerate(MAIN_LINE)
    ]


def allowed_events(found: Registration, identity: Identity) -> list[str]:
    """Events this person could do now, by role and side; guards are checked when they try."""
    mine = belongs_to(identity, found.party_id) or identity.user_id == found.created_by
    allowed = []
    for row in REGISTRATION.possible(found.state):
        if row.who == SYSTEM_WORK:
            continue
        own_side = row.who == "registration:apply"
        if row.who == "registration:object":
            if not mine:
                allowed.append(row.event.value)
        elif own_side == mine and may(identity, row.who, found.party_id).permitted:
            allowed.append(row.event.value)
    return allowed


def public(found: Registration) -> dict[str, Any]:
    """What anyone may see."""
    label = REGISTRATION.states[found.state]
    return {
        "id": found.id, "number": found.number, "state": found.state.value, "state_zh": label.zh,
        "state_en": label.en, "version": found.version, "registrant": found.party_name,
        "registration_kind": "initial", **{name: found.content.get(name) for name in PUBLIC_FIELDS},
        "notice_from": found.notice_from, "notice_until": found.notice_until, "code": found.code,
        "coded_on": found.coded_on, "valid_until": found.valid_until,
    }


def whole(
    found: Registration, history: list[asyncpg.Record], objections: list[asyncpg.Record], identity: Identity,
    today: date,
) -> dict[str, Any]:
    """Everything, for the registrant and the registration authority."""
    mine = belongs_to(identity, found.party_id)
    return {
        **public(found), "party": {"id": found.party_id, "name": found.party_name, "uscc": found.party_code},
        "content": found.content, "clock": clock(found, today), "steps": steps(found),
        "history": [
            {"at": row["at"], "actor": None if mine and row["event"] == "object" else row["actor"],
             "event": row["event"],
             "event_zh": "创建" if row["event"] == "create" else _event_label(row["event"])[0],
             "event_en": "Create" if row["event"] == "create" else _event_label(row["event"])[1],
             "from": row["from_state"], "to": row["to_state"], "reason": row["reason"], "basis": row["basis"],
             "remedy": row["remedy"]}
            for row in history
        ],
        "objections": [
            {"id": row["id"], "objector": None if mine else row["objector_name"], "grounds": row["grounds"],
             "evidence": row["evidence"], "raised_at": row["raised_at"], "due_on": row["due_on"],
             "verdict": row["verdict"], "reason": row["reason"]}
            for row in objections
        ],
        "allowed_events": allowed_events(found, identity),
    }


def _event_label(event: str) -> tuple[str, str]:
    for known, label in REGISTRATION.events.items():
        if known.value == event:
            return label.zh, label.en
    return event, event
