"""One's grants: what may be used, how much of it has been used, the keys, examples to copy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import Gateway, ServiceProblem
from ckanext.govopen.helpers.pages import BEIJING
from ckanext.govopen.views import my_common as my

blueprint = my.signed_in_only("govopen_my_grants")
DAYS_SHOWN = 31
OVERLAP_HOURS = 24


def days_left(valid_until: str, as_of: str) -> int:
    """Whole days until the grant ends, none below zero."""
    return max(0, (datetime.fromisoformat(valid_until) - datetime.fromisoformat(as_of)).days)


def usage_of(gateway: Gateway, grant: Mapping[str, Any], days: int = DAYS_SHOWN) -> dict[str, Any]:
    """What was used, every day of the span with its rows, and what the quota leaves."""
    usage = gateway.get(my.path("grants", grant["id"], "usage"), days=days)
    today = datetime.fromisoformat(usage["as_of"]).astimezone(BEIJING).date()
    by_day = {entry["on"]: entry for entry in usage["days"]}
    span = [(today - timedelta(days=back)).isoformat() for back in range(days - 1, -1, -1)]
    rows, calls = usage["quota"]["rows_month"], usage["quota"]["calls_day"]
    return {
        **usage, "days_left": days_left(grant["valid_until"], usage["as_of"]),
        "last_day": _last_day(grant["valid_until"]),
        "span": [{"on": day, "rows": by_day.get(day, {}).get("rows", 0), "calls": by_day.get(day, {}).get("calls", 0)}
                 for day in span],
        "rows": _used(rows), "calls": _used(calls), "resets_on": rows["resets_on"],
        "month_rows": next((m["rows"] for m in usage["months"] if m["period"] == today.isoformat()[:7]), 0),
    }


def _used(quota: Mapping[str, Any]) -> dict[str, int] | None:
    if quota["limit"] is None:
        return None
    return {"used": quota["limit"] - (quota["left"] or 0), "limit": quota["limit"]}


def _last_day(valid_until: str) -> str:
    end = datetime.fromisoformat(valid_until).astimezone(BEIJING)
    last: date = (end - timedelta(seconds=1)).date()
    return last.isoformat()


def samples(grant: Mapping[str, Any], key: str = "gok_…") -> list[dict[str, str]]:
    """Calls that run as they stand, with this grant's table, columns and purpose."""
    address = str(tk.config["ckan.site_url"]).rstrip("/") + grant["data_url"]
    columns = ",".join(grant["columns"][:3])
    curl = (
        f'curl -G -o data.csv \\\n  "{address}" \\\n'
        f'  -d format=csv -d limit=100 -d purpose={grant["purpose"]} \\\n'
        f'  --data-urlencode "columns={columns}" \\\n  -H "Authorization: Bearer {key}"'
    )
    python = (
        f'import requests\n\nask = {{"format": "jsonl", "columns": "{columns}", "purpose": "{grant["purpose"]}", '
        f'"limit": 100}}\nheaders = {{"Authorization": "Bearer {key}"}}\n'
        f'url = "{address}"\n'
        "with requests.get(url, params=ask, headers=headers, stream=True, timeout=60) as answer:\n"
        "    answer.raise_for_status()\n    for line in answer.iter_lines():\n        print(line.decode())"
    )
    script = (
        f'const url = "{address}/rows?" + new URLSearchParams({{\n'
        f'  columns: "{columns}", purpose: "{grant["purpose"]}", limit: 100,\n}});\n'
        f'const answer = await fetch(url, {{ headers: {{ Authorization: "Bearer {key}" }} }});\n'
        "if (!answer.ok) throw new Error((await answer.json()).detail);\n"
        "const { items, next } = await answer.json();\nconsole.table(items);"
    )
    return [{"name": "curl", "label": "curl", "code": curl}, {"name": "python", "label": "Python", "code": python},
            {"name": "javascript", "label": "JavaScript", "code": script}]


def _show(
    grant_id: str, data: Mapping[str, Any] | None = None, problem: ServiceProblem | None = None,
    made: Mapping[str, Any] | None = None,
) -> Any:
    gateway = my.service()
    grant = gateway.get(my.path("grants", grant_id))
    try:
        described = gateway.get(my.path("data-objects", grant["resource_id"]))["fields"]
    except ServiceProblem:
        described = []
    try:
        keys = gateway.get(my.path("grants", grant_id, "keys"))["items"]
    except ServiceProblem:
        keys = None
    vocabularies = gateway.get("/v1/vocabularies")
    return my.page_of("govopen/my/grant.html", {
        "item": grant, "usage": usage_of(gateway, grant), "keys": keys, "made": made, "words": my.words,
        "titles": {field["name"]: field["title"] for field in described}, "lists": vocabularies["lists"],
        "samples": samples(grant), "data": data or {}, "errors": my.errors_of(problem),
        "entries": my.happenings(grant["history"]), "remedy": my.remedy_of(grant["history"]),
    }, problem)


@blueprint.get("/my/grants/<grant_id>")
def show(grant_id: str) -> Any:
    """One grant."""
    return _show(grant_id)


@blueprint.post("/my/grants/<grant_id>")
def act(grant_id: str) -> Any:
    """A new key, a rotation, an end of a key. The text of a key is on the answer's page and nowhere else."""
    data = my.typed()
    gateway, key_id = my.service(), str(data.get("key_id") or "")
    try:
        match data.get("act"):
            case "create":
                body = my.text_of(data, "label", "expires_on")
                return _show(grant_id, made=gateway.post(my.path("grants", grant_id, "keys"), body))
            case "rotate":
                body = {"overlap_hours": my.number_of(data.get("overlap_hours") or OVERLAP_HOURS)}
                return _show(grant_id, made=gateway.post(my.path("grants", grant_id, "keys", key_id, "rotate"), body))
            case "revoke":
                gateway.delete(my.path("grants", grant_id, "keys", key_id))
            case _:
                return tk.abort(400, tk._("This page knows no such action."))
    except ServiceProblem as problem:
        return _show(grant_id, data, problem)
    said = tk._("The key has been stopped. Programs that use it are refused now.")
    return my.redirect("govopen_my_grants.show", said, grant_id=grant_id)
