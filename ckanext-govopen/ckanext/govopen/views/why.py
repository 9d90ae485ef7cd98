"""Why, why not, who can see this, what does this allow: decisions of the service explained on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import Gateway, ServiceProblem, segment
from ckanext.govopen.helpers.pages import govopen_lang, govopen_link, govopen_term
from ckanext.govopen.views import my_common as my

blueprint = my.signed_in_only("govopen_why")
ROWS = 30
STATES = ("active", "suspended", "revoked", "expired", "exhausted")
ASKED = ("subject_id", "resource_id", "channel", "purpose", "fields", "if_state", "if_purpose", "if_channel")


def channel_words(lists: Mapping[str, Any]) -> dict[str, str]:
    """Forms of delivery by their codes, as the service calls them everywhere."""
    return {one["code"]: my.words(lists["delivery_forms"], one["code"]) for one in lists["delivery_forms"]}


def state_words() -> dict[str, str]:
    return {"active": tk._("in force"), "suspended": tk._("suspended"), "revoked": tk._("revoked"),
            "expired": tk._("expired"), "exhausted": tk._("used up")}


def _fact_words() -> dict[str, str]:
    """What a fact is called; one that is not named speaks for itself in its check."""
    return {
        "object.grade": tk._("Grade"), "object.open_attribute": tk._("Open attribute"), "channel": tk._("Asked by"),
        "object.has_personal_info": tk._("Personal information"), "grant.state": tk._("State of the grant"),
        "grant.valid_from": tk._("From"), "grant.valid_until": tk._("Until"), "now": tk._("Asked at"),
        "grant.delivery": tk._("Stated in the grant"), "purpose": tk._("Stated in the request"),
        "grant.purpose": tk._("Stated in the grant"), "object.shared": tk._("Shared by another unit"),
        "grant.consent_of_provider": tk._("Provider consents"), "grant.risk_assessed": tk._("Risk assessment"),
        "grant.id": tk._("Grant"), "object.operator_uscc": tk._("Operator's credit code"),
        "grant.party_usccs": tk._("Credit codes of the grantee and those under the same control"),
    }


def _fact(name: str, value: Any, lists: Mapping[str, Any]) -> str:
    """A fact's value in words."""
    if value is None:
        return tk._("not stated")
    if isinstance(value, bool):
        return tk._("yes") if value else tk._("no")
    if isinstance(value, list):
        return "、".join(_fact(name, one, lists) for one in value)
    text = str(value)
    if name in ("object.grade", "object.open_attribute"):
        return str(govopen_term(name.split(".")[1], text))
    if name in ("channel", "grant.delivery"):
        return my.words(lists["delivery_forms"], text)
    if name in ("purpose", "grant.purpose"):
        return my.words(lists["purposes"], text)
    if name == "grant.state":
        return state_words().get(text, text)
    if name in ("now", "grant.valid_from", "grant.valid_until"):
        return str(tk.h.govopen_datetime(text))
    return text


def told(explanation: Mapping[str, Any], lists: Mapping[str, Any]) -> dict[str, Any]:
    """An explanation in the words of the page."""
    names = _fact_words()
    checks = [
        {
            "label": govopen_lang({"label_zh": one["zh"], "label_en": one["en"]}, "label"), "outcome": one["outcome"],
            "facts": [
                (names[path], _fact(path, value, lists)) for path, value in one["facts"].items() if path in names
            ],
        }
        for one in explanation["checks"]
    ]
    sentences = [
        {"text": govopen_lang({"t_zh": one["zh"], "t_en": one["en"]}, "t"),
         "next": govopen_lang({"t_zh": one["next_zh"], "t_en": one["next_en"]}, "t"), "code": one["code"]}
        for one in explanation["sentences"]
    ]
    order = {"failed": 0, "held": 1, "not_asked": 2}
    return {
        **explanation, "checks": sorted(checks, key=lambda one: order[one["outcome"]]), "sentences": sentences,
        "permitted": explanation["effect"] == "permit",
    }


def service_lists(gateway: Gateway) -> Mapping[str, Any]:
    lists: Mapping[str, Any] = gateway.get("/v1/vocabularies")["lists"]
    return lists


@blueprint.get("/decisions")
def listed() -> Any:
    """Decisions on one's grants and one's department's data; who may ask about anyone sees all."""
    gateway, effect = my.service(), tk.request.args.get("effect", "")
    asked = effect if effect in ("permit", "deny") else None
    found = gateway.get(
        "/v1/decisions", effect=asked, limit=ROWS, cursor=tk.request.args.get("cursor") or None,
        resource_id=tk.request.args.get("resource_id") or None, grant_id=tk.request.args.get("grant_id") or None,
    )
    kept = "".join(
        f"&{name}={segment(tk.request.args[name])}" for name in ("resource_id", "grant_id") if tk.request.args.get(name)
    )
    return my.page_of("govopen/why/list.html", {
        "items": found["items"], "next": found["next"], "chosen": asked or "", "kept": kept,
        "channels": channel_words(service_lists(gateway)),
    })


@blueprint.get("/decisions/<int:number>")
def show(number: int) -> Any:
    """One decision, by the version that made it and by the one in force."""
    gateway = my.service()
    found = gateway.get(f"/v1/decisions/{number}")
    lists = service_lists(gateway)
    return my.page_of("govopen/why/decision.html", {
        "item": found["decision"], "changed": found["changed"], "channels": channel_words(lists),
        "then": told(found["explanation"], lists) if found["explanation"] else None,
        "now": told(found["now"], lists) if found["now"] else None, "titles": {},
    })


@blueprint.get("/decisions/why")
def why() -> Any:
    """A question about a grant, possibly about one that is otherwise; the answer stands below the form."""
    gateway, lists = my.service(), service_lists(my.service())
    data = {name: tk.request.args.get(name, "").strip() for name in ASKED}
    answer, problem = None, None
    if data["subject_id"] and data["resource_id"]:
        try:
            answer = gateway.post("/v1/decisions/explain", _question(data, channel_words(lists)))
        except ServiceProblem as refusal:
            problem = refusal
    grants = _grants(gateway)
    return my.page_of("govopen/why/question.html", {
        "data": data, "errors": my.errors_of(problem), "answer": answer, "grants": grants,
        "told": told(answer["explanation"], lists) if answer else None,
        "titles": answer["object"]["fields"] if answer else {},
        "purposes": [{"value": one["code"], "label": my.words(lists["purposes"], one["code"])}
                     for one in lists["purposes"]],
        "channels": [{"value": code, "label": label} for code, label in channel_words(lists).items()],
        "states": [{"value": code, "label": label} for code, label in state_words().items()],
    }, problem)


def _question(data: Mapping[str, str], channels: Mapping[str, str]) -> dict[str, Any]:
    """The form as the service takes it; what was left blank is left out."""
    body: dict[str, Any] = {
        "subject_type": "grant", "subject_id": data["subject_id"], "resource_id": data["resource_id"],
        "channel": data["channel"] if data["channel"] in channels else "api",
    }
    fields = [name.strip() for name in data["fields"].replace("，", ",").split(",") if name.strip()]
    if fields:
        body["fields"] = fields
    if data["purpose"]:
        body["purpose"] = data["purpose"]
    otherwise: dict[str, Any] = {}
    if data["if_state"] in STATES:
        otherwise["state"] = data["if_state"]
    if data["if_purpose"]:
        otherwise["purpose"] = data["if_purpose"]
    if data["if_channel"] in channels:
        otherwise["delivery"] = [data["if_channel"]]
    if otherwise:
        body["if_grant"] = otherwise
    return body


def _grants(gateway: Gateway) -> list[dict[str, str]]:
    """Grants that the person may ask about, to choose from."""
    try:
        items = gateway.get("/v1/grants", limit=100)["items"]
    except ServiceProblem:
        return []
    return [
        {"id": one["id"], "resource_id": one["resource_id"],
         "label": f"{one['number']} {one['object']['dataset_title']}"}
        for one in items
    ]


@blueprint.get("/decisions/grants/<grant_id>")
def grant(grant_id: str) -> Any:
    """What a grant allows, by each form of delivery."""
    gateway = my.service()
    found = gateway.get(f"/v1/decisions/grants/{segment(grant_id)}")
    lists = service_lists(gateway)
    return my.page_of("govopen/why/grant.html", {
        "grant_id": grant_id, "object": found["allows"][0]["object"], "channels": channel_words(lists),
        "allows": [{**one, "told": told(one["explanation"], lists)} for one in found["allows"]],
        "titles": found["allows"][0]["object"]["fields"],
    })


@blueprint.get("/decisions/data/<resource_id>")
def readers(resource_id: str) -> Any:
    """Who can see this data."""
    gateway = my.service()
    data = gateway.get(my.path("data-objects", resource_id))
    found = gateway.get(
        f"/v1/decisions/objects/{segment(resource_id)}", limit=ROWS, cursor=tk.request.args.get("cursor") or None
    )
    lists = service_lists(gateway)
    return my.page_of("govopen/why/readers.html", {
        "data": data, "everyone": found["everyone"], "next": found["next"], "channels": channel_words(lists),
        "items": [{
            **one, "purpose": my.words(lists["purposes"], one["purpose"]),
            "state_label": state_words().get(one["state"], one["state"]),
            "url": govopen_link(f"/decisions/grants/{segment(one['grant_id'])}"),
        } for one in found["items"]],
        "titles": {field["name"]: field["title"] for field in data["fields"]},
    })
