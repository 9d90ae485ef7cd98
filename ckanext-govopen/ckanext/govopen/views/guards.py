"""Routes that serve or edit data of one resource refuse restricted ones: 403, as JSON for programs."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan import model
from ckan.views.api import _get_request_data
from ckanext.govopen import figures, sealing, shapes
from ckanext.govopen.text import unstorable
from flask import Blueprint, Response, current_app, jsonify, request
from werkzeug.exceptions import Forbidden, NotFound

blueprint = Blueprint("govopen_guards", __name__)
log = logging.getLogger(__name__)

SUSPECT = re.compile(rb"\\u(0000|[dD][89a-fA-F])|\x00")
ALLOWED_ENDPOINTS = frozenset({"read", "edit", "delete", "search", "new"})
"""Pages about the catalogue entry; whatever else takes a resource id gives out or takes in data."""
BULK_STATES = ("private", "public")
BULK_ACTS = frozenset({*BULK_STATES, "delete"})
"""What may be done with many datasets at once; a field of CKAN's form with the name of a state as its value counts."""
GUARDED_BLUEPRINTS = ("resource", "dataset_resource", "datastore", "file", "xloader", "datapusher")


@blueprint.before_app_request
def refuse_unstorable() -> Any:
    """Answer 400 to U+0000 and broken surrogates wherever they come, as CKAN's queries would crash on them."""
    if unstorable(request.path) or unstorable(dict(request.args.lists())):
        return _malformed()
    if request.method not in ("POST", "PUT", "PATCH"):
        return None
    if request.mimetype == "application/json" or request.path.startswith("/api/"):
        raw = request.get_data(cache=True) if not request.mimetype.startswith("multipart/") else b""
        if SUSPECT.search(raw):
            try:
                found = json.loads(raw)
            except (ValueError, RecursionError):
                return None
            return _malformed() if unstorable(found) else None
        return None
    return _malformed() if unstorable(dict(request.form.lists())) else None


@blueprint.before_app_request
def refuse_shapes() -> Any:
    """Answer 409, as CKAN does to what it finds wrong, where its actions would crash on what they are asked with."""
    if request.endpoint != "api.action":
        return None
    name = str((request.view_args or {}).get("logic_function"))
    try:
        given = _get_request_data(try_url_params=getattr(tk.get_action(name), "side_effect_free", False))
    except (KeyError, ValueError):
        return None
    wrong = shapes.wrong(name, given)
    if not wrong:
        return None
    answer = jsonify({"success": False, "error": {"__type": "Validation Error", **wrong}})
    answer.status_code = 409
    return answer


def _malformed() -> Any:
    sentence = tk._("Contains characters that cannot be stored")
    if request.path.startswith("/api/") or "/api/" in request.path[:8]:
        answer = jsonify({"success": False, "error": {"__type": "Bad request", "message": sentence}})
        answer.status_code = 400
        return answer
    return tk.abort(400, sentence)


@blueprint.before_app_request
def refuse_restricted() -> Any:
    """Answer 403 before any view runs when the address names a restricted resource's data."""
    endpoint = request.endpoint or ""
    owner, _, name = endpoint.rpartition(".")
    args = request.view_args or {}
    resource_id = args.get("resource_id")
    if owner == "file":
        resource_id = _owning_resource(args.get("id"))
    if not resource_id or owner.startswith("govopen") or not _gives_data(owner, name):
        return None
    if not sealing.is_restricted(resource_id):
        return None
    return refusal(resource_id)


@blueprint.before_app_request
def refuse_history() -> Any:
    """CKAN shows a table as it was without asking who may see that version, and fails where versions are not named."""
    name = (request.endpoint or "").partition("activity.")[2]
    if name == "resource_history":
        versions = [(request.view_args or {}).get("activity_id")]
    elif name.endswith("_changes_multiple"):
        versions = [request.args.get("old_id"), request.args.get("new_id")]
    else:
        return None
    context = {"user": tk.current_user.name, "auth_user_obj": tk.current_user}
    for one in versions:
        try:
            tk.check_access("activity_show", dict(context), {"id": one, "include_data": True})
        except (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError):
            return tk.abort(404, tk._("There is no such page."))
    if len(versions) > 1 and not request.args.get("current_new_id") and not _in_order(*versions):
        return tk.abort(400, tk._("Choose an earlier and a later version."))
    return None


def _in_order(old_id: str | None, new_id: str | None) -> bool:
    """Whether the first of two versions is the older; CKAN has nothing to show else and asks for a version unnamed."""
    from ckanext.activity.model import Activity

    old, new = model.Session.get(Activity, old_id), model.Session.get(Activity, new_id)
    return old is not None and new is not None and old.timestamp < new.timestamp


@blueprint.before_app_request
def refuse_bulk() -> Any:
    """CKAN changes many datasets at once for departments alone, and fails for groups and without one thing to do."""
    if (request.endpoint or "").rpartition(".")[2] != "bulk_process":
        return None
    group = model.Group.get((request.view_args or {}).get("id"))
    if group is None or not group.is_organization:
        return tk.abort(404, tk._("There is no such page."))
    named = {key.rpartition(".")[2] for key, value in request.form.items() if value in BULK_STATES}
    named |= {key.removeprefix("bulk_action.") for key in request.form if key.startswith("bulk_action.")}
    if request.method == "POST" and (len(named) != 1 or not named <= BULK_ACTS):
        return tk.abort(400, tk._("Choose one thing to do with the datasets."))
    return None


@blueprint.app_errorhandler(tk.NotAuthorized)
@blueprint.app_errorhandler(tk.ObjectNotFound)
def refused(problem: Exception) -> Any:
    """Some of CKAN's views let a refusal through, which would end as an error of the server."""
    denied = isinstance(problem, tk.NotAuthorized)
    told = Forbidden(tk._("Access denied")) if denied else NotFound(tk._("There is no such page."))
    return current_app.handle_http_exception(told)


@blueprint.after_app_request
def keep_files_inert(answer: Response) -> Response:
    """Uploaded files are saved, never opened on this site's address, where a script in them could act as a person."""
    owner, _, name = (request.endpoint or "").rpartition(".")
    stored = owner == "file" or (name == "download" and (owner == "resource" or owner.endswith("_resource")))
    if not stored or answer.status_code >= 400:
        return answer
    kind, _, filename = answer.headers.get("Content-Disposition", "").partition(";")
    if kind.strip().lower() != "attachment":
        answer.headers["Content-Disposition"] = f"attachment;{filename}" if filename else "attachment"
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


@blueprint.after_app_request
def count_download(answer: Response) -> Response:
    """Whoever saves an uploaded file is one more download of it; a later part of a file is none. Nobody is recorded."""
    endpoint, args = request.endpoint or "", request.view_args or {}
    owner, _, name = endpoint.rpartition(".")
    whole = request.headers.get("Range", "bytes=0-").replace(" ", "").startswith("bytes=0-")
    if name != "download" or not (owner == "resource" or owner.endswith("_resource")) or request.method != "GET":
        return answer
    if answer.status_code not in (200, 206, 302) or not whole:
        return answer
    resource = model.Session.get(model.Resource, str(args.get("resource_id")))
    if resource is not None and resource.url_type == "upload" and not sealing.is_restricted_row(resource):
        try:
            figures.count_file(resource.id, resource.package_id)
        except sa.exc.SQLAlchemyError:
            model.Session.rollback()
            log.warning("a download of %s was not counted", resource.id, exc_info=True)
    return answer


def _gives_data(owner: str, name: str) -> bool:
    if owner in GUARDED_BLUEPRINTS or owner.endswith("_resource"):
        return name not in ALLOWED_ENDPOINTS
    return owner not in ("api", "dataset", "organization", "group", "activity", "")


def _owning_resource(file_id: Any) -> str | None:
    """The resource a stored file belongs to, None for other files."""
    if not isinstance(file_id, str):
        return None
    found = model.Session.get(model.File, file_id)
    owner = getattr(found, "owner", None)
    if owner is None or getattr(owner, "owner_type", None) != "resource":
        return None
    return str(owner.owner_id)


def refusal(resource_id: str) -> Any:
    """403 with the way to apply; a page for people, JSON for programs."""
    sentence = str(sealing.Restricted(resource_id))
    if request.accept_mimetypes.best_match(["application/json", "text/html"], "application/json") == "text/html":
        return tk.abort(403, sentence)
    answer = jsonify({
        "type": "about:blank", "title": tk._("Access denied"), "status": 403, "code": "restricted",
        "detail": sentence, "next": sealing.sentinel(resource_id),
    })
    answer.status_code = 403
    return answer
