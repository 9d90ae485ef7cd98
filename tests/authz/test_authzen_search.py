"""AuthZEN's searches over data and organisations: what they find is what an evaluation permits, and no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import pytest

from authz import SYSTEM, Call, GrantFacts, OpenAttribute, Role, Runtime, objects
from authz.testing import NOW, a_grant, a_register, an_open_table

GRANTS = {
    one.id: one for one in (
        a_grant(), a_grant(id="grt_2", state="revoked"), a_grant(id="grt_3", party_id="pty_other"),
        a_grant(id="grt_4", purpose="marketing"),
    )
}
KEYS = {"key_1": "grt_1", "key_2": "grt_2", "key_3": "grt_3"}


async def grant_facts(tx: asyncpg.Connection, grant_id: str) -> GrantFacts | None:
    return GRANTS.get(grant_id)


async def grant_of_key(tx: asyncpg.Connection, key_id: str, at: datetime) -> str | None:
    return KEYS.get(key_id)


def _of(grant: GrantFacts, resource_id: str | None, party_ids: Iterable[str] | None) -> bool:
    return resource_id in (None, grant.resource_id) and (party_ids is None or grant.party_id in set(party_ids))


async def grants_found(
    tx: asyncpg.Connection, *, resource_id: str | None, party_ids: Iterable[str] | None, after: str, limit: int
) -> list[GrantFacts]:
    return [one for name, one in GRANTS.items() if _of(one, resource_id, party_ids) and name > after][:limit]


async def keys_found(
    tx: asyncpg.Connection, *, resource_id: str | None, party_ids: Iterable[str] | None, after: str, limit: int
) -> list[str]:
    return [key for key, of in KEYS.items() if _of(GRANTS[of], resource_id, party_ids) and key > after][:limit]


Search = Callable[..., Awaitable[list[str]]]


@pytest.fixture
async def search(
    client: httpx.AsyncClient, runtime: Runtime, token_for: Any, give_role: Callable[..., Awaitable[None]]
) -> Search:
    async with runtime.transaction() as tx:
        for data in (
            a_register(), an_open_table(), a_register(resource_id="res-another"),
            a_register(resource_id="res-closed", open_attribute=OpenAttribute.CLOSED),
        ):
            await objects.put(tx, runtime.audit, Call(SYSTEM, NOW, "req-1"), data)
    runtime.extras.update({
        "grant_facts": grant_facts, "grant_of_key": grant_of_key, "grants_found": grants_found,
        "keys_found": keys_found,
    })
    await give_role("ban", Role.ENTERPRISE_MEMBER, "pty_bank")
    await give_role("oli", Role.ENTERPRISE_MEMBER, "pty_other")
    await give_role("audit", Role.AUDITOR, "platform")

    async def send(
        who: str, kind: str, *, subject: str = "user", action: str = "read",
        resource: str = "data_object:res-register", orgs: Any = None, **context: Any,
    ) -> list[str]:
        subject_type, _, subject_id = subject.partition(":")
        resource_type, _, resource_id = resource.partition(":")
        body = {
            "subject": {"type": subject_type, "id": subject_id or "any"}, "action": {"name": action},
            "resource": {"type": resource_type, "id": resource_id or "any"}, "context": context,
        }
        answer = await client.post(f"/access/v1/search/{kind}", json=body, headers=token_for(who, orgs=orgs))
        assert answer.status_code == 200, answer.text
        return [one.get("id") or one["name"] for one in answer.json()["results"]]

    return send


async def test_an_auditor_sees_who_can_see_this(search: Search) -> None:
    assert await search("audit", "subject", subject="grant") == ["grt_1", "grt_3", "grt_4"]
    assert await search("audit", "subject", subject="key") == ["key_1", "key_3"]
    assert await search("audit", "subject") == ["user-ban", "user-oli"]
    assert await search("audit", "subject", subject="grant", purpose="marketing") == ["grt_4"]
    assert await search("audit", "subject", subject="grant", time="2031-01-01T00:00:00Z") == []
    assert await search("audit", "subject", subject="robot") == []


async def test_a_department_sees_who_can_see_its_data_and_no_others(search: Search) -> None:
    assert await search("owner", "subject", subject="grant", orgs=[("org-market", "admin")]) == [
        "grt_1", "grt_3", "grt_4",
    ]
    assert await search("owner", "subject", subject="grant", orgs=[("org-civil", "admin")]) == []


async def test_a_party_finds_its_own_grants_alone(search: Search) -> None:
    assert await search("ban", "subject", subject="grant") == ["grt_1", "grt_4"]
    assert await search("ban", "subject", subject="key") == ["key_1"]
    assert await search("ban", "subject") == ["user-ban"]
    assert await search("stranger", "subject", subject="grant") == []
    assert await search("stranger", "subject") == []


async def test_resources_are_open_data_and_what_is_granted(search: Search) -> None:
    mine = ["res-register", "res-villages"]
    assert await search("ban", "resource", subject="user:user-ban", resource="data_object") == mine
    assert await search("ban", "resource", subject="grant:grt_1", resource="data_object") == mine
    assert await search("audit", "resource", subject="key:key_2", resource="data_object") == ["res-villages"]
    assert await search("ban", "resource", subject="grant:grt_3", resource="data_object") == []
    assert await search("stranger", "resource", subject="user:user-stranger", resource="data_object") == [
        "res-villages",
    ]
    assert await search("stranger", "resource", subject="user:user-ban", resource="data_object") == []


async def test_actions_that_may_be_done(search: Search) -> None:
    assert await search("ban", "action", subject="grant:grt_1") == ["aggregate", "read"]
    assert await search("audit", "action", subject="grant:grt_2") == []
    assert await search("stranger", "action", subject="user:user-stranger") == []


async def test_matters_of_an_organisation(search: Search) -> None:
    bank = "organisation:pty_bank"
    actions = await search("ban", "action", subject="user:user-ban", resource=bank)
    assert "application:draft" in actions
    assert "party:verify" not in actions
    people = await search("audit", "subject", action="application:draft", resource=bank)
    assert people == ["user-ban"]
    found = await search(
        "ban", "resource", subject="user:user-ban", action="application:draft", resource="organisation"
    )
    assert found == ["pty_bank"]
    assert await search("ban", "action", subject="user:user-oli", resource=bank) == []
