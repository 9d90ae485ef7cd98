"""The decisions on an application as forms: what each is called, what it leads to, what its form sends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen import masks
from ckanext.govopen.views.staff_base import Typed

FIELDS_MAX = 500
FILTERS_MAX = 50
FILTER_ROWS_BLANK = 2
NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,10})?")
ORDER = (
    "decide_owner", "pass_form", "record_opinion", "decide_extension", "countersign", "request_supplement",
    "consult_third_party", "request_extension", "refuse",
)
"""Events that have a form here, the one that moves the application on first."""
PRICE_EVENTS = frozenset({"price_proposed", "price_approved", "price_returned"})


def words(event: str) -> dict[str, Any]:
    """What a decision is called, and what follows from it, in the language of the page."""
    return {
        "pass_form": {"label": tk._("Pass the form review"), "danger": False, "consequence": tk._(
            "The application goes on to the next reviewer, whose time begins to run.")},
        "decide_owner": {"label": tk._("Decide on substance"), "danger": False, "consequence": tk._(
            "Approved fields go on to pricing with their masks and rows; refused fields are refused with your "
            "reasons. When no field is approved the whole application is refused. The applicant is told, with the "
            "way to appeal.")},
        "request_supplement": {"label": tk._("Request a supplement"), "danger": False, "consequence": tk._(
            "The applicant is told once, in full, what is missing. Your time stands still until the answer; "
            "a second request is not possible in this step.")},
        "refuse": {"label": tk._("Refuse"), "danger": True, "consequence": tk._(
            "The whole application ends here. The applicant reads your reason, its legal basis and how to appeal.")},
        "consult_third_party": {"label": tk._("Consult a third party"), "danger": False, "consequence": tk._(
            "Your time stands still until the third party's opinion is recorded, or its time is over.")},
        "record_opinion": {"label": tk._("Record the third party's opinion"), "danger": False, "consequence": tk._(
            "The application comes back to substance review and your time runs on.")},
        "request_extension": {"label": tk._("Ask for an extension"), "danger": False, "consequence": tk._(
            "Another person of the data authority decides. It is possible once in this step.")},
        "decide_extension": {"label": tk._("Decide on the extension"), "danger": False, "consequence": tk._(
            "When it is approved the due date moves by the working days asked for.")},
        "countersign": {"label": tk._("Countersign"), "danger": False, "consequence": tk._(
            "The agreement takes force and the grant is issued at once: the applicant can make access keys and "
            "read the approved data.")},
    }[event]


def mask_options(field: Mapping[str, Any]) -> list[dict[str, str]]:
    """Masks for one field; the empty choice keeps the catalogue's own."""
    own = field.get("mask")
    first = tk._("As in the catalog: {mask}").format(mask=masks.label(own))
    found = [{"value": "", "label": first}]
    for mask in masks.offered(str(field.get("type"))):
        if mask != own:
            found.append({"value": mask, "label": masks.label(mask)})
    return found


def operators() -> list[dict[str, str]]:
    return [
        {"value": "eq", "label": tk._("is")}, {"value": "prefix", "label": tk._("begins with")},
        {"value": "in", "label": tk._("is one of")}, {"value": "gte", "label": tk._("at least")},
        {"value": "lte", "label": tk._("at most")},
    ]


def _scalar(text: str, kind: str) -> Any:
    """The value in the field's type; what does not fit stays text, and the service says so."""
    if kind in ("integer", "numeric") and NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if kind == "boolean" and text.lower() in ("true", "false", "是", "否"):
        return text.lower() in ("true", "是")
    return text


def filter_rows(typed: Typed) -> list[dict[str, str]]:
    """The conditions as they were typed, those left blank included."""
    rows = []
    for n in range(FILTERS_MAX):
        if f"filter_value.{n}" not in typed.form:
            break
        rows.append({key: typed.text(f"filter_{key}.{n}") for key in ("field", "op", "value")})
    return rows


def shown_filters(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """What was typed and some blank rows below it."""
    filled = [row for row in rows if row["field"] or row["value"]]
    blank = [{"field": "", "op": "eq", "value": ""} for _ in range(FILTER_ROWS_BLANK)]
    return [*filled, *blank][:FILTERS_MAX]


def _filters(typed: Typed, types: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[int]]:
    found, places = [], []
    for n, row in enumerate(filter_rows(typed)):
        if not row["field"] and not row["value"]:
            continue
        kind = types.get(row["field"], "text")
        parts = [part for part in re.split(r"[\s,，、;；]+", row["value"]) if part]
        value: Any = [_scalar(part, kind) for part in parts] if row["op"] == "in" else _scalar(row["value"], kind)
        if not row["field"] or value in ("", []):
            typed.errors[f"filter_value.{n}"] = tk._("Choose a field and enter a value, or leave both empty.")
        found.append({"field": row["field"], "op": row["op"] or "eq", "value": value})
        places.append(n)
    return found, places


def owner_decision(typed: Typed, types: Mapping[str, str]) -> tuple[dict[str, Any], Callable[[str], str]]:
    """The department's decision, and how the service's names of faults are those of the form."""
    fields, masks, order, place = [], {}, [], {}
    for n in range(FIELDS_MAX):
        name = typed.form.get(f"name.{n}")
        if name is None:
            break
        place[name] = n
        verdict, reason = typed.text(f"verdict.{n}"), typed.maybe(f"reason.{n}")
        if verdict:
            fields.append({"name": name, "verdict": verdict, **({"reason": reason} if reason else {})})
            order.append(n)
        if verdict == "approve" and typed.text(f"mask.{n}"):
            masks[name] = typed.text(f"mask.{n}")
    row_filter, filters = _filters(typed, types)
    body = {
        "fields": fields, "row_filter": row_filter, "masks": masks, "reason": typed.maybe("reason"),
        "consent_reference": typed.maybe("consent_reference"), "risk_assessment_id": typed.maybe("risk_assessment_id"),
    }

    def rename(name: str) -> str:
        head, _, rest = name.partition(".")
        number, _, part = rest.partition(".")
        at = int(number) if number.isdigit() else -1
        if head == "fields":
            return f"{'reason' if part == 'reason' else 'verdict'}.{order[at] if 0 <= at < len(order) else 0}"
        if head == "row_filter" and 0 <= at < len(filters):
            return f"filter_value.{filters[at]}"
        if head == "masks" and rest in place:
            return f"mask.{place[rest]}"
        return name

    return body, rename


def plain_decision(event: str, typed: Typed) -> dict[str, Any]:
    """The body of every other event."""
    match event:
        case "request_supplement":
            return {"reason": typed.text("reason"), "items": typed.lines("items")}
        case "pass_form":
            return {"reason": typed.maybe("reason")}
        case "refuse":
            return {"reason": typed.text("reason"), "basis": typed.maybe("basis")}
        case "consult_third_party":
            return {"party": typed.text("party"), "reason": typed.text("reason")}
        case "record_opinion":
            return {"opinion": typed.text("opinion"), "text": typed.maybe("text")}
        case "request_extension":
            return {"working_days": typed.whole("working_days"), "reason": typed.text("reason")}
        case "decide_extension":
            return {"verdict": typed.text("verdict"), "reason": typed.text("reason")}
        case _:
            return {"signer_name": typed.maybe("signer_name")}
