"""``/staff/registrations``: the registrar's list and the review of one registration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceProblem, segment
from ckanext.govopen.helpers.pages import govopen_lang
from ckanext.govopen.views.staff_base import REGISTRATION_ACTIONS, Desk, Typed, field_errors, gone, is_stale, staff_page
from flask import Blueprint

blueprint = Blueprint("govopen_staff_registrations", __name__)
ORDER = ("accept", "pass_review", "decide_objection", "assign_code", "request_supplement", "reject", "deregister",
         "revoke")
REASONED = frozenset({"request_supplement", "reject", "decide_objection", "deregister", "revoke"})
PAGE = 50


def words(event: str) -> dict[str, Any]:
    """What a step is called, and what follows from it."""
    return {
        "accept": {"label": tk._("Accept the registration"), "danger": False, "consequence": tk._(
            "The formal review begins, with its own limit in working days.")},
        "pass_review": {"label": tk._("Pass the review and give notice"), "danger": False, "consequence": tk._(
            "Registrant, kind, name and summary are published for ten working days; anyone may object.")},
        "decide_objection": {"label": tk._("Decide on the objection"), "danger": False, "consequence": tk._(
            "An objection that is upheld ends the registration; one that is dismissed lets the notice run on.")},
        "assign_code": {"label": tk._("Assign the code"), "danger": False, "consequence": tk._(
            "The registration gets its code and a signed certificate that anyone can verify.")},
        "request_supplement": {"label": tk._("Request corrections"), "danger": False, "consequence": tk._(
            "The registrant is told once, in full, what to correct; it is not possible a second time.")},
        "reject": {"label": tk._("Do not register"), "danger": True, "consequence": tk._(
            "The registration ends here. The registrant reads your reason and how to appeal.")},
        "deregister": {"label": tk._("Deregister"), "danger": True, "consequence": tk._(
            "The certificate is no longer in force from now on; verification says so.")},
        "revoke": {"label": tk._("Revoke"), "danger": True, "consequence": tk._(
            "The certificate is revoked for cause; verification says so.")},
    }[event]


@blueprint.get("/staff/registrations")
@staff_page
def listing(desk: Desk) -> Any:
    """What waits for the registrar, or what has been registered."""
    mine = desk.may(*REGISTRATION_ACTIONS)
    view = tk.request.args.get("view", "queue" if mine else "coded")
    found = desk.gateway.get("/v1/registrations", queue=True if view == "queue" and mine else None, limit=PAGE,
                             cursor=tk.request.args.get("cursor") or None)
    return desk.page("registrations.html", "registrations", items=found["items"], next=found["next"],
                     view="queue" if view == "queue" and mine else "coded", mine=mine)


def _show(
    desk: Desk, registration_id: str, chosen: str, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    item = desk.gateway.get(f"/v1/registrations/{segment(registration_id)}")
    waiting = [one for one in item["objections"] if not one["verdict"]]
    events = [event for event in ORDER if event in item["allowed_events"]]
    if not waiting and "decide_objection" in events:
        events.remove("decide_objection")
    event = chosen if chosen in events else (events[0] if events else "")
    keep = typed is not None and event == chosen
    reason = typed.text("reason") if typed else ""
    return desk.page(
        "registration.html", "registrations", status=status, beside=True, item=item, content=item["content"],
        events=[{"name": name, **words(name)} for name in events], event=event,
        chosen_words=words(event) if event else {}, waiting=waiting, reasoned=event in REASONED,
        typed=typed.form if keep and typed else {}, kept=[reason] if reason and not keep else [],
        errors=errors or {}, refusal=problem, stale=is_stale(problem),
        history=[{**one, "label": govopen_lang(one, "event")} for one in reversed(item["history"])],
    )


@blueprint.get("/staff/registrations/<registration_id>")
@staff_page
def show(desk: Desk, registration_id: str) -> Any:
    """The whole registration; ``?do=<event>`` chooses the step whose form is open."""
    return _show(desk, registration_id, tk.request.args.get("do", ""))


@blueprint.post("/staff/registrations/<registration_id>")
@staff_page
def step(desk: Desk, registration_id: str) -> Any:
    """One step of the review."""
    typed = Typed()
    event = typed.text("event")
    if event not in ORDER:
        return _show(desk, registration_id, "")
    body: dict[str, Any] = {"event": event, "version": typed.version}
    if event in REASONED:
        body["reason"] = typed.maybe("reason")
    if event == "decide_objection":
        body |= {"verdict": typed.maybe("verdict"), "objection_id": typed.maybe("objection_id")}
    try:
        desk.gateway.post(f"/v1/registrations/{segment(registration_id)}/events", body)
    except ServiceProblem as problem:
        return _show(desk, registration_id, event, typed, problem, field_errors(problem), problem.status)
    return gone(f"/staff/registrations/{segment(registration_id)}",
                tk._("Done: {event}.").format(event=words(event)["label"]))
