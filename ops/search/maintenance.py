"""``/rebuild``: how the index is, and the documents of a rebuild. Spoken by ``govopen search`` and ``ckan govopen``.

    GET  /rebuild                              the state
    POST /rebuild?action=start                 {"ranges": […], "datasets": n, "copy": bool}; one under way is dropped
    POST /rebuild?action=add&range=k&since=s   {"documents": […], "same": [keys], "gone": [keys]}
    POST /rebuild?action=held                  {"keys": […], "fields": […]}: what these documents say, to compare
    POST /rebuild?action=alike                 {"documents": […]}: keys of those that are as the ones that serve
    POST /rebuild?action=finish&since=s        {"site_id": …, "alive": [keys]}: the next generation serves
    POST /rebuild?action=drop
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from tantivy import Occur, Query

from ops.search import copies
from ops.search.documents import check, make_forms
from ops.search.engine import Engine
from ops.search.errors import SearchFault
from ops.search.fields import EXACT, SEP, SEQUENCE
from ops.search.parameters import Parameters, last
from ops.search.rebuild import Behind
from ops.search.sameness import Sameness, compare
from ops.search.schema import UNIQUE_KEY
from ops.search.store import Row

MAX_RANGES = 100_000
MAX_HELD = 10_000
LATER = object()
"""What a task gives back that is to be asked for again."""
LATER_S = 0.02


def held(engine: Engine, body: bytes) -> dict[str, dict[str, Any]]:
    """Fields of stored documents by key."""
    given = _object(body)
    keys, fields = _keys(given, "keys"), _keys(given, "fields")
    return engine.store.told(keys[:MAX_HELD], fields)


def alike(engine: Engine, body: bytes) -> list[str]:
    """Keys of documents that need not be indexed again."""
    return _compared(engine, _documents(_object(body), engine.clock()))[0]


def _documents(given: dict[str, Any], now: datetime) -> dict[str, dict[str, Any]]:
    """Checked documents by key."""
    documents = given.get("documents", [])
    if not isinstance(documents, list):
        raise SearchFault("'documents' is a list")
    return {one[UNIQUE_KEY]: one for one in (check(document, now) for document in documents)}


def _compared(engine: Engine, documents: dict[str, dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Keys of documents that are as the ones that serve, and those of them of which the notes differ."""
    there = engine.store.rows_now(list(documents))
    found = {key: compare(document, there[key]) for key, document in documents.items() if key in there}
    same = [key for key, sameness in found.items() if sameness is not Sameness.DIFFERENT]
    return same, [key for key in same if found[key] is Sameness.BUT_NOTES]


ASKED: dict[str | None, Callable[[Engine, bytes], Any]] = {"held": held, "alike": alike}
"""Actions that change nothing."""


def read_task(engine: Engine, parameters: Parameters, body: bytes) -> Callable[[], Any]:
    """Understand a request (in a thread of its own); what comes back is for the writer's thread."""
    action = last(parameters, "action", "")
    given = _object(body)
    if action == "start":
        ranges, datasets = given.get("ranges"), given.get("datasets")
        if not isinstance(ranges, list) or not isinstance(datasets, int) or len(ranges) > MAX_RANGES:
            raise SearchFault("A rebuild starts with a list of ranges and the number of datasets")
        copy = copies.take(engine) if given.get("copy") is True else None
        return lambda: engine.start_rebuild({"ranges": ranges, "datasets": datasets}, copy)
    if action == "drop":
        return engine.drop_rebuild
    since = _number(parameters, "since")
    if action == "finish":
        alive, others = set(_keys(given, "alive")), foreign(engine, given.get("site_id"))

        def finish() -> Any:
            try:
                return engine.finish_rebuild(since, alive, others) if _is_time(engine, is_last=True) else LATER
            except Behind:
                return LATER

        return finish
    if action != "add":
        raise SearchFault(f"Unknown action '{action[:50]}'")
    number, same, gone = _number(parameters, "range"), _keys(given, "same"), _keys(given, "gone")
    now = engine.clock()
    documents = _documents(given, now)
    noted: list[Row] = []
    under_way = engine.rebuild
    is_copy = under_way is not None and under_way.is_copy
    elsewhere = is_copy or (under_way is not None and under_way.generation.writing.is_shared)
    if is_copy:
        as_they_are, notes_differ = _compared(engine, documents)
        noted = [make_forms(documents[key], now, postings=False).row for key in notes_differ]
        same += as_they_are
        for key in as_they_are:
            del documents[key]
    prepared = [make_forms(document, now, postings=not elsewhere) for document in documents.values()]

    def add() -> Any:
        if engine.rebuild is None:
            raise SearchFault("No rebuild is under way", 409)
        return engine.rebuild.add(number, since, prepared, same, gone, noted) if _is_time(engine) else LATER

    return add


def _is_time(engine: Engine, *, is_last: bool = False) -> bool:
    rebuild = engine.rebuild
    return rebuild is None or (rebuild.is_ready_to_end() if is_last else rebuild.is_ready())


async def perform(engine: Engine, task: Callable[[], Any]) -> None:
    """Have it done on the writer's thread, when it is time for it: until then that thread does other things."""
    while True:
        if await asyncio.wrap_future(engine.perform(task)) is not LATER:
            return
        await asyncio.sleep(LATER_S)


def foreign(engine: Engine, site: Any) -> list[str]:
    """Keys of documents that CKAN's datasets do not account for: other entities, other sites."""
    if not isinstance(site, str):
        raise SearchFault("'site_id' is the site whose datasets were sent")
    ours = [Query.term_query(engine.schema, EXACT, term, "basic") for term in (
        f"entity_type{SEP}package", f"site_id{SEP}{site}",
    )]
    both = Query.boolean_query([(Occur.Must, one) for one in ours])
    others = Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, both)])
    snapshot = engine.snapshot()
    hits = snapshot.searcher.search(others, max(1, snapshot.searcher.num_docs), order_by_field=SEQUENCE).hits
    return snapshot.store.keys_of([sequence for sequence, _ in hits])


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise SearchFault(f"Cannot parse JSON: {error}") from error
    if not isinstance(found, dict):
        raise SearchFault("The body is a JSON object")
    return found


def _number(parameters: Parameters, name: str) -> int:
    text = last(parameters, name, "")
    if not text.isdecimal() or len(text) > 15:
        raise SearchFault(f"'{name}' is a whole number")
    return int(text)


def _keys(given: dict[str, Any], name: str) -> list[str]:
    keys = given.get(name, [])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise SearchFault(f"'{name}' is a list of keys")
    return keys
