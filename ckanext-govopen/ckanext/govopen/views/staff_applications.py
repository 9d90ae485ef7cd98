"""``/staff/applications/<id>``: everything needed to decide on an application, and the decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import masks
from ckanext.govopen.gateway import ServiceProblem, segment
from ckanext.govopen.helpers.pages import govopen_lang
from ckanext.govopen.views import staff_decisions as decisions
from ckanext.govopen.views.staff_base import Desk, Typed, field_errors, gone, is_stale, staff_page
from flask import Blueprint

blueprint = Blueprint("govopen_staff_applications", __name__)
KEPT = ("reason", "items", "basis", "party", "text", "signer_name", "working_days")
ENDED = frozenset({"granted", "partly_granted", "refused", "withdrawn", "expired"})


def _path(application_id: str) -> str:
    return f"/staff/applications/{segment(application_id)}"


def _facts(desk: Desk, application_id: str) -> dict[str, Any]:
    """The application with its applicant, its data object, its agreement and the words for its codes."""
    item = desk.gateway.get(f"/v1/applications/{segment(application_id)}")
    source = desk.maybe(f"/v1/data-objects/{segment(item['object']['resource_id'])}")
    known = {one["name"]: one for one in (source or {}).get("fields", [])}
    agreement = item.get("agreement_id")
    countersigning = "countersign" in item["allowed_events"] and agreement
    return {
        "item": item, "source": source,
        "party": desk.maybe(f"/v1/parties/{segment(item['party']['id'])}"),
        "agreement": desk.maybe(f"/v1/agreements/{segment(agreement)}") if agreement else None,
        "agreement_text": desk.gateway.text(f"/v1/agreements/{segment(agreement)}/text") if countersigning else "",
        "fields": [{**known.get(one["name"], {}), **one} for one in item["fields"]],
        "all_fields": list(known.values()), "terms": terms(desk),
        "history": [{**one, "label": govopen_lang(one, "event")} for one in reversed(item["history"])],
    }


def terms(desk: Desk) -> dict[str, dict[str, str]]:
    """The service's code lists in the language of the page: {list: {code: words}}."""
    found = desk.gateway.get("/v1/vocabularies")["lists"]
    return {name: {one["code"]: govopen_lang({"label_zh": one["zh"], "label_en": one["en"]}, "label")
                   for one in entries} for name, entries in found.items()}


def holders() -> dict[str, str]:
    """Whose turn it is, by the role that holds the clock."""
    return {
        "authority": tk._("Data authority"), "data_owner": tk._("Department"), "exchange_pricer": tk._("Exchange"),
        "exchange_officer": tk._("Exchange"), "enterprise_member": tk._("Applicant"),
        "enterprise_admin": tk._("Applicant"),
    }


def _show(
    desk: Desk, facts: Mapping[str, Any], chosen: str, typed: Typed | None = None,
    problem: ServiceProblem | None = None, errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    allowed = facts["item"]["allowed_events"]
    events = [event for event in decisions.ORDER if event in allowed]
    event = chosen if chosen in events else (events[0] if events else "")
    kept = [typed.text(name) for name in KEPT if typed.text(name)] if typed and event != chosen else []
    source = facts["source"] or {}
    graves = {source.get("grade"), *(one.get("grade") for one in facts["fields"])}
    agreement = facts["agreement"]
    return desk.page(
        "application.html", "queue", status=status, beside=True, **facts,
        events=[{"name": name, **decisions.words(name)} for name in events], event=event,
        chosen_words=decisions.words(event) if event else {}, priced=bool(decisions.PRICE_EVENTS & set(allowed)),
        typed=typed.form if typed and event == chosen else {}, kept=kept, errors=errors or {},
        filters=decisions.shown_filters(decisions.filter_rows(typed) if typed and event == chosen else []),
        operators=decisions.operators(),
        operator_words={one["value"]: one["label"] for one in decisions.operators()}, holders=holders(),
        mask_options=decisions.mask_options, mask_label=masks.label,
        ask_consent=bool(source.get("shared_from")), ask_assessment="important" in graves,
        delivery=tk._(", ").join(facts["terms"]["delivery_forms"].get(one, one) for one in facts["item"]["delivery"]),
        signatures=tk._(", ").join(one["signer_name"] for one in agreement["signatures"]) if agreement else "",
        refusal=problem, stale=is_stale(problem), ended=facts["item"]["state"] in ENDED,
    )


@blueprint.get("/staff/applications/<application_id>")
@staff_page
def show(desk: Desk, application_id: str) -> Any:
    """The application; ``?do=<event>`` chooses the decision whose form is open."""
    return _show(desk, _facts(desk, application_id), tk.request.args.get("do", ""))


@blueprint.post("/staff/applications/<application_id>")
@staff_page
def decide(desk: Desk, application_id: str) -> Any:
    """One decision. A refusal shows the page anew as it stands now, with everything that was typed."""
    typed = Typed()
    event = typed.text("event")
    facts = _facts(desk, application_id)
    if event not in decisions.ORDER or typed.text("act") == "rows":
        return _show(desk, facts, event, typed)
    body, rename = _body(event, typed, facts)
    if typed.errors:
        return _show(desk, facts, event, typed, errors=typed.errors, status=422)
    try:
        if event == "countersign":
            agreement = facts["item"].get("agreement_id") or "none"
            desk.gateway.post(f"/v1/agreements/{segment(agreement)}/events", body)
        else:
            desk.gateway.post(f"/v1/applications/{segment(application_id)}/events", body)
    except ServiceProblem as problem:
        found = field_errors(problem, rename)
        return _show(desk, _facts(desk, application_id), event, typed, problem, found, problem.status)
    return gone(_path(application_id), tk._("Done: {event}.").format(event=decisions.words(event)["label"]))


def _body(event: str, typed: Typed, facts: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[str], str]]:
    def same(name: str) -> str:
        return "items" if name.startswith("items.") else name

    given: dict[str, Any]
    rename = same
    if event == "decide_owner":
        types = {one["name"]: one.get("type", "text") for one in facts["all_fields"]}
        given, rename = decisions.owner_decision(typed, types)
    else:
        given = decisions.plain_decision(event, typed)
    return {"event": event, "version": typed.version, **{k: v for k, v in given.items() if v is not None}}, rename
