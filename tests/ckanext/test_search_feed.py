"""A rebuild of the index from CKAN's database: the same documents, only those anew that are not as they should be."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan import model
from ckan.lib.search import index
from ckanext.govopen import search_feed, search_range
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
    real = search_range.make_document

    def noted(dataset_id: str, shown: Any) -> None:
        ids.append(dataset_id)
        real(dataset_id, shown)

    monkeypatch.setattr(search_range, "make_document", noted)
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

    monkeypatch.setattr(search_range, "make_document", broken)
    search_feed.start(feed)
    failed = search_feed.feed(feed, 0, 1, everything=True)
    assert failed >= 1
    search_feed.finish(feed)
    assert one["id"] in stored()


@pytest.fixture
def several(feed: search_feed.Service, dataset: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What the index holds of datasets that each are a range."""
    monkeypatch.setattr(search_feed, "RANGE", 1)
    for _ in range(3):
        dataset()
    return stored()


def test_two_processes_make_what_one_makes(several: dict[str, dict[str, Any]]) -> None:
    assert search_feed.rebuild(2, everything=True) == (len(several), 0)
    assert stored() == several


def test_a_rebuild_whose_other_process_died_says_so_and_goes_on_next_time(
    feed: search_feed.Service, several: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = search_feed.feed

    def dying(service: Any, part: int, parts: int, everything: bool) -> int:
        if part:
            os._exit(9)
        return real(service, part, parts, everything)

    monkeypatch.setattr(search_feed, "feed", dying)
    with pytest.raises(RuntimeError, match="ended before its time"):
        search_feed.rebuild(2)
    state = feed.state()["rebuild"]
    assert 0 < len(state["done"]) < len(state["ranges"])
    monkeypatch.setattr(search_feed, "feed", real)
    assert search_feed.rebuild(2) == (len(several), 0)
    assert stored() == several


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each rebuild that was started, whether it begins with a copy of what serves."""
    copied: list[bool] = []
    real = search_feed.Service.act

    def act(service: Any, action: str, content: Any = None, **parameters: Any) -> Any:
        if action == "start":
            copied.append(content["copy"])
        return real(service, action, content, **parameters)

    monkeypatch.setattr(search_feed.Service, "act", act)
    return copied


def test_what_serves_is_copied_only_where_most_of_it_is_as_it_should_be(
    several: dict[str, dict[str, Any]], started: list[bool], monkeypatch: pytest.MonkeyPatch, feed: search_feed.Service
) -> None:
    assert rebuild(feed) == len(several)
    index.make_connection().delete(q="*:*", commit=True)
    assert rebuild(feed) == len(several)
    assert started == [True, False]
    assert stored() == several


def test_an_upgrade_that_changes_no_document_indexes_none(
    several: dict[str, dict[str, Any]], started: list[bool], made: list[str], monkeypatch: pytest.MonkeyPatch,
    feed: search_feed.Service,
) -> None:
    before = feed.state()["sequence"]
    with monkeypatch.context() as upgraded:
        upgraded.setattr(search_feed, "_code", lambda: "another")
        assert rebuild(feed) == len(several)
        assert set(made) == set(several)
        made.clear()
        assert rebuild(feed) == len(several)
        assert made == []
    assert feed.state()["sequence"] == before
    assert started == [True, True]
    assert stored() == several


def test_an_upgrade_that_changes_most_documents_begins_with_nothing(
    several: dict[str, dict[str, Any]], started: list[bool], monkeypatch: pytest.MonkeyPatch, feed: search_feed.Service
) -> None:
    real = search_feed.Collector.add

    def add(collector: Any, docs: list[dict[str, Any]], **parameters: Any) -> None:
        real(collector, [{**one, "notes": "written by another version"} for one in docs], **parameters)

    monkeypatch.setattr(search_feed, "_code", lambda: "another")
    monkeypatch.setattr(search_feed.Collector, "add", add)
    assert rebuild(feed) == len(several)
    assert started == [False]
    assert {one["notes"] for one in stored().values()} == {"written by another version"}


def test_documents_made_again_as_they_are_stay_in_the_index(
    several: dict[str, dict[str, Any]], started: list[bool], made: list[str], feed: search_feed.Service
) -> None:
    """The sequence of the index goes on where a document is indexed."""
    before = feed.state()["sequence"]
    assert rebuild(feed, everything=True) == len(several)
    assert (set(made), started) == (set(several), [True])
    assert feed.state()["sequence"] == before


def test_anew_takes_nothing_over(
    several: dict[str, dict[str, Any]], started: list[bool], made: list[str], feed: search_feed.Service
) -> None:
    assert search_feed.rebuild(1, anew=True) == (len(several), 0)
    assert (set(made), started) == (set(several), [False])
    assert stored() == several


@pytest.mark.parametrize(("began_with_copy", "options", "begins"), [
    (True, {"anew": True}, [False]), (False, {"anew": True}, []), (False, {"restart": True}, [True]),
    (True, {"everything": True}, []),
], ids=["a copy is no empty index", "an empty one goes on", "any is dropped", "a copy goes on"])
def test_an_unfinished_rebuild_goes_on_unless_it_is_not_what_is_asked_for(
    several: dict[str, dict[str, Any]], started: list[bool], feed: search_feed.Service, began_with_copy: bool,
    options: dict[str, bool], begins: list[bool],
) -> None:
    search_feed.start(feed, anew=not began_with_copy)
    started.clear()
    assert search_feed.rebuild(1, **options) == (len(several), 0)
    assert started == begins
    assert stored() == several


def test_a_dataset_of_which_ckan_makes_no_document_has_none(
    several: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, feed: search_feed.Service
) -> None:
    left_out, *others = several
    real = search_range.make_document
    monkeypatch.setattr(
        search_range, "make_document", lambda one, shown: None if one == left_out else real(one, shown)
    )
    rebuild(feed, everything=True)
    assert set(stored()) == set(others)


def test_one_rebuild_at_a_time(feed: search_feed.Service) -> None:
    with model.meta.engine.connect() as other:
        other.execute(sa.select(sa.func.pg_advisory_lock(search_feed.LOCK)))
        with pytest.raises(RuntimeError, match="Another rebuild"):
            search_feed.rebuild(1)
        other.execute(sa.select(sa.func.pg_advisory_unlock(search_feed.LOCK)))
    assert feed.state()["rebuild"] is None
    assert search_feed.rebuild(1)[1] == 0


@pytest.mark.parametrize("option", ["anew", "restart"])
def test_one_that_is_under_way_is_not_dropped_by_another(feed: search_feed.Service, option: str) -> None:
    search_feed.start(feed)
    under_way = feed.state()["rebuild"]
    with model.meta.engine.connect() as other:
        other.execute(sa.select(sa.func.pg_advisory_lock(search_feed.LOCK)))
        with pytest.raises(RuntimeError, match="Another rebuild"):
            search_feed.rebuild(1, **{option: True})
        other.execute(sa.select(sa.func.pg_advisory_unlock(search_feed.LOCK)))
    assert under_way is not None
    assert feed.state()["rebuild"] == under_way


def test_a_process_whose_parent_was_killed_sends_nothing_more(
    several: dict[str, dict[str, Any]], feed: search_feed.Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed:
        def is_alive(self) -> bool:
            return False

    search_feed.start(feed)
    with monkeypatch.context() as orphaned:
        orphaned.setattr(search_feed.multiprocessing, "parent_process", Killed)
        with pytest.raises(RuntimeError, match="is gone"):
            search_feed.feed(feed, 0, 1)
    assert feed.state()["rebuild"]["done"] == []
    assert search_feed.rebuild(1) == (len(several), 0)
