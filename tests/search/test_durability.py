"""Damage, a full disk, a new layout: what was acknowledged is there, and what cannot be is said."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pysolr
import pytest

from ops.search import engine as engines
from ops.search import generation, health
from ops.search.documents import prepare
from ops.search.errors import SearchFault
from ops.search.generation import Change
from ops.search.testing import NOW, Catalogue, Service, dataset

SETS = 60
TEMPORARY = shutil.ignore_patterns(".tmp*")
"""Files that tantivy is still writing under other names."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a killed process leaves it: several segments, a deletion, all committed."""
    home = tmp_path_factory.mktemp("killed")
    catalogue = Catalogue(home / "running")
    for first in range(0, SETS, 20):
        catalogue.add(*(dataset(f"s{n}", title=f"数据集 {n}", notes="air " * n) for n in range(first, first + 20)))
    catalogue.delete("s7")
    shutil.copytree(home / "running", home / "left", ignore=TEMPORARY)
    catalogue.close()
    return home / "left"


def half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("part", [".idx", ".pos", ".term", ".fast", ".fieldnorm", ".store", ".del", "meta.json"])
@pytest.mark.parametrize("harm", [half, one_bit, empty, Path.unlink])
def test_a_damaged_index_is_built_anew_from_the_documents(
    killed: Path, tmp_path: Path, part: str, harm: Callable[[Path], None]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(killed, home)
    harm(next(path for path in sorted((home / "index").iterdir()) if path.name.endswith(part)))
    catalogue = Catalogue(home)
    try:
        assert len(catalogue.names()) == SETS - 1
        assert catalogue.names("title:59") == ["s59"]
        assert catalogue.engine.state()["incomplete"] is False
    finally:
        catalogue.close()


def test_a_commit_that_was_cut_short_does_not_stand_in_the_way(killed: Path, tmp_path: Path) -> None:
    """Its file of deletions lies there under the name that the next commit takes, and no commit knows of it."""
    home, before = tmp_path / "home", tmp_path / "before"
    shutil.copytree(killed, before)
    known = {path.name for path in before.rglob("*.del")}
    catalogue = Catalogue(before)
    catalogue.delete("s9")
    cut = [path for path in before.rglob("*.del") if path.name not in known]
    assert cut
    shutil.copytree(killed, home)
    for path in cut:
        (home / path.relative_to(before)).write_bytes(b"cut short")
    catalogue.close()
    catalogue = Catalogue(home)
    try:
        catalogue.delete("s9")
        assert len(catalogue.names()) == SETS - 2
    finally:
        catalogue.close()


def test_a_lost_index_is_built_anew(killed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(killed, home)
    shutil.rmtree(home / "index")
    catalogue = Catalogue(home)
    assert len(catalogue.names()) == SETS - 1
    catalogue.close()


@pytest.mark.parametrize("harm", [half, empty])
def test_damaged_documents_are_set_aside_and_missed_aloud(
    killed: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """What can be read is served, the rest is said to be missing; nothing is thrown away."""
    home = tmp_path / "home"
    shutil.copytree(killed, home)
    with sqlite3.connect(home / "documents.sqlite") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    harm(home / "documents.sqlite")
    catalogue = Catalogue(home)
    is_empty = harm is empty
    try:
        assert len(catalogue.names()) < SETS
        assert catalogue.engine.state()["incomplete"] is not is_empty
        assert is_empty or (home / "damaged-1" / "documents.sqlite").exists()
        catalogue.add(dataset("new"))
        assert "new" in catalogue.names()
    finally:
        catalogue.close()


def test_without_room_writes_are_refused_and_reads_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue(tmp_path / "home")
    catalogue.add(dataset("before"))
    with monkeypatch.context() as short:
        short.setattr(health, "RESERVE_BYTES", 1 << 62)
        with pytest.raises(SearchFault, match="no room") as refused:
            catalogue.add(dataset("refused"))
        assert refused.value.code == 507
        assert catalogue.names() == ["before"]
        assert catalogue.engine.state()["full"] is True
    catalogue.add(dataset("after"))
    assert catalogue.names(sort="name asc") == ["after", "before"]
    catalogue.close()


def test_a_disk_that_fills_up_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Writing fails for real: no file of the process may grow beyond a limit."""
    service = Service(tmp_path)
    limit = 1_500_000
    service.start(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    solr = service.solr()
    kept: list[str] = []
    refusal = ""
    while not refusal and len(kept) < 400:
        number = len(kept)
        notes = " ".join(f"w{number}x{word}" for word in range(700))
        try:
            solr.add([dataset(f"s{number}", notes=notes)], commit=number % 3 == 0)
            kept.append(f"s{number}")
        except pysolr.SolrError as error:
            refusal = str(error)
    assert "507" in refusal
    assert kept
    assert service.stop() in (0, -15, 70)
    service.start()
    found = {document["name"] for document in service.solr().search(q="*:*", rows=1000, fl="name")}
    assert set(kept) <= found <= {*kept, f"s{len(kept)}"}
    service.solr().add([dataset("again")], commit=True)
    assert service.solr().search(q="name:again").hits == 1
    service.stop()


def test_a_large_gap_is_closed_in_the_background(
    killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new layout: readers are told how far it is, writers are served, an interruption costs little."""
    home, gate = tmp_path / "home", threading.Semaphore(0)
    shutil.copytree(killed, home)
    monkeypatch.setattr(engines, "AT_ONCE", 5)
    monkeypatch.setattr(engines, "SLICE", 7)
    monkeypatch.setattr(generation, "COMMIT_EACH", 10)
    monkeypatch.setattr(generation, "LAYOUT", "another")
    real = generation.Generation.catch_up

    def when_told(self: generation.Generation, limit: int) -> int:
        gate.acquire()
        return real(self, limit)

    monkeypatch.setattr(generation.Generation, "catch_up", when_told)
    catalogue = Catalogue(home)
    gate.release(3)
    written = catalogue.engine.submit([Change(puts=[prepare(dataset("s3", title="replaced"), NOW)])], commit=True)
    gate.release(1)
    written.result(60)
    with pytest.raises(SearchFault, match=r"is being built .*of 59 documents") as refused:
        catalogue.names()
    assert refused.value.code == 503
    while (gap := catalogue.engine.current.gap) is not None and gap.done < 21:
        noted = catalogue.engine.perform(lambda: None)
        gate.release(1)
        noted.result(60)
    copied = catalogue.engine.perform(lambda: shutil.copytree(home, tmp_path / "killed", ignore=TEMPORARY))
    gate.release(1)
    copied.result(60)
    assert int(catalogue.engine.store.meta("indexed") or 0) >= 14, "it could go on from here"
    for one in (home, tmp_path / "killed"):
        gate.release(100)
        if one != home:
            catalogue = Catalogue(one)
        while catalogue.engine.current.gap is not None:
            catalogue.engine.perform(lambda: None).result(60)
        catalogue.engine.submit([], commit=True).result(60)
        assert len(catalogue.names()) == SETS - 1
        assert catalogue.names("title:replaced") == ["s3"]
        catalogue.close()
