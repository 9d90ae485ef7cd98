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
