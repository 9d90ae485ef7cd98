"""``/rebuild``: how the index is, and the documents of a rebuild. Spoken by ``govopen search`` and ``ckan govopen``.

    GET  /rebuild                              the state
    POST /rebuild?action=start                 {"ranges": […], "datasets": n}; one that is under way is dropped
    POST /rebuild?action=add&range=k&since=s   {"documents": […], "same": [keys]}
    POST /rebuild?action=finish&since=s        {"gone": [keys]}: the next generation serves
    POST /rebuild?action=drop
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from ops.search.documents import prepare
from ops.search.engine import Engine
from ops.search.errors import SearchFault
from ops.search.parameters import Parameters, last

MAX_RANGES = 100_000


def read_task(engine: Engine, parameters: Parameters, body: bytes) -> Callable[[], Any]:
    """Understand a request (in a thread of its own); what comes back is for the writer's thread."""
    action = last(parameters, "action", "")
    given = _object(body)
    if action == "start":
        ranges, datasets = given.get("ranges"), given.get("datasets")
        if not isinstance(ranges, list) or not isinstance(datasets, int) or len(ranges) > MAX_RANGES:
            raise SearchFault("A rebuild starts with a list of ranges and the number of datasets")
        return lambda: engine.start_rebuild({"ranges": ranges, "datasets": datasets})
    if action == "drop":
        return engine.drop_rebuild
    since = _number(parameters, "since")
    if action == "finish":
        gone = _keys(given, "gone")
        return lambda: engine.finish_rebuild(since, gone)
    if action != "add":
        raise SearchFault(f"Unknown action '{action[:50]}'")
    number, same = _number(parameters, "range"), _keys(given, "same")
    documents = given.get("documents", [])
    if not isinstance(documents, list):
        raise SearchFault("'documents' is a list")
    now = engine.clock()
    prepared = [prepare(document, now) for document in documents]

    def add() -> None:
        if engine.rebuild is None:
            raise SearchFault("No rebuild is under way", 409)
        engine.rebuild.add(number, since, prepared, same)

    return add


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
