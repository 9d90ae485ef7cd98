"""A town for tests of leaks: accounts, and per open attribute a dataset as it is and three that are not to be seen.

All that is private is marked with texts of a book (``ops.leaks.canaries``), which is given, as is the list of viewers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import ckan.plugins.toolkit as tk
from ckan import model
from ckan.lib import uploader
from ckan.tests import factories
from ckanext.activity.model import Activity
from ckanext.govopen.testing import conditional, dataset_dict
from werkzeug.datastructures import FileStorage

SECRET_SETTINGS = (
    "SECRET_KEY", "WTF_CSRF_SECRET_KEY", "api_token.jwt.encode.secret", "api_token.jwt.decode.secret", "solr_password",
)
SECRET_ADDRESSES = ("sqlalchemy.url", "ckan.datastore.write_url", "ckan.datastore.read_url", "ckan.redis.url")
ATTRIBUTES = ("unconditional", "conditional", "closed")
HIDDEN = ("private", "draft", "deleted")
TARGETS = ("main", *HIDDEN)
Book = Any
Found = dict[str, Any]


@dataclass
class Town:
    """What was planted, by the names of viewers and open attributes."""

    book: Book
    viewers: Sequence[str]
    organisation_id: str = ""
    people: dict[str, Found] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)
    """Ids of what is there once: departments, a group, a vocabulary."""
    worlds: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """Open attribute -> ``main`` or one of ``HIDDEN`` -> ids."""
    ids: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """(kind, viewer, attribute) -> id in the service."""
    service_database: str = ""

    def places(self, viewer: str, attribute: str, target: str) -> dict[str, str]:
        """Ids for a question of the viewer about one dataset, its department and a person there."""
        victim, me = self.people["owner"], self.people.get(viewer) or {"id": "none", "name": "none"}
        return {
            **self.shared, **self.worlds[attribute][target], "user": victim["id"], "user_name": victim["name"],
            "email": victim["email"], "token": victim["token"], "me": me["id"], "me_name": me["name"],
            "my_org": self.shared["other_org"] if viewer == "other_editor" else "none", "job": "none",
        }


def act(who: str, action: str, **data: Any) -> Any:
    """Call an action as a person, or without permissions as nobody."""
    return tk.get_action(action)({"user": who, "ignore_auth": not who}, data)


def plant_town(book: Book, viewers: Sequence[str], config: Any) -> Town:
    """``viewers``: anonymous, then names of accounts, of which ``owner`` and ``other_editor`` are of departments."""
    town = Town(book, viewers)
    _watch_settings(book, config)
    for viewer in (*viewers[1:], "operator"):
        town.people[viewer] = _person(book, viewer)
    owner = town.people["owner"]["name"]
    own = factories.Organization(users=[{"name": owner, "capacity": "admin"}], title="市场监督管理局")
    other = factories.Organization(users=[{"name": town.people["other_editor"]["name"], "capacity": "admin"}])
    group = factories.Group(user={"name": owner})
    town.organisation_id = own["id"]
    vocabulary = act("", "vocabulary_create", name="leak-words", tags=[{"name": "leak-word"}])
    town.shared = {
        "org": own["id"], "org_name": own["name"], "other_org": other["id"], "group": group["id"],
        "group_name": group["name"], "vocabulary": vocabulary["id"],
    }
    for attribute in ATTRIBUTES:
        main = _main(town, owner, attribute)
        hidden = {one: _hidden(town, owner, attribute, one) for one in HIDDEN}
        for one in hidden.values():
            one["other"] = main["dataset"]
        town.worlds[attribute] = {"main": {**main, "other": hidden["private"]["dataset"]}, **hidden}
    town.headers["anonymous"] = {}
    for viewer in viewers[1:]:
        token = act("", "api_token_create", user=town.people[viewer]["name"],
                    name=book.plant(f"{viewer}.token", viewer))["token"]
        town.headers[viewer] = {"Authorization": token}
        book.watch(f"{viewer}.token.text", token)
        listed = model.Session.query(model.ApiToken).filter_by(user_id=town.people[viewer]["id"])
        town.people[viewer]["token"] = listed.one().id
    return town


def _watch_settings(book: Book, config: Any) -> None:
    found = {name: str(config.get(name) or "").removeprefix("string:") for name in SECRET_SETTINGS}
    found |= {name: unquote(urlsplit(str(config.get(name) or "")).password or "") for name in SECRET_ADDRESSES}
    for text in {text: name for name, text in found.items() if len(text) >= 16}.items():
        book.watch(f"setting.{text[1]}", text[0])


def _person(book: Book, viewer: str) -> Found:
    """An account without a password, as making one takes long; what it tells of its holder only the holder may see.

    The real name is told to whoever makes others members of a department.
    """
    may = (viewer,) if viewer != "operator" else ()
    user = model.User(
        name=f"leak-{viewer.replace('_', '-')}", email=f"{book.plant(f'{viewer}.email', *may)}@govopen.example",
        fullname=book.plant(f"{viewer}.fullname", *may, "owner", "other_editor"),
        about=book.plant(f"{viewer}.about", *may),
        plugin_extras={"phone": book.plant(f"{viewer}.phone")}, reset_key=book.plant(f"{viewer}.reset_key"),
        sysadmin=viewer == "operator",
    )
    model.Session.add(user)
    model.Session.flush()
    model.Session.add(model.Dashboard(user.id))
    model.Session.commit()
    book.watch(f"{viewer}.email_hash", user.email_hash, *may)
    return {"id": user.id, "name": user.name, "email": user.email}


def _changed(attribute: str) -> Found:
    """What a dataset is told when it is restricted."""
    facts = conditional("")
    changed = {name: facts[name] for name in ("open_mode", "use_requirements", "security_measures", "items")}
    changed.update(open_attribute=attribute, grade="general-3" if attribute == "conditional" else "general-4")
    if attribute == "closed":
        changed.update(refuse_reason="涉及商业秘密", legal_basis="《反不正当竞争法》")
    return changed


def _main(town: Town, owner: str, attribute: str) -> dict[str, str]:
    """A dataset that everybody sees; before, for its department alone, it was open data with a link, a table, a view
    and a file."""
    book, org = town.book, town.organisation_id
    everybody = town.viewers if attribute == "unconditional" else ()

    def plant(what: str, *may: str) -> str:
        return book.plant(f"{attribute}.main.{what}", *(may or everybody))

    link = f"http://internal.gov.cn/{plant('url')}.csv"
    made = act(owner, "package_create", **dataset_dict(
        org, title=f"登记信息 {attribute}", notes=plant("notes.before", "owner"), private=True,
        resources=[{"name": "链接", "url": link, "hash": plant("hash")}]))
    linked = made["resources"][0]["id"]
    act(owner, "datastore_create", resource_id=linked, force=True, records=[{"code": plant("row")}],
        fields=[{"id": "code", "type": "text", "info": {"label": plant("label"), "notes": plant("info")}}])
    view = act(owner, "resource_view_create", resource_id=linked, view_type="datatables_view", title=plant("view"))
    filed = act(owner, "resource_create", package_id=made["id"], name="文件", url="f.csv", upload=FileStorage(
        io.BytesIO(f"code\n{plant('content')}\n".encode()), f"{plant('filename')}.csv"))
    stored = _stored(filed["id"], plant("stored"))
    task = _task(linked, plant("task", "owner"), plant("task.error", "owner"))
    shown = act(owner, "package_show", id=made["id"])
    shown.update(notes="公开的说明。", private=False, **(_changed(attribute) if attribute != "unconditional" else {}))
    act(owner, "package_update", **shown)
    model.Package.get(made["id"]).plugin_data = {"leak": {"note": plant("plugin_data", "operator")}}
    model.Session.commit()
    return {**_ids(made, linked), "view": view["id"], "task": task, **stored}


def _hidden(town: Town, owner: str, attribute: str, state: str) -> dict[str, str]:
    """A dataset that only its department may see, with everything that could tell of it marked."""
    book = town.book

    def plant(what: str) -> str:
        return book.plant(f"{attribute}.{state}.{what}", "owner")

    opened = attribute == "unconditional"
    facts = {} if opened else _changed(attribute)
    resource = {"name": plant("resource"), "description": plant("description"), "format": plant("format")}
    made = act(owner, "package_create", **dataset_dict(
        town.organisation_id, **facts, name=plant("name"), title=plant("title"), notes=plant("notes"),
        tags=[{"name": plant("tag")}], groups=[{"id": town.shared["group"]}], contact_unit=plant("contact"),
        extras=[{"key": "internal", "value": plant("extra")}], private=state == "private",
        state="draft" if state == "draft" else "active",
        resources=[{**resource, "url": f"http://internal.gov.cn/{plant('url')}" if opened else ""}]))
    first = made["resources"][0]["id"]
    places = {**_ids(made, first), "tag": made["tags"][0]["id"], "task": _task(first, plant("task"), plant("error"))}
    book.watch(f"{attribute}.{state}.id", made["id"], "owner")
    if opened:
        act(owner, "datastore_create", resource_id=first, force=True, records=[{"code": plant("row")}],
            fields=[{"id": "code", "type": "text", "info": {"label": plant("label")}}])
        places["view"] = act(
            owner, "resource_view_create", resource_id=first, view_type="datatables_view", title=plant("view"))["id"]
        filed = act(owner, "resource_create", package_id=made["id"], name=plant("file"), url="f.csv",
                    upload=FileStorage(io.BytesIO(f"code\n{plant('content')}\n".encode()), "f.csv"))
        places.update(_stored(filed["id"], plant("stored")))
    if state == "deleted":
        act(owner, "package_delete", id=made["id"])
    return places


def _task(resource_id: str, value: str, error: str) -> str:
    """What a job has left behind about a table, as those that load tables do: rows that did not fit."""
    made = act("", "task_status_update", entity_id=resource_id, entity_type="resource", task_type="leak", key="leak",
               value=value, error=json.dumps({"row": error}), state="error")
    return str(made["id"])


def _ids(made: Found, resource: str) -> dict[str, str]:
    activity = model.Session.query(Activity).filter_by(object_id=made["id"]).order_by(Activity.timestamp).first()
    return {
        "dataset": made["id"], "name": made["name"], "resource": resource, "filed": resource,
        "activity": activity.id if activity else "none",
        **dict.fromkeys(("tag", "view", "file", "location", "task"), "none"),
    }


def _stored(resource_id: str, name: str) -> dict[str, str]:
    """The stored file of a resource, known to CKAN as a file of its own, as files that were registered are."""
    stored = uploader.get_resource_uploader({"id": resource_id, "url": ""})
    location = str(stored.get_path(resource_id))
    file = model.File(name=name, storage="resources", location=location, content_type="text/csv", size=1, hash="")
    model.Session.add(file)
    model.Session.flush()
    model.Session.add(model.FileOwner(file_id=file.id, owner_id=resource_id, owner_type="resource"))
    model.Session.commit()
    return {"filed": resource_id, "file": file.id, "location": location}
