"""Counts and orders of many documents are those of a plain reckoning, however the index is cut into segments."""

from __future__ import annotations

import random
import time
from collections import Counter
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from ops.search import facets, sorting
from ops.search.fields import is_counted
from ops.search.testing import Catalogue, dataset
from ops.search.values import Values

COUNT = 240
FIELDS = ("organization", "tags", "res_format", "govopen_domain", "name", "views_total", "frequency")


@pytest.fixture(scope="module")
def truth(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """Documents in eight segments, a third of them replaced and some deleted afterwards."""
    chance = random.Random(20261124)
    documents: dict[str, dict[str, Any]] = {}

    def made(number: int) -> dict[str, Any]:
        return dataset(
            f"set-{number:03}",
            title="登记" if number % 6 == 0 else "数据 登记" if number % 3 == 0 else "数据",
            organization=f"org-{number % 17}",
            tags=chance.choices(["水", "路", "税", "2020-01-01T00:00:00Z", "a.b", "Z"], k=chance.randrange(5)),
            res_format=["CSV", "CSV", chance.choice(["JSON", "XLSX"])], govopen_domain=chance.choice("abc"),
            views_total=chance.randrange(4), permission_labels=[chance.choice(["public", "public", "member-1"])],
            metadata_modified=f"2026-01-{chance.randrange(1, 9):02}T00:00:00Z", frequency=chance.choice(["w", "m"]),
        )

    for start in range(0, COUNT, COUNT // 6):
        batch = [made(number) for number in range(start, start + COUNT // 6)]
        catalogue.add(*batch)
        documents.update({one["name"]: one for one in batch})
    again = [made(number) for number in chance.sample(range(COUNT), COUNT // 3)]
    catalogue.add(*again)
    documents.update({one["name"]: one for one in again})
    for name in chance.sample(sorted(documents), 20):
        catalogue.delete(name)
        del documents[name]
    return documents


def values(document: dict[str, Any], field: str) -> set[str]:
    value = document.get(field)
    return {str(one) for one in value} if isinstance(value, list) else set() if value is None else {str(value)}


def reckoned(documents: list[dict[str, Any]], field: str) -> dict[str, int]:
    return dict(Counter(value for document in documents for value in values(document, field)))


def known_values(catalogue: Catalogue) -> None:
    """Wait until the values of the fields are known by the documents' numbers."""
    snapshot = catalogue.engine.snapshot()
    deadline = time.monotonic() + 60
    while not snapshot.values.ready([name for name in FIELDS if is_counted(name)], snapshot.sequence):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def no_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting by terms finds nothing of fields that are counted by numbers."""
    by_terms = facets._by_terms
    monkeypatch.setattr(
        facets, "_by_terms",
        lambda select, query, wish: [] if is_counted(wish.name) else by_terms(select, query, wish),
    )


@pytest.mark.parametrize("by_index", [True, False])
@pytest.mark.parametrize("label", ["public", "member-1"])
@pytest.mark.parametrize("query", ["*:*", "登记", "tags:水", "nothing"])
def test_every_count_is_exact_and_under_the_labels(
    catalogue: Catalogue, truth: dict[str, dict[str, Any]], query: str, label: str, by_index: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue.engine.snapshot().kept.clear()
    if by_index:
        monkeypatch.setattr(Values, "ready", lambda *_: False)
    else:
        known_values(catalogue)

        no_terms(monkeypatch)
    matching = {
        "*:*": list(truth.values()), "nothing": [],
        "登记": [one for one in truth.values() if "登记" in one["title"]],
        "tags:水": [one for one in truth.values() if "水" in one["tags"]],
    }
    seen = [one for one in matching[query] if label in one["permission_labels"]]
    answer = catalogue.answer(
        query, fq=[f"+permission_labels:({label})"], facet="true", facet__field=list(FIELDS), facet__mincount="1",
        facet__limit="-1", facet__missing="true", rows="1000",
    )
    assert answer["response"]["numFound"] == len(seen)
    for field in FIELDS:
        flat = answer["facet_counts"]["facet_fields"][field]
        counted = dict(zip(flat[:-2:2], flat[1:-2:2], strict=True))
        assert counted == reckoned(seen, field), field
        assert flat[-2:] == [None, sum(not values(one, field) for one in seen)], field


def test_the_most_frequent_values_come_first_and_ties_by_value(
    catalogue: Catalogue, truth: dict[str, dict[str, Any]]
) -> None:
    for field in FIELDS:
        ranked = sorted(reckoned(list(truth.values()), field).items(), key=lambda pair: (-pair[1], pair[0].encode()))
        for limit, offset in ((1, 0), (3, 0), (3, 2), (100, 1)):
            flat = catalogue.facet(field, **{"facet.limit": str(limit), "facet.offset": str(offset)})
            assert flat == [item for pair in ranked[offset : offset + limit] for item in pair], field


ORDERS = (
    "score desc, metadata_modified desc, name asc", "score desc, name desc", "score desc, frequency asc, name asc",
    "metadata_modified desc, views_total asc, name desc", "views_total desc, metadata_modified asc, name asc",
    "frequency desc, views_total asc, name asc", "nothing asc, name desc",
    "metadata_modified asc, score desc, name asc",
)


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("order", ORDERS)
def test_many_ties_are_settled_by_the_next_keys_and_pages_meet(
    catalogue: Catalogue, truth: dict[str, dict[str, Any]], order: str, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if few:
        monkeypatch.setattr(sorting, "AHEAD", 3)
        monkeypatch.setattr(sorting, "SETTLED", 5)
        monkeypatch.setattr(sorting, "SETTLED_TEXTS", 2)
    query = "title:登记"
    found = [one for one in truth.values() if "登记" in one["title"]]
    for part in reversed(order.split(", ")):
        name, direction = part.split()
        if name == "score":
            found.sort(key=lambda one: len(one["title"]))
        elif name != "nothing":
            found.sort(key=itemgetter(name), reverse=direction == "desc")
    names = [one["name"] for one in found]
    assert catalogue.names(query, sort=order, rows="1000") == names
    for start in range(0, len(names), 37):
        page = catalogue.names(query, sort=order, start=str(start), rows="20")
        assert page == names[start : start + 20]


BOUNDS = ("abc", "b-1", "b_2", "TO", "气候", "q w")


@pytest.mark.parametrize("field", ["name", "title_string", "owner_org"])
def test_ranges_and_beginnings_of_strings_are_those_of_their_characters(tmp_path: Path, field: str) -> None:
    opened = Catalogue(tmp_path)
    texts = ["abc", "abd", "abc-d", "b-1", "b_2", "bcd", "气候", "气候站", "环境", "Zed", "q w e", "TO", "9", "zz"]
    documents = [dataset(f"n{at}") for at in range(len(texts))]
    for document, text in zip(documents, texts, strict=True):
        document[field] = text
    opened.add(*documents, dataset("n-none"))
    opened.delete("n1")
    values = {f"n{at}": text for at, text in enumerate(texts) if at != 1}
    if field != "owner_org":
        values["n-none"] = "n-none"
    for low, high in product((*BOUNDS, None), (*BOUNDS, None)):
        for left, right in ("[]", "[}", "{]", "{}"):
            shown = [f'"{bound}"' if bound else "*" for bound in (low, high)]
            expected = {
                text for text in values.values()
                if (low is None or (text >= low if left == "[" else text > low))
                and (high is None or (text <= high if right == "]" else text < high))
            }
            asked = f"{field}:{left}{shown[0]} TO {shown[1]}{right}"
            found = {values.get(one["id"].removeprefix("id-")) for one in opened.answer(
                asked, fl="id", rows="100")["response"]["docs"]}
            assert found == expected, asked
    for begin in BOUNDS:
        begun = {values.get(one["id"].removeprefix("id-")) for one in opened.answer(
            f"{field}:{begin.replace(' ', chr(92) + ' ')}*", fl="id", rows="100")["response"]["docs"]}
        assert begun == {text for text in values.values() if text.startswith(begin)}, begin
    opened.close()


@pytest.mark.parametrize("query", ["*:*", "登记", "tags:水"])
@pytest.mark.parametrize("along", [0, 10_000])
def test_counts_that_callers_have_in_common_tell_nothing_of_others(
    catalogue: Catalogue, truth: dict[str, dict[str, Any]], query: str, along: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_values(catalogue)
    catalogue.engine.snapshot().kept.clear()
    monkeypatch.setattr(facets, "MANY", 0)
    monkeypatch.setattr(facets, "ALONG", along)
    no_terms(monkeypatch)
    matching = [
        one for one in truth.values()
        if query == "*:*" or (query == "登记" and "登记" in one["title"]) or (query[0] == "t" and "水" in one["tags"])
    ]
    filters = (
        (["public"], '+permission_labels:("public" OR "creator-1")'), (["public"], "+permission_labels:(public)"),
        (["public", "member-1"], '+permission_labels:("public" OR "member-1")'),
        (["public"], '+permission_labels:("public" OR "creator-2")'), (["member-1"], "+permission_labels:(member-1)"),
        ([], "+permission_labels:(public AND member-1)"), (["public"], '-permission_labels:"member-1"'),
    )
    for state in ("+state:active", "+govopen_domain:a"):
        for labels, text in filters:
            seen = [
                one for one in matching if set(labels) & set(one["permission_labels"])
                and (state == "+state:active" or one["govopen_domain"] == "a")
            ]
            counted = [name for name in FIELDS if is_counted(name)]
            answer = catalogue.answer(
                query, fq=[text, state], facet="true", facet__field=counted, facet__mincount="1", facet__limit="-1",
                rows="3",
            )
            assert answer["response"]["numFound"] == len(seen), text
            for field in counted:
                flat = answer["facet_counts"]["facet_fields"][field]
                assert dict(zip(flat[::2], flat[1::2], strict=True)) == reckoned(seen, field), (text, field)


def test_a_field_is_counted_alike_before_and_after_a_document_has_several_values(tmp_path: Path) -> None:
    opened = Catalogue(tmp_path)
    field = "govopen_domain"

    def counted() -> list[Any]:
        answer = opened.answer(facet="true", facet__field=field, facet__mincount="1", rows="0")
        return list(answer["facet_counts"]["facet_fields"][field])

    opened.add(dataset("a", govopen_domain="x"), dataset("b", govopen_domain="y"), dataset("c"))
    assert opened.engine.snapshot().values.ready([field], opened.engine.snapshot().sequence)
    assert counted() == ["x", 1, "y", 1]
    opened.add(dataset("d", govopen_domain="y"))
    assert counted() == ["y", 2, "x", 1]
    opened.add(dataset("e", govopen_domain=["x", "z", "y"]))
    assert counted() == ["y", 3, "x", 2, "z", 1]
    opened.close()
