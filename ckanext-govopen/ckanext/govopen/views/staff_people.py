"""``/staff/parties`` and ``/staff/roles``: verification of organizations, and who holds which role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckan import model
from ckanext.govopen import identity
from ckanext.govopen.gateway import ServiceProblem, ServiceRefusal, segment
from ckanext.govopen.helpers.pages import govopen_lang
from ckanext.govopen.views.staff_applications import terms
from ckanext.govopen.views.staff_base import (
    APPLICANT_ROLES,
    Desk,
    Typed,
    field_errors,
    gone,
    is_stale,
    role_label,
    staff_page,
)
from flask import Blueprint

blueprint = Blueprint("govopen_staff_people", __name__)
PAGE = 50
VERDICTS = ("approve", "refuse", "suspend", "reinstate")
REASONED = frozenset({"refuse", "suspend"})
CITY = "city"
ROLES = ("exchange_officer", "exchange_pricer", "exchange_approver", "registrar", "authority", "auditor",
         "security_admin", "system_admin", "publisher", "data_owner", "enterprise_admin", "enterprise_member")


def words(verdict: str) -> dict[str, Any]:
    """What a verdict on an organization is called, and what follows from it."""
    return {
        "approve": {"label": tk._("Confirm the real name"), "danger": False, "consequence": tk._(
            "The organization may apply for data and sign agreements from now on.")},
        "refuse": {"label": tk._("Refuse the verification"), "danger": True, "consequence": tk._(
            "The organization reads your reason; it may correct its particulars and ask again.")},
        "suspend": {"label": tk._("Suspend"), "danger": True, "consequence": tk._(
            "The organization can make no new applications until it is reinstated.")},
        "reinstate": {"label": tk._("Reinstate"), "danger": False, "consequence": tk._(
            "The organization may act again.")},
    }[verdict]


@blueprint.get("/staff/parties")
@staff_page
def parties(desk: Desk) -> Any:
    """Organizations that signed up, newest first."""
    state = tk.request.args.get("state", "")
    asked = state if state in ("pending", "verified", "rejected", "suspended") else None
    found = desk.gateway.get("/v1/parties", state=asked, limit=PAGE, cursor=tk.request.args.get("cursor") or None)
    return desk.page("parties.html", "parties", items=found["items"], next=found["next"], chosen=asked or "",
                     terms=terms(desk))


def _party(
    desk: Desk, party_id: str, chosen: str = "", typed: Typed | None = None, problem: ServiceProblem | None = None,
) -> Any:
    item = desk.gateway.get(f"/v1/parties/{segment(party_id)}")
    members = desk.maybe(f"/v1/parties/{segment(party_id)}/members")
    events = [verdict for verdict in VERDICTS if verdict in item["allowed_events"] and desk.may("party:verify")]
    event = chosen if chosen in events else (events[0] if events else "")
    keep = typed is not None and event == chosen
    reason = typed.text("reason") if typed else ""
    return desk.page(
        "party.html", "parties", status=problem.status if problem else 200, beside=True, item=item, terms=terms(desk),
        members=[{**one, "role_label": role_label(one)} for one in (members or {}).get("items", [])],
        events=[{"name": name, **words(name)} for name in events], event=event,
        chosen_words=words(event) if event else {}, needs_reason=event in REASONED,
        reason=reason if keep else "", kept=[reason] if reason and not keep else [],
        errors=field_errors(problem) if problem else {}, refusal=problem, stale=is_stale(problem),
        history=[{**one, "label": govopen_lang(one, "event")} for one in reversed(item["history"])],
    )


@blueprint.get("/staff/parties/<party_id>")
@staff_page
def party(desk: Desk, party_id: str) -> Any:
    """One organization: particulars, seats, history, verdict."""
    return _party(desk, party_id, tk.request.args.get("do", ""))


@blueprint.post("/staff/parties/<party_id>")
@staff_page
def verify_party(desk: Desk, party_id: str) -> Any:
    """The verdict."""
    typed = Typed()
    verdict = typed.text("event")
    if verdict not in VERDICTS:
        return _party(desk, party_id)
    body = {"verdict": verdict, "version": typed.version, "reason": typed.maybe("reason")}
    try:
        desk.gateway.post(f"/v1/parties/{segment(party_id)}/verify", body)
    except ServiceProblem as problem:
        return _party(desk, party_id, verdict, typed, problem)
    return gone(f"/staff/parties/{segment(party_id)}", tk._("Done: {event}.").format(event=words(verdict)["label"]))


def _places(desk: Desk, assigned: list[dict[str, Any]]) -> dict[str, str]:
    """Organizations by id, as far as this person may know them: departments, parties they may see, the city."""
    found = {CITY: tk._("The whole platform")}
    groups = model.Session.query(model.Group).filter(
        model.Group.is_organization.is_(True), model.Group.state == "active")
    found |= {group.id: group.title or group.name for group in groups.order_by(model.Group.name).limit(500)}
    known = desk.maybe("/v1/parties", limit=100) or {"items": []}
    found |= {one["id"]: one["name"] for one in known["items"]}
    for one in assigned:
        found.setdefault(one["organisation_id"], one["organisation_id"])
    return found


def _roles(
    desk: Desk, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    asked, account = tk.request.args.get("role", ""), tk.request.args.get("account", "").strip()[:100]
    user = identity.find_user(account)
    if account and user is None:
        found: dict[str, Any] = {"items": [], "next": None}
    else:
        found = desk.gateway.get(
            "/v1/roles", role=asked if asked in ROLES else None, user_id=user.id if user else None, limit=PAGE,
            cursor=tk.request.args.get("cursor") or None)
    places = _places(desk, found["items"])
    return desk.page(
        "roles.html", "roles", status=status, next=found["next"], typed=typed.form if typed else {},
        items=[{**one, "role_label": role_label(one), "place": places[one["organisation_id"]]}
               for one in found["items"]],
        roles=[{"value": role, "label": role_name(role)} for role in ROLES if role not in APPLICANT_ROLES],
        places_known=places, chosen=asked if asked in ROLES else "", account=account,
        can_assign=desk.may("role:assign"),
        errors=errors or {}, refusal=problem,
    )


def role_name(role: str) -> str:
    """A role in words, without an assignment at hand."""
    return {
        "exchange_officer": tk._("Exchange officer"), "exchange_pricer": tk._("Exchange pricer"),
        "exchange_approver": tk._("Exchange approver"), "registrar": tk._("Registrar"),
        "authority": tk._("Data authority"), "auditor": tk._("Auditor"),
        "security_admin": tk._("Security administrator"), "system_admin": tk._("System administrator"),
        "publisher": tk._("Data publisher"), "data_owner": tk._("Data owner"),
    }.get(role, role)


@blueprint.get("/staff/roles")
@staff_page
def roles(desk: Desk) -> Any:
    """Live assignments, and the form for a new one."""
    return _roles(desk)


@blueprint.post("/staff/roles")
@staff_page
def assign(desk: Desk) -> Any:
    """Give a person a role. They are named by their account name."""
    typed = Typed()
    user = identity.find_user(typed.text("user_name")[:100])
    if user is None:
        errors = {"user_name": tk._("There is no active account with this name.")}
        return _roles(desk, typed, errors=errors, status=422)
    body = {"user_id": user.id, "user_name": user.name, "role": typed.text("role"),
            "organisation_id": typed.text("organisation_id")}
    try:
        desk.gateway.post("/v1/roles", body)
    except ServiceProblem as problem:
        return _roles(desk, typed, problem, field_errors(problem), problem.status)
    return gone(f"/staff/roles?account={segment(user.name)}", tk._("The role was assigned."))


@blueprint.post("/staff/roles/<assignment_id>/end")
@staff_page
def end(desk: Desk, assignment_id: str) -> Any:
    """End an assignment."""
    try:
        desk.gateway.delete(f"/v1/roles/{segment(assignment_id)}")
    except ServiceRefusal as problem:
        return _roles(desk, None, problem, None, problem.status)
    return gone("/staff/roles", tk._("The role was ended."))
