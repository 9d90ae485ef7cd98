"""How the matrix fills the addresses of CKAN: ids of CKAN by their blueprint, ids of the service by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ops.leaks.viewers import ATTRIBUTES, FULL, askers, some, stranger, turn

SECTIONS = ("applications", "grants", "invoices", "registrations")
QUERIES = {
    "dataset.search": "q=zq",
    "govopen_catalogue.search": "q=zq&explain=1",
    "govopen_suggest.suggest": "q=zq",
    "api.dataset_autocomplete": "incomplete=zq",
    "api.tag_autocomplete": "incomplete=zq",
    "api.format_autocomplete": "incomplete=zq",
    "api.user_autocomplete": "q=zq",
    "api.group_autocomplete": "q=zq",
    "api.organization_autocomplete": "q=zq",
    "feeds.custom": "q=zq",
    "user.index": "q=zq",
    "activity.package_changes_multiple": "old_id={activity_id}&new_id={activity_id}",
    "util.internal_redirect": "url=/",
    "user.perform_reset": "key=x",
}
"""What an endpoint is asked with beside its address."""
GIVING = ("dataset_resource", "datastore", "datatablesview", "file", "govopen_catalogue", "resource")
"""Blueprints whose addresses give data: asked about each open attribute every time."""
FORM = {
    "save": "x",
    "delete": "x",
    "name": "leak-form",
    "title": "x",
    "notes": "x",
    "id": "{dataset}",
    "owner_org": "{org}",
    "username": "{me_name}",
    "role": "admin",
    "user": "{user}",
    "user_id": "{user}",
    "jti": "{token}",
    "stars": "5",
    "event": "withdraw",
    "verdict": "approve",
    "action": "purge",
    "act": "revoke",
    "step": "withdraw",
    "version": "1",
    "reason": "试一试",
    "draw": "1",
    "start": "0",
    "length": "10",
    "order[0][column]": "0",
    "order[0][dir]": "asc",
    "format": "csv",
    "search[value]": "",
    "params": '{{"visible":[true,true],"search":{{"value":""}},"columns":[],"order":[]}}',
    "filters": "",
    "fullname": "x",
    "email": "leak@govopen.example",
    "is_sysadmin": "True",
    "status": "True",
    "old_password": "x",
    "password1": "leak-password-1",
    "password2": "leak-password-1",
    "jws": "a.b.c.d.e.f",
    "withdraw": "1",
    "key": "x",
    "bulk_action.delete": "delete",
}
"""What is sent to every form: each takes the names that it knows."""


def cells(rule: Any, targets: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """(attribute, target, viewer) of an address: all, or of what gives data each attribute, of others one."""
    if not rule.arguments:
        yield from (("any", "main", viewer) for viewer in (askers(rule.rule) if FULL else (stranger(rule.rule),)))
        return
    giving, chosen = rule.endpoint.partition(".")[0] in GIVING, turn(rule.rule) % 3
    for number, attribute in enumerate(ATTRIBUTES):
        asked = some(targets, rule.rule, attribute)
        if number != chosen and not (FULL and giving):
            asked = asked[:1] if FULL or giving else ()
        elif not (FULL or giving):
            asked = (asked[turn(rule.rule, "target") % 2],)
        for target in asked:
            words = (rule.rule, attribute, target)
            for viewer in askers(*words, everybody=target == "main") if FULL else (stranger(*words),):
                yield attribute, target, viewer


def places_of(
    rule: Any, ids: Mapping[str, str], papers: Mapping[tuple[str, str, str], str], viewer: str, attribute: str
) -> dict[str, str]:
    """What stands in the address for every name in it.

    ``ids`` are CKAN's of what is asked about; ``papers`` the service's, by kind, viewer and attribute, of whom the
    viewer is not.
    """
    victim = "suspended" if viewer == "live" else "live"
    part, _, tail = rule.endpoint.partition(".")
    about = next((one for one in ("organization", "group", "user") if tail.startswith(one)), part)
    known = {
        "organization": ids["org_name"],
        "group": ids["group_name"],
        "user": ids["user"],
        "file": ids["file"],
        "feeds": ids["tag"],
    }
    found = {
        "id": known.get(about, ids["dataset"]),
        "name": ids["org_name"] if tail == "department" else ids["name"],
        "resource_id": ids["filed"] if tail == "download" else ids["resource"],
        "view_id": ids["view"],
        "resource_view_id": ids["view"],
        "activity_id": ids["activity"],
        "filename": "f.csv",
        "storage_name": "resources",
        "location": ids["location"],
        "token": "x.y.z",
        "lang": "en",
        "ver": "2",
        "section": SECTIONS[turn(viewer, attribute) % len(SECTIONS)],
        "code": "GO2026000000000001",
        "number": "1" if "line" in tail else papers.get(("decision", victim, attribute), "1"),
        "version_id": "pol_none",
    }
    for name in rule.arguments - set(found):
        kind = name.removesuffix("_id")
        keys = ((kind, victim, attribute), (kind, victim, ""), (kind, "", ""))
        found[name] = next((papers[key] for key in keys if key in papers), "none")
    return found


def filled(rule: Any, places: Mapping[str, str]) -> str:
    """The address with ids in the places of their names."""
    return re.sub(r"<(?:[^<>]*:)?(\w+)>", lambda found: places[found[1]], rule.rule)
