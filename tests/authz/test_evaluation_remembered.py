"""Evaluations from remembered facts: the answers of the batch, which remembers nothing, and every change at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import pytest

from authz import DataObject, Role, Runtime, new_id
from billing.usage import Ask, Quota, Served
from ops import testing
from ops.delivery import close_delivery
from ops.delivery.parts import delivery_of
from ops.testing import Granted

FIELDS = [
    {"name": "name", "title": "企业名称", "type": "text", "mask": "partial:name"},
    {"name": "uscc", "title": "统一社会信用代码", "type": "text"},
]
Question = Callable[..., Awaitable[tuple[Any, Any]]]


@pytest.fixture
async def served(runtime: Runtime, pool: asyncpg.Pool) -> AsyncIterator[Runtime]:
    """The runtime with what delivery opens, closed at the end."""
    runtime.extras.clear()
    from ops.app import with_sources

    yield with_sources(runtime)
    await close_delivery(runtime)


@pytest.fixture
async def asked(
    client: httpx.AsyncClient, served: Runtime, token_for: Any, give_role: Callable[..., Awaitable[None]]
) -> Question:
    """Asks once, and once in a batch; both must say the same."""
    await give_role("audit", Role.AUDITOR, "platform")

    async def ask(grant_id: str, resource_id: str, who: str = "audit", **context: Any) -> tuple[Any, Any]:
        question = {
            "subject": {"type": "grant", "id": grant_id}, "action": {"name": "read"},
            "resource": {"type": "data_object", "id": resource_id}, "context": context,
        }
        one = await client.post("/access/v1/evaluation", json=question, headers=token_for(who))
        many = await client.post(
            "/access/v1/evaluations", json={"evaluations": [question, question]}, headers=token_for(who)
        )
        if one.status_code != 200:
            assert many.json()["evaluations"][0]["context"]["error"]["status"] == one.status_code
            return one.status_code, one.json()["code"]
        assert [one.json()] * 2 == many.json()["evaluations"]
        found = one.json()
        return found["decision"], [reason["code"] for reason in found["context"].get("reasons", ())]

    return ask


async def published(runtime: Runtime) -> DataObject:
    return await testing.publish(runtime, testing.data_object(new_id("res"), FIELDS))


async def granted(runtime: Runtime, data: DataObject, **more: Any) -> Granted:
    return await testing.issue_grant(runtime, data, ["name", "uscc"], party_id=new_id("pty"), **more)


async def test_every_change_holds_from_the_next_question(asked: Question, served: Runtime) -> None:
    data = await published(served)
    grant = await granted(served, data)
    for _ in range(2):
        assert await asked(grant.id, data.resource_id) == (True, [])
    await testing.set_grant_state(served, grant.id, "suspended")
    assert await asked(grant.id, data.resource_id) == (False, ["grant_suspended"])
    await testing.set_grant_state(served, grant.id, "active")
    assert await asked(grant.id, data.resource_id) == (True, [])
    party = "UPDATE licensing.party SET {} WHERE id = (SELECT party_id FROM licensing.access_grant WHERE id = $1)"
    await served.pool.execute(party.format("state = 'suspended'"), grant.id)
    assert await asked(grant.id, data.resource_id) == (False, ["grant_suspended"])
    await served.pool.execute(party.format("state = 'verified', affiliates = '{91350100M000100Y43}'"), grant.id)
    assert await asked(grant.id, data.resource_id) == (True, [])
    await testing.publish(served, replace(data, operator_uscc="91350100M000100Y43"))
    assert await asked(grant.id, data.resource_id) == (False, ["operator_conflict"])
    await testing.publish(served, replace(data, fields=data.fields[:1]))
    assert await asked(grant.id, data.resource_id, fields=["uscc"]) == (False, ["fields_unknown"])
    await served.pool.execute(
        "UPDATE authz.data_object SET deleted_at = now() WHERE resource_id = $1", data.resource_id
    )
    assert await asked(grant.id, data.resource_id) == (False, ["object_unknown"])


async def test_who_may_ask_is_looked_at_each_time(asked: Question, served: Runtime, give_role: Any) -> None:
    data = await published(served)
    grant = await granted(served, data)
    assert await asked(grant.id, data.resource_id, who="other") == (403, "may_not_ask")
    await give_role("other", Role.AUDITOR, "platform")
    assert await asked(grant.id, data.resource_id, who="other") == (True, [])
    await served.pool.execute("UPDATE authz.role_assignment SET ended_at = now() WHERE user_name = 'other'")
    assert await asked(grant.id, data.resource_id, who="other") == (403, "may_not_ask")


async def test_unknown_ids_and_used_up_quotas(asked: Question, served: Runtime) -> None:
    data = await published(served)
    quota = {"rows_month": 10}
    grant = await granted(served, data, quota=quota)
    assert await asked("gra_nothing", data.resource_id) == (False, ["subject_unknown"])
    assert await asked(grant.id, "nothing") == (False, ["object_unknown"])
    assert await asked(grant.id, data.resource_id) == (True, [])
    parts = await delivery_of(served)
    await parts.recorder.record(
        Ask(grant_id=grant.id, resource_id=data.resource_id, purpose="x", columns=("name",), rows=10,
            at=served.clock.now(), quota=Quota(rows_month=10)), Served(10, 10),
    )
    assert await asked(grant.id, data.resource_id) == (False, ["quota_exhausted"])


@pytest.mark.parametrize(("headers", "content", "status"), [
    ({}, b"{}", 401), ({"Authorization": "Bearer "}, b"{}", 401), (None, b"[]", 400), (None, b"{", 400),
    (None, b"{}", 400),
])
async def test_refusals_are_those_of_the_standard(
    client: httpx.AsyncClient, served: Runtime, token_for: Any, headers: dict[str, str] | None, content: bytes,
    status: int,
) -> None:
    sent = {"Content-Type": "application/json", **(token_for("audit") if headers is None else headers)}
    answer = await client.post("/access/v1/evaluation", content=content, headers=sent)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (await client.get("/access/v1/evaluation")).status_code == 405
