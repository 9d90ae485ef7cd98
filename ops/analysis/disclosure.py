"""Disclosure control: which groups may be shown, and by how much their figures are blurred. Pure functions.

Threats and what answers them. A small group: the floor, and a second group withheld when the remainder of a total would
give the first away. Two queries that differ in one condition: every condition must set no record apart or at least as
many as the floor. More queries than that, cleverly overlapping: noise that is fixed by the set of records, so that
the same records always give the same answer and other sets an unrelated one; a budget a day keeps it from being
averaged away. One record that makes up a sum: the sum is withheld.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from ops.analysis.limits import AnalysisLimits
from ops.analysis.query import AnalysisQuery
from ops.analysis.refusals import SinglesOut, TooFewRows

Row = Mapping[str, Any]
STEPS = 2**32


@dataclass(frozen=True)
class Answer:
    """Rows of outputs in the order asked for; ``withheld`` groups existed but may not be shown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    withheld: int


def require_sizes(sizes: Row, query: AnalysisQuery, limits: AnalysisLimits) -> None:
    """Raise TooFewRows or SinglesOut when the matching records, or those a condition sets apart, are too few."""
    matched = int(sizes["matched"])
    if matched < limits.floor:
        raise TooFewRows(floor=limits.floor)
    for place, condition in enumerate(query.conditions):
        if 0 < int(sizes[f"without_{place}"]) - matched < limits.floor:
            raise SinglesOut(field=condition.column)
    if 0 < int(sizes["total"]) - matched < limits.floor:
        raise SinglesOut(field=query.conditions[-1].column)


def shown(rows: Sequence[Row], limits: AnalysisLimits) -> list[Row]:
    """The groups that may be shown: none below the floor, and no remainder below it that a total would give away."""
    large = sorted((one for one in rows if one["size"] >= limits.floor), key=lambda one: (one["size"], one["rows"]))
    hidden = sum(one["size"] for one in rows if one["size"] < limits.floor)
    while 0 < hidden < limits.floor and large:
        hidden += large.pop(0)["size"]
    return large


def answer(rows: Sequence[Row], query: AnalysisQuery, limits: AnalysisLimits, salt: str) -> Answer:
    """What is told: the shown groups with blurred figures, ordered and cut as asked."""
    visible = shown(rows, limits)
    made = [_figures(one, query, limits, salt) for one in visible]
    for name, descending in reversed(query.order):
        made.sort(key=lambda one, name=name: _sort_key(one[name]), reverse=descending)  # type: ignore[misc]
    if not query.order:
        made.sort(key=lambda one: [_sort_key(one[group.name]) for group in query.groups])
    cut = made[: query.limit]
    return Answer(
        query.outputs, tuple(tuple(one[name] for name in query.outputs) for one in cut), len(rows) - len(visible)
    )


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value is None, str(value) if isinstance(value, bool) else value if value is not None else 0)


def _figures(row: Row, query: AnalysisQuery, limits: AnalysisLimits, salt: str) -> dict[str, Any]:
    found: dict[str, Any] = {group.name: _plain(row[f"g{n}"]) for n, group in enumerate(query.groups)}
    for n, one in enumerate(query.aggregates):
        values = int(row[f"c{n}"])
        blur = _noise(salt, row["rows"], row["size"], one.column or "*", limits.noise)
        if one.function == "count":
            # of how many values there are nothing is told between none and the floor
            small = one.column is not None and 0 < row["size"] - values < limits.floor
            told = int(row[f"v{n}"])
            found[one.name] = None if small or 0 < values < limits.floor else max(0, told + _whole(blur)) if told else 0
            continue
        found[one.name] = _sum(row, n, values, blur, limits) if one.function == "sum" else (
            _average(row, n, values, blur, limits)
        )
    return found


def _withheld(row: Row, n: int, values: int, limits: AnalysisLimits) -> bool:
    """Too few values, too few without one, or one that makes up too much of the whole."""
    if values < limits.floor or 0 < row["size"] - values < limits.floor:
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


def _noise(salt: str, rows: int, size: int, about: str, most: int) -> Decimal:
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
