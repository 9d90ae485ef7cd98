"""CKAN's datasets as documents for a rebuild of the search index: in ranges, by as many processes as one likes.

The documents are those that CKAN's own indexing makes, plugins' hooks included; only the connection they go to is
another. The service says which ranges are missing, so whoever is interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from typing import Any

import ckan.plugins.toolkit as tk
import requests
from ckan import model
from ckan.lib.search import index
from ckan.logic import index_update_package

log = logging.getLogger(__name__)

RANGE = 250
"""Datasets of a range: what is done again at most after an interruption."""
TIMEOUT_S = 600


class Service:
    """The rebuild's side of the search service."""

    def __init__(self) -> None:
        self._address = str(tk.config["solr_url"]).rstrip("/") + "/rebuild"
        self._session = requests.Session()
        if tk.config.get("solr_user"):
            self._session.auth = (tk.config["solr_user"], tk.config["solr_password"])

    def state(self) -> dict[str, Any]:
        answer = self._session.get(self._address, timeout=TIMEOUT_S)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def act(self, action: str, content: Any = None, **parameters: Any) -> dict[str, Any]:
        body = json.dumps(content or {}, default=str).encode()
        answer = self._session.post(
            self._address, params={"action": action, **parameters}, data=body,
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


def start(service: Service) -> int:
    """Plan a rebuild; how many datasets there are."""
    ids = [row[0] for row in _ids()]
    ranges = [[ids[at], ids[min(at + RANGE, len(ids)) - 1]] for at in range(0, len(ids), RANGE)]
    service.act("start", {"ranges": ranges, "datasets": len(ids)})
    return len(ids)


def feed(service: Service, part: int, parts: int, changed_only: bool = False) -> int:
    """Send the missing ranges of this part; how many datasets could not be made into documents."""
    failed = 0
    rebuild = service.state()["rebuild"]
    if rebuild is None:
        raise RuntimeError("no rebuild is under way")
    done = set(rebuild["done"])
    for number, (first, last) in enumerate(rebuild["ranges"]):
        if number % parts == part and number not in done:
            failed += _send(service, number, first, last, changed_only)
    return failed


def _send(service: Service, number: int, first: str, last: str, changed_only: bool) -> int:
    since = service.state()["sequence"]
    model.Session.remove()
    rows = model.Session.query(model.Package.id, model.Package.metadata_modified).filter(
        model.Package.id.in_(_ids().filter(model.Package.id >= first, model.Package.id <= last))
    ).order_by(model.Package.id).all()
    modified = {row.id: row.metadata_modified for row in rows}
    same = set(_unchanged(modified)) if changed_only else set()
    collector, failed = Collector(), 0
    before = index.make_connection
    index.make_connection = lambda *_, **__: collector
    try:
        for dataset_id in modified:
            if dataset_id in same:
                continue
            try:
                index_update_package({"ignore_auth": True}, dataset_id, True)
            except tk.ObjectNotFound:
                continue
            except Exception:
                log.exception("Dataset %s keeps the document that it has", dataset_id)
                model.Session.rollback()
                same.add(dataset_id)
                failed += 1
    finally:
        index.make_connection = before
        model.Session.remove()
    content = {"documents": collector.documents, "same": [key_of(dataset_id) for dataset_id in same]}
    service.act("add", content, range=number, since=since)
    return failed


def _unchanged(modified: dict[str, Any]) -> Iterator[str]:
    """Datasets whose document says the same moment of modification as CKAN's database (to the millisecond)."""
    connection, ids = index.make_connection(decode_dates=False), list(modified)
    for at in range(0, len(ids), 100):
        chosen = " OR ".join(f'"{dataset_id}"' for dataset_id in ids[at : at + 100])
        found = connection.search(
            q=f"id:({chosen})", fq=f'+site_id:"{tk.config.get("ckan.site_id")}" +entity_type:package', rows=200,
            fl="id,metadata_modified",
        )
        for document in found.docs:
            held = document["metadata_modified"].rstrip("Z")
            held = held.ljust(23, "0") if "." in held else held + ".000"
            if held == modified[document["id"]].isoformat(timespec="milliseconds"):
                yield document["id"]


def finish(service: Service) -> int:
    """Let what was sent serve; how many documents that are."""
    since = service.state()["sequence"]
    model.Session.remove()
    alive = [key_of(row[0]) for row in _ids()]
    state = service.act("finish", {"site_id": tk.config.get("ckan.site_id"), "alive": alive}, since=since)
    return int(state["documents"])
