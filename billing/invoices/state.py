"""An invoice's amounts and its state: every change goes through the table in ``lifecycles``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg

from authz import NotFound
from billing.acting import Act
from billing.lifecycles import INVOICE, InvoiceEvent, InvoiceState


@dataclass(frozen=True)
class Owed:
    """What an invoice amounts to, in fen."""

    id: str
    number: str
    party_id: str
    period: str
    state: InvoiceState
    total_fen: int
    paid_fen: int
    credited_fen: int
    paid_at: datetime | None
    version: int

    @property
    def due_fen(self) -> int:
        """What is left to pay; never less than zero."""
        return max(0, self.total_fen - self.credited_fen - self.paid_fen)

    @property
    def overpaid_fen(self) -> int:
        """What was paid beyond what is owed after credits."""
        return max(0, self.paid_fen + self.credited_fen - self.total_fen)


async def locked(tx: asyncpg.Connection, invoice_id: str) -> Owed:
    """The invoice under lock; raises NotFound."""
    row = await tx.fetchrow("SELECT * FROM billing.invoice WHERE id = $1 FOR UPDATE", invoice_id)
    if row is None:
        raise NotFound
    return Owed(
        row["id"], row["number"], row["party_id"], row["period"], InvoiceState(row["state"]), row["total_fen"],
        row["paid_fen"], row["credited_fen"], row["paid_at"], row["version"],
    )


async def pay(act: Act, invoice: Owed, amount_fen: int) -> Owed:
    """Count a payment of at most what is due; the ledger entry is the caller's."""
    rest = amount_fen == invoice.due_fen
    event = InvoiceEvent.PAY_REST if rest else InvoiceEvent.PAY_PART
    state = InvoiceState(INVOICE.require(invoice.state, event).target)
    after = replace(
        invoice, state=state, paid_fen=invoice.paid_fen + amount_fen, paid_at=act.now if rest else invoice.paid_at,
        version=invoice.version + 1,
    )
    return await _save(act, after)


async def credit(act: Act, invoice: Owed, amount_fen: int) -> Owed:
    """Count a credit. An invoice of which a part was paid counts as paid when the rest is credited."""
    rest = amount_fen >= invoice.due_fen
    row = INVOICE.require(invoice.state, InvoiceEvent.CREDIT_REST if rest else InvoiceEvent.CREDIT_PART)
    if len(row.targets) == 1:
        target = row.target
    else:
        target = INVOICE.chosen(row, InvoiceState.PAID if invoice.paid_fen else InvoiceState.CREDITED)
    paid_at = invoice.paid_at
    if target is InvoiceState.PAID and paid_at is None:
        paid_at = act.now
    return await _save(
        act,
        replace(invoice, state=InvoiceState(target), credited_fen=invoice.credited_fen + amount_fen,
                paid_at=paid_at, version=invoice.version + 1),
    )


async def release(act: Act, invoice: Owed, amount_fen: int) -> Owed:
    """Take an overpaid amount off the invoice, so that it can be refunded or used elsewhere; the state stays."""
    return await _save(act, replace(invoice, paid_fen=invoice.paid_fen - amount_fen, version=invoice.version + 1))


async def _save(act: Act, invoice: Owed) -> Owed:
    await act.tx.execute(
        "UPDATE billing.invoice SET state = $2, paid_fen = $3, credited_fen = $4, paid_at = $5, version = $6"
        " WHERE id = $1",
        invoice.id, invoice.state.value, invoice.paid_fen, invoice.credited_fen, invoice.paid_at, invoice.version,
    )
    return invoice


async def fall_due(act: Act) -> int:
    """Mark what was not paid by its due date; how many."""
    rows = await act.tx.fetch(
        "SELECT id FROM billing.invoice WHERE state IN ('open', 'partly_paid') AND due_on < $1 ORDER BY id",
        act.today,
    )
    for row in rows:
        invoice = await locked(act.tx, row["id"])
        if INVOICE.answer(invoice.state, InvoiceEvent.FALL_DUE) is None:
            continue
        target = INVOICE.require(invoice.state, InvoiceEvent.FALL_DUE).target
        await _save(act, replace(invoice, state=InvoiceState(target), version=invoice.version + 1))
        await act.record("invoice.overdue", invoice.id, organisation_id=invoice.party_id,
                         details={"due_fen": invoice.due_fen})
    return len(rows)
