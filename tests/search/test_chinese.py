"""Chinese that is found: one script, words, other names, readings, slips."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ops.search import grams
from ops.search.analysis import index_terms, query_pieces, query_words
from ops.search.chinese import pinyin
from ops.search.chinese.distance import one_apart
from ops.search.chinese.folding import normalize, with_offsets
from ops.search.chinese.lexicon import LEXICON, Lexicon, terms_of
from ops.search.chinese.synonyms import Synonyms
from ops.search.schema import Kind
from ops.search.testing import Catalogue, dataset


@pytest.fixture(scope="module")
def filled(catalogue: Catalogue) -> Catalogue:
    catalogue.add(
        dataset("air", title="城市环境空气质量日报", notes="各监测点位的污染物浓度", tags=["生态环境"]),
        dataset("bus", title="公共汽车线路信息", notes="起点、终点与票价"),
        dataset("parking", title="路内停车泊位", notes="收费时段"),
        dataset("insured", title="社会保险参保人数", notes="按月统计"),
        dataset("bank", title="重庆银行网点", notes="营业时间"),
        dataset("rivers", title="River levels and population", notes="English"),
    )
    return catalogue


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("環境空氣質量", "环境空气质量"),
        ("ＰＭ２．５", "PM2.5"),
        ("乾淨", "干净"),
        ("後來", "后来"),
        ("㎡", "m2"),
        ("plain", "plain"),
    ],
)
def test_one_script(text: str, plain: str) -> None:
    assert normalize(text) == plain
    folded, places = with_offsets(text)
    assert folded == plain.lower()
    assert len(places) == len(folded)
    assert all(0 <= place < len(text) for place in places)


def test_index_and_query_fold_alike() -> None:
    for kind in (Kind.TEXT, Kind.TEXT_GENERAL):
        assert index_terms("環境空氣質量", kind) == index_terms("环境空气质量", kind)
        assert query_pieces("環境ＡＢＣ", kind) == query_pieces("环境ABC", kind)
    assert grams.terms("環境") == grams.terms("环境")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("空气质量", "kong qi zhi liang"),
        ("重庆银行", "chong qing yin hang"),
        ("重量", "zhong liang"),
        ("PM值", "P M zhi"),
    ],
)
def test_readings(text: str, read: str) -> None:
    assert " ".join(pinyin.readings(text)) == read


def test_typed_pinyin_is_cut() -> None:
    assert ("kong", "qi") in pinyin.cuts("kongqi", unfinished=False)
    assert ("kong", "q") in pinyin.cuts("kongq", unfinished=True)
    assert pinyin.cuts("kongq", unfinished=False) == ()
    assert pinyin.cuts("xi'an", unfinished=False)[0] == ("xi", "an")
    assert pinyin.typed("空气") == ""
    assert pinyin.cuts("a" * pinyin.MAX_TYPED, unfinished=True) is not None


@pytest.mark.parametrize(
    ("letters", "length"), [("kqzl", 4), ("kongqi", 2), ("kongqzl", 4), ("空气zl", 4), ("kx", None)]
)
def test_letters_match_characters(letters: str, length: int | None) -> None:
    found = pinyin.match_length("空气质量", 0, letters)
    assert (found[0] if found else None) == length


@pytest.mark.parametrize(
    ("one", "two", "apart"),
    [
        ("空气", "空汽", True),
        ("空气", "气空", True),
        ("空气", "空气量", True),
        ("空气量", "空气", True),
        ("空气", "空气", False),
        ("空气质量", "量质气空", False),
        ("abcd", "abdc", True),
        ("abcd", "badc", False),
        ("", "a", True),
    ],
)
def test_distance(one: str, two: str, apart: bool) -> None:
    assert one_apart(one, two) is apart


def test_words_of_a_question() -> None:
    assert query_words("哪里可以打疫苗") == ["打", "疫苗"]
    assert [piece.word for piece in query_pieces("空气质量数据", Kind.TEXT) if not piece.weak] == ["空气质量"]
    assert [piece.weak for piece in query_pieces("数据", Kind.TEXT)] == [False]


def test_a_group_of_synonyms_and_one_way() -> None:
    known = Synonyms(["环保 = 環境保護 # 2018", "公车 > 公交", "GDP = 生产总值 = output"])
    assert known.of("环境保护") == ("环保",)
    assert known.of("公车") == ("公交",)
    assert known.of("公交") == ()
    assert known.of("gdp") == ("生产总值",), "among English words the schema's analysis stays as it is"


def test_an_operators_own_names(tmp_path: Path) -> None:
    known = Synonyms([])
    file = tmp_path / "synonyms.txt"
    file.write_text("# ours\n一网通办 = 政务服务\n", encoding="utf-8")
    assert known.extend(file) == 1
    assert known.of("一网通办") == ("政务服务",)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("环保", "air"),
        ("公交", "bus"),
        ("社保", "insured"),
        ("停车位", "parking"),
        ("空氣品質", "air"),
        ("bus", "bus"),
        ("social security", "insured"),
        ("Air Quality", "air"),
    ],
)
def test_other_names_are_found(filled: Catalogue, text: str, name: str) -> None:
    assert name in filled.typed(text)


def test_a_quoted_text_has_no_other_names(filled: Catalogue) -> None:
    assert filled.typed('"公交"') == []


@pytest.mark.parametrize(
    "text",
    [
        "kongqizhiliang",
        "kongqi",
        "kqzl",
        "kong qi zhi liang",
        "空气zl",
        "空汽质量",
        "空气质良",
        "空质量",
        "气空质量",
        "空气质质量",
    ],
)
def test_slips_and_readings_find_what_was_meant(filled: Catalogue, text: str) -> None:
    assert filled.typed(text) == ["air"]


def test_polyphones(filled: Catalogue) -> None:
    assert filled.typed("chongqingyinhang") == ["bank"]


@pytest.mark.parametrize("text", ["populatoin", "populaton", "popullation", "Rivrs"])
def test_english_slips(filled: Catalogue, text: str) -> None:
    assert filled.typed(text) == ["rivers"]


@pytest.mark.parametrize("text", ["opulation", "bus9", "zzzz", "xqzwv"])
def test_what_is_too_far_is_not_found(filled: Catalogue, text: str) -> None:
    assert "rivers" not in filled.typed(text)


def test_corrections_never_stand_beside_exact_hits(filled: Catalogue) -> None:
    filled.add(dataset("exact", title="空汽质量手册"))
    assert filled.typed("空汽质量") == ["exact"]
    assert filled.names("title:空汽质良") == [], "only what people type is corrected, not a query of a field"
    assert filled.typed("空气质良", forgive="false") == []


def test_learned_words_keep_old_documents_findable(filled: Catalogue) -> None:
    filled.add(dataset("old", title="示范智灵枢平台运行月报"))
    before = [piece.word for piece in query_pieces("智灵枢平台", Kind.TEXT)]
    filled.add(dataset("teacher", title="别的", tags=["智灵枢平台"]))
    after = [piece.word for piece in query_pieces("智灵枢平台", Kind.TEXT)]
    assert len(before) > 1
    assert after == ["智灵枢平台"]
    assert set(filled.typed("智灵枢平台")) == {"old", "teacher"}


def test_only_what_everybody_sees_is_learned(filled: Catalogue) -> None:
    filled.add(dataset("hidden", title="内部", tags=["玄珑雀项目"], permission_labels=["member-1"]))
    filled.add(dataset("gone", title="内部", tags=["玄珑雀工程"], state="deleted"))
    assert not LEXICON.knows("玄珑雀项目")
    assert not LEXICON.knows("玄珑雀工程")
    assert LEXICON.near("玄珑雀项木") == []


def test_terms_of_a_document() -> None:
    document = {
        "tags": ["空气质量", "PM2.5"],
        "title": "很长的一个标题不是词",
        "extras_items": "监测日期; jcrq; 站点名称",
        "notes": "不学",
    }
    assert terms_of(document) == ["空气质量", "监测日期", "站点名称"]


def test_words_outlive_the_process(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    first = Lexicon()
    first.open(file)
    first.learn({"tags": ["凤凰磬台账"], "permission_labels": ["public"]})
    first.save()
    file.write_text(file.read_text(encoding="utf-8") + "bad word\n超长" + "词" * 30 + "\n", encoding="utf-8")
    second = Lexicon()
    second.open(file)
    assert second.cut("凤凰磬台账") == ["凤凰磬台账"]
    assert not second.knows("词" * 30)


def test_words_are_learned_while_others_cut() -> None:
    lexicon = Lexicon()
    stop = threading.Event()
    failures: list[BaseException] = []

    def cut() -> None:
        while not stop.is_set():
            try:
                lexicon.cut("城市环境空气质量日报" * 20)
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=cut) for _ in range(3)]
    for thread in threads:
        thread.start()
    words = [f"词{chr(0x4E00 + number)}词" for number in range(100)]
    learned = sum(lexicon.add([word]) for word in words)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert learned + lexicon.add(words) == len(words), (
        "a word that could not be learned at once is learned the next time"
    )
