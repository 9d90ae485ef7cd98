"""What the pages say of a dataset, worked out from its dictionary: one shape for cards, lists and the page itself."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import dictionary, vocabularies
from ckanext.govopen.helpers.pages import _instant, govopen_date, govopen_link

Dataset = dict[str, Any]
TABLE_FORMATS = ("CSV", "XLSX", "JSON", "JSONL", "PARQUET", "ARROW", "API")
"""What every open table can be had as; GeoJSON besides where the service finds places in it."""
OPEN_FORMATS = {"CSV": "csv", "Excel": "xlsx", "JSON": "json"}
"""Formats that get a button; all of them are in the list of files."""
"""Name on the button -> value of ``format`` in the address."""


def is_restricted(resource: dict[str, Any], dataset: Dataset) -> bool:
    """Whether the data of a resource is not for everyone; when in doubt it is not."""
    access = resource.get("govopen_access")
    if access:
        return access != "open"
    return dataset.get("open_attribute") != "unconditional"


def items(dataset: Dataset) -> list[dict[str, Any]]:
    """The description of the fields, from its JSON text or as it is."""
    return _listed(dataset.get("items"))


def _listed(raw: Any) -> list[dict[str, Any]]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw) if raw.strip() else []
        except ValueError:
            raw = []
    return [entry for entry in raw if isinstance(entry, dict)] if isinstance(raw, list) else []


def resource_items(resource: dict[str, Any], dataset: Dataset) -> list[dict[str, Any]]:
    """The fields of one table: its own description, else the dataset's."""
    return _listed(resource.get("govopen_fields")) or items(dataset)


def with_dictionary(described: list[dict[str, Any]], columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Described fields, their gaps filled from the table's own columns, and the columns that nobody described."""
    known = {column["name"]: column for column in columns}
    fields = [{**known.get(str(field.get("name")), {}), **{key: value for key, value in field.items() if value}}
              for field in described]
    names = {field.get("name") for field in described}
    return fields + [column for column in columns if column["name"] not in names]


def shown_fields(dataset: Dataset) -> list[dict[str, Any]]:
    """The fields that the pages of a dataset and its tables show to everybody who may see the dataset."""
    resources = dataset.get("resources") or []
    if not resources:
        return items(dataset)
    tables = dictionary.columns(
        resource["id"] for resource in resources if resource.get("datastore_active")
        and not is_restricted(resource, dataset))
    fields: list[dict[str, Any]] = []
    for resource in resources:
        fields += with_dictionary(resource_items(resource, dataset), tables.get(resource["id"], []))
    return fields


def updated_at(dataset: Dataset) -> str:
    """When the data last changed: the newest of its files, else the catalogue entry."""
    stamps = [stamp for resource in dataset.get("resources") or []
              if (stamp := resource.get("last_modified") or resource.get("created"))]
    return max(stamps, default=dataset.get("metadata_modified") or "")


def next_due_on(dataset: Dataset) -> str | None:
    """The day by which the next update is due; None where the cycle has no length."""
    term = vocabularies.find("update_cycle", dataset.get("update_cycle"))
    updated = _instant(updated_at(dataset))
    if term is None or not term.days or updated is None:
        return None
    return govopen_date(updated + timedelta(days=term.days))


def formats(dataset: Dataset) -> list[str]:
    """The forms in which the data can be had, without repetition."""
    found: list[str] = []
    for resource in dataset.get("resources") or []:
        if is_restricted(resource, dataset):
            ways = [] if (resource.get("open_attribute") or dataset.get("open_attribute")) == "closed" else ["API"]
        elif resource.get("datastore_active"):
            ways = list(TABLE_FORMATS)
        else:
            ways = [str(resource.get("format") or "").upper()]
        found.extend(way for way in ways if way and way not in found)
    return found


def card(dataset: Dataset, counts: dict[str, int]) -> dict[str, Any]:
    """One result of a list."""
    organisation = dataset.get("organization") or {}
    resources = dataset.get("resources") or []
    known = [counts[resource["id"]] for resource in resources
             if resource["id"] in counts and not is_restricted(resource, dataset)]
    return {
        "name": dataset["name"], "title": dataset.get("title") or dataset["name"],
        "notes": dataset.get("notes") or "", "private": bool(dataset.get("private")),
        "url": tk.url_for("dataset.read", id=dataset["name"]),
        "department": organisation.get("title") or organisation.get("name") or "",
        "department_url": tk.url_for("organization.read", id=organisation["name"]) if organisation else "",
        "open_attribute": dataset.get("open_attribute"), "grade": dataset.get("grade"),
        "domain": dataset.get("domain"), "update_cycle": dataset.get("update_cycle"),
        "updated": updated_at(dataset), "rows": sum(known) if known else None, "formats": formats(dataset),
        "field_titles": [str(item.get("title") or item.get("name")) for item in items(dataset)],
    }


def data_url(resource_id: str, **query: str) -> str:
    """The public address of a resource's data."""
    site = str(tk.config["ckan.site_url"]).rstrip("/")
    tail = "&".join(f"{key}={value}" for key, value in query.items())
    return f"{site}/data/v1/{resource_id}{'?' + tail if tail else ''}"


def access(resource: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """How a resource is had: its downloads, its apply page, or neither."""
    if is_restricted(resource, dataset):
        closed = (resource.get("open_attribute") or dataset.get("open_attribute")) == "closed"
        return {"kind": "closed" if closed else "restricted", "downloads": [],
                "apply_url": None if closed else govopen_link(f"/apply/{resource['id']}")}
    if resource.get("datastore_active"):
        return {"kind": "open", "apply_url": None, "downloads": [
            {"label": label, "url": data_url(resource["id"], format=parameter)}
            for label, parameter in OPEN_FORMATS.items()],
            "files": _files(resource["id"]), "files_url": f"{data_url(resource['id'])}/files"}
    download = {"label": str(resource.get("format") or tk._("File")).upper(), "url": resource.get("url") or ""}
    return {"kind": "open", "apply_url": None, "downloads": [download] if _is_web(download["url"]) else []}


def _files(resource_id: str) -> list[dict[str, str]]:
    """Every format of an open table; which are ready, their size and checksum the service's listing tells."""
    uses = (
        ("csv", "CSV", tk._("Databases and most programs (UTF-8)")),
        ("xlsx", "Excel (XLSX)", tk._("Spreadsheets")),
        ("json", "JSON", tk._("Programs and web pages")),
        ("jsonl", "JSON Lines", tk._("Programs, row by row")),
        ("parquet", "Parquet", tk._("Analysis: small, with types")),
        ("arrow", "Arrow", tk._("Analysis: without conversion, with types")),
        ("geojson", "GeoJSON", tk._("Maps")),
    )
    return [{"format": name, "label": label, "use": use, "url": data_url(resource_id, format=name)}
            for name, label, use in uses]


def _is_web(url: str) -> bool:
    return url.startswith(("http://", "https://", "/"))
