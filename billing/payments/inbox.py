"""Stripe's notifications: verified, stored once by their id, handled after; safe under replay and reordering."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg

from authz import SYSTEM, Call, Conflict, Runtime, beijing_date
from billing.acting import Act
from billing.payments import refunds
from billing.payments.receipts import Receipt, record
from billing.payments.stripe_gateway import CURRENCY, StripeGateway
from billing.rows import one

log = logging.getLogger("govopen.billing.inbox")

WAIT_FOR_OURS = timedelta(hours=1)
"""How long a notification may wait for the session it speaks of, whose row may not be committed yet."""
BATCH = 100


class Waiting(Exception):
    """What the notification speaks of is not known here yet."""


class Refused(Exception):
    """The notification contradicts what we know; it changes nothing and stays for reconciliation."""


async def receive(runtime: Runtime, payload: bytes, signature: str | None) -> dict[str, Any]:
    """Store a notification that verifies; whether it was new. Raises WebhookRejected; a replay is only counted."""
    event = StripeGateway.of(runtime).verified_event(payload, signature)
    digest = hashlib.sha256(payload).hexdigest()
    async with runtime.transaction() as tx:
        row = await one(
            tx,
            """
            INSERT INTO billing.provider_event AS e (provider, event_id, type, payload, content_hash, received_at,
                state)
            VALUES ('stripe', $1, $2, $3, $4, $5, 'stored')
            ON CONFLICT (provider, event_id) DO UPDATE SET deliveries = e.deliveries + 1
            RETURNING (xmax = 0) AS fresh
            """,
            event["id"], event["type"], event, digest, runtime.clock.now(),
        )
    return {"received": True, "fresh": row["fresh"]}


async def handle_all(runtime: Runtime) -> int:
    """Handle what is stored or waiting, oldest first, each in its own transaction; how many came to an end."""
    async with runtime.snapshot() as tx:
        rows = await tx.fetch(
            "SELECT event_id FROM billing.provider_event WHERE state IN ('stored', 'waiting')"
            " ORDER BY received_at, event_id LIMIT $1",
            BATCH,
        )
    done = 0
    for row in rows:
        try:
            done += await handle_one(runtime, row["event_id"])
        except Exception:  # one that cannot be handled must not hold up the others; it stays stored
            log.exception("event %s could not be handled", row["event_id"])
    return done


async def handle_one(runtime: Runtime, event_id: str) -> bool:
    """Handle one stored notification; whether it came to an end. Two handlers at once: one skips."""
    async with runtime.transaction() as tx:
        row = await tx.fetchrow(
            "SELECT * FROM billing.provider_event WHERE provider = 'stripe' AND event_id = $1"
            " AND state IN ('stored', 'waiting') FOR UPDATE SKIP LOCKED",
            event_id,
        )
        if row is None:
            return False
        act = Act(tx, Call(SYSTEM, runtime.clock.now(), f"stripe:{event_id}"[:128]), runtime.audit)
        try:
            async with tx.transaction():
                state, outcome = await _dispatch(act, row["type"], row["payload"]["data"]["object"])
        except Waiting as why:
            late = act.now - row["received_at"] > WAIT_FOR_OURS
            state, outcome = ("refused" if late else "waiting"), str(why)
        except (Refused, Conflict) as why:
            state, outcome = "refused", str(why)
        except (KeyError, TypeError, ValueError) as why:
            state, outcome = "refused", f"malformed: {type(why).__name__}"
        await tx.execute(
            "UPDATE billing.provider_event SET state = $2, outcome = $3, attempts = attempts + 1, handled_at = $4"
            " WHERE provider = 'stripe' AND event_id = $1",
            event_id, state, outcome, act.now,
        )
        if state == "refused":
            await act.record("provider_event.refused", event_id, details={"type": row["type"], "outcome": outcome})
        return state != "waiting"


async def _dispatch(act: Act, kind: str, item: Mapping[str, Any]) -> tuple[str, str]:
    match kind:
        case "checkout.session.completed" | "checkout.session.async_payment_succeeded":
            return await _session_paid(act, item)
        case "checkout.session.expired":
            await act.tx.execute(
                "UPDATE billing.checkout_session SET state = 'expired' WHERE id = $1 AND state = 'open'", item["id"]
            )
            return "handled", "session expired"
        case "payment_intent.succeeded":
            return await _intent_paid(act, item)
        case "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated":
            return await refunds.follow(act, item)
    return "ignored", "type not handled"


async def _session_paid(act: Act, item: Mapping[str, Any]) -> tuple[str, str]:
    if item["payment_status"] != "paid":
        return "ignored", f"payment status {item['payment_status']}"
    session = await act.tx.fetchrow("SELECT * FROM billing.checkout_session WHERE id = $1 FOR UPDATE", item["id"])
    if session is None:
        raise Waiting("session not known")
    _compare(session, item, item["amount_total"])
    return await _paid(act, session, str(item["payment_intent"]))


async def _intent_paid(act: Act, item: Mapping[str, Any]) -> tuple[str, str]:
    if item["status"] != "succeeded":
        return "ignored", f"status {item['status']}"
    invoice_id = (item.get("metadata") or {}).get("invoice_id")
    if not isinstance(invoice_id, str):
        raise Refused("no invoice named")
    known = await act.tx.fetch(
        "SELECT * FROM billing.checkout_session WHERE invoice_id = $1 ORDER BY created_at DESC FOR UPDATE", invoice_id
    )
    if not known:
        raise Waiting("no session for this invoice")
    received = item["amount_received"]
    mine = next(
        (s for s in known if s["payment_intent"] == item["id"]),
        next((s for s in known if s["payment_intent"] is None and s["amount_fen"] == received), known[0]),
    )
    _compare(mine, item, received)
    return await _paid(act, mine, item["id"])


def _compare(session: asyncpg.Record, item: Mapping[str, Any], amount: Any) -> None:
    """Raise Refused unless amount, currency, invoice and party are those the session was opened for."""
    facts = item.get("metadata") or {}
    for what, given, ours in (
        ("amount", amount, session["amount_fen"]), ("currency", item["currency"], CURRENCY),
        ("invoice", facts.get("invoice_id"), session["invoice_id"]),
        ("party", facts.get("party_id"), session["party_id"]),
    ):
        if isinstance(given, bool) or given != ours:
            raise Refused(f"{what} differs")


async def _paid(act: Act, session: asyncpg.Record, intent: str) -> tuple[str, str]:
    if session["payment_intent"] not in (None, intent):
        raise Refused("session was paid by another intent")
    await act.tx.execute(
        "UPDATE billing.checkout_session SET state = 'complete', payment_intent = $2 WHERE id = $1",
        session["id"], intent,
    )
    known = await act.tx.fetchval(
        "SELECT id FROM billing.payment WHERE provider = 'stripe' AND external_id = $1", intent
    )
    if known:
        return "handled", f"already recorded as {known}"
    paid = await record(
        act,
        Receipt("stripe", intent, session["party_id"], session["amount_fen"], session["party_id"], session["id"],
                beijing_date(act.now)),
        session["invoice_id"],
    )
    return "handled", f"recorded as {paid['id']}"
