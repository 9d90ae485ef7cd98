"""The catalogue's pages: search, dataset, table, departments. Each is one or two searches and nothing per hit."""

from __future__ import annotations

from typing import Any

import ckan.plugins as p
import ckan.plugins.toolkit as tk
from ckan import model
from ckanext.govopen import dataset_page, popularity, search_page
from ckanext.govopen.helpers.pages import govopen_here
from flask import Blueprint

blueprint = Blueprint("govopen_catalogue", __name__)
HISTORY_ROWS = 100
DEPARTMENTS_MAX = 5000


def _context() -> dict[str, Any]:
    return {"user": tk.current_user.name, "auth_user_obj": tk.current_user, "for_view": True}


def _gone(sentence: str) -> Any:
    return tk.abort(404, sentence)


@blueprint.get("/dataset/")
def search() -> Any:
    """Datasets that match, with facets; ``/dataset`` answers by a redirect."""
    answer = search_page.run(search_page.Question.from_address(tk.request.args), explain=True)
    if answer.count and answer.question.page > answer.last_page:
        return tk.redirect_to(answer.question.address(page=answer.last_page))
    return tk.render("govopen/search.html", {"answer": answer, "question": answer.question}), (
        503 if answer.failed else 200)


def _dataset(name: str) -> dict[str, Any]:
    """The dataset as the person who asks may see it, after the plugins that guard its view; aborts with 404."""
    sentence = tk._("This dataset does not exist, has been withdrawn, or is not visible to you.")
    try:
        dataset = tk.get_action("package_show")(_context(), {"id": name})
    except (tk.ObjectNotFound, tk.NotAuthorized):
        return _gone(sentence)
    for plugin in p.PluginImplementations(p.IPackageController):
        dataset = plugin.before_dataset_view(dataset)
    return dataset


@blueprint.get("/dataset/<name>")
def dataset(name: str) -> Any:
    """The page of a dataset; an id leads to the address with the name."""
    found = _dataset(name)
    if found.get("type") not in (None, "dataset"):
        return _gone(tk._("There is no such page."))
    activity = tk.request.args.get("activity_id")
    if activity and p.plugin_loaded("activity"):
        return tk.redirect_to("activity.package_history", id=name, activity_id=activity)
    if name != found["name"]:
        return tk.redirect_to("dataset.read", id=found["name"])
    if found.get("state") == "active" and not found.get("private"):
        popularity.seen(found["name"])
    return tk.render("govopen/dataset.html", dataset_page.of_dataset(found, _may_edit(found)))


@blueprint.get("/dataset/<name>/resource/<resource_id>")
def resource(name: str, resource_id: str) -> Any:
    """One table or file of a dataset."""
    found = _dataset(name)
    table = next((entry for entry in found["resources"] if entry["id"] == resource_id), None)
    if table is None:
        return _gone(tk._("This table does not exist or has been withdrawn."))
    if name != found["name"]:
        return tk.redirect_to("dataset_resource.read", id=found["name"], resource_id=resource_id)
    return tk.render("govopen/resource.html", dataset_page.of_resource(found, table, _may_edit(found)))


@blueprint.get("/dataset/<name>/history")
def history(name: str) -> Any:
    """What happened to a dataset, newest first. People are not named: the department answers for its data."""
    found = _dataset(name)
    if not p.plugin_loaded("activity"):
        return _gone(tk._("There is no such page."))
    try:
        events = tk.get_action("package_activity_list")(_context(), {"id": found["id"], "limit": HISTORY_ROWS})
    except (tk.ObjectNotFound, tk.NotAuthorized):
        return _gone(tk._("The history of this dataset is not visible to you."))
    words = {"new package": tk._("Published"), "changed package": tk._("Catalog entry changed"),
             "deleted package": tk._("Withdrawn")}
    entries = [{"at": event["timestamp"], "label": words[event["activity_type"]]}
               for event in events if event["activity_type"] in words]
    return tk.render("govopen/history.html", {
        "dataset": found, "entries": entries, "dataset_url": tk.url_for("dataset.read", id=found["name"])})


def _may_edit(found: dict[str, Any]) -> bool:
    if not tk.current_user.is_authenticated:
        return False
    try:
        return bool(tk.check_access("package_update", _context(), {"id": found["id"]}))
    except tk.NotAuthorized:
        return False


@blueprint.get("/organization/")
def departments() -> Any:
    """All departments with what they publish: one query, and one question to the index for the counts."""
    try:
        tk.check_access("organization_list", _context())
    except tk.NotAuthorized:
        return tk.abort(403, tk._("There is no such page."))
    answer = search_page.run(search_page.Question(), page_rows=0, facets=("organization",), most=DEPARTMENTS_MAX)
    counted = next(([*facet["entries"], *facet["more"]] for facet in answer.facets
                    if facet["name"] == "organization"), [])
    counts = {entry["value"]: entry["count"] for entry in counted}
    listed = model.Session.query(model.Group.name, model.Group.title, model.Group.description).filter(
        model.Group.is_organization, model.Group.state == "active", model.Group.type == "organization")
    entries = [{
        "title": title or name, "description": description or "", "count": counts.get(name, 0),
        "url": tk.url_for("organization.read", id=name),
    } for name, title, description in listed]
    entries.sort(key=lambda entry: (-entry["count"], entry["title"]))
    return tk.render("govopen/departments.html", {"departments": entries, "may_create": _may_create()})


def _may_create() -> bool:
    try:
        return bool(tk.check_access("organization_create", _context()))
    except tk.NotAuthorized:
        return False


@blueprint.get("/organization/<name>")
def department(name: str) -> Any:
    """A department and its datasets."""
    try:
        found = tk.get_action("organization_show")(_context(), {
            "id": name, "include_datasets": False, "include_users": False, "include_dataset_count": False,
            "include_groups": False, "include_followers": False, "include_tags": False,
        })
    except (tk.ObjectNotFound, tk.NotAuthorized):
        return _gone(tk._("This department does not exist."))
    if name != found["name"]:
        return tk.redirect_to("organization.read", id=found["name"])
    question = search_page.Question.from_address(tk.request.args, fixed=("organization", found["name"]))
    answer = search_page.run(question, explain=True)
    if answer.count and question.page > answer.last_page:
        return tk.redirect_to(question.address(page=answer.last_page))
    try:
        manager = bool(tk.current_user.is_authenticated and tk.check_access(
            "organization_update", _context(), {"id": found["id"]}))
    except tk.NotAuthorized:
        manager = False
    return tk.render("govopen/department.html", {
        "department": found, "answer": answer, "question": question, "manager": manager, "here": govopen_here(),
    })
