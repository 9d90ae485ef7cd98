"""What CKAN tells of people, and of datasets that are not to be seen: through lists, streams, jobs and errors."""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any
from urllib.parse import unquote, urlsplit

import ckan.plugins.toolkit as tk
import pytest
from ckan import model
from ckan.lib.search import index, make_connection
from ckan.tests import factories
from ckanext.activity.model import Activity
from ckanext.govopen import search_connection
from ckanext.govopen.testing import dataset_dict

Found = dict[str, Any]
SECRETS = ("SECRET_KEY", "WTF_CSRF_SECRET_KEY", "api_token.jwt.encode.secret", "solr_password")
ADDRESSES = ("sqlalchemy.url", "ckan.datastore.write_url", "ckan.datastore.read_url", "ckan.redis.url")


def word() -> str:
    return f"w{uuid.uuid4().hex[:10]}"


@pytest.fixture
def make(act: Any, people: Any) -> Any:
    """Make a dataset of the department with a tag and a format of its own."""

    def made(**changes: Any) -> Found:
        tag, form = word(), word()
        facts = {"tags": [{"name": tag}], "resources": [{"name": "a", "url": "http://a.cn/a", "format": form}]}
        return act("editor", "package_create", **dataset_dict(people["org"]["id"], **{**facts, **changes}))

    return made


@pytest.fixture
def head(people: Any, prepared: dict[str, Any]) -> str:
    """The administrator of another department."""
    if "head" not in prepared:
        user = factories.User()
        act_as = {"ignore_auth": True, "user": people["sysadmin"]["name"]}
        tk.get_action("organization_member_create")(
            act_as, {"id": people["other_org"]["id"], "username": user["name"], "role": "admin"})
        prepared["head"] = user
    people["head"] = prepared["head"]
    return "head"


@pytest.mark.parametrize("hiding", [{"private": True}, {"state": "draft"}, None])
def test_tags_and_formats_of_hidden_datasets_are_listed_nowhere(act: Any, make: Any, hiding: Any) -> None:
    shown, hidden = make(), make(**(hiding or {}))
    if hiding is None:
        act("editor", "package_delete", id=hidden["id"])
    for made, listed in ((shown, True), (hidden, False)):
        tag, form = made["tags"][0]["name"], made["resources"][0]["format"]
        for who in (None, "outsider", "stranger"):
            assert (tag in act(who, "tag_list")) is listed
            assert (tag in json.dumps(act(who, "tag_list", all_fields=True))) is listed
            assert (tag in act(who, "tag_autocomplete", q=tag[:6])) is listed
            assert act(who, "tag_search", query=tag)["count"] == int(listed)
            assert (form in act(who, "format_autocomplete", q=form)) is listed
    with pytest.raises(tk.ObjectNotFound):
        act(None, "tag_show", id=hidden["tags"][0]["id"])
    assert act(None, "tag_show", id=shown["tags"][0]["id"])["name"] == shown["tags"][0]["name"]


def test_autocompletion_still_gives_as_many_as_were_asked_for(act: Any, make: Any) -> None:
    start = word()
    for hidden in (True, True, False, False, False):
        make(tags=[{"name": f"{start}{word()}"}], private=hidden)
    assert len(act(None, "tag_autocomplete", q=start, limit=2)) == 2
    assert len(act(None, "tag_autocomplete", q=start)) == 3
    assert act(None, "tag_search", query=start, limit=1, offset=2)["count"] == 3


def test_members_are_told_to_members(act: Any, people: Any, make: Any) -> None:
    hidden, own = make(private=True), people["org"]["id"]
    for who, among in ((None, False), ("outsider", False), ("stranger", False), ("editor", True), ("sysadmin", True)):
        told = {one[0] for one in act(who, "member_list", id=own)}
        assert (people["editor"]["id"] in told) is among
        assert (hidden["id"] in {one[0] for one in act(who, "member_list", id=own, object_type="package")}) is among


@pytest.mark.parametrize("stream", [
    "package_activity_list", "organization_activity_list", "recently_changed_packages_activity_list"])
def test_streams_tell_names_of_what_can_be_seen_now(act: Any, people: Any, make: Any, stream: str) -> None:
    notes = word()
    made = make(notes=notes)
    about = made["id"] if stream.startswith("package") else people["org"]["id"]

    def told(who: str | None) -> str:
        return json.dumps(act(who, stream, id=about, limit=50))

    assert made["title"] in json.loads(f'[{json.dumps(told(None))}]')[0] or made["name"] in told(None)
    assert notes not in told(None)
    if stream.startswith("package"):
        assert notes in json.dumps(act("editor", stream, id=about, include_data=True))
    act("editor", "package_delete", id=made["id"])
    if not stream.startswith("package"):
        assert made["name"] not in told(None)
        assert made["name"] not in told("stranger")
        assert made["name"] in told("editor")


def test_activities_of_a_view_go_when_its_data_is_sealed(act: Any, make: Any) -> None:
    title = word()
    made = make(private=True)
    resource = made["resources"][0]["id"]
    act("editor", "datastore_create", resource_id=resource, force=True, records=[{"code": "1"}])
    act("editor", "resource_view_create", resource_id=resource, view_type="datatables_view", title=title)
    kept = model.Session.query(Activity).filter_by(object_id=made["id"])
    assert any(title in json.dumps(one.data) for one in kept)
    shown = act("editor", "package_show", id=made["id"])
    act("editor", "package_update", **{**shown, "open_attribute": "conditional", "open_mode": "接口",
                                       "use_requirements": "要求", "security_measures": "措施"})
    model.Session.expire_all()
    assert not any(title in json.dumps(one.data) for one in kept)
    assert kept.count()


def test_accounts_are_shown_to_their_holders(act: Any, people: Any, head: str) -> None:
    asked = people["outsider"]
    for who in (None, "stranger"):
        for name in (asked["name"], asked["id"], "nobody-at-all"):
            with pytest.raises(tk.NotAuthorized):
                act(who, "user_show", id=name)
        with pytest.raises(tk.NotAuthorized):
            act(who, "user_autocomplete", q=asked["name"][:4])
    assert act("outsider", "user_show", id=asked["id"])["email"] == asked["email"]
    assert act("sysadmin", "user_show", id=asked["id"])["email_hash"]
    told = act(head, "user_show", id=asked["id"])
    assert not any(told.get(name) for name in ("email", "email_hash", "about", "apikey"))
    for who in (None, "outsider", head):
        with pytest.raises(tk.NotAuthorized):
            act(who, "user_list", all_fields=True)
    assert asked["name"] in {one["name"] for one in act("sysadmin", "user_list", all_fields=True)}


def test_whoever_makes_members_finds_accounts_by_the_beginning_of_their_name(act: Any, people: Any, head: str) -> None:
    asked = people["outsider"]
    assert asked["name"] in {one["name"] for one in act(head, "user_autocomplete", q=asked["name"])}
    assert act(head, "user_autocomplete", q=asked["fullname"].split()[-1]) == []
    told = act("editor", "organization_show", id=people["org"]["id"], include_users=True)["users"]
    assert told
    assert not any(one.get("email_hash") for one in told)


def test_what_a_job_left_behind_is_the_departments(act: Any, make: Any) -> None:
    made = make()
    task = tk.get_action("task_status_update")({"ignore_auth": True, "user": ""}, {
        "entity_id": made["resources"][0]["id"], "entity_type": "resource", "task_type": "load", "key": "k",
        "value": "v", "error": '{"row": "张三"}', "state": "error"})
    for who in (None, "outsider", "stranger"):
        with pytest.raises(tk.NotAuthorized):
            act(who, "task_status_show", id=task["id"])
    assert "张三" in act("editor", "task_status_show", id=task["id"])["error"]


def test_the_list_of_all_tables_is_not_given_out(act: Any) -> None:
    for who in (None, "outsider", "editor"):
        with pytest.raises(tk.NotAuthorized):
            act(who, "datastore_search", resource_id="_table_metadata")
        with pytest.raises(tk.NotAuthorized):
            act(who, "datastore_search_sql", sql='SELECT * FROM "_table_metadata"')


def test_a_refusal_does_not_tell_the_id_behind_a_name(app: Any, make: Any, headers_of: Any) -> None:
    hidden = make(private=True)
    for who in (None, "stranger"):
        for action in ("package_show", "package_patch", "package_activity_list"):
            answer = app.post(
                f"/api/3/action/{action}", json={"id": hidden["name"]}, headers=headers_of(who), status=None)
            assert answer.status_code == 403
            assert hidden["id"] not in answer.get_data(as_text=True)
        view = {"resource_id": hidden["resources"][0]["id"], "title": "x", "view_type": "datatables_view"}
        answer = app.post("/api/3/action/resource_view_create", json=view, headers=headers_of(who), status=None)
        assert answer.status_code == 403
        assert hidden["id"] not in answer.get_data(as_text=True)


def test_collaborators_that_there_are_not_are_no_error_of_the_server(app: Any, make: Any, headers_of: Any) -> None:
    made = {"id": make()["id"], "user_id": "x", "capacity": "editor"}
    for verb in ("list", "create", "delete"):
        for who in (None, "editor"):
            answer = app.post(
                f"/api/3/action/package_collaborator_{verb}", json=made, headers=headers_of(who), status=None)
            assert answer.status_code == 403


def test_refusals_of_ckans_views_are_no_errors_of_the_server(app: Any, headers_of: Any) -> None:
    for who, method, address, status in (
        ("outsider", "get", "/api/2/util/user/autocomplete?q=ab", 403), (None, "post", "/group/unfollow/x", 404),
        (None, "post", "/datatables/ajax/00000000-0000-0000-0000-000000000000", 404),
        (None, "post", "/datatables/filtered-download/00000000-0000-0000-0000-000000000000", 404),
    ):
        data = {"params": "{}"} if method == "post" else None
        answer = getattr(app, method)(address, headers=headers_of(who), data=data, status=None, follow_redirects=False)
        assert answer.status_code == status, address


def test_earlier_versions_of_a_table_are_the_departments(app: Any, act: Any, make: Any, headers_of: Any) -> None:
    notes = word()
    made = make(notes=notes, private=True)
    act("editor", "package_patch", id=made["id"], notes="公开的说明", private=False)
    activity = model.Session.query(Activity).filter_by(object_id=made["id"]).order_by(Activity.timestamp).first()
    address = f"/dataset/{made['id']}/resources/{made['resources'][0]['id']}/history/{activity.id}"
    for who, status in ((None, 404), ("outsider", 404), ("stranger", 404), ("editor", 200)):
        answer = app.get(address, headers=headers_of(who), status=None)
        assert answer.status_code == status
        assert (notes in answer.get_data(as_text=True)) is (status == 200)
    for part in ("dataset", "organization", "group"):
        for query in ("", "?old_id=x&new_id=x", f"?old_id={activity.id}&new_id={activity.id}"):
            assert app.get(f"/{part}/changes_multiple{query}", status=None).status_code == 404


def test_strangers_are_not_told_who_worked_on_a_dataset(app: Any, people: Any, make: Any, headers_of: Any) -> None:
    made = make()
    pages = [f"/dataset/activity/{made['name']}", f"/organization/activity/{people['org']['name']}",
             f"/organization/admins/{people['org']['name']}"]
    names = {people[who][key] for who in ("editor", "sysadmin") for key in ("name", "fullname")}
    for page in pages:
        for who in (None, "outsider", "stranger"):
            told = app.get(page, headers=headers_of(who), status=None).get_data(as_text=True)
            assert not any(one in told for one in names), (page, who)
    assert people["editor"]["fullname"][:15] in app.get(pages[0], headers=headers_of("editor")).get_data(as_text=True)


def secrets() -> list[str]:
    found = [str(tk.config.get(name) or "").removeprefix("string:") for name in SECRETS]
    found += [unquote(urlsplit(str(tk.config.get(name) or "")).password or "") for name in ADDRESSES]
    assert tk.config["solr_password"] in found
    return [one for one in found if len(one) > 8]


def test_a_search_service_that_is_away_tells_no_password(
    app: Any, act: Any, people: Any, headers_of: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    ckan_config: Any, make: Any,
) -> None:
    made, headers = make(), headers_of("editor")
    known = secrets()
    for name in ("pysolr", "urllib3", "ckan", "ckanext"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    monkeypatch.setitem(ckan_config, "solr_url", "http://127.0.0.1:9/solr/ckan")
    facts = dataset_dict(people["org"]["id"])
    with caplog.at_level(logging.DEBUG):
        answers = [
            app.post("/api/3/action/package_create", json=facts, headers=headers, status=None),
            app.post("/api/3/action/package_patch", json={"id": made["id"], "title": "x"}, status=None,
                     headers=headers),
            app.post("/api/3/action/package_delete", json={"id": made["id"]}, headers=headers, status=None),
            app.post("/api/3/action/package_search", json={"q": "新"}, headers=headers, status=None),
            app.post(f"/dataset/edit/{made['name']}", data={**facts, "items": json.dumps(facts["items"]), "save": "x"},
                     headers=headers, status=None),
            app.get("/dataset/?q=新", headers=headers, status=None),
            app.get("/search/suggest?q=新", headers=headers, status=None),
        ]
    told = "".join(answer.get_data(as_text=True) + str(answer.headers) for answer in answers)
    assert "127.0.0.1:9" in caplog.text
    for one in known:
        assert one not in told
        assert one not in caplog.text
        assert one not in json.dumps([record.__dict__ for record in caplog.records], default=repr)


def test_the_password_of_the_search_service_is_sent_in_a_header(
    migrated: None, ckan_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert index.make_connection is search_connection.make_connection
    opened = make_connection()
    assert opened.url == tk.config["solr_url"]
    assert opened.auth == (tk.config["solr_user"], tk.config["solr_password"])
    assert opened.search(q="*:*", rows=0).hits >= 0
    for name in ("solr_user", "solr_password"):
        monkeypatch.setitem(ckan_config, name, None)
    monkeypatch.setitem(ckan_config, "solr_url", "http://who:a%40b@127.0.0.1:8983/solr/ckan")
    assert search_connection.parts() == ("http://127.0.0.1:8983/solr/ckan", ("who", "a@b"))
    monkeypatch.setitem(ckan_config, "solr_url", "http://127.0.0.1:8983/solr/ckan")
    assert search_connection.parts() == ("http://127.0.0.1:8983/solr/ckan", None)
