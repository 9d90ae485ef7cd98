"""One way to change an application: by a row of the table, with its clocks, history and evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import asyncpg

from authz import SYSTEM, AuditLog, Call, beijing_date
from licensing import clocks
from licensing.applications import store
from licensing.applications.model import Application
from licensing.clocks import ClockKind, Reading, read_clock
from licensing.history import Happening, record_transition
from licensing.lifecycle import APPLICATION, ApplicationEvent, ApplicationState, Transition
from licensing.limits import procedure
from licensing.working_days import WorkingDays, working_days_between

S, E = ApplicationState, ApplicationEvent

KIND = "application"
STEPS = {
    S.FORM_REVIEW: "form_review",
    S.OWNER_REVIEW: "owner_review",
    S.SUPPLEMENT: "supplement",
    S.THIRD_PARTY_OPINION: "third_party_opinion",
    S.PRICING: "pricing",
    S.OFFERED: "offer",
    S.SIGNING: "signing",
}
"""The clock that runs in a state, named as its limit."""
PAUSING = frozenset({S.SUPPLEMENT, S.THIRD_PARTY_OPINION})
"""States in which the reviewer's clock stands still while another's runs."""
LAPSING = frozenset({S.SUPPLEMENT, S.OFFERED, S.SIGNING})
"""States whose limit is the applicant's: when it passes the application lapses."""
REVIEWING = frozenset({S.FORM_REVIEW, S.OWNER_REVIEW})


def as_system(call: Call) -> Call:
    """The same call with the system as its actor, for steps that a rule takes."""
    return replace(call, identity=SYSTEM)


async def move(
    tx: asyncpg.Connection, call: Call, before: Application, row: Transition, after: Application, *,
    audit: AuditLog, reason: str | None = None, basis: str | None = None, adverse: bool = False,
    limit: WorkingDays | None = None, details: dict[str, Any] | None = None,
) -> Application:
    """Save ``after`` (whose state the row must lead to) with its clocks, history and audit entry.

    ``limit`` replaces the configured limit of the step that is entered. Returns it as saved, version raised.
    """
    target = ApplicationState(APPLICATION.chosen(row, after.state))
    after = replace(after, version=before.version + 1)
    if target in APPLICATION.terminal:
        after = replace(after, ended_at=call.now)
    await record_transition(
        tx, audit, call, APPLICATION, row, target.value,
        Happening(before.id, before.organisation_id, after.version, reason=reason, basis=basis,
                  details=details or {}),
        adverse=adverse,
    )
    await _turn_clocks(tx, call, before, target, reason, limit)
    after = await with_dates(tx, call, after)
    await store.save(tx, after)
    return after


async def _turn_clocks(
    tx: asyncpg.Connection, call: Call, before: Application, target: ApplicationState,
    reason: str | None, limit: WorkingDays | None,
) -> None:
    if target is before.state:
        return

    async def turn(step: str, kind: ClockKind, **more: Any) -> None:
        await clocks.record(tx, call, KIND, before.id, step, kind, **more)

    if target in PAUSING:
        await turn(STEPS[before.state], ClockKind.PAUSE, reason=reason)
    elif before.state in PAUSING and target in REVIEWING:
        await turn(STEPS[before.state], ClockKind.STOP)
        await turn(STEPS[target], ClockKind.RESUME)
        return
    else:
        for reading in (await readings(tx, call, before.id)).values():
            if reading.stopped_on is None:
                await turn(reading.step, ClockKind.STOP)
    if target in STEPS:
        await start_clock(tx, call, before.id, STEPS[target], limit)


async def start_clock(
    tx: asyncpg.Connection, call: Call, application_id: str, step: str, limit: WorkingDays | None = None
) -> None:
    configured = procedure().limit(step)
    await clocks.record(
        tx, call, KIND, application_id, step, ClockKind.START, days=limit or configured.working_days,
        basis=configured.source,
    )


async def readings(tx: asyncpg.Connection, call: Call, application_id: str) -> dict[str, Reading]:
    """Every clock of the application by step, as of the call's day."""
    events = (await clocks.events_of(tx, KIND, [application_id])).get(application_id, [])
    today = beijing_date(call.now)
    found = {}
    for step in dict.fromkeys(event.step for event in events):
        reading = read_clock(events, step, today)
        if reading is not None:
            found[step] = reading
    return found


async def with_dates(tx: asyncpg.Connection, call: Call, application: Application) -> Application:
    """The application with the due date of whoever has to act and the date on which it would lapse."""
    found = await readings(tx, call, application.id)
    running = found.get(current_step(application, found))
    due = running.due_on if running and running.stopped_on is None else None
    lapses = due if application.state in LAPSING and not _waits_for_countersignature(found) else None
    return replace(application, due_on=due, lapses_on=lapses)


def current_step(application: Application, found: dict[str, Reading]) -> str:
    """The step whose clock runs now; after the applicant has signed it is the countersigner's."""
    if application.state is S.SIGNING and _waits_for_countersignature(found):
        return "countersign"
    return STEPS.get(application.state, "")


def _waits_for_countersignature(found: dict[str, Reading]) -> bool:
    reading = found.get("countersign")
    return reading is not None and reading.stopped_on is None


def next_stop(application: Application, passed: tuple[str, ...]) -> ApplicationState:
    """The next reviewer in the configured order who has not passed it, else pricing."""
    for step in procedure().reviewers:
        if step not in passed:
            return ApplicationState(step)
    return S.PRICING


async def enter_pricing(
    tx: asyncpg.Connection, call: Call, application: Application, *, audit: AuditLog
) -> Application:
    """When pricing has been reached for a use that is free by force, make the free offer at once."""
    if application.state is not S.PRICING or application.chargeable:
        return application
    row = APPLICATION.require(S.PRICING, E.WAIVE_PRICE)
    limit = procedure().limit("offer")
    until = limit.deadline(beijing_date(call.now)).on
    offer = {
        "rate_card_id": None, "rate_card_version": None, "use_class": application.request.purpose_class.value,
        "currency": "CNY", "pricing": {"kind": "flat", "meter": "rows", "flat_fen": 0, "tiers": []},
        "quota": {"rows_month": application.request.expected_rows_month}, "shares_version": None,
        "valid_until_on": until.isoformat(),
    }
    return await move(
        tx, as_system(call), application, row, replace(application, state=S.OFFERED, offer=offer), audit=audit,
        reason="公共治理、公益事业用途免费", limit=working_days_between(beijing_date(call.now), until),
    )
