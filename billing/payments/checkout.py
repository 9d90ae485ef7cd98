"""Paying an invoice online: a checkout session for exactly what is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from authz import Call, Runtime
from billing.acting import Act
from billing.errors import InvoiceNotDue
from billing.invoices import state
from billing.payments.stripe_gateway import StripeGateway

SESSION_LIVES = timedelta(hours=23)
"""Stripe ends a session after 24 hours; an older one is not offered again."""


async def open_checkout(runtime: Runtime, call: Call, invoice_id: str) -> dict[str, Any]:
    """The address of a page on which what is due can be paid; the same one while the amount stays the same.

    The provider is called between two transactions, never inside one. Raises InvoiceNotDue, ProviderFailed.
    """
    gateway = StripeGateway.of(runtime)
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        invoice = await state.locked(tx, invoice_id)
        act.require_sight("invoice:view", invoice.party_id)
        act.require("payment:checkout", invoice.party_id)
        if not invoice.due_fen:
            raise InvoiceNotDue(number=invoice.number)
        known = await tx.fetchrow(
            "SELECT id, url FROM billing.checkout_session WHERE invoice_id = $1 AND amount_fen = $2"
            " AND state = 'open' AND created_at > $3 ORDER BY created_at DESC LIMIT 1",
            invoice_id, invoice.due_fen, act.now - SESSION_LIVES,
        )
        if known:
            return {"id": known["id"], "url": known["url"], "amount_fen": invoice.due_fen}
        attempt = await tx.fetchval(
            "SELECT count(*) FROM billing.checkout_session WHERE invoice_id = $1", invoice_id
        )
    page = f"{runtime.settings.site_url}/my/invoices/{invoice_id}"
    made = await gateway.open_checkout(
        name=f"公共数据运营服务费 {invoice.number}", amount_fen=invoice.due_fen,
        facts={"invoice_id": invoice_id, "party_id": invoice.party_id, "invoice_number": invoice.number},
        success_url=f"{page}?paid=1", cancel_url=page,
        key=f"checkout-{invoice_id}-{invoice.due_fen}-{attempt}",
    )
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        await tx.execute(
            "INSERT INTO billing.checkout_session (id, invoice_id, party_id, amount_fen, url, state, created_by,"
            " created_at) VALUES ($1, $2, $3, $4, $5, 'open', $6, $7) ON CONFLICT (id) DO NOTHING",
            made.id, invoice_id, invoice.party_id, invoice.due_fen, made.url, call.identity.user_id, call.now,
        )
        await act.record("checkout.opened", made.id, organisation_id=invoice.party_id,
                         details={"invoice_id": invoice_id, "amount_fen": invoice.due_fen})
    return {"id": made.id, "url": made.url, "amount_fen": invoice.due_fen}
