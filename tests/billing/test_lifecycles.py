"""Tables of states are total, and the README is drawn from them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from billing.diagrams import README, refreshed
from billing.lifecycles import TABLES
from licensing.lifecycle import IllegalTransition, TransitionTable

PACKAGE = README.parent


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_pair_is_answered_in_both_languages(table: TransitionTable) -> None:
    for state, event in itertools.product(table.states, table.events):
        if table.answer(state, event) is None:
            with pytest.raises(IllegalTransition) as refused:
                table.require(state, event)
            assert table.states[state].zh in refused.value.detail("zh")
            assert table.states[state].en in refused.value.detail("en")


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_state_can_be_reached(table: TransitionTable) -> None:
    reached, waiting = {table.initial}, [table.initial]
    while waiting:
        for row in table.possible(waiting.pop()):
            waiting += set(row.targets) - reached
            reached |= set(row.targets)
    assert reached == set(table.states)


def test_the_readme_is_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")
    assert refreshed(text) == text


def test_no_float_arithmetic_in_the_package() -> None:
    """Money has no float: the word appears only where time is meant."""
    allowed = {"jobs.py", "usage", "testing"}
    for path in PACKAGE.rglob("*.py"):
        if not allowed & set(path.relative_to(PACKAGE).parts):
            assert "float(" not in Path(path).read_text(encoding="utf-8"), path
