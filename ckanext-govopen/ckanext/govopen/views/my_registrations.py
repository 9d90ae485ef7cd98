"""One's registrations: drawing up, handing in, correcting; and objections of others during a public notice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceProblem
from ckanext.govopen.views import my_common as my

blueprint = my.signed_in_only("govopen_my_registrations")
NOTICE_PAGES = 20
TEXTS = (
    "kind", "title", "summary", "domain", "industry", "region", "time_range", "update_cycle", "scale", "format",
    "grade", "restrictions", "contact_name", "contact_phone", "source.mode", "source.basis", "source.provider_consent",
    "evidence.provider", "evidence.number", "evidence.algorithm", "evidence.digest", "evidence.deposited_on",
    "scenario.name", "scenario.description", "scenario.audience", "security.assessed_on", "security.conclusion",
    "security.measures", "business_review.reviewer", "business_review.reviewed_on", "business_review.opinion",
)
PRODUCT = ("product.category", "product.form", "product.agreement_number", "product.agreement_ends_on",
           "product.price_source")
LISTED = ("dataset_names", "source.upstream_codes")
"""Lists of codes, typed one after another."""
PLACES = {"source": "source.provider_consent", "product": "product.category", "": "product.category"}
"""Where the service's complaints about a whole group stand."""


def _put(content: dict[str, Any], name: str, value: Any) -> None:
    group, _, rest = name.partition(".")
    if rest:
        content.setdefault(group, {})[rest] = value
    else:
        content[group] = value


def content_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The form as the service takes it: groups nested, blanks left out, so that it names what is missing."""
    content: dict[str, Any] = {group: {} for group in ("source", "evidence", "scenario", "security", "business_review")}
    names = TEXTS + (PRODUCT if data.get("kind") == "product" else ())
    if data.get("kind") == "product":
        content["product"] = {}
    for name, value in my.text_of(data, *names).items():
        _put(content, name, value)
    if data.get("has_personal_info") in ("true", "false"):
        content["has_personal_info"] = data["has_personal_info"] == "true"
    content["dataset_names"] = my.codes(data.get("dataset_names"))
    content["source"]["upstream_codes"] = my.codes(data.get("source.upstream_codes"))
    return content


def flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """The stored content as the form names its fields."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            found.update({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            found[key] = value
    found["has_personal_info"] = str(content.get("has_personal_info", "")).lower()
    for name in LISTED:
        found[name] = " ".join(found.get(name) or [])
    return found


def errors_of(problem: ServiceProblem | None, data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Errors by field; a code among others is named."""
    found: dict[str, Any] = my.errors_of(problem, "content.")
    for name in LISTED:
        found.update(my.entry_errors(problem, f"content.{name}", data.get(name), name))
    return {PLACES.get("" if name == "content" else name, name): messages for name, messages in found.items()}


def _form(data: Mapping[str, Any] | None, problem: ServiceProblem | None, item: Mapping[str, Any] | None) -> Any:
    parties = [item["party"]] if item else my.acting_for(my.service().get("/v1/me"), "registration:apply")
    start = flat(item["content"]) if item else {
        "party_id": parties[0]["id"] if len(parties) == 1 else "", "kind": "resource"}
    return my.page_of("govopen/my/registration_form.html", {
        "item": item, "parties": parties, "data": data if data is not None else start,
        "errors": errors_of(problem, data or {}), "once": my.new_once(),
        "answering": bool(item and item["state"] == "supplement"),
    }, problem)


@blueprint.get("/registrations/new")
def new() -> Any:
    """The form of a first registration."""
    return _form(None, None, None)


@blueprint.post("/registrations/new")
def create() -> Any:
    """Save a draft or hand it in."""
    data = my.typed()
    submit = data.get("act") == "submit"
    body = {**my.text_of(data, "party_id"), "content": content_of(data), "submit": submit}
    try:
        made = my.service().post("/v1/registrations", body, idempotency_key=my.once_key(data))
    except ServiceProblem as problem:
        return _form(data, problem, None)
    said = tk._("The registration has been handed in. You can follow it here.") if submit else tk._(
        "The draft has been saved. Nobody but your organization sees it.")
    return my.redirect("govopen_my_registrations.show", said, registration_id=made["id"])


def _show(registration_id: str, problem: ServiceProblem | None = None) -> Any:
    item = my.service().get(my.path("registrations", registration_id))
    return my.page_of("govopen/my/registration.html", {
        "item": item, "entries": my.happenings(item["history"]), "remedy": my.remedy_of(item["history"]),
        "holder": my.holder(item["clock"]), "errors": my.errors_of(problem),
    }, problem)


@blueprint.get("/my/registrations/<registration_id>")
def show(registration_id: str) -> Any:
    """One registration."""
    return _show(registration_id)


@blueprint.post("/my/registrations/<registration_id>")
def act(registration_id: str) -> Any:
    """Hand in or withdraw."""
    data = my.typed()
    said = {"submit": tk._("The registration has been handed in. You can follow it here."),
            "withdraw": tk._("The registration has been withdrawn.")}.get(str(data.get("event")))
    if said is None:
        return tk.abort(400, tk._("This page knows no such action."))
    try:
        my.service().post(my.path("registrations", registration_id, "events"),
                          {"event": data["event"], "version": my.version_of(data)})
    except ServiceProblem as problem:
        return _show(registration_id, problem)
    return my.redirect("govopen_my_registrations.show", said, registration_id=registration_id)


def _edited(registration_id: str, data: Mapping[str, Any] | None, problem: ServiceProblem | None) -> Any:
    item = my.service().get(my.path("registrations", registration_id))
    if not {"edit", "answer_supplement"} & set(item["allowed_events"]):
        tk.h.flash_error(tk._("This registration cannot be changed in its present state."))
        return my.redirect("govopen_my_registrations.show", registration_id=registration_id)
    return _form(data, problem, item)


@blueprint.get("/my/registrations/<registration_id>/edit")
def edit(registration_id: str) -> Any:
    """The form with a draft, or with what has to be supplemented."""
    return _edited(registration_id, None, None)


@blueprint.post("/my/registrations/<registration_id>/edit")
def change(registration_id: str) -> Any:
    """New content of a draft, or the answer to a request for supplement."""
    data = my.typed()
    gateway, events = my.service(), my.path("registrations", registration_id, "events")
    answering = data.get("act") == "answer_supplement"
    body = {"event": "answer_supplement" if answering else "edit", "version": my.version_of(data),
            "content": content_of(data)}
    try:
        saved = gateway.post(events, body)
        if data.get("act") == "submit":
            gateway.post(events, {"event": "submit", "version": saved["version"]})
    except ServiceProblem as problem:
        return _edited(registration_id, data, problem)
    said = {
        "submit": tk._("The registration has been handed in. You can follow it here."),
        "answer_supplement": tk._("Your answer has been sent. The review goes on."),
    }.get(str(data.get("act")), tk._("The draft has been saved. Nobody but your organization sees it."))
    return my.redirect("govopen_my_registrations.show", said, registration_id=registration_id)


def _notice(registration_id: str) -> Mapping[str, Any] | None:
    """The registration while it is in public notice."""
    cursor: str | None = None
    for _ in range(NOTICE_PAGES):
        page = my.service().get("/v1/notices", limit=200, cursor=cursor)
        found = next((item for item in page["items"] if item["id"] == registration_id), None)
        cursor = page["next"]
        if found or not cursor:
            return found
    return None


def _objection(
    registration_id: str, data: Mapping[str, Any] | None = None, problem: ServiceProblem | None = None
) -> Any:
    item = _notice(registration_id)
    if item is None:
        return tk.abort(404, tk._("This registration is not in public notice, so nobody can object to it now."))
    return my.page_of("govopen/my/objection.html", {
        "item": item, "data": data or {}, "errors": my.errors_of(problem)}, problem)


@blueprint.get("/notices/<registration_id>/object")
def objection(registration_id: str) -> Any:
    """The form of an objection."""
    return _objection(registration_id)


@blueprint.post("/notices/<registration_id>/object")
def raise_objection(registration_id: str) -> Any:
    """Object, with real name, grounds and evidence."""
    data = my.typed()
    body = {"event": "object", "version": my.version_of(data),
            **my.text_of(data, "real_name", "reason", "evidence")}
    try:
        my.service().post(my.path("registrations", registration_id, "events"), body)
    except ServiceProblem as problem:
        return _objection(registration_id, data, problem)
    return my.redirect("govopen_registry.notices", tk._(
        "Your objection has been received. The registration authority examines it and answers with reasons."))
