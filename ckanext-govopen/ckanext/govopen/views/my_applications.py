"""One's applications: where they stand, whose turn it is, and what the applicant can do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceProblem
from ckanext.govopen.views import apply
from ckanext.govopen.views import my_common as my
from flask import Response

blueprint = my.signed_in_only("govopen_my_applications")


def _object(resource_id: str) -> dict[str, Any] | None:
    """The data object as it is now; None when it has been withdrawn since."""
    try:
        return dict(my.service().get(my.path("data-objects", resource_id)))
    except ServiceProblem:
        return None


def _show(application_id: str, data: Mapping[str, Any] | None = None, problem: ServiceProblem | None = None) -> Any:
    gateway = my.service()
    item = gateway.get(my.path("applications", application_id))
    vocabularies = gateway.get("/v1/vocabularies")
    agreement, text = None, ""
    if item["agreement_id"]:
        agreement = gateway.get(my.path("agreements", item["agreement_id"]))
        text = gateway.text(my.path("agreements", item["agreement_id"], "text"))
    current = _object(item["object"]["resource_id"])
    titles = {field["name"]: field["title"] for field in (current or {}).get("fields", [])}
    return my.page_of("govopen/my/application.html", {
        "item": item, "object": current, "agreement": agreement, "text": text, "words": my.words,
        "lists": vocabularies["lists"], "procedure": vocabularies["procedure"],
        "titles": {**titles, **{field["name"]: field["title"] for field in item["fields"]}},
        "holder": my.holder(item["clock"], item["object"]["organisation_name"]),
        "entries": my.happenings(item["history"]), "remedy": my.remedy_of(item["history"]),
        "ended": my.tone(item["state"]) == "danger", "data": data or {}, "errors": my.errors_of(problem),
        "asked": [field["name"] for field in item["fields"]], "sent": (data or {}).get("event"),
    }, problem)


@blueprint.get("/my/applications/<application_id>")
def show(application_id: str) -> Any:
    """One application."""
    return _show(application_id)


def _changes(data: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """What was changed together with the answer to a request for supplement."""
    asked = [field["name"] for field in item["fields"]]
    found: dict[str, Any] = {}
    for name in ("purpose_text", "scenario"):
        if name in data and str(data[name]).strip() != item[name]:
            found[name] = str(data[name]).strip()
    for name in ("term_months", "expected_rows_month"):
        if name in data and my.number_of(data[name]) != item[name]:
            found[name] = my.number_of(data[name])
    regions = my.codes(data.get("region_codes"))
    if "region_codes" in data and regions != item["region_codes"]:
        found["region_codes"] = regions
    if data.get("with_fields") and set(data["fields"]) != set(asked):
        found["fields"] = list(data["fields"])
    return found


def _body(event: str, data: Mapping[str, Any], application_id: str) -> dict[str, Any]:
    body: dict[str, Any] = {"event": event, "version": my.version_of(data)}
    if event == "withdraw":
        return {**body, **my.text_of(data, "reason")}
    if event == "sign":
        return {**body, **my.text_of(data, "signer_name"), "consent": data.get("consent") == "true"}
    if event == "answer_supplement":
        changes = _changes(data, my.service().get(my.path("applications", application_id)))
        return {**body, **my.text_of(data, "text"), **({"changes": changes} if changes else {})}
    return body


SENT = ("submit", "withdraw", "answer_supplement", "accept_offer", "sign")


@blueprint.post("/my/applications/<application_id>")
def act(application_id: str) -> Any:
    """One event of the applicant."""
    data = apply.typed()
    event = str(data.get("event"))
    if event not in SENT:
        return tk.abort(400, tk._("This page knows no such action."))
    try:
        body = _body(event, data, application_id)
        my.service().post(my.path("applications", application_id, "events"), body)
    except ServiceProblem as problem:
        return _show(application_id, data, problem)
    said = {
        "submit": tk._("The application has been handed in. You can follow it here."),
        "withdraw": tk._("The application has been withdrawn."),
        "answer_supplement": tk._("Your answer has been sent. The review goes on."),
        "accept_offer": tk._("You accepted the offer. The agreement is ready to be signed."),
        "sign": tk._("You signed the agreement. The exchange countersigns it next."),
    }[event]
    return my.redirect("govopen_my_applications.show", said, application_id=application_id)


@blueprint.get("/my/agreements/<agreement_id>")
def agreement(agreement_id: str) -> Any:
    """The agreement with its signatures."""
    gateway = my.service()
    found = gateway.get(my.path("agreements", agreement_id))
    return my.page_of("govopen/my/agreement.html", {
        "item": found, "text": gateway.text(my.path("agreements", agreement_id, "text")),
    })


@blueprint.get("/my/agreements/<agreement_id>/text")
def agreement_text(agreement_id: str) -> Any:
    """The exact text, to keep: its SHA-256 is the one that was signed."""
    answer = my.service().raw(my.path("agreements", agreement_id, "text"))
    number = "".join(sign for sign in agreement_id if sign.isalnum() or sign == "_")[:64]
    return Response(answer.content, mimetype="text/plain", headers={
        "Content-Disposition": f'attachment; filename="{number}.txt"', "Cache-Control": "no-store",
        "X-Content-SHA256": answer.headers.get("X-Content-SHA256", "")})
