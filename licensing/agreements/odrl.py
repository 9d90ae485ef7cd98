"""The machine-readable twin of an agreement in ODRL 2.2: only what the text says, nothing guessed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from authz import BEIJING
from licensing.agreements.model import Agreement

CONTEXT = "http://www.w3.org/ns/odrl.jsonld"
TERMS = "https://w3id.org/dpv#"


def as_odrl(agreement: Agreement, site_url: str) -> dict[str, Any]:
    """An ``odrl:Agreement``: permission to use the target for the purpose within term and quota, with its duties."""
    terms = agreement.terms
    scope, purpose = terms["scope"], terms["purpose"]
    base = f"{site_url}/v1"
    constraints: list[dict[str, Any]] = [
        {"leftOperand": "purpose", "operator": "eq", "rightOperand": purpose["code"]},
        {"leftOperand": "deliveryChannel", "operator": "isAnyOf", "rightOperand": terms["manner"]["delivery"]},
    ]
    if agreement.starts_on and agreement.ends_on:
        begin, end = _midnight(agreement.starts_on), _midnight(agreement.ends_on + timedelta(days=1))
        constraints += [
            {"leftOperand": "dateTime", "operator": "gteq", "rightOperand": begin},
            {"leftOperand": "dateTime", "operator": "lt", "rightOperand": end},
        ]
    rows = scope["quota"].get("rows_month")
    if rows:
        constraints.append({"leftOperand": "count", "operator": "lteq", "rightOperand": rows, "unit": "rows/month"})
    target = {
        "@type": "AssetCollection", "source": f"{site_url}/data/v1/{terms['object']['resource_id']}",
        "refinement": [{"leftOperand": "govopen:columns", "operator": "isAllOf", "rightOperand": scope["columns"]}]
        + [_refinement(one) for one in scope["row_filter"]],
    }
    permission: dict[str, Any] = {"action": "use", "target": target, "constraint": constraints, "duty": _duties(terms)}
    return {
        "@context": [CONTEXT, {"dpv": TERMS, "govopen": f"{base}/odrl#"}],
        "@type": "Agreement",
        "uid": f"{base}/agreements/{agreement.id}",
        "profile": f"{base}/odrl",
        "assigner": f"{base}/parties/{agreement.organisation_id}",
        "assignee": f"{base}/parties/{agreement.party_id}",
        "permission": [permission],
        "prohibition": [
            {"action": "distribute", "target": target["source"]},
            {"action": "govopen:reidentify", "target": target["source"]},
        ],
        "govopen:sha256": agreement.sha256,
        "govopen:state": agreement.state.value,
    }


def _duties(terms: Mapping[str, Any]) -> list[dict[str, Any]]:
    duties: list[dict[str, Any]] = [
        {"action": "govopen:mask", "target": f"govopen:column/{name}", "govopen:mask": mask}
        for name, mask in terms["scope"]["masks"].items()
    ]
    if terms["purpose"]["class"] == "industry":
        duties.append({"action": "compensate", "govopen:pricing": terms["price"]["pricing"]})
    duties += [{"action": f"govopen:{code}"} for code in terms["security_duties"]]
    return duties


OPERATORS = {"eq": "eq", "in": "isAnyOf", "prefix": "govopen:startsWith", "gte": "gteq", "lte": "lteq"}


def _refinement(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "leftOperand": f"govopen:row/{one['field']}", "operator": OPERATORS[one["op"]], "rightOperand": one["value"],
    }


def _midnight(day: date) -> dict[str, str]:
    return {"@value": datetime.combine(day, time(), BEIJING).isoformat(), "@type": "xsd:dateTime"}
