"""A price above its ceiling cannot exist: not by API, not by SQL, not by lowering the ceiling afterwards."""

from __future__ import annotations

from datetime import date
from typing import Any

import asyncpg
import httpx
import pytest

from authz import OpenAttribute
from billing.errors import CeilingBelowRates, CeilingExceeded, OpenDataFree, PublicInterestFree, SamePerson
from billing.prices import ceilings, rate_cards
from billing.prices.proposals import Verdictum
from billing.prices.rate_cards import RateProposal
from billing.pricing import Pricing, Tier
from billing.testing.builders import APPROVER, AUTHORITY_1, AUTHORITY_2, PRICER, Scene

TODAY = date(2026, 11, 23)


def per_unit(amount_fen: int, per: int = 100) -> Pricing:
    return Pricing(kind="per_unit", tiers=(Tier(up_to=None, amount_fen=amount_fen, per=per),))


async def test_a_rate_above_the_ceiling_is_refused_with_the_tier_named(scene: Scene) -> None:
    await scene.data_object("res-a")
    await scene.ceiling("res-a", 20, 100)
    with pytest.raises(CeilingExceeded) as refused:
        await scene.rate_card("res-a", per_unit(21))
    assert refused.value.reasons[0].facts["max_amount_fen"] == 20
    assert (await scene.rate_card("res-a", per_unit(20)))["state"] == "published"


@pytest.mark.parametrize(
    ("pricing", "constraint"),
    [
        ({"kind": "per_unit", "meter": "rows", "flat_fen": 0,
          "tiers": [{"up_to": None, "amount_fen": 21, "per": 100}]}, "rate_under_ceiling"),
        ({"kind": "flat", "meter": "rows", "flat_fen": 1, "tiers": []}, "rate_under_ceiling"),
        ({"kind": "per_unit", "meter": "rows", "flat_fen": 0,
          "tiers": [{"up_to": None, "amount_fen": 1.5, "per": 100}]}, None),
        ({"kind": "per_unit", "meter": "rows", "flat_fen": 0,
          "tiers": [{"up_to": None, "amount_fen": -1, "per": 100}]}, None),
        ({"kind": "per_unit", "meter": "rows"}, None),
    ],
)
async def test_sql_cannot_write_such_a_rate_either(scene: Scene, pricing: dict[str, Any], constraint: str) -> None:
    await scene.data_object("res-b")
    await scene.ceiling("res-b", 20, 100)
    made = await scene.rate_card("res-b", per_unit(20))
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await scene.tx.execute(
            "INSERT INTO billing.rate_card_version (id, rate_card_id, number, pricing, effective_on, state,"
            " proposed_by, proposed_name, proposed_at) VALUES ('x', $1, 9, $2, $3, 'proposed', 'a', 'a', now())",
            made["rate_card_id"], pricing, TODAY,
        )
    assert refused.value.constraint_name == constraint


async def test_a_published_rate_cannot_be_edited_nor_deleted(scene: Scene) -> None:
    await scene.data_object("res-c")
    await scene.ceiling("res-c", 20, 100)
    made = await scene.rate_card("res-c", per_unit(20))
    for sql in (
        "UPDATE billing.rate_card_version SET pricing = jsonb_set(pricing, '{flat_fen}', '0') || '{\"a\": 1}'"
        " WHERE id = $1",
        "DELETE FROM billing.rate_card_version WHERE id = $1",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            async with scene.tx.transaction():
                await scene.tx.execute(sql, made["id"])


async def test_a_ceiling_below_a_standing_rate_is_not_published(scene: Scene) -> None:
    await scene.data_object("res-d")
    old = await scene.ceiling("res-d", 20, 100)
    await scene.rate_card("res-d", per_unit(20))
    with pytest.raises(CeilingBelowRates):
        async with scene.tx.transaction():
            await scene.ceiling("res-d", 19, 100)
    new = await scene.ceiling("res-d", 25, 100)
    states = {r["id"]: r["state"] for r in await ceilings.listed(scene.tx, "res-d", None, 9, None)}
    assert states == {old: "retired", new: "published"}
    await scene.tx.execute("SET CONSTRAINTS ALL IMMEDIATE")


async def test_sql_cannot_retire_the_ceiling_from_under_a_rate(scene: Scene) -> None:
    await scene.data_object("res-e")
    ceiling = await scene.ceiling("res-e", 20, 100)
    await scene.rate_card("res-e", per_unit(20))
    await scene.tx.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(asyncpg.CheckViolationError):
        await scene.tx.execute("UPDATE billing.ceiling SET state = 'retired' WHERE id = $1", ceiling)


async def test_open_data_and_public_interest_are_free_by_force(scene: Scene) -> None:
    await scene.data_object("res-open", open_attribute=OpenAttribute.UNCONDITIONAL)
    with pytest.raises(OpenDataFree):
        await scene.ceiling("res-open", 1, 100)
    await scene.data_object("res-f")
    await scene.ceiling("res-f", 20, 100)
    proposal = RateProposal("res-f", "public_interest", per_unit(1), TODAY)
    with pytest.raises(PublicInterestFree):
        await rate_cards.propose(scene.act(PRICER), proposal)


async def test_who_proposed_cannot_approve(scene: Scene) -> None:
    await scene.data_object("res-g")
    made = await ceilings.propose(
        scene.act(AUTHORITY_1), ceilings.CeilingProposal("res-g", "rows", 1, 1, "trial", "文件", TODAY)
    )
    with pytest.raises(SamePerson):
        await ceilings.decide_ceiling(scene.act(AUTHORITY_1), made["id"], Verdictum("approve", "", 1))
    with pytest.raises(asyncpg.CheckViolationError):
        async with scene.tx.transaction():
            await scene.tx.execute(
                "UPDATE billing.ceiling SET state = 'approved', decided_by = proposed_by WHERE id = $1", made["id"]
            )


async def test_a_ceiling_of_the_future_waits_for_its_day(scene: Scene) -> None:
    await scene.data_object("res-h")
    made = await ceilings.propose(
        scene.act(AUTHORITY_1), ceilings.CeilingProposal("res-h", "rows", 1, 1, "trial", "文件", date(2026, 12, 1))
    )
    decided = await ceilings.decide_ceiling(scene.act(AUTHORITY_2), made["id"], Verdictum("approve", "", 1))
    assert decided["state"] == "approved"
    assert await ceilings.publish_due(scene.act(APPROVER)) == 0
    scene.now = scene.now.replace(month=12)
    assert await ceilings.publish_due(scene.act(APPROVER)) == 1
    assert [c.max_amount_fen for c in await ceilings.in_force(scene.tx, "res-h")] == [1]


async def test_over_http_from_ceiling_to_public_price_list(
    client: httpx.AsyncClient, staff: Any, committed: Any
) -> None:
    async with committed() as scene:
        await scene.data_object("res-http")
    ceiling = {
        "resource_id": "res-http", "meter": "rows", "max_amount_fen": 20, "per": 100, "stage": "trial",
        "source_document": "市发改价格〔2026〕8号", "effective_on": "2026-11-01",
    }
    made = (await client.post("/v1/ceilings", json=ceiling, headers=staff("authority-1"))).json()
    assert made["state"] == "proposed"
    own = await client.post(f"/v1/ceilings/{made['id']}/approve", json={"version": 1}, headers=staff("authority-1"))
    assert (own.status_code, own.json()["code"]) == (403, "same_person")
    done = await client.post(f"/v1/ceilings/{made['id']}/approve", json={"version": 1}, headers=staff("authority-2"))
    assert done.json()["state"] == "published"
    late = await client.post(f"/v1/ceilings/{made['id']}/approve", json={"version": 1}, headers=staff("authority-2"))
    assert (late.status_code, late.json()["code"]) == (409, "version_conflict")

    card = {"resource_id": "res-http", "use_class": "industry", "effective_on": "2026-11-01",
            "pricing": {"kind": "per_unit", "meter": "rows", "tiers": [{"up_to": None, "amount_fen": 21, "per": 100}]}}
    over = await client.post("/v1/rate-cards", json=card, headers={**staff("pricer"), "Accept-Language": "en"})
    assert (over.status_code, over.json()["code"]) == (409, "ceiling_exceeded")
    assert "0.21 yuan" in over.json()["detail"]
    card["pricing"]["tiers"][0]["amount_fen"] = 18  # type: ignore[index]
    made = (await client.post("/v1/rate-cards", json=card, headers=staff("pricer"))).json()
    other = await client.post(f"/v1/rate-cards/{made['id']}/approve", json={"version": 1}, headers=staff("pricer"))
    assert other.status_code == 403
    done = await client.post(f"/v1/rate-cards/{made['id']}/approve", json={"version": 1}, headers=staff("approver"))
    assert done.json()["state"] == "published"
    prices = {p["resource_id"]: p for p in (await client.get("/v1/prices")).json()["items"]}
    assert prices["res-http"]["rates"][0]["pricing"]["tiers"][0]["amount_fen"] == 18
    assert prices["res-http"]["ceilings"][0]["max_amount_fen"] == 20


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"max_amount_fen": 20.5}, "max_amount_fen"), ({"max_amount_fen": 20.0}, "max_amount_fen"),
        ({"max_amount_fen": "20"}, "max_amount_fen"), ({"max_amount_fen": True}, "max_amount_fen"),
        ({"max_amount_fen": -1}, "max_amount_fen"), ({"max_amount_fen": 10**30}, "max_amount_fen"),
        ({"per": 0}, "per"), ({"meter": "bytes"}, "meter"), ({"effective_on": 0}, "effective_on"),
        ({"effective_on": "2026-02-30"}, "effective_on"), ({"surprise": 1}, "surprise"), ({"stage": None}, "stage"),
        ({"resource_id": "'; DROP TABLE billing.ceiling; --"}, "resource_id"),
        ({"source_document": " "}, "source_document"),
    ],
)
async def test_bad_ceilings_are_named_by_field(
    client: httpx.AsyncClient, staff: Any, change: dict[str, Any], field: str
) -> None:
    body = {"resource_id": "r", "meter": "rows", "max_amount_fen": 20, "per": 100, "stage": "trial",
            "source_document": "文件", "effective_on": "2026-11-01"} | change
    answer = await client.post("/v1/ceilings", json=body, headers=staff("authority-1"))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
