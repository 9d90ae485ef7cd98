"""A rebuild that begins with a copy of what serves: only what differs is indexed, only what is whole is copied."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.search import copies
from ops.search.documents import check, prepare
from ops.search.engine import Change
from ops.search.generation import Generation
from ops.search.sameness import Sameness, compare
from ops.search.store import Row
from ops.search.testing import NOW, SITE, Rebuilding, Service, dataset, key_of

COUNT = 12


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Rebuilding]:
    made = Rebuilding(tmp_path / "home", copy=True)
    made.catalogue.add(*map(document, range(COUNT)))
    yield made
    made.catalogue.close()


def document(number: int, **values: Any) -> dict[str, Any]:
    data = json.dumps({"name": f"s{number}", "extras": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]})
    made = {"title": f"空气质量 {number}", "data_dict": data, "tags": ["数据", "air"]}
    return dataset(f"s{number}", **{**made, **values})


def next_one(site: Rebuilding) -> Generation:
    assert site.engine.rebuild is not None
    return site.engine.rebuild.generation


def send(site: Rebuilding, *documents: dict[str, Any], number: int = 0, gone: tuple[str, ...] = ()) -> None:
    given = {"documents": documents, "gone": [key_of(name) for name in gone]}
    site.ask("add", given, range=number, since=site.since)


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (folder / "index").glob("*.idx")}


def test_only_documents_that_differ_are_indexed(site: Rebuilding) -> None:
    site.start(1)
    before = next_one(site).sequence
    send(site, *map(document, range(COUNT - 1)), document(COUNT - 1, title="newer"))
    assert next_one(site).sequence == before + 1
    site.finish(*(f"s{number}" for number in range(COUNT)))
    assert site.titles() == {**{f"s{n}": f"空气质量 {n}" for n in range(COUNT - 1)}, f"s{COUNT - 1}": "newer"}
    assert site.catalogue.names("title:空气质量", sort="name asc", rows="100") == sorted(
        f"s{n}" for n in range(COUNT - 1)
    )


def test_notes_change_without_the_index(site: Rebuilding) -> None:
    """Of a document that was written in between the serving one is taken, with the notes that it has."""
    site.start(1)
    before, since = next_one(site).sequence, site.since
    documents = [document(number, govopen_stamp="new") for number in range(3)]
    site.catalogue.add(document(2, title="newer", govopen_stamp="its own"))
    site.ask("add", {"documents": documents, "same": [key_of("s4")]}, range=0, since=since)
    assert next_one(site).sequence == before + 1
    site.finish(*(f"s{number}" for number in range(COUNT)))
    told = site.engine.store.told([key_of(f"s{number}") for number in range(4)], ["govopen_stamp"])
    assert [told[key_of(f"s{number}")]["govopen_stamp"] for number in range(4)] == ["new", "new", "its own", None]
    assert len(site.titles()) == COUNT
    assert site.catalogue.names("*:*", fq="govopen_stamp:new") == []


def test_a_dataset_that_is_to_have_no_document_loses_it(site: Rebuilding) -> None:
    site.start(1)
    send(site, gone=("s3", "unheard-of"))
    site.finish(*(f"s{number}" for number in range(COUNT)))
    assert sorted(site.titles()) == sorted(f"s{n}" for n in range(COUNT) if n != 3)


def test_one_that_was_written_since_its_range_was_read_stays(site: Rebuilding) -> None:
    site.start(1)
    since = site.since
    site.catalogue.add(document(3, title="newer"))
    site.ask("add", {"gone": [key_of("s3"), key_of("s4")]}, range=0, since=since)
    site.finish(*(f"s{number}" for number in range(COUNT)))
    assert site.titles()["s3"] == "newer"
    assert "s4" not in site.titles()


def test_the_two_have_the_same_files_and_go_different_ways(site: Rebuilding) -> None:
    old = site.engine.current.folder
    site.start(1)
    shared = files(old)
    assert shared
    assert files(next_one(site).folder) == shared
    send(site, document(0, title="newer"))
    site.catalogue.delete("s1")
    site.catalogue.add(document(2, title="meanwhile"))
    assert site.titles()["s0"] == "空气质量 0"
    site.finish(*(f"s{number}" for number in range(COUNT)))
    expected = {"s0": "newer", "s2": "meanwhile", **{f"s{n}": f"空气质量 {n}" for n in range(3, COUNT)}}
    assert site.titles() == expected
    site.reopen()
    assert site.titles() == expected
    assert not (old / "index").exists(), "the old generation is gone"


def test_what_was_written_while_it_was_copied_is_in_it(site: Rebuilding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the index and the documents, and after both."""
    real = copies._link

    def and_then(source: Generation, into: Path) -> int | None:
        found = real(source, into)
        site.engine.submit(
            [Change(puts=[prepare(one, NOW) for one in (document(0, title="between"), document(50, title="new"))])],
            commit=True,
        )
        return found

    monkeypatch.setattr(copies, "_link", and_then)
    site.start(1)
    site.catalogue.add(document(1, title="after"))
    site.catalogue.delete("s2")
    send(site)
    site.finish(*(f"s{number}" for number in (*range(COUNT), 50)))
    titles = site.titles()
    assert (titles["s0"], titles["s50"], titles["s1"]) == ("between", "new", "after")
    assert sorted(titles) == sorted(f"s{n}" for n in (*range(COUNT), 50) if n != 2)
    assert len(site.catalogue.names("title:空气质量", rows="100")) == COUNT - 3


def test_merges_beside_it_are_waited_out(site: Rebuilding, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a merge removes while it is being linked."""
    real, failures = os.link, iter([FileNotFoundError()])

    def link(one: Path, other: Path) -> None:
        for failure in failures:
            raise failure
        real(one, other)

    monkeypatch.setattr(os, "link", link)
    site.start(1)
    assert site.engine.state()["rebuild"]["copied"]


@pytest.mark.parametrize("damage", ["a byte of the index", "a document that the index lacks", "no links"])
def test_what_cannot_be_relied_on_is_not_copied(
    site: Rebuilding, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if damage == "a byte of the index":
        path = next((site.engine.current.folder / "index").glob("*.term"))
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0x55
        path.write_bytes(content)
    elif damage == "no links":
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError("no links here")))
    else:
        with contextlib.closing(sqlite3.connect(site.engine.current.folder / "documents.sqlite")) as store:
            store.execute("DELETE FROM docs WHERE index_id = ?", (key_of("s5"),))
            store.commit()
    site.start(1)
    assert site.engine.rebuild is not None
    assert not site.engine.rebuild.is_copy
    assert next_one(site).live == 0
    assert not list(site.engine.home.glob(f"{copies.PREFIX}*"))
    send(site, *map(document, range(COUNT)))
    site.finish(*(f"s{number}" for number in range(COUNT)))
    assert len(site.titles()) == COUNT


def test_an_index_that_is_known_to_lack_documents_is_made_whole(site: Rebuilding) -> None:
    site.engine.perform(site.engine.current.mark_incomplete).result(30)
    site.catalogue.delete("s7")
    site.start(1)
    send(site, *map(document, range(COUNT)))
    site.finish(*(f"s{number}" for number in range(COUNT)))
    assert not site.engine.state()["incomplete"]
    assert len(site.titles()) == COUNT


def test_what_an_earlier_process_left_is_removed(site: Rebuilding) -> None:
    (site.engine.home / f"{copies.PREFIX}left").mkdir()
    site.reopen()
    assert not list(site.engine.home.glob(f"{copies.PREFIX}*"))
    assert len(site.titles()) == COUNT


# -- what is the same --------------------------------------------------------------------------------------------------


def checked(**values: Any) -> dict[str, Any]:
    return check(document(1, **values), NOW)


def is_same(document: dict[str, Any], kept: Row) -> bool:
    return compare(document, kept) is Sameness.SAME


def row(**values: Any) -> Row:
    return prepare(document(1, **values), NOW, postings=False).row


def test_the_moment_of_indexing_and_the_order_of_fields_say_nothing() -> None:
    turned = dict(reversed(checked(notes="x" * 900, indexed_ts="2030-01-01T00:00:00Z").items()))
    assert is_same(turned, row(notes="x" * 900))


def test_the_order_of_extras_says_nothing() -> None:
    extras = [{"key": f"键{n}", "value": "x" * 90} for n in range(9)]
    one, other = ({"extras": list(order), "tags": [1, 2]} for order in (extras, reversed(extras)))
    for name in ("data_dict", "validated_data_dict"):
        assert is_same(checked(**{name: json.dumps(one)}), row(**{name: json.dumps(other)}))
    other["tags"] = [2, 1]
    assert not is_same(checked(data_dict=json.dumps(one)), row(data_dict=json.dumps(other)))


texts = st.one_of(st.none(), st.text(max_size=30), st.lists(st.text(max_size=10), max_size=3))


@given(st.tuples(texts, texts), st.tuples(texts, texts))
def test_whatever_differs_is_seen(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    new, old = ({"notes": notes, "validated_data_dict": json.dumps({"extras": [], "notes": data})} for notes, data in
                (one, other))
    assert is_same(checked(**new), row(**old)) == (one == other)


def test_what_only_rebuilds_look_at_is_told_apart() -> None:
    assert compare(checked(govopen_stamp="new"), row(govopen_stamp="old")) is Sameness.BUT_NOTES
    assert compare(checked(govopen_stamp="new"), row()) is Sameness.BUT_NOTES
    assert compare(checked(govopen_stamp="new", notes="a"), row(govopen_stamp="old", notes="b")) is Sameness.DIFFERENT
    assert compare(checked(), row(notes="b")) is Sameness.DIFFERENT


@pytest.mark.parametrize("data", ["not json", "[]", '{"extras": 7}', '{"extras": [1, "b"]}', "", "null"])
def test_texts_of_any_kind_are_compared(data: str) -> None:
    assert is_same(checked(data_dict=data), row(data_dict=data))
    assert not is_same(checked(data_dict=data), row(data_dict=data + " {"))


# -- kills -------------------------------------------------------------------------------------------------------------


def test_a_rebuild_from_a_copy_goes_on_after_kills(tmp_path: Path) -> None:
    """At any instant of it, the copying included; what was acknowledged is there, nothing is there twice."""
    chance = random.Random(20261122)
    service, count, size = Service(tmp_path / "home"), 600, 100
    made = {f"s{number}": document(number) for number in range(count)}
    service.start()
    try:
        service.solr().add(list(made.values()), commit=True)
        for turn in range(int(os.environ.get("GOVOPEN_SEARCH_MANY_KILLS", "2"))):
            for name in chance.sample(sorted(made), 20):
                made[name] = document(int(name[1:]), title=f"turn {turn}")
            assert service.process is not None
            kill = threading.Timer(chance.uniform(0, 0.5), lambda: os.kill(service.process.pid, signal.SIGKILL))
            kill.start()
            with contextlib.suppress(OSError, AssertionError):
                _rebuild(service, list(made.values()), size)
                kill.join()
            kill.join()
            service.process.wait(60)
            service.start()
            _rebuild(service, list(made.values()), size)
            found = list(service.solr().search("*:*", rows=10_000, fl="name title"))
            assert len(found) == count
            assert {one["name"]: one["title"] for one in found} == {name: one["title"] for name, one in made.items()}
            assert service.solr().search('title:"turn"', rows=0).hits == sum(
                one["title"].startswith("turn") for one in made.values()
            )
            assert not list((tmp_path / "home").glob(f"{copies.PREFIX}*"))
    finally:
        service.stop(signal.SIGKILL)


def _rebuild(service: Service, documents: list[dict[str, Any]], size: int) -> None:
    """From the beginning, or what an interrupted one lacks."""

    def state() -> dict[str, Any]:
        status, text = service.get("/rebuild")
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def post(query: str, content: Any) -> None:
        status, text = service.get(f"/rebuild?{query}", json.dumps(content).encode())
        assert status == 200, text

    ranges = list(range(0, len(documents), size))
    if state()["rebuild"] is None:
        post("action=start", {"ranges": ranges, "datasets": len(documents), "copy": True})
    done = set(state()["rebuild"]["done"])
    for number in sorted(set(range(len(ranges))) - done):
        since = state()["sequence"]
        part = documents[number * size : (number + 1) * size]
        post(f"action=add&range={number}&since={since}", {"documents": part})
    since = state()["sequence"]
    post(f"action=finish&since={since}", {"site_id": SITE, "alive": [one["index_id"] for one in documents]})
