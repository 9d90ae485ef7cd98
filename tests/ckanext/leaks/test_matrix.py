"""The leak matrix of CKAN, actions: every one x viewers x open attributes, each answer searched for canaries.

To CKAN all who are signed in and belong to no department are the same, whatever became of their grants; behind its
pages the service tells them apart. ``GOVOPEN_LEAK_FULL=1`` asks as each of them about every dataset by GET and POST
(``make leak-matrix``); else each question is asked as two in turn of anonymous, one of them, another department's
administrator and the department's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ckan.plugins.toolkit as tk
from ckan.logic import _actions
from ckanext.govopen.testing_town import TARGETS, Town

from ops.leaks import ckan_surfaces
from ops.leaks.ckan_surfaces import Action
from ops.leaks.report import Tally
from ops.leaks.viewers import ATTRIBUTES, FULL, askers, some, stranger, turn

TALLY = Tally("CKAN actions")
KINDS = ("dataset", "name", "resource", "filed", "view", "file", "activity", "org", "group", "user", "tag", "task")
NAMES = ("id", "name", "name_or_id", "resource_id", "package_id", "dataset_id", "user_id", "owner_id", "entity_id")


def cells(action: Action) -> Iterator[tuple[str, str, str]]:
    """(attribute, target, viewer) of an action; one attribute where it is about none."""
    about, chosen = bool(action.places & ckan_surfaces.OF_DATASETS), ATTRIBUTES[turn(action.name) % 3]
    for attribute in ATTRIBUTES if about else ("conditional",):
        hidden = about and (FULL or attribute == chosen)
        for target in some(TARGETS, action.name, attribute) if hidden else ("main",):
            words = (action.name, attribute, target)
            alone = not FULL and target != "main"
            for viewer in (stranger(*words),) if alone else askers(*words, everybody=FULL and target == "main"):
                yield attribute, target, viewer


def test_everything_is_classified(app: Any, migrated: None) -> None:
    tk.get_action("package_show")
    classified = set(ckan_surfaces.actions())
    unknown, gone = sorted(set(_actions) - classified), sorted(classified - set(_actions))
    assert not unknown, f"actions without a class; add them to ops/leaks/ckan_surfaces.py: {unknown}"
    assert not gone, f"classified actions that are no more: {gone}"
    found = {rule.endpoint for rule in app.flask_app.url_map.iter_rules()}
    classified = set(ckan_surfaces.endpoints())
    unknown, gone = sorted(found - classified), sorted(classified - found)
    assert not unknown, f"endpoints without a class; add them to ops/leaks/ckan_surfaces.py: {unknown}"
    assert not gone, f"classified endpoints that are no more: {gone}"


def test_no_action_tells_what_is_not_theirs(judging: Callable[..., Any], town: Town) -> None:
    judge = judging(TALLY)
    for action in ckan_surfaces.actions().values():
        if action.kind == "write":
            continue
        free = bool(getattr(_actions[action.name], "side_effect_free", False))
        for attribute, target, viewer in cells(action):
            for number, given in enumerate(action.documents(town.places(viewer, attribute, target))):
                path = f"/api/3/action/{action.name}"
                plain = free and not any(isinstance(one, (dict, list)) for one in given.values())
                by_get = plain and turn(action.name, attribute, target, str(number)) % 2
                cell = (action.name, viewer, attribute)
                if FULL or not by_get:
                    judge.asked(*cell, "POST", path, given, json=given)
                if plain and (FULL or by_get):
                    query = {name: str(value) for name, value in given.items()}
                    judge.asked(*cell, "GET", path, given, query_string=query)
    judge.closes()


def test_no_action_tells_by_an_id_of_something_else(judging: Callable[..., Any], town: Town) -> None:
    """Ids of every kind under every name that an action could take them by."""
    judge = judging(TALLY)
    for action in ckan_surfaces.actions().values():
        if action.kind != "read":
            continue
        for attribute in ATTRIBUTES if FULL else (ATTRIBUTES[turn(action.name) % 3],):
            hidden = TARGETS[1 + turn(action.name, attribute) % 3]
            for target in ("main", hidden) if FULL else (TARGETS[turn(action.name, attribute) % 4],):
                for viewer in ("anonymous", "other_editor") if FULL else (stranger(action.name),):
                    ids = town.places(viewer, attribute, target)
                    for kind in KINDS if FULL else (KINDS[turn(action.name, "kind") % len(KINDS)],):
                        given = {**dict.fromkeys(NAMES, ids[kind]), "q": "zq", "sql": f'SELECT * FROM "{ids[kind]}"'}
                        path = f"/api/3/action/{action.name}"
                        judge.asked(action.name, viewer, attribute, "POST", path, given, json=given)
    judge.closes()
