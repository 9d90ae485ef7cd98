"""A CKAN set up as the stack sets it up, the service itself behind it, and a city in which what is private is marked.

Everything is made once for the run: tests ask, and change nothing that they are not refused to change.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
from ckan import model
from ckanext.govopen.testing_town import Town, plant_town
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_key

from ops.leaks import report
from ops.leaks.canaries import Book
from ops.leaks.report import Tally
from ops.leaks.viewers import PARTIES, VIEWERS
from ops.stack import ckan_ini
from ops.stack.home import Home

ROOT = Path(__file__).parents[3]
START_S = 120
AS_THE_STACK = ("ckan.auth.", "ckan.hide_version", "ckan.gravatar_default", "ckan.dataset.", "ckan.views.default_views")


class Service:
    """The service in a process of its own, and the line over which it is told to plant."""

    def __init__(self, folder: Path, token_key: Path, site_url: str) -> None:
        public = load_key(token_key.read_bytes(), None).public_key()
        (folder / "public.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        signing = Ed25519PrivateKey.generate()
        (folder / "signing.pem").write_bytes(
            signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.database = self._database()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ops.leaks.serve", "--database", self.database,
             "--redis", os.environ["GOVOPEN_TEST_REDIS"], "--site-url", site_url, "--port", str(port),
             "--token-key", str(folder / "public.pem"), "--signing-key", str(folder / "signing.pem")],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "GOVOPEN_RATE_PUBLIC": "100000000"})

    @staticmethod
    def _database() -> str:
        server = os.environ["GOVOPEN_TEST_POSTGRES"]
        name = f"leaks_{uuid.uuid4().hex[:8]}"
        connection = psycopg2.connect(server)
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        connection.close()
        parts = urlsplit(server)
        return parts._replace(path=f"/{name}").geturl()

    def wait(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/v1/health", timeout=5).read()  # noqa: S310 - our own
                return
            except OSError:
                assert self._process.poll() is None, "the service ended"
                assert time.monotonic() < deadline, "the service does not answer"
                time.sleep(0.1)

    def plant(self, wanted: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], START_S)
        assert ready, "the service did not plant"
        return dict(json.loads(self._process.stdout.readline()))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


class Judge:
    """Asks, and finds what a viewer was told and may not know."""

    def __init__(self, ask: Callable[..., Any], town: Town, tally: Tally) -> None:
        self.ask, self.town, self.tally = ask, town, tally
        self.faults: dict[str, list[str]] = {}
        tally.canaries = len(town.book)

    def asked(
        self, surface: str, viewer: str, attribute: str, method: str, path: str, said: Any = None, **more: Any
    ) -> str:
        """Ask once; the status, or ``error`` where CKAN gave no answer at all."""
        try:
            answer = self.ask(method, path, viewer, **more)
            told = answer.get_data() + "\n".join(f"{name}: {value}" for name, value in answer.headers).encode()
            status = str(answer.status_code)
        except Exception as fault:
            model.Session.rollback()
            told, status = repr(fault).encode(), "error"
        self.tally.count(surface, viewer, attribute, status)
        leaked = self.town.book.leaks(viewer, told, f"{path} {json.dumps(said, ensure_ascii=False)}".encode())
        where = f"{viewer}, {attribute}: {method} {path} {said or ''}"
        if leaked:
            self.fault(f"{surface} {status} TELLS {sorted({re.sub('^[^.]*', '*', one) for one in leaked})}", where)
        if status in ("error", "500"):
            self.fault(f"{surface} {status} {told[:200]!r}", where)
        return status

    def counted(self, action: str, viewer: str, given: dict[str, Any]) -> int:
        """How many a search finds; 0 where it is refused."""
        answer = self.ask("POST", f"/api/3/action/{action}", viewer, json=given)
        self.tally.count(action, viewer, "any", str(answer.status_code))
        return int((answer.json.get("result") or {}).get("count") or 0)

    def fault(self, what: str, where: str) -> None:
        self.faults.setdefault(what, []).append(where)

    def closes(self) -> None:
        if self.faults:
            told = (f"{what}\n  {len(where)} times, first: {where[0]}" for what, where in sorted(self.faults.items()))
            pytest.fail(f"{len(self.faults)} faults\n" + "\n".join(told), pytrace=False)


@pytest.fixture(scope="session")
def kept() -> dict[str, Any]:
    """What has been made once for the run."""
    return {}


@pytest.fixture(scope="session")
def real_service(
    tmp_path_factory: pytest.TempPathFactory, token_key: Path, request: pytest.FixtureRequest
) -> Iterator[Service]:
    from ckan.common import config

    started = Service(tmp_path_factory.mktemp("service"), token_key, str(config["ckan.site_url"]))
    yield started
    started.stop()


@pytest.fixture
def as_the_stack(ckan_config: Any, tmp_path_factory: pytest.TempPathFactory, kept: dict[str, Any]) -> None:
    """Permissions as a city has them; the tests' own configuration is more open."""
    if "settings" not in kept:
        home = Home.at(tmp_path_factory.mktemp("home"))
        home.prepare()
        ports = dict.fromkeys(("postgres", "redis", "search", "service"), 1)
        kept["settings"] = ckan_ini.settings(home, "http://test.ckan.net", 5000, ports)
    for name, value in kept["settings"].items():
        if name.startswith(AS_THE_STACK):
            ckan_config[name] = {"true": True, "false": False}.get(value, value)
    ckan_config["ckan.views.default_views"] = []


@pytest.fixture
def service(
    real_service: Service, as_the_stack: None, migrated: None, ckan_config: Any, monkeypatch: pytest.MonkeyPatch,
    token_key: Path,
) -> Service:
    """The service itself in the place of its double."""
    monkeypatch.setitem(ckan_config, "ckanext.govopen.service_url", real_service.url)
    monkeypatch.setitem(ckan_config, "ckanext.govopen.token_key_file", str(token_key))
    return real_service


@pytest.fixture
def town(service: Service, kept: dict[str, Any], ckan_config: Any) -> Town:
    """What was planted in CKAN, and in the service about the same people and resources."""
    if "town" not in kept:
        service.wait()
        made = plant_town(Book(), VIEWERS, ckan_config)
        told = service.plant({
            "organisation_id": made.organisation_id,
            "people": {one: [made.people[one]["id"], made.people[one]["name"]] for one in PARTIES},
            "resources": {attribute: made.worlds[attribute]["main"]["resource"] for attribute in made.worlds},
        })
        made.book.take((label, text, may) for label, text, may in told["canaries"])
        made.ids = {(kind, viewer, attribute): one for kind, viewer, attribute, one in told["ids"]}
        made.service_database = service.database
        kept["town"] = made
    found: Town = kept["town"]
    return found


@pytest.fixture
def client(app: Any, town: Town) -> Callable[..., Any]:
    """Ask CKAN without a memory between requests: ``client("GET", path, viewer, …)``."""
    opened = app.test_client(use_cookies=False)

    def ask(method: str, path: str, viewer: str, **more: Any) -> Any:
        headers = {**town.headers[viewer], **more.pop("headers", {})}
        return opened.open(path, method=method, headers=headers, follow_redirects=False, **more)

    return ask


@pytest.fixture
def judging(client: Callable[..., Any], town: Town) -> Callable[[Tally], Judge]:
    """A judge of the answers that a tally counts."""
    return lambda tally: Judge(client, town, tally)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    report.write(terminalreporter.write_line)
