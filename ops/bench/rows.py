"""``rows``: pages of a restricted table under a grant, beside CKAN's ``datastore_search`` of an open one.

Both serve the same rows to the same number of callers (``CALLERS`` connections, each of which asks for the next page
when it has the last one) from the same number of worker processes, each at its own port. Throughput and percentiles
are of the same rounds, at that load. The client is the same for both and costs 0.05 ms a page of the same cores.
Ours checks the key, decides, masks, filters, counts against the quota and records durably; CKAN is as it comes, with
none of our plugins, but for one function of its DataStore that failed under threads (``ckan_wsgi``).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
import statistics
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import httpx

from authz import DataObject, Runtime, Settings, new_id
from billing import usage
from ops import testing
from ops.bench.framework import Figure, Say, register
from ops.bench.load import Result, load, request
from ops.delivery import close_delivery
from ops.demo.clients import Person
from ops.runtime import open_runtime
from ops.stack import Stack
from ops.stack.parts import CKAN_WORKERS, SYSADMIN
from ops.stack.postgres import SUPERUSER, url
from ops.stack.testing import running_stack

ROUNDS = 5
ROUND_S = 4.0
CALLERS = 16
GRANTS = 8
ROWS = 20_000
PAGE = 100
PAGES = 120
"""Pages asked for in turn, from the table's beginning: CKAN finds a page by counting off all rows before it."""

FIELDS = [
    {"name": "name", "title": "企业名称", "type": "text", "mask": "partial:name"},
    {"name": "uscc", "title": "统一社会信用代码", "type": "text"},
    {"name": "region_code", "title": "区划代码", "type": "text"},
    {"name": "address", "title": "住所", "type": "text"},
    {"name": "capital", "title": "注册资本", "type": "numeric", "mask": "generalise_number:100"},
    {"name": "founded_on", "title": "成立日期", "type": "date"},
    {"name": "status", "title": "登记状态", "type": "text"},
    {"name": "phone", "title": "电话", "type": "text", "mask": "partial:phone"},
]
NAMES = [str(one["name"]) for one in FIELDS]
FROM = {"field": "region_code", "op": "prefix", "value": "3205"}


def made_rows() -> Iterator[tuple[Any, ...]]:
    seeded = random.Random(5)
    for number in range(ROWS):
        yield (
            f"华恒{number}科技有限公司", f"91{number:016d}", seeded.choice(("320505", "320506", "320581", "320582")),
            f"江苏省苏州市科技路{number}号", Decimal(number * 37) / 8,
            dt.date(2000 + number % 20, 1 + number % 12, 1 + number % 28), "存续", f"12{number:09d}",
        )


async def load_rows(runtime: Runtime) -> DataObject:
    """The rows as a department loads them: in a file."""
    return await testing.load_file(runtime, testing.data_object(new_id("res"), FIELDS), made_rows())


@dataclass(frozen=True)
class Ready:
    """Both services with their data, and the requests to send."""

    ours: list[bytes]
    ours_port: int
    peer: list[bytes]
    peer_port: int
    grants: list[str]


@register("rows", "100 masked rows of a restricted table per call, against CKAN's datastore_search")
def measure(say: Say) -> list[Figure]:
    """Medians of five rounds in which both take turns, after a round that counts for nothing."""
    workers = int(os.environ.get("GOVOPEN_SERVICE_WORKERS") or CKAN_WORKERS)
    with running_stack(
        env={"GOVOPEN_SERVICE_WORKERS": str(workers), "GOVOPEN_RATE_KEY": "10000000"},
        ckan_settings={"ckan.plugins": "datastore"},
    ) as stack:
        say(f"loading {ROWS:,} rows twice; {workers} workers of the service, {CKAN_WORKERS} of CKAN")
        ready = asyncio.run(_prepare(stack))
        rounds: list[tuple[Result, Result]] = []
        answered = peer_failures = 0
        for number in range(ROUNDS + 1):
            ours = load(ready.ours_port, ready.ours, callers=CALLERS, seconds=ROUND_S)
            peer = load(ready.peer_port, ready.peer, callers=CALLERS, seconds=ROUND_S)
            if ours.failures:
                raise RuntimeError(ours.failures[0].decode("utf-8", "replace")[:2000])
            if peer.failures:  # not counted as answers, and said
                say(f"CKAN failed {len(peer.failures)} times or more, first: {peer.failures[0][:60]!r}")
            peer_failures += len(peer.failures)
            say(
                f"{ours.rps:,.0f}/s, p50 {ours.percentile_ms(0.5):.1f} ms, p99 {ours.percentile_ms(0.99):.1f} ms;"
                f" CKAN {peer.rps:,.0f}/s, p99 {peer.percentile_ms(0.99):.1f} ms"
            )
            if number:
                rounds.append((ours, peer))
            answered += len(ours.times)
        unrecorded = asyncio.run(_unrecorded(stack, ready, answered + len(ready.ours)))
    rps = statistics.median(ours.rps for ours, _ in rounds)
    p50, p99 = (statistics.median(ours.percentile_ms(share) for ours, _ in rounds) for share in (0.5, 0.99))
    peer_rps = statistics.median(peer.rps for _, peer in rounds)
    return [
        Figure("rps", round(rps, 1), "1/s", "higher", 15, "CKAN datastore_search", round(peer_rps, 1)),
        Figure("p99_ms", round(p99, 2), "ms", "lower", 25),
        Figure("p50_ms", round(p50, 2), "ms", "lower"),
        Figure(
            "peer_p99_ms", round(statistics.median(peer.percentile_ms(0.99) for _, peer in rounds), 2), "ms", "lower"
        ),
        Figure("peer_failures", peer_failures, "answers", "lower", 0),
        Figure("unrecorded_pages", unrecorded, "pages", "lower", 0),
    ]


async def _prepare(stack: Stack) -> Ready:
    peer = await asyncio.to_thread(_peer_resource, stack)
    settings = service_settings(stack)
    port = stack.ports["service"]
    ours: list[bytes] = []
    async with open_runtime(settings) as runtime:
        data = await load_rows(runtime)
        granted = [
            await testing.issue_grant(
                runtime, data, NAMES, row_filter=[FROM], quota={"rows_month": 10_000_000_000}, party_id=f"pty_{number}"
            )
            for number in range(GRANTS)
        ]
        await close_delivery(runtime)
    address = f"/data/v1/{data.resource_id}/rows?limit={PAGE}"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for one in granted:
            path = address
            for _ in range(PAGES):
                ours.append(request(port, path, Authorization=one.headers["Authorization"]))
                answer = (await client.get(path, headers=one.headers)).raise_for_status().json()
                if len(answer["items"]) != PAGE or set(answer["items"][0]) != set(NAMES):
                    raise RuntimeError("a page is not what was asked for")
                path = f"{address}&cursor={answer['next']}"
    random.Random(3).shuffle(ours)
    ckan = stack.ports["ckan"]
    asked = [
        request(ckan, "/api/3/action/datastore_search?" + urllib.parse.urlencode(
            {"resource_id": peer, "limit": PAGE, "offset": PAGE * number}
        ))
        for number in range(PAGES)
    ]
    random.Random(3).shuffle(asked)
    return Ready(ours, port, asked, ckan, [one.id for one in granted])


def service_settings(stack: Stack) -> Settings:
    """How a process beside the stack's reaches the same stores."""
    home, ports = stack.home, stack.ports
    return Settings(
        database_url=url(home, ports["postgres"], "govopen", "govopen"), datastore_url=None,
        redis_url=f"redis://:{home.secret('redis')}@127.0.0.1:{ports['redis']}/1", site_url=stack.site_url,
        ckan_url=f"http://127.0.0.1:{ports['ckan']}", token_public_key_file=str(home.token_public_key),
        signing_key_file=str(home.signing_key),
    )


def _peer_resource(stack: Stack) -> str:
    """The same rows in a table of CKAN's DataStore, made and filled as an operator would."""
    said = stack.ckan("user", "token", "add", SYSADMIN, "bench", "-q").stdout
    admin = Person(stack.site_url, SYSADMIN, said.strip().splitlines()[-1].strip())
    admin.action("organization_create", name="bench")
    dataset = admin.action("package_create", name="enterprises", owner_org="bench")
    made = admin.action(
        "datastore_create", resource={"package_id": dataset["id"], "name": "rows"}, records=[],
        fields=[{"id": one["name"], "type": one["type"]} for one in FIELDS],
    )
    resource = str(made["resource_id"])
    asyncio.run(_fill(stack, resource))
    return resource


async def _fill(stack: Stack, resource: str) -> None:
    connection = await asyncpg.connect(url(stack.home, stack.ports["postgres"], SUPERUSER, "datastore"))
    try:
        await connection.copy_records_to_table(resource, records=made_rows(), columns=NAMES)
        await connection.execute(f'VACUUM ANALYZE "{resource}"')
    finally:
        await connection.close()


async def _unrecorded(stack: Stack, ready: Ready, answered: int) -> int:
    """Pages that were answered in full and are not among the recorded ones: there must be none."""
    async with open_runtime(service_settings(stack)) as runtime:
        totals = [
            await usage.totals(runtime.pool, one, dt.date(2020, 1, 1), dt.date(2100, 1, 1))  # type: ignore[arg-type]
            for one in ready.grants
        ]
    return max(0, answered - sum(one.calls for one in totals))
