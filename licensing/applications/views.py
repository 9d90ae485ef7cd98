"""Applications as people see them: who may see which, what they may do next, the line of steps, the clock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asyncpg

from authz import Call, NotFound, beijing_date, organisations_where
from authz.vocabularies import label
from licensing import clocks, parties
from licensing.access import belongs_to, permits
from licensing.applications import store
from licensing.applications.model import Application
from licensing.applications.steps import KIND, PAUSING, STEPS, E, S, current_step
from licensing.clocks import ClockEvent, Reading, read_clock
from licensing.history import history_of
from licensing.lifecycle import APPLICATION, MAIN_LINE, ApplicationEvent, ApplicationState
from licensing.limits import procedure

VIEW = "application:view"
APPLICANT_EVENTS = frozenset({
    E.EDIT, E.SUBMIT, E.ANSWER_SUPPLEMENT, E.WITHDRAW, E.ACCEPT_OFFER, E.SIGN,
})
INTERNAL_EVENTS = frozenset({E.PRICE_PROPOSED.value, E.PRICE_RETURNED.value})
"""How a price came about inside the exchange; the applicant sees the offer that was made."""
HOLDERS: dict[str, str] = {
    "form_review": "authority", "owner_review": "data_owner", "third_party_opinion": "data_owner",
    "pricing": "exchange_pricer", "supplement": "enterprise_member", "offer": "enterprise_admin",
    "signing": "enterprise_admin", "countersign": "exchange_officer",
}
"""The role that has to act while a step's clock runs."""


def visible(call: Call, application: Application) -> bool:
    """Members see their party's; staff see what has been submitted to them; nobody else sees anything."""
    if belongs_to(call.identity, application.party_id):
        return permits(call.identity, VIEW, application.party_id)
    return application.submitted_at is not None and permits(call.identity, VIEW, application.organisation_id)


async def require_view(tx: asyncpg.Connection, call: Call, application_id: str) -> Application:
    """The application without a lock; raises NotFound when it does not exist for this person."""
    found = await store.find(tx, application_id)
    if found is None or not visible(call, found):
        raise NotFound
    return found


async def get(tx: asyncpg.Connection, application_id: str) -> Application:
    """The application for other services; raises NotFound. Who may see it is the caller's question."""
    found = await store.find(tx, application_id)
    if found is None:
        raise NotFound
    return found


async def visible_page(
    tx: asyncpg.Connection, call: Call, *, mine: bool, states: Iterable[str] | None, before: str | None, limit: int
) -> list[Application]:
    """What the caller may see, newest first; ``mine`` leaves out what they see as staff."""
    identity = call.identity
    everywhere = organisations_where(identity, VIEW)
    own = [o for o in identity.organisations() if permits(identity, VIEW, o)]
    staff: list[str] | None = [] if mine else (None if everywhere is None else sorted(everywhere))
    return await store.listing(
        tx, parties=own, organisations=staff, states=states, before=before, limit=limit
    )


def allowed_events(call: Call, application: Application, signed: bool = False) -> list[str]:
    """Events that this person could send now; a hint for pages, checked again when they come."""
    identity = call.identity
    mine = belongs_to(identity, application.party_id)
    other_side = not mine and identity.user_id not in application.submitters
    found = []
    for row in APPLICATION.possible(application.state):
        event = ApplicationEvent(row.event)
        if row.by_system:
            continue
        if event in APPLICANT_EVENTS:
            allowed = mine and permits(identity, row.who, application.party_id)
        else:
            allowed = other_side and permits(identity, row.who, application.organisation_id)
        if allowed and _timely(call, application, event, signed):
            found.append(event.value)
    return found


def _timely(call: Call, application: Application, event: ApplicationEvent, signed: bool) -> bool:
    """Guards that are known without asking: what has been used up, who asked, who signed."""
    review, step, user = application.review, application.state.value, call.identity.user_id
    rules, proposal = procedure(), application.price_proposal
    match event:
        case E.REQUEST_SUPPLEMENT:
            return review.supplements.get(step, 0) < rules.supplements_per_step_max
        case E.REQUEST_EXTENSION:
            return review.extension is None and review.extensions.get(step, 0) < rules.extensions_per_step_max
        case E.DECIDE_EXTENSION:
            return review.extension is not None and review.extension["asked_by"] != user
        case E.PRICE_APPROVED | E.PRICE_RETURNED:
            return proposal is not None and proposal["proposed_by"] != user
        case E.SIGN:
            return not signed
        case E.COUNTERSIGN:
            return signed
    return True


def clock_document(application: Application, events: list[ClockEvent], call: Call) -> dict[str, Any] | None:
    """The clock that matters now; while it is paused ``waiting_for`` tells for whom and until when."""
    today = beijing_date(call.now)
    found: dict[str, Reading] = {}
    for step in dict.fromkeys(event.step for event in events):
        reading = read_clock(events, step, today)
        if reading is not None and reading.stopped_on is None:
            found[step] = reading
    step = current_step(application, found)
    if application.state in PAUSING:
        paused = next((r.step for r in found.values() if r.paused), None)
        if paused:
            return {
                **_held(application, found[paused]),
                "waiting_for": _held(application, found[step]) if step in found else None,
            }
    return {**_held(application, found[step]), "waiting_for": None} if step in found else None


def _held(application: Application, reading: Reading) -> dict[str, Any]:
    role = HOLDERS[reading.step]
    organisation = (
        application.party_id if role.startswith("enterprise")
        else application.organisation_id if role == "data_owner" else None
    )
    limit = procedure().limits.get(reading.step)
    return {
        **reading.as_document(), "holder_role": role, "holder_organisation_id": organisation,
        "source": limit.source if limit else None,
    }


def steps_document(application: Application) -> list[dict[str, Any]]:
    """The line of steps: those done, the current one, those to come; an end that is no grant ends the line."""
    reviewers = [ApplicationState(name) for name in procedure().reviewers]
    line: list[ApplicationState] = [s for s in MAIN_LINE if s not in (S.FORM_REVIEW, S.OWNER_REVIEW)]
    line[1:1] = reviewers
    ended = application.state in APPLICATION.terminal
    state = application.state
    if state is S.PARTLY_GRANTED:
        line[-1] = S.PARTLY_GRANTED
    elif ended and state is not S.GRANTED:
        line = [*line[: _reached(application, line)], state]
    at = line.index(state) if state in line else _position(application, line)
    out = []
    for n, one in enumerate(line):
        status = "done" if n < at else "todo" if n > at else _end(state) if ended else "current"
        out.append({"state": one.value, **APPLICATION.states[one].as_document(), "status": status})
    return out


def _end(state: ApplicationState) -> str:
    return "done" if state in (S.GRANTED, S.PARTLY_GRANTED) else "stopped"


def _position(application: Application, line: list[ApplicationState]) -> int:
    """Where a state that is not on the line stands: beside the reviewer who waits."""
    review = application.review
    match application.state:
        case S.SUPPLEMENT:
            return line.index(ApplicationState(str((review.supplement or {})["step"])))
        case S.THIRD_PARTY_OPINION:
            return line.index(S.OWNER_REVIEW)
        case S.ACCEPTED:
            return line.index(S.SIGNING)
        case _:
            return 1 if len(line) > 1 else 0


def _reached(application: Application, line: list[ApplicationState]) -> int:
    """How many steps of the line had been done before it ended early."""
    if application.submitted_at is None:
        return 1
    done = 1 + sum(1 for name in application.review.passed if ApplicationState(name) in line)
    if application.offer is not None:
        done = line.index(S.OFFERED)
    if application.agreement_id is not None:
        done = line.index(S.SIGNING)
    return done


async def brief(tx: asyncpg.Connection, call: Call, found: list[Application]) -> list[dict[str, Any]]:
    """Applications as items of a list."""
    by_party = await parties.names(tx, [one.party_id for one in found])
    events = await clocks.events_of(tx, KIND, [one.id for one in found])
    return [
        {
            "id": one.id, "number": one.number, "version": one.version, "state": one.state.value,
            **APPLICATION.states[one.state].as_document(),
            "party": {"id": one.party_id, "name": by_party[one.party_id].name},
            "object": one.object.as_document(), "fields": [f.as_document() for f in one.request.fields],
            "purpose_class": one.request.purpose_class.value, "purpose": one.request.purpose,
            "purpose_zh": label("purposes", one.request.purpose).zh,
            "purpose_en": label("purposes", one.request.purpose).en,
            "created_at": one.created_at.isoformat(),
            "submitted_at": one.submitted_at.isoformat() if one.submitted_at else None,
            "clock": clock_document(one, events.get(one.id, []), call),
            "due_on": one.due_on.isoformat() if one.due_on else None,
            "agreement_id": one.agreement_id, "grant_id": one.grant_id,
            "allowed_events": allowed_events(call, one, signed=_signed(events.get(one.id, []))),
        }
        for one in found
    ]


def _signed(events: list[ClockEvent]) -> bool:
    return any(event.step == "countersign" for event in events)


async def document(tx: asyncpg.Connection, call: Call, application: Application) -> dict[str, Any]:
    """Everything about one application that this caller may see."""
    (item,) = await brief(tx, call, [application])
    request, mine = application.request, belongs_to(call.identity, application.party_id)
    proposal = application.price_proposal
    return {
        **item,
        "purpose_text": request.purpose_text, "scenario": request.scenario,
        "region_codes": list(request.region_codes), "term_months": request.term_months,
        "delivery": list(request.delivery), "expected_rows_month": request.expected_rows_month,
        "row_filter": [dict(one) for one in application.row_filter], "masks": dict(application.masks),
        "supplement": application.review.supplement, "consultation": None if mine else application.review.consultation,
        "extension": _extension(application), "steps": steps_document(application),
        "history": [
            one for one in await history_of(tx, APPLICATION, application.id)
            if not (mine and one["event"] in INTERNAL_EVENTS)
        ],
        "price_proposal": None if mine or proposal is None else dict(proposal),
        "offer": dict(application.offer) if application.offer else None,
        "created_by": application.created_by_name,
        "lapses_on": application.lapses_on.isoformat() if application.lapses_on else None,
    }


def _extension(application: Application) -> dict[str, Any] | None:
    found = application.review.extension
    return {k: v for k, v in found.items() if k != "asked_by"} if found else None


__all__ = [
    "HOLDERS", "STEPS", "allowed_events", "brief", "clock_document", "document", "get", "require_view",
    "steps_document", "visible", "visible_page",
]
