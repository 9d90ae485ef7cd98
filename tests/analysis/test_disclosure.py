"""Disclosure control by itself: floors, remainders, dominance, and noise that cannot be averaged away."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ops.analysis.disclosure import Answer, most_noise, shown
from ops.analysis.disclosure import answer as told
from ops.analysis.limits import AnalysisLimits
from ops.analysis.query import AnalysisQuery, parse

LIMITS = AnalysisLimits()


def answer(rows: list[dict[str, Any]], query: AnalysisQuery, limits: AnalysisLimits, salt: str) -> Answer:
    """What is told to who was told nothing before."""
    return told(shown(rows, limits), query, limits, salt, len(rows))


GROUPED = parse("SELECT region, count(*) n FROM data GROUP BY region")
SUMMED = parse("SELECT count(*) n, sum(capital) s, avg(capital) a FROM data")


def group(size: int, place: int = 0) -> dict[str, Any]:
    return {"g0": f"r{place:03}", "size": size, "rows": place * 7919 + size, "v0": size, "c0": size}


@given(st.lists(st.integers(1, 60), max_size=30))
def test_no_small_group_is_shown_and_every_other_is(sizes: list[int]) -> None:
    """Were another left out with a small one, its absence would tell that the small one is there."""
    visible = shown([group(size, place) for place, size in enumerate(sizes)], LIMITS)
    assert [one["size"] for one in visible] == [size for size in sizes if size >= LIMITS.floor]


def test_noise_grows_with_what_was_told_before() -> None:
    most = [most_noise({"rank": rank}, LIMITS) for rank in (0, 20, 60, 1_980)]
    assert most == [2, 2 * Decimal(2).sqrt(), 4, 20]
    found = answer([{**group(500), "rank": 60}], GROUPED, LIMITS, "salt")
    assert found.blurred == 4
    assert abs(found.rows[0][1] - 500) <= 4


def summed(values: list[int], fingerprint: int = 1) -> dict[str, Any]:
    size, total, absolute = len(values), Decimal(sum(values)), Decimal(sum(map(abs, values)))
    most = Decimal(max(map(abs, values), default=0))
    row: dict[str, Any] = {"size": size, "rows": fingerprint, "v0": size, "c0": size}
    return row | {f"{k}{n}": v for n in (1, 2) for k, v in (("v", total), ("c", size), ("b", absolute), ("m", most))}


def test_a_sum_that_one_record_makes_up_is_withheld() -> None:
    ((n, s, a),) = answer([summed([1] * 30 + [1000])], SUMMED, LIMITS, "salt").rows
    assert n is not None
    assert (s, a) == (None, None)
    ((_, s, a),) = answer([summed([10] * 31)], SUMMED, LIMITS, "salt").rows
    assert abs(s - 310) <= LIMITS.noise * 10
    assert abs(a - 10) <= Decimal(LIMITS.noise * 10) / 31


@given(st.integers(10, 10**6), st.integers(-(2**62), 2**62))
def test_the_same_records_have_the_same_answer_and_counts_are_blurred_by_little(size: int, fingerprint: int) -> None:
    row = {"g0": "r", "size": size, "rows": fingerprint, "v0": size, "c0": size}
    first, second = (answer([row], GROUPED, LIMITS, "salt").rows for _ in range(2))
    assert first == second
    assert abs(first[0][1] - size) <= LIMITS.noise


def test_other_records_and_other_grants_have_unrelated_noise() -> None:
    """Subtracting two answers gives noise, not the one record between them; grants cannot pool their answers."""
    differences = set()
    for seed in range(200):
        with_one = answer([group(51, seed)], GROUPED, LIMITS, "salt").rows[0][1]
        without = answer([group(50, seed)], GROUPED, LIMITS, "salt").rows[0][1]
        differences.add(with_one - without)
    assert {-1, 0, 1, 2, 3} <= differences
    told = {answer([group(50)], GROUPED, LIMITS, f"salt{n}").rows[0][1] for n in range(50)}
    assert len(told) > 2


def test_groups_are_ordered_and_cut_after_they_were_chosen() -> None:
    query = parse("SELECT region, count(*) n FROM data GROUP BY region ORDER BY region DESC LIMIT 2")
    found = answer([group(20, place) for place in range(5)] + [group(3, 9)], query, LIMITS, "salt")
    assert [row[0] for row in found.rows] == ["r004", "r003"]
    assert found.withheld == 1
