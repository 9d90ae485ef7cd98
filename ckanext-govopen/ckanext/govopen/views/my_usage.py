"""Use of a grant, live: by day and month, what the quota leaves; and the events behind a line of an invoice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.helpers.pages import BEIJING
from ckanext.govopen.views import my_common as my
from flask import Response, make_response

blueprint = my.signed_in_only("govopen_my_usage")
DAYS_SHOWN = 31
METERS = ("rows", "calls", "bytes")
EVENTS_SHOWN = 100
POLL_MS = 1500
"""How often an open page asks: what is recorded is seen within two seconds."""


def _bounds(quota: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The quota's bounds in the order of their spans; a bound without a limit is none."""
    order = {"day": 0, "month": 1, "life": 2}
    found = [
        {
            "meter": name.partition("_")[0], "span": name.rpartition("_")[2], "limit": bound["limit"],
            "left": bound["left"] or 0, "used": bound["limit"] - (bound["left"] or 0),
            "resets_on": bound.get("resets_on"),
        }
        for name, bound in quota.items() if bound["limit"] is not None
    ]
    return sorted(found, key=lambda one: (order.get(one["span"], 3), one["meter"]))


def _read(grant_id: str) -> dict[str, Any]:
    """What the page shows, with ``stamp``, which is another one as soon as anything else is shown."""
    usage = my.service().get(my.path("grants", grant_id, "usage"), days=DAYS_SHOWN)
    at = datetime.fromisoformat(usage["as_of"]).astimezone(BEIJING)
    by_day = {entry["on"]: entry for entry in usage["days"]}
    span = []
    for back in range(DAYS_SHOWN - 1, -1, -1):
        on = (at.date() - timedelta(days=back)).isoformat()
        span.append({"on": on, **{meter: by_day.get(on, {}).get(meter, 0) for meter in METERS}})
    facts = [span, usage["months"], usage["quota"]]
    stamp = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]
    this_month = next((m for m in usage["months"] if m["period"] == at.date().isoformat()[:7]), None)
    return {
        "span": span, "today": span[-1], "this_month": this_month, "months": list(reversed(usage["months"])),
        "bounds": _bounds(usage["quota"]), "under_way": by_day.get(span[-1]["on"], {}).get("open_calls", 0),
        "as_of": at.strftime("%Y-%m-%d %H:%M:%S"), "stamp": stamp, "grant_id": grant_id,
    }


@blueprint.get("/my/grants/<grant_id>/usage")
def show(grant_id: str) -> Any:
    """The page: whole as it comes, and kept up to date by a script where there is one."""
    grant = my.service().get(my.path("grants", grant_id))
    missing = my.service().get(my.path("grants", grant_id, "usage", "sequences"))
    return my.page_of("govopen/my/usage.html", {
        "item": grant, "usage": _read(grant_id), "poll_ms": POLL_MS,
        "missing": [one for one in missing["sources"] if one["holes"]], "recorded": missing["recorded"],
    })


@blueprint.get("/my/grants/<grant_id>/usage/live")
def live(grant_id: str) -> Any:
    """The part that changes, or 204 when it is what the page shows already."""
    usage = _read(grant_id)
    if tk.request.args.get("stamp") == usage["stamp"]:
        answer = Response(status=204)
    else:
        answer = make_response(tk.render("govopen/my/usage_live.html", {"usage": usage, "tone": my.tone}))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get("/my/invoices/<invoice_id>/lines/<int:number>")
def line(invoice_id: str, number: int) -> Any:
    """The events behind one line of an invoice."""
    gateway = my.service()
    invoice = gateway.get(my.path("invoices", invoice_id))
    cursor = tk.request.args.get("cursor", "0")
    found = gateway.get(
        my.path("invoices", invoice_id, "lines", str(number), "usage"), limit=EVENTS_SHOWN,
        cursor=cursor if cursor.isascii() and cursor.isdigit() else "0",
    )
    return my.page_of("govopen/my/invoice_line.html", {
        "invoice": invoice, "line": next((one for one in invoice["lines"] if one["line"] == number), {}),
        "events": found["items"], "next": found["next"], "is_first": cursor in ("", "0"),
    })


@blueprint.get("/my/invoices/<invoice_id>/lines/<int:number>/usage.csv")
def line_file(invoice_id: str, number: int) -> Any:
    """All of them as a file."""
    answer = my.service().raw(my.path("invoices", invoice_id, "lines", str(number), "usage.csv"))
    name = answer.headers.get("Content-Disposition", 'attachment; filename="usage.csv"')
    return Response(answer.content, mimetype="text/csv",
                    headers={"Content-Disposition": name, "Cache-Control": "no-store"})
