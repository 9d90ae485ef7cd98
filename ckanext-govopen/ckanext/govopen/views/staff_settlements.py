"""``/staff/billing``: settlements with their statements and payouts, share rules, the ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from ckanext.govopen.gateway import ServiceProblem, segment
from ckanext.govopen.views.staff_base import Desk, Typed, field_errors, gone, staff_page
from ckanext.govopen.views.staff_billing import amount_field, bill_page
from flask import Blueprint

blueprint = Blueprint("govopen_staff_settlements", __name__)
PAGE = 50
SHARES = ("holder", "operator", "exchange")
PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?")


def _settlements(
    desk: Desk, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    found = desk.gateway.get("/v1/settlements", limit=PAGE, cursor=tk.request.args.get("cursor") or None)
    return bill_page(
        desk, "settlements.html", "settlements", problem, status=status, items=found["items"], next=found["next"],
        can_run=desk.may("settlement:run"), typed=typed.form if typed else {}, errors=errors or {},
    )


@blueprint.get("/staff/billing/settlements")
@staff_page
def settlements(desk: Desk) -> Any:
    """Settlements, newest first, and the form that runs one."""
    return _settlements(desk)


@blueprint.post("/staff/billing/settlements")
@staff_page
def run(desk: Desk) -> Any:
    """Share what was paid for a closed month."""
    typed = Typed()
    try:
        made = desk.gateway.post("/v1/settlements", {"period": typed.text("period")}, idempotency_key=typed.once)
    except ServiceProblem as problem:
        return _settlements(desk, typed, problem, field_errors(problem), problem.status)
    return gone(f"/staff/billing/settlements/{segment(made['id'])}",
                tk._("The settlement was run; another person approves it."))


def _settlement(
    desk: Desk, settlement_id: str, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    item = desk.gateway.get(f"/v1/settlements/{segment(settlement_id)}")
    return bill_page(
        desk, "settlement.html", "settlements", problem, status=status, item=item, share_words=share_words(),
        can_decide=desk.may("settlement:approve") and item["state"] not in ("approved", "rejected"),
        can_pay=desk.may("payment:record") and item["state"] == "approved",
        typed=typed.form if typed else {}, errors=errors or {},
    )


def share_words() -> dict[str, str]:
    return {"holder": tk._("Department"), "operator": tk._("Operator"), "exchange": tk._("Exchange")}


@blueprint.get("/staff/billing/settlements/<settlement_id>")
@staff_page
def settlement(desk: Desk, settlement_id: str) -> Any:
    """One settlement: who receives what and from which data, decision, payouts."""
    return _settlement(desk, settlement_id)


@blueprint.post("/staff/billing/settlements/<settlement_id>")
@staff_page
def act(desk: Desk, settlement_id: str) -> Any:
    """Approve or reject it, or record a payout."""
    typed = Typed()
    path = f"/v1/settlements/{segment(settlement_id)}"
    if typed.text("act") == "payout":
        body: dict[str, Any] = {"party_id": typed.text("party_id"), "amount_fen": typed.fen("amount"),
                                "bank_serial": typed.text("bank_serial"), "paid_on": typed.day("paid_on")}
        path, said = f"{path}/payouts", tk._("The payout was recorded.")
    else:
        verdict = "approve" if typed.text("act") == "approve" else "reject"
        body = {"reason": typed.text("reason"), "version": typed.version}
        path, said = f"{path}/{verdict}", tk._("The decision was recorded.")
    if typed.errors:
        return _settlement(desk, settlement_id, typed, None, typed.errors, 422)
    try:
        desk.gateway.post(path, body)
    except ServiceProblem as problem:
        return _settlement(desk, settlement_id, typed, problem, field_errors(problem, amount_field), problem.status)
    return gone(f"/staff/billing/settlements/{segment(settlement_id)}", said)


@blueprint.get("/staff/billing/settlements/<settlement_id>/statements/<party_id>")
@staff_page
def statement(desk: Desk, settlement_id: str, party_id: str) -> Any:
    """What one party receives, down to the lines of the invoices."""
    item = desk.gateway.get(f"/v1/settlements/{segment(settlement_id)}/statements/{segment(party_id)}")
    return bill_page(desk, "statement.html", "settlements", item=item, share_words=share_words())


def _rules(
    desk: Desk, typed: Typed | None = None, problem: ServiceProblem | None = None,
    errors: Mapping[str, Any] | None = None, status: int = 200,
) -> Any:
    found = desk.gateway.get("/v1/share-rules")["items"]
    proposing = desk.may("share:propose")
    known = (desk.maybe("/v1/parties", limit=100) or {"items": []})["items"] if proposing else []
    return bill_page(
        desk, "share_rules.html", "rules", problem, status=status, items=found, can_propose=proposing,
        can_decide=desk.may("share:approve"), typed=typed.form if typed else {}, errors=errors or {},
        parties=[{"value": one["id"], "label": one["name"]} for one in known],
    )


@blueprint.get("/staff/billing/rules")
@staff_page
def rules(desk: Desk) -> Any:
    """How revenue is shared, version by version."""
    return _rules(desk)


def _basis_points(typed: Typed, name: str) -> int | None:
    text = typed.text(name)
    if not text.isascii() or not PERCENT.fullmatch(text):
        typed.errors[name] = tk._("Enter a percentage with at most two decimals, such as 30 or 12.5.")
        return None
    whole, _, part = text.partition(".")
    return int(whole) * 100 + int((part + "00")[:2])


@blueprint.post("/staff/billing/rules")
@staff_page
def propose_rule(desk: Desk) -> Any:
    """Propose a rule; shares are typed in percent."""
    typed = Typed()
    body: dict[str, Any] = {f"{share}_bp": _basis_points(typed, share) for share in SHARES}
    body |= {"operator_id": typed.text("operator_id"), "exchange_id": typed.text("exchange_id"),
             "source_document": typed.text("source_document"), "effective_on": typed.day("effective_on")}
    if typed.errors:
        return _rules(desk, typed, None, typed.errors, 422)
    try:
        desk.gateway.post("/v1/share-rules", body, idempotency_key=typed.once)
    except ServiceProblem as problem:
        found = field_errors(problem, lambda name: name.removesuffix("_bp"))
        return _rules(desk, typed, problem, found, problem.status)
    return gone("/staff/billing/rules", tk._("The rule was proposed; another person decides on it."))


@blueprint.post("/staff/billing/rules/<rule_id>")
@staff_page
def decide_rule(desk: Desk, rule_id: str) -> Any:
    """Approve or reject a rule."""
    typed = Typed()
    verdict = "approve" if typed.text("verdict") == "approve" else "reject"
    body = {"reason": typed.text("reason"), "version": typed.version}
    try:
        desk.gateway.post(f"/v1/share-rules/{segment(rule_id)}/{verdict}", body)
    except ServiceProblem as problem:
        return _rules(desk, typed, problem, field_errors(problem), problem.status)
    return gone("/staff/billing/rules", tk._("The decision was recorded."))


@blueprint.get("/staff/billing/ledger")
@staff_page
def ledger(desk: Desk) -> Any:
    """Balances of every account; with ``?verify=1`` the ledger is recomputed from its postings."""
    balances = desk.gateway.get("/v1/ledger/balances")
    verified = desk.gateway.get("/v1/ledger/verify") if tk.request.args.get("verify") else None
    words = {
        "receivable": tk._("Receivable"), "bank": tk._("Bank deposits"),
        "stripe_clearing": tk._("Online payments in clearing"), "revenue": tk._("Revenue"),
        "vat_payable": tk._("Value-added tax payable"), "payable": tk._("Shares payable"),
        "unapplied_receipts": tk._("Receipts not applied"), "fees": tk._("Payment fees"),
    }
    return bill_page(desk, "ledger.html", "ledger", balances=balances, verified=verified, words=words)
