"""``/staff/billing``: months, invoices and payments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceProblem, segment
from ckanext.govopen.helpers.pages import govopen_link
from ckanext.govopen.views.staff_base import Desk, Typed, field_errors, gone, is_stale, staff_page
from flask import Blueprint

blueprint = Blueprint("govopen_staff_billing", __name__)
PAGE = 50
STATES = ("open", "partly_paid", "overdue", "paid", "credited", "free")


def amount_field(name: str) -> str:
    """The form's name of an amount is without its unit."""
    return "amount" if name == "amount_fen" else name


def places(desk: Desk) -> list[dict[str, str]]:
    """The parts of billing this person may see."""
    found = [
        ("invoices", tk._("Months and invoices"), "/staff/billing", desk.everywhere("invoice:view")),
        ("payments", tk._("Payments"), "/staff/billing/payments", desk.everywhere("invoice:view")),
        ("settlements", tk._("Settlements"), "/staff/billing/settlements", desk.everywhere("settlement:view")),
        ("rules", tk._("Share rules"), "/staff/billing/rules", True),
        ("ledger", tk._("Ledger"), "/staff/billing/ledger", desk.may("ledger:view")),
    ]
    return [{"name": name, "label": label, "url": govopen_link(path)} for name, label, path, on in found if on]


def bill_page(desk: Desk, template: str, part: str, problem: ServiceProblem | None = None, **context: Any) -> Any:
    """A page of billing with the links to its parts."""
    return desk.page(template, "billing", parts=places(desk), part=part, refusal=problem, stale=is_stale(problem),
                     **{"errors": {}, "typed": {}, **context})


def _invoices(
    desk: Desk, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None,
) -> Any:
    args = tk.request.args
    state = args.get("state", "") if args.get("state", "") in STATES else ""
    found = desk.gateway.get("/v1/invoices", state=state or None, limit=PAGE, cursor=args.get("cursor") or None)
    periods = desk.maybe("/v1/billing/periods") or {"items": []}
    return bill_page(
        desk, "billing.html", "invoices", problem, items=found["items"], next=found["next"], chosen=state,
        periods=periods["items"], can_close=desk.may("invoice:close"), states=_state_words(),
        typed=typed.form if typed else {}, errors=errors or {},
    )


def _state_words() -> list[tuple[str, str]]:
    return [("", tk._("All")), ("open", tk._("Open")), ("partly_paid", tk._("Partly paid")),
            ("overdue", tk._("Overdue")), ("paid", tk._("Paid")), ("credited", tk._("Credited")),
            ("free", tk._("Free"))]


@blueprint.get("/staff/billing")
@staff_page
def billing(desk: Desk) -> Any:
    """Closed months, the form that closes one, and the invoices."""
    if not desk.everywhere("invoice:view"):
        return tk.redirect_to(govopen_link("/staff/billing/settlements"))
    return _invoices(desk)


@blueprint.post("/staff/billing/close")
@staff_page
def close(desk: Desk) -> Any:
    """Close a month: its invoices are issued."""
    typed = Typed()
    period = typed.text("period")
    if not period:
        return _invoices(desk, typed, None, {"period": tk._("Fill this in.")})
    try:
        found = desk.gateway.post(f"/v1/billing/periods/{segment(period[:20])}/close")
    except ServiceProblem as problem:
        return _invoices(desk, typed, problem, field_errors(problem))
    if found.get("already_closed"):
        return gone("/staff/billing", tk._("This month had been closed before; nothing has changed."))
    return gone("/staff/billing", tk._("The month was closed: {n} invoices were issued.").format(n=found["invoices"]))


def _invoice(
    desk: Desk, invoice_id: str, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    item = desk.gateway.get(f"/v1/invoices/{segment(invoice_id)}")
    return bill_page(
        desk, "invoice.html", "invoices", problem, status=status, item=item, errors=errors or {},
        typed=typed.form if typed else {"reference": item["number"], "payer": item.get("party_name") or "",
                                        "amount": f"{item['due_fen'] // 100}.{item['due_fen'] % 100:02d}"},
        can_record=desk.may("payment:record") and item["due_fen"] > 0,
    )


@blueprint.get("/staff/billing/invoices/<invoice_id>")
@staff_page
def invoice(desk: Desk, invoice_id: str) -> Any:
    """One invoice: lines, usage behind them, payments, and the form for a bank transfer."""
    return _invoice(desk, invoice_id)


def _slip(typed: Typed) -> dict[str, Any]:
    return {
        "reference": typed.text("reference"), "amount_fen": typed.fen("amount"), "payer": typed.text("payer"),
        "received_on": typed.day("received_on"), "bank_serial": typed.text("bank_serial"),
    }


@blueprint.post("/staff/billing/invoices/<invoice_id>")
@staff_page
def pay(desk: Desk, invoice_id: str) -> Any:
    """Record a bank transfer for the invoice."""
    typed = Typed()
    body = _slip(typed)
    if typed.errors:
        return _invoice(desk, invoice_id, typed, None, typed.errors, 422)
    try:
        found = desk.gateway.post(f"/v1/invoices/{segment(invoice_id)}/payments/bank", body)
    except ServiceProblem as problem:
        return _invoice(desk, invoice_id, typed, problem, field_errors(problem, amount_field), problem.status)
    said = tk._("This transfer had been recorded before; nothing has changed.") if found.get("replayed") \
        else tk._("The transfer was recorded.")
    return gone(f"/staff/billing/invoices/{segment(invoice_id)}", said)


def _payments(
    desk: Desk, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    found = desk.gateway.get("/v1/payments", limit=PAGE, cursor=tk.request.args.get("cursor") or None)
    due: list[dict[str, Any]] = []
    if desk.may("payment:record") and any(one["unapplied_fen"] for one in found["items"]):
        for state in ("open", "partly_paid", "overdue"):
            due += desk.gateway.get("/v1/invoices", state=state, limit=100)["items"]
    return bill_page(
        desk, "payments.html", "payments", problem, status=status, items=found["items"], next=found["next"], due=due,
        can_record=desk.may("payment:record"), typed=typed.form if typed else {}, errors=errors or {},
    )


@blueprint.get("/staff/billing/payments")
@staff_page
def payments(desk: Desk) -> Any:
    """What came in, and what of it is not applied to an invoice yet."""
    return _payments(desk)


@blueprint.post("/staff/billing/payments")
@staff_page
def record(desk: Desk) -> Any:
    """Record a transfer by its reference, or apply one that was not matched."""
    typed = Typed()
    if typed.text("payment_id"):
        path = f"/v1/payments/{segment(typed.text('payment_id'))}/allocations"
        body: dict[str, Any] = {"invoice_id": typed.text("invoice_id"), "amount_fen": typed.fen("amount")}
    else:
        path, body = "/v1/payments/bank", _slip(typed)
    if typed.errors:
        return _payments(desk, typed, None, typed.errors, 422)
    try:
        desk.gateway.post(path, body, idempotency_key=typed.once if typed.text("payment_id") else None)
    except ServiceProblem as problem:
        return _payments(desk, typed, problem, field_errors(problem, amount_field), problem.status)
    return gone("/staff/billing/payments", tk._("The transfer was recorded."))
