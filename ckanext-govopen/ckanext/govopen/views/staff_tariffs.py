"""``/staff/ceilings`` and ``/staff/rate-cards``: lists, proposals, and the decision of another person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceProblem, segment
from ckanext.govopen.views.staff_base import Desk, Typed, field_errors, gone, is_stale, staff_page
from ckanext.govopen.views.staff_prices import PricingForm, price_field, read_pricing
from flask import Blueprint

blueprint = Blueprint("govopen_staff_tariffs", __name__)
OBJECTS_MAX = 200
PAGE = 50


def chargeable(desk: Desk) -> list[dict[str, str]]:
    """Data objects that are open under conditions, as choices."""
    found = desk.gateway.get("/v1/data-objects", limit=OBJECTS_MAX)["items"]
    return sorted((
        {"value": one["resource_id"], "label": f"{one['dataset_title'] or one['title']} · {one['organisation_name']}"}
        for one in found if one["open_attribute"] == "conditional"
    ), key=lambda one: one["label"])


def _ceilings(
    desk: Desk, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    found = desk.gateway.get("/v1/ceilings", limit=PAGE, cursor=tk.request.args.get("cursor") or None)
    proposing = desk.may("ceiling:propose")
    return desk.page(
        "ceilings.html", "ceilings", status=status, items=found["items"], next=found["next"],
        can_propose=proposing, can_decide=desk.may("ceiling:approve"), objects=chargeable(desk) if proposing else [],
        typed=typed.form if typed else {}, errors=errors or {}, refusal=problem, stale=is_stale(problem),
    )


@blueprint.get("/staff/ceilings")
@staff_page
def ceilings(desk: Desk) -> Any:
    """Every ceiling, newest first."""
    return _ceilings(desk)


@blueprint.post("/staff/ceilings")
@staff_page
def propose_ceiling(desk: Desk) -> Any:
    """Propose a ceiling."""
    typed = Typed()
    body = {
        "resource_id": typed.text("resource_id"), "meter": typed.text("meter"),
        "max_amount_fen": typed.fen("max_amount"), "per": typed.whole("per"), "stage": typed.text("stage"),
        "source_document": typed.text("source_document"), "effective_on": typed.day("effective_on"),
        "reason": typed.text("reason"),
    }
    if typed.errors:
        return _ceilings(desk, typed, errors=typed.errors, status=422)
    try:
        desk.gateway.post("/v1/ceilings", body, idempotency_key=typed.once)
    except ServiceProblem as problem:
        found = field_errors(problem, lambda name: "max_amount" if name == "max_amount_fen" else name)
        return _ceilings(desk, typed, problem, found, problem.status)
    said = tk._("The ceiling was proposed; another person of the data authority decides on it.")
    return gone("/staff/ceilings", said)


@blueprint.post("/staff/ceilings/<ceiling_id>")
@staff_page
def decide_ceiling(desk: Desk, ceiling_id: str) -> Any:
    """Approve or reject what another has proposed."""
    typed = Typed()
    problem = _decided(desk, f"/v1/ceilings/{segment(ceiling_id)}", typed)
    if problem:
        return _ceilings(desk, typed, problem, field_errors(problem), problem.status)
    return gone("/staff/ceilings", tk._("The decision was recorded."))


def _decided(desk: Desk, path: str, typed: Typed) -> ServiceProblem | None:
    verdict = "approve" if typed.text("verdict") == "approve" else "reject"
    try:
        desk.gateway.post(f"{path}/{verdict}", {"reason": typed.text("reason"), "version": typed.version})
    except ServiceProblem as problem:
        return problem
    return None


def _rate_cards(
    desk: Desk, form: PricingForm | None = None, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    found = desk.gateway.get("/v1/rate-cards", limit=PAGE, cursor=tk.request.args.get("cursor") or None)
    proposing = desk.may("rate:propose")
    form = form or PricingForm.of(None)
    return desk.page(
        "rate_cards.html", "rate_cards", status=status, items=found["items"], next=found["next"],
        can_propose=proposing, can_decide=desk.may("rate:approve"), objects=chargeable(desk) if proposing else [],
        form_data=form, tiers=form.rows(more=bool(typed and typed.text("act") == "rows")),
        typed=typed.form if typed else {}, errors=errors or {}, refusal=problem, stale=is_stale(problem),
    )


@blueprint.get("/staff/rate-cards")
@staff_page
def rate_cards(desk: Desk) -> Any:
    """Standard prices and those of single applications, newest first."""
    return _rate_cards(desk)


@blueprint.post("/staff/rate-cards")
@staff_page
def propose_rate_card(desk: Desk) -> Any:
    """Propose a standard price."""
    typed = Typed()
    form = PricingForm.typed(typed)
    if typed.text("act") == "rows":
        return _rate_cards(desk, form, typed)
    pricing, places = read_pricing(typed)
    body = {
        "resource_id": typed.text("resource_id"), "use_class": typed.text("use_class"), "pricing": pricing,
        "effective_on": typed.day("effective_on"), "reason": typed.text("reason"),
    }
    if typed.errors:
        return _rate_cards(desk, form, typed, errors=typed.errors, status=422)
    try:
        desk.gateway.post("/v1/rate-cards", body, idempotency_key=typed.once)
    except ServiceProblem as problem:
        return _rate_cards(desk, form, typed, problem, field_errors(problem, price_field(places)), problem.status)
    return gone("/staff/rate-cards", tk._("The price was proposed; another person of the exchange decides on it."))


@blueprint.post("/staff/rate-cards/<version_id>")
@staff_page
def decide_rate_card(desk: Desk, version_id: str) -> Any:
    """Approve or reject what another has proposed."""
    typed = Typed()
    problem = _decided(desk, f"/v1/rate-cards/{segment(version_id)}", typed)
    if problem:
        return _rate_cards(desk, None, typed, problem, field_errors(problem), problem.status)
    return gone("/staff/rate-cards", tk._("The decision was recorded."))
