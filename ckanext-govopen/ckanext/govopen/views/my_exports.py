"""Exports of a grant: asked for, watched while they are made, fetched, given up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import Gateway, ServiceProblem
from ckanext.govopen.views import my_common as my
from flask import Response, make_response

blueprint = my.signed_in_only("govopen_my_exports")
FORMATS = ("csv", "xlsx", "parquet", "jsonl", "json", "arrow", "geojson")
SCOPE = "export"
POLL_MS = 2000


def formats() -> list[dict[str, str]]:
    words = {
        "csv": tk._("CSV, for any program"), "xlsx": tk._("Excel workbook"), "parquet": tk._("Parquet, for analysis"),
        "jsonl": tk._("JSON Lines"), "json": "JSON", "arrow": "Arrow", "geojson": "GeoJSON",
    }
    return [{"value": name, "label": words[name]} for name in FORMATS]


def operators() -> list[dict[str, str]]:
    return [
        {"value": "eq", "label": tk._("is")}, {"value": "prefix", "label": tk._("begins with")},
        {"value": "gte", "label": tk._("is at least")}, {"value": "lte", "label": tk._("is at most")},
    ]


def _states() -> dict[str, tuple[str, str]]:
    """Word and look of each state."""
    return {
        "queued": (tk._("waits"), "brand"), "running": (tk._("is being made"), "brand"),
        "ready": (tk._("ready"), "done"), "failed": (tk._("failed"), "danger"),
        "cancelled": (tk._("given up"), "quiet"), "expired": (tk._("no longer kept"), "quiet"),
        "revoked": (tk._("ended with the grant"), "danger"),
    }


def _shown(job: Mapping[str, Any]) -> dict[str, Any]:
    word, look = _states().get(job["state"], (job["state"], "line"))
    return {**job, "word": word, "look": look, "is_open": job["state"] in ("queued", "running")}


def _jobs(gateway: Gateway, grant_id: str) -> dict[str, Any]:
    """The jobs and a ``stamp`` that is another one as soon as anything else is shown."""
    items = [_shown(job) for job in gateway.get(my.path("grants", grant_id, "exports"))["items"]]
    text = json.dumps(items, sort_keys=True, default=str)
    return {"items": items, "stamp": hashlib.sha256(text.encode()).hexdigest()[:20], "grant_id": grant_id}


def _place(name: str) -> str:
    """Where an error of the service stands in the form, whose one condition has three fields."""
    if name.startswith("filter."):
        return "value"
    return name.removeprefix("filters.0.").partition(".")[0] if name.startswith("filters.0.") else name


def _page(grant_id: str, data: Mapping[str, Any] | None = None, problem: ServiceProblem | None = None) -> Any:
    gateway = my.service()
    grant, titles, keys = my.grant_of(gateway, grant_id)
    fit = [key for key in keys or [] if key["state"] == "active" and SCOPE in key["scopes"]]
    asked = (data or {}).get("act") == "create"
    errors: dict[str, list[str]] = {}
    for name, said in my.errors_of(problem).items():
        errors.setdefault(_place(name), said)
    chosen = tk.request.form.getlist("columns") if asked else list(grant["columns"])
    return my.page_of("govopen/my/exports.html", {
        "item": grant, "jobs": _jobs(gateway, grant_id), "titles": titles, "poll_ms": POLL_MS, "data": data or {},
        "errors": errors, "chosen": chosen, "formats": formats(), "operators": operators(),
        "fields": [{"value": name, "label": titles.get(name, name)} for name in grant["columns"]],
        "keys": [{"value": key["id"], "label": f'{key["label"]} ({key["prefix"]}…)'} for key in fit],
        "may_ask": "issue_key" in grant["allowed_events"],
        "once": my.new_once(), "site": str(tk.config["ckan.site_url"]).rstrip("/"),
    }, problem)


@blueprint.get("/my/grants/<grant_id>/exports")
def show(grant_id: str) -> Any:
    """The jobs of a grant, and the form of a new one."""
    return _page(grant_id)


@blueprint.get("/my/grants/<grant_id>/exports/live")
def live(grant_id: str) -> Any:
    """The part that changes, or 204 when it is what the page shows already."""
    jobs = _jobs(my.service(), grant_id)
    if tk.request.args.get("stamp") == jobs["stamp"]:
        answer = Response(status=204)
    else:
        answer = make_response(tk.render("govopen/my/exports_live.html", {"jobs": jobs}))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.post("/my/grants/<grant_id>/exports")
@my.acting("govopen_my_exports.show", _page)
def act(grant_id: str, data: dict[str, Any]) -> Any:
    """Ask for a file, fetch one, or give one up."""
    gateway, job_id = my.service(), str(data.get("job_id") or "")
    match data.get("act"):
        case "create":
            grant = gateway.get(my.path("grants", grant_id))
            body = _body(data, grant)
            gateway.post(my.path("grants", grant_id, "exports"), body, idempotency_key=my.once_key(data))
            return tk._("The export is being made. You can leave this page; the file waits for you here.")
        case "fetch":
            link = gateway.post(my.path("grants", grant_id, "exports", job_id, "link"))
            answer = tk.redirect_to(str(tk.config["ckan.site_url"]).rstrip("/") + str(link["url"]))
            answer.headers["Cache-Control"] = "no-store"
            answer.headers["Referrer-Policy"] = "no-referrer"
            return answer
        case "cancel":
            gateway.delete(my.path("grants", grant_id, "exports", job_id))
            return tk._("The export has been given up.")
    return None


def _body(data: Mapping[str, Any], grant: Mapping[str, Any]) -> dict[str, Any]:
    """What was ticked and typed, for the grant's own purpose."""
    columns = tk.request.form.getlist("columns")
    body: dict[str, Any] = {
        **my.text_of(data, "format", "key_id"), "purpose": grant["purpose"], "columns": columns,
        "bom": data.get("format") == "csv" and data.get("bom") == "true",
    }
    if str(data.get("field") or "") and str(data.get("value") or "").strip():
        body["filters"] = [{
            "field": data["field"], "op": str(data.get("op") or "eq"), "value": str(data["value"]).strip(),
        }]
    return body
