"""Ceilings, rate cards, the public price list, the price of one application."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, StrictInt

from authz import Body, CallDep, NotFound, RuntimeDep, may, once
from billing.acting import Act, page
from billing.money import PriceFen
from billing.prices import application, ceilings, rate_cards
from billing.prices.proposals import as_published, is_published
from billing.pricing import QUANTITY_MAX, Pricing
from billing.routes.common import Cursor, Decision, Id, IsoDate, Limit, LongText, Reasoned

router = APIRouter(tags=["prices"])
State = Literal["proposed", "approved", "published", "rejected", "retired"]


class CeilingBody(Body):
    resource_id: Id
    meter: Literal["rows", "calls", "months"]
    max_amount_fen: PriceFen
    per: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 1
    stage: Literal["trial", "formal"]
    source_document: Annotated[str, Field(min_length=2, max_length=500)]
    effective_on: IsoDate
    reason: LongText = ""


@router.post("/v1/ceilings", status_code=201)
async def propose_ceiling(body: CeilingBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Propose a ceiling (authority); another person of the authority approves it."""
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        proposal = ceilings.CeilingProposal(**body.model_dump())
        return await once(tx, call, "ceiling:propose", body.model_dump(mode="json"),
                          lambda: ceilings.propose(act, proposal))


@router.get("/v1/ceilings")
async def list_ceilings(
    runtime: RuntimeDep, call: CallDep, resource_id: str | None = None, state: State | None = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> dict[str, Any]:
    """Ceilings, newest first; proposals and their reasons for the offices, what was published for the signed-in."""
    office = may(call.identity, "rate:view", None).permitted
    async with runtime.snapshot() as tx:
        return page(await ceilings.listed(tx, resource_id, state, limit + 1, cursor, proposals=office), limit)


@router.get("/v1/ceilings/{ceiling_id}")
async def show_ceiling(ceiling_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    async with runtime.snapshot() as tx:
        found = await ceilings.show(tx, ceiling_id)
    if may(call.identity, "rate:view", None).permitted:
        return found
    if not is_published(found):
        raise NotFound
    return as_published(found)


@router.post("/v1/ceilings/{ceiling_id}/{verdict}")
async def decide_ceiling(
    ceiling_id: str, verdict: Literal["approve", "reject"], body: Reasoned, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        return await ceilings.decide_ceiling(act, ceiling_id, body.given(verdict))


class RateCardBody(Body):
    resource_id: Id
    use_class: Literal["public_interest", "industry"]
    pricing: Pricing
    effective_on: IsoDate
    reason: LongText = ""


@router.post("/v1/rate-cards", status_code=201)
async def propose_rate_card(body: RateCardBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Propose a version of a standard rate card (pricer); another person approves it."""
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        proposal = rate_cards.RateProposal(
            body.resource_id, body.use_class, body.pricing, body.effective_on, body.reason
        )
        return await once(tx, call, "rate:propose", body.model_dump(mode="json"),
                          lambda: rate_cards.propose(act, proposal))


@router.get("/v1/rate-cards")
async def list_rate_cards(
    runtime: RuntimeDep, call: CallDep, resource_id: str | None = None, state: State | None = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> dict[str, Any]:
    """Versions of rate cards, newest first, prices of single applications among them: for the exchange's staff."""
    async with runtime.transaction() as tx:
        Act(tx, call, runtime.audit).require("rate:view")
        return page(await rate_cards.listed(tx, resource_id, state, limit + 1, cursor), limit)


@router.get("/v1/rate-cards/{version_id}")
async def show_rate_card(version_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        Act(tx, call, runtime.audit).require("rate:view")
        return await rate_cards.show(tx, version_id)


@router.post("/v1/rate-cards/{version_id}/{verdict}")
async def decide_rate_card(
    version_id: str, verdict: Literal["approve", "reject"], body: Reasoned, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Decide a version of a standard card; one of an application is decided with the application."""
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        return await rate_cards.decide_standard(act, version_id, body.given(verdict))


@router.get("/v1/prices")
async def list_prices(runtime: RuntimeDep) -> dict[str, Any]:
    """明码标价: ceilings and standard rates in force, for anyone, without an account."""
    async with runtime.snapshot() as tx:
        return {"items": await rate_cards.price_list(tx), "next": None}


class SimulationBody(Body):
    pricing: Pricing
    rows_month: Annotated[
        list[Annotated[StrictInt, Field(ge=0, le=QUANTITY_MAX)]], Field(min_length=1, max_length=50)
    ]


@router.post("/v1/applications/{application_id}/price/simulate")
async def simulate_price(
    application_id: str, body: SimulationBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Bills for each monthly volume beside the ceiling's bill; writes nothing."""
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        return await application.simulate(act, application_id, body.pricing, body.rows_month)


Bound = Annotated[StrictInt, Field(ge=1, le=QUANTITY_MAX)]


class Quota(Body):
    """Bounds of the grant by day, by month and over its life; ``keys`` are distinct values that lookups ask for."""

    rows_month: Bound
    calls_day: Annotated[StrictInt, Field(ge=1, le=1_000_000_000)] | None = None
    calls_minute: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    rows_call: Bound | None = None
    rows_day: Bound | None = None
    rows_life: Bound | None = None
    calls_month: Bound | None = None
    calls_life: Bound | None = None
    bytes_day: Bound | None = None
    bytes_month: Bound | None = None
    bytes_life: Bound | None = None
    keys_day: Bound | None = None
    keys_month: Bound | None = None
    keys_life: Bound | None = None


class PriceBody(Body):
    pricing: Pricing
    quota: Quota
    reason: LongText = ""
    version: Annotated[StrictInt, Field(ge=1, le=2_000_000_000)]


@router.post("/v1/applications/{application_id}/price", status_code=201)
async def propose_price(
    application_id: str, body: PriceBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        given = application.PriceProposal(
            body.pricing, body.quota.model_dump(exclude_none=True), body.reason, body.version
        )
        return await once(tx, call, f"price:{application_id}", body.model_dump(mode="json"),
                          lambda: application.propose(act, application_id, given))


@router.get("/v1/applications/{application_id}/price")
async def list_price_proposals(application_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Every price proposed for the application, newest first, and the ceilings in force."""
    async with runtime.transaction() as tx:
        return await application.overview(Act(tx, call, runtime.audit), application_id)


@router.post("/v1/applications/{application_id}/price/approve")
async def decide_price(
    application_id: str, body: Decision, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        return await application.decide(Act(tx, call, runtime.audit), application_id, body.given())
