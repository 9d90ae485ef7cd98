"""对账: Stripe's payment intents against our payments, each difference named."""

from __future__ import annotations

from typing import Any

from authz import Call, Runtime
from billing.acting import Act
from billing.payments.stripe_gateway import CURRENCY, ChargedIntent, StripeGateway


async def reconcile(runtime: Runtime, call: Call) -> dict[str, Any]:
    """Compare all payments; ``differences`` is empty exactly when both sides tell the same story.

    Codes: ``not_recorded`` (theirs, not ours), ``not_at_provider`` (ours, not theirs), ``amount_differs``,
    ``currency_differs``, ``refund_differs``, ``status_differs``, ``event_refused``.
    """
    async with runtime.transaction() as tx:
        Act(tx, call, runtime.audit).require("payment:record")
    theirs = {intent.id: intent for intent in await StripeGateway.of(runtime).charged_intents()}
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        ours = {
            row["external_id"]: row
            for row in await tx.fetch(
                "SELECT external_id, id, amount_fen, refunded_fen FROM billing.payment WHERE provider = 'stripe'"
            )
        }
        found: list[dict[str, Any]] = []
        for intent in theirs.values():
            found += _compare(intent, ours.get(intent.id))
        found += [
            {"code": "not_at_provider", "id": key, "payment_id": row["id"], "ours_fen": row["amount_fen"]}
            for key, row in ours.items() if key not in theirs
        ]
        found += [
            {"code": "event_refused", "id": row["event_id"], "type": row["type"], "outcome": row["outcome"]}
            for row in await tx.fetch(
                "SELECT event_id, type, outcome FROM billing.provider_event WHERE state = 'refused' ORDER BY 1"
            )
        ]
        await act.record("payment.reconciled", "stripe",
                         details={"theirs": len(theirs), "ours": len(ours), "differences": len(found)})
    return {"provider": "stripe", "at": call.now, "theirs": len(theirs), "ours": len(ours), "differences": found}


def _compare(intent: ChargedIntent, ours: Any) -> list[dict[str, Any]]:
    paid = intent.status == "succeeded"
    if ours is None:
        fact = {"code": "not_recorded", "id": intent.id, "theirs_fen": intent.amount_fen}
        return [fact] if paid else []
    found: list[dict[str, Any]] = []
    both = {"id": intent.id, "payment_id": ours["id"]}
    if not paid:
        found.append({"code": "status_differs", **both, "theirs": intent.status})
    if intent.currency != CURRENCY:
        found.append({"code": "currency_differs", **both, "theirs": intent.currency})
    if intent.amount_fen != ours["amount_fen"]:
        found.append({"code": "amount_differs", **both, "theirs_fen": intent.amount_fen,
                      "ours_fen": ours["amount_fen"]})
    if intent.refunded_fen != ours["refunded_fen"]:
        found.append({"code": "refund_differs", **both, "theirs_fen": intent.refunded_fen,
                      "ours_fen": ours["refunded_fen"]})
    return found
