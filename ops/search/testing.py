"""Builders for tests of the search service: documents like CKAN's, and an engine to ask."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pysolr

from ops.search.access import authorization
from ops.search.documents import prepare
from ops.search.engine import Change, Engine
from ops.search.maintenance import LATER, foreign, read_task
from ops.search.select import Select

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SITE = "test.govopen"
CKAN_DISMAX = {
    "defType": "dismax", "qf": "name^4 title^4 tags^2 groups^2 text", "mm": "2<-1 5<80%", "tie": "0.1",
}
"""What CKAN sends with a query that names no field."""


def dataset(name: str, **values: Any) -> dict[str, Any]:
    """A document as CKAN's indexer sends it."""
    document: dict[str, Any] = {
        "id": f"id-{name}", "name": name, "title": name, "site_id": SITE, "state": "active",
        "entity_type": "package", "dataset_type": "dataset", "capacity": "public", "permission_labels": ["public"],
        "metadata_created": "2026-01-01T00:00:00Z", "metadata_modified": "2026-01-02T00:00:00Z",
        "data_dict": f'{{"name": "{name}"}}', "validated_data_dict": f'{{"name": "{name}", "valid": true}}',
        **values,
    }
    document.setdefault("title_string", document["title"])
    document["index_id"] = hashlib.md5(f"{document['id']}{SITE}".encode(), usedforsecurity=False).hexdigest()
    return document


def key_of(name: str) -> str:
    return str(dataset(name)["index_id"])


class Catalogue:
    """An engine with short words for what tests do."""

    def __init__(self, home: Path) -> None:
        self.engine = Engine(home, clock=lambda: NOW)

    def add(self, *documents: dict[str, Any], commit: bool = True) -> None:
        puts = [prepare(document, NOW) for document in documents]
        self.engine.submit([Change(puts=puts)], commit=commit).result(30)

    def delete(self, *names: str) -> None:
        keys = [str(dataset(name)["index_id"]) for name in names]
        self.engine.submit([Change(keys=keys)], commit=True).result(30)

    def answer(self, q: str = "*:*", **parameters: str | Iterable[str]) -> dict[str, Any]:
        """The whole answer; ``facet_field`` stands for ``facet.field``."""
        asked = {"q": q, "q.op": "AND", "df": "text", **{name.replace("__", "."): v for name, v in parameters.items()}}
        return Select(
            self.engine, {name: [value] if isinstance(value, str) else list(value) for name, value in asked.items()}
        ).answer()

    def names(self, q: str = "*:*", **parameters: str | Iterable[str]) -> list[str]:
        """Names of the hits in order."""
        found = self.answer(q, **{"fl": "name", "rows": "1000", **parameters})
        return [document["name"] for document in found["response"]["docs"]]

    def typed(self, q: str, **parameters: str | Iterable[str]) -> list[str]:
        """Names of what CKAN finds when a person types ``q``."""
        return self.names(q, **{**CKAN_DISMAX, **parameters})

    def facet(self, field: str, q: str = "*:*", **parameters: str | Iterable[str]) -> list[Any]:
        options = {"facet": "true", "facet.field": field, "facet.mincount": "1", "rows": "0", **parameters}
        counts: list[Any] = self.answer(q, **options)["facet_counts"]["facet_fields"][field]
        return counts

    def close(self) -> None:
        self.engine.close()


class Rebuilding:
    """A catalogue with short words for the builder's side."""

    def __init__(self, home: Path, *, copy: bool = False) -> None:
        self.catalogue = Catalogue(home)
        self.copy = copy
        """Do rebuilds begin with a copy of what serves?"""

    @property
    def engine(self) -> Engine:
        return self.catalogue.engine

    def start(self, ranges: int) -> None:
        self.ask("start", {"ranges": list(range(ranges)), "datasets": ranges})

    @property
    def since(self) -> int:
        return int(self.engine.state()["sequence"])

    def add(self, number: int, *names: str, since: int, same: tuple[str, ...] = (), title: str = "anew") -> None:
        rebuild = self.engine.rebuild
        assert rebuild is not None
        made = [prepare(dataset(name, title=f"{title} {name}"), NOW) for name in names]
        self.engine.perform(lambda: rebuild.add(number, since, made, [key_of(name) for name in same])).result(30)

    def finish(self, *alive: str) -> int:
        since, others = self.since, foreign(self.engine, SITE)
        task = lambda: self.engine.finish_rebuild(since, {key_of(name) for name in alive}, others)  # noqa: E731
        return int(self.engine.perform(task).result(30))

    def titles(self) -> dict[str, str]:
        found = self.catalogue.answer(fl="name title", rows="1000")["response"]["docs"]
        return {document["name"]: document["title"] for document in found}

    def ask(self, action: str, content: dict[str, Any], **parameters: int) -> None:
        """As over HTTP, waiting until it is time for it."""
        content = {**content, "copy": self.copy} if action == "start" else content
        asked = {"action": [action], **{name: [str(value)] for name, value in parameters.items()}}
        task = read_task(self.engine, asked, json.dumps(content).encode())
        while self.engine.perform(task).result(60) is LATER:
            time.sleep(0.01)

    def reopen(self) -> None:
        self.catalogue.close()
        self.catalogue = Catalogue(self.engine.home)


class Service:
    """The service as a process of its own on a free port."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/solr/ckan"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, before: Callable[[], None] | None = None) -> None:
        """Start it and wait until it answers; ``before`` runs in the new process first."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ops.search", "--home", str(self.home), "--port", str(self.port)], cwd=ROOT,
            preexec_fn=before,
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(self.url + "/admin/ping", timeout=5).read()  # noqa: S310 - our own loopback address
                return
            except OSError:
                assert self.process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.03)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(60)

    @property
    def password(self) -> str:
        return (self.home / "password").read_text(encoding="ascii").strip()

    def solr(self) -> pysolr.Solr:
        return pysolr.Solr(self.url.replace("//", f"//ckan:{self.password}@"), timeout=60)

    def get(self, path: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
        known = {"Authorization": authorization(self.password).decode()}
        request = urllib.request.Request(self.url + path, data=data, headers={**known, **(headers or {})})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError("The answer was cut short") from error
