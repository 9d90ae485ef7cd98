"""No body of a question to an action, however it is shaped, is met with an error of the server.

``GOVOPEN_BODIES_FULL=1`` asks every action with every shape for every parameter, some 35,000 questions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
from ckan import model
from ckan.tests import factories
from ckanext.govopen import shapes
from ckanext.govopen.testing import dataset_dict

from ops.leaks import ckan_surfaces

FULL = bool(os.environ.get("GOVOPEN_BODIES_FULL"))
NAMED = re.compile(r":param (?:\w+ )?(\w+):")
MISSING = object()
SHAPES: dict[str, Any] = {
    "missing": MISSING, "null": None, "list": ["x"], "numbers": [5], "lists": [["x"]], "objects": [{"x": "y"}],
    "nothing": [], "object": {"x": "y"}, "number": 5, "fraction": 1.5, "below": -1, "huge": 10**30, "true": True,
    "empty": "", "word": "x", "long": "长" * 100_000, "surrogate": "\ud800", "zero": "\x00",
}
"""What stands where something else is asked for."""
ODD = ("list", "objects", "object", "number", "huge", "empty", "long")
WHOLE: tuple[Any, ...] = ({}, [], "x", 5, None, [{"id": "x"}])
Ask = Callable[[str | None, str, Any], int]


@pytest.fixture
def places(act: Any, people: dict[str, Any], prepared: dict[str, Any]) -> dict[str, str]:
    """Something of every kind to be asked about, made once for the run."""
    if "places" not in prepared:
        prepared["places"] = made_places(act, people)
    found: dict[str, str] = prepared["places"]
    return found


def made_places(act: Any, people: dict[str, Any]) -> dict[str, str]:
    org, user, me = people["org"], people["outsider"], people["sysadmin"]
    resources = [{"name": "x", "url": "http://x.example/x"}]
    made = act("editor", "package_create", **dataset_dict(org["id"], resources=resources))
    other = act("editor", "package_create", **dataset_dict(org["id"]))
    resource = made["resources"][0]["id"]
    vocabulary = act("sysadmin", "vocabulary_create", name="body-words", tags=[{"name": "body-word"}])
    task = act("sysadmin", "task_status_update", entity_id=resource, entity_type="resource", task_type="leak",
               key="leak", value="x")
    view = act("sysadmin", "resource_view_create", resource_id=resource, title="x", view_type="datatables_view")
    activity = act("sysadmin", "package_activity_list", id=made["id"])[0]
    group = factories.Group(user=people["editor"])
    act("outsider", "api_token_create", user=user["name"], name="x")
    token = act("outsider", "api_token_list", user_id=user["name"])[0]["id"]
    return {
        "dataset": made["id"], "name": made["name"], "resource": resource, "view": view["id"], "file": "no-file",
        "location": "x", "activity": activity["id"], "task": task["id"], "other": other["id"],
        "tag": vocabulary["tags"][0]["id"], "org": org["id"], "org_name": org["name"], "group": group["id"],
        "group_name": group["name"], "user": user["id"], "user_name": user["name"], "email": user["email"],
        "token": token, "job": "no-job", "vocabulary": vocabulary["id"], "me": me["id"], "me_name": me["name"],
        "my_org": org["id"],
    }


@pytest.fixture
def ask(app: Any, places: Any, headers_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask an action; what it changes is undone."""
    headers = {who: headers_of(who) for who in ("sysadmin", None)}
    opened = app.test_client(use_cookies=False)
    monkeypatch.setattr(type(model.Session()), "commit", lambda session: session.flush())

    def asked(who: str | None, name: str, body: Any) -> int:
        try:
            answer = opened.open(f"/api/3/action/{name}", method="POST", json=body, headers=headers[who])
        finally:
            model.Session.rollback()
        return int(answer.status_code)

    return asked


def parameters(name: str, asked: list[dict[str, Any]]) -> list[str]:
    """What an action is told by name: what it describes, and what the leak matrix asks it with."""
    described = tk.get_action("help_show")({"ignore_auth": True}, {"name": name}) or ""
    return sorted({*NAMED.findall(described), *(key for one in asked for key in one)})


def with_odd(base: dict[str, Any], parameter: str, shape: str) -> dict[str, Any]:
    value = SHAPES[shape]
    body = {**base, parameter: value}
    if value is MISSING:
        del body[parameter]
    return body


def bodies(who: str | None, name: str, places: dict[str, str]) -> Iterator[Any]:
    """Questions to an action: nothing said by a stranger, each parameter in some odd shape by who may do everything."""
    asked = ckan_surfaces.actions()[name].documents(places)
    if FULL:
        yield from WHOLE
        for base in [{}, *asked]:
            for parameter in parameters(name, asked):
                yield from (with_odd(base, parameter, shape) for shape in SHAPES)
        return
    if who is None:
        yield {}
        return
    for place, one in enumerate(shapes.parameters().get(name, ())):
        yield with_odd(asked[0], one.name, ODD[(place + len(name)) % len(ODD)])


@pytest.mark.parametrize("who", ["sysadmin", None])
def test_no_body_is_an_error_of_the_server(ask: Ask, places: dict[str, str], who: str | None) -> None:
    faults = []
    for name in ckan_surfaces.actions():
        for body in bodies(who, name, places):
            status = ask(who, name, body)
            if status >= 500:
                faults.append(f"{name} {status} {str(body)[:200]}")
    assert faults == []


def test_good_questions_are_answered_as_before(ask: Ask, places: dict[str, str]) -> None:
    for name, body in (
        ("package_search", {"rows": "1", "start": 0, "fq_list": ["+state:active"], "include_private": "True"}),
        ("package_list", {"limit": "1", "offset": 0}),
        ("group_list", {"all_fields": True, "limit": 5, "sort": "title asc", "groups": ["x"]}),
        ("organization_list", {"organizations": "x,y", "type": "organization"}),
        ("organization_autocomplete", {"q": "民政", "limit": 3}),
        ("tag_search", {"query": ["x", "y"]}),
        ("package_relationships_list", {"id": places["dataset"], "rel": "depends_on"}),
        ("task_status_update_many", {"data": [{
            "entity_id": places["resource"], "entity_type": "resource", "task_type": "x", "key": "x", "value": "x",
            "last_updated": "2026-11-21T08:00:00.000001"}]}),
        ("term_translation_update_many", {"data": [{"term": "x", "term_translation": "y", "lang_code": "en"}]}),
        ("resource_view_update", {"id": places["view"], "title": "y", "view_type": "datatables_view"}),
        ("datastore_search", {"resource_id": "_table_metadata", "limit": 1}),
        ("user_list", {"all_fields": "false", "order_by": "name"}),
    ):
        assert ask("sysadmin", name, body) in (200, 404 if name == "package_relationships_list" else 200), (name, body)


def test_what_is_wrong_is_told_as_ckan_tells_it(app: Any, places: dict[str, str], headers_of: Any) -> None:
    for name, body, error in (
        ("user_invite", {}, {"email": ["请填写"], "group_id": ["请填写"], "role": ["请填写"]}),
        ("tag_search", {"query": 5}, {"query": ["应为文本或文本列表"]}),
        ("resource_create_default_resource_views", {"resource": {}}, {"resource": ["应为带有 package_id 的资源"]}),
        ("task_status_update_many", {"data": [{"value": "x"}, {"value": None}]}, {"data": [{}, {"value": ["请填写"]}]}),
    ):
        answer = app.post(f"/api/3/action/{name}", json=body, headers=headers_of(None), status=None)
        assert answer.status_code == 409
        assert answer.json == {"success": False, "error": {"__type": "Validation Error", **error}}, name
    gone = {"id": "no-such-group", "username": "x"}
    for name in ("group_member_delete", "organization_member_delete"):
        answer = app.post(f"/api/3/action/{name}", json=gone, headers=headers_of("sysadmin"), status=None)
        assert answer.status_code == 404
