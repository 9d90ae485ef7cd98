"""Rating: from a price and a quantity to lines. Pure, exact, the same for the same inputs for ever."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from billing.errors import QuantityTooLarge
from billing.money import Fen, round_half_up
from billing.pricing import QUANTITY_MAX, Meter, Pricing


@dataclass(frozen=True)
class RatedLine:
    """计费明细: ``quantity`` units in one tier (or one month of a flat fee) and what they cost, tax included."""

    tier: int
    """1 for the first tier; 0 for the flat fee."""
    meter: str
    quantity: int
    from_unit: int
    """The first unit of the line, counted from 1; 0 for the flat fee."""
    unit_amount_fen: int
    per: int
    amount_fen: Fen


@dataclass(frozen=True)
class RatedLines:
    lines: tuple[RatedLine, ...]

    @property
    def total_fen(self) -> Fen:
        return Fen(sum(line.amount_fen for line in self.lines))


def rate(pricing: Pricing, quantity: int, *, flat: bool = True) -> RatedLines:
    """Price ``quantity`` units of one month.

    A unit belongs to the tier in which it falls (graduated: crossing an edge never reprices earlier units).
    Units are prorated exactly within ``per``; each tier's line is rounded half-up once. Lines of tiers that were
    not reached are left out. ``flat`` False leaves out the flat fee. Raises QuantityTooLarge.
    """
    if not 0 <= quantity <= QUANTITY_MAX:
        raise QuantityTooLarge(quantity=quantity, limit=QUANTITY_MAX)
    lines = []
    if flat and (pricing.flat_fen or not pricing.tiers):
        lines.append(RatedLine(0, Meter.MONTHS, 1, 0, pricing.flat_fen, 1, Fen(pricing.flat_fen)))
    below = 0
    for number, tier in enumerate(pricing.tiers, start=1):
        upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
        units = upper - below
        if units > 0:
            amount = round_half_up(Decimal(units) * tier.amount_fen / tier.per)
            lines.append(
                RatedLine(number, pricing.meter, units, below + 1, tier.amount_fen, tier.per, amount)
            )
            below = upper
    return RatedLines(tuple(lines))


def rate_added(pricing: Pricing, billed: int, now: int) -> RatedLines:
    """What units ``billed + 1 .. now`` add to a month already billed up to ``billed``: late usage, no flat fee.

    Lines are the difference of the two ratings tier by tier, so the month costs in total exactly what it would
    have cost had all its usage been known at once.
    """
    before = {line.tier: line for line in rate(pricing, billed, flat=False).lines}
    lines = []
    for line in rate(pricing, now, flat=False).lines:
        old = before.get(line.tier)
        units = line.quantity - (old.quantity if old else 0)
        if units:
            first = line.from_unit + (old.quantity if old else 0)
            amount = Fen(line.amount_fen - (old.amount_fen if old else 0))
            lines.append(
                RatedLine(line.tier, line.meter, units, first, line.unit_amount_fen, line.per, amount)
            )
    return RatedLines(tuple(lines))
