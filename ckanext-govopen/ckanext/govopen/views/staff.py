"""``/staff``: what waits for the person, and for the supervisor what is overdue anywhere."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import segment
from ckanext.govopen.helpers.pages import govopen_lang, govopen_link
from ckanext.govopen.views.staff_base import Desk, staff_page
from flask import Blueprint

blueprint = Blueprint("govopen_staff", __name__)
SOON_DAYS = 2


def _kinds(items: list[dict[str, Any]], chosen: str) -> list[dict[str, Any]]:
    """The filters: every kind that waits, with how many."""
    words = {"application": tk._("Applications"), "agreement": tk._("Countersignatures"),
             "party": tk._("Accounts to verify"), "registration": tk._("Registrations")}
    kinds = list(dict.fromkeys(one["kind"] for one in items))
    rows = [{"name": "", "label": tk._("All"), "count": len(items), "url": govopen_link("/staff")}]
    rows += [{"name": kind, "label": words.get(kind, kind), "count": sum(1 for one in items if one["kind"] == kind),
              "url": govopen_link(f"/staff?kind={segment(kind)}")} for kind in kinds]
    return [{**row, "current": row["name"] == chosen} for row in rows]


@blueprint.get("/staff")
@staff_page
def queue(desk: Desk) -> Any:
    """The queue and the board."""
    items = desk.queue()
    kinds = _kinds(items, tk.request.args.get("kind", ""))
    if not any(kind["current"] for kind in kinds):
        kinds[0]["current"] = True
    chosen = next(kind["name"] for kind in kinds if kind["current"])
    shown = [one for one in items if not chosen or one["kind"] == chosen]
    figures = {
        "waiting": len(items), "overdue": sum(1 for one in items if one.get("overdue")),
        "soon": sum(1 for one in items if not one.get("overdue") and not one.get("paused")
                    and one.get("working_days_left") is not None and one["working_days_left"] <= SOON_DAYS),
    }
    return desk.page("queue.html", "queue", queue=shown, kinds=kinds, figures=figures, chosen=chosen,
                     overdue=_overdue(desk))


def _overdue(desk: Desk) -> list[dict[str, Any]] | None:
    """The supervisor's board; None for everyone else."""
    if not desk.everywhere("audit:read"):
        return None
    found = desk.maybe("/v1/overdue")
    if found is None:
        return None
    holders = {"authority": tk._("Data authority"), "data_owner": tk._("Department"),
               "exchange_pricer": tk._("Exchange"), "exchange_officer": tk._("Exchange")}
    return [{
        **one, "label": govopen_lang(one, "label"), "url": govopen_link(f"/staff/applications/{segment(one['id'])}"),
        "holder": holders.get((one.get("clock") or {}).get("holder_role"), ""),
        "left": (one.get("clock") or {}).get("working_days_left"),
    } for one in found["items"]]
