"""The relevance set is whole, and the search is as good on it as it was."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from ops.bench import relevance

FLOOR = 0.93
CLASS_FLOOR = 0.78


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    engine, find = relevance.ours(tmp_path_factory.mktemp("relevance"))
    try:
        return relevance.judge(find)
    finally:
        engine.close()


def test_the_set_is_whole() -> None:
    queries, names = relevance.queries(), {one["name"] for one in relevance.documents()}
    assert len(queries) >= 120
    assert len({query.text for query in queries}) >= len(queries) - 1
    assert {query.kind for query in queries} == set(relevance.CLASSES)
    for query in queries:
        assert set(query.grades) <= names, query.text
        assert set(query.grades.values()) <= {1, 2, 3}


def test_ndcg() -> None:
    grades = {"a": 3, "b": 1}
    assert relevance.ndcg(["a", "b"], grades) == 1.0
    assert relevance.ndcg([], grades) == 0.0
    assert 0 < relevance.ndcg(["b", "a"], grades) < 1
    assert relevance.ndcg(["x"] * 10 + ["a"], grades) == 0.0


def test_people_find_what_they_want(scores: dict[str, list[float]]) -> None:
    assert relevance.mean(scores) >= FLOOR


@pytest.mark.parametrize("kind", sorted(relevance.CLASSES))
def test_every_class_of_queries(scores: dict[str, list[float]], kind: str) -> None:
    assert statistics.fmean(scores[kind]) >= CLASS_FLOOR


def test_operators_terms(tmp_path: Path) -> None:
    from ops.search.chinese.lexicon import LEXICON, add_terms
    from ops.search.chinese.synonyms import SYNONYMS

    (tmp_path / "synonyms.txt").write_text("掌上办 = 移动政务\n", encoding="utf-8")
    (tmp_path / "words.txt").write_text("苏移贝\n", encoding="utf-8")
    add_terms(tmp_path)
    assert SYNONYMS.of("掌上办") == ("移动政务",)
    assert LEXICON.knows("苏移贝")
    with pytest.raises(OSError, match="absent"):
        add_terms(tmp_path / "absent")
