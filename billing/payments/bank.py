"""Bank transfers 对公转账: recorded from the bank's slip, matched to an invoice by its number in the reference."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Any

from authz import FieldError, InvalidInput
from billing.acting import Act
from billing.errors import ReferenceMismatch
from billing.invoices import state
from billing.payments.receipts import Receipt, record

NUMBER = re.compile(r"ZD-?(\d{6})-?(\d{4,})")


@dataclass(frozen=True)
class Slip:
    """What the bank's slip says."""

    reference: str
    amount_fen: int
    payer: str
    received_on: date
    bank_serial: str


def numbers_in(reference: str) -> set[str]:
    """Invoice numbers named in a transfer's reference; full-width letters, spaces and missing dashes are forgiven."""
    plain = re.sub(r"\s+", "", unicodedata.normalize("NFKC", reference)).upper()
    return {f"ZD-{month}-{number}" for month, number in NUMBER.findall(plain)}


def _receipt(slip: Slip, party_id: str | None) -> Receipt:
    return Receipt(
        "bank_transfer", slip.bank_serial, party_id, slip.amount_fen, slip.payer, slip.reference, slip.received_on
    )


def _refuse_future(act: Act, slip: Slip) -> None:
    if slip.received_on > act.today:
        raise InvalidInput([FieldError("received_on", "in_future", "到账日期不能晚于今天",
                                       "the date of receipt cannot be in the future")])


async def record_for_invoice(act: Act, invoice_id: str, slip: Slip) -> dict[str, Any]:
    """Record a transfer for one invoice. Raises ReferenceMismatch when the reference does not name it.

    Less than what is due leaves it partly paid, more goes to the party's unapplied receipts.
    """
    act.require("payment:record")
    _refuse_future(act, slip)
    invoice = await state.locked(act.tx, invoice_id)
    if invoice.number not in numbers_in(slip.reference):
        raise ReferenceMismatch(number=invoice.number)
    return await record(act, _receipt(slip, invoice.party_id), invoice_id)


async def record_by_reference(act: Act, slip: Slip) -> dict[str, Any]:
    """Record a transfer and find its invoice: when the reference names exactly one, it is applied there.

    Otherwise the whole amount is unapplied, of no known party, until somebody allocates it.
    """
    act.require("payment:record")
    _refuse_future(act, slip)
    found = await act.tx.fetch(
        "SELECT id, party_id FROM billing.invoice WHERE number = ANY($1)", list(numbers_in(slip.reference))
    )
    if len(found) == 1:
        return await record(act, _receipt(slip, found[0]["party_id"]), found[0]["id"])
    return await record(act, _receipt(slip, None), None)
