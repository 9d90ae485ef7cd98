"""Money back 退款: only what is unapplied, so that a refund never reopens an invoice."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg

from authz import SYSTEM, Call, FieldError, InvalidInput, NotFound, Runtime, new_id, once
from billing import ledger
from billing.acting import Act
from billing.errors import BankSerialReused, ProviderFailed, RefundTooLarge
from billing.payments.receipts import CASH, unapplied, unapplied_account
from billing.payments.stripe_gateway import StripeGateway
from billing.rows import one

RETRY_AFTER = timedelta(minutes=1)


async def refund(
    runtime: Runtime, call: Call, payment_id: str, amount_fen: int, reason: str, bank_serial: str | None
) -> dict[str, Any]:
    """Refund a part of what a payment has unapplied. Raises RefundTooLarge, BankSerialReused.

    A bank refund is recorded with the serial of the transfer already made. A Stripe refund is noted as pending first
    and asked for after, under its own idempotency key, so that a lost answer is asked for again and paid once: it is
    answered as pending. The same Idempotency-Key of the caller always means the same refund.
    """
    content = {"amount_fen": amount_fen, "reason": reason, "bank_serial": bank_serial}
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        act.require("payment:refund")
        noted = await once(
            tx, call, f"refund:{payment_id}", content,
            lambda: _note(runtime, act, payment_id, amount_fen, reason, bank_serial),
        )
    if noted["asks"]:
        with suppress(ProviderFailed):
            await _ask(runtime, call, noted["id"])
    async with runtime.snapshot() as tx:
        return await show(tx, noted["id"])


async def _note(
    runtime: Runtime, act: Act, payment_id: str, amount_fen: int, reason: str, bank_serial: str | None
) -> dict[str, Any]:
    """The refund as a row, its amount taken from what is unapplied: its id, and whether the provider is asked."""
    payment = await unapplied(act.tx, payment_id)
    bank = payment["provider"] == "bank_transfer"
    if bank and not bank_serial:
        raise InvalidInput([FieldError("bank_serial", "missing", "银行退款须填写流水号",
                                       "a bank refund needs the serial of its transfer")])
    if not bank:
        StripeGateway.of(runtime)
    if amount_fen > payment["left_fen"]:
        raise RefundTooLarge(limit_fen=payment["left_fen"])
    refund_id = new_id("rfd")
    made = await act.tx.execute(
        "INSERT INTO billing.refund (id, payment_id, external_id, amount_fen, reason, state, requested_by,"
        " requested_at) VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7) ON CONFLICT (external_id) DO NOTHING",
        refund_id, payment_id, bank_serial if bank else None, amount_fen, reason, act.who.user_id, act.now,
    )
    if made != "INSERT 0 1":
        raise BankSerialReused(bank_serial=bank_serial)
    await act.tx.execute(
        "UPDATE billing.payment SET refunded_fen = refunded_fen + $2 WHERE id = $1", payment_id, amount_fen
    )
    await act.record("refund.requested", refund_id, organisation_id=payment["party_id"], reason=reason,
                     details={"payment_id": payment_id, "amount_fen": amount_fen})
    if bank:
        await _succeed(act, refund_id, bank_serial)
    return {"id": refund_id, "asks": not bank}


async def _ask(runtime: Runtime, call: Call, refund_id: str) -> None:
    async with runtime.snapshot() as tx:
        row = await one(
            tx,
            "SELECT r.*, p.external_id AS intent FROM billing.refund r JOIN billing.payment p ON p.id = r.payment_id"
            " WHERE r.id = $1",
            refund_id,
        )
    if row["state"] != "pending":
        return
    external_id, status = await StripeGateway.of(runtime).refund(row["intent"], row["amount_fen"], refund_id)
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        if status in ("failed", "canceled"):
            await _fail(act, refund_id, external_id)
        else:
            await _succeed(act, refund_id, external_id)


async def _locked(tx: asyncpg.Connection, refund_id: str) -> asyncpg.Record:
    return await one(
        tx, "SELECT r.*, p.provider, p.party_id FROM billing.refund r JOIN billing.payment p ON p.id = r.payment_id"
        " WHERE r.id = $1 FOR UPDATE OF r",
        refund_id,
    )


async def _succeed(act: Act, refund_id: str, external_id: str | None) -> None:
    row = await _locked(act.tx, refund_id)
    if row["state"] != "pending":
        return
    entry = ledger.Entry(
        key=f"refund:{refund_id}", kind="refund", description="退款",
        legs=ledger.legs_of(
            (unapplied_account(row["party_id"]), row["amount_fen"]), (CASH[row["provider"]][0], -row["amount_fen"])
        ),
        source_kind="refund", source_id=refund_id,
    )
    await ledger.post(act.tx, [entry], act.who.user_id, act.now)
    await act.tx.execute(
        "UPDATE billing.refund SET state = 'succeeded', external_id = $2 WHERE id = $1", refund_id, external_id
    )
    await act.record("refund.succeeded", refund_id, organisation_id=row["party_id"],
                     details={"amount_fen": row["amount_fen"]})


async def _fail(act: Act, refund_id: str, external_id: str | None) -> None:
    """The provider could not pay it out: what was posted is reversed, the amount is unapplied again."""
    row = await _locked(act.tx, refund_id)
    if row["state"] == "failed":
        return
    if row["state"] == "succeeded":
        entry_id = await act.tx.fetchval(
            "SELECT id FROM billing.journal_entry WHERE idempotency_key = $1", f"refund:{refund_id}"
        )
        await ledger.reverse(act.tx, entry_id, "退款失败冲正", act.who.user_id, act.now)
    await act.tx.execute(
        "UPDATE billing.refund SET state = 'failed', external_id = $2 WHERE id = $1", refund_id, external_id
    )
    await act.tx.execute(
        "UPDATE billing.payment SET refunded_fen = refunded_fen - $2 WHERE id = $1",
        row["payment_id"], row["amount_fen"],
    )
    await act.record("refund.failed", refund_id, organisation_id=row["party_id"],
                     details={"amount_fen": row["amount_fen"]})


async def follow(act: Act, item: Mapping[str, Any]) -> tuple[str, str]:
    """What a notification about a refund changes: a refund of ours that failed after all, or one we never asked for."""
    refund_id = (item.get("metadata") or {}).get("refund_id")
    if not isinstance(refund_id, str):
        return "refused", "a refund that was not asked for here"
    try:
        row = await _locked(act.tx, refund_id)
    except NotFound:
        return "refused", "a refund that was not asked for here"
    if item["amount"] != row["amount_fen"] or row["external_id"] not in (None, item["id"]):
        return "refused", "refund differs"
    if item["status"] in ("failed", "canceled"):
        await _fail(act, row["id"], item["id"])
        return "handled", "refund failed"
    if item["status"] == "succeeded":
        await _succeed(act, row["id"], item["id"])
        return "handled", "refund succeeded"
    return "handled", f"refund {item['status']}"


async def ask_again(runtime: Runtime) -> int:
    """Ask for Stripe refunds whose answer was lost; safe, because each has its own idempotency key."""
    now = runtime.clock.now()
    async with runtime.snapshot() as tx:
        rows = await tx.fetch(
            "SELECT r.id FROM billing.refund r JOIN billing.payment p ON p.id = r.payment_id"
            " WHERE r.state = 'pending' AND p.provider = 'stripe' AND r.requested_at < $1 ORDER BY r.id LIMIT 20",
            now - RETRY_AFTER,
        )
    done = 0
    for row in rows:
        try:
            await _ask(runtime, Call(SYSTEM, now, f"refund:{row['id']}"), row["id"])
            done += 1
        except ProviderFailed:
            continue
    return done


async def show(tx: asyncpg.Connection, refund_id: str) -> dict[str, Any]:
    row = await tx.fetchrow("SELECT * FROM billing.refund WHERE id = $1", refund_id)
    if row is None:
        raise NotFound
    return dict(row)
