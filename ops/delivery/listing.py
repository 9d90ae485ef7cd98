"""The files of a data object: every format with its address, and size, checksum and date where the file is ready."""

from __future__ import annotations

import os
from typing import Any

from ops.delivery.connections import acquired
from ops.delivery.downloads import is_whole, plan_of
from ops.delivery.files import Manifest
from ops.delivery.formats import FORMATS, Column
from ops.delivery.formats.geojson import place_of
from ops.delivery.query import DataQuery
from ops.delivery.service import Permit
from ops.delivery.versions import Mark, exact_mark

PREPARED_DEFAULT = "csv,xlsx,parquet"
PG_TYPES = {"integer": "int8", "numeric": "numeric", "date": "date", "timestamp": "timestamp", "boolean": "bool"}


def prepared() -> tuple[str, ...]:
    """Formats that a listing asks to be made (``GOVOPEN_FILES_PREPARE``, names separated by commas)."""
    given = os.environ.get("GOVOPEN_FILES_PREPARE", PREPARED_DEFAULT)
    return tuple(name for name in FORMATS if name in given.split(","))


async def files_of(permit: Permit) -> dict[str, Any]:
    """The listing. What is not ready of the formats that are prepared is asked for."""
    mark = await _mark(permit)
    site = permit.parts.runtime.settings.site_url
    return {
        "resource_id": permit.data.resource_id,
        "title": permit.data.title,
        "version": f"{permit.data.version}-{mark.text}" if mark else permit.version,
        "changed_at": mark.changed_at.isoformat(timespec="seconds") if mark else None,
        "is_exact": mark is not None,
        "resumable": mark is not None,
        "items": [_item(permit, name, mark, f"{site}/data/v1/{permit.data.resource_id}") for name in FORMATS],
    }


async def _mark(permit: Permit) -> Mark | None:
    """The version of the rows, for data of which files are kept."""
    if permit.parts.files.store.root is None or not is_whole(permit, DataQuery()):
        return None
    location = permit.data.location or {}
    async with acquired(permit.pool) as connection:
        return await exact_mark(connection, location["schema"], location["table"])


def _item(permit: Permit, name: str, mark: Mark | None, address: str) -> dict[str, Any]:
    form = FORMATS[name]
    item: dict[str, Any] = {
        "format": name,
        "name_zh": form.zh,
        "name_en": form.en,
        "media_type": form.media_type.split(";")[0],
        "url": f"{address}?format={name}",
        "available": True,
        "ready": False,
    }
    if name == "geojson" and place_of(_columns(permit)) is None:
        return item | {"available": False, "reason": "no_geometry"}
    if mark is None:
        return item
    files, plan = permit.parts.files, plan_of(permit, DataQuery(format=name))
    found = files.store.find(plan.resource_id, plan.key(mark))
    if found is None:
        wanted = name in prepared() and files.want(plan)
        return item | {"preparing": wanted or files.is_wanted(plan)}
    codings = [files.store.find(plan.resource_id, plan.key(mark), coding) for coding in plan.codings]
    return item | {
        "ready": True,
        "rows": found.rows,
        "made_at": found.made_at,
        **_facts(found),
        "encodings": [{"encoding": one.coding, **_facts(one)} for one in codings if one is not None],
    }


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {"size": manifest.size, "sha256": manifest.sha256, "etag": manifest.etag}


def _columns(permit: Permit) -> list[Column]:
    allowed = set(permit.access.obligations.columns)
    return [
        Column(one.name, one.title, PG_TYPES.get(one.type, one.type), {})
        for one in permit.data.fields
        if one.name in allowed
    ]
