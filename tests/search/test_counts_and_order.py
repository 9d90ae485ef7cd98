"""Counts and orders of many documents are those of a plain reckoning, however the index is cut into segments."""

from __future__ import annotations

import random
from collections import Counter
from operator import itemgetter
from typing import Any

import pytest

from ops.search import facets, sorting
from ops.search.testing import Catalogue, dataset

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


@pytest.mark.parametrize("label", ["public", "member-1"])
@pytest.mark.parametrize("query", ["*:*", "登记", "tags:水", "nothing"])
def test_every_count_is_exact_and_under_the_labels(
    catalogue: Catalogue, truth: dict[str, dict[str, Any]], query: str, label: str
) -> None:
    matching = {
        "*:*": list(truth.values()), "nothing": [],
        "登记": [one for one in truth.values() if "登记" in one["title"]],
        "tags:水": [one for one in truth.values() if "水" in one["tags"]],
    }
    seen = [one for one in matching[query] if label in one["permission_labels"]]
    answer = catalogue.answer(
        query, fq=[f"+permission_labels:({label})"], facet="true", facet__field=list(FIELDS), facet__mincount="1",
        facet__limit="-1", facet__missing="true",
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


def test_a_field_with_too_many_values_for_one_pass_is_counted_by_its_terms(
    catalogue: Catalogue, truth: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "MAX_VALUES", 3)
    expected = reckoned(list(truth.values()), "organization")
    for options in ({"facet.limit": "-1"}, {"facet.limit": "50"}, {"facet.sort": "index"}):
        flat = catalogue.facet("organization", "name:*", **options)
        assert dict(zip(flat[::2], flat[1::2], strict=True)) == expected


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
