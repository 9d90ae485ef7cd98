"""Money as whole fen. Decimal inside a calculation, integers at rest, no float anywhere.

Every rounding in the package is one of the two functions here, so each can be named where it happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, NewType

from pydantic import Field, StrictInt

Fen = NewType("Fen", int)
"""An amount in fen (1/100 yuan), the minor unit of CNY."""

CURRENCY = "CNY"

FEN_MAX = 1_000_000_000_000
"""Ten billion yuan: no amount that a person may enter or an invoice may total is larger. Our choice."""

AmountFen = Annotated[StrictInt, Field(ge=1, le=FEN_MAX)]
"""A positive amount in a request body: 1.0, "1", true and 1.5 are all refused."""

PriceFen = Annotated[StrictInt, Field(ge=0, le=1_000_000_000)]
"""A price in a request body; zero is a price."""


class FractionOfFen(ValueError):
    """An amount that is not a whole number of fen reached a place that holds only whole ones."""


def whole_fen(value: int | Decimal) -> Fen:
    """The value as fen; raises FractionOfFen for a float, a bool or anything that is not a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise FractionOfFen(f"{type(value).__name__} is not an amount in fen")
    if value != int(value):
        raise FractionOfFen(f"{value} is not a whole number of fen")
    return Fen(int(value))


def round_half_up(value: Decimal) -> Fen:
    """四舍五入 to the fen, away from zero at exactly half: the rounding of the e-fapiao rules."""
    return Fen(int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP)))


def largest_remainder(total: int, weights: Sequence[int]) -> list[Fen]:
    """Split ``total`` fen by integer weights so that the parts sum exactly to it.

    Each part gets its floor; what is left goes one fen each to the largest remainders, the first in order
    winning a tie. A negative total is split as its mirror image. Raises ValueError when no weight is positive.
    """
    whole = sum(weights)
    if whole <= 0 or any(weight < 0 for weight in weights):
        raise ValueError("weights must not be negative and must sum to more than zero")
    if total < 0:
        return [Fen(-part) for part in largest_remainder(-total, weights)]
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return [Fen(part) for part in parts]


def yuan(fen: int) -> str:
    """The amount as people write it, ``-1234567`` as ``-12,345.67``."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"
