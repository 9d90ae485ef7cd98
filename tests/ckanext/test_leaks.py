"""Restricted data is nowhere in CKAN: each known surface is tried as everybody, administrators included."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
from ckan import model
from ckan.lib import files, search
from ckanext.activity.model import Activity
from ckanext.datastore.backend import DatastoreBackend
from ckanext.govopen import sealing
from ckanext.govopen.testing import ServiceDouble, conditional, dataset_dict
from werkzeug.datastructures import FileStorage

SECRET = "https://internal.gov.cn/secret/real-location.csv"
EVERYBODY = [None, "outsider", "stranger", "editor", "sysadmin"]


@pytest.fixture
def restricted(act: Any, people: Any) -> dict[str, Any]:
    """A conditional dataset with one resource."""
    return act("editor", "package_create", **conditional(people["org"]["id"], resources=[{"name": "登记表"}]))


@pytest.fixture
def closed_later(act: Any, people: Any) -> dict[str, Any]:
    """Data that was open, with a file, a table, a view and a link to a secret place, and then was restricted."""
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"], resources=[
        {"name": "链接", "url": SECRET, "hash": "deadbeef"}]))
    linked = made["resources"][0]["id"]
    act("editor", "datastore_create", resource_id=linked, force=True, records=[{"code": "1"}])
    act("editor", "resource_view_create", resource_id=linked, view_type="datatables_view", title="t")
    act("editor", "resource_create", package_id=made["id"], name="文件", url="f.csv",
        upload=FileStorage(io.BytesIO(b"code\n1\n"), "f.csv"))
    shown = act("editor", "package_show", id=made["id"])
    shown.update(open_attribute="conditional", open_mode="接口", use_requirements="要求", security_measures="措施")
    return act("editor", "package_update", **shown)


def address_of(dataset: dict[str, Any], tail: str = "") -> str:
    return f"/dataset/{dataset['name']}/resource/{dataset['resources'][0]['id']}{tail}"


def test_the_dataset_holds_only_a_link_to_its_apply_page(restricted: Any) -> None:
    resource = restricted["resources"][0]
    assert resource["url"] == sealing.sentinel(resource["id"])
    assert resource["govopen_access"] == "restricted"


@pytest.mark.parametrize("given", [
    {"url": SECRET}, {"url": "//internal/x"}, {"url": "a.csv", "url_type": "upload"},
    {"url": "_datastore_only_resource"},
])
def test_an_address_is_refused_for_restricted_data(act: Any, restricted: Any, people: Any, given: Any) -> None:
    with pytest.raises(tk.ValidationError):
        act("editor", "resource_create", package_id=restricted["id"], name="x", **given)
    with pytest.raises(tk.ValidationError):
        act("editor", "resource_patch", id=restricted["resources"][0]["id"], **given)
    with pytest.raises(tk.ValidationError):
        act("editor", "package_create", **conditional(people["org"]["id"], resources=[given]))


def test_what_else_could_lead_to_data_is_dropped(act: Any, restricted: Any) -> None:
    resource_id = restricted["resources"][0]["id"]
    act("editor", "resource_patch", id=resource_id, hash="abc", cache_url=SECRET, download=SECRET, mimetype="text/csv",
        govopen_access="open", datastore_active=True)
    shown = act("sysadmin", "resource_show", id=resource_id)
    assert SECRET not in json.dumps(shown)
    assert "download" not in shown
    assert not shown["hash"]
    assert not shown["mimetype"]
    assert shown["govopen_access"] == "restricted"
    assert shown["datastore_active"] is False


def test_no_file_is_taken(act: Any, restricted: Any) -> None:
    upload = FileStorage(io.BytesIO(b"a,b\n1,2\n"), "a.csv")
    with pytest.raises(tk.ValidationError):
        act("editor", "resource_create", package_id=restricted["id"], name="x", upload=upload)


@pytest.mark.parametrize(("action", "more"), [
    ("datastore_search", {}), ("datastore_info", {}), ("datastore_create", {"records": [{"a": 1}], "force": True}),
    ("datastore_upsert", {"records": [{"a": 1}], "force": True, "method": "insert"}),
    ("datastore_delete", {"force": True}), ("datastore_records_delete", {"force": True, "filters": {}}),
    ("resource_view_create", {"view_type": "datatables_view", "title": "t"}),
    ("datastore_search_sql", {}),
])
def test_actions_refuse_whoever_asks(act: Any, restricted: Any, action: str, more: Any) -> None:
    resource_id = restricted["resources"][0]["id"]
    more = {"sql": f'SELECT * FROM "{resource_id}"'} if action == "datastore_search_sql" else {
        "resource_id": resource_id, "id": resource_id, **more}
    for who in EVERYBODY:
        with pytest.raises(tk.NotAuthorized):
            act(who, action, **more)


@pytest.mark.parametrize(
    "tail", ["/download", "/download/a.csv", "/proxy", "/datastore", "/view/00000000-0000-0000", ""])
def test_routes_of_a_resource_give_nothing(app: Any, restricted: Any, headers_of: Any, tail: str) -> None:
    if tail == "":
        address, expected = f"/datastore/dump/{restricted['resources'][0]['id']}", {403}
    else:
        address, expected = address_of(restricted, tail), {403, 404}
    for who in EVERYBODY:
        answer = app.get(address, headers=headers_of(who), status=None, follow_redirects=False)
        assert answer.status_code in expected
        if answer.status_code == 403:
            assert answer.content_type.startswith("application/json")
            assert answer.json["code"] == "restricted"


def test_people_get_a_page_and_never_a_login_form(app: Any, restricted: Any) -> None:
    answer = app.get(address_of(restricted, "/download"), headers={"Accept": "text/html"}, status=None,
                     follow_redirects=False)
    assert answer.status_code == 403
    assert f"/apply/{restricted['resources'][0]['id']}" in answer.get_data(as_text=True)


def test_open_data_stays_downloadable(app: Any, act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    resource = act("editor", "resource_create", package_id=made["id"], name="f", url="f.csv",
                   upload=FileStorage(io.BytesIO("编码\n1\n".encode()), "f.csv"))
    answer = app.get(f"/dataset/{made['name']}/resource/{resource['id']}/download/f.csv")
    assert answer.get_data(as_text=True) == "编码\n1\n"


def test_restricting_open_data_removes_it_from_everywhere(
    app: Any, act: Any, closed_later: Any, headers_of: Any
) -> None:
    linked, filed = closed_later["resources"]
    for one in (linked, filed):
        assert one["url"] == sealing.sentinel(one["id"])
        answer = app.get(f"/dataset/{closed_later['name']}/resource/{one['id']}/download/f.csv",
                         headers=headers_of("sysadmin"), status=None)
        assert answer.status_code == 403
        with pytest.raises(tk.NotAuthorized):
            act("sysadmin", "datastore_search", resource_id=one["id"])
    assert model.Session.query(model.ResourceView).filter_by(resource_id=linked["id"]).count() == 0
    assert not DatastoreBackend.get_active_backend().resource_exists(linked["id"])
    assert not list(Path(tk.config["ckan.storage_path"]).rglob(f"*{filed['id'][6:]}"))


def test_a_refused_restriction_removes_nothing(act: Any, app: Any, people: Any, service: ServiceDouble) -> None:
    made = act("editor", "package_create", **dataset_dict(people["org"]["id"]))
    resource = act("editor", "resource_create", package_id=made["id"], name="f", url="f.csv",
                   upload=FileStorage(io.BytesIO(b"code\n1\n"), "f.csv"))
    act("editor", "datastore_create", resource_id=resource["id"], force=True, records=[{"code": "1"}])
    act("editor", "resource_view_create", resource_id=resource["id"], view_type="datatables_view", title="t")
    service.refusals["PUT"] = (422, {"code": "publish_gate", "detail": "须经批准"})
    with pytest.raises(tk.ValidationError):
        act("editor", "package_patch", id=made["id"], open_attribute="conditional", open_mode="a",
            use_requirements="b", security_measures="c")
    model.Session.remove()
    assert act(None, "datastore_search", resource_id=resource["id"])["total"] == 1
    assert len(act(None, "resource_view_list", id=resource["id"])) >= 1
    assert app.get(f"/dataset/{made['name']}/resource/{resource['id']}/download/f.csv").status_code == 200


def test_files_of_a_restricted_resource_are_refused_by_their_own_route(
    app: Any, restricted: Any, headers_of: Any
) -> None:
    file = model.File(name="a.csv", location="a.csv", storage="default", content_type="text/csv", size=1, hash="x")
    model.Session.add(file)
    model.Session.flush()
    file_id = file.id
    model.Session.add(model.FileOwner(
        file_id=file_id, owner_type="resource", owner_id=restricted["resources"][0]["id"]))
    model.Session.commit()
    for who in EVERYBODY:
        answer = app.get(f"/file/download/{file_id}", headers=headers_of(who), status=None)
        assert answer.status_code == 403
    for address in ("/file/trusted-download/x.y.z", "/file/public-download/default/a.csv"):
        assert app.get(address, status=None).status_code in (403, 404)


def test_earlier_versions_in_the_activity_stream_are_scrubbed(act: Any, closed_later: Any) -> None:
    act("editor", "package_patch", id=closed_later["id"], title="又一次")
    entries = act("editor", "package_activity_list", id=closed_later["id"], limit=100)
    assert len(entries) >= 3
    for activity in model.Session.query(Activity):
        kept = json.dumps(activity.data)
        assert SECRET not in kept
        assert "deadbeef" not in kept


def test_the_index_holds_no_address(act: Any, closed_later: Any) -> None:
    for who in EVERYBODY:
        found = act(who, "package_search", q=f"name:{closed_later['name']}", rows=10,
                    fl="id,name,data_dict,validated_data_dict,res_url,extras_*")
        assert found["count"] == 1
        assert SECRET not in json.dumps(found)
        facets = act(who, "package_search", **{"facet.field": ["res_url", "res_extras_hash"], "rows": 0})
        assert SECRET not in json.dumps(facets)
        whole = act(who, "package_search", rows=1000)
        assert SECRET not in json.dumps(whole)


def test_even_a_record_from_before_is_sealed_when_it_is_indexed(act: Any, restricted: Any) -> None:
    resource = model.Session.get(model.Resource, restricted["resources"][0]["id"])
    resource.url = SECRET
    model.Session.commit()
    search.rebuild(restricted["id"])
    document = search.show(restricted["id"])
    assert SECRET not in json.dumps(document)
    assert SECRET not in json.dumps(act(None, "package_show", id=restricted["id"]))
    assert SECRET not in json.dumps(act(None, "resource_show", id=resource.id))


def test_resource_search_answers_no_question_about_addresses(act: Any, closed_later: Any) -> None:
    for who in EVERYBODY:
        for query in ("url:internal", "url:apply", "hash:dead", "url:real-location"):
            found = act(who, "resource_search", query=query)
            ids = {one["id"] for one in found["results"]}
            assert not ids & {one["id"] for one in closed_later["resources"]}


def test_resource_search_keeps_to_datasets_that_one_may_see(
    act: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"表格{people['org']['name']}"
    act("editor", "package_create", **dataset_dict(
        people["org"]["id"], resources=[{"name": name, "url": "http://data.gov.cn/a.csv"}]))
    assert act(None, "resource_search", query=f"name:{name}")["count"] == 1

    class Strict:
        def get_dataset_labels(self, dataset: Any) -> list[str]:
            return [f"member-{dataset.owner_org}"]

        def get_user_dataset_labels(self, user: Any) -> list[str]:
            return [] if user is None else [f"member-{group.id}" for group in user.get_groups("organization")]

    monkeypatch.setattr("ckanext.govopen.guards.get_permission_labels", Strict)
    counts = {who: act(who, "resource_search", query=f"name:{name}")["count"] for who in EVERYBODY}
    assert counts == {None: 0, "outsider": 0, "stranger": 0, "editor": 1, "sysadmin": 1}


@pytest.mark.parametrize("query", [7, ["a"], "nofield", ["name:a", 7], "surprise:x"])
def test_resource_search_refuses_bad_queries(act: Any, people: Any, query: Any) -> None:
    with pytest.raises(tk.ValidationError):
        act(None, "resource_search", query=query)


def test_nothing_of_restricted_data_stands_on_the_pages(app: Any, closed_later: Any) -> None:
    for address in (
        f"/dataset/{closed_later['name']}", address_of(closed_later), "/feeds/dataset.atom",
        f"/api/3/action/package_show?id={closed_later['id']}", f"/dataset/activity/{closed_later['name']}",
    ):
        answer = app.get(address, status=None)
        assert answer.status_code in (200, 302, 404)
        assert SECRET not in answer.get_data(as_text=True)


def test_nothing_can_be_smuggled_by_the_type_of_dataset(act: Any, people: Any) -> None:
    with pytest.raises(tk.ValidationError):
        act("editor", "package_create", name="other-type", type="harvest", owner_org=people["org"]["id"], title="x")


def test_loosening_gives_the_resource_an_address_again(act: Any, restricted: Any, service: ServiceDouble) -> None:
    act("editor", "package_patch", id=restricted["id"], open_attribute="unconditional", grade="general-2")
    resource_id = restricted["resources"][0]["id"]
    act("editor", "resource_patch", id=resource_id, url="http://data.gov.cn/open.csv")
    shown = act(None, "resource_show", id=resource_id)
    assert (shown["url"], shown["govopen_access"]) == ("http://data.gov.cn/open.csv", "open")
    assert service.objects[resource_id]["open_attribute"] == "unconditional"


@pytest.mark.ckan_config("ckan.files.storage.kept.type", "ckan:memory")
def test_files_known_by_ids_of_their_own_go_when_their_resource_is_sealed(app: Any, act: Any, people: Any) -> None:
    made = act("editor", "package_create", **dataset_dict(
        people["org"]["id"], private=True, resources=[{"name": "表", "url": "http://a.cn/a"}]))
    storage = files.get_storage("kept")
    stored = storage.upload(files.Location("a.csv"), files.make_upload(b"code\n1\n"))
    file = model.File(name="secret.csv", storage="kept", location=stored.location)
    model.Session.add(file)
    model.Session.flush()
    model.Session.add(model.FileOwner(file_id=file.id, owner_id=made["resources"][0]["id"], owner_type="resource"))
    model.Session.commit()
    known = file.id
    shown = act("editor", "package_show", id=made["id"])
    act("editor", "package_update", **{**shown, "open_attribute": "conditional", "open_mode": "接口",
                                       "use_requirements": "要求", "security_measures": "措施"})
    model.Session.expire_all()
    assert model.Session.get(model.File, known) is None
    assert not storage.exists(stored)
    assert app.get(f"/file/download/{known}", status=None).status_code == 404
