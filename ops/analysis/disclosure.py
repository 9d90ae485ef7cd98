"""Disclosure control: which groups may be shown, and by how much their figures are blurred. Pure functions.

Threats and what answers them. A small group: the floor. Two queries that differ in one condition: a condition that sets
fewer records apart than the floor falls away, and a set that comes nearer than that to what was told before is answered
as that one (``asking``, ``nearness``). Refusals as an oracle: none of this is refused, and nothing is told of how many
groups were left out, so that none and a few look the same. More queries, cleverly overlapping: noise that is fixed by
the set of records, so that the same records always give the same answer and other sets an unrelated one; it grows with
the questions, and a budget a day bounds them, so that averaging is slow. One record that makes up a sum: the sum is
withheld.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from math import ceil
from typing import Any

from ops.analysis.limits import AnalysisLimits
from ops.analysis.query import Aggregate, AnalysisQuery

Row = Mapping[str, Any]
STEPS = 2**32


@dataclass(frozen=True)
class Answer:
    """Rows of outputs in the order asked for; ``withheld`` groups existed but may not be shown: that
    is for the records of the department, not for who asked."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    withheld: int
    blurred: int
    """The most, in records, by which any of these figures is blurred either way."""


def shown(rows: Sequence[Row], limits: AnalysisLimits) -> list[Row]:
    """The groups that may be shown: none below the floor.

    No other is left out to make up for it, for its absence would tell that a small one is there. What a total leaves
    beside all that are shown is blurred by the noise of every one of them. How many were left out is not told either.
    """
    return [one for one in rows if one["size"] >= limits.floor]


def answer(
    visible: Sequence[Row], query: AnalysisQuery, limits: AnalysisLimits, salt: str, groups: int
) -> Answer:
    """What is told: the visible of so many groups with blurred figures, ordered and cut as asked."""
    made = [_figures(one, query, limits, salt) for one in visible]
    for name, descending in reversed(query.order):
        made.sort(key=lambda one, name=name: _sort_key(one[name]), reverse=descending)  # type: ignore[misc]
    if not query.order:
        made.sort(key=lambda one: [_sort_key(one[group.name]) for group in query.groups])
    cut = made[: query.limit]
    return Answer(
        query.outputs, tuple(tuple(one[name] for name in query.outputs) for one in cut), groups - len(visible),
        ceil(max((most_noise(one, limits) for one in visible), default=limits.noise)),
    )


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value is None, str(value) if isinstance(value, bool) else value if value is not None else 0)


def _figures(row: Row, query: AnalysisQuery, limits: AnalysisLimits, salt: str) -> dict[str, Any]:
    found: dict[str, Any] = {group.name: _plain(row[f"g{n}"]) for n, group in enumerate(query.groups)}
    for n, one in enumerate(query.aggregates):
        values = int(row[f"c{n}"])
        blur = _noise(salt, row["rows"], row["size"], one.column or "*", most_noise(row, limits))
        if one.function == "count":
            found[one.name] = _count(row, n, one, blur, limits)
            continue
        found[one.name] = _sum(row, n, values, blur, limits) if one.function == "sum" else (
            _average(row, n, values, blur, limits)
        )
    return found


def _count(row: Row, n: int, one: Aggregate, blur: Decimal, limits: AnalysisLimits) -> int:
    """Fewer values than the floor are as none; fewer without one than the floor as none without."""
    values, told = int(row[f"c{n}"]), int(row[f"v{n}"])
    if values < limits.floor:
        return 0
    if not one.distinct and row["size"] - values < limits.floor:
        told = row["size"]
    return max(0, told + _whole(blur))


def _withheld(row: Row, n: int, values: int, limits: AnalysisLimits) -> bool:
    """Too few values, or one that makes up too much of the whole."""
    if values < limits.floor:
        return True
    return bool(row[f"m{n}"] > Decimal(str(limits.dominance)) * row[f"b{n}"])


def _sum(row: Row, n: int, values: int, blur: Decimal, limits: AnalysisLimits) -> Decimal | None:
    """The sum, blurred by as many times the mean of the absolute values as records would be by count."""
    if _withheld(row, n, values, limits):
        return None
    return _rounded(row[f"v{n}"] + blur * row[f"b{n}"] / values)


def _average(row: Row, n: int, values: int, blur: Decimal, limits: AnalysisLimits) -> Decimal | None:
    if _withheld(row, n, values, limits):
        return None
    return _rounded((row[f"v{n}"] + blur * row[f"b{n}"] / values) / values)


def most_noise(row: Row, limits: AnalysisLimits) -> Decimal:
    """The noise of a set: more of it, the more sets were told before (``rank``)."""
    return limits.noise * (1 + Decimal(row.get("rank", 0)) / limits.fresh).sqrt()


def _noise(salt: str, rows: int, size: int, about: str, most: Decimal) -> Decimal:
    """Between -most and most, fixed by the set of records and the column under the grant's own key."""
    told = hmac.new(salt.encode(), f"analysis\0{rows}\0{size}\0{about}".encode(), hashlib.sha256).digest()
    step = int.from_bytes(told[:4], "big")
    return (Decimal(2 * step) / Decimal(STEPS - 1) - 1) * most


def _whole(blur: Decimal) -> int:
    return int(blur.quantize(Decimal(1), ROUND_HALF_EVEN))


def _rounded(value: Decimal) -> Decimal:
    """Six significant digits: more would only print the noise."""
    if not value:
        return Decimal(0)
    return value.quantize(Decimal(1).scaleb(value.adjusted() - 5), ROUND_HALF_EVEN)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value
