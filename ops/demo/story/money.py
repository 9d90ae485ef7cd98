"""Steps 7 and 8: the month closes, is invoiced, paid twice over in two ways, and shared to the fen."""

from __future__ import annotations

import json
import time
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx

from ops.demo.clients import Refused
from ops.demo.load import City
from ops.demo.record import Step
from ops.demo.story.apply import PRICING, Customer
from ops.stack import Stack

SHARES = {"holder_bp": 5_000, "operator_bp": 3_000, "exchange_bp": 2_000}


def recompute_fen(rows: int) -> int:
    """The bill by hand from delivered rows: each tier prorated and rounded half up to the fen."""
    total, done = 0, 0
    for tier in PRICING["tiers"]:  # type: ignore[attr-defined]
        end = rows if tier["up_to"] is None else min(rows, tier["up_to"])
        inside = max(0, end - done)
        exact = Decimal(inside) * tier["amount_fen"] / tier["per"]
        total += int(exact.quantize(Decimal(1), ROUND_HALF_UP))
        done += inside
    return total


def close_month(city: City, step: Step, stack: Stack, customers: dict[str, Customer]) -> str:
    """Step 7."""
    officer, system = city.people["jiaoyi-chen"], city.people["xitong-wu"]
    step.by(officer.name, system.name, *(one.person.name for one in customers.values()))
    now = system.get("/v1/health")["now"]
    period = now[:7]
    early = _refusal(lambda: officer.post(f"/v1/billing/periods/{period}/close"))
    step.check(early is not None and early.status == 409, "月份未结束不能关账")
    _pass_month(city, step, period)
    _close(officer, period)
    officer.post(f"/v1/billing/periods/{period}/close")
    step.figure("period", period)
    invoices = {}
    for name, customer in customers.items():
        mine = [i for i in customer.person.get("/v1/invoices", mine="true")["items"] if i["period"] == period]
        step.check(len(mine) == 1, f"{name}：重复关账也只有一张账单")
        invoices[name] = customer.person.get(f"/v1/invoices/{mine[0]['id']}")
        due = 0 if customer.purpose_class == "public_interest" else recompute_fen(customer.delivered_rows)
        step.check(invoices[name]["total_fen"] == due,
                   f"{name}：账单 {invoices[name]['total_fen']} 分等于按交付行数独立计算的 {due} 分")
        step.figure(f"invoice_{name}_fen", invoices[name]["total_fen"])
        step.see(f"{city.site}/my/invoices/{mine[0]['id']}", f"{name} 的账单")
    foreign = _refusal(lambda: customers["supply"].person.get(f"/v1/invoices/{invoices['lender']['id']}"))
    step.check(foreign is not None and foreign.status == 404, "看不到别人的账单")
    _pay_by_bank(city, step, invoices["lender"])
    _pay_by_stripe(city, step, stack, customers["supply"], invoices["supply"])
    return str(period)


def _pass_month(city: City, step: Step, period: str) -> None:
    """Move the demo city's clock into the next month."""
    system = city.people["xitong-wu"]
    for _ in range(40):
        if system.get("/v1/health")["now"][:7] != period:
            break
        system.post("/v1/demo/clock", {"days": 1})
    system.post("/v1/demo/clock", {"days": 1})
    step.figures["now"] = system.get("/v1/health")["now"]


def _close(officer: Any, period: str, patience_s: float = 60) -> None:
    """Close once the last deliveries are settled."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            officer.post(f"/v1/billing/periods/{period}/close")
            return
        except Refused as refusal:
            if refusal.status != 409 or time.monotonic() > deadline:
                raise
            time.sleep(1)


def _pay_by_bank(city: City, step: Step, invoice: dict[str, Any]) -> None:
    officer = city.people["jiaoyi-chen"]
    today = officer.get("/v1/health")["now"][:10]
    slip = {
        "reference": invoice["number"], "amount_fen": invoice["total_fen"], "payer": "示范诚信小额贷款有限公司",
        "received_on": today, "bank_serial": f"DEMO-{invoice['number']}",
    }
    address = f"/v1/invoices/{invoice['id']}/payments/bank"
    officer.post(address, slip)
    officer.post(address, slip)
    shown = officer.get(f"/v1/invoices/{invoice['id']}")
    step.check(shown["state"] == "paid" and shown["paid_fen"] == invoice["total_fen"],
               "对公转账到账，回单重放不重复入账")


def _pay_by_stripe(city: City, step: Step, stack: Stack, customer: Customer, invoice: dict[str, Any]) -> None:
    person, auditor = customer.person, city.people["shenji-zheng"]
    page = person.post(f"/v1/invoices/{invoice['id']}/payments/stripe/checkout")["url"]
    session = page.rstrip("/").rsplit("/", 1)[-1].split("?")[0].split("#")[0]
    double = f"http://127.0.0.1:{stack.ports['stripe']}"
    with httpx.Client(timeout=30, trust_env=False) as browser:
        paid = browser.post(f"{double}/_double/sessions/{session}/pay")
        step.check(paid.status_code < 400, "在支付页面付款")
        shown = _wait_paid(person, invoice["id"])
        step.check(shown["state"] == "paid" and shown["paid_fen"] == invoice["total_fen"], "Stripe 付款入账")
        before = auditor.get("/v1/ledger/balances")
        deliveries = browser.get(f"{double}/_double/deliveries").json()
        sent = deliveries if isinstance(deliveries, list) else deliveries["items"]
        events = sorted({one["event"] for one in sent})
        for event in events:
            browser.post(f"{double}/_double/events/{event}/resend")
    forged = {"id": "evt_forged", "object": "event", "type": "checkout.session.completed",
              "data": {"object": {"id": session, "payment_status": "paid", "amount_total": 1}}}
    for signature in ("t=1,v1=" + "0" * 64, "", f"t={int(time.time())},v1=abcdef"):
        answer = city.public.send(
            "POST", "/v1/payments/stripe/webhook", content=json.dumps(forged),
            headers={"Stripe-Signature": signature, "Content-Type": "application/json"},
        )
        step.check(answer.status_code == 400, f"伪造的回调被拒绝（{answer.status_code}）")
    time.sleep(2)
    step.figure("webhooks_replayed", len(events))
    step.check(events, "有可重放的回调")
    step.check(auditor.get("/v1/ledger/balances") == before, "重放与伪造的回调不改变账目")


def _wait_paid(person: Any, invoice_id: str, patience_s: float = 30) -> dict[str, Any]:
    deadline = time.monotonic() + patience_s
    while True:
        shown = dict(person.get(f"/v1/invoices/{invoice_id}"))
        if shown["state"] == "paid" or time.monotonic() > deadline:
            return shown
        time.sleep(0.3)


def _refusal(act: Any) -> Refused | None:
    try:
        act()
    except Refused as refusal:
        return refusal
    return None


def set_share_rule(city: City) -> None:
    """A rule of revenue sharing, proposed by one and approved by another."""
    officer, approver = city.people["jiaoyi-chen"], city.people["jiaoyi-gao"]
    if any(rule["state"] == "published" for rule in officer.get("/v1/share-rules")["items"]):
        return
    rule = officer.post("/v1/share-rules", {
        **SHARES, "operator_id": city.parties["operator"], "exchange_id": city.parties["exchange"],
        "source_document": "示范市公共数据授权运营收益分配办法", "effective_on": "2026-01-01",
    })
    approver.post(f"/v1/share-rules/{rule['id']}/approve", {"version": rule["version"], "reason": "同意"})


def settle(city: City, step: Step, period: str, customers: dict[str, Customer]) -> None:
    """Step 8: shares of the net revenue by largest remainder; the ledger balances."""
    officer, approver, auditor = (city.people[name] for name in ("jiaoyi-chen", "jiaoyi-gao", "shenji-zheng"))
    step.by(officer.name, approver.name, auditor.name)
    set_share_rule(city)
    settlement = officer.post("/v1/settlements", {"period": period})
    own = _refusal(lambda: officer.post(f"/v1/settlements/{settlement['id']}/approve",
                                        {"version": settlement["version"], "reason": "同意"}))
    step.check(own is not None and own.status == 403, "办理人不能自己批准结算")
    approver.post(f"/v1/settlements/{settlement['id']}/approve", {"version": settlement["version"], "reason": "同意"})
    shown = auditor.get(f"/v1/settlements/{settlement['id']}")
    net = 0
    for customer in customers.values():
        for brief in customer.person.get("/v1/invoices", mine="true")["items"]:
            if brief["period"] == period:
                net += customer.person.get(f"/v1/invoices/{brief['id']}")["net_fen"]
    parts = {share: sum(s["amount_fen"] for s in shown["shares"] if s["share"] == share)
             for share in ("holder", "operator", "exchange")}
    step.figures["shares_fen"] = parts
    step.figure("net_fen", net)
    step.check(sum(parts.values()) == net, f"三方所得之和等于净收入 {net} 分")
    exact = {share: Decimal(net) * SHARES[f"{share}_bp"] / 10_000 for share in parts}
    step.check(all(abs(parts[share] - exact[share]) < 1 for share in parts), "各方与比例相差不到 1 分")
    verified = auditor.get("/v1/ledger/verify")
    step.figures["ledger"] = verified
    balances = auditor.get("/v1/ledger/balances")
    step.check(balances["total_fen"] == 0, "全部账户余额之和为零")
    step.see(f"{city.site}/staff/billing", "账单与结算")
