"""Questions that CKAN's own views and actions, or our pages, would once have met with an error of the server."""

from __future__ import annotations

from typing import Any

import pytest
from ckan import model
from ckan.tests import factories
from ckanext.activity.model import Activity
from ckanext.govopen.testing import dataset_dict


@pytest.fixture
def versions(act: Any, people: Any) -> list[str]:
    """Ids of three versions of a public dataset, the oldest first; every one of them has other notes."""
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], notes="第一版说明"))
    for notes in ("第二版说明", "第三版说明"):
        act("editor", "package_patch", id=made["id"], notes=notes)
    found = model.Session.query(Activity.id).filter_by(object_id=made["id"]).order_by(Activity.timestamp)
    return [one for (one,) in found]


def test_versions_that_are_not_in_order_are_no_error_of_the_server(
    app: Any, versions: list[str], headers_of: Any
) -> None:
    first, second, third = versions
    headers = headers_of("editor")
    for query, status in (
        (f"old_id={second}&new_id={second}", 400),
        (f"old_id={third}&new_id={second}", 400),
        (f"old_id={first}&new_id={third}", 200),
        (f"old_id={third}&new_id={second}&current_new_id={third}", 200),
    ):
        answer = app.get(f"/dataset/changes_multiple?{query}", headers=headers, status=None)
        assert answer.status_code == status, query
    answer = app.get(f"/en/dataset/changes_multiple?old_id={first}&new_id={first}", headers=headers, status=None)
    assert "Choose an earlier and a later version." in answer.get_data(as_text=True)


def test_many_datasets_are_changed_at_once_in_departments_only(app: Any, people: Any, headers_of: Any) -> None:
    group = factories.Group(user=people["editor"])["name"]
    headers = headers_of("sysadmin")
    for method in ("get", "post"):
        for name in (group, "no-such-group"):
            answer = getattr(app, method)(f"/group/bulk_process/{name}", headers=headers, status=None)
            assert answer.status_code == 404, (method, name)
    address = f"/organization/bulk_process/{people['org']['name']}"
    assert app.get(address, headers=headers, status=None).status_code == 200
    for data, status in (
        ({}, 400),
        ({"x": "public"}, 400),
        ({"bulk_action.x": "1"}, 400),
        ({"bulk_action.private": "private", "bulk_action.delete": "delete"}, 400),
        ({"bulk_action.delete": "x"}, 302),
    ):
        answer = app.post(address, headers=headers, data=data, status=None, follow_redirects=False)
        assert answer.status_code == status, data


def test_an_activity_tells_a_version_to_the_department_alone_however_it_is_asked(
    app: Any, versions: list[str], headers_of: Any
) -> None:
    address, first = "/api/3/action/activity_show", versions[0]
    for who, given, status in (
        (None, {}, 200),
        (None, {"include_data": False}, 200),
        (None, {"include_data": "x"}, 200),
        (None, {"include_data": True}, 403),
        (None, {"include_data": "True"}, 403),
        ("outsider", {}, 200),
        ("outsider", {"include_data": 1}, 403),
        ("editor", {}, 200),
        ("editor", {"include_data": True}, 200),
    ):
        answer = app.post(address, json={"id": first, **given}, headers=headers_of(who), status=None)
        assert answer.status_code == status, (who, given)
        whole = (who, given) == ("editor", {"include_data": True})
        assert ("第一版说明" in str(answer.json.get("result"))) is whole, (who, given)


def test_what_an_action_is_about_is_named_by_a_text(app: Any, versions: list[str], headers_of: Any) -> None:
    headers = headers_of("sysadmin")
    known = {"id": versions[1], "object_type": "package"}
    for action in ("activity_show", "activity_data_show", "activity_diff"):
        for given in (
            {"id": 5},
            {"id": ["x", "y"]},
            {"id": {"x": "y"}},
            {"id": True},
            {"object_type": ["x"]},
            {"object_type": {"x": "y"}},
            {"resource_id": 1.5},
            {"q": 5},
        ):
            answer = app.post(f"/api/3/action/{action}", json={**known, **given}, headers=headers, status=None)
            assert answer.status_code == 409, (action, given)
            assert list(answer.json["error"]) == ["__type", *given]
        answer = app.get(f"/api/action/{action}?id=x&id=y&object_type=package", headers=headers, status=None)
        assert answer.status_code == 409
        for given, status in (({}, 200), ({"id": None}, 404), ({"id": "x"}, 404)):
            answer = app.post(f"/api/3/action/{action}", json={**known, **given}, headers=headers, status=None)
            assert answer.status_code in (status, 409 if given else 200), (action, given)
