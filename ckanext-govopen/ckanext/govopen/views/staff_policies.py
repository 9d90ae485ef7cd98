"""``/staff/policies``: versions of the policies, what they change, what they would have changed, who decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import masks
from ckanext.govopen.gateway import ServiceProblem, segment
from ckanext.govopen.helpers.pages import govopen_lang
from ckanext.govopen.views.staff_base import Desk, Typed, field_errors, gone, is_stale, staff_page
from ckanext.govopen.views.why import channel_words, service_lists
from flask import Blueprint

blueprint = Blueprint("govopen_staff_policies", __name__)
PAGE = 30


@blueprint.get("/staff/policies")
@staff_page
def policies(desk: Desk) -> Any:
    """The version in force, its files, and versions newest first."""
    found = desk.gateway.get("/v1/policies", limit=PAGE, cursor=tk.request.args.get("cursor") or None)
    return desk.page(
        "policies.html", "policies", items=found["items"], next=found["next"], in_force=found["in_force"],
        release=found["release"], files=found["files"], can_propose=desk.may("policy:propose"),
        can_approve=desk.may("policy:approve"), errors={}, typed={},
    )


@blueprint.get("/staff/policies/new")
@staff_page
def new(desk: Desk) -> Any:
    """One file of the policies in force, to be changed."""
    return _form(desk, tk.request.args.get("file", ""))


def _form(desk: Desk, path: str, typed: Typed | None = None, problem: ServiceProblem | None = None) -> Any:
    found = desk.gateway.get("/v1/policies/files/" + "/".join(map(segment, path.split("/"))))
    errors = field_errors(problem, lambda name: "text" if name.startswith("files.") else name) if problem else {}
    return desk.page(
        "policy_form.html", "policies", path=path, text=typed.form.get("text", "") if typed else found["text"],
        reason=typed.text("reason") if typed else "", version=found["policy_version"], errors=errors, refusal=problem,
    )


@blueprint.post("/staff/policies/new")
@staff_page
def propose(desk: Desk) -> Any:
    """Propose the changed file. A browser sends line ends of two signs; files have one."""
    typed = Typed()
    path = typed.text("file")
    text = str(typed.form.get("text", "")).replace("\r\n", "\n")
    try:
        made = desk.gateway.post("/v1/policies", {"files": {path: text}, "reason": typed.text("reason")})
    except ServiceProblem as problem:
        return _form(desk, path, typed, problem)
    return gone(f"/staff/policies/{segment(made['id'])}", tk._("Proposed. Somebody else decides on it."))


def told(change: Mapping[str, Any]) -> dict[str, Any]:
    """A change with what each side says: why it denies; of two permits what the other one does not have."""
    before, after = change["before"], change["after"]
    sides = {"before": _reasons(before), "after": _reasons(after)}
    if before["effect"] == after["effect"] == "permit":
        sides = {"before": _duties(before, after), "after": _duties(after, before)}
        if not any(sides.values()):
            sides["after"] = [tk._("other duties than before")]
    return {**change, **{name: {**change[name], "lines": lines} for name, lines in sides.items()}}


def _reasons(side: Mapping[str, Any]) -> list[str]:
    return [govopen_lang({"t_zh": one["zh"], "t_en": one["en"]}, "t") for one in side["sentences"]]


def _duties(side: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Fields that only this side gives, and masks that the other one does not put on its fields."""
    lines = []
    alone = [name for name in side["columns"] if name not in other["columns"]]
    if alone:
        lines.append(tk._("only here: {fields}").format(fields=tk._(", ").join(alone)))
    lines += [
        tk._("{field}: {mask}").format(field=name, mask=masks.label(side["masks"].get(name)))
        for name in side["columns"]
        if name not in alone and side["masks"].get(name) != other["masks"].get(name)
    ]
    return lines


def _show(desk: Desk, version_id: str, typed: Typed | None = None, problem: ServiceProblem | None = None) -> Any:
    item = desk.gateway.get(f"/v1/policies/{segment(version_id)}")
    simulation = None
    if item["state"] == "proposed":
        simulation = desk.gateway.post(f"/v1/policies/{segment(version_id)}/simulate")
        for group in (simulation["grants"], simulation["decisions"]):
            group["first"] = [told(one) for one in group["first"]]
    return desk.page(
        "policy.html", "policies", item=item, simulation=simulation,
        channels=channel_words(service_lists(desk.gateway)), can_decide=desk.may("policy:approve"),
        reason=typed.text("reason") if typed else "",
        errors=field_errors(problem) if problem else {}, refusal=problem, stale=is_stale(problem),
    )


@blueprint.get("/staff/policies/<version_id>")
@staff_page
def show(desk: Desk, version_id: str) -> Any:
    """One version: its differences; of a proposed one what it would change."""
    return _show(desk, version_id)


@blueprint.post("/staff/policies/<version_id>")
@staff_page
def decide(desk: Desk, version_id: str) -> Any:
    """Approve, reject, or put an earlier version back."""
    typed = Typed()
    act = typed.text("act")
    address = f"/v1/policies/{segment(version_id)}"
    try:
        if act == "roll-back":
            desk.gateway.post(f"{address}/roll-back", {"reason": typed.text("reason")})
        elif act in ("approve", "reject"):
            desk.gateway.post(f"{address}/{act}", {"version": typed.version, "reason": typed.text("reason")})
        else:
            return _show(desk, version_id)
    except ServiceProblem as problem:
        if version_id == "release":
            raise
        return _show(desk, version_id, typed, problem)
    said = {"approve": tk._("The version is in force."), "reject": tk._("The version is rejected."),
            "roll-back": tk._("The earlier version is in force again.")}[act]
    return gone("/staff/policies", said)
