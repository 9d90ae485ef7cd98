"""Stripe behind our own words. The SDK is named here and nowhere else in the service.

It is loaded with the first gateway: a city whose bills are paid by bank transfer alone does without its 5 MB.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from authz import Runtime, Settings
from billing.errors import ProviderFailed, ProviderNotConfigured, WebhookRejected

if TYPE_CHECKING:
    import stripe

CURRENCY = "cny"
NETWORK_RETRIES = 2
TIMEOUT_S = 15
TOLERANCE_S = 300
WEBHOOK_BYTES_MAX = 262_144
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What the SDK raises, besides its own error, over a body or header that somebody made up."""


@dataclass(frozen=True)
class HostedCheckout:
    """A page of Stripe's on which the payer pays."""

    id: str
    url: str


@dataclass(frozen=True)
class ChargedIntent:
    """A payment intent as reconciliation sees it."""

    id: str
    status: str
    amount_fen: int
    currency: str
    refunded_fen: int


class StripeGateway:
    """Calls to Stripe (or a double that speaks its protocol). Raises ProviderFailed; never lets out an SDK error."""

    def __init__(self, key: str, api_base: str | None, webhook_secret: str | None) -> None:
        import stripe

        bases: dict[str, Any] = {"base_addresses": {"api": api_base}} if api_base else {}
        self._client = stripe.StripeClient(
            key, max_network_retries=NETWORK_RETRIES, http_client=stripe.HTTPXClient(timeout=TIMEOUT_S), **bases
        )
        self._secret = (webhook_secret or "").strip()

    @classmethod
    def of(cls, runtime: Runtime) -> StripeGateway:
        """The gateway of this process; raises ProviderNotConfigured when there is no key."""
        settings: Settings = runtime.settings
        if not settings.stripe_key:
            raise ProviderNotConfigured
        known = runtime.extras.get("stripe")
        facts = (settings.stripe_key, settings.stripe_api_base, settings.stripe_webhook_secret)
        if known is None or known[0] != facts:
            known = (facts, cls(*facts))
            runtime.extras["stripe"] = known
        gateway: StripeGateway = known[1]
        return gateway

    async def open_checkout(
        self, *, name: str, amount_fen: int, facts: Mapping[str, str], success_url: str, cancel_url: str, key: str
    ) -> HostedCheckout:
        """A checkout session for one amount; the same ``key`` gives the same session."""
        import stripe

        params: dict[str, Any] = {
            "mode": "payment", "client_reference_id": facts["invoice_id"], "metadata": dict(facts),
            "payment_intent_data": {"metadata": dict(facts)}, "success_url": success_url, "cancel_url": cancel_url,
            "line_items": [
                {"quantity": 1, "price_data": {"currency": CURRENCY, "unit_amount": amount_fen,
                                               "product_data": {"name": name}}}
            ],
        }
        try:
            session = await self._client.v1.checkout.sessions.create_async(
                params, {"idempotency_key": key}  # type: ignore[arg-type]
            )
        except stripe.StripeError as problem:
            raise _failed(problem) from problem
        return HostedCheckout(session.id, str(session.url))

    async def refund(self, payment_intent: str, amount_fen: int, refund_id: str) -> tuple[str, str]:
        """Ask for a refund once per ``refund_id``; (Stripe's id, its status)."""
        import stripe

        try:
            made = await self._client.v1.refunds.create_async(
                {"payment_intent": payment_intent, "amount": amount_fen, "metadata": {"refund_id": refund_id}},
                {"idempotency_key": f"refund-{refund_id}"},
            )
        except stripe.StripeError as problem:
            raise _failed(problem) from problem
        return made.id, str(made.status)

    async def charged_intents(self) -> list[ChargedIntent]:
        """Every payment intent of the account, with the sum of its refunds that did not fail."""
        import stripe

        try:
            refunded: dict[str, int] = {}
            refunds = await self._client.v1.refunds.list_async({"limit": 100})
            async for refund in refunds.auto_paging_iter():
                if refund.status in ("succeeded", "pending") and refund.payment_intent:
                    intent = str(refund.payment_intent)
                    refunded[intent] = refunded.get(intent, 0) + refund.amount
            intents = await self._client.v1.payment_intents.list_async({"limit": 100})
            return [
                ChargedIntent(i.id, i.status, i.amount, i.currency, refunded.get(i.id, 0))
                async for i in intents.auto_paging_iter()
            ]
        except stripe.StripeError as problem:
            raise _failed(problem) from problem

    def verified_event(self, payload: bytes, signature: str | None) -> dict[str, Any]:
        """The event in a webhook's body once its signature holds; raises WebhookRejected otherwise.

        An empty secret is refused (it would verify against an empty key, which anyone can forge), and so is a
        signature from the future, which the SDK would accept.
        """
        import stripe

        if not self._secret or not signature or len(payload) > WEBHOOK_BYTES_MAX:
            raise WebhookRejected
        try:
            self._client.construct_event(payload, signature, self._secret, TOLERANCE_S)
            event = orjson.loads(payload)
            stamps = [int(part[2:]) for part in signature.split(",") if part.startswith("t=")]
        except (stripe.SignatureVerificationError, *_UNREADABLE) as problem:
            raise WebhookRejected from problem
        if not isinstance(event, dict) or not _well_formed(event) or max(stamps) > time.time() + TOLERANCE_S:
            raise WebhookRejected
        return event


def _well_formed(event: Mapping[str, Any]) -> bool:
    data = event.get("data")
    return (
        event.get("object") == "event" and isinstance(event.get("id"), str) and isinstance(event.get("type"), str)
        and isinstance(data, dict) and isinstance(data.get("object"), dict)
    )


def _failed(problem: stripe.StripeError) -> ProviderFailed:
    return ProviderFailed(what=str(problem.code or type(problem).__name__))
