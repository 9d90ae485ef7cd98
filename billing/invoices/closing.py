"""Closing a month: one invoice per party, its ledger entries, and the record of what was billed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

import asyncpg

from authz import Call, Runtime, beijing_date, new_id
from billing import ledger
from billing.acting import Act
from billing.catalogue import is_open
from billing.errors import EarlierPeriodOpen, PeriodNotEnded, PeriodPassed, PricingMissing
from billing.invoices import reductions, usage
from billing.invoices.lines import Line, Use, grant_lines, with_tax
from billing.invoices.reductions import Billed
from billing.licences import BillableGrant, billable_grants
from billing.lifecycles import INVOICE, InvoiceEvent, InvoiceState
from billing.money import CURRENCY
from billing.periods import Period
from billing.pricing import Pricing, UseClass
from billing.rows import one
from billing.tax import Split
from billing.taxes import rate_in_force

PAYMENT_DAYS = 30
"""Calendar days from issue to due date. Our choice; agreements name it."""


class CutTooOld(Exception):
    """Another close went by between the cut and the lock: take a new cut."""


async def close_period(runtime: Runtime, call: Call, period: Period) -> dict[str, Any]:
    """Close a month and issue its invoices; closing it again answers the same and changes nothing.

    Refused in this order: right, a month that has not ended, months closed out of order, deliveries under way.
    Two closes at once wait for each other; the second finds the month closed.
    """
    while True:
        async with runtime.transaction() as tx:
            act = Act(tx, call, runtime.audit)
            act.require("invoice:close")
            if known := await closed(tx, period):
                return known | {"already_closed": True}
            if period.ends_at > act.now:
                raise PeriodNotEnded(period=str(period), ends_at=period.ends_at.isoformat())
            cut = await usage.take_cut(tx, period)
        try:
            async with runtime.transaction() as tx:
                return await _close(Act(tx, call, runtime.audit), period, cut)
        except CutTooOld:
            continue


async def closed(tx: asyncpg.Connection, period: Period) -> dict[str, Any] | None:
    """The close of a period, or None while it is open."""
    row = await tx.fetchrow(
        "SELECT period, closed_at, invoices, total_fen, tax_rate_bp FROM billing.period_close WHERE period = $1",
        str(period),
    )
    return dict(row) if row else None


async def _close(act: Act, period: Period, cut: int) -> dict[str, Any]:
    await act.tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('billing.close', 0))")
    if known := await closed(act.tx, period):
        return known | {"already_closed": True}
    last = await one(
        act.tx, "SELECT max(period) AS period, coalesce(max(usage_cut), 0) AS cut FROM billing.period_close"
    )
    if cut < last["cut"]:
        raise CutTooOld
    await _refuse_out_of_order(act.tx, period, last["period"])
    tax_bp = await rate_in_force(act.tx, period.last_on)
    drafts = await _drafts(act, period, last["cut"], cut)
    with_lines = (draft for draft in drafts if draft.lines)
    invoices = [_invoice(act, period, number, draft, tax_bp) for number, draft in enumerate(with_lines, start=1)]
    total = sum(invoice.total_fen for invoice in invoices)
    await act.tx.execute(
        "INSERT INTO billing.period_close (period, closed_by, closed_at, tax_rate_bp, invoices, total_fen, usage_cut)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        str(period), act.who.user_id, act.now, tax_bp, len(invoices), total, cut,
    )
    await _write(act, period, invoices)
    await _remember(act, period, drafts, {i.draft.party_id: i.id for i in invoices}, cut)
    for draft in drafts:
        await reductions.credit(act, draft.uses)
    await act.record(
        "period.closed", str(period),
        details={"invoices": len(invoices), "total_fen": total, "usage_cut": cut, "tax_rate_bp": tax_bp},
    )
    found = await closed(act.tx, period)
    return (found or {}) | {"already_closed": False}


async def _refuse_out_of_order(tx: asyncpg.Connection, period: Period, last: str | None) -> None:
    if last is not None:
        if str(period) < last:
            raise PeriodPassed(period=str(period))
        following = Period.parse(last).following()
        if period != following:
            raise EarlierPeriodOpen(period=str(following))
        return
    first = await usage.earliest_unbilled(tx, 0)
    if first is not None and first < str(period):
        raise EarlierPeriodOpen(period=first)


@dataclass(frozen=True)
class Draft:
    """The lines of one party, and the use that they bill, before tax."""

    party_id: str
    party_name: str
    lines: tuple[Line, ...]
    uses: tuple[Billed, ...]


async def _drafts(act: Act, period: Period, after: int, cut: int) -> list[Draft]:
    uses = await _uses(act.tx, await usage.monthly_use(act.tx, period, after, cut), after)
    grants = await billable_grants(act.tx, list(uses), period.starts_at, period.ends_at)
    prices = await _prices(act.tx, grants)
    drafts = []
    for (party_id, name), group in groupby(grants, key=lambda g: (g.party_id, g.party_name)):
        lines: list[Line] = []
        billed: list[Billed] = []
        for grant in group:
            pricing = prices.get(grant.id)
            lines += grant_lines(grant, pricing, str(period), uses.get(grant.id, ()))
            billed += [Billed(grant, pricing, use) for use in uses.get(grant.id, ())]
        if lines or any(one.is_less or one.use.billed_by for one in billed):
            drafts.append(Draft(party_id, name, tuple(lines), tuple(billed)))
    return drafts


async def _uses(
    tx: asyncpg.Connection, monthly: Sequence[usage.MonthlyUse], after: int
) -> dict[str, list[Use]]:
    """Per grant its months: sums since the last close added to what was billed of them before."""
    before = {
        (row["grant_id"], row["usage_period"]): row
        for row in await tx.fetch(
            """
            SELECT DISTINCT ON (b.grant_id, b.usage_period) b.* FROM billing.billed_usage b
            JOIN unnest($1::text[], $2::text[]) AS k (grant_id, usage_period) USING (grant_id, usage_period)
            ORDER BY b.grant_id, b.usage_period, b.closed_period DESC
            """,
            [use.grant_id for use in monthly], [use.usage_period for use in monthly],
        )
    }
    found: dict[str, list[Use]] = defaultdict(list)
    for use in monthly:
        old = before.get((use.grant_id, use.usage_period))
        rows, calls = (old["rows_total"], old["calls_total"]) if old else (0, 0)
        found[use.grant_id].append(
            Use(use.usage_period, rows, calls, rows + use.rows, calls + use.calls,
                old["up_to_number"] if old else 0, old["invoice_id"] if old else None)
        )
    return found


async def _prices(tx: asyncpg.Connection, grants: Sequence[BillableGrant]) -> Mapping[str, Pricing | None]:
    """The agreed price of each grant; None for free use. Raises PricingMissing for industry use without one."""
    rows = await tx.fetch(
        "SELECT v.rate_card_id, v.number, v.pricing FROM billing.rate_card_version v"
        " JOIN unnest($1::text[], $2::int[]) AS k (card, number) ON (v.rate_card_id, v.number) = (k.card, k.number)",
        [g.rate_card_id for g in grants], [g.rate_card_version for g in grants],
    )
    known = {(r["rate_card_id"], r["number"]): Pricing.model_validate(r["pricing"]) for r in rows}
    open_now = {r: await is_open(tx, r) for r in {g.resource_id for g in grants}}
    prices: dict[str, Pricing | None] = {}
    for grant in grants:
        if grant.use_class == UseClass.PUBLIC_INTEREST or open_now[grant.resource_id]:
            prices[grant.id] = None
            continue
        price = known.get((grant.rate_card_id or "", grant.rate_card_version or 0))
        if price is None:
            raise PricingMissing(grant_id=grant.id)
        prices[grant.id] = price
    return prices


@dataclass(frozen=True)
class NewInvoice:
    """An invoice about to be written."""

    id: str
    number: str
    draft: Draft
    lines: tuple[tuple[Line, Split], ...]
    tax_bp: int

    @property
    def total_fen(self) -> int:
        return sum(split.gross_fen for _, split in self.lines)

    @property
    def tax_fen(self) -> int:
        return sum(split.tax_fen for _, split in self.lines)

    @property
    def state(self) -> InvoiceState:
        if self.total_fen:
            return InvoiceState(INVOICE.initial)
        return InvoiceState(INVOICE.require(INVOICE.initial, InvoiceEvent.OWE_NOTHING).target)


def _invoice(act: Act, period: Period, number: int, draft: Draft, tax_bp: int) -> NewInvoice:
    label = f"ZD-{period.year}{period.month:02d}-{number:04d}"
    return NewInvoice(new_id("inv"), label, draft, tuple(with_tax(draft.lines, tax_bp)), tax_bp)


async def _write(act: Act, period: Period, invoices: Sequence[NewInvoice]) -> None:
    due_on = beijing_date(act.now) + timedelta(days=PAYMENT_DAYS)
    await act.tx.copy_records_to_table(
        "invoice", schema_name="billing",
        columns=["id", "number", "party_id", "party_name", "period", "state", "currency", "total_fen", "net_fen",
                 "tax_fen", "tax_rate_bp", "issued_at", "due_on"],
        records=[
            (i.id, i.number, i.draft.party_id, i.draft.party_name, str(period), i.state.value, CURRENCY, i.total_fen,
             i.total_fen - i.tax_fen, i.tax_fen, i.tax_bp, act.now, due_on)
            for i in invoices
        ],
    )
    await act.tx.copy_records_to_table(
        "invoice_line", schema_name="billing",
        columns=["invoice_id", "line", "kind", "grant_id", "resource_id", "resource_title", "holder_id", "use_class",
                 "rate_card_id", "rate_card_version", "usage_period", "meter", "tier", "from_unit", "quantity",
                 "unit_amount_fen", "per", "amount_fen", "net_fen", "tax_fen"],
        records=[
            _line_record(i.id, n, line, split) for i in invoices for n, (line, split) in enumerate(i.lines, start=1)
        ],
    )
    entries = [_entry(period, i) for i in invoices if i.total_fen]
    await ledger.post(act.tx, entries, act.who.user_id, act.now)
    for i in invoices:
        await act.record(
            "invoice.issued", i.id, organisation_id=i.draft.party_id,
            details={"number": i.number, "period": str(period), "total_fen": i.total_fen, "tax_fen": i.tax_fen,
                     "lines": len(i.lines)},
        )


async def _remember(
    act: Act, period: Period, drafts: Sequence[Draft], invoices: Mapping[str, str], cut: int
) -> None:
    """What of each month is billed now. Use that became less stands behind the invoice that had billed it."""
    records = []
    for draft in drafts:
        for billed in draft.uses:
            use = billed.use
            invoice = use.billed_by if billed.is_less else invoices.get(draft.party_id) or use.billed_by
            if invoice is not None:
                records.append((
                    billed.grant.id, use.usage_period, str(period), invoice, billed.meter, use.rows, use.calls,
                    use.after_number, cut,
                ))
    await act.tx.copy_records_to_table(
        "billed_usage", schema_name="billing",
        columns=["grant_id", "usage_period", "closed_period", "invoice_id", "meter", "rows_total", "calls_total",
                 "after_number", "up_to_number"],
        records=records,
    )


def _line_record(invoice_id: str, number: int, line: Line, split: Split) -> tuple[Any, ...]:
    grant, rated = line.grant, line.rated
    return (
        invoice_id, number, line.kind, grant.id, grant.resource_id, grant.resource_title, grant.holder_id,
        grant.use_class, grant.rate_card_id, grant.rate_card_version, line.usage_period, str(rated.meter), rated.tier,
        rated.from_unit, rated.quantity, rated.unit_amount_fen, rated.per, rated.amount_fen, split.net_fen,
        split.tax_fen,
    )


def _entry(period: Period, invoice: NewInvoice) -> ledger.Entry:
    revenue: dict[str, int] = defaultdict(int)
    for line, split in invoice.lines:
        revenue[line.grant.resource_id] += split.net_fen
    return ledger.Entry(
        key=f"invoice:{invoice.id}", kind="invoice", description=f"账单 {invoice.number}",
        legs=ledger.legs_of(
            (f"receivable:{invoice.draft.party_id}", invoice.total_fen),
            *((f"revenue:{resource}", -net) for resource, net in sorted(revenue.items())),
            ("vat_payable", -invoice.tax_fen),
        ),
        source_kind="invoice", source_id=invoice.id, period=str(period),
    )
