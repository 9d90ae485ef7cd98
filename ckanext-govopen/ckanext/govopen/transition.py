"""When open data becomes restricted: what CKAN still holds of it is removed, earlier versions included."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import ckan.plugins as p
import ckan.plugins.toolkit as tk
from ckan import model
from ckan.lib import files, uploader
from ckanext.govopen import sealing
from sqlalchemy import event
from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

LEADING = ("url", "hash", "cache_url", "size", "mimetype")


WAITING, WAITING_FILES = "govopen_cleanup", "govopen_cleanup_files"


@cache
def listen() -> None:
    """Attach to CKAN's session, once: tables and files go only when the change that seals them is committed."""
    event.listen(model.Session, "after_commit", _after_commit)
    event.listen(model.Session, "after_soft_rollback", _after_rollback)


def clean(package: model.Package, resources: Sequence[model.Resource]) -> None:
    """Remove views and remembered addresses of the dataset's restricted resources now; tables and files after commit.

    Call it when the gate has let the change through. A crash between the commit and the removal leaves a table or a
    file that the guards refuse to give out and the next save, or ``ckan govopen republish``, removes.
    """
    restricted = {one.id for one in resources if sealing.is_restricted_row(one)}
    ever = model.Session.query(model.Resource).filter_by(package_id=package.id)
    if package.extras.get("open_attribute") != "unconditional" or any(map(sealing.is_restricted_row, ever)):
        _scrub_activities(package.id, {one.id for one in resources} - restricted)
    if not restricted:
        return
    for view in model.Session.query(model.ResourceView).filter(model.ResourceView.resource_id.in_(restricted)):
        model.Session.delete(view)
    model.Session.info.setdefault(WAITING, set()).update(restricted)
    _forget_files(restricted)


def _forget_files(restricted: set[str]) -> None:
    """Files that CKAN knows by ids of their own: their entries go now, what they stand for after the commit."""
    owned = model.Session.query(model.FileOwner.file_id).filter(
        model.FileOwner.owner_type == "resource", model.FileOwner.owner_id.in_(restricted))
    for file in model.Session.query(model.File).filter(model.File.id.in_(owned.scalar_subquery())).all():
        model.Session.info.setdefault(WAITING_FILES, set()).add((file.storage, file.location))
        model.Session.delete(file)


def _after_commit(session: Session) -> None:
    if session.in_nested_transaction():
        return
    for resource_id in session.info.pop(WAITING, ()):
        try:
            _remove_table(resource_id)
            _remove_file(resource_id)
        except Exception:
            log.exception("data of restricted resource %s could not be removed; it stays sealed", resource_id)
    for storage, location in session.info.pop(WAITING_FILES, ()):
        try:
            files.get_storage(storage).remove(files.FileData(location))
        except files.exc.MissingFileError:
            continue
        except Exception:
            log.exception("file %s of restricted data could not be removed from %s", location, storage)


def _after_rollback(session: Session, _previous: Any) -> None:
    session.info.pop(WAITING, None)
    session.info.pop(WAITING_FILES, None)


def _remove_table(resource_id: str) -> None:
    if not p.plugin_loaded("datastore"):
        return
    from ckanext.datastore.backend import DatastoreBackend

    backend = DatastoreBackend.get_active_backend()
    if backend.resource_exists(resource_id):
        backend.delete({}, {"resource_id": resource_id})
        log.info("removed the table of restricted resource %s", resource_id)


def _remove_file(resource_id: str) -> None:
    """The uploaded file, from CKAN's storage of resources."""
    stored = uploader.get_resource_uploader({"id": resource_id, "url": ""})
    try:
        location: Any = stored.get_path(resource_id)
    except (TypeError, tk.ValidationError):
        return
    storage = getattr(stored, "storage", None)
    try:
        if storage is not None:
            storage.remove(files.FileData(location))
        else:
            Path(location).unlink()
    except (files.exc.MissingFileError, FileNotFoundError):
        return
    log.info("removed the file of restricted resource %s", resource_id)


def _scrub_activities(dataset_id: str, open_ids: set[str]) -> None:
    """Activities keep whole earlier versions of a dataset, addresses included.

    Those of views hold its filters and words and go with it. Only resources that are there and open now keep theirs:
    one that was deleted before the rest was restricted was the same data.
    """
    if not p.plugin_loaded("activity"):
        return
    from ckanext.activity.model import Activity

    for activity in model.Session.query(Activity).filter_by(object_id=dataset_id):
        data = dict(activity.data or {})
        if str(activity.activity_type).endswith("resource view"):
            if data.get("resource_id") not in open_ids:
                model.Session.delete(activity)
            continue
        package = dict(data.get("package") or {})
        resources = [dict(one) for one in package.get("resources") or []]
        changed = False
        for one in resources:
            sentinel = sealing.sentinel(str(one.get("id")))
            if one.get("id") not in open_ids and one.get("url") != sentinel:
                one.update({name: None for name in LEADING if name in one})
                one["url"] = sentinel
                changed = True
        if changed:
            activity.data = {**data, "package": {**package, "resources": resources}}
