"""The SDK against the running service: rows, files, Arrow, lookups, verification, analyses, usage, faults."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from authz import DataObject, Runtime, new_id
from billing import usage
from ops import testing
from ops.testing import Granted

ROOT = Path(__file__).parents[2]
FIELDS = [
    {"name": "code", "title": "代码", "type": "text"},
    {"name": "name", "title": "名称", "type": "text"},
    {"name": "size", "title": "规模", "type": "integer"},
]
ROWS = [(f"{number:06d}", f"第{number}企业", number % 7) for number in range(2_500)]
KNOWN: dict[str, Any] = {}


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    if runtime.settings.database_url not in KNOWN:
        KNOWN[runtime.settings.database_url] = await testing.load_restricted(
            runtime,
            testing.data_object(new_id("res"), FIELDS),
            {"code": "text", "name": "text", "size": "bigint"},
            ROWS,
        )
    found: DataObject = KNOWN[runtime.settings.database_url]
    return found


@pytest.fixture
async def granted(runtime: Runtime, data: DataObject) -> Granted:
    return await testing.issue_grant(
        runtime, data, ["code", "name", "size"], quota={"rows_month": 1_000_000}, delivery=("api", "analysis", "verify")
    )


async def by_client(site: Any, granted: Granted, data: DataObject, work: Callable[[Any], Any], **more: Any) -> Any:
    """Run ``work`` with a dataset of the synchronous client, in a thread."""
    from govopen_client import Client

    def run() -> Any:
        with Client(site.url, key=granted.key, language="en", **more) as client:
            return work(client.dataset(data.resource_id))

    return await asyncio.to_thread(run)


async def metered(runtime: Runtime, granted: Granted) -> tuple[int, int]:
    found = await usage.events(runtime.pool, [granted.id])
    return len(found), sum(one.rows for one in found)


async def test_rows_come_page_by_page_and_each_page_is_one_call(
    site: Any, data: DataObject, granted: Granted, runtime: Runtime
) -> None:
    found = await by_client(site, granted, data, lambda one: list(one.rows(columns=["code", "size"])))
    assert [row["code"] for row in found] == [row[0] for row in ROWS]
    assert await metered(runtime, granted) == (3, 2_500)
    some = await by_client(
        site, granted, data, lambda one: list(one.rows(filters={"size__gte": 5, "code__prefix": "0000"}, most=7))
    )
    assert [row["code"] for row in some] == [code for code, _, size in ROWS if size >= 5 and code < "0001"][:7]
    chosen = await by_client(site, granted, data, lambda one: list(one.rows(filters={"code": ["000001", "000009"]})))
    assert [row["name"] for row in chosen] == ["第1企业", "第9企业"]


async def test_the_asynchronous_client_does_the_same(site: Any, data: DataObject, granted: Granted) -> None:
    from govopen_client import AsyncClient

    async with AsyncClient(site.url, key=granted.key) as client:
        one = client.dataset(data.resource_id)
        found = [row["code"] async for row in one.rows(page_rows=900)]
        looked_up = await one.lookup("code", ["000003", "x"])
        table = await one.arrow(columns=["size"])
        assert (await one.schema())["access"] == "permit"
    assert found == [row[0] for row in ROWS]
    assert [row["size"] for row in looked_up.items] == [3]
    assert looked_up.not_found == ["x"]
    assert sum(table.column("size").to_pylist()) == sum(row[2] for row in ROWS)


async def test_files_tables_lookups_and_aggregates(
    site: Any, data: DataObject, granted: Granted, runtime: Runtime, tmp_path: Path
) -> None:
    whole = await by_client(site, granted, data, lambda one: one.download(tmp_path / "all.jsonl", format="jsonl"))
    lines = whole.path.read_bytes().splitlines()
    assert (len(lines), whole.verified) == (2_500, False)
    assert json.loads(lines[0])["name"] == "第0企业"
    assert whole.usage_id.startswith("use_")
    assert not list(tmp_path.glob("*.part*"))
    table = await by_client(site, granted, data, lambda one: one.arrow(filters={"size": 3}))
    assert table.num_rows == sum(row[2] == 3 for row in ROWS)
    found = await by_client(site, granted, data, lambda one: one.lookup("code", ["000002"], columns=["name"]))
    assert (found.items, found.not_found) == ([{"name": "第2企业"}], [])
    told = await by_client(
        site,
        granted,
        data,
        lambda one: one.verify([{"match": {"code": "000004"}, "claims": {"name": "第4企业", "size": 5}}]),
    )
    assert len(told) == 1
    answer = await by_client(
        site, granted, data, lambda one: one.analysis("SELECT size, count(*) AS n FROM data GROUP BY size")
    )
    assert answer.rows


async def test_usage_is_told_to_members_of_the_party(
    site: Any, data: DataObject, granted: Granted, runtime: Runtime, token_for: Any, give_role: Any
) -> None:
    from govopen_client import Client, NotThere

    from authz import Role

    await by_client(site, granted, data, lambda one: one.lookup("code", ["000002"]))
    await give_role("mem", Role.ENTERPRISE_ADMIN, testing.PARTY)

    def ask(name: str) -> Any:
        token = token_for(name)["Authorization"].removeprefix("Bearer ")
        with Client(site.url, token=token) as client:
            return client.usage(granted.id), list(client.usage_events(granted.id))

    shown, events = await asyncio.to_thread(ask, "mem")
    assert shown
    assert [one["data"]["rows"] for one in events] == [1]
    with pytest.raises(NotThere):
        await asyncio.to_thread(ask, "stranger")


async def test_refusals_are_exceptions_with_code_reasons_and_a_way_on(
    site: Any, data: DataObject, runtime: Runtime
) -> None:
    from govopen_client import Denied, Invalid, NotAuthenticated, NotThere, QuotaExhausted

    small = await testing.issue_grant(runtime, data, ["code"], quota={"rows_month": 10})
    with pytest.raises(QuotaExhausted) as used_up:
        await by_client(site, small, data, lambda one: list(one.rows()))
    assert (used_up.value.code, used_up.value.status) == ("quota_exhausted", 429)
    assert used_up.value.next
    with pytest.raises(Denied) as denied:
        await by_client(site, small, data, lambda one: list(one.rows(columns=["name"])))
    assert denied.value.reasons[0]["code"]
    assert denied.value.next
    with pytest.raises(Invalid) as faulty:
        await by_client(site, small, data, lambda one: list(one.rows(columns=["nothing"])))
    assert faulty.value.errors[0]["field"] == "columns.nothing"
    wrong = Granted(small.id, "gok_" + "0" * 12 + "_" + "0" * 32)
    with pytest.raises(NotAuthenticated):
        await by_client(site, wrong, data, lambda one: list(one.rows()))
    with pytest.raises(NotThere):
        await by_client(site, small, testing.data_object("none", FIELDS), lambda one: list(one.rows()))
    with pytest.raises(ValueError, match="gok_"):
        await by_client(site, Granted("x", "secret"), data, lambda one: one)


class Front(ThreadingHTTPServer):
    """A front before the service that has its own bad days: what it does is decided request by request."""

    def __init__(self, plan: Callable[[int, Any], bool]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.asked = plan, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    BODY = json.dumps({"items": [{"code": "1"}], "next": None}).encode()

    def do_GET(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        if not self.server.plan(self.server.asked, self):  # type: ignore[attr-defined]
            self.answer(200, self.BODY)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


def refuse(status: int, code: str, wait: str = "0", times: int = 2) -> Callable[[int, Handler], bool]:
    def plan(asked: int, handler: Handler) -> bool:
        if asked <= times:
            handler.answer(status, json.dumps({"code": code}).encode(), Retry_After=wait)
        return asked <= times

    return plan


def hang_up(asked: int, handler: Handler) -> bool:
    handler.close_connection = True
    return True


def test_what_passes_is_waited_for_and_what_may_have_counted_is_not_asked_again() -> None:
    from govopen_client import Client, ConnectionLost, QuotaExhausted, RateLimited, Unavailable

    key = "gok_" + "0" * 12 + "_" + "0" * 32

    def asked(plan: Callable[[int, Any], bool], key: str | None = key, **more: Any) -> tuple[int, type | None]:
        front = Front(plan)
        try:
            with Client(front.url, key=key, **more) as client:
                assert list(client.dataset("x").rows()) == [{"code": "1"}]
        except Exception as fault:
            return front.asked, type(fault)
        finally:
            front.shutdown()
            front.server_close()
        return front.asked, None

    assert asked(refuse(429, "rate_limited")) == (3, None)
    assert asked(refuse(503, "busy")) == (3, None)
    assert asked(refuse(429, "rate_limited", "61")) == (1, RateLimited)
    assert asked(refuse(429, "rate_limited", times=9), tries=2) == (2, RateLimited)
    assert asked(refuse(429, "quota_exhausted")) == (1, QuotaExhausted)
    assert asked(refuse(503, "unavailable")) == (1, Unavailable)
    assert asked(refuse(503, "unavailable"), key=None) == (3, None)
    assert asked(hang_up) == (1, ConnectionLost)
    assert asked(hang_up, key=None, tries=2) == (2, ConnectionLost)


def test_a_file_that_breaks_off_is_gone_on_with_and_compared(tmp_path: Path) -> None:
    import base64
    import hashlib

    from govopen_client import ChecksumMismatch, Client, IncompleteDownload

    content = os.urandom(300_000)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    ranges: list[str | None] = []

    def serve(told: str, etag: str, breaks: int) -> Callable[[int, Handler], bool]:
        def plan(asked: int, handler: Handler) -> bool:
            given = handler.headers.get("Range")
            ranges.append(given)
            start = int(given[6:-1]) if given and handler.headers["If-Range"] == etag else 0
            handler.send_response(206 if start else 200)
            headers = {"Content-Length": str(len(content) - start), "ETag": etag, "Repr-Digest": f"sha-256=:{told}:"}
            if etag.startswith('"'):
                headers["Accept-Ranges"] = "bytes"
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content[start : start + 100_000] if asked <= breaks else content[start:])
            handler.close_connection = True
            return True

        return plan

    def fetch(told: str, etag: str, breaks: int, **more: Any) -> Any:
        front = Front(serve(told, etag, breaks))
        try:
            with Client(front.url, **more) as client:
                return client.dataset("x").download(tmp_path / "file.csv")
        finally:
            front.shutdown()
            front.server_close()

    got = fetch(digest, '"one"', 2)
    assert (got.path.read_bytes(), got.verified, got.size) == (content, True, len(content))
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]
    got.path.unlink()
    with pytest.raises(IncompleteDownload):
        fetch(digest, '"one"', 1, tries=1)
    ranges.clear()
    assert fetch(digest, '"one"', 0).path.read_bytes() == content
    assert ranges == ["bytes=100000-"], "the next run of the program goes on"
    got.path.unlink()
    with pytest.raises(IncompleteDownload):
        fetch(digest, 'W/"weak"', 1)
    with pytest.raises(ChecksumMismatch):
        fetch(base64.b64encode(bytes(32)).decode(), '"two"', 0)
    assert list(tmp_path.iterdir()) == []


def test_the_package_installs_by_itself_and_needs_nothing_of_the_service(tmp_path: Path) -> None:
    program = (
        "import sys, importlib.abc\n"
        "class Refuse(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.split('.')[0] in ('ops', 'billing', 'licensing', 'authz', 'ckan', 'pyarrow', 'asyncpg'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import govopen_client; print(govopen_client.__version__)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "ops" / "sdk")},
    )
    assert done.stdout.strip() == "0.1.0", done.stderr
    from setuptools import find_packages

    swallowed = [one for one in find_packages(str(ROOT), include=["ops*"]) if "sdk" in one or "govopen_client" in one]
    assert swallowed == [], "the service's wheel does not carry the client"


def test_faults_of_answers_that_are_no_problems() -> None:
    from govopen_client import Unavailable
    from govopen_client.faults import fault_of

    fault = fault_of(httpx.Response(502, text="<html>"))
    assert isinstance(fault, Unavailable)
    assert fault.code == "http_502"
