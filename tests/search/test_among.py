"""How words are looked for changes no hit and no score, only how many documents are asked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.search import among, covered, ranges, words
from ops.search.fields import SEQUENCE
from ops.search.frequencies import Frequencies
from ops.search.ranges import numbered
from ops.search.select import Select
from ops.search.testing import CKAN_DISMAX, Catalogue, dataset

PLACES = ("苏州市", "苏州市吴江区", "淮安市淮安区", "南京市", "无锡市新吴区", "昆山市")
SUBJECTS = (
    "河道水位", "企业名称", "行政许可", "医疗机构名录", "房地产开发企业资质", "空气质量日报", "公交线路", "学校",
)
MORE = ("统计", "信息", "2025年", "GIS data", "air quality", "A级企业", "区", "水", "-", "的")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    chance = random.Random(11)
    catalogue = Catalogue(tmp_path_factory.mktemp("city"))
    documents = []
    for number in range(120):
        place, subject = chance.choice(PLACES), chance.choice(SUBJECTS)
        documents.append(
            dataset(
                f"d{number:03}", title=f"{place}{subject}{chance.choice(('', chance.choice(MORE)))}",
                notes="".join(chance.choice((*PLACES, *SUBJECTS, *MORE)) for _ in range(4)),
                tags=chance.sample(SUBJECTS, 2), groups=[chance.choice(MORE)],
            )
        )
    catalogue.add(*documents)
    yield catalogue
    catalogue.close()


def asked(catalogue: Catalogue, text: str, **parameters: str) -> list[tuple[str, float]]:
    catalogue.engine.snapshot().filters.clear()
    options = {**CKAN_DISMAX, "fl": "name,score", "rows": "200", "forgive": "false", **parameters}
    found = catalogue.answer(text, **options)["response"]["docs"]
    return sorted((one["name"], round(one["score"], 2)) for one in found)


def texts(count: int) -> list[str]:
    chance = random.Random(5)
    parts = (*PLACES, *SUBJECTS, *MORE)
    return [
        chance.choice(("", " ")).join(chance.choice(parts) for _ in range(chance.randrange(1, 5))) for _ in range(count)
    ]


def everywhere_and_among(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, text: str, **parameters: str
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """What is found when frequent words are looked for in all documents, and when they never are."""
    monkeypatch.setattr(among, "MANY", 1_000_000)
    everywhere = asked(catalogue, text, **parameters)
    monkeypatch.setattr(among, "MANY", 0)
    monkeypatch.setattr(among, "MUCH_MORE", 0)
    return everywhere, asked(catalogue, text, **parameters)


@pytest.mark.parametrize("fields", ["title title_ngram", "name_ngram tags", "text extras_note metadata_modified"])
def test_fields_of_any_kind_may_be_looked_through(
    city: Catalogue, monkeypatch: pytest.MonkeyPatch, fields: str
) -> None:
    for text in texts(20):
        everywhere, found = everywhere_and_among(city, monkeypatch, text, qf=fields)
        assert found == everywhere, text


@pytest.mark.parametrize("mm", [CKAN_DISMAX["mm"], "100%", "1", "1<50% 2<100%"])
def test_frequent_words_are_looked_for_among_what_is_needed_with_the_same_hits_and_scores(
    city: Catalogue, monkeypatch: pytest.MonkeyPatch, mm: str
) -> None:
    for text in texts(60):
        everywhere, found = everywhere_and_among(city, monkeypatch, text, mm=mm)
        assert found == everywhere, text


def test_choices_of_needed_words_find_what_counting_them_finds(
    city: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = 0
    for text in texts(80):
        monkeypatch.setattr(words, "MAX_CHOICES", 0)
        counted = asked(city, text)
        monkeypatch.setattr(words, "MAX_CHOICES", 21)
        monkeypatch.setattr(words, "_quicker", lambda *_: True)
        assert asked(city, text) == counted, text
        several += bool(counted)
    assert several > 20


def test_a_word_of_which_nothing_is_left_asks_for_nothing(city: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(among, "MANY", 0)
    monkeypatch.setattr(among, "MUCH_MORE", 0)
    assert asked(city, "公交线路 !!!", qf="title text") == asked(city, "公交线路", qf="title text") != []


def test_a_frequent_character_beside_other_words_is_found_wherever_it_stands(
    city: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("吴江 区", "吴江区学校", "水 河道水位", "淮安区企业名称"):
        monkeypatch.setattr(covered, "LEAST", 1_000_000)
        both = {name for name, _ in asked(city, text)}
        monkeypatch.setattr(covered, "LEAST", 1)
        assert {name for name, _ in asked(city, text)} == both, text


def test_a_main_query_is_remembered_until_something_is_written(tmp_path: Path) -> None:
    own = Catalogue(tmp_path)
    own.add(dataset("one", title="河道水位"))
    assert own.typed("河道 水位") == own.typed("河道 水位") == ["one"]
    own.add(dataset("two", title="河道水位日报"))
    assert sorted(own.typed("河道 水位")) == ["one", "two"]
    assert own.typed("河道 水位", qf="name", forgive="false") == []
    own.close()


def test_ids_are_those_of_documents_written_before_they_were_kept(tmp_path: Path) -> None:
    own = Catalogue(tmp_path)
    own.add(dataset("one"), dataset("two"))
    store = own.engine.store
    store.begin()
    store.writer.execute("UPDATE docs SET id = NULL WHERE id = 'id-one'")
    store.commit()
    for fields in ("id", "id validated_data_dict", "id data_dict", "id data_dict name"):
        found = own.answer(fl=fields)["response"]["docs"]
        assert sorted(one["id"] for one in found) == ["id-one", "id-two"], fields
        assert all(one.keys() == set(fields.split()) for one in found), fields
    own.close()


def test_terms_that_no_document_has_are_left_out_with_the_same_hits_and_scores(
    city: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [asked(city, text) for text in texts(60)]
    city.engine.snapshot().kept.clear()
    really = Frequencies.of
    monkeypatch.setattr(Frequencies, "of", lambda self, place, term: max(1, really(self, place, term)))
    assert [asked(city, text) for text in texts(60)] == known
    city.engine.snapshot().kept.clear()


def test_a_value_that_no_document_has_is_not_looked_for(city: Catalogue) -> None:
    assert "nobody" not in str(Select(city.engine, {}).lucene("name:nobody")[0])


@pytest.mark.parametrize("many", [0, 1_000])
def test_documents_are_found_by_their_numbers_one_by_one_and_as_a_set(
    city: Catalogue, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(ranges, "MANY", many)
    searcher = city.engine.snapshot().searcher
    hits = searcher.search(numbered(city.engine.schema, [3, 50, 70_000, 7]), 10, order_by_field=SEQUENCE).hits
    assert [number for number, _ in hits] == [50, 7, 3]
