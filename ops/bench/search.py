"""``search``: the index of a province – how fast it takes documents and answers, what it takes of memory and disk."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil

from ops.bench.framework import Figure, Say, register
from ops.bench.made_catalogue import BATCH, SITE_ID, Catalogue, batches
from ops.bench.peers import solr
from ops.search import access
from ops.stack import Home
from ops.stack.parts import base_env
from ops.stack.testing import free_port

DATASETS = int(os.environ.get("GOVOPEN_BENCH_DATASETS", "139000"))
ROUNDS = max(5, int(os.environ.get("GOVOPEN_BENCH_ROUNDS", "5")))
REQUESTS = int(os.environ.get("GOVOPEN_BENCH_REQUESTS", "200"))
CLIENTS = 4
USERS = 500
START_S = 600.0
FACETS = ("organization", "govopen_domain", "govopen_open_attribute", "res_format", "tags")
FORM = "application/x-www-form-urlencoded; charset=utf-8"
GET_BELOW = 1024
"""CKAN's client sends longer parameters by POST."""
ROOT = Path(__file__).parents[2]


def cache() -> Path:
    """Where made documents are kept for the next run: below ``GOVOPEN_CACHE``, else the user's cache folder."""
    base = os.environ.get("GOVOPEN_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "govopen" / "bench-catalogue"


@dataclass
class Side:
    """A search server under measurement and what was measured of it."""

    name: str
    url: str
    home: Path
    process: psutil.Process
    authorization: str = ""
    index_per_s: list[float] = field(default_factory=list)
    whole_s: float = 0.0
    alone: list[list[float]] = field(default_factory=list)
    together: list[list[float]] = field(default_factory=list)
    everything: list[list[float]] = field(default_factory=list)
    cpu: list[list[float]] = field(default_factory=list)
    """Processor time for each request of a round, which other load on the machine hardly changes."""
    rss_mb: float = 0.0
    disk_mb: float = 0.0

    def cpu_s(self) -> float:
        spent = self.process.cpu_times()
        return float(spent.user + spent.system)

    def weigh(self) -> None:
        self.rss_mb = self.process.memory_info().rss / 1e6
        self.disk_mb = sum(path.stat().st_size for path in self.home.rglob("*") if path.is_file()) / 1e6


class Client:
    """One kept connection, as each worker of CKAN has one."""

    def __init__(self, side: Side) -> None:
        parts = urlsplit(side.url)
        self._path = parts.path
        self._headers = {"Authorization": side.authorization} if side.authorization else {}
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)

    def _send(self, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        headers = {**self._headers, **({"Content-Type": kind} if body else {})}
        self._connection.request(method, self._path + path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self._path + path}: {answer.status} {content[:300]!r}")
        return content

    def add(self, documents: bytes) -> None:
        self._send("POST", "/update/", documents, "application/json; charset=utf-8")

    def commit(self) -> None:
        self._send("POST", "/update/?commit=true&waitSearcher=true", b"<commit/>", "text/xml; charset=utf-8")

    def select(self, parameters: str) -> bytes:
        if len(parameters) < GET_BELOW:
            return self._send("GET", "/select/?" + parameters, None, "")
        return self._send("POST", "/select/", parameters.encode(), FORM)


def request(catalogue: Catalogue, chance: random.Random, query: str | None = None) -> str:
    """A search page of a visitor or an officer, in the words in which CKAN asks its index."""
    labels = " OR ".join(f'"{label}"' for label in catalogue.labels_of(chance.randrange(USERS)))
    text = catalogue.keyword(chance) if query is None else query
    pairs: list[tuple[str, str]] = [
        ("q", text), ("rows", "21"), ("start", "0"), ("sort", "score desc, metadata_modified desc"),
        ("fq", "+dataset_type:dataset"), ("fq", f'+site_id:"{SITE_ID}"'), ("fq", "+state:active"),
        ("fq", f"+permission_labels:({labels})"), ("fl", "id validated_data_dict"), ("wt", "json"), ("df", "text"),
        ("q.op", "AND"), ("facet", "true"), ("facet.limit", "60"), ("facet.mincount", "1"),
        *(("facet.field", name) for name in FACETS),
    ]
    if ":" not in text:
        pairs += [("defType", "dismax"), ("tie", "0.1"), ("mm", "2<-1 5<80%"),
                  ("qf", "name^4 title^4 tags^2 groups^2 text")]
    return urlencode(pairs)


def load(side: Side, catalogue: Catalogue, say: Say) -> None:
    """All documents in CKAN's way: batches whose commit is put off; a commit after each fifth of them."""
    client = Client(side)
    share = max(1, -(-DATASETS // BATCH // ROUNDS))
    done, spent = 0, 0.0
    for number, body in enumerate(batches(catalogue, DATASETS, cache()), start=1):
        began = time.monotonic()
        client.add(body)
        last = number * BATCH >= DATASETS
        if number % share == 0 or last:
            client.commit()
        spent += time.monotonic() - began
        if number % share == 0 or last:
            now = min(number * BATCH, DATASETS)
            side.index_per_s.append((now - done) / spent)
            side.whole_s += spent
            say(f"{side.name}: {now:,} documents, {side.index_per_s[-1]:,.0f}/s")
            done, spent = now, 0.0


def ask(side: Side, requests: list[str]) -> list[float]:
    """Milliseconds of each request over one connection."""
    client = Client(side)
    spent: list[float] = []
    for parameters in requests:
        began = time.perf_counter()
        client.select(parameters)
        spent.append((time.perf_counter() - began) * 1000)
    return spent


def ask_together(side: Side, requests: list[str]) -> list[float]:
    spent: list[list[float]] = [[] for _ in range(CLIENTS)]

    def work(number: int) -> None:
        spent[number] = ask(side, requests[number::CLIENTS])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for part in spent for one in part]


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _median(rounds: list[list[float]], share: float) -> float:
    return round(statistics.median(quantile(one, share) for one in rounds), 2)


def _agree(sides: list[Side], catalogue: Catalogue, say: Say) -> None:
    """Exact questions have one answer: counts of hits and of all values must be the same on both sides."""
    chance = random.Random(7)
    for query in ("*:*", "tags:行政许可", 'govopen_domain:"health"', "metadata_modified:[2026-01-01T00:00:00Z TO *]"):
        parameters = request(catalogue, chance, query)
        answers = []
        for side in sides:
            answer = json.loads(Client(side).select(parameters))
            answers.append((answer["response"]["numFound"], answer["facet_counts"]["facet_fields"]))
        say(f"{query}: {answers[0][0]:,} hits")
        if any(one != answers[0] for one in answers):
            raise RuntimeError(f"The two sides count {query} differently")


def service(home: Path) -> tuple[Side, Callable[[], None]]:
    port = free_port()
    home.mkdir()
    authorization = access.authorization(access.read_password(home / "password")).decode()
    with (home.parent / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.search", "--home", str(home), "--port", str(port)],
            cwd=ROOT, env=base_env(Home.at(home), "search"), stdout=log, stderr=log,
        )
    side = Side("service", f"http://127.0.0.1:{port}/solr/ckan", home, psutil.Process(process.pid), authorization)
    deadline = time.monotonic() + START_S
    while True:
        with suppress(OSError, RuntimeError):
            Client(side).select("q=*:*&rows=0&wt=json")
            break
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("The search service did not start: " + (home.parent / "service.log").read_text()[-500:])
        time.sleep(0.1)

    def stop() -> None:
        process.terminate()
        process.wait(60)

    return side, stop


def _solr(home: Path, say: Say) -> tuple[Side | None, Callable[[], None]]:
    try:
        url = solr.start(home, free_port())
    except solr.Unavailable as reason:
        say(f"No peer: {reason}")
        return None, lambda: None
    process = solr.running(home)
    if process is None:
        say("No peer: Solr ended at once")
        return None, lambda: None
    return Side(f"Solr {solr.version()}", url, home, process), lambda: solr.stop(home)


@register("search", "139,000 datasets: indexing, keyword + 5 facets + labels, memory; against Solr 9")
def measure(say: Say) -> list[Figure]:
    """Load both servers, then ask both in turns; ``GOVOPEN_BENCH_DATASETS`` makes it smaller.

    No request is sent twice, so no answer comes from a cache of answers; both sides get the same ones.
    """
    catalogue = Catalogue()
    say(f"making {DATASETS:,} documents (kept in {cache()})")
    for _ in batches(catalogue, DATASETS, cache()):
        pass
    folder = Path(tempfile.mkdtemp(prefix="govopen-search-"))
    stops: list[Callable[[], None]] = []
    try:
        ours, stop = service(folder / "service")
        stops.append(stop)
        load(ours, catalogue, say)
        peer, stop = _solr(folder / "solr", say)
        stops.append(stop)
        sides = [ours] if peer is None else [ours, peer]
        if peer is not None:
            load(peer, catalogue, say)
        _agree(sides, catalogue, say)
        _rounds(sides, catalogue, say)
        for side in sides:
            side.weigh()
    finally:
        for stop in stops:
            stop()
        shutil.rmtree(folder, ignore_errors=True)
    return _figures(ours, peer)


def _rounds(sides: list[Side], catalogue: Catalogue, say: Say) -> None:
    chance = random.Random(20261124)
    warm = [request(catalogue, chance) for _ in range(REQUESTS)]
    for side in sides:
        ask(side, warm)
    for number in range(ROUNDS):
        alone = [request(catalogue, chance) for _ in range(REQUESTS)]
        together = [request(catalogue, chance) for _ in range(REQUESTS)]
        everything = [request(catalogue, random.Random(f"{number}/{at}"), "*:*") for at in range(REQUESTS // 10)]
        for side in sides:
            before = side.cpu_s()
            side.alone.append(ask(side, alone))
            side.cpu.append([(side.cpu_s() - before) * 1000 / len(alone)])
            side.together.append(ask_together(side, together))
            side.everything.append(ask(side, everything))
            say(f"{side.name}, round {number + 1}: p50 {quantile(side.alone[-1], 0.5):.1f} ms, "
                f"p95 {quantile(side.alone[-1], 0.95):.1f} ms, "
                f"processor {side.cpu[-1][0]:.1f} ms; load {os.getloadavg()[0]:.1f}")


def _figures(ours: Side, peer: Side | None) -> list[Figure]:
    def figure(
        name: str, unit: str, better: str, of: Callable[[Side], float], reach: float | None = None
    ) -> Figure:
        theirs = None if peer is None else round(of(peer), 2)
        return Figure(name, round(of(ours), 2), unit, better, reach, peer.name if peer else None, theirs)

    found = [
        Figure("p95_ms", _median(ours.alone, 0.95), "ms", "lower", 20),
        Figure("index_per_s", round(statistics.median(ours.index_per_s)), "1/s", "higher", 2000),
        figure("p50_ms", "ms", "lower", lambda side: _median(side.alone, 0.5)),
        figure("cpu_ms", "ms", "lower", lambda side: _median(side.cpu, 0.5)),
        figure("p95_together_ms", "ms", "lower", lambda side: _median(side.together, 0.95)),
        figure("p95_everything_ms", "ms", "lower", lambda side: _median(side.everything, 0.95)),
        figure("index_whole_s", "s", "lower", lambda side: side.whole_s),
        figure("rss_mb", "MB", "lower", lambda side: side.rss_mb),
        figure("disk_mb", "MB", "lower", lambda side: side.disk_mb),
    ]
    if peer is not None:
        found += [
            figure("p95_against_solr_ms", "ms", "lower", lambda side: _median(side.alone, 0.95), 1),
            figure("index_against_solr", "1/s", "higher", lambda side: statistics.median(side.index_per_s), 1),
        ]
    return found
