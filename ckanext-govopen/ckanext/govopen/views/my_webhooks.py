"""Webhooks of a grant: where its holder's programs are told what concerns it, tried, changed, looked into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import Gateway, ServiceProblem
from ckanext.govopen.views import my_common as my

blueprint = my.signed_in_only("govopen_my_webhooks")
DELIVERIES_SHOWN = 50


def events() -> list[dict[str, str]]:
    return [
        {"value": "data.new_version", "label": tk._("New data"), "help": tk._("a new version was loaded")},
        {"value": "export.finished", "label": tk._("Export done"), "help": tk._("its file is ready, or it failed")},
        {"value": "grant.state_changed", "label": tk._("Grant changed"),
         "help": tk._("suspended, resumed, revoked or expired")},
    ]


def _names() -> dict[str, str]:
    return {**{one["value"]: one["label"] for one in events()}, "webhook.test": tk._("Test")}


def _states() -> dict[str, tuple[str, str]]:
    return {
        "active": (tk._("works"), "done"), "failing": (tk._("fails at the moment"), "due"),
        "disabled": (tk._("stopped after failing for days"), "danger"), "delivered": (tk._("delivered"), "done"),
        "waiting": (tk._("waits"), "brand"), "given_up": (tk._("not sent any more"), "quiet"),
    }


def _errors() -> dict[str, str]:
    return {
        "name_not_resolved": tk._("its name was not found"),
        "address_not_public": tk._("its address is not a public one"), "timeout": tk._("no answer in time"),
        "no_connection": tk._("no connection"),
        "redirect_refused": tk._("it redirects, which is not followed"), "not_sent": tk._("could not be sent"),
    }


def _told(one: Mapping[str, Any]) -> dict[str, Any]:
    word, look = _states().get(one["state"], (one["state"], "line"))
    return {**one, "word": word, "look": look}


def _delivery(one: Mapping[str, Any]) -> dict[str, Any]:
    known = _errors().get(str(one["last_error"]))
    status = tk._("status {code}").format(code=one["last_status"]) if one["last_status"] else ""
    said = status or known or (str(one["last_error"]) if one["last_error"] else "")
    return {**_told(one), "answer": said, "name": _names().get(one["type"], one["type"])}


def _page(
    grant_id: str, data: Mapping[str, Any] | None = None, problem: ServiceProblem | None = None,
    made: Mapping[str, Any] | None = None,
) -> Any:
    gateway = my.service()
    hooks = gateway.get(my.path("grants", grant_id, "webhooks"))["items"]
    chosen = tk.request.form.getlist("events") if data else [one["value"] for one in events()]
    return my.page_of("govopen/my/webhooks.html", {
        **_about(gateway, grant_id), "hooks": [_told(one) for one in hooks], "data": data or {}, "made": made,
        "errors": my.errors_of(problem), "chosen": chosen, "events": events(), "names": _names(),
    }, problem)


def _about(gateway: Gateway, grant_id: str) -> dict[str, Any]:
    grant = gateway.get(my.path("grants", grant_id))
    return {"item": grant, "may": "issue_key" in grant["allowed_events"]}


@blueprint.get("/my/grants/<grant_id>/webhooks")
def show(grant_id: str) -> Any:
    """Addresses that are told, and the form of a new one."""
    return _page(grant_id)


@blueprint.post("/my/grants/<grant_id>/webhooks")
@my.acting("govopen_my_webhooks.show", _page)
def act(grant_id: str, data: dict[str, Any]) -> Any:
    """Add an address, try it, change its secret, take it up again, remove it."""
    gateway, hook = my.service(), str(data.get("webhook_id") or "")
    address = my.path("grants", grant_id, "webhooks", *([hook] if hook else []))
    match data.get("act"):
        case "create":
            body = {**my.text_of(data, "url"), "events": tk.request.form.getlist("events")}
            return _page(grant_id, made=gateway.post(my.path("grants", grant_id, "webhooks"), body))
        case "rotate":
            return _page(grant_id, made=gateway.post(f"{address}/rotate"))
        case "test":
            gateway.post(f"{address}/test")
            said = tk._("A test is on its way. Its answer stands among the deliveries in a moment.")
            return my.redirect("govopen_my_webhooks.deliveries", said, grant_id=grant_id, webhook_id=hook)
        case "enable":
            gateway.post(f"{address}/enable")
            return tk._("The address is told again from now on.")
        case "delete":
            gateway.delete(address)
            return tk._("Nothing is sent to this address any more.")
    return None


@blueprint.get("/my/grants/<grant_id>/webhooks/<webhook_id>")
def deliveries(grant_id: str, webhook_id: str) -> Any:
    """What was sent to one address or waits, newest first."""
    return _deliveries(grant_id, webhook_id)


def _deliveries(grant_id: str, webhook_id: str, problem: ServiceProblem | None = None) -> Any:
    gateway = my.service()
    hooks = gateway.get(my.path("grants", grant_id, "webhooks"))["items"]
    hook = next((one for one in hooks if one["id"] == webhook_id), None)
    if hook is None:
        return tk.abort(404)
    cursor = tk.request.args.get("cursor", "")
    found = gateway.get(
        my.path("grants", grant_id, "webhooks", webhook_id, "deliveries"), limit=DELIVERIES_SHOWN,
        **({"cursor": cursor} if cursor.isascii() and cursor.isdigit() else {}),
    )
    return my.page_of("govopen/my/webhook.html", {
        **_about(gateway, grant_id), "hook": _told(hook), "next": found["next"], "names": _names(),
        "deliveries": [_delivery(one) for one in found["items"]],
    }, problem)


@blueprint.post("/my/grants/<grant_id>/webhooks/<webhook_id>")
def again(grant_id: str, webhook_id: str) -> Any:
    """Send one delivery again, or a test."""
    data, gateway = my.typed(), my.service()
    address = my.path("grants", grant_id, "webhooks", webhook_id)
    try:
        if data.get("act") == "test":
            gateway.post(f"{address}/test")
        else:
            number = str(data.get("delivery_id") or "0")
            gateway.post(my.path("grants", grant_id, "webhooks", webhook_id, "deliveries", number, "redeliver"))
    except ServiceProblem as problem:
        return _deliveries(grant_id, webhook_id, problem)
    said = tk._("It is sent in a moment.")
    return my.redirect("govopen_my_webhooks.deliveries", said, grant_id=grant_id, webhook_id=webhook_id)
