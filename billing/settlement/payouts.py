"""Payouts 付款: transfers to those who share, recorded once by the bank's serial."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from authz import NotFound, new_id
from billing import ledger
from billing.acting import Act
from billing.errors import BankSerialReused, PayoutTooLarge, SettlementNotApproved
from billing.lifecycles import SettlementState


@dataclass(frozen=True)
class Payout:
    """A transfer that was made to one party of a settlement."""

    party_id: str
    amount_fen: int
    bank_serial: str
    paid_on: date


async def record(act: Act, settlement_id: str, payout: Payout) -> dict[str, Any]:
    """Record a payout. The same serial and content again changes nothing; more than is owed is refused."""
    act.require("payment:record")
    row = await act.tx.fetchrow("SELECT * FROM billing.settlement WHERE id = $1 FOR UPDATE", settlement_id)
    if row is None:
        raise NotFound
    if row["state"] != SettlementState.APPROVED:
        raise SettlementNotApproved
    digest = hashlib.sha256(
        orjson.dumps([settlement_id, payout.party_id, payout.amount_fen, payout.bank_serial, payout.paid_on])
    ).hexdigest()
    known = await act.tx.fetchrow("SELECT * FROM billing.payout WHERE bank_serial = $1", payout.bank_serial)
    if known:
        if known["content_hash"] != digest:
            raise BankSerialReused(bank_serial=payout.bank_serial)
        return _document(known) | {"replayed": True}
    limit = await _left(act, settlement_id, payout.party_id)
    if payout.amount_fen > limit:
        raise PayoutTooLarge(limit_fen=limit)
    payout_id = new_id("pyo")
    await act.tx.execute(
        "INSERT INTO billing.payout (id, settlement_id, party_id, amount_fen, bank_serial, content_hash, paid_on,"
        " recorded_by, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        payout_id, settlement_id, payout.party_id, payout.amount_fen, payout.bank_serial, digest, payout.paid_on,
        act.who.user_id, act.now,
    )
    entry = ledger.Entry(
        key=f"payout:{payout.bank_serial}", kind="payout", description=f"付款 {row['number']}",
        legs=ledger.legs_of((f"payable:{payout.party_id}", payout.amount_fen), ("bank", -payout.amount_fen)),
        source_kind="payout", source_id=payout_id, period=row["period"],
    )
    await ledger.post(act.tx, [entry], act.who.user_id, act.now)
    await act.record("payout.recorded", payout_id, organisation_id=payout.party_id,
                     details={"settlement_id": settlement_id, "amount_fen": payout.amount_fen})
    made = await act.tx.fetchrow("SELECT * FROM billing.payout WHERE id = $1", payout_id)
    return _document(made) | {"replayed": False}


async def _left(act: Act, settlement_id: str, party_id: str) -> int:
    left = await act.tx.fetchval(
        """
        SELECT (SELECT sum(amount_fen) FROM billing.settlement_share WHERE settlement_id = $1 AND party_id = $2)
            - coalesce((SELECT sum(amount_fen) FROM billing.payout WHERE settlement_id = $1 AND party_id = $2), 0)
        """,
        settlement_id, party_id,
    )
    if left is None:
        raise NotFound
    return max(0, int(left))


def _document(row: Any) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "content_hash"}
