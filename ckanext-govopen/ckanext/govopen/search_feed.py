"""CKAN's datasets as documents for a rebuild of the search index: in ranges, by as many processes as one likes.

The documents are those that CKAN's own indexing makes, plugins' hooks included; only the connection they go to is
another, and datasets are read together where that gives the same (``search_range.py``). A document that the same code
made of the same facts is not made again: it is compared and taken over. The service says which ranges are missing, so
whoever is interrupted goes on where it stopped.
"""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import multiprocessing
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import ckan
import ckan.plugins.toolkit as tk
import orjson
import requests
import sqlalchemy as sa
from ckan import model
from ckan.lib.search import index
from ckanext.govopen import search_connection, search_range

log = logging.getLogger(__name__)

STAMP = "govopen_stamp"
GROUP_FACTS = ("id", "name", "title", "description")
COMPARED = ("metadata_modified", "state", "name", "capacity", STAMP)
RANGE = 250
"""Datasets of a range: what is done again at most after an interruption."""
SAMPLE, MADE_SAMPLE = 400, 50
"""Datasets at most that tell how many documents are as they should be, by what they were made of and made again."""
TIMEOUT_S = 600
LOCK = 4_701_926_004
GARBAGE_EACH = 100_000
"""Objects between two looks for garbage: documents are all alive until they are sent, and looking costs a fifth."""


class Service:
    """The rebuild's side of the search service."""

    def __init__(self) -> None:
        address, account = search_connection.parts()
        self._address = f"{address.rstrip('/')}/rebuild"
        self._session = requests.Session()
        if account:
            self._session.auth = account

    def state(self) -> dict[str, Any]:
        answer = self._session.get(self._address, timeout=TIMEOUT_S)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def act(self, action: str, content: Any = None, **parameters: Any) -> dict[str, Any]:
        answer = self._session.post(
            self._address, params={"action": action, **parameters}, data=orjson.dumps(content or {}, default=str),
            headers={"Content-Type": "application/json"}, timeout=TIMEOUT_S,
        )
        if answer.status_code >= 400:
            raise RuntimeError(answer.json()["error"]["msg"])
        found: dict[str, Any] = answer.json()
        return found


class Collector:
    """Stands where CKAN expects its connection to the index, and keeps what is sent."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []

    def add(self, docs: list[dict[str, Any]], **_: Any) -> None:
        self.documents += docs

    def delete(self, **_: Any) -> None:
        """A deleted dataset that the index is not to hold: it is not sent."""


def _ids() -> Any:
    found = model.Session.query(model.Package.id)
    if tk.config.get("ckan.search.remove_deleted_packages"):
        found = found.filter(model.Package.state != "deleted")
    return found.order_by(model.Package.id)


def key_of(dataset_id: str) -> str:
    """The key of a dataset's document, as CKAN makes it."""
    return hashlib.md5(f"{dataset_id}{tk.config.get('ckan.site_id')}".encode(), usedforsecurity=False).hexdigest()


def start(service: Service, anew: bool = False) -> int:
    """Plan a rebuild; how many datasets there are.

    Where most documents are as they should be, what serves is copied and only the others are indexed. Where few are,
    the index is soonest built with nothing in it, which ``anew`` asks for.
    """
    ids = [row[0] for row in _ids()]
    ranges = [[ids[at], ids[min(at + RANGE, len(ids)) - 1]] for at in range(0, len(ids), RANGE)]
    is_copy = not anew and _are_mostly_right(service, ids)
    service.act("start", {"ranges": ranges, "datasets": len(ids), "copy": is_copy})
    return len(ids)


def _are_mostly_right(service: Service, ids: list[str]) -> bool:
    """Are most documents made of what CKAN's database says, or as they would be made anew?"""
    some = ids[:: len(ids) // SAMPLE + 1]
    if len(_unchanged(service, some)) * 2 > len(some):
        return True
    documents, _ = Feeder(service, everything=True).make(some[:: len(some) // MADE_SAMPLE + 1], 0)
    return len(service.act("alike", {"documents": documents})["alike"]) * 2 > len(documents)


def rebuild(
    parts: int, *, everything: bool = False, anew: bool = False, restart: bool = False
) -> tuple[int, int]:
    """All of it, by so many processes, or what was left undone when it was interrupted.

    ``everything`` makes every document, ``anew`` begins with an empty index besides: one that is unfinished and began
    with a copy is dropped then, and with ``restart`` any that is unfinished.
    Tells how many documents serve now and how many datasets could not be made into documents. Raises RuntimeError,
    also while another one is under way: two would disagree on what a range is.
    """
    with model.meta.engine.connect() as guard:
        if not guard.execute(sa.select(sa.func.pg_try_advisory_lock(LOCK))).scalar():
            raise RuntimeError("Another rebuild of the search is under way")
        guard.commit()  # the lock is the connection's: no transaction stays open for it
        try:
            service = Service()
            unfinished = service.state()["rebuild"]
            if unfinished is not None and (restart or (anew and unfinished["copied"])):
                service.act("drop")
                unfinished = None
            if unfinished is None:
                start(service, anew)
            return _rebuild(service, parts, everything or anew)
        finally:
            guard.execute(sa.select(sa.func.pg_advisory_unlock(LOCK)))


def _rebuild(service: Service, parts: int, everything: bool) -> tuple[int, int]:
    parts = max(1, min(parts, len(service.state()["rebuild"]["ranges"])))
    forking = multiprocessing.get_context("fork")
    counted = forking.Value("q", 0)
    model.Session.remove()
    model.meta.engine.dispose()  # a connection is of one process; the guard's is not in the pool
    gc.freeze()
    others = [
        forking.Process(target=_part, args=(part, parts, everything, counted), daemon=True) for part in range(1, parts)
    ]
    for process in others:
        process.start()
    _part(0, parts, everything, counted)
    for process in others:
        process.join()
    if any(process.exitcode for process in others):
        raise RuntimeError("A process of the rebuild ended before its time")
    return finish(service), counted.value


def _part(part: int, parts: int, everything: bool, counted: Any) -> None:
    failed = feed(Service(), part, parts, everything)
    with counted.get_lock():
        counted.value += failed


def feed(service: Service, part: int, parts: int, everything: bool = False) -> int:
    """Send the missing ranges of this part; how many datasets could not be made into documents."""
    rebuild = service.state()["rebuild"]
    if rebuild is None:
        raise RuntimeError("no rebuild is under way")
    done = set(rebuild["done"])
    gc.set_threshold(GARBAGE_EACH)
    feeder, failed = Feeder(service, everything), 0
    parent = multiprocessing.parent_process()
    with ThreadPoolExecutor(max_workers=1) as sender:
        sent: Future[Any] | None = None
        for number, (first, last) in enumerate(rebuild["ranges"]):
            if number % parts != part or number in done:
                continue
            if parent is not None and not parent.is_alive():
                raise RuntimeError("The process that began the rebuild is gone")
            since, content, lacking = feeder.read(number, first, last)
            failed += lacking
            if sent is not None:
                sent.result()
            sent = sender.submit(Service().act, "add", content, range=number, since=since)
        if sent is not None:
            sent.result()
    return failed


class Feeder:
    """Makes the documents of one range after another."""

    def __init__(self, service: Service, everything: bool) -> None:
        self._service = service
        self._everything = everything
        self._shower = search_range.Shower()

    def read(self, number: int, first: str, last: str) -> tuple[int, dict[str, Any], int]:
        """The last change before the range was read, what to send, how many datasets could not be made."""
        since = int(self._service.state()["sequence"])
        model.Session.remove()
        ids = [row[0] for row in _ids().filter(model.Package.id >= first, model.Package.id <= last)]
        same = set() if self._everything else _unchanged(self._service, ids)
        documents, failed = self.make([one for one in ids if one not in same], number)
        lent = [key_of(dataset_id) for dataset_id in (*same, *failed)]
        gone = {key_of(dataset_id) for dataset_id in ids} - {*lent, *(one["index_id"] for one in documents)}
        return since, {"documents": documents, "same": lent, "gone": sorted(gone)}, len(failed)

    def make(self, dataset_ids: list[str], number: int) -> tuple[list[dict[str, Any]], list[str]]:
        """Documents of a range with this number, and the datasets that keep the one that they have."""
        if not dataset_ids:
            return [], []
        collector, failed = Collector(), []
        before = index.make_connection
        index.make_connection = lambda *_, **__: collector
        try:
            for dataset_id, problem in search_range.index(dataset_ids, self._shower, number):
                if problem is not None and not isinstance(problem, tk.ObjectNotFound):
                    log.error("Dataset %s keeps the document that it has", dataset_id, exc_info=problem)
                    failed.append(dataset_id)
        finally:
            index.make_connection = before
            model.Session.remove()
        return collector.documents, failed


def _unchanged(service: Service, dataset_ids: list[str]) -> set[str]:
    """Datasets whose document was made by this code from what CKAN's database says now.

    Whatever changes a dataset changes its moment of modification; names of organization and groups are in the stamp.
    """
    package, group, member = model.package_table.c, model.group_table.c, model.member_table.c
    packages = model.Session.execute(
        sa.select(
            package.id, package.name, package.state, package.private, package.metadata_modified, package.owner_org
        ).where(package.id.in_(dataset_ids))
    ).all()
    memberships = model.Session.execute(
        sa.select(member.table_id, member.group_id).where(member.table_id.in_(dataset_ids), member.state == "active")
    ).all()
    named = {group_id for _, group_id in memberships} | {one.owner_org for one in packages}
    facts = {
        one.id: one for one in model.Session.execute(
            sa.select(*(group[name] for name in GROUP_FACTS), group.state, group.is_organization)
            .where(group.id.in_(named))
        )
    }
    groups: dict[str, list[str]] = {}
    for dataset_id, group_id in memberships:
        if group_id in facts and not facts[group_id].is_organization:
            groups.setdefault(dataset_id, []).append(group_id)
    stamps = Stamps({name: one._asdict() for name, one in facts.items()})
    keys = {one.id: key_of(one.id) for one in packages}
    held = service.act("held", {"keys": list(keys.values()), "fields": list(COMPARED)})["held"]
    same = set()
    for one in packages:
        organization = facts.get(one.owner_org)
        owner = one.owner_org if organization is not None and organization.state == "active" else None
        if held.get(keys[one.id]) == {
            "metadata_modified": _moment(one.metadata_modified), "state": one.state, "name": one.name,
            "capacity": "private" if one.private else "public", STAMP: stamps.of(owner, groups.get(one.id, ())),
        }:
            same.add(one.id)
    return same


class Stamps:
    """Stamps by the ids of organization and groups: many datasets have the same."""

    def __init__(self, facts: dict[str, dict[str, Any]]) -> None:
        self._facts = facts
        self._known: dict[tuple[str | None, ...], str] = {}

    def of(self, organization: str | None, groups: Iterable[str]) -> str:
        key = (organization, *sorted(groups))
        if key not in self._known:
            owner = self._facts[organization] if organization else None
            self._known[key] = stamp(owner, [self._facts[name] for name in key[1:] if name])
        return self._known[key]


def _moment(instant: datetime) -> str:
    """As the index writes it: milliseconds without the zeros at the end."""
    text = instant.isoformat(timespec="milliseconds")
    return (text.rstrip("0") if not text.endswith(".000") else text[:-4]) + "Z"


def stamp(organization: dict[str, Any] | None, groups: list[dict[str, Any]]) -> str:
    """What a document was made by and of besides its dataset: our code and CKAN's, the organization, the groups."""
    return _stamp(_code(), tuple([
        tuple([str((one or {}).get(name) or "") for name in GROUP_FACTS])
        for one in [organization, *sorted(groups, key=lambda group: str(group.get("id")))]
    ]))


@lru_cache(maxsize=4000)
def _stamp(code: str, facts: tuple[tuple[str, ...], ...]) -> str:
    """Of many datasets of one department it is the same."""
    return hashlib.md5(json.dumps([code, facts], ensure_ascii=False).encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    """A digest of everything that a document's making depends on and that only an upgrade or a restart changes."""
    digest = hashlib.md5(f"{ckan.__version__} {tk.config.get('ckan.plugins')}".encode(), usedforsecurity=False)
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.suffix in (".py", ".yaml", ".csv") and "migration" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def finish(service: Service) -> int:
    """Let what was sent serve; how many documents that are."""
    since = service.state()["sequence"]
    model.Session.remove()
    alive = [key_of(row[0]) for row in _ids()]
    state = service.act("finish", {"site_id": tk.config.get("ckan.site_id"), "alive": alive}, since=since)
    return int(state["documents"])
