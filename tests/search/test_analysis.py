"""From text to terms."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.search.analysis import GRAM, index_terms, phrase_terms, query_pieces, wildcard_form
from ops.search.dates import format_date, parse_date
from ops.search.errors import SearchFault
from ops.search.schema import Kind

NOW = datetime(2026, 3, 31, 10, 20, 30, 456_000, tzinfo=UTC)


def words(text: str, kind: Kind = Kind.TEXT) -> set[str]:
    return set(index_terms(text, kind)[0])


@pytest.mark.parametrize(("text", "terms"), [
    ("Rivers", {"river"}),
    ("PowerShot", {"power", "shot", "powershot"}),
    ("Wi-Fi", {"wi", "fi", "wifi"}),
    ("SD500", {"sd", "500"}),
    ("O'Neil's", {"o", "neil", "oneil"}),
    ("Café", {"cafe"}),
    ("annakarenina", {"annakarenina"}),
    ("ＡＢＣ１２", {"abc", "12"}),
    ("...", set()),
])
def test_english_follows_ckans_schema(text: str, terms: set[str]) -> None:
    assert words(text) == terms


def test_general_text_is_not_stemmed_nor_split_at_case() -> None:
    assert words("PowerRivers", Kind.TEXT_GENERAL) == {"powerrivers"}


def test_chinese_is_indexed_as_words_characters_and_pairs() -> None:
    bag, sequence = index_terms("全国行政区划", Kind.TEXT)
    assert {"全国", "行政", "区划", "行政区划", GRAM + "全"} <= set(bag)
    assert sequence == [GRAM + pair for pair in ("全国", "国行", "行政", "政区", "区划", "划")]


def test_a_query_is_cut_into_words_without_stop_words() -> None:
    assert [piece.word for piece in query_pieces("深圳市的空气质量", Kind.TEXT)] == ["深圳市", "空气质量"]
    assert [piece.word for piece in query_pieces("的", Kind.TEXT)] == ["的"]
    assert [piece.word for piece in query_pieces("GB2312编码", Kind.TEXT)] == ["gb", "2312", "编码"]


def test_phrases_keep_positions_across_scripts() -> None:
    assert phrase_terms("质量 data", Kind.TEXT) == [(0, GRAM + "质量"), (2, "data")]
    assert index_terms("质量 data", Kind.TEXT)[1] == [GRAM + "质量", GRAM + "量", "data"]


def test_wildcards_are_folded_and_not_stemmed() -> None:
    assert wildcard_form("Rivé", Kind.TEXT) == "rive"


@given(st.text(max_size=200), st.sampled_from([Kind.TEXT, Kind.TEXT_GENERAL]))
@settings(max_examples=300, deadline=None)
def test_every_text_finds_itself(text: str, kind: Kind) -> None:
    bag, sequence = index_terms(text, kind)
    for piece in query_pieces(text, kind):
        assert any(
            all(term in sequence or term in bag for part in way.parts for _, term in part) for way in piece.alternatives
        )
    for position, term in phrase_terms(text, kind):
        assert sequence[position] == term or sequence[position].startswith(term)
    assert all(term.split() == [term] or not term.split() for term in bag)


@pytest.mark.parametrize(("text", "instant"), [
    ("2010-05-01T08:24:12.782Z", "2010-05-01T08:24:12.782Z"),
    ("2010-05-01T08:24:12.782999Z", "2010-05-01T08:24:12.782Z"),
    ("2010-05-01T08:24:12.500Z", "2010-05-01T08:24:12.5Z"),
    ("2010-05-01T08:24:12+08:00", "2010-05-01T00:24:12Z"),
    ("0099-01-01T00:00:00Z", "0099-01-01T00:00:00Z"),
    ("NOW", "2026-03-31T10:20:30.456Z"),
    ("NOW/DAY", "2026-03-31T00:00:00Z"),
    ("NOW-1MONTH/DAY", "2026-02-28T00:00:00Z"),
    ("NOW/YEAR+2YEARS-1SECOND", "2027-12-31T23:59:59Z"),
    ("2024-02-29T00:00:00Z+1YEAR", "2025-02-28T00:00:00Z"),
])
def test_dates(text: str, instant: str) -> None:
    assert format_date(parse_date(text, NOW)) == instant


@pytest.mark.parametrize("text", [
    "", "2010", "2010-05-01", "yesterday", "2010-13-01T00:00:00Z", "2010-02-30T00:00:00Z", "NOW+", "NOW-1EON",
    "NOW+99999999YEARS", "2010-05-01T08:24:12", "2010-05-01T08:24:12Zx", "NOW-99999999999999999999DAYS",
])
def test_no_dates(text: str) -> None:
    with pytest.raises(SearchFault, match="Invalid Date"):
        parse_date(text, NOW)


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_date_or_refused(text: str) -> None:
    for given_text in (text, "NOW" + text):
        try:
            parse_date(given_text, NOW)
        except SearchFault:
            continue
