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
        "bounds": [
            {**used, "label": label, "unit": unit} for name, unit, label in bounds_words()
            if (used := _used(usage["quota"].get(name) or {"limit": None}))
        ],
        "month_rows": next((m["rows"] for m in usage["months"] if m["period"] == today.isoformat()[:7]), 0),
    }


def _used(quota: Mapping[str, Any]) -> dict[str, int] | None:
    if quota["limit"] is None:
        return None
    return {"used": quota["limit"] - (quota["left"] or 0), "limit": quota["limit"]}


def bounds_words() -> list[tuple[str, str, str]]:
    """Bounds beside rows a month and calls a day: name, unit, label."""
    rows, calls, size, keys = tk._("rows"), tk._("calls"), tk._("bytes"), tk._("values")
    return [
        ("rows_day", rows, tk._("Rows today")), ("rows_life", rows, tk._("Rows in all")),
        ("calls_month", calls, tk._("Calls this month")), ("calls_life", calls, tk._("Calls in all")),
        ("bytes_day", size, tk._("Bytes today")), ("bytes_month", size, tk._("Bytes this month")),
        ("bytes_life", size, tk._("Bytes in all")), ("keys_day", keys, tk._("Values looked up today")),
        ("keys_month", keys, tk._("Values looked up this month")), ("keys_life", keys, tk._("Values looked up in all")),
    ]


def uses() -> list[dict[str, Any]]:
    """What a key may be used for; the last one is given only when it is asked for."""
    return [
        {"value": "rows", "label": tk._("pages"), "usual": True, "help": tk._("rows page by page")},
        {"value": "download", "label": tk._("downloads"), "usual": True, "help": tk._("whole files in every format")},
        {"value": "lookup", "label": tk._("lookups"), "usual": True, "help": tk._("up to 1,000 values a call")},
        {"value": "export", "label": tk._("exports"), "usual": True, "help": tk._("large files, made ready apart")},
        {"value": "verify", "label": tk._("verification"), "usual": True, "help": tk._("yes or no on given values")},
        {"value": "analysis", "label": tk._("analysis"), "usual": True, "help": tk._("figures over groups")},
        {"value": "report", "label": tk._("reports of use"), "usual": False,
         "help": tk._("your own products tell what they delivered")},
    ]


def limits_of(prefix: str = "") -> dict[str, list[str]]:
    """Uses and addresses as they were ticked and typed."""
    text = tk.request.form.get(f"{prefix}ip_allow", "")
    return {
        "scopes": tk.request.form.getlist(f"{prefix}scopes"),
        "ip_allow": text.replace(",", " ").replace("，", " ").replace("；", " ").replace(";", " ").split(),
    }


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
    made: Mapping[str, Any] | None = None, scopes: list[str] | None = None, prefix: str = "",
) -> Any:
    gateway = my.service()
    grant, titles, keys = my.grant_of(gateway, grant_id)
    vocabularies = gateway.get("/v1/vocabularies")
    errors = {f"{prefix}{name}": said for name, said in my.errors_of(problem).items()}
    return my.page_of("govopen/my/grant.html", {
        "item": grant, "usage": usage_of(gateway, grant), "keys": keys, "made": made, "words": my.words,
        "titles": titles, "lists": vocabularies["lists"],
        "samples": samples(grant), "data": data or {}, "errors": errors,
        "entries": my.happenings(grant["history"]), "remedy": my.remedy_of(grant["history"]),
        "uses": uses(), "usual": [one["value"] for one in uses() if one["usual"]], "data_scopes": scopes or [],
    }, problem)


@blueprint.get("/my/grants/<grant_id>")
def show(grant_id: str) -> Any:
    """One grant."""
    return _show(grant_id)


@blueprint.post("/my/grants/<grant_id>")
def act(grant_id: str) -> Any:
    """A new key, a rotation, an end of a key. The text of a key is on the answer's page and nowhere else."""
    data, limits = my.typed(), {"scopes": [], "ip_allow": []}
    gateway, key_id = my.service(), str(data.get("key_id") or "")
    try:
        match data.get("act"):
            case "create":
                body = {**my.text_of(data, "label", "expires_on"), **(limits := limits_of())}
                return _show(grant_id, made=gateway.post(my.path("grants", grant_id, "keys"), body))
            case "limit":
                limits = limits_of(f"{key_id}-")
                data["ip_allow"] = "\n".join(limits["ip_allow"])
                gateway.put(my.path("grants", grant_id, "keys", key_id, "limits"), limits)
                said = tk._("Saved. It holds from the next call of the key.")
                return my.redirect("govopen_my_grants.show", said, grant_id=grant_id)
            case "rotate":
                body = {"overlap_hours": my.number_of(data.get("overlap_hours") or OVERLAP_HOURS)}
                return _show(grant_id, made=gateway.post(my.path("grants", grant_id, "keys", key_id, "rotate"), body))
            case "revoke":
                gateway.delete(my.path("grants", grant_id, "keys", key_id))
            case _:
                return tk.abort(400, tk._("This page knows no such action."))
    except ServiceProblem as problem:
        prefix = f"{key_id}-" if data.get("act") == "limit" else ""
        return _show(grant_id, data, problem, scopes=limits["scopes"], prefix=prefix)
    said = tk._("The key has been stopped. Programs that use it are refused now.")
    return my.redirect("govopen_my_grants.show", said, grant_id=grant_id)
