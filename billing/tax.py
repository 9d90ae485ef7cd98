"""Value added tax on tax-inclusive prices, by the arithmetic of electronic invoices (数电发票).

Source: Kingdee piaozone open interface, article 144778540. The rate itself is configuration
(``billing.tax_rate``), because no statutory text was at hand when this was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.money import Fen, largest_remainder, round_half_up

BASIS_POINTS = 10_000
LINE_TOLERANCE_FEN = 6
"""|net x rate - tax| of one line may be at most 0.06 yuan (same source)."""


@dataclass(frozen=True)
class Split:
    """A tax-inclusive amount taken apart: ``gross = net + tax``, all in fen."""

    gross_fen: Fen
    net_fen: Fen
    tax_fen: Fen


def split_gross(gross_fen: int, rate_bp: int) -> Split:
    """Net is gross / (1 + rate), rounded half-up; tax is the difference."""
    net = round_half_up(Decimal(gross_fen) * BASIS_POINTS / (BASIS_POINTS + rate_bp))
    return Split(Fen(gross_fen), net, Fen(gross_fen - net))


def within_tolerance(split: Split, rate_bp: int) -> bool:
    """Whether one line may stand on an electronic invoice: positive net, tax near net x rate."""
    if split.gross_fen == 0:
        return split.tax_fen == 0
    off = abs(Decimal(split.net_fen) * rate_bp / BASIS_POINTS - split.tax_fen)
    return split.net_fen > 0 and split.tax_fen >= 0 and off <= LINE_TOLERANCE_FEN


def split_lines(gross_fen: Sequence[int], rate_bp: int) -> list[Split]:
    """Split each line so that net and tax sum to the split of the total.

    Lines round half-up; the last chargeable line takes the total tax less the others'. When that would push the
    last line out of tolerance (many tiny lines), the total tax is spread over the lines by largest remainder.
    """
    splits = [split_gross(gross, rate_bp) for gross in gross_fen]
    total = split_gross(sum(gross_fen), rate_bp)
    chargeable = [i for i, gross in enumerate(gross_fen) if gross > 0]
    if not chargeable:
        return splits
    last = chargeable[-1]
    tax = total.tax_fen - sum(s.tax_fen for i, s in enumerate(splits) if i != last)
    remainder = Split(Fen(gross_fen[last]), Fen(gross_fen[last] - tax), Fen(tax))
    if within_tolerance(remainder, rate_bp):
        splits[last] = remainder
        return splits
    taxes = largest_remainder(total.tax_fen, list(gross_fen))
    return [Split(Fen(g), Fen(g - t), t) for g, t in zip(gross_fen, taxes, strict=True)]
