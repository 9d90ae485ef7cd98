"""A rebuild: the old index serves, nothing written meanwhile is lost or overtaken, an interrupted one goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ops.search.errors import SearchFault
from ops.search.testing import NOW, Catalogue, Rebuilding, dataset
from ops.search.update import read_update

DELETE_S9 = b'<delete><query>+entity_type:package AND +(id:"id-s9" OR name:"s9")</query></delete>'


@pytest.fixture(params=[False, True], ids=["from nothing", "from a copy"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    made = Rebuilding(tmp_path / "home", copy=request.param)
    made.catalogue.add(*(dataset(f"s{n}") for n in range(6)))
    yield made
    made.catalogue.close()


def test_the_old_index_serves_until_the_new_one_does(site: Rebuilding) -> None:
    site.start(2)
    site.add(0, "s0", "s1", "s2", since=site.since)
    assert site.titles() == {f"s{n}": f"s{n}" for n in range(6)}
    old = site.engine.snapshot()
    site.add(1, "s3", "s4", same=("s5",), since=site.since)
    assert site.engine.state()["rebuild"]["documents"] == 6
    assert site.finish(*(f"s{n}" for n in range(6))) == 6
    assert site.titles() == {**{f"s{n}": f"anew s{n}" for n in range(5)}, "s5": "s5"}
    assert site.engine.snapshot().generation > old.generation
    assert len(old.store.heads([1, 2, 3])) == 3, "a reader that began before still finds what it looks at"
    assert site.engine.state()["rebuild"] is None
    site.reopen()
    assert site.titles()["s3"] == "anew s3"
    assert not (site.engine.home / "documents.sqlite").exists(), "the old generation is gone"


def test_what_is_written_meanwhile_is_neither_lost_nor_overtaken(site: Rebuilding) -> None:
    site.start(2)
    before = site.since
    site.catalogue.add(dataset("s0", title="newer"), dataset("s9", title="added"))
    site.catalogue.delete("s1", "s4")
    site.add(0, "s0", "s1", "s2", since=before)
    site.add(1, "s3", "s4", "s5", since=before)
    site.catalogue.add(dataset("s2", title="after its range"))
    site.catalogue.delete("s3")
    site.finish("s0", "s2", "s3", "s5", "s9")
    assert site.titles() == {"s0": "newer", "s2": "after its range", "s5": "anew s5", "s9": "added"}
    site.catalogue.add(dataset("s7", title="onwards"))
    site.reopen()
    assert site.titles()["s7"] == "onwards"


def test_datasets_that_ckan_has_no_more_go_and_others_documents_stay(site: Rebuilding) -> None:
    site.catalogue.add(dataset("page", entity_type="page"), dataset("abroad", site_id="elsewhere"))
    site.start(1)
    site.add(0, "s0", "s1", since=site.since)
    site.finish("s0")
    assert site.titles() == {"s0": "anew s0", "page": "page", "abroad": "abroad"}


def test_an_interrupted_rebuild_goes_on(site: Rebuilding) -> None:
    site.start(3)
    site.add(0, "s0", "s1", since=site.since)
    with pytest.raises(SearchFault, match="2 ranges are missing"):
        site.finish("s0")
    site.catalogue.add(dataset("s0", title="between"))
    site.reopen()
    assert site.engine.state()["rebuild"]["done"] == [0]
    site.catalogue.add(dataset("s1", title="after"))
    site.add(1, "s2", "s3", since=site.since)
    site.add(1, "s2", since=site.since, title="sent twice")
    site.reopen()
    site.add(2, "s4", "s5", since=site.since)
    site.finish(*(f"s{n}" for n in range(6)))
    assert site.titles() == {"s0": "between", "s1": "after", **{f"s{n}": f"anew s{n}" for n in range(2, 6)}}


def test_one_that_is_given_up_leaves_nothing(site: Rebuilding) -> None:
    site.start(1)
    site.add(0, "s0", since=site.since)
    site.start(2)
    assert site.engine.state()["rebuild"]["done"] == []
    site.engine.perform(site.engine.drop_rebuild).result(30)
    assert site.engine.state()["rebuild"] is None
    assert not list(site.engine.home.glob("generation-*"))
    with pytest.raises(SearchFault, match="No rebuild"):
        site.finish()
    assert len(site.titles()) == 6


def delete_s9(site: Rebuilding, by_query: bool) -> None:
    if by_query:
        site.engine.submit(read_update(DELETE_S9, "text/xml", NOW).changes, commit=True).result(30)
    else:
        site.catalogue.delete("s9")


@pytest.mark.parametrize("reopened", [False, True], ids=["in one go", "interrupted"])
@pytest.mark.parametrize("by_query", [False, True], ids=["by key", "by query"])
@pytest.mark.parametrize("in_flight", [False, True], ids=["after its range", "before its range arrived"])
def test_what_only_ckan_had_and_deleted_does_not_come_with_the_rebuild(
    site: Rebuilding, in_flight: bool, by_query: bool, reopened: bool
) -> None:
    """A write of s9 was refused, so the serving index never had it; the rebuild has it from CKAN, which deleted it.

    CKAN may have s9 again when the rebuild ends (by another write that was refused), yet not as it was then.
    """
    site.start(2)
    site.add(0, "s0", since=site.since)
    since = site.since
    if not in_flight:
        site.add(1, "s9", since=since)
    delete_s9(site, by_query)
    if reopened:
        site.reopen()
    if in_flight:
        site.add(1, "s9", since=since)
    assert site.finish("s0", "s9") == 1
    assert site.titles() == {"s0": "anew s0"}


def test_a_deletion_by_query_leaves_in_the_rebuild_what_the_serving_index_keeps(site: Rebuilding) -> None:
    """CKAN's newer s1 fits the query, the acknowledged one does not: that one stays."""
    site.start(1)
    site.add(0, "s0", "s1", since=site.since)
    query = b"<delete><query>title:anew</query></delete>"
    site.engine.submit(read_update(query, "text/xml", NOW).changes, commit=True).result(30)
    site.finish("s0", "s1")
    assert site.titles() == {"s0": "s0", "s1": "s1"}


def test_numbers_that_a_crash_takes_back_were_told_to_nobody(site: Rebuilding, tmp_path: Path) -> None:
    """A deletion that finds nothing leaves nothing on the disk: the rebuild must not count from its number on."""
    site.catalogue.delete("unknown", "unheard-of")
    site.start(1)
    crashed = tmp_path / "crashed"
    shutil.copytree(site.engine.home, crashed)
    site.catalogue.close()
    site.catalogue = Catalogue(crashed)
    site.catalogue.add(dataset("s0", title="first after the crash"))
    site.add(0, "s1", since=site.since)
    site.finish("s0", "s1")
    assert site.titles() == {"s0": "first after the crash", "s1": "anew s1"}
