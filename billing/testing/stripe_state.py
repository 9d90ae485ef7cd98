"""The state of the Stripe double: objects, idempotency keys, events and their signed delivery."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

API_VERSION = "2026-08-26"
KINDS = ("customers", "payment_intents", "refunds", "transfers", "checkout/sessions", "events")


class Problem(Exception):
    """An error in Stripe's form."""

    def __init__(self, status: int, kind: str, message: str, *, code: str | None = None, param: str | None = None):
        super().__init__(message)
        self.status = status
        self.body = {"type": kind, "message": message}
        self.body |= {key: value for key, value in (("code", code), ("param", param)) if value}


@dataclass
class Settings:
    """Where the double is reached and where it sends webhooks; ``retry_s`` are the waits between attempts."""

    base_url: str
    webhook_url: str | None = None
    webhook_secret: str = ""
    state_file: str | None = None
    retry_s: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
    automatic: bool = True
    """Whether events are sent by themselves; a test that sends them in its own order sets this to False."""


def signature(payload: bytes, secret: str, at: int | None = None) -> str:
    """The ``Stripe-Signature`` header of a payload."""
    stamp = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


class StripeState:
    """Everything the double remembers. Every public method may be called from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.deliveries: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        self._objects: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self._keys: dict[str, dict[str, Any]] = {}
        self._queue: queue.Queue[tuple[str, int] | None] = queue.Queue()
        self._worker: threading.Thread | None = None
        self._load()

    # -- keeping -------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        if self.settings.state_file and Path(self.settings.state_file).exists():
            kept = json.loads(Path(self.settings.state_file).read_text(encoding="utf-8"))
            self._objects, self._keys = kept["objects"], kept["keys"]

    def _save(self) -> None:
        if self.settings.state_file:
            path = Path(self.settings.state_file)
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps({"objects": self._objects, "keys": self._keys}), encoding="utf-8")
            os.replace(fresh, path)

    def start(self) -> None:
        """Begin sending webhooks; those that no one had answered before a restart are sent again."""
        self._worker = threading.Thread(target=self._send_all, daemon=True)
        self._worker.start()
        for event in self._objects["events"].values():
            if event.get("pending_webhooks"):
                self._queue.put((event["id"], 0))

    def stop(self) -> None:
        if self._worker:
            self._queue.put(None)
            self._worker.join(5)

    # -- the API -------------------------------------------------------------------------------------------------

    def authenticate(self, authorization: str | None) -> None:
        scheme, _, key = (authorization or "").partition(" ")
        if scheme != "Bearer" or not key.startswith(("sk_test_", "rk_test_")):
            raise Problem(401, "invalid_request_error", "Invalid API Key provided.")

    def once(
        self, key: str | None, operation: str, body: bytes, make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Answer a repeated Idempotency-Key with the first answer; refuse it with other parameters."""
        with self._lock:
            digest = hashlib.sha256(operation.encode() + b"\0" + body).hexdigest()
            known = self._keys.get(key) if key else None
            if known:
                if known["digest"] != digest:
                    raise Problem(
                        400, "idempotency_error",
                        "Keys for idempotent requests can only be used with the same parameters they were first used"
                        " with.",
                    )
                answer: dict[str, Any] = json.loads(known["answer"])
                return answer
            made = make()
            if key:
                self._keys[key] = {"digest": digest, "answer": json.dumps(made)}
            self._save()
            return made

    def get(self, kind: str, item: str) -> dict[str, Any]:
        with self._lock:
            found = self._objects[kind].get(item)
            if found is None:
                raise Problem(404, "invalid_request_error", f"No such {kind}: '{item}'", code="resource_missing",
                              param="id")
            return found

    def listing(self, kind: str, query: Mapping[str, str], url: str) -> dict[str, Any]:
        """Newest first, with ``limit``, ``starting_after`` and ``payment_intent``."""
        with self._lock:
            items = list(reversed(self._objects[kind].values()))
        if query.get("payment_intent"):
            items = [item for item in items if item.get("payment_intent") == query["payment_intent"]]
        if after := query.get("starting_after"):
            ids = [item["id"] for item in items]
            items = items[ids.index(after) + 1 :] if after in ids else []
        limit = _whole(query.get("limit", "10"), "limit")
        if not 1 <= limit <= 100:
            raise Problem(400, "invalid_request_error", "limit must be between 1 and 100", param="limit")
        return {"object": "list", "url": url, "data": items[:limit], "has_more": len(items) > limit}

    def create_customer(self, form: dict[str, Any]) -> dict[str, Any]:
        return self._add("customers", "cus", {"object": "customer", "email": form.get("email"),
                                              "name": form.get("name"), "metadata": form.get("metadata", {})})

    def create_session(self, form: dict[str, Any]) -> dict[str, Any]:
        """A checkout session in mode ``payment`` over ``price_data`` lines."""
        if form.get("mode") != "payment":
            raise Problem(400, "invalid_request_error", "Only mode=payment is known here.", param="mode")
        amount, currency, name = 0, "", ""
        for line in form.get("line_items") or []:
            price = line.get("price_data") or {}
            amount += _whole(price.get("unit_amount"), "line_items") * _whole(line.get("quantity", "1"), "quantity")
            currency, name = price.get("currency", ""), (price.get("product_data") or {}).get("name", "")
        if amount < 1 or not currency or not form.get("success_url"):
            raise Problem(400, "invalid_request_error", "line_items and success_url are required.",
                          code="parameter_missing", param="line_items")
        session = self._add("checkout/sessions", "cs_test", {
            "object": "checkout.session", "mode": "payment", "status": "open", "payment_status": "unpaid",
            "amount_total": amount, "currency": currency.lower(),
            "client_reference_id": form.get("client_reference_id"), "metadata": form.get("metadata", {}),
            "success_url": form["success_url"], "cancel_url": form.get("cancel_url"), "payment_intent": None,
            "customer": form.get("customer"),
            "double_name": name, "double_intent_metadata": (form.get("payment_intent_data") or {}).get("metadata", {}),
            "expires_at": int(time.time()) + 86_400,
        })
        session["url"] = f"{self.settings.base_url}/pay/{session['id']}"
        return session

    def expire_session(self, item: str) -> dict[str, Any]:
        session = self.get("checkout/sessions", item)
        if session["status"] != "open":
            raise Problem(400, "invalid_request_error", "Only open sessions can be expired.")
        session["status"] = "expired"
        self._emit("checkout.session.expired", session)
        return session

    def pay_session(self, item: str) -> dict[str, Any]:
        """What a payer does on the hosted page. Paying twice changes nothing."""
        with self._lock:
            session = self.get("checkout/sessions", item)
            if session["status"] == "complete":
                return session
            if session["status"] != "open":
                raise Problem(400, "invalid_request_error", "This session has expired.")
            intent = self._intent(session["amount_total"], session["currency"], session["double_intent_metadata"])
            session |= {"status": "complete", "payment_status": "paid", "payment_intent": intent["id"]}
            self._emit("checkout.session.completed", session)
            self._settle(intent)
            self._save()
            return session

    def create_intent(self, form: dict[str, Any]) -> dict[str, Any]:
        intent = self._intent(_whole(form.get("amount"), "amount"), str(form.get("currency", "")).lower(),
                              form.get("metadata", {}))
        if form.get("confirm") == "true":
            self._settle(intent)
        return intent

    def confirm_intent(self, item: str) -> dict[str, Any]:
        intent = self.get("payment_intents", item)
        if intent["status"] != "requires_confirmation":
            raise Problem(400, "invalid_request_error", "This PaymentIntent cannot be confirmed.",
                          code="payment_intent_unexpected_state")
        self._settle(intent)
        return intent

    def create_refund(self, form: dict[str, Any]) -> dict[str, Any]:
        intent = self.get("payment_intents", str(form.get("payment_intent")))
        amount = _whole(form.get("amount", str(intent["amount"])), "amount")
        if intent["status"] != "succeeded" or amount < 1 or amount > intent["amount"] - intent["amount_refunded"]:
            raise Problem(400, "invalid_request_error", "Refund amount is greater than unrefunded amount on charge.",
                          code="charge_already_refunded", param="amount")
        intent["amount_refunded"] += amount
        refund = self._add("refunds", "re", {
            "object": "refund", "amount": amount, "currency": intent["currency"], "payment_intent": intent["id"],
            "status": "succeeded", "reason": form.get("reason"), "metadata": form.get("metadata", {}),
        })
        self._emit("refund.created", refund)
        return refund

    def create_transfer(self, form: dict[str, Any]) -> dict[str, Any]:
        amount = _whole(form.get("amount"), "amount")
        if not form.get("destination"):
            raise Problem(400, "invalid_request_error", "Missing required param: destination.",
                          code="parameter_missing", param="destination")
        if amount > self._available():
            raise Problem(400, "invalid_request_error", "Insufficient funds.", code="balance_insufficient")
        return self._add("transfers", "tr", {
            "object": "transfer", "amount": amount, "currency": str(form.get("currency", "")).lower(),
            "destination": form["destination"], "metadata": form.get("metadata", {}), "reversed": False,
        })

    def balance(self) -> dict[str, Any]:
        return {"object": "balance", "livemode": False, "pending": [],
                "available": [{"amount": self._available(), "currency": "cny", "source_types": {}}]}

    def _available(self) -> int:
        paid = sum(i["amount"] - i["amount_refunded"] for i in self._objects["payment_intents"].values()
                   if i["status"] == "succeeded")
        return int(paid - sum(t["amount"] for t in self._objects["transfers"].values()))

    def _intent(self, amount: int, currency: str, metadata: Any) -> dict[str, Any]:
        if amount < 1 or not currency:
            raise Problem(400, "invalid_request_error", "amount and currency are required.",
                          code="parameter_missing", param="amount")
        return self._add("payment_intents", "pi", {
            "object": "payment_intent", "amount": amount, "amount_received": 0, "amount_refunded": 0,
            "currency": currency, "status": "requires_confirmation", "metadata": metadata,
        })

    def _settle(self, intent: dict[str, Any]) -> None:
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        self._emit("payment_intent.succeeded", intent)

    def _add(self, kind: str, prefix: str, facts: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            item = {"id": f"{prefix}_{secrets.token_hex(12)}", "created": int(time.time()), "livemode": False, **facts}
            self._objects[kind][item["id"]] = item
            return item

    # -- events --------------------------------------------------------------------------------------------------

    def _emit(self, kind: str, item: Mapping[str, Any]) -> None:
        plain = {key: value for key, value in item.items() if not key.startswith("double_")}
        event = self._add("events", "evt", {
            "object": "event", "type": kind, "api_version": API_VERSION,
            "data": {"object": json.loads(json.dumps(plain))},
            "pending_webhooks": 1 if self.settings.webhook_url else 0, "request": {"id": None, "idempotency_key": None},
        })
        if self.settings.webhook_url and self.settings.automatic:
            self._queue.put((event["id"], 0))

    def events(self) -> list[dict[str, Any]]:
        """All events, oldest first."""
        with self._lock:
            return list(self._objects["events"].values())

    def payload(self, event_id: str) -> bytes:
        """The body that is signed and sent; the same bytes at every attempt."""
        event = {**self.get("events", event_id), "pending_webhooks": 1}
        return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()

    def deliver(self, event_id: str) -> int:
        """Send one event once, now; the status answered, 0 when nobody did."""
        body = self.payload(event_id)
        headers = {"Content-Type": "application/json", "User-Agent": "Stripe/1.0 (double)",
                   "Stripe-Signature": signature(body, self.settings.webhook_secret)}
        try:
            with httpx.Client(timeout=10, trust_env=False) as http:
                status = http.post(self.settings.webhook_url or "", content=body, headers=headers).status_code
        except httpx.HTTPError:
            status = 0
        with self._lock:
            if 200 <= status < 300:
                self.get("events", event_id)["pending_webhooks"] = 0
                self._save()
            self.deliveries.append({"event": event_id, "status": status, "at": time.time()})
        return status

    def _send_all(self) -> None:
        while (item := self._queue.get()) is not None:
            event_id, attempt = item
            if not 200 <= self.deliver(event_id) < 300 and attempt < len(self.settings.retry_s):
                timer = threading.Timer(self.settings.retry_s[attempt], self._queue.put, ((event_id, attempt + 1),))
                timer.daemon = True
                timer.start()


def _whole(value: Any, param: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise Problem(400, "invalid_request_error", f"Invalid integer: {value}", code="parameter_invalid_integer",
                      param=param) from None
