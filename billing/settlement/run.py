"""Running, approving and rejecting the settlement of a period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from authz import FieldError, InvalidInput, NotFound, new_id
from billing import ledger
from billing.acting import Act, check_version
from billing.errors import NothingToSettle, PeriodNotClosed, SamePerson, SettlementPending, SettlerPriced
from billing.invoices.closing import closed
from billing.lifecycles import SETTLEMENT, SettlementEvent, SettlementState
from billing.periods import Period
from billing.prices.proposals import Verdictum
from billing.settlement import rules
from billing.settlement.views import show

ITEMS = """
WITH settled AS (
    SELECT i.invoice_id, i.line, i.credit_note_id FROM billing.settlement_item i
    JOIN billing.settlement s ON s.id = i.settlement_id WHERE s.state <> 'rejected'
), lines AS (
    SELECT l.invoice_id, l.line, NULL::text AS credit_note_id, l.resource_id, l.holder_id, l.net_fen, l.tax_fen
    FROM billing.invoice_line l JOIN billing.invoice i ON i.id = l.invoice_id
    WHERE i.period = $1 AND i.state = 'paid' AND l.amount_fen > 0
)
SELECT * FROM lines l WHERE NOT EXISTS (
    SELECT 1 FROM settled s WHERE (s.invoice_id, s.line) = (l.invoice_id, l.line) AND s.credit_note_id IS NULL
)
UNION ALL
SELECT n.invoice_id, n.line, n.credit_note_id, l.resource_id, l.holder_id, -n.net_fen, -n.tax_fen
FROM billing.credit_note_line n JOIN lines l ON (l.invoice_id, l.line) = (n.invoice_id, n.line)
WHERE NOT EXISTS (
    SELECT 1 FROM settled s WHERE (s.invoice_id, s.line, s.credit_note_id) = (n.invoice_id, n.line, n.credit_note_id)
)
ORDER BY invoice_id, line, credit_note_id NULLS FIRST
"""
"""Lines of paid invoices of a period, and credits against such lines, that no standing settlement has taken."""


@dataclass(frozen=True)
class Share:
    """One party's part of one data object's net revenue."""

    resource_id: str
    share: str
    party_id: str
    basis_fen: int
    bp: int
    amount_fen: int


async def run(act: Act, period: Period) -> dict[str, Any]:
    """Share the net revenue of what was paid for a period and not settled yet; waits for another's approval.

    Refused in this order: right, period not closed, one waiting already, nothing to settle, no rule, the caller priced.
    Later payments and credits of the same period are settled by a further run.
    """
    act.require("settlement:run")
    await act.tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('billing.settlement', 0))")
    if await closed(act.tx, period) is None:
        raise PeriodNotClosed(period=str(period))
    waiting = await act.tx.fetchval(
        "SELECT id FROM billing.settlement WHERE period = $1 AND state = 'run'", str(period)
    )
    if waiting:
        raise SettlementPending(period=str(period), settlement_id=waiting)
    items = await act.tx.fetch(ITEMS, str(period))
    if not items:
        raise NothingToSettle(period=str(period))
    rule = await rules.in_force(act.tx, period)
    await _refuse_pricer(act, items)
    settlement_id = await _write(act, period, rule, items)
    return await show(act.tx, settlement_id)


async def _refuse_pricer(act: Act, items: Sequence[asyncpg.Record]) -> None:
    priced = await act.tx.fetchval(
        """
        SELECT 1 FROM billing.invoice_line l JOIN billing.rate_card_version v
            ON (v.rate_card_id, v.number) = (l.rate_card_id, l.rate_card_version)
        JOIN unnest($1::text[], $2::int[]) AS k (invoice_id, line) ON (l.invoice_id, l.line) = (k.invoice_id, k.line)
        WHERE $3 IN (v.proposed_by, v.decided_by) LIMIT 1
        """,
        [i["invoice_id"] for i in items], [i["line"] for i in items], act.who.user_id,
    )
    if priced:
        raise SettlerPriced


def shares_of(rule: rules.ShareRule, items: Sequence[Any]) -> list[Share]:
    """Net revenue per data object split by the rule, to the fen. Pure."""
    basis: dict[tuple[str, str], int] = defaultdict(int)
    for item in items:
        basis[item["resource_id"], item["holder_id"]] += item["net_fen"]
    return [
        Share(resource_id, share, rule.party(share, holder_id), net, rule.bp(share), part)
        for (resource_id, holder_id), net in sorted(basis.items())
        for share, part in rule.split(net).items()
    ]


async def _write(act: Act, period: Period, rule: rules.ShareRule, items: Sequence[asyncpg.Record]) -> str:
    settlement_id = new_id("stl")
    count = await act.tx.fetchval("SELECT count(*) FROM billing.settlement WHERE period = $1", str(period))
    number = f"JS-{period.year}{period.month:02d}-{count + 1:02d}"
    net, tax = sum(i["net_fen"] for i in items), sum(i["tax_fen"] for i in items)
    await act.tx.execute(
        "INSERT INTO billing.settlement (id, number, period, state, share_rule_id, gross_fen, tax_fen, net_fen,"
        " run_by, run_at) VALUES ($1, $2, $3, 'run', $4, $5, $6, $7, $8, $9)",
        settlement_id, number, str(period), rule.id, net + tax, tax, net, act.who.user_id, act.now,
    )
    await act.tx.executemany(
        "INSERT INTO billing.settlement_item (settlement_id, item, invoice_id, line, credit_note_id, resource_id,"
        " holder_id, net_fen, tax_fen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [
            (settlement_id, n, i["invoice_id"], i["line"], i["credit_note_id"], i["resource_id"], i["holder_id"],
             i["net_fen"], i["tax_fen"])
            for n, i in enumerate(items, start=1)
        ],
    )
    await act.tx.executemany(
        "INSERT INTO billing.settlement_share (settlement_id, resource_id, share, party_id, basis_fen, bp, amount_fen)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [
            (settlement_id, s.resource_id, s.share, s.party_id, s.basis_fen, s.bp, s.amount_fen)
            for s in shares_of(rule, items)
        ],
    )
    await act.record("settlement.run", settlement_id,
                     details={"period": str(period), "net_fen": net, "rule": rule.number, "items": len(items)})
    return settlement_id


async def decide(act: Act, settlement_id: str, given: Verdictum) -> dict[str, Any]:
    """Approve (the shares are posted to the ledger) or reject (its lines may be settled again)."""
    act.require("settlement:approve")
    row = await act.tx.fetchrow("SELECT * FROM billing.settlement WHERE id = $1 FOR UPDATE", settlement_id)
    if row is None:
        raise NotFound
    check_version(row["version"], given.version)
    transition = SETTLEMENT.require(SettlementState(row["state"]), SettlementEvent(given.verdict))
    if row["run_by"] == act.who.user_id:
        raise SamePerson
    if transition.reason_required and not given.reason:
        raise InvalidInput([FieldError("reason", "missing", "退回必须说明理由", "a rejection needs its reason")])
    state = SettlementState(transition.target)
    await act.tx.execute(
        "UPDATE billing.settlement SET state = $2, version = version + 1, decided_by = $3, decided_at = $4,"
        " decision_reason = $5 WHERE id = $1",
        settlement_id, state.value, act.who.user_id, act.now, given.reason,
    )
    if state is SettlementState.APPROVED:
        await _post(act, row)
    await act.record(f"settlement.{state.value}", settlement_id, reason=given.reason or None,
                     details={"period": row["period"], "net_fen": row["net_fen"]})
    return await show(act.tx, settlement_id)


async def _post(act: Act, settlement: asyncpg.Record) -> None:
    shares = await act.tx.fetch(
        "SELECT * FROM billing.settlement_share WHERE settlement_id = $1 ORDER BY resource_id, share",
        settlement["id"],
    )
    revenue: dict[str, int] = defaultdict(int)
    payable: dict[str, int] = defaultdict(int)
    for share in shares:
        revenue[share["resource_id"]] += share["amount_fen"]
        payable[share["party_id"]] += share["amount_fen"]
    legs = ledger.legs_of(
        *((f"revenue:{resource}", amount) for resource, amount in sorted(revenue.items())),
        *((f"payable:{party}", -amount) for party, amount in sorted(payable.items())),
    )
    if not legs:
        return
    entry = ledger.Entry(
        key=f"settlement:{settlement['id']}", kind="settlement", description=f"结算 {settlement['number']}",
        legs=legs, source_kind="settlement", source_id=settlement["id"], period=settlement["period"],
    )
    await ledger.post(act.tx, [entry], act.who.user_id, act.now)
