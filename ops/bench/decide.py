"""``decide``: decisions on grants in process and by AuthZEN over HTTP, beside pycasbin and an OPA server."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import casbin
import httpx
import orjson
from casbin.model import Model
from casbin.persist.adapters.string_adapter import StringAdapter

from authz import DecisionRequest, GrantFacts, Role, decide, new_id
from authz.pdp.decide import decide as decide_by
from authz.pdp.opa import OpaEngine
from authz.testing import a_grant, a_register
from ops import testing
from ops.bench.framework import Figure, Say, register
from ops.bench.load import load
from ops.bench.rows import service_settings
from ops.delivery import close_delivery
from ops.demo.clients import Person
from ops.runtime import open_runtime
from ops.stack import Stack
from ops.stack.parts import SYSADMIN
from ops.stack.testing import running_stack

GRANTS = 100_000
ROUNDS = 5
A_ROUND = 4_000
CASBIN_A_ROUND = 8
OPA_A_ROUND = 500
HTTP_ROUND_S = 4.0
CALLERS = 16
BATCH = 50
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
FIELDS = [
    {"name": "name", "title": "企业名称", "type": "text", "mask": "partial:name"},
    {"name": "uscc", "title": "统一社会信用代码", "type": "text"},
]
CASBIN = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""


@register("decide", "decisions on 100,000 grants in process, and by AuthZEN over HTTP")
def measure(say: Say) -> list[Figure]:
    """Medians of five rounds; permits and denials by halves. Peers that cannot be had are named and left out."""
    requests = _requests()
    say(f"{GRANTS:,} grants; {A_ROUND:,} decisions a round")
    own = [_timed(lambda one: decide(one), seeded, requests, A_ROUND) for seeded in range(ROUNDS + 1)][1:]
    p50 = statistics.median(statistics.median(times) for times in own)
    p99 = statistics.median(sorted(times)[int(len(times) * 0.99)] for times in own)
    say(f"p50 {p50:.1f} µs, p99 {p99:.1f} µs")
    say("pycasbin with one policy line for each grant")
    judge = _casbin(requests)
    peer = [_timed(judge, seeded, requests, CASBIN_A_ROUND) for seeded in range(ROUNDS)]
    casbin_us = statistics.median(statistics.median(times) for times in peer)
    figures = [
        Figure("p50_us", round(p50, 1), "µs", "lower", 50),
        Figure("p99_us", round(p99, 1), "µs", "lower"),
        Figure("ratio_to_pycasbin", round(p50, 1), "µs", "lower", 1, "pycasbin enforce", round(casbin_us, 1)),
    ]
    opa = _opa(requests, say)
    if opa is not None:
        figures.append(Figure("ratio_to_opa", round(p50, 1), "µs", "lower", 1, "OPA server", round(opa, 1)))
    return [*figures, *_http(say)]


def _requests() -> list[DecisionRequest]:
    """One question for each grant; every second grant is of another purpose than asked for."""
    data = a_register()
    return [
        DecisionRequest(
            "key", f"key_{number}", data, NOW, purpose="lending_risk_control", fields=("name", "uscc"),
            grant=_grant(number),
        )
        for number in range(GRANTS)
    ]


def _grant(number: int) -> GrantFacts:
    return replace(
        a_grant(), id=f"grt_{number}", party_id=f"pty_{number % 997}",
        purpose="lending_risk_control" if number % 2 else "marketing",
        valid_from=NOW - timedelta(days=1 + number % 300), valid_until=NOW + timedelta(days=1 + number % 300),
    )


def _timed(
    ask: Callable[[DecisionRequest], object], seed: int, requests: list[DecisionRequest], count: int
) -> list[float]:
    """Microseconds of each of so many questions, chosen at random."""
    chosen = random.Random(seed).sample(requests, count)
    times = []
    for one in chosen:
        begun = time.perf_counter()
        ask(one)
        times.append((time.perf_counter() - begun) * 1e6)
    return times


def _casbin(requests: list[DecisionRequest]) -> Callable[[DecisionRequest], object]:
    """pycasbin holding the grants as policy lines, loaded by an adapter, for adding them one by one is quadratic."""
    model = Model()
    model.load_model_from_text(CASBIN)
    lines = (
        f"p, {one.grant.id}, {one.object.resource_id}, read"
        for one in requests if one.grant is not None and one.grant.purpose == "lending_risk_control"
    )
    judge = casbin.Enforcer(model, StringAdapter("\n".join(lines)), False)
    return lambda one: judge.enforce(one.grant.id if one.grant else "", one.object.resource_id, "read")


def _opa(requests: list[DecisionRequest], say: Say) -> float | None:
    """The same decisions asked of an OPA server, in microseconds; None where there is no ``opa``."""
    binary = os.environ.get("GOVOPEN_TEST_OPA") or shutil.which("opa")
    if binary is None:
        say("no OPA: put opa on the path or name it in GOVOPEN_TEST_OPA")
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [binary, "run", "--server", "--addr", f"127.0.0.1:{port}", "--log-level", "error"], stdout=subprocess.DEVNULL,
    )
    try:
        _await(f"http://127.0.0.1:{port}/health")
        engine = OpaEngine(f"http://127.0.0.1:{port}", timeout_s=10)
        engine.push()
        rounds = [
            _timed(lambda one: decide_by(one, engine), seeded, requests, OPA_A_ROUND) for seeded in range(ROUNDS + 1)
        ]
        return statistics.median(statistics.median(times) for times in rounds[1:])
    finally:
        server.terminate()
        server.wait(10)


def _await(address: str) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"{address} does not answer")


def _http(say: Say) -> list[Figure]:
    """Evaluations by an auditor's token, single and in batches, straight at the service."""
    with running_stack(env={"GOVOPEN_RATE_KEY": "10000000"}) as stack:
        token = stack.ckan("user", "token", "add", SYSADMIN, "bench", "-q").stdout.strip().splitlines()[-1].strip()
        me = Person(stack.site_url, SYSADMIN, token).get("/v1/me")
        grants, resource_id = asyncio.run(_prepare(stack, str(me["user_id"])))
        port = stack.ports["service"]
        single = [_post(port, "evaluation", _question(one, resource_id), token) for one in grants]
        many = [_post(port, "evaluations", {"evaluations": [
            _question(one, resource_id) for one in random.Random(seed).choices(grants, k=BATCH)
        ]}, token) for seed in range(20)]
        rps, decisions = [], []
        for number in range(ROUNDS + 1):
            one = load(port, single, callers=CALLERS, seconds=HTTP_ROUND_S)
            batch = load(port, many, callers=CALLERS, seconds=HTTP_ROUND_S)
            for found in (one, batch):
                if found.failures:
                    raise RuntimeError(found.failures[0].decode("utf-8", "replace")[:2000])
            p99 = one.percentile_ms(0.99)
            say(f"{one.rps:,.0f} evaluations/s, p99 {p99:.1f} ms; in batches {batch.rps * BATCH:,.0f}/s")
            if number:
                rps.append(one.rps)
                decisions.append(batch.rps * BATCH)
    return [
        Figure("http_rps", round(statistics.median(rps), 1), "1/s", "higher", 2000),
        Figure("http_decisions_per_s", round(statistics.median(decisions), 1), "1/s", "higher"),
    ]


async def _prepare(stack: Stack, user_id: str) -> tuple[list[str], str]:
    """A restricted object, grants on it, and the role that may ask about anyone."""
    async with open_runtime(service_settings(stack)) as runtime:
        data = await testing.publish(runtime, testing.data_object(new_id("res"), FIELDS))
        granted = [
            await testing.issue_grant(runtime, data, ["name", "uscc"], party_id=f"pty_{number}")
            for number in range(200)
        ]
        await runtime.pool.execute(
            "INSERT INTO authz.role_assignment (id, user_id, user_name, role, organisation_id, assigned_by,"
            " assigned_at) VALUES ($1, $2, 'bench', $3, 'platform', 'bench', now()) ON CONFLICT DO NOTHING",
            new_id("rol"), user_id, Role.AUDITOR.value,
        )
        await close_delivery(runtime)
    return [one.id for one in granted], data.resource_id


def _question(grant_id: str, resource_id: str) -> dict[str, Any]:
    return {
        "subject": {"type": "grant", "id": grant_id}, "action": {"name": "read"},
        "resource": {"type": "data_object", "id": resource_id}, "context": {"fields": ["name"]},
    }


def _post(port: int, path: str, body: Any, token: str) -> bytes:
    content = orjson.dumps(body)
    lines = [
        f"POST /access/v1/{path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: keep-alive",
        "Content-Type: application/json", f"Authorization: {token}", f"Content-Length: {len(content)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


