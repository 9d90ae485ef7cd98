"""Arithmetic of money, held against independent recomputation in fractions."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import FractionOfFen, largest_remainder, round_half_up, whole_fen, yuan
from billing.tax import split_gross, split_lines, within_tolerance

AMOUNTS = st.integers(min_value=0, max_value=10**12)
WEIGHTS = st.lists(st.integers(min_value=0, max_value=10_000), min_size=1, max_size=8).filter(any)


@pytest.mark.parametrize("bad", [1.0, 1.5, True, "1", Decimal("0.5"), None])
def test_anything_but_a_whole_fen_is_refused(bad: object) -> None:
    with pytest.raises(FractionOfFen):
        whole_fen(bad)  # type: ignore[arg-type]


def test_half_rounds_away_from_zero() -> None:
    assert [round_half_up(Decimal(x)) for x in ("0.5", "1.5", "2.5", "2.4999", "-0.5")] == [1, 2, 3, 2, -1]


def test_known_split_of_the_largest_remainder() -> None:
    assert largest_remainder(99_999, [70, 20, 7, 3]) == [69_999, 20_000, 7_000, 3_000]


def test_a_tie_goes_to_the_first() -> None:
    assert largest_remainder(1, [1, 1, 1]) == [1, 0, 0]


@given(AMOUNTS, WEIGHTS)
def test_parts_sum_to_the_whole_and_are_within_one_fen(total: int, weights: list[int]) -> None:
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1


@given(AMOUNTS, WEIGHTS)
def test_a_reversal_is_the_mirror_image(total: int, weights: list[int]) -> None:
    assert [-part for part in largest_remainder(total, weights)] == largest_remainder(-total, weights)


@given(AMOUNTS, st.sampled_from([0, 100, 300, 600, 900, 1300]))
def test_tax_of_one_amount_equals_exact_half_up(gross: int, rate_bp: int) -> None:
    split = split_gross(gross, rate_bp)
    exact = Fraction(gross * 10_000, 10_000 + rate_bp)
    assert split.net_fen == int(exact + Fraction(1, 2))
    assert split.net_fen + split.tax_fen == gross


@given(st.lists(st.integers(min_value=0, max_value=10**7), min_size=1, max_size=200))
def test_lines_sum_to_the_tax_of_the_total(gross: list[int]) -> None:
    splits = split_lines(gross, 600)
    assert sum(s.tax_fen for s in splits) == split_gross(sum(gross), 600).tax_fen
    assert all(s.net_fen + s.tax_fen == g for s, g in zip(splits, gross, strict=True))
    assert all(within_tolerance(s, 600) for s in splits)


def test_the_last_chargeable_line_takes_the_remainder() -> None:
    gross = [3333, 3333, 3333, 4891, 0]
    splits = split_lines(gross, 600)
    assert [s.tax_fen for s in splits[:3]] == [189, 189, 189]
    assert splits[3].tax_fen == split_gross(sum(gross), 600).tax_fen - 3 * 189
    assert splits[4].tax_fen == 0


def test_a_thousand_lines_of_one_fen_stay_lawful() -> None:
    splits = split_lines([1] * 1000, 600)
    assert sum(s.tax_fen for s in splits) == 57
    assert all(0 <= s.tax_fen <= 1 for s in splits)


def test_yuan_as_people_write_it() -> None:
    assert [yuan(0), yuan(5), yuan(-123_456_789)] == ["0.00", "0.05", "-1,234,567.89"]
