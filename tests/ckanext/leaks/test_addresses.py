"""The leak matrix of CKAN, addresses: every rule of its map of addresses x viewers x open attributes, and its forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ckan.common import config
from ckanext.govopen.testing_town import TARGETS, Town

from ops.leaks import ckan_surfaces
from ops.leaks.ckan_addresses import FORM, QUERIES, cells, filled, places_of
from ops.leaks.report import Tally
from ops.leaks.rows import Rows, changes
from ops.leaks.viewers import turn

ADDRESSES, FORMS = Tally("CKAN addresses"), Tally("CKAN forms")
GROWING = ("govopen_outbox", "govopen_rating", "licensing.", "authz.", "audit.", "billing.", "ops.")
"""Tables in which a viewer may make rows: one's own papers at the service."""
MOVING = ("govopen_stale", "user_following_user", "user_following_dataset", "user_following_group")
"""What one follows oneself; what the index is still to be told."""
BY_DESIGN = {"user.request_reset": "user", "user.sysadmin": "activity"}
"""Whoever has forgotten a password is sent a link, for which the account keeps a key; whoever asks to be an
administrator is not made one, but has an event of an account that was saved as it was."""
Judging = Callable[..., Any]


def rules_of(app: Any, method: str, *kinds: str) -> list[Any]:
    """The rules whose endpoints are of these classes; what CKAN has under two blueprints is asked once."""
    classes = ckan_surfaces.endpoints()
    found = {rule.rule: rule for rule in app.flask_app.url_map.iter_rules()
             if classes[rule.endpoint] in kinds and method in rule.methods}
    return list(found.values())


def test_no_address_tells_what_is_not_theirs(app: Any, judging: Judging, town: Town) -> None:
    judge = judging(ADDRESSES)
    for rule in rules_of(app, "GET", "asked", "form"):
        for attribute, target, viewer in cells(rule, TARGETS):
            about = attribute if attribute != "any" else "conditional"
            places = places_of(rule, town.places(viewer, about, target), town.ids, viewer, about)
            path = ("", "/en")[turn(rule.rule, viewer, attribute) % 2] + filled(rule, places)
            query = QUERIES.get(rule.endpoint, "").format(**places)
            judge.asked(rule.rule, viewer, attribute, "GET", path, query, query_string=query)
    judge.closes()


def test_no_form_tells_or_takes_what_is_not_theirs(app: Any, judging: Judging, town: Town) -> None:
    """What is sent to every address that takes something, by whoever is not of the department, changes no row."""
    judge = judging(FORMS)
    rows = Rows(*(str(config[name]) for name in ("sqlalchemy.url", "ckan.datastore.write_url")), town.service_database)
    before = rows.now()
    for rule in rules_of(app, "POST", "form"):
        for attribute, target, viewer in cells(rule, TARGETS):
            if viewer == "owner":
                continue
            about = attribute if attribute != "any" else "conditional"
            ids = town.places(viewer, about, target)
            given = {name: value.format(**ids) for name, value in FORM.items()}
            path = filled(rule, places_of(rule, ids, town.ids, viewer, about))
            judge.asked(rule.rule, viewer, attribute, "POST", path, given, data=given)
        changed = changes(before, after := rows.now(), GROWING)
        if meant := {name: one for name, one in changed.items()
                     if name not in MOVING and name != BY_DESIGN.get(rule.endpoint)}:
            judge.fault(f"{rule.endpoint} changed {meant}", f"POST {rule.rule}")
        before = after
    rows.close()
    judge.closes()


def test_nobody_else_listens_to_the_use_of_a_grant(app: Any, judging: Judging, town: Town) -> None:
    judge = judging(ADDRESSES)
    path = f"/my/grants/{town.ids['grant', 'live', 'conditional']}/usage/live"
    for viewer in ("anonymous", "stranger", "other_enterprise", "other_editor", "expired"):
        status = judge.asked("/my/grants/<grant_id>/usage/live", viewer, "conditional", "GET", path)
        if status not in ("302", "403", "404"):
            judge.fault(f"listens: {status}", viewer)
    judge.closes()
