"""Applying for restricted data: conditions first, then a form whose every rule is the service's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceProblem
from ckanext.govopen.views import my_common as my

blueprint = my.signed_in_only("govopen_apply")


def typed() -> dict[str, Any]:
    """What the form sent."""
    form = tk.request.form
    return {**my.typed(), "fields": form.getlist("fields"), "delivery": form.getlist("delivery")}


def body_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for, as the service takes it; blanks are left out, so that it names them."""
    body: dict[str, Any] = my.text_of(data, "purpose_class", "purpose", "purpose_text", "scenario")
    body.update({name: list(data[name]) for name in ("fields", "delivery") if data.get(name)})
    body.update({name: my.number_of(data[name]) for name in ("term_months", "expected_rows_month")
                 if str(data.get(name) or "").strip()})
    return {"delivery": [], **body, "region_codes": my.codes(data.get("region_codes"))}


def errors_of(problem: ServiceProblem | None, data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Errors by field; a wrong region code is named."""
    return {**my.errors_of(problem), **my.entry_errors(problem, "region_codes", data.get("region_codes"))}


def form_context(data_object: Mapping[str, Any], data: Mapping[str, Any], problem: ServiceProblem | None) -> Any:
    """What the form reads whether it is new, a draft, or came back with a refusal."""
    vocabularies = my.service().get("/v1/vocabularies")
    limits = vocabularies["procedure"]["limits"]
    return {
        "object": data_object, "data": data, "errors": errors_of(problem, data), "once": my.new_once(),
        "lists": vocabularies["lists"], "procedure": vocabularies["procedure"], "words": my.words,
        "days": {name: limit["days"] for name, limit in limits.items()},
    }


def _show(resource_id: str, data: Mapping[str, Any] | None = None, problem: ServiceProblem | None = None) -> Any:
    gateway = my.service()
    data_object = gateway.get(my.path("data-objects", resource_id))
    if data_object["open_attribute"] != "conditional":
        return my.page_of("govopen/apply/not_needed.html", {"object": data_object}, problem)
    me = gateway.get("/v1/me")
    parties = my.acting_for(me, "application:draft")
    submitters = {party["id"] for party in my.acting_for(me, "application:submit")}
    known = {field["name"] for field in data_object["fields"]}
    fresh = {
        "party_id": parties[0]["id"] if len(parties) == 1 else "", "delivery": ["api"], "term_months": "12",
        "fields": [name for name in my.codes(tk.request.args.get("fields")) if name in known],
    }
    return my.page_of("govopen/apply/form.html", {
        **form_context(data_object, data if data is not None else fresh, problem), "parties": parties,
        "may_submit": bool(submitters), "draft": None,
    }, problem)


@blueprint.get("/apply/<resource_id>")
def show(resource_id: str) -> Any:
    """The conditions and the form."""
    return _show(resource_id)


@blueprint.post("/apply/<resource_id>")
def send(resource_id: str) -> Any:
    """Save a draft or hand the application in; a refusal brings the form back as it was."""
    data = typed()
    submit = data.get("act") == "submit"
    body = {**body_of(data), **my.text_of(data, "party_id"), "resource_id": resource_id, "submit": submit}
    try:
        made = my.service().post("/v1/applications", body, idempotency_key=my.once_key(data))
    except ServiceProblem as problem:
        return _show(resource_id, data, problem)
    said = tk._("The application has been handed in. You can follow it here.") if submit else tk._(
        "The draft has been saved. Nobody but your organization sees it.")
    return my.redirect("govopen_my_applications.show", said, application_id=made["id"])


def _edit(application_id: str, data: Mapping[str, Any] | None = None, problem: ServiceProblem | None = None) -> Any:
    gateway = my.service()
    item = gateway.get(my.path("applications", application_id))
    if "edit" not in item["allowed_events"]:
        tk.h.flash_error(tk._("This application is no longer a draft, so it cannot be changed here."))
        return my.redirect("govopen_my_applications.show", application_id=application_id)
    data_object = gateway.get(my.path("data-objects", item["object"]["resource_id"]))
    stored = {
        **item, "fields": [field["name"] for field in item["fields"]],
        "region_codes": " ".join(item["region_codes"]),
    }
    return my.page_of("govopen/apply/form.html", {
        **form_context(data_object, data if data is not None else stored, problem), "parties": [item["party"]],
        "may_submit": "submit" in item["allowed_events"], "draft": item,
    }, problem)


@blueprint.get("/my/applications/<application_id>/edit")
def edit(application_id: str) -> Any:
    """The form with a draft in it."""
    return _edit(application_id)


@blueprint.post("/my/applications/<application_id>/edit")
def change(application_id: str) -> Any:
    """New content of a draft, and with ``act=submit`` it is handed in."""
    data = typed()
    gateway = my.service()
    here = my.path("applications", application_id)
    try:
        saved = gateway.put(here, {**body_of(data), "version": my.version_of(data)})
        if data.get("act") == "submit":
            gateway.post(f"{here}/events", {"event": "submit", "version": saved["version"]})
    except ServiceProblem as problem:
        return _edit(application_id, data, problem)
    said = tk._("The application has been handed in. You can follow it here.") if data.get("act") == "submit" \
        else tk._("The draft has been saved. Nobody but your organization sees it.")
    return my.redirect("govopen_my_applications.show", said, application_id=application_id)
