"""The HTTP face: a plain ASGI application that speaks Solr's paths to callers on this machine."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from ops.search.access import Scope, authorization, header, only_from_here, only_with
from ops.search.engine import Engine
from ops.search.errors import SearchFault
from ops.search.maintenance import ASKED, perform, read_task
from ops.search.parameters import Parameters, last, truth
from ops.search.schema import SCHEMA_NAME, schema_xml
from ops.search.select import Select
from ops.search.suggest import Suggest
from ops.search.update import read_update

log = logging.getLogger("ops.search")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = tuple[int, str, bytes]

MAX_SELECT_BYTES = 8_000_000
MAX_UPDATE_BYTES = 256_000_000
CACHE_BYTES = 16_000_000
THREADS = 4
MAX_PARAMETERS = 2_000
LONGEST_KEPT = 200
"""Bytes of a parameter that is remembered as it was read."""
JSON = "application/json;charset=utf-8"


class Answers:
    """Finished answers of the newest generation, so that a page asked for again costs nothing."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, bytes] = OrderedDict()
        self._generation = -1
        self._size = 0

    def get(self, generation: int, key: bytes) -> bytes | None:
        if generation != self._generation:
            self._found.clear()
            self._size = 0
            self._generation = generation
        body = self._found.get(key)
        if body is not None:
            self._found.move_to_end(key)
        return body

    def put(self, generation: int, key: bytes, body: bytes) -> None:
        if generation != self._generation or b"NOW" in key or len(body) > CACHE_BYTES // 8 or key in self._found:
            return
        self._found[key] = body
        self._size += len(body) + len(key)
        while self._size > CACHE_BYTES:
            old_key, old = self._found.popitem(last=False)
            self._size -= len(old) + len(old_key)


class SearchApp:
    """``prefix`` is the core's path, as in CKAN's ``solr_url``; ``password`` is what every caller must know."""

    def __init__(self, engine: Engine, password: str, prefix: str = "/solr/ckan") -> None:
        self.engine = engine
        self.prefix = "/" + prefix.strip("/")
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
        self._answers = Answers()
        self._authorization = authorization(password)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            status, kind, body = await self._respond(scope, receive)
        except SearchFault as fault:
            status, kind, body = _failure(fault)
        except Exception as error:
            log.exception("A request failed")
            status, kind, body = _failure(SearchFault(f"Internal error: {type(error).__name__}", 500))
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        if status == 401:
            headers.append((b"www-authenticate", b'Basic realm="search"'))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self._pool.shutdown(wait=True)
                await asyncio.get_running_loop().run_in_executor(None, self.engine.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _respond(self, scope: Scope, receive: Receive) -> Answer:
        only_from_here(scope)
        path: str = scope["path"]
        if path.rstrip("/") != self.prefix + "/admin/ping":
            only_with(self._authorization, scope)
        if not path.startswith(self.prefix + "/"):
            raise SearchFault(f"Not Found: the core is at {self.prefix}", 404)
        name = path[len(self.prefix) :].strip("/")
        query: bytes = scope["query_string"]
        if name == "select":
            return await self._select(scope, receive, query)
        if name in ("update", "update/json"):
            return await self._update(scope, receive, query)
        if name == "rebuild":
            return await self._rebuild(scope, receive, query)
        if scope["method"] not in ("GET", "HEAD"):
            raise SearchFault("Method Not Allowed", 405)
        if name == "suggest":
            return await self._suggest(query)
        if name == "admin/ping":
            return 200, JSON, _json({"responseHeader": {"status": 0, "QTime": 0}, "status": "OK"})
        if name == "schema" or (name == "admin/file" and last(_parameters(query), "file") == "schema.xml"):
            if name == "schema" and last(_parameters(query), "wt") != "schema.xml":
                return 200, JSON, _json({"responseHeader": {"status": 0}, "schema": {"name": SCHEMA_NAME}})
            return 200, "application/xml; charset=utf-8", schema_xml().encode()
        raise SearchFault(f"Not Found: /{name[:100]} is not spoken by this search service", 404)

    async def _select(self, scope: Scope, receive: Receive, query: bytes) -> Answer:
        if scope["method"] == "POST":
            kind = header(scope, b"content-type")
            body = await _body(receive, MAX_SELECT_BYTES)
            if body and "x-www-form-urlencoded" not in kind:
                raise SearchFault(f"Unsupported ContentType: {kind[:100]}", 415)
            query = query + b"&" + body if query else body
        elif scope["method"] not in ("GET", "HEAD"):
            raise SearchFault("Method Not Allowed", 405)
        cached = self._answers.get(self.engine.snapshot().generation, query)
        if cached is not None:
            return 200, JSON, cached

        def work() -> tuple[int, bytes]:
            select = Select(self.engine, _parameters(query))
            return select.snapshot.generation, _json(select.answer())

        generation, answer = await asyncio.get_running_loop().run_in_executor(self._pool, work)
        self._answers.put(generation, query, answer)
        return 200, JSON, answer

    async def _suggest(self, query: bytes) -> Answer:
        def work() -> bytes:
            return _json(Suggest(self.engine, _parameters(query)).answer())

        return 200, JSON, await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _update(self, scope: Scope, receive: Receive, query: bytes) -> Answer:
        if scope["method"] != "POST":
            raise SearchFault("Method Not Allowed", 405)
        kind = header(scope, b"content-type")
        body = await _body(receive, MAX_UPDATE_BYTES)
        engine = self.engine
        read = partial(read_update, body, kind, engine.clock(), postings=not engine.current.writing.is_shared)
        update = await asyncio.get_running_loop().run_in_executor(self._pool, read)
        parameters = _parameters(query)
        commit = update.commit or truth(parameters, "commit") or truth(parameters, "softCommit")
        if update.changes or commit:
            await asyncio.wrap_future(engine.submit(update.changes, commit=commit))
        return 200, JSON, _json({"responseHeader": {"status": 0, "QTime": 0}})


    async def _rebuild(self, scope: Scope, receive: Receive, query: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        if scope["method"] == "POST":
            body = await _body(receive, MAX_UPDATE_BYTES)
            action = last(_parameters(query), "action")
            if action in ASKED:
                found = await loop.run_in_executor(self._pool, ASKED[action], self.engine, body)
                return 200, JSON, _json({action: found})
            task = await loop.run_in_executor(self._pool, read_task, self.engine, _parameters(query), body)
            await perform(self.engine, task)
        elif scope["method"] not in ("GET", "HEAD"):
            raise SearchFault("Method Not Allowed", 405)
        return 200, JSON, _json(await loop.run_in_executor(self._pool, self.engine.state))


def build_search_app(engine: Engine, password: str, prefix: str = "/solr/ckan") -> SearchApp:
    return SearchApp(engine, password, prefix)


async def _body(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise SearchFault("The caller went away", 400)
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise SearchFault(f"The request is larger than {limit} bytes", 413)
        parts.append(chunk)
        if not message.get("more_body"):
            return b"".join(parts)


def _parameters(query: bytes) -> Parameters:
    parts = query.split(b"&")
    if len(parts) > MAX_PARAMETERS:
        raise SearchFault(f"A request may have {MAX_PARAMETERS} parameters")
    found: dict[str, list[str]] = {}
    try:
        for part in parts:
            if part:
                name, value = _kept_parameter(part) if len(part) < LONGEST_KEPT else _parameter(part)
                found.setdefault(name, []).append(value)
    except UnicodeDecodeError as error:
        raise SearchFault(f"URLDecoder: the parameters are not valid UTF-8: {error}") from error
    return found


def _parameter(part: bytes) -> tuple[str, str]:
    name, _, value = part.replace(b"+", b" ").partition(b"=")
    return unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()


_kept_parameter = lru_cache(maxsize=2_000)(_parameter)
"""Most parameters of most requests are always the same."""


def _json(value: Any) -> bytes:
    return orjson.dumps(value)


def _failure(fault: SearchFault) -> Answer:
    origin = ["error-class", "org.apache.solr.common.SolrException"]
    error = {"metadata": origin, "msg": fault.message, "code": fault.code}
    return fault.code, JSON, _json({"responseHeader": {"status": fault.code, "QTime": 0}, "error": error})
