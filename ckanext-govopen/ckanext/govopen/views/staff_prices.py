"""``/staff/applications/<id>/price``: the price of one application, simulated under its ceiling, proposed, decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceProblem, ServiceRefusal, segment
from ckanext.govopen.helpers.pages import govopen_lang
from ckanext.govopen.views.staff_base import Desk, Typed, field_errors, gone, is_stale, staff_page
from ckanext.govopen.views.staff_chart import chart
from flask import Blueprint

blueprint = Blueprint("govopen_staff_prices", __name__)
TIERS_MAX = 20
TIERS_BLANK = 3
VOLUMES = 12
QUANTITY_MAX = 1_000_000_000_000
TIER_FIELDS = {"up_to": "up_to", "amount_fen": "amount", "per": "per"}


class PricingForm:
    """A price as it is typed: kind, meter, flat fee, tiers, in yuan. Used for applications and standard prices."""

    def __init__(self, values: Mapping[str, Any], tiers: list[dict[str, Any]]) -> None:
        self.values, self.tiers = dict(values), tiers

    @classmethod
    def of(cls, pricing: Mapping[str, Any] | None, quota: Mapping[str, Any] | None = None) -> PricingForm:
        """The form filled with a price that is known; without one it is graduated by rows and empty."""
        given = pricing or {"kind": "graduated", "meter": "rows", "flat_fen": 0, "tiers": []}
        values = {
            "kind": given["kind"], "meter": given["meter"],
            "flat": yuan(given["flat_fen"]) if given["flat_fen"] else "",
            "rows_month": (quota or {}).get("rows_month", ""), "calls_day": (quota or {}).get("calls_day", ""),
        }
        tiers = [{"up_to": tier["up_to"] or "", "amount": yuan(tier["amount_fen"]), "per": tier["per"]}
                 for tier in given["tiers"]]
        return cls(values, tiers)

    @classmethod
    def typed(cls, typed: Typed) -> PricingForm:
        tiers = []
        for n in range(TIERS_MAX):
            if f"tiers.{n}.amount" not in typed.form:
                break
            tiers.append({key: typed.text(f"tiers.{n}.{key}") for key in ("up_to", "amount", "per")})
        return cls(typed.form, tiers)

    def rows(self, more: bool = False) -> list[dict[str, Any]]:
        """Tiers as they stand and some blank ones below."""
        last = max((n for n, tier in enumerate(self.tiers) if tier["amount"] or tier["up_to"]), default=-1)
        wanted = max(TIERS_BLANK, last + 2 + (2 if more else 0))
        blank = {"up_to": "", "amount": "", "per": 100}
        return [*self.tiers[: last + 1], *(dict(blank) for _ in range(wanted - last - 1))][:TIERS_MAX]


def yuan(fen: int) -> str:
    """Fen as they are typed: 25 is 0.25."""
    return f"{fen // 100}.{fen % 100:02d}"


def read_pricing(typed: Typed) -> tuple[dict[str, Any], list[int]]:
    """The typed price as the service takes it, and the rows of the form its tiers stand in."""
    kind, meter = typed.text("kind"), typed.text("meter")
    flat = typed.fen("flat", required=False) or 0
    tiers, places = [], []
    for n, tier in enumerate(PricingForm.typed(typed).tiers):
        if kind == "flat" or not (tier["amount"] or tier["up_to"]):
            continue
        up_to = typed.whole(f"tiers.{n}.up_to", required=False)
        amount, per = typed.fen(f"tiers.{n}.amount"), typed.whole(f"tiers.{n}.per")
        tiers.append({"up_to": up_to, "amount_fen": amount, "per": per})
        places.append(n)
    return {"kind": kind, "meter": meter, "flat_fen": flat, "tiers": tiers}, places


def price_field(places: list[int]) -> Any:
    """Names of the service's faults as names of the form: pricing.tiers.0.amount_fen is tiers.<row>.amount."""
    def rename(name: str) -> str:
        short = name.removeprefix("pricing.").removeprefix("quota.")
        parts = short.split(".")
        if parts[0] == "tiers":
            at = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
            row = places[at] if at < len(places) else 0
            return f"tiers.{row}.{TIER_FIELDS.get(parts[2], 'amount') if len(parts) > 2 else 'amount'}"
        return {"flat_fen": "flat", "pricing": "kind", "": "kind"}.get(short, short)
    return rename


def volumes(pricing: Mapping[str, Any], quota: int, expected: int) -> list[int]:
    """Volumes to simulate: evenly from nothing to beyond the quota, and every bound of a tier."""
    bounds = [tier["up_to"] for tier in pricing["tiers"] if tier["up_to"]]
    top = max(quota, expected, *(2 * bound for bound in bounds), 1_000)
    top = min(top + top // 5, QUANTITY_MAX)
    even = [top * n // VOLUMES for n in range(VOLUMES + 1)]
    marked = [one for one in (*bounds, quota, expected) if 0 < one <= top]
    return sorted(set(even) | set(marked))[:50]


def _simulate(
    desk: Desk, application_id: str, pricing: Mapping[str, Any], quota: int, expected: int
) -> dict[str, Any]:
    found: dict[str, Any] = desk.gateway.post(f"/v1/applications/{segment(application_id)}/price/simulate", {
        "pricing": pricing, "rows_month": volumes(pricing, quota, expected),
    })
    marks = {expected, quota, *(tier["up_to"] for tier in pricing["tiers"] if tier["up_to"])}
    return {**found, "chart": chart(found["bills"], quota), "marks": marks, "meter": pricing["meter"]}


def _violations(simulation: Mapping[str, Any] | None, places: list[int]) -> dict[str, str]:
    """What is above a ceiling, beside the field it was typed in."""
    rename = price_field(places)
    return {rename(f"pricing.{one['field']}"): govopen_lang(one, "detail")
            for one in (simulation or {}).get("violations", [])}


def _show(
    desk: Desk, application_id: str, form: PricingForm | None = None, typed: Typed | None = None,
    simulation: dict[str, Any] | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    item = desk.gateway.get(f"/v1/applications/{segment(application_id)}")
    overview = desk.gateway.get(f"/v1/applications/{segment(application_id)}/price")
    waiting = next((one for one in overview["items"] if one["state"] == "proposed"), None)
    last = waiting or next(iter(overview["items"]), None)
    if form is None:
        quota = (last or {}).get("quota") or {"rows_month": item["expected_rows_month"]}
        form = PricingForm.of((last or {}).get("pricing"), quota)
        if last and simulation is None:
            simulation = _known(desk, application_id, last, item["expected_rows_month"])
    allowed = item["allowed_events"]
    return desk.page(
        "price.html", "queue", status=status, beside=True, item=item, overview=overview, waiting=waiting,
        form_data=form, tiers=form.rows(more=bool(typed and typed.text("act") == "rows")),
        typed=typed.form if typed else {}, simulation=simulation, errors=errors or {}, refusal=problem,
        stale=is_stale(problem),
        can_propose="price_proposed" in allowed, can_decide="price_approved" in allowed,
    )


def _known(desk: Desk, application_id: str, last: Mapping[str, Any], expected: int) -> dict[str, Any] | None:
    quota = (last.get("quota") or {}).get("rows_month") or expected
    try:
        return _simulate(desk, application_id, last["pricing"], quota, expected)
    except ServiceRefusal:
        return None


@blueprint.get("/staff/applications/<application_id>/price")
@staff_page
def price(desk: Desk, application_id: str) -> Any:
    """The ceiling, what was proposed before, the form, and the simulation of what waits."""
    return _show(desk, application_id)


@blueprint.post("/staff/applications/<application_id>/price")
@staff_page
def act(desk: Desk, application_id: str) -> Any:
    """Simulate, propose, or decide what another has proposed."""
    typed = Typed()
    if typed.text("act") in ("approve", "reject"):
        return _decide(desk, application_id, typed)
    form = PricingForm.typed(typed)
    if typed.text("act") == "rows":
        return _show(desk, application_id, form, typed)
    pricing, places = read_pricing(typed)
    quota = {"rows_month": typed.whole("rows_month"), "calls_day": typed.whole("calls_day", required=False)}
    if typed.errors:
        return _show(desk, application_id, form, typed, errors=typed.errors, status=422)
    path = f"/v1/applications/{segment(application_id)}/price"
    simulation: dict[str, Any] | None = None
    try:
        expected = desk.gateway.get(f"/v1/applications/{segment(application_id)}")["expected_rows_month"]
        simulation = _simulate(desk, application_id, pricing, int(quota["rows_month"] or 0), expected)
        if typed.text("act") == "propose":
            kept = {key: value for key, value in quota.items() if value is not None}
            body = {"pricing": pricing, "quota": kept, "reason": typed.text("reason"), "version": typed.version}
            desk.gateway.post(path, body, idempotency_key=typed.once)
            return gone(f"/staff/applications/{segment(application_id)}/price",
                        tk._("The price was proposed; another person of the exchange decides on it."))
    except ServiceProblem as problem:
        found = {**_violations(simulation, places), **field_errors(problem, price_field(places))}
        return _show(desk, application_id, form, typed, simulation, problem, found, problem.status)
    return _show(desk, application_id, form, typed, simulation, errors=_violations(simulation, places))


def _decide(desk: Desk, application_id: str, typed: Typed) -> Any:
    body = {"verdict": typed.text("act"), "reason": typed.text("reason"), "version": typed.version}
    try:
        desk.gateway.post(f"/v1/applications/{segment(application_id)}/price/approve", body)
    except ServiceProblem as problem:
        return _show(desk, application_id, None, typed, None, problem, field_errors(problem), problem.status)
    done = tk._("The price was approved and offered to the applicant.") if typed.text("act") == "approve" \
        else tk._("The price was returned to the pricer.")
    return gone(f"/staff/applications/{segment(application_id)}/price", done)
