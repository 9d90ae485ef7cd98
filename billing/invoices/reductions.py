"""Use of a closed month that turned out to be less, by corrections: credited line by line, never a negative line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from billing.acting import Act
from billing.invoices import credit as credit_notes
from billing.invoices import state
from billing.invoices.credit import LineCredit
from billing.invoices.lines import Use
from billing.licences import BillableGrant
from billing.pricing import Pricing
from billing.rating import rate

REASON = "用量更正：{period} 由 {billed} 更正为 {now}（usage of {period} corrected from {billed} to {now}）"


@dataclass(frozen=True)
class Billed:
    """What a close says of one grant's month; ``pricing`` None is free and metered."""

    grant: BillableGrant
    pricing: Pricing | None
    use: Use

    @property
    def meter(self) -> str:
        return self.pricing.meter if self.pricing else "rows"

    @property
    def is_less(self) -> bool:
        """Whether less was used than had been billed."""
        return self.use.billed_by is not None and self.use.added(self.meter) < 0


def owed_back(pricing: Pricing, billed: int, now: int) -> dict[int, int]:
    """Fen per tier that ``billed`` units had cost more than ``now`` units do, ``now`` being fewer. Pure.

    The difference of the two ratings tier by tier, so that bill and credit together are what one bill of the true
    quantity would have been.
    """
    after = {line.tier: line.amount_fen for line in rate(pricing, now, flat=False).lines}
    before = {line.tier: line.amount_fen for line in rate(pricing, billed, flat=False).lines}
    return {tier: amount - after.get(tier, 0) for tier, amount in before.items() if amount > after.get(tier, 0)}


async def credit(act: Act, uses: Sequence[Billed]) -> None:
    """Credit notes for what earlier invoices billed too much of the uses that became less."""
    for one in uses:
        if not one.is_less or one.pricing is None or one.pricing.is_free:
            continue
        billed, now = one.use.quantity(one.meter)
        by_invoice, short = await _spread(act, one, owed_back(one.pricing, billed, now))
        reason = REASON.format(period=one.use.usage_period, billed=billed, now=now)
        for invoice_id, lines in by_invoice.items():
            await credit_notes.write(act, await state.locked(act.tx, invoice_id), lines, reason)
        if short:
            await act.record(
                "invoice.credited_before", one.use.billed_by or "", organisation_id=one.grant.party_id, reason=reason,
                details={"grant_id": one.grant.id, "already_credited_fen": short},
            )


async def _spread(act: Act, one: Billed, back: dict[int, int]) -> tuple[dict[str, list[LineCredit]], int]:
    """The amounts over the lines that had billed them, the newest first; and what had been credited by hand before."""
    rows = await act.tx.fetch(
        """
        SELECT l.invoice_id, l.line, l.tier, l.amount_fen - coalesce((
            SELECT sum(n.amount_fen) FROM billing.credit_note_line n
            WHERE n.invoice_id = l.invoice_id AND n.line = l.line), 0)::bigint AS left_fen
        FROM billing.invoice_line l JOIN billing.invoice i ON i.id = l.invoice_id
        WHERE l.grant_id = $1 AND l.usage_period = $2 AND l.kind IN ('usage', 'adjustment')
        ORDER BY i.period DESC, l.line
        """,
        one.grant.id, one.use.usage_period,
    )
    found: dict[str, list[LineCredit]] = defaultdict(list)
    rest = dict(back)
    for row in rows:
        amount = min(rest.get(row["tier"], 0), row["left_fen"])
        if amount > 0:
            rest[row["tier"]] -= amount
            found[row["invoice_id"]].append(LineCredit(row["line"], amount))
    return found, sum(rest.values())
