"""Share rules, settlements, statements, payouts; the ledger's balances and its check."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, StrictInt

from authz import Body, CallDep, NotFound, RuntimeDep, may, organisations_where
from authz import once as only_once
from billing import ledger
from billing.acting import Act, page
from billing.money import AmountFen
from billing.periods import Period
from billing.prices.proposals import as_published, is_published
from billing.routes.common import Cursor, Id, IsoDate, Limit, Reasoned
from billing.routes.payments import Serial
from billing.settlement import payouts, rules, run, views

router = APIRouter(tags=["settlement"])
BasisPoints = Annotated[StrictInt, Field(ge=0, le=10_000)]


class ShareRuleBody(Body):
    holder_bp: BasisPoints
    operator_bp: BasisPoints
    exchange_bp: BasisPoints
    operator_id: Id
    exchange_id: Id
    source_document: Annotated[str, Field(min_length=2, max_length=500)]
    effective_on: IsoDate


@router.post("/v1/share-rules", status_code=201)
async def propose_rule(body: ShareRuleBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        given = rules.RuleProposal(**body.model_dump())
        return await only_once(tx, call, "share:propose", body.model_dump(mode="json"),
                               lambda: rules.propose(act, given))


@router.get("/v1/share-rules")
async def list_rules(runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """How revenue is shared, for the signed-in: what is or was in force; proposals and reasons for the offices."""
    async with runtime.snapshot() as tx:
        found = await rules.listed(tx)
    if not may(call.identity, "rate:view", None).permitted:
        found = [as_published(one) for one in found if is_published(one)]
    return {"items": found, "next": None}


@router.post("/v1/share-rules/{rule_id}/{verdict}")
async def decide_rule(
    rule_id: str, verdict: Literal["approve", "reject"], body: Reasoned, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        return await rules.decide_rule(Act(tx, call, runtime.audit), rule_id, body.given(verdict))


class RunBody(Body):
    period: Annotated[str, Field(max_length=7)]


@router.post("/v1/settlements", status_code=201)
async def run_settlement(body: RunBody, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        act = Act(tx, call, runtime.audit)
        period = Period.parse(body.period)
        return await only_once(tx, call, "settlement:run", body.model_dump(), lambda: run.run(act, period))


@router.get("/v1/settlements")
async def list_settlements(
    runtime: RuntimeDep, call: CallDep, period: str | None = None, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Settlements; departments and operators see those in which they have a share."""
    allowed = organisations_where(call.identity, "settlement:view")
    async with runtime.snapshot() as tx:
        return page(await views.listed(tx, period, allowed, limit + 1, cursor), limit)


@router.get("/v1/settlements/{settlement_id}")
async def show_settlement(settlement_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """The whole settlement for those who may see all; a party reads its own statement instead."""
    if organisations_where(call.identity, "settlement:view") is not None:
        raise NotFound
    async with runtime.snapshot() as tx:
        return await views.show(tx, settlement_id)


@router.get("/v1/settlements/{settlement_id}/statements/{party_id}")
async def show_statement(settlement_id: str, party_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    async with runtime.snapshot() as tx:
        Act(tx, call, runtime.audit).require_sight("settlement:view", party_id)
        return await views.statement(tx, settlement_id, party_id)


class PayoutBody(Body):
    party_id: Id
    amount_fen: AmountFen
    bank_serial: Serial
    paid_on: IsoDate


@router.post("/v1/settlements/{settlement_id}/payouts")
async def record_payout(
    settlement_id: str, body: PayoutBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        given = payouts.Payout(body.party_id, body.amount_fen, body.bank_serial, body.paid_on)
        return await payouts.record(Act(tx, call, runtime.audit), settlement_id, given)


@router.post("/v1/settlements/{settlement_id}/{verdict}")
async def decide_settlement(
    settlement_id: str, verdict: Literal["approve", "reject"], body: Reasoned, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    async with runtime.transaction() as tx:
        return await run.decide(Act(tx, call, runtime.audit), settlement_id, body.given(verdict))


@router.get("/v1/ledger/balances")
async def show_balances(runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Every account with debits, credits and balance, all derived from postings."""
    async with runtime.snapshot() as tx:
        Act(tx, call, runtime.audit).require("ledger:view")
        items = await ledger.balances(tx)
        return {"items": items, "next": None, "total_fen": sum(item["balance_fen"] for item in items)}


@router.get("/v1/ledger/verify")
async def verify_ledger(runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Recompute the ledger from its postings."""
    async with runtime.snapshot() as tx:
        Act(tx, call, runtime.audit).require("ledger:view")
        return await ledger.verify(tx)
