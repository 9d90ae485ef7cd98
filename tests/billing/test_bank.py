"""Bank transfers, credits, refunds and what stays unapplied."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest

from authz import Call, FixedClock, Runtime
from billing import ledger
from billing.invoices.closing import close_period
from billing.payments.bank import numbers_in
from billing.periods import Period
from billing.testing.builders import OFFICER, a_billed_city


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return {}


@pytest.fixture(autouse=True)
async def invoices(known: dict[str, Any], committed: Any, runtime: Runtime, clock: FixedClock) -> dict[str, Any]:
    """November closed: alpha owes 22.35 yuan, beta 0.67."""
    clock.at = datetime(2026, 12, 3, 2, tzinfo=UTC)
    if not known:
        async with committed() as scene:
            grants = await a_billed_city(scene, since=datetime(2026, 11, 2, tzinfo=UTC))
            await scene.use(grants["alpha"], datetime(2026, 11, 10, tzinfo=UTC), 12_345)
            await scene.use(grants["beta"], datetime(2026, 11, 10, tzinfo=UTC), 333)
        await close_period(runtime, Call(OFFICER, runtime.clock.now(), "r"), Period(2026, 11))
        for row in await runtime.pool.fetch("SELECT * FROM billing.invoice"):
            known[row["party_id"].removeprefix("pty_")] = row
    return known


def slip(number: str, amount_fen: Any, serial: str, **more: Any) -> dict[str, Any]:
    return {"reference": f"服务费 {number}", "amount_fen": amount_fen, "payer": "甲公司", "received_on": "2026-12-02",
            "bank_serial": serial} | more


async def soundness(pool: asyncpg.Pool) -> list[Any]:
    async with pool.acquire() as tx, tx.transaction():
        return (await ledger.verify(tx))["faults"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "reference",
    ["ZD-202611-0001", "服务费ZD-202611-0001。", "ｚｄ２０２６１１－０００１", "zd 202611 0001", "ZD2026110001"],
)
def test_numbers_are_found_as_people_write_them(reference: str) -> None:
    assert numbers_in(reference) == {"ZD-202611-0001"}


async def test_part_then_rest_then_replay(
    client: httpx.AsyncClient, staff: Any, invoices: dict[str, Any], pool: asyncpg.Pool
) -> None:
    alpha = invoices["alpha"]
    path = f"/v1/invoices/{alpha['id']}/payments/bank"
    part = (await client.post(path, json=slip(alpha["number"], 1_000, "B0001"), headers=staff("officer"))).json()
    assert (part["applied_fen"], part["replayed"]) == (1_000, False)
    shown = (await client.get(f"/v1/invoices/{alpha['id']}", headers=staff("officer"))).json()
    assert (shown["state"], shown["due_fen"]) == ("partly_paid", 1_235)
    again = await asyncio.gather(*(
        client.post(path, json=slip(alpha["number"], 1_000, "B0001"), headers=staff("officer")) for _ in range(3)
    ))
    assert [a.json()["replayed"] for a in again] == [True, True, True]
    other = await client.post(path, json=slip(alpha["number"], 1_001, "B0001"), headers=staff("officer"))
    assert (other.status_code, other.json()["code"]) == (409, "bank_serial_reused")
    rest = (await client.post(path, json=slip(alpha["number"], 1_500, "B0002"), headers=staff("officer"))).json()
    assert (rest["applied_fen"], rest["unapplied_fen"]) == (1_235, 265)
    shown = (await client.get(f"/v1/invoices/{alpha['id']}", headers=staff("officer"))).json()
    assert (shown["state"], shown["due_fen"]) == ("paid", 0)
    async with pool.acquire() as tx:
        assert await ledger.balance(tx, "bank") == 2_500
        assert await ledger.balance(tx, "unapplied_receipts:pty_alpha") == -265
        assert await ledger.balance(tx, "receivable:pty_alpha") == 0
    assert await soundness(pool) == []


async def test_what_stays_unapplied_can_be_refunded_but_no_more(
    client: httpx.AsyncClient, staff: Any, pool: asyncpg.Pool
) -> None:
    payment = await pool.fetchval("SELECT id FROM billing.payment WHERE external_id = 'B0002'")
    path = f"/v1/payments/{payment}/refunds"
    body = {"amount_fen": 266, "reason": "多付退回", "bank_serial": "R0001"}
    over = await client.post(path, json=body, headers=staff("officer"))
    assert (over.status_code, over.json()["code"]) == (409, "refund_too_large")
    done = await client.post(path, json=body | {"amount_fen": 265}, headers=staff("officer"))
    assert done.json()["state"] == "succeeded"
    twice = await client.post(path, json=body | {"amount_fen": 1}, headers=staff("officer"))
    assert twice.status_code == 409
    assert await soundness(pool) == []


async def test_a_reference_that_names_another_invoice_is_refused(
    client: httpx.AsyncClient, staff: Any, invoices: dict[str, Any]
) -> None:
    beta = invoices["beta"]
    answer = await client.post(
        f"/v1/invoices/{beta['id']}/payments/bank", json=slip(invoices["alpha"]["number"], 67, "B0009"),
        headers=staff("officer"),
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "reference_mismatch")


async def test_an_unmatched_transfer_waits_until_somebody_allocates_it(
    client: httpx.AsyncClient, staff: Any, invoices: dict[str, Any], pool: asyncpg.Pool
) -> None:
    beta = invoices["beta"]
    body = slip("货款", 100, "B0010")
    made = (await client.post("/v1/payments/bank", json=body, headers=staff("officer"))).json()
    assert (made["party_id"], made["unapplied_fen"]) == (None, 100)
    path = f"/v1/payments/{made['id']}/allocations"
    over = await client.post(path, json={"invoice_id": beta["id"], "amount_fen": 68}, headers=staff("officer"))
    assert (over.status_code, over.json()["code"]) == (409, "allocation_too_large")
    keyed = {**staff("officer"), "Idempotency-Key": "alloc-1"}
    for _ in range(2):
        done = await client.post(path, json={"invoice_id": beta["id"], "amount_fen": 67}, headers=keyed)
        assert done.json()["unapplied_fen"] == 33
    shown = (await client.get(f"/v1/invoices/{beta['id']}", headers=staff("officer"))).json()
    assert shown["state"] == "paid"
    assert await soundness(pool) == []


async def test_a_credit_note_on_a_paid_invoice_frees_what_was_paid(
    client: httpx.AsyncClient, staff: Any, invoices: dict[str, Any], pool: asyncpg.Pool
) -> None:
    alpha = (await client.get(f"/v1/invoices/{invoices['alpha']['id']}", headers=staff("officer"))).json()
    path = f"/v1/invoices/{alpha['id']}/credit-notes"
    body = {"lines": [{"line": 2, "amount_fen": 235}], "reason": "数据错误，协商减免", "version": alpha["version"]}
    note = (await client.post(path, json=body, headers=staff("officer"))).json()
    assert note["total_fen"] == 235
    assert note["tax_fen"] == alpha["lines"][1]["tax_fen"]
    stale = await client.post(path, json=body, headers=staff("officer"))
    assert stale.json()["code"] == "version_conflict"
    now = (await client.get(f"/v1/invoices/{alpha['id']}", headers=staff("officer"))).json()
    assert (now["state"], now["credited_fen"], now["paid_fen"]) == ("paid", 235, 2_000)
    more = await client.post(path, json=body | {"version": now["version"]}, headers=staff("officer"))
    assert (more.json()["code"], more.status_code) == ("credit_too_large", 409)
    assert await soundness(pool) == []
    async with pool.acquire() as tx:
        assert await ledger.balance(tx, "unapplied_receipts:pty_alpha") == -235


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount_fen": 10.5}, "amount_fen"), ({"amount_fen": 10.0}, "amount_fen"),
        ({"amount_fen": "10"}, "amount_fen"),
        ({"amount_fen": 0}, "amount_fen"), ({"amount_fen": -5}, "amount_fen"), ({"amount_fen": 10**15}, "amount_fen"),
        ({"bank_serial": "x"}, "bank_serial"), ({"bank_serial": "1'; DROP"}, "bank_serial"),
        ({"received_on": "2026-12-09"}, "received_on"), ({"received_on": 1}, "received_on"), ({"payer": ""}, "payer"),
        ({"currency": "USD"}, "currency"),
    ],
)
async def test_bad_slips_are_named_by_field(
    client: httpx.AsyncClient, staff: Any, invoices: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    beta = invoices["beta"]
    answer = await client.post(
        f"/v1/invoices/{beta['id']}/payments/bank", json=slip(beta["number"], 10, "B0100") | change,
        headers=staff("officer"),
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_only_the_exchange_records_payments(
    client: httpx.AsyncClient, staff: Any, invoices: dict[str, Any]
) -> None:
    beta = invoices["beta"]
    answer = await client.post(
        f"/v1/invoices/{beta['id']}/payments/bank", json=slip(beta["number"], 10, "B0200"), headers=staff("pricer")
    )
    assert answer.status_code == 403


async def test_two_refunds_with_one_serial_at_once(client: httpx.AsyncClient, staff: Any, pool: asyncpg.Pool) -> None:
    paid = [
        (await client.post("/v1/payments/bank", json=slip("货款", 50, f"B030{n}"), headers=staff("officer"))).json()
        for n in range(4)
    ]
    body = {"amount_fen": 50, "reason": "退回不明来款", "bank_serial": "R0300"}
    answers = await asyncio.gather(*(
        client.post(f"/v1/payments/{one['id']}/refunds", json=body, headers=staff("officer")) for one in paid
    ))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
    assert {one.json()["code"] for one in answers if one.status_code == 409} == {"bank_serial_reused"}
    assert await soundness(pool) == []


async def test_a_refund_sent_twice_with_one_key_is_one_refund(
    client: httpx.AsyncClient, staff: Any, pool: asyncpg.Pool
) -> None:
    paid = (await client.post("/v1/payments/bank", json=slip("货款", 50, "B0310"), headers=staff("officer"))).json()
    headers = {**staff("officer"), "Idempotency-Key": "refund-twice"}
    body = {"amount_fen": 20, "reason": "退回不明来款", "bank_serial": "R0310"}
    answers = await asyncio.gather(*(
        client.post(f"/v1/payments/{paid['id']}/refunds", json=body, headers=headers) for _ in range(3)
    ))
    assert {(one.status_code, one.json().get("state")) for one in answers} == {(201, "succeeded")}
    assert len({one.json()["id"] for one in answers}) == 1
    assert await pool.fetchval("SELECT refunded_fen FROM billing.payment WHERE id = $1", paid["id"]) == 20
