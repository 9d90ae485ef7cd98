"""``relevance``: does the search find what people want? nDCG@10 over judged queries, ours and CKAN's stock schema.

The queries, judgements and made-up entries are in ``tests/search/relevance``; the demo city's catalogue is searched
with them. Both engines get the same documents, with the fields that CKAN and the extension send, and the same requests:
what CKAN 2.12 makes of a text typed into its search box, for somebody without an account.
"""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from ops.bench.framework import Figure, Say, register
from ops.bench.peers import solr
from ops.demo.catalogue import DEPARTMENTS, ENTRIES, Entry
from ops.search.documents import prepare
from ops.search.engine import Change, Engine
from ops.search.select import Select
from ops.search.testing import CKAN_DISMAX, NOW, SITE, dataset
from ops.stack.testing import free_port

FOLDER = Path(__file__).parents[2] / "tests" / "search" / "relevance"
DEPTH = 10
ROUNDS = 5
CLASSES = {
    "word": "Chinese words",
    "synonym": "other names",
    "traditional": "traditional",
    "fullwidth": "full-width",
    "pinyin": "pinyin",
    "initials": "initials",
    "typo": "slips",
    "english": "English",
    "column": "column names",
    "code": "codes",
    "multi": "several words",
    "question": "questions",
}
Find = Callable[[dict[str, str | list[str]]], list[str]]


@dataclass(frozen=True)
class Query:
    kind: str
    text: str
    grades: dict[str, int]


def _lines(name: str) -> Iterator[list[str]]:
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield [part.strip() for part in line.split("|")]


def queries() -> list[Query]:
    """The judged queries."""
    found = []
    for kind, text, judged in _lines("queries.txt"):
        grades = {name: int(grade) for name, _, grade in (one.partition(":") for one in judged.split())}
        found.append(Query(kind, text, grades))
    return found


@cache
def documents() -> list[dict[str, Any]]:
    """The catalogue as CKAN's indexer sends it."""
    titles = {one.name: one.title for one in DEPARTMENTS}
    found = [_demo(entry, titles[entry.department]) for entry in ENTRIES]
    for name, title, department, tags, columns, abstract in _lines("catalogue.txt"):
        found.append(_document(name, title, abstract, department, tags.split(","), "; ".join(columns.split(","))))
    return found


def _demo(entry: Entry, department: str) -> dict[str, Any]:
    columns = [(item.title, item.name, item.description) for item in entry.items]
    if entry.table is not None:
        columns += [(title, name, "") for name, title, _ in entry.table()[0]]
    words = dict.fromkeys(text for column in columns for text in column if text)
    return _document(entry.name, entry.title, entry.abstract, department, list(entry.tags), "; ".join(words))


def _document(name: str, title: str, notes: str, department: str, tags: list[str], columns: str) -> dict[str, Any]:
    made = dataset(name, title=title, notes=notes, tags=tags, extras_items=columns, extras_department=department)
    made["organization"] = "department"
    made["res_name"], made["res_format"] = [title], ["CSV"]
    del made["data_dict"], made["validated_data_dict"]
    return made


def request(text: str) -> dict[str, str | list[str]]:
    """What CKAN sends for a text typed into its search box."""
    return {
        "q": text,
        **CKAN_DISMAX,
        "q.op": "AND",
        "df": "text",
        "fl": "name",
        "rows": str(DEPTH),
        "start": "0",
        "wt": "json",
        "sort": "score desc, metadata_modified desc",
        "fq": [f'+site_id:"{SITE}"', "+state:active", '+permission_labels:("public")', "+capacity:public"],
    }


def ndcg(found: list[str], grades: dict[str, int]) -> float:
    """Normalized discounted cumulative gain of the first ten, gain 2^grade - 1."""

    def total(values: list[int]) -> float:
        return math.fsum((2.0**grade - 1) / math.log2(place + 2) for place, grade in enumerate(values[:DEPTH]))

    best = total(sorted(grades.values(), reverse=True))
    return total([grades.get(name, 0) for name in found]) / best


def judge(find: Find) -> dict[str, list[float]]:
    """nDCG@10 of each query, by class."""
    found: dict[str, list[float]] = {}
    for query in queries():
        found.setdefault(query.kind, []).append(ndcg(find(request(query.text)), query.grades))
    return found


def mean(scores: dict[str, list[float]]) -> float:
    """Over all queries, each the same weight."""
    return statistics.fmean(score for values in scores.values() for score in values)


def ours(home: Path) -> tuple[Engine, Find]:
    """An engine with the catalogue, and how to ask it."""
    engine = Engine(home, clock=lambda: NOW)
    engine.submit([Change(puts=[prepare(one, NOW) for one in documents()])], commit=True).result(60)

    def find(asked: dict[str, str | list[str]]) -> list[str]:
        parameters = {name: [value] if isinstance(value, str) else value for name, value in asked.items()}
        answer = Select(engine, parameters).answer()
        return [str(one["name"]) for one in answer["response"]["docs"]]

    return engine, find


def peer(url: str) -> Find:
    """Solr with CKAN's schema, filled with the same documents."""
    client = httpx.Client(base_url=url, timeout=60)
    client.post("/update?commit=true", json=documents()).raise_for_status()

    def find(asked: dict[str, str | list[str]]) -> list[str]:
        answer = client.get("/select", params=asked)
        answer.raise_for_status()
        return [str(one["name"]) for one in answer.json()["response"]["docs"]]

    return find


@register("relevance", "nDCG@10 over judged queries, Chinese, pinyin, slips, English; peer: Solr with CKAN's schema")
def measure(say: Say) -> list[Figure]:
    """Ours and the peer in one run; answers do not vary, so one round judges and five rounds tell the time."""
    folder = Path(tempfile.mkdtemp(prefix="govopen-relevance-"))
    engine = None
    try:
        engine, find = ours(folder / "ours")
        mine = judge(find)
        times = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            judge(find)
            times.append((time.perf_counter() - begun) / len(queries()) * 1000)
        theirs = _judge_peer(folder / "solr", say)
    finally:
        if engine is not None:
            engine.close()
        shutil.rmtree(folder, ignore_errors=True)
    figures = [_figure("ndcg_10", mean(mine), mean(theirs) if theirs else None)]
    for kind, name in CLASSES.items():
        value = statistics.fmean(mine[kind])
        figures.append(_figure(f"ndcg_10_{kind}", value, statistics.fmean(theirs[kind]) if theirs else None))
        say(f"{name}: {len(mine[kind])} queries, {value:.3f}")
    figures.append(Figure("queries", len(queries()), "", "higher", 120))
    figures.append(Figure("ms_per_query", round(statistics.median(times), 2), "ms", "lower"))
    return figures


def _figure(name: str, value: float, peer_value: float | None) -> Figure:
    known = peer_value is not None
    return Figure(
        name,
        round(value, 4),
        "nDCG",
        "higher",
        None,
        "Solr 9, CKAN's schema" if known else None,
        round(peer_value, 4) if peer_value is not None else None,
    )


def _judge_peer(home: Path, say: Say) -> dict[str, list[float]] | None:
    try:
        url = solr.start(home, free_port())
    except (solr.Unavailable, OSError) as error:
        say(f"Solr cannot be had here: {error}")
        return None
    try:
        return judge(peer(url))
    finally:
        solr.stop(home)
