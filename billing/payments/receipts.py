"""Money that arrived: recorded once by its outside id, applied to an invoice, the rest kept unapplied."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import asyncpg
import orjson

from authz import Conflict, NotFound, new_id
from billing import ledger
from billing.acting import Act
from billing.errors import AllocationTooLarge, BankSerialReused, InvoiceNotDue
from billing.invoices import state
from billing.invoices.state import Owed
from billing.money import CURRENCY
from billing.rows import one

Provider = Literal["bank_transfer", "stripe"]
CASH = {"bank_transfer": ("bank", "bank_receipt"), "stripe": ("stripe_clearing", "stripe_receipt")}
"""Per provider the account that the money is in and the kind of its ledger entry."""


class PaymentReused(Conflict):
    code = "payment_reused"
    zh = "支付 {external_id} 已登记，且内容不同。"
    en = "Payment {external_id} is already recorded with other content."


@dataclass(frozen=True)
class Receipt:
    """One payment as the bank or the provider tells it. ``external_id`` is the bank's serial or Stripe's id."""

    provider: Provider
    external_id: str
    party_id: str | None
    amount_fen: int
    payer: str
    reference: str
    received_on: date

    @property
    def content_hash(self) -> str:
        parts = [self.provider, self.external_id, self.party_id, self.amount_fen, CURRENCY, self.payer,
                 self.reference, self.received_on.isoformat()]
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def unapplied_account(party_id: str | None) -> str:
    return f"unapplied_receipts:{party_id}" if party_id else "unapplied_receipts"


async def record(act: Act, receipt: Receipt, invoice_id: str | None) -> dict[str, Any]:
    """Record a receipt and apply it to the invoice up to what is due.

    The same outside id with the same content changes nothing and answers ``replayed``; with other content it is
    refused (BankSerialReused, PaymentReused).
    """
    invoice = await state.locked(act.tx, invoice_id) if invoice_id else None
    payment_id = new_id("pay")
    fresh = await act.tx.fetchval(
        """
        INSERT INTO billing.payment (id, provider, external_id, content_hash, party_id, currency, amount_fen, payer,
            reference, received_on, recorded_by, recorded_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (provider, external_id) DO NOTHING RETURNING id
        """,
        payment_id, receipt.provider, receipt.external_id, receipt.content_hash, receipt.party_id, CURRENCY,
        receipt.amount_fen, receipt.payer, receipt.reference, receipt.received_on, act.who.user_id, act.now,
    )
    if fresh is None:
        return await _replayed(act.tx, receipt)
    applied = min(receipt.amount_fen, invoice.due_fen) if invoice else 0
    cash, kind = CASH[receipt.provider]
    entry = ledger.Entry(
        key=f"receipt:{receipt.provider}:{receipt.external_id}", kind=kind,
        description=f"收款 {receipt.reference}"[:200],
        legs=ledger.legs_of(
            (cash, receipt.amount_fen),
            (f"receivable:{invoice.party_id}" if invoice else "receivable", -applied),
            (unapplied_account(receipt.party_id), applied - receipt.amount_fen),
        ),
        source_kind="payment", source_id=payment_id, period=invoice.period if invoice else None,
    )
    await ledger.post(act.tx, [entry], act.who.user_id, act.now)
    if invoice and applied:
        await _allocate(act, payment_id, invoice, applied)
    await act.record(
        "payment.recorded", payment_id, organisation_id=receipt.party_id,
        details={"provider": receipt.provider, "external_id": receipt.external_id, "amount_fen": receipt.amount_fen,
                 "applied_fen": applied, "invoice_id": invoice_id},
    )
    return await show(act.tx, payment_id) | {"replayed": False}


async def _replayed(tx: asyncpg.Connection, receipt: Receipt) -> dict[str, Any]:
    known = await one(
        tx, "SELECT id, content_hash FROM billing.payment WHERE provider = $1 AND external_id = $2",
        receipt.provider, receipt.external_id,
    )
    if known["content_hash"] != receipt.content_hash:
        if receipt.provider == "bank_transfer":
            raise BankSerialReused(bank_serial=receipt.external_id)
        raise PaymentReused(external_id=receipt.external_id)
    return await show(tx, known["id"]) | {"replayed": True}


async def _allocate(act: Act, payment_id: str, invoice: Owed, amount_fen: int) -> None:
    """Note a part of a payment as used for an invoice (negative: taken back), and count it there."""
    await act.tx.execute(
        "INSERT INTO billing.payment_allocation (payment_id, invoice_id, number, amount_fen, allocated_at)"
        " SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4 FROM billing.payment_allocation"
        " WHERE payment_id = $1 AND invoice_id = $2",
        payment_id, invoice.id, amount_fen, act.now,
    )
    if amount_fen > 0:
        after = await state.pay(act, invoice, amount_fen)
        await act.record(f"invoice.{after.state.value}", invoice.id, organisation_id=invoice.party_id,
                         details={"payment_id": payment_id, "amount_fen": amount_fen, "due_fen": after.due_fen})


async def unapplied(tx: asyncpg.Connection, payment_id: str) -> asyncpg.Record:
    """The payment under lock with ``left_fen``, what of it is neither applied nor refunded; raises NotFound."""
    row = await tx.fetchrow("SELECT * FROM billing.payment WHERE id = $1 FOR UPDATE", payment_id)
    if row is None:
        raise NotFound
    return await one(
        tx,
        """
        SELECT p.*, p.amount_fen - p.refunded_fen - coalesce((SELECT sum(a.amount_fen)
            FROM billing.payment_allocation a WHERE a.payment_id = p.id), 0)::bigint AS left_fen
        FROM billing.payment p WHERE p.id = $1
        """,
        payment_id,
    )


async def allocate(act: Act, payment_id: str, invoice_id: str, amount_fen: int) -> dict[str, Any]:
    """Use an unapplied receipt for an invoice of the same party (or of any, when its payer was unknown)."""
    act.require("payment:record")
    invoice = await state.locked(act.tx, invoice_id)
    payment = await unapplied(act.tx, payment_id)
    if payment["party_id"] not in (None, invoice.party_id):
        raise NotFound
    if not invoice.due_fen:
        raise InvoiceNotDue(number=invoice.number)
    limit = min(payment["left_fen"], invoice.due_fen)
    if amount_fen > limit:
        raise AllocationTooLarge(limit_fen=limit)
    number = await act.tx.fetchval(
        "SELECT count(*) FROM billing.payment_allocation WHERE payment_id = $1", payment_id
    )
    entry = ledger.Entry(
        key=f"allocation:{payment_id}:{number + 1}", kind="allocation", description=f"核销 {invoice.number}",
        legs=ledger.legs_of(
            (unapplied_account(payment["party_id"]), amount_fen), (f"receivable:{invoice.party_id}", -amount_fen)
        ),
        source_kind="payment", source_id=payment_id, period=invoice.period,
    )
    await ledger.post(act.tx, [entry], act.who.user_id, act.now)
    await _allocate(act, payment_id, invoice, amount_fen)
    return await show(act.tx, payment_id)


async def release_overpaid(act: Act, invoice: Owed) -> None:
    """Move what an invoice was overpaid (after a credit) back to the payments it came from, newest first."""
    left = invoice.overpaid_fen
    if not left:
        return
    paid = await act.tx.fetch(
        "SELECT payment_id, sum(amount_fen)::bigint AS fen FROM billing.payment_allocation WHERE invoice_id = $1"
        " GROUP BY 1 HAVING sum(amount_fen) > 0 ORDER BY 1 DESC",
        invoice.id,
    )
    for row in paid:
        part = min(left, row["fen"])
        if not part:
            break
        payment = await unapplied(act.tx, row["payment_id"])
        number = await act.tx.fetchval(
            "SELECT count(*) FROM billing.payment_allocation WHERE payment_id = $1", payment["id"]
        )
        entry = ledger.Entry(
            key=f"release:{payment['id']}:{number + 1}", kind="release", description=f"冲减转出 {invoice.number}",
            legs=ledger.legs_of(
                (f"receivable:{invoice.party_id}", part), (unapplied_account(payment["party_id"]), -part)
            ),
            source_kind="payment", source_id=payment["id"], period=invoice.period,
        )
        await ledger.post(act.tx, [entry], act.who.user_id, act.now)
        await _allocate(act, payment["id"], invoice, -part)
        invoice = await state.release(act, invoice, part)
        left -= part


async def show(tx: asyncpg.Connection, payment_id: str) -> dict[str, Any]:
    row = await tx.fetchrow("SELECT * FROM billing.payment WHERE id = $1", payment_id)
    if row is None:
        raise NotFound
    used = await tx.fetch(
        "SELECT a.invoice_id, i.number, sum(a.amount_fen)::bigint AS amount_fen FROM billing.payment_allocation a"
        " JOIN billing.invoice i ON i.id = a.invoice_id WHERE a.payment_id = $1 GROUP BY 1, 2 ORDER BY 2",
        payment_id,
    )
    applied = sum(u["amount_fen"] for u in used)
    item = {key: value for key, value in row.items() if key != "content_hash"}
    return item | {
        "applied_fen": applied, "unapplied_fen": row["amount_fen"] - row["refunded_fen"] - applied,
        "allocations": [dict(u) for u in used],
    }
