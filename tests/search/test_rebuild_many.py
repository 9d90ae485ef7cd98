"""A rebuild of many documents: a second process keeps the next index, and nothing else is different."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from tantivy import Query

from ops.search import rebuild, scribe, writing
from ops.search.documents import prepare
from ops.search.engine import Change
from ops.search.fields import COLUMNS, SEQUENCE, build_schema
from ops.search.generation import Generation
from ops.search.maintenance import LATER, read_task
from ops.search.store import Row, Store, pack, told
from ops.search.testing import NOW, SITE, Rebuilding, Service, dataset, key_of

SUBJECTS = ("空气质量", "公交线路", "行政许可", "医院名录", "water quality", "bus routes")
COUNT, RANGE = 48, 12


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rebuilding]:
    for module, name in ((writing, "LARGE"), (rebuild, "MANY")):
        monkeypatch.setattr(module, name, 1)
    made = Rebuilding(tmp_path / "home")
    made.catalogue.add(*(document(number) for number in range(COUNT)))
    yield made
    made.catalogue.close()


def document(number: int, **values: Any) -> dict[str, Any]:
    given = {
        "title": f"{SUBJECTS[number % len(SUBJECTS)]} {number}", "tags": ["数据", f"标签{number % 3}"],
        "notes": f"第{number}个数据集，PowerShot SD500 https://example.gov.cn/{number}", "views_total": number,
    }
    return dataset(f"many-{number}", **{**given, **values})


def numbers_of(part: int) -> range:
    return range(part * RANGE, (part + 1) * RANGE)


def start(site: Rebuilding) -> None:
    site.ask("start", {"ranges": list(range(COUNT // RANGE)), "datasets": COUNT})


def send(site: Rebuilding, part: int, since: int | None = None, **values: Any) -> None:
    """Half of the range as documents, half of it to be taken over."""
    made = [document(number, **values) for number in numbers_of(part)]
    same = [one["index_id"] for one in made[1::2]]
    site.ask("add", {"documents": made[::2], "same": same}, range=part, since=site.since if since is None else since)


def finish(site: Rebuilding) -> None:
    alive = [one["index_id"] for one in map(document, range(COUNT))]
    site.ask("finish", {"site_id": SITE, "alive": alive}, since=site.since)


def next_one(site: Rebuilding) -> Generation:
    assert site.engine.rebuild is not None
    return site.engine.rebuild.generation


def until_shared(site: Rebuilding) -> int:
    """Until the second process keeps the next index; its id."""
    writer = next_one(site).writing
    deadline = time.monotonic() + 120
    while not writer.is_shared:
        assert time.monotonic() < deadline
        site.engine.perform(writer._many).result(60)
        time.sleep(0.02)
    assert writer.pid is not None
    return writer.pid


def postings(site: Rebuilding) -> dict[str, Any]:
    """Everything that the index holds, by key of the document: terms with what they score, columns."""
    snapshot = site.engine.snapshot()
    searcher, schema = snapshot.searcher, build_schema()
    hits = searcher.search(Query.all_query(), COUNT * 2, order_by_field=SEQUENCE).hits
    keys = {address_of(address): key for (_, address), key in zip(
        hits, snapshot.store.keys_of([sequence for sequence, _ in hits]), strict=True)}
    assert len(keys) == COUNT == searcher.num_docs
    found: dict[str, Any] = {}
    for name in text_fields(site):
        for term, count in searcher.terms_with_prefix(name, ""):
            met = searcher.search(Query.term_query(schema, name, term, "freq"), COUNT * 2).hits
            assert len(met) == count
            found[f"{name} {term}"] = sorted((keys[address_of(address)], round(score, 4)) for score, address in met)
    for name in sorted(COLUMNS):
        addresses = [address for _, address in hits]
        values = searcher.fast_field_values(name, addresses)
        found[name] = sorted(
            (keys[address_of(address)], value) for address, value in zip(addresses, values, strict=True)
        )
    return found


def address_of(address: Any) -> tuple[int, int]:
    return address.segment_ord, address.doc


def text_fields(site: Rebuilding) -> list[str]:
    meta = json.loads((site.engine.current.folder / "index" / "meta.json").read_bytes())
    return [field["name"] for field in meta["schema"] if field["type"] == "text"]


def answers(site: Rebuilding) -> list[Any]:
    """What different ways of asking find, in order, and counts."""
    asked = ("*:*", "空气质量", 'text:"water quality"', "notes:sd500", "title_ngram:线路", "views_total:[3 TO 17]")
    return [
        *(site.catalogue.names(q, sort="score desc, name asc") for q in asked),
        *(site.catalogue.facet(name, q) for name in ("tags", "state", "views_total") for q in asked),
        site.catalogue.answer(fl="*", sort="name asc", rows="100")["response"]["docs"],
    ]


def test_the_second_process_builds_what_this_one_would(site: Rebuilding, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    for shared in (True, False):
        monkeypatch.setattr(rebuild, "MANY", 1 if shared else 1_000_000)
        monkeypatch.setattr(writing, "LARGE", 1 if shared else 1_000_000)
        start(site)
        if shared:
            until_shared(site)
        for part in range(COUNT // RANGE):
            send(site, part, title=f"空气质量 {part}")
        assert next_one(site).writing.is_shared is shared
        finish(site)
        built.append((postings(site), answers(site)))
    assert len(built[0][0]) > 300
    assert built[0] == built[1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_its_work_is_done_here_when_it_dies_or_hangs(
    site: Rebuilding, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setattr(scribe, "PATIENCE_S", 3.0)
    start(site)
    pid = until_shared(site)
    send(site, 0)
    os.kill(pid, how)
    for part in range(1, COUNT // RANGE):
        send(site, part)
    finish(site)
    assert not site.engine.current.writing.is_shared
    assert sorted(site.titles()) == sorted(f"many-{number}" for number in range(COUNT))
    assert site.catalogue.names("title:许可", sort="views_total asc") == [f"many-{n}" for n in range(2, COUNT, 6)]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_end_is_waited_for_when_the_second_process_dies_in_the_last_commit(
    site: Rebuilding, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(site)
    pid = until_shared(site)
    for part in range(COUNT // RANGE):
        send(site, part, title="空气质量")
    writer = next_one(site).writing
    commit = writer.commit

    def die_in_it() -> None:
        monkeypatch.setattr(writer, "commit", commit)
        os.kill(pid, signal.SIGKILL)
        commit()

    monkeypatch.setattr(writer, "commit", die_in_it)
    finish(site)
    assert site.engine.rebuild is None
    assert len(site.titles()) == COUNT
    assert site.catalogue.names("title:空气质量", sort="views_total asc", rows="100") == [
        f"many-{number}" for number in range(0, COUNT, 2)
    ]


def test_writes_go_on_while_the_next_index_is_behind(site: Rebuilding, monkeypatch: pytest.MonkeyPatch) -> None:
    """A range waits without holding up the thread that writes."""
    start(site)
    pid = until_shared(site)
    os.kill(pid, signal.SIGSTOP)
    waiting: list[Future[Any]] = []
    try:
        parts = iter(range(COUNT // RANGE))
        monkeypatch.setattr(rebuild, "AHEAD", 1)
        for _ in range(2):
            send(site, next(parts))
        body = json.dumps({"same": [key_of(f"many-{number}") for number in numbers_of(2)]}).encode()
        asked = {"action": ["add"], "range": ["2"], "since": [str(site.since)]}
        waiting.append(site.engine.perform(read_task(site.engine, asked, body)))
        assert waiting[0].result(60) is LATER
        next_one(site).start_commit()
        site.catalogue.add(document(0, title="small write"))
        assert site.titles()["many-0"] == "small write"
    finally:
        os.kill(pid, signal.SIGCONT)
    for part in (2, 3):
        send(site, part)
    finish(site)
    assert site.titles()["many-0"] == "small write"
    assert len(site.titles()) == COUNT


def test_what_is_written_meanwhile_wins_and_what_is_deleted_is_gone(site: Rebuilding) -> None:
    start(site)
    until_shared(site)
    before = site.since
    site.catalogue.add(document(0, title="newer"), document(1, title="newer"))
    site.catalogue.delete("many-2", "many-3")
    for part in range(COUNT // RANGE):
        send(site, part, before, title="older")
    site.catalogue.add(document(13, title="after its range"))
    site.catalogue.delete("many-14", "unheard-of")
    finish(site)
    titles = site.titles()
    assert {titles[f"many-{number}"] for number in (0, 1)} == {"newer"}
    assert titles["many-13"] == "after its range"
    assert not {"many-2", "many-3", "many-14"} & set(titles)
    assert titles["many-4"] == "older"
    assert len(titles) == COUNT - 3 == site.engine.state()["documents"]


def test_points_to_go_on_from_are_not_waited_for(site: Rebuilding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "COMMIT_EACH", RANGE)
    start(site)
    until_shared(site)
    for part in range(COUNT // RANGE):
        send(site, part)
    deadline = time.monotonic() + 60
    while site.engine.perform(next_one(site).undone).result(60):
        assert time.monotonic() < deadline
    generation = next_one(site)
    assert generation.saved == generation.indexed >= RANGE
    assert generation.uncommitted == generation.sequence - generation.indexed
    site.reopen()
    assert next_one(site).gap is None or next_one(site).gap.total <= COUNT - RANGE
    finish(site)
    assert len(site.titles()) == COUNT


def test_only_one_index_has_a_second_process(site: Rebuilding) -> None:
    start(site)
    until_shared(site)
    serving = site.engine.current.writing
    for _ in range(5):
        site.catalogue.add(*(document(number) for number in range(COUNT)))
    assert serving._scribe is None
    for part in range(COUNT // RANGE):
        send(site, part)
    finish(site)
    assert site.engine.current.writing.rival is None
    assert len(site.titles()) == COUNT


def test_the_serving_index_lets_go_of_its_process_for_a_rebuild(
    site: Rebuilding, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = site.engine.current.writing
    site.engine.perform(serving.expect_many).result(60)
    deadline = time.monotonic() + 60
    while not serving.is_shared:
        assert time.monotonic() < deadline
        site.engine.perform(serving._many).result(60)
        time.sleep(0.02)
    monkeypatch.setattr(writing, "SOON_S", 1000.0)
    start(site)
    assert not next_one(site).writing.is_helped, "many came a moment ago"
    assert serving.is_helped
    monkeypatch.setattr(writing, "SOON_S", 0.0)
    send(site, 0)
    assert not serving.is_helped
    until_shared(site)
    site.catalogue.add(document(0, title="small write"))
    for part in range(1, COUNT // RANGE):
        send(site, part)
    finish(site)
    assert site.titles()["many-0"] == "small write"
    assert len(site.titles()) == COUNT


def test_one_that_is_given_up_takes_its_process_along(site: Rebuilding) -> None:
    start(site)
    pid = until_shared(site)
    send(site, 0)
    site.ask("drop", {})
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list(site.engine.home.glob("generation-*"))
    assert site.engine.current.writing.rival is None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"state": None, "capacity": None},
        {"title": 'a ","name":"x" b', "notes": ',"state":"y"'},
        {"name": 'quo"ted', "state": "back\\slash\\"},
        {"name": ["a", "name", '","state":'], "capacity": 7, "state": True},
        {"tags": ["name", ":", "state"], "notes": "\\"},
        {"name": "", "state": "数据\u2028", "capacity": []},
    ],
)
@pytest.mark.parametrize("filling", ["", "x" * 900], ids=["plain", "packed"])
def test_some_fields_are_told_as_they_were_written(values: dict[str, Any], filling: str) -> None:
    given = dataset("s0", filling=filling) | values
    for chosen in (given, dict(reversed(given.items()))):
        raw = orjson.dumps({name: value for name, value in chosen.items() if value is not None})
        head = pack(raw)
        assert head is not None
        whole = orjson.loads(raw)
        names = ["metadata_modified", "state", "name", "capacity", "govopen_stamp", "index_id", 'quo"ted', "tags"]
        assert told(head, names) == {name: whole.get(name) for name in names}


def test_many_rows_are_written_as_each_of_them_would_be(tmp_path: Path) -> None:
    def row(key: str, text: str) -> Row:
        return Row(key, text.encode(), (None, text.encode()), f"id-{key}")

    store = Store(tmp_path / "documents.sqlite")
    store.begin()
    assert store.put_all(1, [row(f"k{n}", "old") for n in range(1200)]) == set()
    assert store.put_all(1201, [row(f"k{n}", "new") for n in range(1100, 1300)]) == {f"k{n}" for n in range(1100, 1200)}
    store.commit()
    assert store.live_count() == 1300
    assert store.ended_after(1250) == [f"k{n}" for n in range(1150, 1200)]
    found = store.rows(["k0", "k1100", "k1299", "none"])
    assert found == {"k0": row("k0", "old"), "k1100": row("k1100", "new"), "k1299": row("k1299", "new")}
    assert store.live_between(1100, 1202, 5) == [(1201, "k1100", b"new"), (1202, "k1101", b"new")]
    store.close()


def test_a_document_that_comes_twice_at_once_is_there_once(site: Rebuilding) -> None:
    twice = [prepare(document(0, title=title), NOW) for title in ("first", "last")]
    site.engine.submit([Change(puts=[*twice, prepare(document(1), NOW)])], commit=True).result(30)
    assert site.titles()["many-0"] == "last"
    assert len(site.titles()) == COUNT == site.engine.state()["documents"]
    site.reopen()
    assert site.engine.state()["documents"] == COUNT


def test_a_rebuild_goes_on_after_kills_of_either_process(tmp_path: Path) -> None:
    """Ranges go through the service as a process; what was acknowledged is there, nothing is there twice."""
    chance = random.Random(20261124)
    service, count, size = Service(tmp_path / "home"), 1200, 100
    made = [document(number) for number in range(count)]
    written: dict[str, str] = {}
    service.start()
    try:
        for at in range(0, count, 500):
            service.solr().add(made[at : at + 500], commit=False)
        service.solr().commit()
        builder = _Builder(service, made, size)
        for turn in range(int(os.environ.get("GOVOPEN_SEARCH_MANY_KILLS", "2"))):
            builder.begin()
            assert service.process is not None
            keeper: int | None = None
            deadline = time.monotonic() + 60
            while keeper is None and not builder.is_through() and time.monotonic() < deadline:
                builder.step()
                time.sleep(0.3)
                keeper = _keeper_of(service.process.pid)
            pid = service.process.pid if turn % 2 or keeper is None else keeper
            kill = threading.Timer(chance.uniform(0, 0.12), lambda pid=pid: _kill(pid))
            kill.start()
            name = f"many-{chance.randrange(count)}"
            with contextlib.suppress(OSError, AssertionError):
                while not builder.is_through() and kill.is_alive():
                    builder.step()
            kill.join()
            if turn % 2 or keeper is None:
                service.process.wait(60)
                service.start()
                until(lambda: service.get("/select?q=*:*&rows=0&wt=json")[0] == 200)
            written[name] = f"turn {turn}"
            service.solr().add([document(int(name[5:]), title=written[name])], commit=True)
            builder.begin()
            while not builder.is_through():
                builder.step()
            builder.finish()
            found = list(service.solr().search("*:*", rows=10_000, fl="name title"))
            assert len(found) == count
            titles = {one["name"]: one["title"] for one in found}
            assert titles == {one["name"]: one["title"] for one in made} | written
    finally:
        service.stop(signal.SIGKILL)


class _Builder:
    """Sends ranges that are missing, one at a time; half as documents where CKAN's are what the index has."""

    def __init__(self, service: Service, made: Sequence[dict[str, Any]], size: int) -> None:
        self.service = service
        self.made = made
        self.size = size

    def _state(self) -> dict[str, Any]:
        status, text = self.service.get("/rebuild")
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def _post(self, query: str, content: Any) -> None:
        status, text = self.service.get(f"/rebuild?{query}", json.dumps(content).encode())
        assert status == 200, text

    def begin(self) -> None:
        if self._state()["rebuild"] is None:
            ranges = list(range(0, len(self.made), self.size))
            self._post("action=start", {"ranges": ranges, "datasets": len(self.made)})

    def _missing(self) -> list[int]:
        state = self._state()["rebuild"]
        return sorted(set(range(len(state["ranges"]))) - set(state["done"]))

    def is_through(self) -> bool:
        return not self._missing()

    def step(self) -> None:
        for number in self._missing()[:1]:
            keys = [one["index_id"] for one in self.made[number * self.size : (number + 1) * self.size]]
            since = self._state()["sequence"]
            self._post(f"action=add&range={number}&since={since}", {"same": keys})

    def finish(self) -> None:
        since = self._state()["sequence"]
        alive = [one["index_id"] for one in self.made]
        self._post(f"action=finish&since={since}", {"site_id": SITE, "alive": alive})


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _keeper_of(pid: int) -> int | None:
    """The process that keeps the next index for a service, once it writes."""
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.Error):
            if any("scribe" in part for part in child.cmdline()) and any(
                "generation-" in file.path for file in child.open_files()
            ):
                return int(child.pid)
    return None
