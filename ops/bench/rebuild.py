"""``rebuild``: the search index built anew from CKAN's database, beside the index alone and CKAN's own command.

CKAN's tables are filled with the catalogue of ``search``. ``govopen search rebuild`` then runs three times. First into
an index that has nothing, when every document is made and indexed. Then with ``--full``, which makes every document
again and indexes those that differ from what serves: here none does. Then as it is by default, which makes only the
documents of datasets that were changed. Figures are documents by the seconds of the whole command, the start of CKAN
included. During the first run the serving index is asked, one request after another; during the others it is not, so
that they compare with the index alone, which is not asked either. The index alone is measured before and between, for a
machine's speed may change meanwhile; the quicker time counts.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import psutil

from ops.bench.framework import Figure, Say, register
from ops.bench.made_catalogue import Catalogue
from ops.bench.made_tables import fill
from ops.bench.search import DATASETS, Client, Side, load, quantile, request, service
from ops.stack import Stack
from ops.stack.parts import Plan, ckan_command, ckan_env
from ops.stack.postgres import SUPERUSER, url
from ops.stack.testing import running_stack

PEER_S = 60.0
"""How long CKAN's own command is watched."""
PAUSE_S = 0.05
"""Between two requests: readers, not a load."""
QUIET = {"ckanext.govopen.figures_every_s": "86400"}
"""Or the figures of 20,000 new tables are told to the index at the same time."""
REPOSITORY = Path(__file__).parents[2]


@register("rebuild", "the search index anew from CKAN's database, while it serves; against CKAN's own rebuild")
def measure(say: Say) -> list[Figure]:
    """``GOVOPEN_BENCH_DATASETS`` makes it smaller."""
    alone = _index_alone(say)
    say(f"the index alone: {alone:,.0f}/s")
    with running_stack(ckan_settings=QUIET) as stack:
        asyncio.run(fill(url(stack.home, stack.ports["postgres"], SUPERUSER, "ckan"), DATASETS, say, stack.site_url))
        waits: list[float] = []
        with _asked(stack, waits):
            first = _rebuild(stack, say)
        alone = max(alone, _index_alone(say))
        made = _rebuild(stack, say, "--full")
        compared = _rebuild(stack, say)
        peer = _peer(stack, say)
    return [
        Figure("index_alone", round(alone), "1/s", "higher"),
        Figure("compared", round(compared), "1/s", "higher", 1, "the index alone", round(alone)),
        Figure("made_anew", round(made), "1/s", "higher", 1, "the index alone", round(alone)),
        Figure("from_nothing", round(first), "1/s", "higher", 1, "the index alone", round(alone)),
        Figure("from_nothing_beside_ckan", round(first), "1/s", "higher", 1, "CKAN's rebuild", round(peer)),
        Figure("p50_meanwhile", round(quantile(waits, 0.5), 2), "ms", "lower"),
        Figure("p95_meanwhile", round(quantile(waits, 0.95), 2), "ms", "lower"),
    ]


def _index_alone(say: Say) -> float:
    """Documents a second of the search service by itself, made documents sent to it as CKAN sends them."""
    folder = Path(tempfile.mkdtemp(prefix="govopen-rebuild-"))
    try:
        side, stop = service(folder / "service")
        try:
            load(side, Catalogue(), say)
        finally:
            stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return DATASETS / side.whole_s


def _rebuild(stack: Stack, say: Say, *options: str) -> float:
    """Documents a second of one rebuild."""
    environment = {**os.environ, "GOVOPEN_HOME": str(stack.home.path)}
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "ops.cli", "search", "rebuild", *options], cwd=REPOSITORY, env=environment, check=True,
        stdout=2,
    )
    seconds = time.monotonic() - begun
    documents = _documents(stack)
    say(f"rebuild {' '.join(options)}: {documents:,} documents in {seconds:.0f} s, {documents / seconds:,.0f}/s")
    return documents / seconds


@contextmanager
def _asked(stack: Stack, waits: list[float]) -> Iterator[None]:
    """Within it the serving index is asked; ``waits`` are the milliseconds until the answers."""
    ended = threading.Event()
    asking = threading.Thread(target=_ask, args=(stack, waits, ended))
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()


def _documents(stack: Stack) -> int:
    answer = json.loads(Client(_side(stack)).select("q=*:*&rows=0&wt=json"))
    return int(answer["response"]["numFound"])


def _side(stack: Stack) -> Side:
    secret = base64.b64encode(f"ckan:{stack.home.secret('search')}".encode()).decode()
    address = f"http://127.0.0.1:{stack.ports['search']}/solr/ckan"
    return Side("stack", address, stack.home.path, psutil.Process(), f"Basic {secret}")


def _ask(stack: Stack, waits: list[float], ended: threading.Event) -> None:
    catalogue, chance, client = Catalogue(), random.Random(11), Client(_side(stack))
    while not ended.wait(PAUSE_S):
        parameters = request(catalogue, chance)
        begun = time.perf_counter()
        client.select(parameters)
        waits.append((time.perf_counter() - begun) * 1000)


def _peer(stack: Stack, say: Say) -> float:
    """Datasets a second of ``ckan search-index rebuild`` on the same tables and index, from its first minute."""
    plan = Plan(stack.home, int(stack.state["port"]), stack.ports, stack.site_url)
    process = subprocess.Popen(
        ckan_command(stack.home, "search-index", "rebuild", "--keep-orphans"), env=ckan_env(plan, "peer"),
        cwd=stack.home.path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    output = cast("IO[bytes]", process.stdout).fileno()
    first: tuple[float, int] | None = None
    last = (0.0, 0)
    rest = b""
    try:
        while chunk := os.read(output, 65536):
            found = re.findall(rb"dataset (\d+)/", rest + chunk)
            rest = chunk[-40:]
            if found:
                last = (time.monotonic(), int(found[-1]))
                first = first or last
                if last[0] - first[0] > PEER_S:
                    break
    finally:
        process.terminate()
        process.wait(60)
    if first is None or last[0] <= first[0]:
        raise RuntimeError("CKAN's rebuild said nothing")
    rate = (last[1] - first[1]) / (last[0] - first[0])
    say(f"ckan search-index rebuild: {rate:,.0f}/s")
    return rate
