"""What a grant says of how fields are shown and which rows: masks and row filters. Plain values, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

MASK_KINDS: Mapping[str, tuple[str, ...]] = {
    "generalise_number": (),
    "generalise_date": ("year", "quarter", "month"),
    "generalise_region": ("2", "4", "6", "9"),
    "partial": ("name", "phone", "id", "middle"),
    "hash": ("",),
    "null": ("",),
    "hide": ("",),
}
"""Kinds from the weakest to the strongest, with the details each allows (numbers: any step above 0)."""

_STEP = re.compile(r"[1-9][0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class Mask:
    """How a field is shown: written ``kind`` or ``kind:detail``.

    ``hide`` leaves the column out; ``null`` keeps it empty; ``hash`` is keyed with the grant's salt, so equal
    values stay joinable inside one grant and nowhere else; ``partial:name|phone|id|middle`` keeps the ends;
    ``generalise_date:year|quarter|month``, ``generalise_number:<step>``, ``generalise_region:<digits kept>``.
    """

    kind: str
    detail: str = ""

    @classmethod
    def parse(cls, text: str) -> Mask:
        """Read a mask as it is written in a grant; raises ValueError for any that is not known."""
        return _parsed_mask(str(text))

    @classmethod
    def _read(cls, text: str) -> Mask:
        kind, _, detail = str(text).partition(":")
        if kind == "partial" and not detail:
            detail = "middle"
        known = MASK_KINDS.get(kind)
        if known is None:
            raise ValueError(f"unknown mask: {kind}")
        if kind == "generalise_number":
            if not _STEP.fullmatch(detail):
                raise ValueError("generalise_number needs a whole step above 0")
        elif detail not in known:
            raise ValueError(f"unknown detail of mask {kind}: {detail}")
        return cls(kind, detail)

    @property
    def strength(self) -> int:
        """Order between kinds: a grant may make a field's own mask stronger, never weaker."""
        return list(MASK_KINDS).index(self.kind)

    def __str__(self) -> str:
        return f"{self.kind}:{self.detail}" if self.detail else self.kind

    @property
    def text(self) -> str:
        """As it is written, without making it anew each time."""
        return _written_mask(self)


@lru_cache(maxsize=1_024)
def _written_mask(mask: Mask) -> str:
    return str(mask)


@lru_cache(maxsize=1_024)
def _parsed_mask(text: str) -> Mask:
    return Mask._read(text)


FilterOp = Literal["eq", "in", "prefix", "gte", "lte"]
FILTER_OPS: tuple[str, ...] = get_args(FilterOp)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """One condition on rows. ``value`` is a scalar, or a tuple of scalars for ``in``. Several are AND-ed."""

    field: str
    op: str
    value: Any

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RowFilter:
        """Read ``{field, op, value}``; raises ValueError for an unknown operator or a value that does not fit."""
        op, value = str(document["op"]), document["value"]
        if op not in FILTER_OPS:
            raise ValueError(f"unknown filter operator: {op}")
        if op == "in":
            if not isinstance(value, list | tuple) or not value:
                raise ValueError("'in' needs a list with at least one value")
            value = tuple(value)
        scalars = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(scalar, str | int | float | bool) for scalar in scalars):
            raise ValueError("a filter compares with text, numbers or truth values")
        return cls(str(document["field"]), op, value)

    def as_document(self) -> dict[str, Any]:
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"field": self.field, "op": self.op, "value": value}
