"""What a price is: a flat monthly fee, one price per unit, or graduated tiers; and its ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from authz import Reason
from billing.money import PriceFen, yuan

QUANTITY_MAX = 1_000_000_000_000
"""Rows or calls of one grant in one month; more is a fault, not a bill. Our choice."""

PositiveCount = Annotated[StrictInt, Field(ge=1, le=QUANTITY_MAX)]


class UseClass(StrEnum):
    """用途类别 [发改价格〔2025〕65号]: decides between free and charged."""

    PUBLIC_INTEREST = "public_interest"
    """公共治理、公益事业: free by force."""
    INDUSTRY = "industry"
    """产业发展、行业发展: may be charged under a ceiling."""


class Meter(StrEnum):
    """计量项: how use becomes a quantity; the ceiling of a flat fee is per month."""

    ROWS = "rows"
    CALLS = "calls"
    MONTHS = "months"


METER_ZH: Mapping[str, str] = {"rows": "条", "calls": "次", "months": "月"}


class Tier(BaseModel):
    """Units up to and including ``up_to`` cost ``amount_fen`` per ``per`` units; None is without end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    up_to: PositiveCount | None
    amount_fen: PriceFen
    per: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 1


class Pricing(BaseModel):
    """A price in integers: ``flat_fen`` per month and tiers over one meter, tax included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["flat", "per_unit", "graduated"]
    meter: Literal["rows", "calls"] = "rows"
    flat_fen: PriceFen = 0
    tiers: Annotated[tuple[Tier, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if self.kind == "flat" and self.tiers:
            raise ValueError("固定价不能有阶梯 / a flat price has no tiers")
        if self.kind == "per_unit" and len(self.tiers) != 1:
            raise ValueError("单价应恰有一个阶梯 / a unit price has exactly one tier")
        if self.kind == "graduated" and not self.tiers:
            raise ValueError("阶梯价至少有一个阶梯 / a graduated price has at least one tier")
        bounds = [tier.up_to for tier in self.tiers]
        if bounds and bounds[-1] is not None:
            raise ValueError("最后一档不应有上限 / the last tier is without end (up_to null)")
        ends = [bound for bound in bounds[:-1] if bound is not None]
        if len(ends) != len(bounds[:-1]) or any(a >= b for a, b in pairwise(ends)):
            raise ValueError("各档上限应逐档递增 / the tiers must rise")
        return self

    @property
    def is_free(self) -> bool:
        return self.flat_fen == 0 and all(tier.amount_fen == 0 for tier in self.tiers)

    def stored(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


FREE = Pricing(kind="flat", meter="rows", flat_fen=0)


@dataclass(frozen=True)
class Ceiling:
    """上限收费标准 in force: no more than ``max_amount_fen`` per ``per`` units of ``meter``."""

    id: str
    meter: str
    max_amount_fen: int
    per: int
    stage: str

    def admits(self, amount_fen: int, per: int) -> bool:
        """Compared by cross-multiplication: exact, no division."""
        return amount_fen * self.per <= self.max_amount_fen * per

    def as_pricing(self, meter: Literal["rows", "calls"]) -> Pricing:
        return Pricing(
            kind="per_unit", meter=meter,
            tiers=(Tier(up_to=None, amount_fen=self.max_amount_fen, per=self.per),),
        )


def over_ceiling(pricing: Pricing, ceilings: Iterable[Ceiling]) -> list[Reason]:
    """Each price of ``pricing`` that its ceiling does not admit, or that has none; empty when it may exist."""
    by_meter = {ceiling.meter: ceiling for ceiling in ceilings}
    found = [
        _fault(f"tiers.{i}", i + 1, tier.amount_fen, tier.per, pricing.meter, by_meter.get(pricing.meter))
        for i, tier in enumerate(pricing.tiers)
    ]
    found.append(_fault("flat_fen", 0, pricing.flat_fen, 1, Meter.MONTHS, by_meter.get(Meter.MONTHS)))
    return [reason for reason in found if reason]


def _fault(
    field: str, tier: int, amount_fen: int, per: int, meter: str, ceiling: Ceiling | None
) -> Reason | None:
    if amount_fen == 0:
        return None
    unit_zh, price = METER_ZH[meter], yuan(amount_fen)
    where_zh, where_en = (f"第 {tier} 档", f"tier {tier}") if tier else ("固定费", "the flat fee")
    facts: dict[str, Any] = {"field": field, "amount_fen": amount_fen, "per": per, "meter": meter}
    if ceiling is None:
        return Reason(
            "ceiling_missing", f"{where_zh}：按{unit_zh}计量没有已公布的上限收费标准，不能收费。",
            f"{where_en}: no ceiling for {meter} is in force, so nothing may be charged.", facts,
        )
    if ceiling.admits(amount_fen, per):
        return None
    facts |= {"ceiling_id": ceiling.id, "max_amount_fen": ceiling.max_amount_fen, "ceiling_per": ceiling.per}
    limit = yuan(ceiling.max_amount_fen)
    return Reason(
        "ceiling_exceeded",
        f"{where_zh}：每 {per} {unit_zh} {price} 元，高于上限每 {ceiling.per} {unit_zh} {limit} 元。",
        f"{where_en}: {price} yuan per {per} {meter} is above the ceiling of {limit} per {ceiling.per}.", facts,
    )


def unit_price(amount_fen: int, per: int) -> Decimal:
    """Fen per single unit, exact enough to compare for display only; bills never use it."""
    return Decimal(amount_fen) / Decimal(per)
