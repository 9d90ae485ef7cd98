"""Credit notes 冲减单: less is owed, by a document of its own; the invoice's lines stay as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authz import NotFound, new_id
from billing import ledger
from billing.acting import Act, check_version
from billing.errors import CreditTooLarge
from billing.invoices import state
from billing.payments.receipts import release_overpaid
from billing.tax import Split, split_lines


@dataclass(frozen=True)
class LineCredit:
    """How much of one line is taken back, tax included."""

    line: int
    amount_fen: int


async def issue(
    act: Act, invoice_id: str, credits: Sequence[LineCredit], reason: str, version: int
) -> dict[str, Any]:
    """Issue a credit note. Raises CreditTooLarge naming the line when more than is left of it is credited.

    What thereby becomes overpaid moves to the party's unapplied receipts, from where it is refunded or allocated.
    """
    act.require("invoice:credit")
    invoice = await state.locked(act.tx, invoice_id)
    check_version(invoice.version, version)
    return await write(act, invoice, credits, reason)


async def write(act: Act, invoice: state.Owed, credits: Sequence[LineCredit], reason: str) -> dict[str, Any]:
    """Write the credit note of a locked invoice; the right to it is the caller's question."""
    invoice_id = invoice.id
    rows = await _lines(act, invoice_id, credits)
    tax_bp: int = await act.tx.fetchval("SELECT tax_rate_bp FROM billing.invoice WHERE id = $1", invoice_id)
    splits = _splits(rows, [credit.amount_fen for credit in credits], tax_bp)
    total, tax = sum(s.gross_fen for s in splits), sum(s.tax_fen for s in splits)
    count = await act.tx.fetchval("SELECT count(*) FROM billing.credit_note WHERE invoice_id = $1", invoice_id)
    note_id, number = new_id("crn"), f"{invoice.number}-C{count + 1}"
    await act.tx.execute(
        "INSERT INTO billing.credit_note (id, number, invoice_id, total_fen, net_fen, tax_fen, reason, issued_by,"
        " issued_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        note_id, number, invoice_id, total, total - tax, tax, reason, act.who.user_id, act.now,
    )
    await act.tx.executemany(
        "INSERT INTO billing.credit_note_line (credit_note_id, invoice_id, line, amount_fen, net_fen, tax_fen)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        [(note_id, invoice_id, c.line, s.gross_fen, s.net_fen, s.tax_fen)
         for c, s in zip(credits, splits, strict=True)],
    )
    revenue: dict[str, int] = defaultdict(int)
    for row, split in zip(rows, splits, strict=True):
        revenue[row["resource_id"]] += split.net_fen
    entry = ledger.Entry(
        key=f"credit_note:{note_id}", kind="credit_note", description=f"冲减单 {number}",
        legs=ledger.legs_of(
            *((f"revenue:{resource}", net) for resource, net in sorted(revenue.items())), ("vat_payable", tax),
            (f"receivable:{invoice.party_id}", -total),
        ),
        source_kind="credit_note", source_id=note_id, period=invoice.period,
    )
    await ledger.post(act.tx, [entry], act.who.user_id, act.now)
    after = await state.credit(act, invoice, total)
    await release_overpaid(act, after)
    await act.record("credit_note.issued", note_id, organisation_id=invoice.party_id, reason=reason,
                     details={"invoice_id": invoice_id, "total_fen": total, "tax_fen": tax})
    return {"id": note_id, "number": number, "invoice_id": invoice_id, "total_fen": total, "net_fen": total - tax,
            "tax_fen": tax, "invoice_state": after.state.value}


async def _lines(act: Act, invoice_id: str, credits: Sequence[LineCredit]) -> list[Any]:
    found = []
    for credit in credits:
        row = await act.tx.fetchrow(
            """
            SELECT l.*, l.amount_fen - coalesce((SELECT sum(n.amount_fen) FROM billing.credit_note_line n
                WHERE n.invoice_id = l.invoice_id AND n.line = l.line), 0)::bigint AS left_fen,
                l.tax_fen - coalesce((SELECT sum(n.tax_fen) FROM billing.credit_note_line n
                WHERE n.invoice_id = l.invoice_id AND n.line = l.line), 0)::bigint AS left_tax_fen
            FROM billing.invoice_line l WHERE l.invoice_id = $1 AND l.line = $2
            """,
            invoice_id, credit.line,
        )
        if row is None:
            raise NotFound
        if credit.amount_fen > row["left_fen"]:
            raise CreditTooLarge(line=credit.line, limit_fen=row["left_fen"])
        found.append(row)
    return found


def _splits(rows: Sequence[Any], amounts: Sequence[int], tax_bp: int) -> list[Split]:
    """A line credited in full takes its own net and tax (红字 copies 蓝字); a part is split by the rate."""
    parts = split_lines(list(amounts), tax_bp)
    found = []
    for row, amount, part in zip(rows, amounts, parts, strict=True):
        tax = row["left_tax_fen"] if amount == row["left_fen"] else min(part.tax_fen, row["left_tax_fen"])
        found.append(Split(part.gross_fen, type(part.net_fen)(amount - tax), type(part.tax_fen)(tax)))
    return found
