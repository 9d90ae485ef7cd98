"""Invoices as they are shown, and the usage events behind each line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg

from authz import NotFound
from billing.lifecycles import INVOICE, InvoiceState
from billing.money import yuan
from billing.periods import Period
from billing.usage import reading
from billing.usage.cloudevents import COUNTED


def _document(row: asyncpg.Record) -> dict[str, Any]:
    label = INVOICE.states[InvoiceState(row["state"])]
    due = max(0, row["total_fen"] - row["credited_fen"] - row["paid_fen"])
    return {
        **dict(row), "due_fen": due, "total_yuan": yuan(row["total_fen"]), "due_yuan": yuan(due),
        "state_label_zh": label.zh, "state_label_en": label.en,
    }


async def show(tx: asyncpg.Connection, invoice_id: str) -> dict[str, Any]:
    """The invoice with its lines, credit notes and payments; raises NotFound."""
    row = await tx.fetchrow("SELECT * FROM billing.invoice WHERE id = $1", invoice_id)
    if row is None:
        raise NotFound
    lines = await tx.fetch("SELECT * FROM billing.invoice_line WHERE invoice_id = $1 ORDER BY line", invoice_id)
    notes = await tx.fetch(
        "SELECT id, number, total_fen, net_fen, tax_fen, reason, issued_at FROM billing.credit_note"
        " WHERE invoice_id = $1 ORDER BY id",
        invoice_id,
    )
    payments = await tx.fetch(
        """
        SELECT p.id, p.provider, p.external_id, p.amount_fen, p.received_on, p.payer, p.reference,
            sum(a.amount_fen)::bigint AS applied_fen
        FROM billing.payment_allocation a JOIN billing.payment p ON p.id = a.payment_id
        WHERE a.invoice_id = $1 GROUP BY p.id ORDER BY p.id
        """,
        invoice_id,
    )
    usage = await tx.fetch(
        """
        SELECT b.grant_id, b.usage_period, b.rows_total, b.calls_total,
            (SELECT count(*) FROM billing.usage_event e WHERE e.subject = b.grant_id
                AND e.number > b.after_number AND e.number <= b.up_to_number
                AND e.time >= billing.usage_month_start(to_date(b.usage_period, 'YYYY-MM'))
                AND e.time < billing.usage_month_start((to_date(b.usage_period, 'YYYY-MM') + interval '1 month')::date))
                AS events,
            EXISTS (SELECT FROM billing.usage_archive a WHERE a.state = 'archived'
                AND a.month = to_date(b.usage_period, 'YYYY-MM')) AS archived
        FROM billing.billed_usage b WHERE b.invoice_id = $1 ORDER BY 1, 2, b.closed_period
        """,
        invoice_id,
    )
    return _document(row) | {
        "lines": [{k: v for k, v in line.items() if k != "invoice_id"} for line in lines],
        "credit_notes": [dict(n) for n in notes], "payments": [dict(p) for p in payments],
        "usage": [dict(u) for u in usage],
        "usage_href": f"/v1/invoices/{invoice_id}/usage",
    }


async def listed(
    tx: asyncpg.Connection, parties: frozenset[str] | None, state: str | None, period: str | None, limit: int,
    after: str | None,
) -> list[dict[str, Any]]:
    """Invoices, newest first; of ``parties`` only, or of everybody when None."""
    rows = await tx.fetch(
        "SELECT * FROM billing.invoice WHERE ($1::text[] IS NULL OR party_id = ANY($1))"
        " AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR period = $3)"
        " AND ($4::text IS NULL OR id < $4) ORDER BY id DESC LIMIT $5",
        None if parties is None else list(parties), state, period, after, limit,
    )
    return [_document(row) for row in rows]


async def party_of(tx: asyncpg.Connection, invoice_id: str) -> str:
    """Whose invoice it is; raises NotFound."""
    party: str | None = await tx.fetchval("SELECT party_id FROM billing.invoice WHERE id = $1", invoice_id)
    if party is None:
        raise NotFound
    return party


async def usage_page(
    tx: asyncpg.Connection, folder: str | None, invoice_id: str, line: int | None, limit: int, after: int
) -> list[dict[str, Any]]:
    """Usage events behind an invoice (or one line's grant and month), in the order they were recorded."""
    return [_event(row) for row in await reading.page(
        tx, folder, await behind(tx, invoice_id, line), after=after, limit=limit
    )]


async def behind(tx: asyncpg.Connection, invoice_id: str, line: int | None) -> list[reading.Span]:
    """Which events stand behind an invoice or one of its lines: those between two closes, of grant and month.

    Raises NotFound for a line that the invoice does not have. A flat fee has no events behind it.
    """
    if line is not None and not await tx.fetchval(
        "SELECT EXISTS (SELECT FROM billing.invoice_line WHERE invoice_id = $1 AND line = $2)", invoice_id, line
    ):
        raise NotFound
    rows = await tx.fetch(
        """
        SELECT b.* FROM billing.billed_usage b WHERE b.invoice_id = $1 AND ($2::int IS NULL OR EXISTS (
            SELECT 1 FROM billing.invoice_line l WHERE l.invoice_id = $1 AND l.line = $2 AND l.kind <> 'flat'
                AND l.grant_id = b.grant_id AND l.usage_period = b.usage_period))
        """,
        invoice_id, line,
    )
    found = []
    for row in rows:
        month = Period.parse(row["usage_period"])
        found.append(reading.Span(
            row["grant_id"], month.starts_at, month.ends_at, row["after_number"], row["up_to_number"]
        ))
    return found


COLUMNS = ("number", "source", "id", "grant_id", "usage_period", "time", "resource_id", "rows", "calls", "bytes")
CSV_PAGE = 20_000


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: row[name] for name in ("number", "source", "id", "type", "time", "resource_id", *COUNTED)}
    return facts | {
        "grant_id": row["subject"], "usage_period": str(Period.of(row["time"])), "corrects_id": row["corrects_id"],
    }


async def usage_csv(
    tx: asyncpg.Connection, folder: str | None, invoice_id: str, line: int | None = None
) -> AsyncIterator[str]:
    """All usage events behind an invoice, or one of its lines, as CSV, a header first."""
    spans = await behind(tx, invoice_id, line)
    yield ",".join((*COLUMNS, "corrects_id")) + "\r\n"
    after = 0
    while rows := await reading.page(tx, folder, spans, after=after, limit=CSV_PAGE):
        found = [_event(row) for row in rows]
        yield "".join(
            ",".join(_cell(one[name]) for name in (*COLUMNS, "corrects_id")) + "\r\n" for one in found
        )
        after = found[-1]["number"]


def _cell(value: Any) -> str:
    """Quoted where needed; text that a spreadsheet would run as a formula gets a leading apostrophe."""
    if value is None:
        return ""
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    if not isinstance(value, int) and text[:1] in ("=", "+", "-", "@", "\t"):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text
