"""Invoice lines: from a grant's use of a month, and what of it was billed before, to priced lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from billing.licences import BillableGrant
from billing.pricing import FREE, Pricing
from billing.rating import RatedLine, rate, rate_added
from billing.tax import Split, split_lines


@dataclass(frozen=True)
class Use:
    """Use of one grant in one month: what earlier closes billed and what is known now."""

    usage_period: str
    billed_rows: int
    billed_calls: int
    rows: int
    calls: int
    after_number: int
    billed_by: str | None = None
    """The invoice that billed the month last, None when none did."""

    def added(self, meter: str) -> int:
        """What came to a meter since the last bill; negative after corrections."""
        billed, now = self.quantity(meter)
        return now - billed

    def quantity(self, meter: str) -> tuple[int, int]:
        """(billed, now) of a meter."""
        return (self.billed_calls, self.calls) if meter == "calls" else (self.billed_rows, self.rows)


@dataclass(frozen=True)
class Line:
    """A line before its tax is known."""

    grant: BillableGrant
    kind: str
    usage_period: str
    rated: RatedLine


def grant_lines(grant: BillableGrant, pricing: Pricing | None, period: str, uses: Sequence[Use]) -> list[Line]:
    """Lines of one grant at the close of ``period``; ``pricing`` None is free and metered.

    The period's own use is rated whole, with the month's flat fee; late use of earlier months becomes adjustments at
    the same price. Use of earlier months that turned out to be less makes no line: it is credited (``reductions``).
    A free grant has one line of zero per month that shows its quantity.
    """
    price = pricing or FREE
    found: list[Line] = []
    own = next((use for use in uses if use.usage_period == period), None)
    if price.is_free:
        found += [
            _free_line(grant, use, period, price) for use in uses
            if (use.rows or use.calls) and (use.usage_period == period or use.added(price.meter) > 0)
        ]
        return found
    quantity = own.quantity(price.meter)[1] if own else 0
    for rated in rate(price, quantity).lines:
        found.append(Line(grant, "usage" if rated.tier else "flat", period, rated))
    for use in uses:
        if use.usage_period != period:
            billed, now = use.quantity(price.meter)
            if now > billed:
                found += [
                    Line(grant, "adjustment", use.usage_period, rated)
                    for rated in rate_added(price, billed, now).lines
                ]
    return found


def _free_line(grant: BillableGrant, use: Use, period: str, price: Pricing) -> Line:
    billed, now = use.quantity(price.meter)
    kind = "usage" if use.usage_period == period else "adjustment"
    one = rate(Pricing(kind="per_unit", meter=price.meter, tiers=FREE_TIERS), now - billed).lines
    rated = one[0] if one else RatedLine(1, price.meter, 0, 0, 0, 1, rate(FREE, 0).total_fen)
    return Line(grant, kind, use.usage_period, rated)


FREE_TIERS: Any = ({"up_to": None, "amount_fen": 0, "per": 1},)


def with_tax(lines: Sequence[Line], rate_bp: int) -> list[tuple[Line, Split]]:
    """Each line with its net and tax, summing to those of the invoice's total."""
    splits = split_lines([line.rated.amount_fen for line in lines], rate_bp)
    return list(zip(lines, splits, strict=True))
