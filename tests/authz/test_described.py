"""The interface does what its description says: schemathesis asks every address of decisions and private use.

``GOVOPEN_API_EXAMPLES`` is how often each address is asked; hundreds where somebody waits for them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from authz import Role, Runtime, new_id
from ops import testing
from ops.app import build_app
from ops.delivery import close_delivery

EXAMPLES = int(os.environ.get("GOVOPEN_API_EXAMPLES", "3"))
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]
HEADS = ("/access/", "/.well-known/authzen", "/v1/policies", "/v1/decisions", "/v1/analyses", "/data/v1/{resource_id}/")
TAILS = ("/analysis", "/verify", "/lookup")
DESCRIPTION = build_app().openapi()
OPERATIONS = [
    (method.upper(), path) for path, item in DESCRIPTION["paths"].items() for method in item
    if path.startswith(HEADS) and (not path.startswith("/data/") or path.endswith(TAILS))
]
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
FIELDS = [
    {"name": "name", "title": "企业名称", "type": "text", "mask": "partial:name"},
    {"name": "code", "title": "代码", "type": "text"}, {"name": "capital", "title": "注册资本", "type": "integer"},
]
SQL = {"name": "text", "code": "text", "capital": "bigint"}
USUAL: dict[str, list[dict[str, Any]]] = {
    "/analysis": [{"sql": "SELECT count(*) FROM data"}, {"sql": "SELECT code, avg(capital) FROM data GROUP BY code"}],
    "/verify": [{"checks": [{"match": {"code": "C1"}, "claims": {"capital": 1}}]}],
    "/lookup": [{"key": "code", "values": ["C1", "none"]}, {"key": "name", "values": ["企业1"], "columns": ["code"]}],
    "/explain": [{"subject_type": "grant", "subject_id": "g", "resource_id": "r"}],
}
"""Bodies that mean something, beside those that the description makes."""


@pytest.fixture
async def runtime(runtime: Runtime, pool: asyncpg.Pool) -> AsyncIterator[Runtime]:
    """The service's runtime, with what delivery opened closed at the end."""
    runtime.datastore = pool
    yield runtime
    await close_delivery(runtime)


SEEN: Counter[tuple[str, str, int]] = Counter()
"""How often each operation gave each status; told at the end where many examples were asked for."""
MADE: dict[int, dict[str, Any]] = {}


async def made(runtime: Runtime, give_role: Callable[..., Awaitable[None]]) -> dict[str, Any]:
    """A restricted table, a grant on it, a person with many roles; once for the module's database."""
    rows = [(f"企业{n}", f"C{n % 3}", n) for n in range(60)]
    data = await testing.load_restricted(runtime, testing.data_object(new_id("res"), FIELDS), SQL, rows)
    party = new_id("pty")
    granted = await testing.issue_grant(
        runtime, data, ["name", "code", "capital"], party_id=party, delivery=["api", "analysis", "verify"]
    )
    for role, where in (
        (Role.AUDITOR, "platform"), (Role.SECURITY_ADMIN, "platform"), (Role.AUTHORITY, "platform"),
        (Role.ENTERPRISE_ADMIN, party),
    ):
        await give_role("much", role, where)
    ids = [data.resource_id, granted.id, party, "user-much", "platform", "data_object", "organisation", "read", "user",
           "grant", "release", "data_access/data_access.rego"]
    return {"ids": ids, "key": granted.headers, "resource_id": data.resource_id, "grant_id": granted.id}


@pytest.fixture
async def known(
    runtime: Runtime, token_for: Any, give_role: Callable[..., Awaitable[None]]
) -> dict[str, Any]:
    """Ids that are there, and the headers of who may do much, of who may do nothing, of nobody, of a key."""
    found = MADE.get(id(runtime.pool)) or MADE.setdefault(id(runtime.pool), await made(runtime, give_role))
    much, none = (token_for(name, lifetime_s=110) for name in ("much", "none"))
    return {**found, "people": {"much": much, "none": none, "stranger": {}}}


def mixed(draw: Any, value: Any, ids: list[str]) -> Any:
    """The value with some of its texts replaced by ids that are there, so that not every question ends at once."""
    if isinstance(value, dict):
        return {name: mixed(draw, one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [mixed(draw, one, ids) for one in value[:20]]
    if isinstance(value, str) and draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from(ids))
    return value


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda one: str(one))
@settings(
    max_examples=EXAMPLES, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much,
                           HealthCheck.data_too_large],
)
@given(asking=st.data())
async def test_answers_are_as_described(
    client: httpx.AsyncClient, known: dict[str, Any], method: str, path: str, asking: st.DataObject
) -> None:
    """No fault of ours, a status that is described, a body that fits; malformed input included."""
    draw = asking.draw
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    case = draw(SCHEMA[path][method].as_strategy(generation_mode=draw(st.sampled_from(modes))))
    for name in ("path_parameters", "query", "body"):
        found = getattr(case, name)
        if isinstance(found, dict | list):
            setattr(case, name, mixed(draw, found, known["ids"]))
    if case.path_parameters and "resource_id" in case.path_parameters and draw(st.booleans()):
        case.path_parameters["resource_id"] = known["resource_id"]
    usual = next((bodies for tail, bodies in USUAL.items() if path.endswith(tail)), None)
    if usual and draw(st.booleans()):
        case.body = mixed(draw, draw(st.sampled_from(usual)), [known["resource_id"], known["grant_id"], "C1"])
    headers = known["key"] if path.startswith("/data/") and draw(st.booleans()) else known["people"][
        draw(st.sampled_from(["much", "much", "none", "stranger"]))]
    sent = case.as_transport_kwargs(base_url="http://govopen.test")
    kwargs = {name: sent[name] for name in ("params", "json", "data", "content") if sent.get(name) is not None}
    if isinstance(kwargs.get("data"), bytes | str):
        kwargs["content"] = kwargs.pop("data")
    own = {name: str(value) for name, value in (sent.get("headers") or {}).items() if name.lower() != "user-agent"}
    answer = await client.request(sent["method"], sent["url"], headers={**own, **headers}, **kwargs)
    SEEN[method, path, answer.status_code] += 1
    case.validate_response(schemathesis.Response.from_any(answer), checks=CHECKS)
    assert answer.status_code < 500 or answer.json()["code"] == "unavailable"


def test_what_was_answered_is_told() -> None:
    if "GOVOPEN_API_EXAMPLES" in os.environ:
        for (method, path, status), times in sorted(SEEN.items()):
            print(f"{method} {path}: {status} × {times}")
    assert sum(SEEN.values()) >= len(OPERATIONS)


def test_every_refusal_is_described_as_a_problem() -> None:
    for item in DESCRIPTION["paths"].values():
        for operation in item.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            assert "HTTPValidationError" not in str(operation["responses"].get("422"))
