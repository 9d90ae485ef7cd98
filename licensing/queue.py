"""Work items of staff 待办: what waits for the caller, the most urgent first. Other parts add their own sources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import asyncpg

from authz import Call, beijing_date, organisations_where, require
from licensing import agreements, applications, clocks, parties
from licensing.applications import Application
from licensing.clocks import read_clock
from licensing.lifecycle import APPLICATION, ApplicationState, PartyState
from licensing.working_days import working_days_between

S = ApplicationState
Source = Callable[[asyncpg.Connection, Call, int], Awaitable[list[dict[str, Any]]]]
"""Given the caller and a bound, the items that wait for them: {kind, id, title, state, due_on, overdue, …}."""

WORK = {
    S.FORM_REVIEW: ("application:form_review",),
    S.OWNER_REVIEW: ("application:owner_review",),
    S.THIRD_PARTY_OPINION: ("application:owner_review",),
    S.PRICING: ("application:price_propose", "application:price_approve"),
}
"""States in which an application is somebody's work, and the actions of those whose work it is."""


async def application_work(tx: asyncpg.Connection, call: Call, limit: int) -> list[dict[str, Any]]:
    """Applications that the caller could move on now; pausing third-party consultations included."""
    found: list[Application] = []
    for state, actions in WORK.items():
        for action in actions:
            organisations = organisations_where(call.identity, action)
            if organisations is None or organisations:
                found += await applications.waiting(tx, state, organisations, limit)
    if organisations_where(call.identity, "application:extend") is None:
        found += [
            one for one in await applications.waiting(tx, S.OWNER_REVIEW, None, limit)
            if one.review.extension is not None
        ]
    unique = {one.id: one for one in found}
    items = []
    for item in await applications.brief(tx, call, list(unique.values())):
        if not set(item["allowed_events"]) - {"price_returned"}:
            continue
        clock = item["clock"] or {}
        items.append({
            "kind": "application", "id": item["id"], "number": item["number"],
            "title": f"{item['party']['name']}：{item['object']['dataset_title']}", "state": item["state"],
            "label_zh": item["label_zh"], "label_en": item["label_en"], "due_on": clock.get("due_on"),
            "working_days_left": clock.get("working_days_left"), "paused": clock.get("paused", False),
            "overdue": clock.get("overdue", False), "allowed_events": item["allowed_events"],
        })
    return items


async def agreement_work(tx: asyncpg.Connection, call: Call, limit: int) -> list[dict[str, Any]]:
    """Agreements that wait for the countersignature."""
    if organisations_where(call.identity, "agreement:countersign") is not None:
        return []
    label = APPLICATION.states[S.SIGNING]
    return [
        {
            "kind": "agreement", "id": one.id, "number": one.number, "application_id": one.application_id,
            "title": f"{one.terms['party']['name']}：{one.terms['object']['dataset_title']}",
            "state": one.state.value, "label_zh": "待会签", "label_en": label.en, **_due(call, due),
            "allowed_events": ["countersign"],
        }
        for one, _, due in await agreements.waiting(tx, limit)
    ]


async def party_work(tx: asyncpg.Connection, call: Call, limit: int) -> list[dict[str, Any]]:
    """Parties that wait for their real-name check."""
    if organisations_where(call.identity, "party:verify") is not None:
        return []
    found = await parties.listing(tx, ids=None, state=PartyState.PENDING, limit=limit)
    events = await clocks.events_of(tx, "party", [one.id for one in found])
    items = []
    for one in found:
        reading = read_clock(events.get(one.id, ()), "party_verification", beijing_date(call.now))
        items.append({
            "kind": "party", "id": one.id, "number": one.uscc, "title": one.name, "state": one.state.value,
            "label_zh": "待核验", "label_en": "Pending", "paused": False,
            "due_on": reading.due_on.isoformat() if reading and reading.due_on else None,
            "working_days_left": reading.left if reading else None,
            "overdue": reading.overdue if reading else False, "allowed_events": ["approve", "refuse"],
        })
    return items


async def overdue_items(tx: asyncpg.Connection, call: Call, limit: int = 500) -> list[dict[str, Any]]:
    """The supervisor's board: applications on which an office let its limit pass, and whose turn it is."""
    require(call.identity, "audit:read", None)
    found = await applications.overdue(tx, beijing_date(call.now), limit)
    return [
        {
            "kind": "application", "id": item["id"], "number": item["number"], "state": item["state"],
            "title": f"{item['party']['name']}：{item['object']['dataset_title']}",
            "label_zh": item["label_zh"], "label_en": item["label_en"], "due_on": item["due_on"],
            "clock": item["clock"],
        }
        for item in await applications.brief(tx, call, found)
    ]


def _due(call: Call, due: date | None) -> dict[str, Any]:
    if due is None:
        return {"due_on": None, "working_days_left": None, "paused": False, "overdue": False}
    today = beijing_date(call.now)
    left = working_days_between(today, due).count if due >= today else -working_days_between(due, today).count
    return {"due_on": due.isoformat(), "working_days_left": left, "paused": False, "overdue": today > due}


SOURCES: list[Source] = [application_work, agreement_work, party_work]
"""Where work comes from; another part of the package appends its own."""


async def work_items(tx: asyncpg.Connection, call: Call, limit: int = 500) -> list[dict[str, Any]]:
    """Everything that waits for the caller, overdue and earliest due first."""
    items = [item for source in SOURCES for item in await source(tx, call, limit)]
    return sorted(items, key=lambda item: (item["due_on"] or "9999-12-31", item["kind"], item["id"]))
