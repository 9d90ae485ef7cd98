"""Many documents at once: a second process keeps the index while they come, and nothing else is different."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pysolr
import pytest

from ops.search import generation, scribe, writing
from ops.search.chinese.lexicon import LEXICON
from ops.search.documents import prepare
from ops.search.engine import Change
from ops.search.errors import SearchFault
from ops.search.testing import NOW, Catalogue, Service, dataset
from ops.search.update import read_update

SUBJECTS = ("空气质量", "公交线路", "行政许可", "医院名录", "water quality", "bus routes")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LARGE", 10)


@pytest.fixture
def catalogue(tmp_path: Path, small: None) -> Iterator[Catalogue]:
    made = Catalogue(tmp_path / "home")
    yield made
    made.close()


def documents(first: int, count: int = 12, **values: Any) -> list[dict[str, Any]]:
    made = []
    for number in range(first, first + count):
        given = {
            "title": f"{SUBJECTS[number % len(SUBJECTS)]} {number}",
            "tags": ["数据", f"标签{number % 3}"],
            "notes": f"第{number}个数据集，PowerShot SD500 https://example.gov.cn/{number}",
        }
        made.append(dataset(f"many-{number}", **{**given, **values}))
    return made


def write(catalogue: Catalogue, made: list[dict[str, Any]], *, commit: bool = False) -> None:
    """As the service does."""
    elsewhere = catalogue.engine.current.writing.is_shared
    update = read_update(json.dumps(made).encode(), "application/json", NOW, postings=not elsewhere)
    catalogue.engine.submit(update.changes, commit=commit).result(60)


def until_shared(catalogue: Catalogue, first: int = 0) -> int:
    """Write the same twelve until the second process has taken over; the number of the next."""
    deadline = time.monotonic() + 120
    while not catalogue.engine.current.writing.is_shared:
        assert time.monotonic() < deadline
        write(catalogue, documents(first))
        time.sleep(0.05)
    return first + 12


def on_writer(catalogue: Catalogue, task: Callable[[], Any]) -> Any:
    return catalogue.engine.perform(task).result(60)


def held(catalogue: Catalogue) -> dict[str, Any]:
    """What different ways of asking find."""
    return {
        "names": sorted(catalogue.names()),
        "words": [
            catalogue.names(q, sort="name asc")
            for q in (
                "空气质量",
                "title:许可",
                'text:"water quality"',
                "notes:sd500",
                "tags:标签1",
                "title_ngram:线路",
                "title:公交线路",
            )
        ],
        "tags": catalogue.facet("tags"),
    }


def test_the_second_process_writes_what_this_one_would(catalogue: Catalogue, tmp_path: Path) -> None:
    count = until_shared(catalogue)
    write(catalogue, documents(count, title="生僻词条目"))
    write(catalogue, documents(0, 10, title="空气质量改"))
    catalogue.delete("many-3", "many-13")
    assert catalogue.engine.current.writing.pid is not None
    write(catalogue, documents(count + 12, 1), commit=True)
    other = Catalogue(tmp_path / "other")
    other.add(*documents(0, count))
    other.add(*documents(count, title="生僻词条目"))
    other.add(*documents(0, 10, title="空气质量改"))
    other.delete("many-3", "many-13")
    other.add(*documents(count + 12, 1))
    assert held(catalogue) == held(other)
    assert len(catalogue.names()) == count + 13 - 2
    other.close()


def test_words_go_both_ways(catalogue: Catalogue) -> None:
    LEXICON.add(["前置词语甲"], keep=False)
    count = until_shared(catalogue)
    write(catalogue, documents(count, tags=["新学词语乙"]))
    catalogue.add(dataset("one", title="关于前置词语甲的说明"))
    assert LEXICON.knows("新学词语乙")
    assert catalogue.names("title:前置词语甲") == ["one"]
    assert len(catalogue.names("tags:新学词语乙")) == 12


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_its_work_is_done_here_when_it_dies_or_hangs(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setattr(scribe, "PATIENCE_S", 3.0)
    count = until_shared(catalogue)
    write(catalogue, documents(count))
    pid = catalogue.engine.current.writing.pid
    assert pid is not None
    os.kill(pid, how)
    write(catalogue, documents(count + 12))
    write(catalogue, documents(0, title="空气质量改"))
    write(catalogue, documents(count + 24, 1), commit=True)
    assert not catalogue.engine.current.writing.is_shared
    assert len(catalogue.names()) == count + 25
    assert len(catalogue.names('title:"空气质量改"')) == 12
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_ends_when_nothing_comes_and_comes_again(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    count = until_shared(catalogue)
    write(catalogue, documents(count), commit=True)
    monkeypatch.setattr(writing, "IDLE_S", 0.0)
    keeps = catalogue.engine.current.writing
    deadline = time.monotonic() + 60
    while keeps.is_shared:
        assert time.monotonic() < deadline
        on_writer(catalogue, catalogue.engine.current.rest)
        time.sleep(0.05)
    monkeypatch.undo()
    catalogue.add(dataset("after"))
    assert len(catalogue.names()) == count + 13
    monkeypatch.setattr(writing, "LARGE", 10)
    until_shared(catalogue, 100)
    catalogue.add(dataset("again"))
    assert len(catalogue.names()) == count + 12 + 1 + 12 + 1


@pytest.mark.parametrize("patient", [True, False], ids=["many come", "no more come"])
def test_what_nobody_commits_waits_longer_while_many_come(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    count = until_shared(catalogue)
    write(catalogue, documents(0), commit=True)
    monkeypatch.setattr(generation, "AUTO_COMMIT_S", 0.0)
    if not patient:
        monkeypatch.setattr(writing, "WITHIN_S", 0.0)
    write(catalogue, documents(count))
    assert len(catalogue.names()) == (count if patient else count + 12)
    monkeypatch.setattr(generation, "AUTO_COMMIT_MANY_S", 0.0)
    write(catalogue, documents(count))
    assert len(catalogue.names()) == count + 12


def test_what_is_written_while_it_ends_is_written_here(catalogue: Catalogue) -> None:
    count = until_shared(catalogue)
    write(catalogue, documents(count), commit=True)
    keeps = catalogue.engine.current.writing
    keeps._last = float("-inf")
    on_writer(catalogue, catalogue.engine.current.rest)
    catalogue.add(dataset("meanwhile"))
    assert not keeps.is_shared
    assert len(catalogue.names()) == count + 13


@pytest.mark.parametrize(
    "values",
    [
        {"tags": [{"a": 1}]},
        {"notes": {"a": 1}},
        {"views_total": 2**63},
        {"views_total": "x"},
        {"metadata_modified": "x"},
    ],
)
def test_what_is_refused_is_refused_before_it_is_written(values: dict[str, Any]) -> None:
    for postings in (True, False):
        with pytest.raises(SearchFault) as refused:
            prepare(dataset("bad", **values), NOW, postings=postings)
        assert refused.value.code == 400


def test_a_change_without_postings_is_written_by_this_process(catalogue: Catalogue) -> None:
    catalogue.engine.submit([Change(puts=[prepare(dataset("plain"), NOW, postings=False)])], commit=True).result(30)
    assert catalogue.names("title:plain") == ["plain"]


def test_nothing_acknowledged_is_lost_when_either_process_is_killed(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    service = Service(tmp_path / "home")
    sure: set[str] = set()
    number = 0
    try:
        for turn in range(int(os.environ.get("GOVOPEN_SEARCH_MANY_KILLS", "2"))):
            service.start()
            assert service.process is not None
            keeper, more = None, chance.randrange(4)
            while keeper is None or more > 0:
                keeper = keeper or keeper_of(service.process.pid)
                more -= keeper is not None
                made = documents(number, 100)
                number += 100
                service.solr().add(made, commit=chance.random() < 0.3)
                sure |= {one["name"] for one in made}
            kill = threading.Timer(chance.uniform(0, 0.2), os.kill, (service.process.pid if turn % 2 else keeper, 9))
            kill.start()
            with contextlib.suppress(pysolr.SolrError, OSError):
                for _ in range(5):
                    made = documents(number, 100)
                    number += 100
                    service.solr().add(made, commit=chance.random() < 0.3)
                    sure |= {one["name"] for one in made}
            kill.join()
            if not turn % 2:
                service.solr().commit()
                assert sure <= names(service)
            service.stop(signal.SIGKILL)
        service.start()
        deadline = time.monotonic() + 120
        while not sure <= names(service):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert number > 0
    finally:
        service.stop(signal.SIGKILL)


def names(service: Service) -> set[str]:
    """Of all documents, each of which is there once; none while the index is being built."""
    with contextlib.suppress(pysolr.SolrError):
        found = [one["name"] for one in service.solr().search("*:*", rows=1_000_000, fl="name")]
        assert len(found) == len(set(found))
        return set(found)
    return set()


def keeper_of(pid: int) -> int | None:
    """The process that keeps the index for a service."""
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.Error):
            if not any("scribe" in part for part in child.cmdline()):
                continue  # not yet: for a moment it has all files of the one that started it
            if any("tantivy-writer" in file.path for file in child.open_files()):
                return int(child.pid)
    return None
