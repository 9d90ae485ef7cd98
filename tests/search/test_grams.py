"""Names and titles by any piece of theirs, against every piece reckoned one by one."""

from __future__ import annotations

import re

import pytest

from ops.search import grams
from ops.search.errors import SearchFault
from ops.search.testing import Catalogue, dataset

TITLES = {
    "air": "城市环境空气质量日报", "bus-2": "Bus Stops (公交站点) 2024", "qi": "气", "gas": "空 气",
    "long": "城市公共交通线路及站点信息台账", "water": "Ｗater 水位\t监测",
}


@pytest.fixture(scope="module")
def city(catalogue: Catalogue) -> Catalogue:
    catalogue.add(*(dataset(name, title=title, title_string=title) for name, title in TITLES.items()))
    return catalogue


def pieces(text: str) -> set[str]:
    """Solr's ``text_ngram`` of a text: 2 to 10 neighbouring characters, in lower case."""
    whole = grams.normalize(text).lower()
    return {whole[at : at + size] for size in range(2, 11) for at in range(len(whole) - size + 1)}


def having(pattern: str) -> set[str]:
    """Names of titles that have a piece of which the whole is what a pattern says."""
    return {name for name, title in TITLES.items() if any(re.fullmatch(pattern, one, re.S) for one in pieces(title))}


WORDS = sorted({one for title in TITLES.values() for one in pieces(title) if not re.search(r"\s|^[a-z]{2}$", one)})
"""Two letters may be initials of a reading as well."""


@pytest.mark.parametrize("word", WORDS)
def test_a_title_is_found_by_each_of_its_pieces_and_no_other_title_is(city: Catalogue, word: str) -> None:
    assert set(city.names(f'title_ngram:"{word}"')) == having(re.escape(word))


@pytest.mark.parametrize("word", ["气", "空z", "交公", "bus-2 x", "质量 公交"])
def test_what_is_no_piece_finds_nothing(city: Catalogue, word: str) -> None:
    assert city.names(f'title_ngram:"{word}"') == []


@pytest.mark.parametrize(("query", "pattern"), [
    ("title_ngram:公交*", "公交.*"), ("title_ngram:公?站", "公.站"), ("title_ngram:*质量", ".*质量"),
    ("title_ngram:/公共|公交/", "公共|公交"), ("title_ngram:/[a-z]{3}/", "[a-z]{3}"),
    ("title_ngram:/环.{2}气/", "环.{2}气"), ("title_ngram:20*4", "20.*4"),
])
def test_patterns_cover_pieces(city: Catalogue, query: str, pattern: str) -> None:
    assert set(city.names(query)) == having(pattern)


def test_a_range_is_met_by_a_piece_between_its_bounds(city: Catalogue) -> None:
    expected = {name for name, title in TITLES.items() if any("公交" <= one <= "公共" for one in pieces(title))}
    assert set(city.names("title_ngram:[公交 TO 公共]")) == expected
    assert expected


def test_a_slip_leads_to_a_piece(city: Catalogue) -> None:
    assert city.names("title_ngram:stopz~1") == ["bus-2"]


def test_shorter_titles_come_first(city: Catalogue) -> None:
    assert city.names("title_ngram:站点") == ["long", "bus-2"]


def test_names_are_found_by_pieces_as_well(city: Catalogue) -> None:
    assert city.names("name_ngram:us-2") == ["bus-2"]


def test_pieces_are_not_counted(city: Catalogue) -> None:
    with pytest.raises(SearchFault):
        city.facet("title_ngram")


@pytest.mark.parametrize("value", ["a b", " b", "a\tb", "a\u3000b", "a\u2028b", "a\x1fb", "a\x85b", "ab", "\u00a0"])
def test_an_exact_value_is_one_term_whatever_spaces_it_holds(catalogue: Catalogue, value: str) -> None:
    name = f"exact-{value.encode().hex()}"
    catalogue.add(dataset(name, colour=value, shades=[value, "x"]), dataset("other", colour="b", shades=["a"]))
    asked = value.replace("\\", "\\\\")
    assert catalogue.names(f'colour:"{asked}"') == [name]
    assert catalogue.names(f'shades:"{asked}"') == [name]
    assert dict(zip(*[iter(catalogue.facet("colour", f"name:{name}"))] * 2, strict=True)) == {value: 1}
    catalogue.delete(name, "other")


def test_a_field_whose_name_has_spaces_is_found_by_value_and_at_all(catalogue: Catalogue) -> None:
    catalogue.add(dataset("spaced", **{"a colour": "red", "extras_my note": "深圳 water"}))
    assert catalogue.names(r"a\ colour:red") == ["spaced"]
    assert catalogue.names(r"a\ colour:*") == ["spaced"]
    assert catalogue.names(r"extras_my\ note:*") == ["spaced"]
    assert catalogue.names(r"extras_my\ note:water") == ["spaced"]


@pytest.mark.parametrize("query", [
    '"站点信息"', '"公共交通线路"', "共交通", '"lower gauges"', '"level 2"', '"名称 x9"', '"5A 级"', '"红色 蓝色"',
])
def test_a_value_within_another_is_found_in_sequence(catalogue: Catalogue, query: str) -> None:
    catalogue.add(dataset(
        "within", title="站点信息", notes="城市公共交通线路及站点信息台账",
        res_name=["公共交通线路", "Lower Gauges", "Level 2"],
        res_description=["城市公共交通线路及站点信息", "名称 x9", "名称"], extras_unit="公共交通",
        extras_grade="国家 5A 级", extras_grades="国家 5A 级旅游景区", extras_colours="红色\n蓝色",
        extras_first="某一种浅红色", extras_second="蓝色的许多种",
    ))
    assert "within" in catalogue.names(query)


def test_no_phrase_runs_from_one_value_into_another(catalogue: Catalogue) -> None:
    catalogue.add(dataset("apart", title="红色", notes="绿叶", res_name=["蓝天", "alpha", "beta gamma"]))
    for query in ('"红色绿叶"', '"色绿"', '"天 alpha"', '"alpha beta"'):
        assert "apart" not in catalogue.names(query), query
