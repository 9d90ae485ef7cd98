"""When open data becomes restricted: what CKAN still holds of it is removed, earlier versions included."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import ckan.plugins as p
import ckan.plugins.toolkit as tk
from ckan import model
from ckan.lib import files, uploader
from ckanext.govopen import sealing

log = logging.getLogger(__name__)

LEADING = ("url", "hash", "cache_url", "size", "mimetype")


def clean(package: model.Package, resources: Sequence[model.Resource]) -> None:
    """Remove tables, views, files and remembered addresses of the dataset's restricted resources."""
    restricted = [one for one in resources if sealing.is_restricted_row(one)]
    if not restricted:
        return
    for resource in restricted:
        _remove_views(resource.id)
        _remove_table(resource.id)
        _remove_file(resource.id)
    _scrub_activities(package.id, {one.id for one in restricted})


def _remove_views(resource_id: str) -> None:
    for view in model.Session.query(model.ResourceView).filter_by(resource_id=resource_id).all():
        model.Session.delete(view)


def _remove_table(resource_id: str) -> None:
    if not p.plugin_loaded("datastore"):
        return
    from ckanext.datastore.backend import DatastoreBackend

    backend = DatastoreBackend.get_active_backend()
    if backend.resource_exists(resource_id):
        backend.delete({}, {"resource_id": resource_id})


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
            from pathlib import Path

            Path(location).unlink(missing_ok=True)
    except (files.exc.MissingFileError, OSError):
        return
    log.info("removed the file of restricted resource %s", resource_id)


def _scrub_activities(dataset_id: str, resource_ids: set[str]) -> None:
    """Activities keep whole earlier versions of a dataset, addresses included."""
    if not p.plugin_loaded("activity"):
        return
    from ckanext.activity.model import Activity

    for activity in model.Session.query(Activity).filter_by(object_id=dataset_id):
        data = dict(activity.data or {})
        package = dict(data.get("package") or {})
        resources = [dict(one) for one in package.get("resources") or []]
        changed = False
        for one in resources:
            if one.get("id") in resource_ids and one.get("url") != sealing.sentinel(one["id"]):
                one.update({name: None for name in LEADING if name in one})
                one["url"] = sealing.sentinel(one["id"])
                changed = True
        if changed:
            activity.data = {**data, "package": {**package, "resources": resources}}
