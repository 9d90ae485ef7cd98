"""What favours some hits: functions for ``bf`` and ``boost``, their limits, and fields that a text may name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.search.errors import SearchFault
from ops.search.functions import parse_boosted, parse_function
from ops.search.testing import NOW, Catalogue, dataset

EDISMAX = {"defType": "edismax", "qf": "title"}


@pytest.fixture(scope="module")
def rivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    opened = Catalogue(Path(tmp_path_factory.mktemp("favour")))
    opened.add(
        dataset("old", title="river", views_total=900, metadata_modified="2020-01-01T00:00:00Z"),
        dataset(
            "new", title="river", views_total=10, metadata_modified="2026-11-22T00:00:00Z",
            rank_date="2026-01-01T00:00:00Z",
        ),
        dataset("unseen", title="river", metadata_modified="2024-01-01T00:00:00Z"),
        dataset("secret", title="river", views_total=10**6, permission_labels=["member-9"]),
    )
    yield opened
    opened.close()


@pytest.mark.parametrize(("parameters", "names"), [
    ({"bf": "log(sum(views_total,1))"}, ["old", "new", "unseen"]),
    ({"bf": "recip(ms(NOW,metadata_modified),3.16e-11,1,1)^10"}, ["new", "unseen", "old"]),
    ({"boost": "if(exists(rank_date),3,if(gt(views_total,100),2,1))"}, ["new", "old", "unseen"]),
    ({"boost": ["sum(1,views_total)", "def(views_total,1000)"]}, ["old", "unseen", "new"]),
    ({"bf": "ms(rank_date)^0.001 views_total^0"}, ["new", "old", "unseen"]),
    ({"bf": "sub(0,views_total)"}, ["old", "new", "unseen"]),
    ({"bf": "map(views_total,0,0,5,1)"}, ["unseen", "old", "new"]),
])
def test_functions_order_the_hits(rivers: Catalogue, parameters: dict[str, str], names: list[str]) -> None:
    assert rivers.names("river", fq='permission_labels:"public"', **EDISMAX, **parameters) == names


def test_scores_are_in_solrs_measure(rivers: Catalogue) -> None:
    plain = rivers.answer("name:old^=1", fl="name,score")["response"]
    assert plain["docs"][0]["score"] == pytest.approx(1.0)
    added = rivers.answer("*:*", **EDISMAX, bf="10", fl="name,score", fq="name:old")["response"]
    assert added["maxScore"] == pytest.approx(11.0)


def test_everything_scores_one(rivers: Catalogue) -> None:
    found = rivers.answer("*:*", fl="name,score", fq='permission_labels:"public"')["response"]
    assert [one["score"] for one in found["docs"]] == [pytest.approx(1.0)] * 3
    assert found["maxScore"] == pytest.approx(1.0)


def test_scale_tells_nothing_of_hidden_documents(rivers: Catalogue) -> None:
    found = rivers.answer(
        "*:*", **EDISMAX, bf="scale(views_total,0,1)", fl="name,score", sort="name asc",
        fq='permission_labels:"public"',
    )["response"]["docs"]
    assert {one["name"]: round(one["score"], 3) for one in found} == {"new": 1.0, "old": 2.0, "unseen": 1.0}


@pytest.mark.parametrize(("text", "words"), [
    ("rord(name)", "sort by the field"), ("ord(name)", "sort by the field"), ("query($q)", "another parameter"),
    ("title", "holds text"), ("sum(name,1)", "holds text"), ("ms(views_total)", "date field"),
    ("strdist(1,2)", "strdist"),
    ("recip(1,views_total,1,1)", "must be a number"), ("sub(1)", "takes 2"), ("sum(1", "Expected"),
    ("1 2", "Unexpected"), ("if(1,2)", "takes 3"), ("{!func}1", "Local parameters"), ("", "Expected"),
    ("scale(" * 5 + "1" + ",0,1)" * 5, "4 times"),
])
def test_what_is_no_function_is_refused(text: str, words: str) -> None:
    with pytest.raises(SearchFault, match=words):
        parse_function(text, NOW)


def test_boosted_functions() -> None:
    assert [weight for _, weight in parse_boosted("views_total^2 log(views_recent) views_total^3", NOW)] == [3.0, 1.0]
    with pytest.raises(SearchFault, match="factor"):
        parse_boosted("views_total^x", NOW)


@pytest.mark.parametrize(("kind", "parameter"), [
    ("lucene", "bf"), ("lucene", "boost"), ("lucene", "uf"), ("dismax", "boost"), ("dismax", "uf"),
])
def test_what_a_parser_would_ignore_is_refused(rivers: Catalogue, kind: str, parameter: str) -> None:
    with pytest.raises(SearchFault, match="edismax takes it"):
        rivers.answer("river", defType=kind, qf="title", **{parameter: "title"})


def test_a_text_names_only_the_fields_it_may(rivers: Catalogue) -> None:
    shape = {**EDISMAX, "q.op": "OR"}
    assert rivers.names("name:old", **shape) == ["old"]
    assert rivers.names("name:old", **shape, uf="title") == []
    assert rivers.names("name:old", **shape, uf="* -n*") == []
    assert rivers.names("name:old", **shape, uf="na*") == ["old"]
    assert set(rivers.names("name:(old) river", **shape, uf="title")) == {"old", "new", "unseen", "secret"}
