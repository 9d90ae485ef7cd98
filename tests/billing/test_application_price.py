"""From the price of an application to its settled invoice, over HTTP, on what licensing really writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from authz import FixedClock, Role, Runtime
from licensing.testing import City

PRICING = {
    "kind": "graduated", "meter": "rows",
    "tiers": [{"up_to": 10_000, "amount_fen": 20, "per": 100}, {"up_to": None, "amount_fen": 10, "per": 100}],
}
QUOTA = {"rows_month": 50_000}


@pytest.fixture
async def city(
    client: httpx.AsyncClient, runtime: Runtime, token_for: Callable[..., dict[str, str]], give_role: Any
) -> City:
    return await City(client, runtime, token_for, give_role).open()


async def with_ceiling(city: City, amount_fen: int = 20) -> None:
    standing = (await city.get("qian", f"/v1/ceilings?resource_id={city.resource_id}&state=published")).json()
    if standing["items"]:
        return
    made = await city.post(
        "wang", "/v1/ceilings", resource_id=city.resource_id, meter="rows", max_amount_fen=amount_fen, per=100,
        stage="trial", source_document="市发改价格〔2026〕8号", effective_on="2026-11-01",
    )
    done = await city.post("he", f"/v1/ceilings/{made.json()['id']}/approve", version=1)
    assert done.json()["state"] == "published", done.text


async def price(city: City, application: dict[str, Any], who: str = "qian", **changes: Any) -> httpx.Response:
    body = {"pricing": PRICING, "quota": QUOTA, "reason": "按试行标准", "version": application["version"], **changes}
    return await city.post(who, f"/v1/applications/{application['id']}/price", **body)


async def test_simulation_shows_the_ceilings_bill_and_what_breaks_it(city: City) -> None:
    await with_ceiling(city)
    application = await city.reviewed()
    path = f"/v1/applications/{application['id']}/price/simulate"
    answer = (await city.post("qian", path, pricing=PRICING, rows_month=[0, 10_000, 12_345])).json()
    bills = [(b["total_fen"], b["ceiling_total_fen"]) for b in answer["bills"]]
    assert bills == [(0, 0), (2_000, 2_000), (2_235, 2_469)]
    assert all(b["net_fen"] + b["tax_fen"] == b["total_fen"] for b in answer["bills"])
    over = PRICING | {"tiers": [{"up_to": None, "amount_fen": 21, "per": 100}]}
    answer = (await city.post("qian", path, pricing=over, rows_month=[100])).json()
    assert [v["code"] for v in answer["violations"]] == ["ceiling_exceeded"]
    assert (await city.post("chen", path, pricing=PRICING, rows_month=[1])).status_code == 403
    for bad in ([1.5], [-1], [], ["1"], [10**13]):
        assert (await city.post("qian", path, pricing=PRICING, rows_month=bad)).status_code == 422


async def test_two_people_price_and_neither_can_do_the_others_part(city: City, give_role: Any) -> None:
    await with_ceiling(city)
    application = await city.reviewed("zhou")
    over = await price(city, application, pricing=PRICING | {"flat_fen": 1})
    assert (over.status_code, over.json()["reasons"][0]["code"]) == (409, "ceiling_missing")
    assert (await price(city, application, who="sun")).status_code == 403
    assert (await price(city, application, version=99)).json()["code"] == "version_conflict"
    assert (await price(city, application, quota={"rows_month": 0})).status_code == 422
    made = await price(city, application)
    assert made.status_code == 201, made.text
    application = (await city.get("qian", f"/v1/applications/{application['id']}")).json()
    path = f"/v1/applications/{application['id']}/price/approve"
    assert (await city.post("qian", path, verdict="approve", version=application["version"])).status_code == 403
    await give_role("qian", Role.EXCHANGE_APPROVER, "pty_exchange")
    own = await city.post("qian", path, verdict="approve", version=application["version"])
    assert (own.status_code, own.json()["code"]) == (403, "same_person")
    silent = await city.post("sun", path, verdict="reject", version=application["version"])
    assert silent.status_code == 422
    back = await city.post("sun", path, verdict="reject", reason="首档偏高", version=application["version"])
    assert back.json()["state"] == "rejected", back.text
    application = (await city.get("qian", f"/v1/applications/{application['id']}")).json()
    assert application["state"] == "pricing"
    assert (await price(city, application)).json()["number"] == 2
    stale = await city.post("sun", path, verdict="approve", version=application["version"])
    assert stale.json()["code"] == "version_conflict"


async def test_from_offer_to_settlement(
    city: City, clock: FixedClock, pool: asyncpg.Pool, runtime: Runtime
) -> None:
    await with_ceiling(city)
    application = await city.reviewed("hu")
    keyed = {**city.as_("qian"), "Idempotency-Key": "price-hu"}
    body = {"pricing": PRICING, "quota": QUOTA, "reason": "按试行标准", "version": application["version"]}
    path = f"/v1/applications/{application['id']}/price"
    first = await city.client.post(path, json=body, headers=keyed)
    again = await city.client.post(path, json=body, headers=keyed)
    assert first.json()["id"] == again.json()["id"]
    version = (await city.get("sun", f"/v1/applications/{application['id']}")).json()["version"]
    done = await city.post("sun", f"{path}/approve", verdict="approve", version=version)
    assert done.json()["state"] == "published", done.text
    shown = (await city.get("hu", f"/v1/applications/{application['id']}")).json()
    assert shown["state"] == "offered"
    assert shown["offer"]["pricing"]["tiers"][0]["amount_fen"] == 20
    assert shown["offer"]["quota"] == QUOTA
    shown = await city.event("hu", shown, "accept_offer")
    shown = await city.event("hu", shown, "sign", signer_name="胡明", consent=True)
    agreement = (await city.get("zhao", f"/v1/agreements/{shown['agreement_id']}")).json()
    await city.post("zhao", f"/v1/agreements/{agreement['id']}/events", event="countersign",
                    version=agreement["version"], signer_name="赵会签")
    grant_id = (await city.get("hu", f"/v1/applications/{shown['id']}")).json()["grant_id"]

    from billing.testing.builders import Scene

    async with runtime.transaction() as tx:
        await Scene(tx, runtime.audit, clock.at).use(grant_id, clock.at + timedelta(hours=1), 12_345)
    clock.at = datetime(2026, 12, 1, 1, tzinfo=UTC)
    closed = await city.post("zhao", "/v1/billing/periods/2026-11/close")
    assert closed.json()["total_fen"] == 2_235, closed.text
    (invoice,) = (await city.get("hu", "/v1/invoices?mine=1")).json()["items"]
    assert (invoice["total_fen"], invoice["state"], invoice["party_name"]) == (2_235, "open", "hu的公司")
    paid = await city.post(
        "zhao", f"/v1/invoices/{invoice['id']}/payments/bank", reference=invoice["number"], amount_fen=2_235,
        payer="hu的公司", received_on="2026-12-01", bank_serial="ICBC0001",
    )
    assert paid.json()["applied_fen"] == 2_235
    no_rule = await city.post("zhao", "/v1/settlements", period="2026-11")
    assert no_rule.json()["code"] == "share_rule_missing"
    rule = await city.post(
        "zhao", "/v1/share-rules", holder_bp=6_000, operator_bp=2_500, exchange_bp=1_500, operator_id="pty_operator",
        exchange_id="pty_exchange", source_document="收益分配办法（试行）", effective_on="2026-11-01",
    )
    await city.post("sun", f"/v1/share-rules/{rule.json()['id']}/approve", version=1)
    run = (await city.post("zhao", "/v1/settlements", period="2026-11")).json()
    assert sum(s["amount_fen"] for s in run["shares"]) == run["net_fen"] == 2_108
    approved = await city.post("sun", f"/v1/settlements/{run['id']}/approve", version=1)
    assert approved.json()["state"] == "approved"
    own = await city.get("li", f"/v1/settlements/{run['id']}/statements/{city.organisation_id}")
    assert own.json()["amount_fen"] == 1_265
    report = (await city.get("wu", "/v1/ledger/verify")).json()
    assert (report["balanced"], report["faults"]) == (True, [])
    actions = {row["action"] for row in await pool.fetch("SELECT DISTINCT action FROM audit.entry")}
    assert actions >= {
        "ceiling.proposed", "ceiling.approved", "ceiling.published", "rate_card.proposed", "rate_card.approved",
        "rate_card.published", "rate_card.rejected", "period.closed", "invoice.issued", "payment.recorded",
        "invoice.paid", "share_rule.published", "settlement.run", "settlement.approved",
    }


async def test_public_interest_needs_no_price_and_cannot_get_one(city: City) -> None:
    application = await city.reviewed("gong", purpose_class="public_interest", purpose="public_governance")
    refused = await price(city, application)
    assert refused.status_code == 409, refused.text
    assert refused.json()["code"] in ("public_interest_free", "transition_refused")
