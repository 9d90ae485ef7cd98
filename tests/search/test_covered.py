"""What is left out of a query because it finds nothing more: the hits stay the same, also when that changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.search import covered
from ops.search.testing import Catalogue, dataset

WORD = "智灵瓯管理平台"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Catalogue]:
    catalogue = Catalogue(tmp_path)
    yield catalogue
    catalogue.close()


def both_ways(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, text: str, **parameters: str) -> list[str]:
    """Names found with nothing left out, which must be those that are found with all left out that can be."""
    monkeypatch.setattr(covered, "LEAST", 1_000_000)
    whole = catalogue.typed(text, **parameters)
    monkeypatch.setattr(covered, "LEAST", 1)
    for _ in range(2):
        assert sorted(catalogue.typed(text, **parameters)) == sorted(whole), text
    return sorted(whole)


def test_documents_that_only_other_ways_find_are_found(own: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    own.add(dataset("before-1", title=f"省{WORD}台账"), dataset("before-2", notes=f"接入{WORD}的设备"))
    own.add(dataset("teacher", title="别的", tags=[WORD]))
    assert both_ways(own, monkeypatch, WORD) == ["before-1", "before-2", "teacher"]
    own.add(dataset("after", title=f"{WORD}日志"), dataset("apart", title="管理 平台 智灵瓯"))
    found = both_ways(own, monkeypatch, WORD)
    assert {"before-1", "before-2", "teacher", "after"} <= set(found)
    own.delete("before-1")
    assert both_ways(own, monkeypatch, WORD) == [name for name in found if name != "before-1"]
    assert both_ways(own, monkeypatch, WORD, fq="name:before*") == ["before-2"]


def test_too_many_others_are_looked_for_as_before(own: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    word = "苏瓯数台账"
    own.add(*(dataset(f"n{at:02}", title=f"{word}{at}") for at in range(covered.MOST + 5)))
    own.add(dataset("teacher", title="别的", tags=[word]))
    for _ in range(2):
        assert len(both_ways(own, monkeypatch, word)) == covered.MOST + 6
    own.add(dataset("later", title=f"{word}副本"))
    assert len(both_ways(own, monkeypatch, word)) == covered.MOST + 7


def test_an_older_view_is_asked_whole(own: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later view proved says nothing of documents that are gone from it."""
    own.add(dataset("before", title=f"省{WORD}二期"))
    own.add(dataset("teacher", title="别的", tags=[WORD]), dataset("other", title=f"{WORD}三期"))
    older = own.engine.snapshot()
    own.delete("before")
    assert "before" not in both_ways(own, monkeypatch, WORD)
    monkeypatch.setattr(own.engine, "snapshot", lambda: older)
    assert "before" in both_ways(own, monkeypatch, WORD)


def test_a_filter_that_all_documents_meet_excludes_the_first_that_does_not(own: Catalogue) -> None:
    own.add(dataset("one", state="active"), dataset("two", state="active"))
    assert own.names(fq="+state:active") == ["one", "two"]
    assert own.names(fq="-state:active") == []
    assert own.names(fq="state:(active)") == ["one", "two"]
    own.add(dataset("three", state="draft"))
    assert own.names(fq="+state:active") == ["one", "two"]
    assert own.names(fq="+state:draft") == ["three"]
    own.delete("three")
    assert own.names(fq="+state:active") == ["one", "two"]
    assert own.names(fq="+state:draft") == []
    assert own.names(fq="+title:one") == ["one"]
