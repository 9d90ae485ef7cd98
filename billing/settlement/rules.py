"""收益分配规则: shares in basis points, versioned, approved by another person, in force from a date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import asyncpg

from authz import FieldError, InvalidInput, new_id
from billing.acting import Act
from billing.errors import ShareRuleMissing
from billing.lifecycles import SHARE_RULE, PriceState
from billing.money import Fen, largest_remainder
from billing.periods import Period
from billing.prices.proposals import Kind, Verdictum, decide, document, publish
from billing.rows import one
from billing.tax import BASIS_POINTS

KIND = Kind("share_rule", SHARE_RULE, "share_rule", "share:approve")
SHARES = ("holder", "operator", "exchange")
"""数据提供部门, 运营机构, 交易所: also the order in which ties of the largest remainder are broken."""


@dataclass(frozen=True)
class ShareRule:
    """Shares of net revenue. Basis points sum to 10000; the holder is the data's own department."""

    id: str
    number: int
    holder_bp: int
    operator_bp: int
    exchange_bp: int
    operator_id: str
    exchange_id: str

    def split(self, net_fen: int) -> dict[str, Fen]:
        """Each share's part, summing exactly to ``net_fen`` (largest remainder)."""
        parts = largest_remainder(net_fen, [self.holder_bp, self.operator_bp, self.exchange_bp])
        return dict(zip(SHARES, parts, strict=True))

    def party(self, share: str, holder_id: str) -> str:
        return {"holder": holder_id, "operator": self.operator_id, "exchange": self.exchange_id}[share]

    def bp(self, share: str) -> int:
        return {"holder": self.holder_bp, "operator": self.operator_bp, "exchange": self.exchange_bp}[share]


@dataclass(frozen=True)
class RuleProposal:
    """What is proposed; refused unless the shares sum to 10000 basis points."""

    holder_bp: int
    operator_bp: int
    exchange_bp: int
    operator_id: str
    exchange_id: str
    source_document: str
    effective_on: date


async def propose(act: Act, given: RuleProposal) -> dict[str, Any]:
    act.require("share:propose")
    total = given.holder_bp + given.operator_bp + given.exchange_bp
    if total != BASIS_POINTS:
        raise InvalidInput([FieldError("holder_bp", "shares_sum", f"三方比例之和应为 10000，现为 {total}",
                                       f"the three shares must sum to 10000, not {total}")])
    rule_id = new_id("shr")
    await act.tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('billing.share_rule', 0))")
    await act.tx.execute(
        """
        INSERT INTO billing.share_rule (id, number, holder_bp, operator_bp, exchange_bp, operator_id, exchange_id,
            source_document, effective_on, state, proposed_by, proposed_name, proposed_at)
        SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8, 'proposed', $9, $10, $11
        FROM billing.share_rule
        """,
        rule_id, given.holder_bp, given.operator_bp, given.exchange_bp, given.operator_id, given.exchange_id,
        given.source_document, given.effective_on, act.who.user_id, act.who.display_name, act.now,
    )
    await act.record("share_rule.proposed", rule_id, basis=given.source_document,
                     details={"holder_bp": given.holder_bp, "operator_bp": given.operator_bp,
                              "exchange_bp": given.exchange_bp})
    return await show(act.tx, rule_id)


async def decide_rule(act: Act, rule_id: str, given: Verdictum) -> dict[str, Any]:
    """Approve or reject. An approved rule is published at once and counts from its effective date.

    Earlier rules stay published for the periods before that date: which rule holds is a question of the period.
    """
    if await decide(act, KIND, rule_id, given) is PriceState.APPROVED:
        await publish(act, KIND, rule_id, [])
    return await show(act.tx, rule_id)


async def in_force(tx: asyncpg.Connection, period: Period) -> ShareRule:
    """The rule for a period: the latest in effect on its last day. Raises ShareRuleMissing."""
    row = await tx.fetchrow(
        "SELECT * FROM billing.share_rule WHERE state = 'published' AND effective_on <= $1"
        " ORDER BY effective_on DESC, number DESC LIMIT 1",
        period.last_on,
    )
    if row is None:
        raise ShareRuleMissing(period=str(period))
    return from_row(row)


def from_row(row: asyncpg.Record) -> ShareRule:
    return ShareRule(
        row["id"], row["number"], row["holder_bp"], row["operator_bp"], row["exchange_bp"], row["operator_id"],
        row["exchange_id"],
    )


async def show(tx: asyncpg.Connection, rule_id: str) -> dict[str, Any]:
    row = await one(tx, "SELECT * FROM billing.share_rule WHERE id = $1", rule_id)
    return document(row, KIND)


async def listed(tx: asyncpg.Connection) -> list[dict[str, Any]]:
    rows = await tx.fetch("SELECT * FROM billing.share_rule ORDER BY number DESC")
    return [document(row, KIND) for row in rows]
