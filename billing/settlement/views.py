"""Settlements as they are shown: the whole to staff, one statement to each party."""

from __future__ import annotations

from typing import Any

import asyncpg

from authz import NotFound
from billing.lifecycles import SETTLEMENT, SettlementState
from billing.rows import one


def _document(row: asyncpg.Record) -> dict[str, Any]:
    label = SETTLEMENT.states[SettlementState(row["state"])]
    return {**dict(row), "state_label_zh": label.zh, "state_label_en": label.en}


async def show(tx: asyncpg.Connection, settlement_id: str) -> dict[str, Any]:
    """The settlement with its shares, its rule and what was paid out."""
    row = await tx.fetchrow("SELECT * FROM billing.settlement WHERE id = $1", settlement_id)
    if row is None:
        raise NotFound
    rule = await one(
        tx, "SELECT number, holder_bp, operator_bp, exchange_bp, source_document FROM billing.share_rule WHERE id = $1",
        row["share_rule_id"],
    )
    parties = await tx.fetch(
        """
        SELECT s.party_id, coalesce(p.name, s.party_id) AS party_name, sum(s.amount_fen)::bigint AS amount_fen,
            array_agg(DISTINCT s.share) AS shares,
            coalesce((SELECT sum(o.amount_fen) FROM billing.payout o WHERE o.settlement_id = s.settlement_id
                AND o.party_id = s.party_id), 0)::bigint AS paid_out_fen
        FROM billing.settlement_share s LEFT JOIN licensing.party p ON p.id = s.party_id
        WHERE s.settlement_id = $1 GROUP BY s.settlement_id, s.party_id, p.name ORDER BY s.party_id
        """,
        settlement_id,
    )
    shares = await tx.fetch(
        "SELECT resource_id, share, party_id, basis_fen, bp, amount_fen FROM billing.settlement_share"
        " WHERE settlement_id = $1 ORDER BY resource_id, bp DESC, share",
        settlement_id,
    )
    return _document(row) | {
        "rule": dict(rule), "parties": [dict(p) for p in parties], "shares": [dict(s) for s in shares]
    }


async def statement(tx: asyncpg.Connection, settlement_id: str, party_id: str) -> dict[str, Any]:
    """结算单: what one party receives, per data object, and the invoice lines that it comes from."""
    row = await tx.fetchrow("SELECT * FROM billing.settlement WHERE id = $1", settlement_id)
    shares = await tx.fetch(
        "SELECT resource_id, share, basis_fen, bp, amount_fen FROM billing.settlement_share"
        " WHERE settlement_id = $1 AND party_id = $2 ORDER BY resource_id, share",
        settlement_id, party_id,
    )
    if row is None or not shares:
        raise NotFound
    items = await tx.fetch(
        """
        SELECT i.resource_id, l.resource_title, v.number AS invoice_number, i.line, i.credit_note_id,
            l.usage_period, l.meter, l.quantity, i.net_fen, i.tax_fen
        FROM billing.settlement_item i JOIN billing.invoice v ON v.id = i.invoice_id
        JOIN billing.invoice_line l ON (l.invoice_id, l.line) = (i.invoice_id, i.line)
        WHERE i.settlement_id = $1 AND i.resource_id = ANY($2) ORDER BY i.item
        """,
        settlement_id, [s["resource_id"] for s in shares],
    )
    payouts = await tx.fetch(
        "SELECT id, amount_fen, paid_on, recorded_at FROM billing.payout WHERE settlement_id = $1 AND party_id = $2"
        " ORDER BY id",
        settlement_id, party_id,
    )
    head = _document(row)
    keep = ("id", "number", "period", "state", "state_label_zh", "state_label_en", "run_at", "decided_at")
    return {key: head[key] for key in keep} | {
        "party_id": party_id, "amount_fen": sum(s["amount_fen"] for s in shares),
        "paid_out_fen": sum(p["amount_fen"] for p in payouts), "shares": [dict(s) for s in shares],
        "items": [dict(i) for i in items], "payouts": [dict(p) for p in payouts],
    }


async def listed(
    tx: asyncpg.Connection, period: str | None, parties: frozenset[str] | None, limit: int, after: str | None
) -> list[dict[str, Any]]:
    """Settlements, newest first; of ``parties`` only those in which one of them has a share (None: all)."""
    rows = await tx.fetch(
        """
        SELECT * FROM billing.settlement s WHERE ($1::text IS NULL OR period = $1)
            AND ($2::text[] IS NULL OR EXISTS (SELECT 1 FROM billing.settlement_share h
                WHERE h.settlement_id = s.id AND h.party_id = ANY($2)))
            AND ($3::text IS NULL OR id < $3)
        ORDER BY id DESC LIMIT $4
        """,
        period, None if parties is None else list(parties), after, limit,
    )
    return [_document(row) for row in rows]
