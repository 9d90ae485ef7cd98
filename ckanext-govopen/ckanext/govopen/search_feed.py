"""CKAN's datasets as documents for a rebuild of the search index: in ranges, by as many processes as one likes.

The documents are those that CKAN's own indexing makes, plugins' hooks included; only the connection they go to is
another. A document that the same code made of the same facts is not made again: it is compared and taken over. The
service says which ranges are missing, so whoever is interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import ckan
import ckan.plugins.toolkit as tk
import requests
from ckan import model
from ckan.lib.search import index
from ckan.logic import index_update_package
from ckanext.govopen import search_connection

log = logging.getLogger(__name__)

STAMP = "govopen_stamp"
GROUP_FACTS = ("id", "name", "title", "description")
COMPARED = ("metadata_modified", "state", "name", "capacity", STAMP)
RANGE = 250
"""Datasets of a range: what is done again at most after an interruption."""
TIMEOUT_S = 600


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


def feed(service: Service, part: int, parts: int, everything: bool = False) -> int:
    """Send the missing ranges of this part; how many datasets could not be made into documents."""
    failed = 0
    rebuild = service.state()["rebuild"]
    if rebuild is None:
        raise RuntimeError("no rebuild is under way")
    done = set(rebuild["done"])
    for number, (first, last) in enumerate(rebuild["ranges"]):
        if number % parts == part and number not in done:
            failed += _send(service, number, first, last, everything)
    return failed


def _send(service: Service, number: int, first: str, last: str, everything: bool) -> int:
    since = service.state()["sequence"]
    model.Session.remove()
    packages = model.Session.query(model.Package).filter(
        model.Package.id.in_(_ids().filter(model.Package.id >= first, model.Package.id <= last))
    ).order_by(model.Package.id).all()
    same = set() if everything else _unchanged(service, packages)
    collector, failed = Collector(), 0
    before = index.make_connection
    index.make_connection = lambda *_, **__: collector
    try:
        for dataset_id in [package.id for package in packages]:
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


def _unchanged(service: Service, packages: list[model.Package]) -> set[str]:
    """Datasets whose document was made by this code from what CKAN's database says now.

    Whatever changes a dataset changes its moment of modification; names of organization and groups are in the stamp.
    """
    organizations = {
        group.id: group for group in model.Session.query(model.Group).filter(
            model.Group.id.in_({package.owner_org for package in packages}), model.Group.state == "active"
        )
    }
    groups: dict[str, list[model.Group]] = {}
    for dataset_id, group in model.Session.query(model.Member.table_id, model.Group).join(
        model.Group, model.Group.id == model.Member.group_id
    ).filter(
        model.Member.table_id.in_([package.id for package in packages]), model.Member.state == "active",
        model.Group.is_organization.is_(False),
    ):
        groups.setdefault(dataset_id, []).append(group)
    keys = {package.id: key_of(package.id) for package in packages}
    held = service.act("held", {"keys": list(keys.values()), "fields": list(COMPARED)})["held"]
    return {
        package.id for package in packages
        if held.get(keys[package.id]) == {
            "metadata_modified": _moment(package.metadata_modified), "state": package.state, "name": package.name,
            "capacity": "private" if package.private else "public",
            STAMP: stamp(
                _facts(organizations.get(package.owner_org)), [_facts(group) for group in groups.get(package.id, ())]
            ),
        }
    }


def _moment(instant: datetime) -> str:
    """As the index writes it: milliseconds without the zeros at the end."""
    text = instant.isoformat(timespec="milliseconds")
    return (text.rstrip("0") if not text.endswith(".000") else text[:-4]) + "Z"


def _facts(group: model.Group | None) -> dict[str, Any] | None:
    return {name: getattr(group, name) for name in GROUP_FACTS} if group is not None else None


def stamp(organization: dict[str, Any] | None, groups: list[dict[str, Any]]) -> str:
    """What a document was made by and of besides its dataset: our code and CKAN's, the organization, the groups."""
    facts = [
        [str((one or {}).get(name) or "") for name in GROUP_FACTS]
        for one in [organization, *sorted(groups, key=lambda group: str(group.get("id")))]
    ]
    text = json.dumps([_code(), facts], ensure_ascii=False)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


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
