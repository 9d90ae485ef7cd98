"""``download``: rows a second of whole tables on their way out, beside PostgreSQL's bare COPY and CKAN's own dump.

Everything is measured through the front (Caddy) of a whole stack, as a user has it, with a client that reads and
counts but keeps nothing. The ratios are those of the streaming path: ``Cache-Control: no-cache`` asks for the rows
straight from the table. Files that are ready (``…_file_rows_per_s``) are told apart. ``…_direct_…`` is the same
stream without the front.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
import psutil
import pyarrow.parquet as pq
import uvloop

from ops.bench.framework import Figure, Say, register
from ops.demo.clients import Person
from ops.demo.open_data import DIVISIONS
from ops.stack import Stack
from ops.stack.parts import SYSADMIN
from ops.stack.postgres import SUPERUSER, url
from ops.stack.testing import running_stack

ROUNDS = 7
CKAN_ROUNDS = 5
OTHERS = ("json", "arrow", "xlsx", "gb18030")
FORMATS = ("csv", "jsonl", "json", "parquet", "arrow", "xlsx")
NAMES = ("code", "name", "street_code", "province_code", "city_code", "area_code")
LIVE = {"Cache-Control": "no-cache"}


@dataclass(frozen=True)
class Table:
    """The villages in CKAN's DataStore, published as open data."""

    stack: Stack
    resource: str
    rows: int

    @property
    def datastore(self) -> str:
        return url(self.stack.home, self.stack.ports["postgres"], "datastore_ro", "datastore")

    def front(self, query: str) -> tuple[int, str]:
        return int(self.stack.site_url.rpartition(":")[2]), f"/data/v1/{self.resource}{query}"

    def direct(self, query: str) -> tuple[int, str]:
        return self.stack.ports["service"], f"/data/v1/{self.resource}{query}"


@register("download", "620,573 open rows as CSV, JSONL, Parquet …, against COPY and CKAN's dump")
def measure(say: Say) -> list[Figure]:
    """Medians of seven rounds in which ours and the peers take turns, after one round that counts for nothing."""
    with running_stack() as stack:
        say("loading 620,573 rows")
        return _measure(prepare(stack), say)


def prepare(stack: Stack) -> Table:
    """The villages as an open dataset: made through CKAN, its rows copied into the table CKAN made for them."""
    said = stack.ckan("user", "token", "add", SYSADMIN, "bench", "-q").stdout
    admin = Person(stack.site_url, SYSADMIN, said.strip().splitlines()[-1].strip())
    admin.action(
        "organization_create",
        name="bench",
        title="基准",
        extras=[
            {"key": "uscc", "value": "11320500014148005P"},
        ],
    )
    items = [
        {"name": name, "title": name, "type": "text", "grade": "general-1", "open_attribute": "unconditional"}
        for name in NAMES
    ]
    dataset = admin.action(
        "package_create",
        name="villages",
        title="村级区划",
        notes="基准",
        owner_org="bench",
        license_id="cc-by",
        category="103",
        format="database",
        share_type="unconditional",
        open_attribute="unconditional",
        grade="general-1",
        has_personal_info="false",
        update_cycle="yearly",
        domain="geography",
        items=items,
        region="320500",
        contact_unit="基准",
        contact_phone="0512-12000000",
        duty_basis="基准",
        tags=[{"name": "区划"}],
        resources=[{"name": "村级区划", "format": "CSV", "url": "", "url_type": "datastore", "description": "基准"}],
    )
    resource = str(dataset["resources"][0]["id"])
    admin.action(
        "datastore_create",
        resource_id=resource,
        force=True,
        records=[],
        fields=[{"id": name, "type": "text"} for name in NAMES],
    )
    return Table(stack, resource, asyncio.run(_fill(stack, resource)))


async def _fill(stack: Stack, resource: str) -> int:
    table = pq.read_table(DIVISIONS / "villages.parquet")
    rows = zip(*(table.column(number).to_pylist() for number in range(len(NAMES))), strict=True)
    connection = await asyncpg.connect(url(stack.home, stack.ports["postgres"], SUPERUSER, "datastore"))
    try:
        await connection.execute(f'ALTER TABLE "{resource}" DISABLE TRIGGER zfulltext')
        await connection.copy_records_to_table(resource, records=rows, columns=list(NAMES))
        await connection.execute(f'ALTER TABLE "{resource}" ENABLE TRIGGER zfulltext')
        await connection.execute(f'VACUUM ANALYZE "{resource}"')
    finally:
        await connection.close()
    return int(table.num_rows)


def _measure(table: Table, say: Say) -> list[Figure]:
    service, copy = _service_process(table.stack), BareCopy(table)
    ours: dict[str, Callable[[], Any]] = {
        name: partial(fetch, *table.front(f"?format={name}"), LIVE) for name in FORMATS
    }
    ours |= {
        "csv_direct": partial(fetch, *table.direct("?format=csv"), LIVE),
        "gb18030": partial(fetch, *table.front("?format=csv&encoding=gb18030"), LIVE),
        "copy": copy,
        "ckan": partial(fetch, table.front("")[0], f"/datastore/dump/{table.resource}?format=json"),
    }
    for name, run in ours.items():
        say(f"warm: {name} {_timed(run):.2f} s")
    before = service.memory_info().rss
    seconds, grown = _rounds(ours, service)
    copy.close()
    rate = {name: table.rows / statistics.median(taken) for name, taken in seconds.items()}
    files = _files(table, say)
    return [
        Figure("csv_rows_per_s", rate["csv"], "rows/s", "higher", 0.8, "bare COPY", rate["copy"]),
        Figure("csv_direct_rows_per_s", rate["csv_direct"], "rows/s", "higher", None, "bare COPY", rate["copy"]),
        Figure("jsonl_rows_per_s", rate["jsonl"], "rows/s", "higher", 5, "CKAN dump (JSON)", rate["ckan"]),
        Figure("parquet_rows_per_s", rate["parquet"], "rows/s", "higher", 450_000),
        Figure("rss_growth_mb", max(0, grown - before) / 1e6, "MB", "lower", 64),
        *(
            Figure(f"{name}_rows_per_s", rate[name], "rows/s", "higher")
            for name in ("json", "arrow", "xlsx", "gb18030")
        ),
        *files,
    ]


def _rounds(ours: dict[str, Callable[[], Any]], service: psutil.Process) -> tuple[dict[str, list[float]], int]:
    """Seconds of every round, and the most resident memory the service had meanwhile; CKAN is asked five times."""
    seconds: dict[str, list[float]] = {name: [] for name in ours}
    grown = 0
    for number in range(ROUNDS):
        for name, run in ours.items():
            if name == "ckan" and number >= CKAN_ROUNDS:
                continue
            seconds[name].append(_timed(run))
            grown = max(grown, service.memory_info().rss)
    return seconds, grown


def _files(table: Table, say: Say) -> list[Figure]:
    """The first download, which finds no file and streams while it is made; how long that takes; then the file."""
    port, path = table.front("?format=csv")
    first = _timed(lambda: fetch(port, path))
    begun = time.perf_counter()
    while b"x-govopen-source: file" not in head(port, path).lower():
        time.sleep(0.05)
    made = first + time.perf_counter() - begun
    say(f"the file is there after {made:.2f} s")
    runs = {
        "file": partial(fetch, port, path),
        "file_direct": partial(fetch, *table.direct("?format=csv")),
        "file_zstd": partial(fetch, port, path, {"Accept-Encoding": "zstd"}),
    }
    taken = {name: statistics.median([_timed(run) for _ in range(ROUNDS)]) for name, run in runs.items()}
    return [
        Figure("csv_first_rows_per_s", table.rows / first, "rows/s", "higher"),
        Figure("csv_file_made_s", made, "s", "lower"),
        *(Figure(f"csv_{name}_rows_per_s", table.rows / one, "rows/s", "higher") for name, one in taken.items()),
    ]


def _timed(run: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


class BareCopy:
    """The peer: COPY of the same columns over a connection that is open already, to a client that keeps nothing.

    It is the fastest client at hand: asyncpg on uvloop, as in the service.
    """

    def __init__(self, table: Table) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._connection = self._runner.run(asyncpg.connect(table.datastore))
        shown = ", ".join(f'"{name}"' for name in NAMES)
        self._sql = f'SELECT {shown} FROM "{table.resource}"'

    def __call__(self) -> int:
        return self._runner.run(self._copy())

    async def _copy(self) -> int:
        size = 0

        async def sink(piece: bytes) -> None:
            nonlocal size
            size += len(piece)

        await self._connection.copy_from_query(self._sql, output=sink, format="csv")
        return size

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()


def fetch(port: int, path: str, headers: dict[str, str] | None = None) -> int:
    """Bytes of an answer, read from a socket into one buffer; raises RuntimeError unless it is 200 and whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=300) as opened:
        opened.sendall(_request("GET", port, path, headers))
        buffer = bytearray(1 << 20)
        view, size, first, last = memoryview(buffer), 0, b"", b""
        while count := opened.recv_into(view):
            first = first or bytes(view[:2048])
            last = (last + bytes(view[max(0, count - 8) : count]))[-8:]
            size += count
    if not first.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{path}: {first[:300]!r}")
    if b"transfer-encoding: chunked" in first.lower() and not last.endswith(b"0\r\n\r\n"):
        raise RuntimeError(f"{path}: ended early")
    return size


def head(port: int, path: str) -> bytes:
    """The headers that a GET would have."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as opened:
        opened.sendall(_request("HEAD", port, path, None))
        got = b""
        while piece := opened.recv(65536):
            got += piece
    return got


def _request(method: str, port: int, path: str, headers: dict[str, str] | None) -> bytes:
    shown = {"Host": f"127.0.0.1:{port}", "Connection": "close", "Accept-Encoding": "identity", **(headers or {})}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in shown.items()), "", ""]
    return "\r\n".join(lines).encode()


def _service_process(stack: Stack) -> psutil.Process:
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "ops.app:create_app" in line and str(stack.ports["service"]) in line:
            return process
    raise RuntimeError("the service is not running")
