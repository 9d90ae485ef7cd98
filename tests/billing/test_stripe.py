"""Stripe's protocol over loopback: the real SDK, the double's real HTTP, our real webhook endpoint."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
import stripe
import uvicorn
from fastapi import FastAPI, Request, Response

from authz import Call, FixedClock, Role, Runtime
from billing import ledger
from billing.invoices.closing import close_period
from billing.payments import inbox, refunds
from billing.periods import Period
from billing.testing.builders import OFFICER, a_billed_city
from billing.testing.stripe_double import build_double, parse_form
from billing.testing.stripe_state import Settings, StripeState, signature

SECRET = "whsec_test_secret"


class Threaded(uvicorn.Server):
    """A server in a thread of its own, on a port the system chose."""

    def __init__(self, app: Any) -> None:
        super().__init__(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
        self.thread = threading.Thread(target=self.run, daemon=True)

    def begin(self) -> str:
        self.thread.start()
        deadline = time.monotonic() + 10
        while not self.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}"

    def end(self) -> None:
        self.should_exit = True
        self.thread.join(5)


@pytest.fixture(scope="module")
def double() -> Iterator[tuple[StripeState, str]]:
    """The double, whose events a test delivers by itself, in the order it likes."""
    state = StripeState(Settings("http://double", webhook_url="http://unset", webhook_secret=SECRET, automatic=False))
    server = Threaded(build_double(state))
    state.settings.base_url = server.begin()
    yield state, state.settings.base_url
    server.end()


@dataclass
class Shop:
    """The service with its double; ``send`` delivers one event of the double to our endpoint."""

    client: httpx.AsyncClient
    state: StripeState
    runtime: Runtime
    invoices: dict[str, Any]

    async def send(self, event_id: str) -> httpx.Response:
        body = self.state.payload(event_id)
        return await self.post(body, signature(body, SECRET))

    async def post(self, body: bytes, header: str | None) -> httpx.Response:
        headers = {"Stripe-Signature": header} if header is not None else {}
        return await self.client.post("/v1/payments/stripe/webhook", content=body, headers=headers)

    def events(self, kind: str, invoice_id: str) -> list[str]:
        return [e["id"] for e in self.state.events()
                if e["type"] == kind and e["data"]["object"]["metadata"].get("invoice_id") == invoice_id]

    async def state_of(self, name: str) -> tuple[str, int]:
        row = await self.runtime.pool.fetchrow(
            "SELECT state, paid_fen FROM billing.invoice WHERE id = $1", self.invoices[name]["id"]
        )
        return row["state"], row["paid_fen"]


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return {}


@pytest.fixture
async def shop(
    client: httpx.AsyncClient, runtime: Runtime, clock: FixedClock, double: tuple[StripeState, str],
    known: dict[str, Any], committed: Any, give_role: Any,
) -> Shop:
    state, address = double
    runtime.settings = replace(
        runtime.settings, stripe_key="sk_test_double", stripe_api_base=address, stripe_webhook_secret=SECRET
    )
    clock.at = datetime(2026, 12, 3, 2, tzinfo=UTC)
    await give_role("alice", Role.ENTERPRISE_ADMIN, "pty_alpha")
    await give_role("bob", Role.ENTERPRISE_ADMIN, "pty_beta")
    if not known:
        async with committed() as scene:
            grants = await a_billed_city(scene, since=datetime(2026, 11, 2, tzinfo=UTC))
            await scene.use(grants["alpha"], datetime(2026, 11, 10, tzinfo=UTC), 12_345)
            await scene.use(grants["beta"], datetime(2026, 11, 10, tzinfo=UTC), 33_333)
        await close_period(runtime, Call(OFFICER, runtime.clock.now(), "r"), Period(2026, 11))
        for row in await runtime.pool.fetch("SELECT * FROM billing.invoice"):
            known[row["party_id"].removeprefix("pty_")] = row
    return Shop(client, state, runtime, known)


async def checkout(shop: Shop, name: str, headers: dict[str, str]) -> dict[str, Any]:
    answer = await shop.client.post(
        f"/v1/invoices/{shop.invoices[name]['id']}/payments/stripe/checkout", headers=headers
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def soundness(pool: asyncpg.Pool) -> list[Any]:
    async with pool.acquire() as tx, tx.transaction():
        return (await ledger.verify(tx))["faults"]  # type: ignore[no-any-return]


# -- forgery first, while nothing is paid --------------------------------------------------------------------------


async def test_forged_notifications_change_nothing(shop: Shop, staff: Any) -> None:
    session = await checkout(shop, "alpha", staff("alice"))
    again = await checkout(shop, "alpha", staff("alice"))
    assert again["id"] == session["id"]
    body = json.dumps({
        "id": "evt_forged", "object": "event", "type": "checkout.session.completed",
        "data": {"object": {"id": session["id"], "payment_status": "paid", "amount_total": session["amount_fen"],
                            "currency": "cny", "payment_intent": "pi_forged", "metadata": {}}},
    }).encode()
    now = int(time.time())
    for header in (
        None, "", "t=,v1=", "garbage", "t=1,v1=é", f"t={now},v1=00",
        signature(body, "whsec_other"), signature(body, ""),
        signature(body, SECRET, now - 3_600), signature(body, SECRET, now + 3_600), signature(body + b" ", SECRET),
    ):
        answer = await shop.post(body, header.encode() if header else header)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (400, "webhook_rejected"), header
    for junk in (b"", b"[]", b"null", b"\xff\xfe", b'{"object":"event"}', b"[" * 100_000, b"x" * 300_000):
        answer = await shop.post(junk, signature(junk.decode("latin-1").encode(), SECRET))
        assert answer.status_code == 400
    assert await shop.runtime.pool.fetchval("SELECT count(*) FROM billing.provider_event") == 0
    assert await shop.state_of("alpha") == ("open", 0)


async def test_an_empty_secret_verifies_nothing(shop: Shop) -> None:
    shop.runtime.settings = replace(shop.runtime.settings, stripe_webhook_secret="")
    body = b'{"id":"evt_x","object":"event","type":"t","data":{"object":{}}}'
    assert (await shop.post(body, signature(body, ""))).status_code == 400


@pytest.mark.parametrize(
    "lie",
    [{"amount_total": 1}, {"currency": "usd"}, {"metadata": {"invoice_id": "inv_other", "party_id": "pty_alpha"}},
     {"metadata": {"party_id": "pty_beta"}}, {"metadata": None}, {"amount_total": True}, {"amount_total": "2235"}],
)
async def test_a_signed_notification_that_contradicts_us_is_kept_and_changes_nothing(
    shop: Shop, staff: Any, lie: dict[str, Any]
) -> None:
    session = await checkout(shop, "alpha", staff("alice"))
    facts = {"invoice_id": shop.invoices["alpha"]["id"], "party_id": "pty_alpha"}
    item = {"id": session["id"], "payment_status": "paid", "amount_total": session["amount_fen"], "currency": "cny",
            "payment_intent": "pi_lie", "metadata": facts} | lie
    event_id = f"evt_lie_{abs(hash(str(lie)))}"
    body = json.dumps({"id": event_id, "object": "event", "type": "checkout.session.completed",
                       "data": {"object": item}}).encode()
    assert (await shop.post(body, signature(body, SECRET))).status_code == 200
    row = await shop.runtime.pool.fetchrow("SELECT * FROM billing.provider_event WHERE event_id = $1", event_id)
    assert row["state"] == "refused"
    assert await shop.state_of("alpha") == ("open", 0)


async def test_unknown_types_are_stored_and_ignored(shop: Shop) -> None:
    body = json.dumps({"id": "evt_new", "object": "event", "type": "radar.early_fraud_warning.created",
                       "data": {"object": {"id": "x"}}}).encode()
    assert (await shop.post(body, signature(body, SECRET))).status_code == 200
    assert await shop.runtime.pool.fetchval(
        "SELECT state FROM billing.provider_event WHERE event_id = 'evt_new'"
    ) == "ignored"


# -- paying ------------------------------------------------------------------------------------------------------------


async def test_paid_once_however_often_and_in_whatever_order_it_is_told(shop: Shop, staff: Any) -> None:
    alpha = shop.invoices["alpha"]
    session = await checkout(shop, "alpha", staff("alice"))
    async with httpx.AsyncClient(trust_env=False) as browser:
        page = await browser.get(session["url"])
        assert "¥ 22.35" in page.text
        for _ in range(2):
            paid = await browser.post(f"{shop.state.settings.base_url}/_double/sessions/{session['id']}/pay")
            assert paid.json()["payment_status"] == "paid"
    (completed,) = shop.events("checkout.session.completed", alpha["id"])
    (succeeded,) = shop.events("payment_intent.succeeded", alpha["id"])
    for event in (succeeded, completed, succeeded, completed):
        assert (await shop.send(event)).json() == {"received": True}
    await asyncio.gather(*(shop.send(e) for e in (completed, succeeded) * 4))
    assert await shop.state_of("alpha") == ("paid", 2_235)
    pool = shop.runtime.pool
    assert await pool.fetchval("SELECT count(*) FROM billing.payment") == 1
    assert await pool.fetchval("SELECT deliveries FROM billing.provider_event WHERE event_id = $1", completed) == 6
    async with pool.acquire() as tx:
        assert await ledger.balance(tx, "stripe_clearing") == 2_235
    assert await soundness(pool) == []
    late = await shop.client.post(f"/v1/invoices/{alpha['id']}/payments/stripe/checkout", headers=staff("alice"))
    assert late.json()["code"] == "invoice_not_due"


async def test_a_notification_that_outruns_our_own_row_waits(shop: Shop, staff: Any) -> None:
    session = await checkout(shop, "beta", staff("bob"))
    pool = shop.runtime.pool
    kept = await pool.fetchrow("DELETE FROM billing.checkout_session WHERE id = $1 RETURNING *", session["id"])
    shop.state.pay_session(session["id"])
    (completed,) = shop.events("checkout.session.completed", shop.invoices["beta"]["id"])
    await shop.send(completed)
    waiting = "SELECT state FROM billing.provider_event WHERE event_id = $1"
    assert await pool.fetchval(waiting, completed) == "waiting"
    await pool.execute(
        "INSERT INTO billing.checkout_session SELECT (jsonb_populate_record(NULL::billing.checkout_session, $1)).*",
        {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in kept.items()},
    )
    await asyncio.gather(*(inbox.handle_all(shop.runtime) for _ in range(3)))
    assert await pool.fetchval(waiting, completed) == "handled"
    assert (await shop.state_of("beta"))[0] == "paid"
    assert await pool.fetchval("SELECT count(*) FROM billing.payment") == 2


async def test_nobody_opens_a_checkout_for_another_party(shop: Shop, staff: Any) -> None:
    path = f"/v1/invoices/{shop.invoices['beta']['id']}/payments/stripe/checkout"
    assert (await shop.client.post(path, headers=staff("alice"))).status_code == 404
    assert (await shop.client.post(path, headers=staff("auditor"))).status_code == 404
    assert (await shop.client.post(path, headers=staff("officer"))).status_code == 403


async def test_refund_after_a_credit_note_and_its_notification(shop: Shop, staff: Any) -> None:
    alpha = shop.invoices["alpha"]
    client, pool = shop.client, shop.runtime.pool
    payment = await pool.fetchrow("SELECT * FROM billing.payment WHERE party_id = 'pty_alpha'")
    none = await client.post(f"/v1/payments/{payment['id']}/refunds", headers=staff("officer"),
                             json={"amount_fen": 1, "reason": "试退"})
    assert none.json()["code"] == "refund_too_large"
    version = await pool.fetchval("SELECT version FROM billing.invoice WHERE id = $1", alpha["id"])
    await client.post(f"/v1/invoices/{alpha['id']}/credit-notes", headers=staff("officer"),
                      json={"lines": [{"line": 2, "amount_fen": 235}], "reason": "协商减免", "version": version})
    done = await client.post(f"/v1/payments/{payment['id']}/refunds", headers=staff("officer"),
                             json={"amount_fen": 235, "reason": "冲减退款"})
    assert done.json()["state"] == "succeeded"
    event = next(e["id"] for e in shop.state.events() if e["type"] == "refund.created")
    for _ in range(2):
        await shop.send(event)
    async with pool.acquire() as tx:
        assert await ledger.balance(tx, "unapplied_receipts:pty_alpha") == 0
    assert await soundness(pool) == []


async def test_a_refund_that_fails_after_all_is_reversed(shop: Shop) -> None:
    pool = shop.runtime.pool
    refund = await pool.fetchrow("SELECT * FROM billing.refund")
    item = {"id": refund["external_id"], "object": "refund", "amount": 235, "status": "failed",
            "metadata": {"refund_id": refund["id"]}}
    event = {"id": "evt_failed", "object": "event", "type": "refund.failed", "data": {"object": item}}
    body = json.dumps(event).encode()
    for _ in range(2):
        await shop.post(body, signature(body, SECRET))
    assert await pool.fetchval("SELECT state FROM billing.refund") == "failed"
    async with pool.acquire() as tx:
        assert await ledger.balance(tx, "unapplied_receipts:pty_alpha") == -235
    assert await soundness(pool) == []


async def test_reconciliation_lists_each_difference(shop: Shop, staff: Any) -> None:
    path = "/v1/payments/stripe/reconciliation"
    sdk = stripe.StripeClient("sk_test_x", base_addresses={"api": shop.state.settings.base_url})
    stray = await asyncio.to_thread(
        sdk.v1.payment_intents.create, {"amount": 500, "currency": "cny", "confirm": True}
    )
    beta = await shop.runtime.pool.fetchval(
        "SELECT external_id FROM billing.payment WHERE party_id = 'pty_beta'"
    )
    shop.state.get("payment_intents", beta)["amount"] += 1
    report = (await shop.client.post(path, headers=staff("officer"))).json()
    found = {(d["code"], d["id"]) for d in report["differences"] if d["code"] != "event_refused"}
    alpha = await shop.runtime.pool.fetchval(
        "SELECT external_id FROM billing.payment WHERE party_id = 'pty_alpha'"
    )
    assert found == {("not_recorded", stray.id), ("amount_differs", beta), ("refund_differs", alpha)}
    assert sum(d["code"] == "event_refused" for d in report["differences"]) == 7


async def test_a_refund_whose_answer_is_lost_is_paid_once(shop: Shop, staff: Any, clock: FixedClock) -> None:
    runtime, pool, settings = shop.runtime, shop.runtime.pool, shop.runtime.settings
    payment = await pool.fetchval("SELECT id FROM billing.payment WHERE party_id = 'pty_alpha'")
    path = f"/v1/payments/{payment}/refunds"
    headers = {**staff("officer"), "Idempotency-Key": "refund-lost"}
    body = {"amount_fen": 100, "reason": "再次退款"}
    runtime.settings = replace(settings, stripe_api_base="http://127.0.0.1:9")
    lost = await asyncio.gather(*(shop.client.post(path, headers=headers, json=body) for _ in range(2)))
    assert [(one.status_code, one.json()["state"]) for one in lost] == [(201, "pending")] * 2
    refund_id = lost[0].json()["id"]
    assert lost[1].json()["id"] == refund_id
    runtime.settings = settings
    clock.advance(minutes=2)
    assert await refunds.ask_again(runtime) == 1
    again = await shop.client.post(path, headers=headers, json=body)
    assert (again.json()["id"], again.json()["state"]) == (refund_id, "succeeded")
    other = await shop.client.post(path, headers=headers, json=body | {"amount_fen": 101})
    assert other.status_code in (409, 422)
    assert await pool.fetchval("SELECT count(*) FROM billing.refund WHERE reason = '再次退款'") == 1
    async with pool.acquire() as tx:
        assert await ledger.balance(tx, "unapplied_receipts:pty_alpha") == -135
    assert await soundness(pool) == []


async def test_when_the_provider_is_away_the_caller_is_told(shop: Shop, staff: Any) -> None:
    shop.runtime.settings = replace(shop.runtime.settings, stripe_key=None)
    path = f"/v1/invoices/{shop.invoices['beta']['id']}/payments/stripe/checkout"
    answer = await shop.client.post(path, headers=staff("bob"))
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_not_configured")
    assert (await shop.post(b"{}", "t=1,v1=a")).status_code == 404


# -- the double itself ---


def test_form_encoding_is_read_as_stripe_writes_it() -> None:
    assert parse_form(b"a[b][0][c]=1&a[b][1][c]=2&d=x%20y") == {"a": {"b": [{"c": "1"}, {"c": "2"}]}, "d": "x y"}


def test_the_double_keeps_idempotency_keys_as_stripe_does(double: tuple[StripeState, str]) -> None:
    sdk = stripe.StripeClient("sk_test_x", base_addresses={"api": double[1]})
    first = sdk.v1.customers.create({"name": "甲"}, {"idempotency_key": "k1"})
    assert sdk.v1.customers.create({"name": "甲"}, {"idempotency_key": "k1"}).id == first.id
    with pytest.raises(stripe.IdempotencyError):
        sdk.v1.customers.create({"name": "乙"}, {"idempotency_key": "k1"})
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("nonsense", base_addresses={"api": double[1]}).v1.balance.retrieve()
    with pytest.raises(stripe.InvalidRequestError):
        sdk.v1.transfers.create({"amount": 10**12, "currency": "cny", "destination": "acct_1"})
    for number in range(5):
        sdk.v1.customers.create({"name": f"c{number}"})
    assert len(list(sdk.v1.customers.list({"limit": 2}).auto_paging_iter())) == 6


def test_the_double_signs_retries_and_remembers(tmp_path: Any) -> None:
    seen: list[tuple[bytes, str]] = []
    target = FastAPI()

    @target.post("/hook")
    async def _hook(request: Request) -> Response:
        seen.append((await request.body(), request.headers["stripe-signature"]))
        return Response(status_code=500 if len(seen) < 3 else 200)

    server = Threaded(target)
    settings = Settings("http://d", webhook_url=server.begin() + "/hook", webhook_secret=SECRET,
                        state_file=str(tmp_path / "double.json"), retry_s=(0.05, 0.05, 0.05))
    state = StripeState(settings)
    state.start()
    form = {"amount": "100", "currency": "cny", "confirm": "true"}
    intent = state.once("k", "op", b"", lambda: state.create_intent(form))
    deadline = time.monotonic() + 5
    while len(seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    event = stripe.Webhook.construct_event(*seen[-1], SECRET)
    assert (len(seen), event["type"], event["data"]["object"]["id"]) == (3, "payment_intent.succeeded", intent["id"])
    state.stop()
    assert StripeState(settings).get("payment_intents", intent["id"])["amount"] == 100
    server.end()
