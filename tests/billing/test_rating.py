"""Rating, held against an independent unit-by-unit recomputation."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from billing.errors import QuantityTooLarge
from billing.pricing import QUANTITY_MAX, Ceiling, Pricing, Tier, over_ceiling
from billing.rating import rate, rate_added

DEMO = Pricing(
    kind="graduated",
    tiers=(Tier(up_to=10_000, amount_fen=20, per=100), Tier(up_to=None, amount_fen=10, per=100)),
)


@st.composite
def pricings(draw: st.DrawFn) -> Pricing:
    edges = sorted(draw(st.sets(st.integers(min_value=1, max_value=2_000), max_size=4)))
    tiers = tuple(
        Tier(up_to=edge, amount_fen=draw(st.integers(0, 500)), per=draw(st.sampled_from([1, 3, 7, 100, 1000])))
        for edge in [*edges, None]
    )
    return Pricing(kind="graduated", flat_fen=draw(st.integers(0, 10_000)), tiers=tiers)


def naive(pricing: Pricing, quantity: int) -> int:
    """Every unit on its own, in fractions; each tier rounded half-up once at its end."""
    sums: dict[int, Fraction] = {}
    for unit in range(1, quantity + 1):
        index = next(i for i, tier in enumerate(pricing.tiers) if tier.up_to is None or unit <= tier.up_to)
        tier = pricing.tiers[index]
        sums[index] = sums.get(index, Fraction(0)) + Fraction(tier.amount_fen, tier.per)
    return pricing.flat_fen + sum(int(total + Fraction(1, 2)) for total in sums.values())


@settings(max_examples=60)
@given(pricings(), st.integers(min_value=0, max_value=2_500))
def test_equals_the_unit_by_unit_sum(pricing: Pricing, quantity: int) -> None:
    assert rate(pricing, quantity).total_fen == naive(pricing, quantity)


@given(pricings(), st.integers(0, 10**9), st.integers(0, 10**6))
def test_more_use_never_costs_less(pricing: Pricing, quantity: int, more: int) -> None:
    assert rate(pricing, quantity + more).total_fen >= rate(pricing, quantity).total_fen


@given(pricings(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_late_use_makes_the_month_cost_what_it_would_have_cost(pricing: Pricing, first: int, more: int) -> None:
    whole = rate(pricing, first + more)
    parts = rate(pricing, first).total_fen + rate_added(pricing, first, first + more).total_fen
    assert parts == whole.total_fen
    assert sum(line.quantity for line in rate_added(pricing, first, first + more).lines) == more


@given(pricings())
def test_lines_add_up_at_every_edge(pricing: Pricing) -> None:
    for tier in pricing.tiers[:-1]:
        assert tier.up_to is not None
        at, past = rate(pricing, tier.up_to), rate(pricing, tier.up_to + 1)
        assert past.lines[: len(at.lines)] == at.lines
        assert past.lines[-1].quantity == 1
        assert past.lines[-1].from_unit == tier.up_to + 1


def test_demo_price_by_hand() -> None:
    lines = rate(DEMO, 12_345).lines
    assert [(line.quantity, line.amount_fen) for line in lines] == [(10_000, 2_000), (2_345, 235)]


def test_a_flat_price_is_one_line_whatever_the_use() -> None:
    price = Pricing(kind="flat", flat_fen=9_900)
    assert rate(price, 0).total_fen == rate(price, 10**9).total_fen == 9_900


@pytest.mark.parametrize("quantity", [-1, QUANTITY_MAX + 1])
def test_quantities_out_of_bounds_are_refused(quantity: int) -> None:
    with pytest.raises(QuantityTooLarge):
        rate(DEMO, quantity)


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "per_unit", "tiers": [{"up_to": None, "amount_fen": 1.5, "per": 1}]},
        {"kind": "per_unit", "tiers": [{"up_to": None, "amount_fen": 1.0, "per": 1}]},
        {"kind": "per_unit", "tiers": [{"up_to": None, "amount_fen": "2", "per": 1}]},
        {"kind": "per_unit", "tiers": [{"up_to": None, "amount_fen": True, "per": 1}]},
        {"kind": "per_unit", "tiers": [{"up_to": None, "amount_fen": -1, "per": 1}]},
        {"kind": "per_unit", "tiers": [{"up_to": None, "amount_fen": 1, "per": 0}]},
        {"kind": "per_unit", "tiers": [{"up_to": 10, "amount_fen": 1, "per": 1}]},
        {"kind": "graduated", "tiers": []},
        {"kind": "graduated", "tiers": [{"up_to": 9, "amount_fen": 1}, {"up_to": 9, "amount_fen": 1},
                                        {"up_to": None, "amount_fen": 1}]},
        {"kind": "flat", "flat_fen": 1, "tiers": [{"up_to": None, "amount_fen": 1}]},
        {"kind": "volume", "tiers": []},
        {"kind": "flat", "flat_fen": 1, "discount": 3},
    ],
)
def test_prices_that_cannot_be_held(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Pricing.model_validate(bad)


def test_a_ceiling_is_compared_exactly() -> None:
    ceiling = Ceiling("cei", "rows", 1, 3, "formal")
    assert ceiling.admits(33, 99)
    assert not ceiling.admits(34, 100)
    (reason,) = over_ceiling(DEMO, [Ceiling("cei", "rows", 15, 100, "formal")])
    assert reason.code == "ceiling_exceeded"
    assert reason.facts["field"] == "tiers.0"
    assert "0.20" in reason.zh


def test_without_a_ceiling_only_zero_may_be_charged() -> None:
    assert [r.code for r in over_ceiling(DEMO, [])] == ["ceiling_missing", "ceiling_missing"]
    assert over_ceiling(Pricing(kind="flat", flat_fen=0), []) == []
