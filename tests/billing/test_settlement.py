"""Settlement shares what was paid, to the fen, by people who did not price it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz import Call, FixedClock, Role, Runtime
from billing.acting import Act
from billing.invoices.closing import close_period
from billing.payments import bank
from billing.periods import Period
from billing.settlement.rules import ShareRule
from billing.testing.builders import EXCHANGE, OFFICER, OPERATOR, a_billed_city


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return {}


@pytest.fixture(autouse=True)
async def city(known: dict[str, Any], committed: Any, runtime: Runtime, clock: FixedClock) -> dict[str, Any]:
    """November closed and alpha's invoice of 22.35 yuan paid; beta's is not."""
    clock.at = datetime(2026, 12, 3, 2, tzinfo=UTC)
    if not known:
        async with committed() as scene:
            known |= await a_billed_city(scene, since=datetime(2026, 11, 2, tzinfo=UTC))
            await scene.use(known["alpha"], datetime(2026, 11, 10, tzinfo=UTC), 12_345)
            await scene.use(known["beta"], datetime(2026, 11, 10, tzinfo=UTC), 333)
        await close_period(runtime, Call(OFFICER, runtime.clock.now(), "r"), Period(2026, 11))
        await pay(runtime, "alpha")
    return known


async def pay(runtime: Runtime, name: str) -> None:
    async with runtime.transaction() as tx:
        row = await tx.fetchrow("SELECT * FROM billing.invoice WHERE party_id = $1", f"pty_{name}")
        slip = bank.Slip(row["number"], row["total_fen"], "x", date(2026, 12, 1), f"S-{name}")
        act = Act(tx, Call(OFFICER, runtime.clock.now(), "r"), runtime.audit)
        await bank.record_for_invoice(act, row["id"], slip)


@given(
    st.integers(min_value=-10**10, max_value=10**10), st.integers(0, 10_000), st.integers(0, 10_000)
)
def test_shares_sum_to_the_net_and_reverse_exactly(net: int, first: int, second: int) -> None:
    low, high = sorted((first, second))
    rule = ShareRule("r", 1, low, high - low, 10_000 - high, "o", "x")
    parts = rule.split(net)
    assert sum(parts.values()) == net
    assert {k: -v for k, v in parts.items()} == rule.split(-net)
    for share, part in parts.items():
        assert abs(part * 10_000 - net * rule.bp(share)) < 10_000


async def test_from_run_to_payout(
    client: httpx.AsyncClient, staff: Any, give_role: Any, pool: asyncpg.Pool
) -> None:
    await give_role("officer-2", Role.EXCHANGE_OFFICER, EXCHANGE)
    priced = await client.post("/v1/settlements", json={"period": "2026-11"}, headers=staff("pricer"))
    assert priced.status_code == 403
    made = await client.post("/v1/settlements", json={"period": "2026-11"}, headers=staff("officer"))
    assert made.status_code == 201
    body = made.json()
    gross = 2_235
    net = 2_108  # 2235 / 1.06 = 2108.49…
    assert (body["gross_fen"], body["net_fen"], body["tax_fen"]) == (gross, net, gross - net)
    shares = {s["share"]: s["amount_fen"] for s in body["shares"]}
    assert shares == {"holder": 1_265, "operator": 527, "exchange": 316}  # 1264.8, 527.0, 316.2
    twice = await client.post("/v1/settlements", json={"period": "2026-11"}, headers=staff("officer"))
    assert (twice.status_code, twice.json()["code"]) == (409, "settlement_pending")
    early = {"party_id": "org-market", "amount_fen": 1, "bank_serial": "P0000", "paid_on": "2026-12-03"}
    path = f"/v1/settlements/{body['id']}"
    answer = await client.post(f"{path}/payouts", json=early, headers=staff("officer"))
    assert answer.json()["code"] == "settlement_not_approved"
    done = await client.post(f"{path}/approve", json={"version": 1}, headers=staff("officer-2"))
    assert done.json()["state"] == "approved"
    balances = (await client.get("/v1/ledger/balances", headers=staff("officer"))).json()["items"]
    by_code = {item["code"]: item["balance_fen"] for item in balances}
    assert by_code["payable:org-market"] == -1_265
    assert by_code[f"payable:{OPERATOR}"] == -527
    assert by_code[f"payable:{EXCHANGE}"] == -316
    beta_net = await pool.fetchval("SELECT net_fen FROM billing.invoice WHERE party_id = 'pty_beta'")
    assert by_code["revenue:res-city"] == -beta_net
    assert sum(by_code.values()) == 0

    payout = {"party_id": "org-market", "amount_fen": 1_265, "bank_serial": "P0001", "paid_on": "2026-12-03"}
    first = await client.post(f"{path}/payouts", json=payout, headers=staff("officer"))
    again = await client.post(f"{path}/payouts", json=payout, headers=staff("officer"))
    assert (first.json()["replayed"], again.json()["replayed"]) == (False, True)
    over = await client.post(f"{path}/payouts", json=payout | {"bank_serial": "P0002", "amount_fen": 1},
                             headers=staff("officer"))
    assert over.json()["code"] == "payout_too_large"
    report = (await client.get("/v1/ledger/verify", headers=staff("officer"))).json()
    assert report["faults"] == []


async def test_each_party_reads_its_own_statement(client: httpx.AsyncClient, staff: Any, token_for: Any) -> None:
    listed = await client.get("/v1/settlements", headers=token_for("dept", orgs=[("org-market", "editor")]))
    (one,) = listed.json()["items"]
    own = await client.get(f"/v1/settlements/{one['id']}/statements/org-market",
                           headers=token_for("dept", orgs=[("org-market", "editor")]))
    assert (own.json()["amount_fen"], own.json()["paid_out_fen"]) == (1_265, 1_265)
    assert [item["quantity"] for item in own.json()["items"]] == [10_000, 2_345]
    for path in (f"/statements/{OPERATOR}", ""):
        answer = await client.get(f"/v1/settlements/{one['id']}{path}",
                                  headers=token_for("dept", orgs=[("org-market", "editor")]))
        assert answer.status_code == 404


async def test_later_payments_are_settled_by_a_further_run(
    client: httpx.AsyncClient, staff: Any, runtime: Runtime
) -> None:
    none = await client.post("/v1/settlements", json={"period": "2026-11"}, headers=staff("officer"))
    assert (none.status_code, none.json()["code"]) == (409, "nothing_to_settle")
    await pay(runtime, "beta")
    made = (await client.post("/v1/settlements", json={"period": "2026-11"}, headers=staff("officer"))).json()
    assert made["number"] == "JS-202611-02"
    back = await client.post(f"/v1/settlements/{made['id']}/reject", json={"version": 1}, headers=staff("approver"))
    assert (back.status_code, back.json()["errors"][0]["field"]) == (422, "reason")
    back = await client.post(f"/v1/settlements/{made['id']}/reject", json={"version": 1, "reason": "重算"},
                             headers=staff("approver"))
    assert back.json()["state"] == "rejected"
    again = (await client.post("/v1/settlements", json={"period": "2026-11"}, headers=staff("officer"))).json()
    assert again["net_fen"] == made["net_fen"]
    await client.post(f"/v1/settlements/{again['id']}/approve", json={"version": 1}, headers=staff("approver"))


async def test_a_credit_after_settlement_takes_its_shares_back(
    client: httpx.AsyncClient, staff: Any, pool: asyncpg.Pool
) -> None:
    row = await pool.fetchrow("SELECT id, version FROM billing.invoice WHERE party_id = 'pty_alpha'")
    await client.post(
        f"/v1/invoices/{row['id']}/credit-notes", headers=staff("officer"),
        json={"lines": [{"line": 2, "amount_fen": 100}], "reason": "减免", "version": row["version"]},
    )
    made = (await client.post("/v1/settlements", json={"period": "2026-11"}, headers=staff("officer"))).json()
    assert made["net_fen"] == -94
    assert sum(s["amount_fen"] for s in made["shares"]) == -94
    await client.post(f"/v1/settlements/{made['id']}/approve", json={"version": 1}, headers=staff("approver"))
    report = (await client.get("/v1/ledger/verify", headers=staff("officer"))).json()
    assert (report["faults"], report["total_fen"]) == ([], 0)


async def test_shares_that_do_not_sum_are_refused(
    client: httpx.AsyncClient, staff: Any, pool: asyncpg.Pool
) -> None:
    body = {"holder_bp": 5_000, "operator_bp": 3_000, "exchange_bp": 1_999, "operator_id": "o", "exchange_id": "x",
            "source_document": "办法", "effective_on": "2026-12-01"}
    answer = await client.post("/v1/share-rules", json=body, headers=staff("officer"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "shares_sum")
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(
            "INSERT INTO billing.share_rule (id, number, holder_bp, operator_bp, exchange_bp, operator_id,"
            " exchange_id, source_document, effective_on, state, proposed_by, proposed_name, proposed_at)"
            " VALUES ('x', 99, 1, 1, 1, 'o', 'x', 'd', '2026-01-01', 'proposed', 'a', 'a', now())"
        )


async def test_who_priced_cannot_settle_even_with_the_role(
    client: httpx.AsyncClient, staff: Any, give_role: Any, pool: asyncpg.Pool, runtime: Runtime, committed: Any,
    city: dict[str, Any], clock: FixedClock,
) -> None:
    async with committed() as scene:
        await scene.use(city["alpha"], datetime(2026, 12, 2, tzinfo=UTC), 500)
    clock.at = datetime(2027, 1, 2, tzinfo=UTC)
    await close_period(runtime, Call(OFFICER, runtime.clock.now(), "r"), Period(2026, 12))
    async with runtime.transaction() as tx:
        row = await tx.fetchrow("SELECT * FROM billing.invoice WHERE party_id = 'pty_alpha' AND period = '2026-12'")
        act = Act(tx, Call(OFFICER, runtime.clock.now(), "r"), runtime.audit)
        slip = bank.Slip(row["number"], row["total_fen"], "x", date(2027, 1, 2), "S-alpha-2")
        await bank.record_for_invoice(act, row["id"], slip)
    await give_role("pricer", Role.EXCHANGE_OFFICER, EXCHANGE)
    answer = await client.post("/v1/settlements", json={"period": "2026-12"}, headers=staff("pricer"))
    assert (answer.status_code, answer.json()["code"]) == (403, "settler_priced")
