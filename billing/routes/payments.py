"""Bank transfers, Stripe checkout and its webhook, refunds, reconciliation."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Request
from pydantic import Field

from authz import Body, CallDep, NotFound, RuntimeDep
from authz import once as only_once
from billing.acting import Act, page
from billing.money import AmountFen
from billing.payments import bank, checkout, inbox, receipts, reconciliation, refunds
from billing.routes.common import Cursor, Id, IsoDate, Limit, ShortText

router = APIRouter(tags=["payments"])
Serial = Annotated[str, Field(min_length=4, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]


class SlipBody(Body):
    reference: ShortText
    amount_fen: AmountFen
    payer: ShortText
    received_on: IsoDate
    bank_serial: Serial

    def slip(self) -> bank.Slip:
        return bank.Slip(self.reference, self.amount_fen, self.payer, self.received_on, self.bank_serial)


@router.post("/v1/invoices/{invoice_id}/payments/bank")
async def record_transfer(
    invoice_id: str, body: SlipBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Record a transfer for an invoice; the same serial again changes nothing."""
    async with runtime.transaction() as tx:
        return await bank.record_for_invoice(Act(tx, call, runtime.audit), invoice_id, body.slip())


@router.post("/v1/payments/bank")
async def record_unmatched(body: SlipBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Record a transfer by its reference alone; unapplied when no invoice is named in it."""
    async with runtime.transaction() as tx:
        return await bank.record_by_reference(Act(tx, call, runtime.audit), body.slip())


@router.get("/v1/payments")
async def list_payments(
    runtime: RuntimeDep, call: CallDep, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Payments, newest first, for those who may see every invoice."""
    async with runtime.snapshot() as tx:
        Act(tx, call, runtime.audit).require("invoice:view")
        rows = await tx.fetch(
            "SELECT id FROM billing.payment WHERE ($1::text IS NULL OR id < $1) ORDER BY id DESC LIMIT $2",
            cursor, limit + 1,
        )
        return page([await receipts.show(tx, row["id"]) for row in rows], limit)


class AllocationBody(Body):
    invoice_id: Id
    amount_fen: AmountFen


@router.post("/v1/payments/{payment_id}/allocations")
async def allocate_receipt(
    payment_id: str, body: AllocationBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        return await only_once(
            tx, call, f"allocate:{payment_id}", body.model_dump(mode="json"),
            lambda: receipts.allocate(act, payment_id, body.invoice_id, body.amount_fen),
        )


class RefundBody(Body):
    amount_fen: AmountFen
    reason: Annotated[str, Field(min_length=2, max_length=2_000)]
    bank_serial: Serial | None = None


@router.post("/v1/payments/{payment_id}/refunds", status_code=201)
async def refund_payment(
    payment_id: str, body: RefundBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Refund; ``pending`` means the provider has not answered yet and is asked again until it does."""
    return await refunds.refund(runtime, call, payment_id, body.amount_fen, body.reason, body.bank_serial)


@router.post("/v1/invoices/{invoice_id}/payments/stripe/checkout")
async def open_checkout(invoice_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """The address of the provider's payment page for what is due."""
    return await checkout.open_checkout(runtime, call, invoice_id)


@router.post("/v1/payments/stripe/webhook")
async def receive_webhook(request: Request, runtime: RuntimeDep, after: BackgroundTasks) -> dict[str, Any]:
    """Notifications of Stripe: verified, stored once, answered, then handled."""
    if not runtime.settings.stripe_key:
        raise NotFound
    received = await inbox.receive(runtime, await request.body(), request.headers.get("stripe-signature"))
    if received["fresh"]:
        after.add_task(inbox.handle_all, runtime)
    return {"received": True}


@router.post("/v1/payments/stripe/reconciliation")
async def reconcile_stripe(runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Compare Stripe's payments with ours and list each difference."""
    return await reconciliation.reconcile(runtime, call)
