"""What the page of a dataset and of one of its tables shows."""

from __future__ import annotations

import logging
from typing import Any

import ckan.plugins as p
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckanext.govopen import codes, dictionary, figures, presentation, regions, rows
from ckanext.govopen.helpers.pages import govopen_date, govopen_term
from ckanext.govopen.presentation import Dataset

log = logging.getLogger(__name__)

PREVIEW_ROWS = 20
KEY_PLACEHOLDER = "gok_…"
Resource = dict[str, Any]


def of_dataset(dataset: Dataset, may_edit: bool) -> dict[str, Any]:
    """Everything ``govopen/dataset.html`` reads. The first table that can be shown is the one previewed."""
    tables = [_table(resource, dataset) for resource in dataset.get("resources") or []]
    main = next((table for table in tables if table["kind"] == "open" and table["datastore"]),
                next(iter(tables), None))
    shared = _shared(dataset, may_edit)
    if main is None:
        return {**shared, "tables": [], "main": None, "fields": presentation.items(dataset), "preview": None,
                "samples": [], "figures": _figures(dataset, None)}
    return {**shared, "tables": tables, "main": main, **_about(main, dataset)}


def of_resource(dataset: Dataset, resource: Resource, may_edit: bool) -> dict[str, Any]:
    """Everything ``govopen/resource.html`` reads."""
    table = _table(resource, dataset)
    return {**_shared(dataset, may_edit), "tables": [], "main": table, **_about(table, dataset)}


def _shared(dataset: Dataset, may_edit: bool) -> dict[str, Any]:
    organisation = dataset.get("organization") or {}
    return {
        "dataset": dataset, "may_edit": may_edit, "metadata": _metadata(dataset),
        "department": organisation.get("title") or organisation.get("name") or "",
        "department_url": tk.url_for("organization.read", id=organisation["name"]) if organisation else "",
        "dataset_url": tk.url_for("dataset.read", id=dataset["name"]),
        "history_url": (
            tk.url_for("govopen_catalogue.history", name=dataset["name"]) if p.plugin_loaded("activity") else None),
        "machine_url": f"{str(tk.config['ckan.site_url']).rstrip('/')}/api/3/action/package_show?id={dataset['name']}",
        "licence": _licence(dataset), "rating": _rating(dataset),
    }


def _site() -> str:
    return str(tk.config["ckan.site_url"]).rstrip("/")


def _table(resource: Resource, dataset: Dataset) -> dict[str, Any]:
    return {
        "id": resource["id"], "title": resource.get("name") or dataset.get("title") or resource["id"],
        "description": resource.get("description") or "", "datastore": bool(resource.get("datastore_active")),
        "format": str(resource.get("format") or "").upper(),
        "url": tk.url_for("dataset_resource.read", id=dataset["name"], resource_id=resource["id"]),
        "open_attribute": resource.get("open_attribute") or dataset.get("open_attribute"),
        "grade": resource.get("grade") or dataset.get("grade"),
        "updated": resource.get("last_modified") or resource.get("created"), "raw": resource,
        **presentation.access(resource, dataset),
    }


def _about(table: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    fields = presentation.resource_items(table["raw"], dataset)
    shown = table["kind"] == "open" and table["datastore"]
    if shown:
        columns = dictionary.columns([table["id"]]).get(table["id"], [])
        fields = presentation.with_dictionary(fields, columns)
    preview = _preview(table["id"], fields) if shown else None
    return {
        "fields": fields, "preview": preview, "samples": _samples(table, fields),
        "figures": _figures(dataset, table, len(fields)),
    }


def _preview(resource_id: str, fields: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The first rows of an open table; None when it cannot be read just now."""
    try:
        found = tk.get_action("datastore_search")(
            {"user": tk.current_user.name, "auth_user_obj": tk.current_user},
            {"resource_id": resource_id, "limit": PREVIEW_ROWS, "include_total": False},
        )
    except (tk.ObjectNotFound, tk.NotAuthorized, tk.ValidationError, sa.exc.SQLAlchemyError):
        log.info("No preview of %s", resource_id, exc_info=True)
        return None
    described = {field["name"]: field for field in fields}
    columns = [
        {"name": column["id"], "type": column["type"],
         "title": (described.get(column["id"]) or {}).get("title")
         or (column.get("info") or {}).get("label") or column["id"],
         "number": column["type"] in ("int", "int4", "int8", "integer", "bigint", "numeric", "float8")
         and not column["id"].lower().endswith(("code", "id"))}
        for column in found["fields"] if column["id"] != "_id"
    ]
    return {"columns": columns, "rows": found["records"]}


def _figures(dataset: Dataset, table: dict[str, Any] | None, columns: int = 0) -> dict[str, Any]:
    facts = rows.facts(table["id"]) if table and table["kind"] == "open" and table["datastore"] else None
    due = presentation.next_due_on(dataset)
    return {
        "updated": govopen_date(presentation.updated_at(dataset)), "due": due,
        "cycle": govopen_term("update_cycle", dataset.get("update_cycle")),
        "rows": facts.rows if facts else None, "columns": columns or None,
        "downloads": figures.of_dataset(dataset).downloads,
        "completeness": f"{facts.completeness * 100:.1f}%" if facts and facts.completeness is not None else None,
    }


def _industry(value: Any) -> str:
    """The words for a code of GB/T 4754, with the code where it is finer than the section."""
    text = str(value or "")
    section = codes.economic_section(text)
    if section is None:
        return text
    label = govopen_term("economic_section", section)
    return label if text.strip().upper() == section else f"{label} ({text})"


def _region(value: Any) -> str:
    """The name of an administrative division with its code."""
    code = str(value or "")
    known = regions.name(code[:6]) if code else ""
    return f"{known} ({code})" if known and known != code[:6] else code


def _rating(dataset: Dataset) -> dict[str, Any]:
    context = {"user": tk.current_user.name, "auth_user_obj": tk.current_user}
    return dict(tk.get_action("govopen_rating_show")(context, {"id": dataset["id"]}))


def _licence(dataset: Dataset) -> dict[str, str]:
    return {"title": dataset.get("license_title") or "", "url": dataset.get("license_url") or ""}


def _metadata(dataset: Dataset) -> list[tuple[str, Any]]:
    """The core metadata in the order of the national guide, with words for codes; empty ones are left out."""
    def term(vocabulary: str, key: str) -> str:
        return govopen_term(vocabulary, dataset.get(key))

    period = " – ".join(part for part in (dataset.get("time_start"), dataset.get("time_end")) if part)
    related = dataset.get("related_code")
    tags = "、".join(tag.get("display_name") or tag["name"] for tag in dataset.get("tags") or [])
    if not tk.h.govopen_html_lang().startswith("zh"):
        tags = tags.replace("、", ", ")
    organisation = dataset.get("organization") or {}
    pairs = [
        (tk._("Catalog code"), dataset.get("catalog_code")), (tk._("Category"), term("category", "category")),
        (tk._("Provider"), organisation.get("title")), (tk._("Provider's credit code"), dataset.get("provider_code")),
        (tk._("Operator's credit code"), dataset.get("operator_uscc")),
        (tk._("Data domain"), term("domain", "domain")), (tk._("National theme"), dataset.get("theme")),
        (tk._("Industry"), _industry(dataset.get("industry"))), (tk._("Kind of data"), term("format", "format")),
        (tk._("Open attribute"), term("open_attribute", "open_attribute")),
        (tk._("Data grade"), term("grade", "grade")),
        (tk._("Personal information"), term("yes_no", "has_personal_info")),
        (tk._("Sharing inside government"), term("share_type", "share_type")),
        (tk._("Condition of sharing"), dataset.get("share_condition")),
        (tk._("Way of sharing"), term("share_method", "share_method")),
        (tk._("Update cycle"), term("update_cycle", "update_cycle")),
        (tk._("Published on"), dataset.get("issued")),
        (tk._("Catalog entry changed on"), govopen_date(dataset.get("metadata_modified"))),
        (tk._("Region"), _region(dataset.get("region"))), (tk._("Period covered"), period),
        (tk._("Tags"), tags), (tk._("Scenarios"), dataset.get("scenarios")),
        (tk._("Related codes"), ", ".join(related) if isinstance(related, list) else related),
        (tk._("Version"), dataset.get("version")), (tk._("Source system"), dataset.get("source_system")),
        (tk._("Legal duty"), dataset.get("duty_basis")), (tk._("Source"), dataset.get("source_url")),
        (tk._("License of the source"), dataset.get("source_license")), (tk._("License"), dataset.get("license_title")),
    ]
    return [(label, value) for label, value in pairs if value]


def _samples(table: dict[str, Any], fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Examples that can be copied and run: whole file, some columns of some rows, page by page."""
    if table["kind"] == "closed" or not (table["datastore"] or table["kind"] == "restricted"):
        return []
    key = table["kind"] == "restricted"
    names = [str(field["name"]) for field in fields[:2]] or ["_id"]
    whole = presentation.data_url(table["id"], format="csv")
    base = presentation.data_url(table["id"])
    header = f' \\\n  -H "Authorization: Bearer {KEY_PLACEHOLDER}"' if key else ""
    columns = ",".join(names)
    whole_words, some_words = tk._("The whole table as CSV"), tk._("Two columns, ten rows, one JSON object a line")
    pages_words = tk._("Page by page")
    curl = (
        f'# {whole_words}\ncurl -o data.csv "{whole}"{header}\n\n'
        f'# {some_words}\n'
        f'curl -G "{base}" -d format=jsonl -d limit=10 \\\n  --data-urlencode "columns={columns}"{header}\n\n'
        f'# {pages_words}\ncurl "{base}/rows?limit=100"{header}'
    )
    python_headers = f'headers={{"Authorization": "Bearer {KEY_PLACEHOLDER}"}}, ' if key else ""
    python = (
        f'import requests\n\nurl = "{base}"\n'
        f'ask = {{"format": "jsonl", "columns": "{columns}", "limit": 1000}}\n'
        f"with requests.get(url, params=ask, {python_headers}stream=True, timeout=60) as answer:\n"
        f"    answer.raise_for_status()\n    for line in answer.iter_lines():\n        print(line.decode())"
    )
    init = f', {{\n  headers: {{ Authorization: "Bearer {KEY_PLACEHOLDER}" }},\n}}' if key else ""
    script = (
        f'const url = "{base}/rows?limit=100";\nlet answer = await fetch(url{init});\n'
        "if (!answer.ok) throw new Error((await answer.json()).detail);\n"
        "const { items, next } = await answer.json();\nconsole.table(items);"
    )
    return [{"name": "curl", "label": "curl", "code": curl}, {"name": "python", "label": "Python", "code": python},
            {"name": "javascript", "label": "JavaScript", "code": script}]


def machine_entry(dataset: Dataset) -> dict[str, Any]:
    """One line of the machine-readable open list."""
    organisation = dataset.get("organization") or {}
    return {
        "id": dataset["id"], "name": dataset["name"], "title": dataset.get("title"),
        "abstract": dataset.get("notes"), "catalog_code": dataset.get("catalog_code"),
        "department": {"name": organisation.get("name"), "title": organisation.get("title")},
        "open_attribute": dataset.get("open_attribute"), "grade": dataset.get("grade"),
        "domain": dataset.get("domain"), "update_cycle": dataset.get("update_cycle"),
        "issued_on": dataset.get("issued"), "updated_at": presentation.updated_at(dataset),
        "formats": presentation.formats(dataset), "conditions": {
            key: dataset[key] for key in ("open_mode", "use_requirements", "security_measures") if dataset.get(key)
        } or None,
        "url": tk.url_for("dataset.read", id=dataset["name"], locale="default", _external=True),
    }
