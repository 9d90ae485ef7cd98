"""A rebuild of the index from CKAN's database: the same documents, only those anew that are not as they should be."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
from ckan import model
from ckan.lib.search import index
from ckanext.govopen import search_feed
from ckanext.govopen.testing import dataset_dict


@pytest.fixture
def feed(people: dict[str, Any]) -> search_feed.Service:
    """The rebuild's side of the real search service, level with the database."""
    rebuild(search_feed.Service())
    return search_feed.Service()


@pytest.fixture
def dataset(act: Any, people: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    return lambda: dict(act("editor", "package_create", **dataset_dict(people["org"]["id"])))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the datasets whose documents are made."""
    ids: list[str] = []
    real = search_feed.index_update_package

    def noted(context: Any, dataset_id: str, defer: bool) -> None:
        ids.append(dataset_id)
        real(context, dataset_id, defer)

    monkeypatch.setattr(search_feed, "index_update_package", noted)
    return ids


@pytest.fixture
def renamed(people: dict[str, Any]) -> Iterator[Callable[[str], None]]:
    """Give the department another name behind CKAN's back."""

    def rename(title: str) -> None:
        model.Session.query(model.Group).filter_by(id=people["org"]["id"]).update({"title": title})
        model.Session.commit()

    yield rename
    rename(people["org"]["title"])


def rebuild(feed: search_feed.Service, *, everything: bool = False) -> int:
    search_feed.start(feed)
    assert search_feed.feed(feed, 0, 2, everything) == 0
    assert search_feed.feed(feed, 1, 2, everything) == 0
    return search_feed.finish(feed)


def stored() -> dict[str, dict[str, Any]]:
    """What the index holds, but for the moment and number of indexing and the order of the extras."""
    found = index.make_connection(decode_dates=False).search(q="*:*", rows=1000, fl="*")
    documents = {one["id"]: {**one, "indexed_ts": None, "_version_": None} for one in found.docs}
    for one in documents.values():
        one["data_dict"] = json.loads(one["data_dict"])
        one["data_dict"]["extras"].sort(key=lambda extra: extra["key"])
        one["validated_data_dict"] = json.loads(one["validated_data_dict"])
    return documents


def department_of(dataset: dict[str, Any]) -> str:
    return str(stored()[dataset["id"]]["validated_data_dict"]["organization"]["title"])


def test_the_same_documents_come_from_the_database(
    feed: search_feed.Service, made: list[str], dataset: Any
) -> None:
    ids = {dataset()["id"] for _ in range(3)}
    before = stored()
    assert set(before) >= ids
    rebuild(feed, everything=True)
    assert set(made) >= ids
    after = stored()
    for one in ids:
        assert after[one] == before[one]
    assert after.keys() == before.keys()


def test_only_what_is_not_as_it_should_be_is_made_again(
    feed: search_feed.Service, made: list[str], dataset: Any
) -> None:
    one, two, three = (dataset() for _ in range(3))
    rebuild(feed)
    made.clear()
    package = model.Package.get(one["id"])
    assert package is not None
    package.metadata_modified = package.metadata_modified + datetime.timedelta(seconds=1)
    model.Session.commit()
    index.make_connection().delete(q=f'name:"{two["name"]}"', commit=True)
    rebuild(feed)
    assert set(made) == {one["id"], two["id"]}
    assert set(stored()) >= {one["id"], two["id"], three["id"]}


def test_a_department_that_was_renamed_has_its_documents_made_again(
    feed: search_feed.Service, made: list[str], dataset: Any, people: Any, renamed: Any
) -> None:
    one = dataset()
    assert department_of(one) == people["org"]["title"]
    renamed("更名局")
    rebuild(feed)
    assert one["id"] in made
    assert department_of(one) == "更名局"


def test_a_dataset_that_cannot_be_made_keeps_its_document(
    feed: search_feed.Service, monkeypatch: pytest.MonkeyPatch, dataset: Any
) -> None:
    one = dataset()

    def broken(*_: Any) -> None:
        raise tk.ValidationError({"items": ["?"]})

    monkeypatch.setattr(search_feed, "index_update_package", broken)
    search_feed.start(feed)
    failed = search_feed.feed(feed, 0, 1, everything=True)
    assert failed >= 1
    search_feed.finish(feed)
    assert one["id"] in stored()
