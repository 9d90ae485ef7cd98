"""Suggestions, highlights and "did you mean": their shapes, their safety, and that they show nothing behind a label."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.search.chinese.lexicon import LEXICON
from ops.search.errors import SearchFault
from ops.search.marks import Needles, marked
from ops.search.suggest import Suggest
from ops.search.testing import CKAN_DISMAX, Catalogue, dataset

LONG = "<script>alert('x')</script>六项污染物浓度。" + "其他说明。" * 60 + "含空气质量指数。"
PUBLIC = '+permission_labels:("public")'
MEMBER = '+permission_labels:("public" OR "member-1")'


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    opened = Catalogue(tmp_path_factory.mktemp("assistance"))
    opened.add(
        dataset(
            "air",
            title="城市环境空气质量日报",
            notes=LONG,
            tags=["空气质量", "生态环境"],
            extras_items="监测日期; 首要污染物",
        ),
        dataset("air2", title="空气质量监测站点", notes="位置", tags=["空气质量"]),
        dataset("bus", title="公交线路信息", notes="Rivers & <b>buses</b>", tags=["公共交通"]),
        dataset("english", title="River levels and population", notes="", tags=["water"]),
        dataset(
            "secret",
            title="玄鸾计划空气质量台账",
            notes="绝密空气",
            tags=["玄鸾计划", "空气质量"],
            extras_items="玄鸾编号",
            permission_labels=["member-1"],
            capacity="private",
        ),
        dataset("zirconium", title="Zirconium stockpile", notes="zirconium", permission_labels=["member-1"]),
    )
    yield opened
    opened.close()


def suggest(catalogue: Catalogue, text: str, *filters: str, **more: str) -> list[dict[str, Any]]:
    asked = {
        "q": [text],
        "fq": list(filters or (PUBLIC,)),
        **{name.replace("__", "."): [v] for name, v in more.items()},
    }
    body: list[dict[str, Any]] = Suggest(catalogue.engine, asked).answer()["suggest"]["suggestions"]
    return body


def ask(catalogue: Catalogue, text: str, fq: str = PUBLIC, **more: str) -> dict[str, Any]:
    return catalogue.answer(text, **{**CKAN_DISMAX, "hl": "true", "spellcheck": "true", "fq": fq, **more})


@pytest.mark.parametrize(
    ("text", "match", "highlight"),
    [
        ("空气", "text", "<em>空气</em>质量监测站点"),
        ("kongqi", "pinyin", "<em>空气</em>质量监测站点"),
        ("kongq", "pinyin", "<em>空气</em>质量监测站点"),
        ("KQZL", "initials", "<em>空气质量</em>监测站点"),
        ("空气zl", "mixed", "<em>空气质量</em>监测站点"),
        ("空气质良", "typo", "<em>空气质量</em>监测站点"),
        ("空氣", "text", "<em>空气</em>质量监测站点"),
        ("gjxl", "initials", "<em>公交线路</em>信息"),
        ("gong jiao", "pinyin", "<em>公交</em>线路信息"),
        ("riv", "text", "<em>Riv</em>er levels and population"),
        ("rivre", "typo", "<em>River</em> levels and population"),
    ],
)
def test_suggestions(filled: Catalogue, text: str, match: str, highlight: str) -> None:
    first = suggest(filled, text)[0]
    assert (first["kind"], first["match"], first["highlight"]) == ("dataset", match, highlight)
    assert set(first) == {"kind", "text", "name", "id", "highlight", "match"}


def test_suggested_tags_are_counted_as_seen(filled: Catalogue) -> None:
    for fq, count in ((PUBLIC, 2), (MEMBER, 3)):
        tags = [one for one in suggest(filled, "空气", fq) if one["kind"] == "tag"]
        assert [(one["text"], one["count"]) for one in tags] == [("空气质量", count)]


def test_suggestions_of_nothing(filled: Catalogue) -> None:
    for text in ("", "  ", "\x00", "'", "''", "*", "(((", "zzzzzz", "的", "\U0001f600"):
        assert suggest(filled, text) == []
    assert len(suggest(filled, "空气", rows="1")) == 1
    with pytest.raises(SearchFault):
        suggest(filled, "空气", "+title:(")


@pytest.mark.parametrize(
    "text",
    [
        "玄鸾",
        "xuanluan",
        "xljh",
        "玄鸾jh",
        "玄銮计划",
        "计划",
        "台账",
        "绝密",
        "zirconium",
        "zirconum",
        "zir",
        "玄",
    ],
)
def test_nothing_behind_a_label_is_told(filled: Catalogue, text: str) -> None:
    """Suggestions, corrections, highlights and counts for a stranger are those of an index without the document."""
    shown = json.dumps(
        [suggest(filled, text), {k: v for k, v in ask(filled, text).items() if k != "responseHeader"}],
        ensure_ascii=False,
    )
    for word in ("玄鸾", "绝密", "台账", "secret", "irconium"):
        assert word not in shown.replace(text, "")
    assert [one["name"] for one in suggest(filled, "xuanluan", MEMBER) if one["kind"] == "dataset"] == ["secret"]
    assert not LEXICON.knows("玄鸾计划")


@pytest.mark.parametrize(
    "text",
    [
        "空气质良",
        "空汽质量",
        "kqzl",
        "kongqi",
        "玄鸾计划",
        "玄銮计划",
        "zirconum",
        "zirconium levels",
        "空气质良 zirconium",
        "玄鸾 空气",
        "玄鸾计划空气质量",
        "river levels zirconium",
    ],
)
def test_answers_for_a_stranger_are_those_without_the_document(filled: Catalogue, tmp_path: Path, text: str) -> None:
    """Whether a word "finds nothing" is decided among what the caller may see, so that no answer gives one away."""
    alone = Catalogue(tmp_path)
    try:
        alone.add(*(json.loads(row) for row in _public_rows(filled)))
        here, there = ask(filled, text, fl="name"), ask(alone, text, fl="name")
        assert [one["name"] for one in here["response"]["docs"]] == [one["name"] for one in there["response"]["docs"]]
        assert here["spellcheck"] == there["spellcheck"]
        assert here["highlighting"] == there["highlighting"]
        assert suggest(filled, text) == suggest(alone, text)
    finally:
        alone.close()


def _public_rows(catalogue: Catalogue) -> list[str]:
    found = catalogue.answer("*:*", fq=PUBLIC, fl="*", rows="100")["response"]["docs"]
    drop = {"_version_", "title_ngram", "name_ngram", "indexed_ts"}
    rows = []
    for one in found:
        kept = {name: value for name, value in one.items() if name not in drop}
        rows.append(json.dumps({**kept, "permission_labels": ["public"], "title_string": kept["title"]}))
    return rows


# -- highlights ------------------------------------------------------------------------------------------


def test_highlighting_has_solrs_shape(filled: Catalogue) -> None:
    found = ask(filled, "空气质量", hl__fl="title,notes,extras_*,tags")
    keys = {one["index_id"]: one["name"] for one in found["response"]["docs"]}
    by_name = {keys[key]: fields for key, fields in found["highlighting"].items()}
    assert by_name["air2"] == {"title": ["<em>空气质量</em>监测站点"], "tags": ["<em>空气质量</em>"]}
    assert by_name["air"]["title"] == ["城市环境<em>空气质量</em>日报"]
    assert by_name["air"]["notes"][0].endswith("<em>空气质量</em>指数。")
    assert len(by_name["air"]["notes"]) == 1


def test_snippets_are_html(filled: Catalogue) -> None:
    found = ask(
        filled, "污染物 Rivers buses", q__op="OR", mm="1", hl__simple__pre="[", hl__simple__post="]", hl__fragsize="0"
    )
    shown = json.dumps(found["highlighting"], ensure_ascii=False)
    assert "&lt;script&gt;" in shown
    assert "[污染物]" in shown
    assert "[Rivers] &amp; &lt;b&gt;[buses]&lt;/b&gt;" in shown
    assert "<" not in shown


def test_sizes_and_numbers_of_snippets(filled: Catalogue) -> None:
    short = ask(filled, "污染物 空气质量", mm="1", hl__fl="notes", hl__fragsize="20", hl__snippets="5")
    air = next(
        fields["notes"] for fields in short["highlighting"].values() if "notes" in fields and len(fields["notes"]) > 1
    )
    assert all(len(html.unescape(re.sub("</?em>", "", one))) <= 32 for one in air)
    one = ask(filled, "污染物 空气质量", mm="1", hl__fl="notes", **{"f.notes.hl.snippets": "1", "hl__snippets": "5"})
    assert all(len(fields.get("notes", [])) <= 1 for fields in one["highlighting"].values())


def test_corrected_hits_are_marked(filled: Catalogue) -> None:
    for text in ("空气质良", "kongqizhiliang", "kqzl", "空氣質量"):
        found = ask(filled, text, hl__fl="title")
        assert {"title": ["城市环境<em>空气质量</em>日报"]} in found["highlighting"].values()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hl.requireFieldMatch", "true"),
        ("hl.encoder", "none"),
        ("hl.q", "x"),
        ("hl.formatter", "x"),
        ("hl.fragsize", "-1"),
        ("hl.snippets", "many"),
        ("f.title.hl.regex.slop", "1"),
    ],
)
def test_what_is_not_spoken_is_refused(filled: Catalogue, name: str, value: str) -> None:
    with pytest.raises(SearchFault):
        ask(filled, "空气", **{name: value})


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=6), max_size=5))
@settings(max_examples=200, deadline=None)
def test_marks_change_no_text(text: str, words: list[str]) -> None:
    needles = Needles()
    for word in words:
        needles.add_text(word)
        if word.isascii() and word.isalpha():
            needles.letters.add(word.lower())
    snippet = marked(text, needles.spans(text), "\x01", "\x02")
    assert html.unescape(snippet.replace("\x01", "").replace("\x02", "")) == html.unescape(html.escape(text)).replace(
        "\x01", ""
    ).replace("\x02", "")
    assert "<" not in snippet


# -- did you mean ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "better", "hits"),
    [
        ("空气质良", "空气质量", 2),
        ("空汽质量", "空气质量", 2),
        ("populaton", "population", 1),
        ("kqzl", "空气质量", 2),
        ("空气质良 日报", "空气质量 日报", 1),
    ],
)
def test_did_you_mean(filled: Catalogue, text: str, better: str, hits: int) -> None:
    found = ask(filled, text)["spellcheck"]
    assert found["correctlySpelled"] is False
    assert found["collations"][0] == "collation"
    assert (found["collations"][1]["collationQuery"], found["collations"][1]["hits"]) == (better, hits)
    assert len(found["suggestions"]) % 2 == 0
    bare = ask(filled, text, **{"spellcheck.collateExtendedResults": "false"})["spellcheck"]
    assert bare["collations"] == ["collation", better]


def test_nothing_better(filled: Catalogue) -> None:
    assert ask(filled, "空气质量")["spellcheck"] == {"suggestions": [], "correctlySpelled": True, "collations": []}
    assert ask(filled, "qqqqwwww")["spellcheck"] == {"suggestions": [], "correctlySpelled": False, "collations": []}
    other = ask(filled, "*:*", **{"spellcheck.q": "空汽质量"})["spellcheck"]
    assert other["collations"][1]["collationQuery"] == "空气质量"


def test_counts_are_the_callers(filled: Catalogue) -> None:
    assert ask(filled, "空汽质量", MEMBER)["spellcheck"]["collations"][1]["hits"] == 3
    assert ask(filled, "空汽质量", PUBLIC)["spellcheck"]["collations"][1]["hits"] == 2


@given(st.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_text_is_answered(filled: Catalogue, text: str) -> None:
    for attempt in (lambda: ask(filled, text), lambda: ask(filled, text, defType="edismax")):
        try:
            attempt()
        except SearchFault as fault:
            assert fault.code < 500  # noqa: PT017 - both outcomes are right
    suggest(filled, text)


@pytest.mark.parametrize("text", ["kongqi", "kqzl", "空气", "空氣"])
def test_ckans_own_autocomplete_knows_readings(filled: Catalogue, text: str) -> None:
    """What ``package_autocomplete`` sends."""
    asked = f'name_ngram:"{text}" OR title_ngram:"{text}" OR name:"{text}" OR title:"{text}"'
    assert set(filled.names(asked, fq=PUBLIC)) == {"air", "air2"}
