"""Posting to the ledger, and reading balances that are always derived from the postings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from authz import NotFound, new_id
from billing.errors import LedgerKeyReused
from billing.ledger.model import ACCOUNT_KINDS, ACCOUNTS_ZH, Entry, Leg, content_hash

BATCH = 2_000


@dataclass(frozen=True)
class Posted:
    """What became of an entry: its id, and whether it had been posted before."""

    id: str
    replayed: bool


async def post(tx: asyncpg.Connection, entries: Sequence[Entry], actor: str, at: datetime) -> list[Posted]:
    """Post entries in this transaction, all or none; the same key and content again changes nothing.

    Raises LedgerKeyReused when a key comes with other content. The database checks the balance at commit.
    """
    if not entries:
        return []
    await _open_accounts(tx, entries, at)
    ids = [new_id("jne") for _ in entries]
    fresh = {
        row["id"]
        for row in await tx.fetch(
            """
            INSERT INTO billing.journal_entry (id, idempotency_key, content_hash, kind, description, period,
                source_kind, source_id, reverses_id, actor, posted_at)
            SELECT i, k, h, n, d, p, sk, si, r, $10, $11
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::text[]) AS e (i, k, h, n, d, p, sk, si, r)
            ON CONFLICT (idempotency_key) DO NOTHING RETURNING id
            """,
            ids, [e.key for e in entries], [e.content_hash for e in entries], [e.kind for e in entries],
            [e.description for e in entries], [e.period for e in entries], [e.source_kind for e in entries],
            [e.source_id for e in entries], [e.reverses_id for e in entries], actor, at,
        )
    }
    await _insert_postings(tx, [(i, e) for i, e in zip(ids, entries, strict=True) if i in fresh])
    return [
        Posted(i, False) if i in fresh else await _replayed(tx, entry)
        for i, entry in zip(ids, entries, strict=True)
    ]


async def _replayed(tx: asyncpg.Connection, entry: Entry) -> Posted:
    known = await tx.fetchrow(
        "SELECT id, content_hash FROM billing.journal_entry WHERE idempotency_key = $1", entry.key
    )
    if known is None or known["content_hash"] != entry.content_hash:
        raise LedgerKeyReused(key=entry.key)
    return Posted(known["id"], True)


async def _open_accounts(tx: asyncpg.Connection, entries: Sequence[Entry], at: datetime) -> None:
    codes = sorted({leg.account for entry in entries for leg in entry.legs})
    known = {r["code"] for r in await tx.fetch("SELECT code FROM billing.account WHERE code = ANY($1)", codes)}
    for code in codes:
        if code not in known:
            word, _, owner = code.partition(":")
            await tx.execute(
                "INSERT INTO billing.account (code, kind, party_id, opened_at) VALUES ($1, $2, $3, $4)"
                " ON CONFLICT DO NOTHING",
                code, ACCOUNT_KINDS[word], owner or None, at,
            )


async def _insert_postings(tx: asyncpg.Connection, entries: list[tuple[str, Entry]]) -> None:
    rows = [
        (entry_id, line, leg.account, entry.currency, leg.amount_fen)
        for entry_id, entry in entries
        for line, leg in enumerate(entry.legs, start=1)
    ]
    for start in range(0, len(rows), BATCH):
        columns = list(zip(*rows[start : start + BATCH], strict=True))
        await tx.execute(
            "INSERT INTO billing.posting (entry_id, line, account_code, currency, amount_fen)"
            " SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::bigint[])",
            *columns,
        )


async def reverse(tx: asyncpg.Connection, entry_id: str, reason: str, actor: str, at: datetime) -> Posted:
    """Correct an entry by adding its mirror image; a second reversal of the same entry changes nothing."""
    row = await tx.fetchrow("SELECT * FROM billing.journal_entry WHERE id = $1", entry_id)
    if row is None or row["reverses_id"]:
        raise NotFound
    legs = await tx.fetch(
        "SELECT account_code, amount_fen, currency FROM billing.posting WHERE entry_id = $1 ORDER BY line", entry_id
    )
    original = Entry(
        key=row["idempotency_key"], kind=row["kind"], description=row["description"],
        legs=tuple(Leg(leg["account_code"], leg["amount_fen"]) for leg in legs), source_kind=row["source_kind"],
        source_id=row["source_id"], period=row["period"], currency=legs[0]["currency"],
    )
    (posted,) = await post(tx, [original.reversed(entry_id, reason)], actor, at)
    return posted


async def balance(tx: asyncpg.Connection, account: str) -> int:
    """Debits less credits of one account, in fen."""
    total = await tx.fetchval(
        "SELECT coalesce(sum(amount_fen), 0)::bigint FROM billing.posting WHERE account_code = $1", account
    )
    return int(total)


async def balances(tx: asyncpg.Connection) -> list[dict[str, Any]]:
    """Every account with its debits, credits and balance (debits less credits), in fen."""
    rows = await tx.fetch(
        """
        SELECT a.code, a.kind, a.currency,
            coalesce(sum(p.amount_fen) FILTER (WHERE p.amount_fen > 0), 0)::bigint AS debit_fen,
            coalesce(-sum(p.amount_fen) FILTER (WHERE p.amount_fen < 0), 0)::bigint AS credit_fen,
            coalesce(sum(p.amount_fen), 0)::bigint AS balance_fen
        FROM billing.account a LEFT JOIN billing.posting p ON p.account_code = a.code
        GROUP BY a.code ORDER BY a.code
        """
    )
    return [dict(row) | {"title_zh": ACCOUNTS_ZH[row["code"].partition(":")[0]]} for row in rows]


async def verify(tx: asyncpg.Connection) -> dict[str, Any]:
    """Recompute the whole ledger: each entry's sum and content hash, the grand total, and the subledgers.

    ``faults`` lists what does not hold, each with a code and the ids; an empty list is a sound ledger.
    """
    faults: list[dict[str, Any]] = []
    entries = postings = total = 0
    rows = tx.cursor(
        """
        SELECT e.id, e.content_hash, e.kind, e.source_kind, e.source_id, e.period, e.reverses_id,
            min(p.currency) AS currency, coalesce(sum(p.amount_fen), 0)::bigint AS off, count(p.*)::int AS n,
            array_agg(p.account_code ORDER BY p.line) AS accounts, array_agg(p.amount_fen ORDER BY p.line) AS amounts
        FROM billing.journal_entry e LEFT JOIN billing.posting p ON p.entry_id = e.id GROUP BY e.id
        """
    )
    async for row in rows:
        entries, postings, total = entries + 1, postings + row["n"], total + row["off"]
        if row["off"] or row["n"] < 2:
            faults.append({"code": "entry_unbalanced", "id": row["id"], "off_fen": row["off"]})
        elif row["content_hash"] != content_hash(
            row["kind"], row["source_kind"], row["source_id"], row["period"], row["reverses_id"], row["currency"],
            list(zip(row["accounts"], row["amounts"], strict=True)),
        ):
            faults.append({"code": "entry_altered", "id": row["id"]})
    faults += await _receivable_faults(tx)
    return {"balanced": not faults and total == 0, "entries": entries, "postings": postings, "total_fen": total,
            "faults": faults}


async def _receivable_faults(tx: asyncpg.Connection) -> list[dict[str, Any]]:
    """Parties whose receivable account differs from what their invoices say is due."""
    rows = await tx.fetch(
        """
        WITH owed AS (
            SELECT party_id, sum(total_fen - credited_fen - paid_fen)::bigint AS fen FROM billing.invoice GROUP BY 1
        ), booked AS (
            SELECT split_part(account_code, ':', 2) AS party_id, sum(amount_fen)::bigint AS fen
            FROM billing.posting WHERE account_code LIKE 'receivable:%' GROUP BY 1
        )
        SELECT party_id, coalesce(owed.fen, 0) AS owed, coalesce(booked.fen, 0) AS booked
        FROM owed FULL JOIN booked USING (party_id) WHERE coalesce(owed.fen, 0) <> coalesce(booked.fen, 0)
        """
    )
    return [
        {"code": "receivable_differs", "id": r["party_id"], "invoices_fen": r["owed"], "ledger_fen": r["booked"]}
        for r in rows
    ]
