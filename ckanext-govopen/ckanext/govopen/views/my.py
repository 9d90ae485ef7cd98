"""My center: what waits for me first, then everything that is mine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import Gateway
from ckanext.govopen.views import my_common as my
from ckanext.govopen.views.my_grants import usage_of

blueprint = my.signed_in_only("govopen_my")
SHOWN = 6
ENDING_DAYS = 30
Item = Mapping[str, Any]


def _application_url(item: Item) -> str:
    return str(tk.url_for("govopen_my_applications.show", application_id=item["id"]))


def _of_application(item: Item) -> dict[str, Any] | None:
    """What the applicant has to do, by what the service says they can do now."""
    told = {
        "answer_supplement": tk._("Answer the request for supplement"), "accept_offer": tk._("Decide on the offer"),
        "sign": tk._("Sign the agreement"), "submit": tk._("Finish the draft and hand it in"),
    }
    event = next((name for name in told if name in item["allowed_events"]), None)
    if event is None:
        return None
    clock = item["clock"] or {}
    clock = clock.get("waiting_for") or clock
    return {"title": told[event], "about": item["object"]["dataset_title"], "number": item["number"],
            "url": _application_url(item), "due_on": clock.get("due_on"), "days": clock.get("working_days_left"),
            "overdue": clock.get("overdue", False), "urgent": event != "submit"}


def _waiting(
    parties: list[Item], applications: list[Item], invoices: list[Item], registrations: list[Item],
) -> Iterator[dict[str, Any]]:
    for party in parties:
        if party["state"] in ("refused", "rejected"):
            yield {"title": tk._("Correct the particulars of your organization"), "about": party["name"],
                   "number": party.get("uscc") or "", "url": tk.url_for("govopen_my_organisation.show"), "urgent": True}
    for item in applications:
        found = _of_application(item)
        if found:
            yield found
    for item in invoices:
        if item["due_fen"] > 0:
            yield {"title": tk._("Pay {amount}").format(amount=tk.h.govopen_money(item["due_fen"])),
                   "about": tk._("Invoice for {month}").format(month=item["period"]), "number": item["number"],
                   "url": tk.url_for("govopen_my_invoices.show", invoice_id=item["id"]), "due_on": item["due_on"],
                   "overdue": item["state"] == "overdue", "urgent": True}
    for item in registrations:
        if item["state"] in ("draft", "supplement"):
            title = tk._("Answer the request for supplement") if item["state"] == "supplement" else tk._(
                "Finish the draft and hand it in")
            yield {"title": title, "about": item["title"], "number": item["number"], "overdue": False,
                   "url": tk.url_for("govopen_my_registrations.show", registration_id=item["id"]),
                   "urgent": item["state"] == "supplement"}


def _grants(gateway: Gateway, grants: list[Item]) -> list[dict[str, Any]]:
    """Grants, those in force first and with their usage."""
    live = [grant for grant in grants if not grant["ended_at"]]
    ended = [grant for grant in grants if grant["ended_at"]]
    return [
        *({**grant, "usage": usage_of(gateway, grant, days=1) if place < SHOWN else None}
          for place, grant in enumerate(live)),
        *({**grant, "usage": None} for grant in ended),
    ]


@blueprint.get("/my")
def home() -> Any:
    """Everything at a glance."""
    gateway = my.service()
    me = gateway.get("/v1/me")
    applications = gateway.get("/v1/applications", mine=1, limit=LIST)["items"]
    invoices = gateway.get("/v1/invoices", mine=1, limit=LIST)["items"]
    registrations = gateway.get("/v1/registrations", mine=1, limit=LIST)["items"]
    grants = _grants(gateway, gateway.get("/v1/grants", mine=1, limit=LIST)["items"])
    waiting = sorted(_waiting(me["parties"], applications, invoices, registrations),
                     key=lambda one: (not one["urgent"], one.get("due_on") or "9999"))
    return my.page_of("govopen/my/home.html", {
        "me": me, "waiting": waiting, "section": "home", "shown": SHOWN, "ending_days": ENDING_DAYS,
        "applications": applications, "grants": grants, "invoices": invoices, "registrations": registrations,
        "holder": my.holder, "staff": bool(me["memberships"]),
    })


LIST = 50
LISTS = {"applications": "/v1/applications", "grants": "/v1/grants", "invoices": "/v1/invoices",
         "registrations": "/v1/registrations"}


@blueprint.get("/my/<any(applications, grants, invoices, registrations):section>")
def listed(section: str) -> Any:
    """All of one kind, page by page."""
    gateway = my.service()
    cursor = tk.request.args.get("cursor", "")[:64]
    found = gateway.get(LISTS[section], mine=1, limit=my.LIST_ROWS, cursor=cursor or None)
    items = _grants(gateway, found["items"]) if section == "grants" else found["items"]
    following = tk.url_for("govopen_my.listed", section=section, cursor=found["next"]) if found.get("next") else None
    return my.page_of("govopen/my/list.html", {
        "section": section, "items": items, "next": following, "holder": my.holder, "ending_days": ENDING_DAYS,
        "first": not cursor,
    })
