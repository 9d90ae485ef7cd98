"""AuthZEN 1.0: evaluation, evaluations with its three semantics, discovery, and who may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import asyncpg
import httpx
import pytest

from authz import SYSTEM, Call, GrantFacts, Role, Runtime, objects
from authz.testing import NOW, a_grant, a_register, an_open_table

GiveRole = Callable[..., Awaitable[None]]
GRANTS = {"grt_1": a_grant(), "grt_revoked": a_grant(id="grt_revoked", state="revoked")}


async def grant_facts(tx: asyncpg.Connection, grant_id: str) -> GrantFacts | None:
    return GRANTS.get(grant_id)


async def grant_of_key(tx: asyncpg.Connection, key_id: str, at: datetime) -> str | None:
    return {"key_1": "grt_1"}.get(key_id)


@pytest.fixture
async def city(runtime: Runtime, give_role: GiveRole) -> Runtime:
    """Two objects, two grants of a bank, a member of the bank, an auditor."""
    async with runtime.transaction() as tx:
        for data in (a_register(), an_open_table()):
            await objects.put(tx, runtime.audit, Call(SYSTEM, NOW, "req-1"), data)
    runtime.extras.update({"grant_facts": grant_facts, "grant_of_key": grant_of_key})
    await give_role("ban", Role.ENTERPRISE_MEMBER, "pty_bank")
    await give_role("audit", Role.AUDITOR, "platform")
    return runtime


def question(subject: str = "grant:grt_1", action: str = "read", resource: str = "res-register", **context: Any) -> Any:
    kind, _, name = subject.partition(":")
    return {
        "subject": {"type": kind, "id": name}, "action": {"name": action},
        "resource": {"type": "data_object", "id": resource}, "context": context,
    }


async def ask(client: httpx.AsyncClient, headers: dict[str, str], **more: Any) -> httpx.Response:
    return await client.post("/access/v1/evaluation", json=question(**more), headers=headers)


async def test_permit_with_obligations(client: httpx.AsyncClient, city: Runtime, token_for: Any) -> None:
    answer = await ask(client, token_for("ban"), purpose="lending_risk_control", fields=["name"])
    assert answer.status_code == 200
    found = answer.json()
    assert found["decision"] is True
    assert found["context"]["obligations"]["masks"] == {"name": "partial:name"}
    assert "salt" not in answer.text
    assert "r_register" not in answer.text


async def test_denial_with_reasons_and_what_to_do(client: httpx.AsyncClient, city: Runtime, token_for: Any) -> None:
    found = (await ask(client, token_for("ban"), fields=["phone"])).json()
    assert found["decision"] is False
    assert found["context"]["reasons"][0]["code"] == "fields_not_granted"
    assert "/apply/res-register?fields=phone" in found["context"]["next"]["en"]
    revoked = (await ask(client, token_for("ban"), subject="grant:grt_revoked")).json()
    assert revoked["context"]["reasons"][0]["code"] == "grant_revoked"


async def test_key_user_and_workflow_subjects(client: httpx.AsyncClient, city: Runtime, token_for: Any) -> None:
    ban = token_for("ban")
    assert (await ask(client, ban, subject="key:key_1")).json()["decision"] is True
    own = question(subject="user:user-ban")
    assert (await client.post("/access/v1/evaluation", json=own, headers=ban)).json()["decision"] is False
    own["subject"]["properties"] = {"grant_id": "grt_1"}
    assert (await client.post("/access/v1/evaluation", json=own, headers=ban)).json()["decision"] is True
    assert (await ask(client, ban, subject="user:user-ban", resource="res-villages")).json()["decision"] is True
    work = {
        "subject": {"type": "user", "id": "user-ban"}, "action": {"name": "grant:view"},
        "resource": {"type": "organisation", "id": "pty_bank"},
    }
    assert (await client.post("/access/v1/evaluation", json=work, headers=ban)).json()["decision"] is True
    work["action"] = {"name": "party:verify"}
    assert (await client.post("/access/v1/evaluation", json=work, headers=ban)).json()["decision"] is False


async def test_strangers_may_not_probe(client: httpx.AsyncClient, city: Runtime, token_for: Any) -> None:
    assert (await ask(client, {})).status_code == 401
    stranger = token_for("stranger")
    for subject in ("grant:grt_1", "grant:none", "key:key_1", "user:user-ban"):
        refused = await ask(client, stranger, subject=subject)
        assert refused.status_code == 403
        assert refused.json()["code"] == "may_not_ask"
    borrowed = question(subject="user:user-stranger")
    borrowed["subject"]["properties"] = {"grant_id": "grt_1"}
    assert (await client.post("/access/v1/evaluation", json=borrowed, headers=stranger)).status_code == 403
    assert (await ask(client, token_for("owner", orgs=[("org-market", "admin")]))).json()["decision"] is True
    assert (await ask(client, token_for("owner", orgs=[("org-civil", "admin")]))).status_code == 403


async def test_evaluators_ask_about_anyone(client: httpx.AsyncClient, city: Runtime, token_for: Any) -> None:
    audit = token_for("audit")
    assert (await ask(client, audit)).json()["decision"] is True
    later = (await ask(client, audit, time="2031-01-01T00:00:00Z")).json()
    assert later["context"]["reasons"][0]["code"] == "grant_expired"
    unmoved = (await ask(client, token_for("ban"), time="2031-01-01T00:00:00Z")).json()
    assert unmoved["decision"] is True, "only evaluators ask about another time"
    other = question(subject="user:user-stranger")
    other["subject"]["properties"] = {"grant_id": "grt_1"}
    found = (await client.post("/access/v1/evaluation", json=other, headers=audit)).json()
    assert found["context"]["reasons"][0]["code"] == "grant_other_party"
    for subject in ("grant:none", "key:none", "robot:x"):
        assert (await ask(client, audit, subject=subject)).json()["decision"] is False
    assert (await ask(client, audit, resource="none")).json()["decision"] is False
    assert (await ask(client, audit, action="write")).json()["decision"] is False


async def test_no_source_of_grants_denies(client: httpx.AsyncClient, city: Runtime, token_for: Any) -> None:
    city.extras.clear()
    assert (await ask(client, token_for("audit"))).json()["decision"] is False
    assert (await ask(client, token_for("audit"), subject="key:key_1")).json()["decision"] is False


# --- batches --------------------------------------------------------------------------------------------------------

def batch(semantic: str | None = None) -> dict[str, Any]:
    """Permit, deny, permit; a bad item last."""
    found: dict[str, Any] = {
        **question(), "evaluations": [
            {}, {"context": {"fields": ["phone"]}}, {"resource": {"type": "data_object", "id": "res-register"}},
            {"resource": {"type": "data_object"}},
        ],
    }
    if semantic:
        found["options"] = {"evaluations_semantic": semantic, "other": 1}
    return found


@pytest.mark.parametrize(("semantic", "expected"), [
    (None, [True, False, True, False]), ("execute_all", [True, False, True, False]),
    ("deny_on_first_deny", [True, False]), ("permit_on_first_permit", [True]),
])
async def test_three_semantics(
    client: httpx.AsyncClient, city: Runtime, token_for: Any, semantic: str | None, expected: list[bool]
) -> None:
    answer = await client.post("/access/v1/evaluations", json=batch(semantic), headers=token_for("ban"))
    assert answer.status_code == 200
    assert [one["decision"] for one in answer.json()["evaluations"]] == expected
    if len(expected) == 4:
        assert answer.json()["evaluations"][3]["context"]["error"]["status"] == 400


async def test_item_keys_replace_the_defaults(client: httpx.AsyncClient, city: Runtime, token_for: Any) -> None:
    sent = {
        **question(purpose="marketing"),
        "evaluations": [{}, {"context": {}}, {"subject": {"type": "grant", "id": "grt_x"}}, 7, None],
    }
    answer = await client.post("/access/v1/evaluations", json=sent, headers=token_for("ban"))
    assert [one["decision"] for one in answer.json()["evaluations"]] == [False, True, False, False, False]


@pytest.mark.parametrize("evaluations", [[], None])
async def test_no_items_is_a_single_evaluation(
    client: httpx.AsyncClient, city: Runtime, token_for: Any, evaluations: Any
) -> None:
    sent = {**question(), "evaluations": evaluations}
    answer = await client.post("/access/v1/evaluations", json=sent, headers=token_for("ban"))
    assert answer.json()["decision"] is True


# --- form -----------------------------------------------------------------------------------------------------------

WRONG: list[Any] = [
    {}, [], "text", 7, None, {**question(), "subject": None}, {**question(), "subject": "ban"},
    {**question(), "subject": {"type": "grant"}}, {**question(), "subject": {"type": 1, "id": "x"}},
    {**question(), "subject": {"type": "grant", "id": ""}}, {**question(), "subject": {"type": "grant", "id": "a\0"}},
    {**question(), "action": {}}, {**question(), "action": {"name": ["read"]}}, {**question(), "resource": []},
    {**question(), "resource": {"type": "data_object", "id": "r", "properties": "x"}},
    {**question(), "context": "now"}, {**question(), "context": {"fields": "name"}},
    {**question(), "context": {"fields": [1]}}, {**question(), "context": {"purpose": 1}},
    {**question(), "context": {"time": "yesterday"}}, {**question(), "context": {"time": "2026-01-01T00:00:00"}},
]


WRONG_BATCHES: list[dict[str, Any]] = [
    {"evaluations": {}}, {"evaluations": "x"}, {"evaluations": [{}], "options": []},
    {"evaluations": [{}], "options": {"evaluations_semantic": "first"}},
    {"evaluations": [{}], "options": {"evaluations_semantic": []}}, {"evaluations": [{}] * 1_001},
]
WRONG_BODIES = [
    (b"", "application/json"), (b"{", "application/json"), (b"\xff", "application/json"), (b"{}", "text/plain"),
    (b"a=b", "application/x-www-form-urlencoded"), (b'{"subject": "\\ud800"}', "application/json"),
]


async def test_malformed_is_400(client: httpx.AsyncClient, city: Runtime, token_for: Any) -> None:
    headers = token_for("ban")
    for address in ("evaluation", "evaluations"):
        for sent in WRONG:
            answer = await client.post(f"/access/v1/{address}", json=sent, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), sent
        for content, kind in WRONG_BODIES:
            answer = await client.post(
                f"/access/v1/{address}", content=content, headers={**headers, "Content-Type": kind}
            )
            assert answer.status_code == 400, content
    for more in WRONG_BATCHES:
        answer = await client.post("/access/v1/evaluations", json={**question(), **more}, headers=headers)
        assert answer.status_code == 400, more


async def test_unknown_members_are_ignored_and_the_request_id_comes_back(
    client: httpx.AsyncClient, city: Runtime, token_for: Any
) -> None:
    sent = {**question(weather="rain"), "extra": {"a": 1}}
    sent["subject"]["nickname"] = "x"
    answer = await client.post(
        "/access/v1/evaluation", json=sent, headers={**token_for("ban"), "X-Request-ID": "bfe9eb29-ab87"}
    )
    assert answer.json()["decision"] is True
    assert answer.headers["X-Request-ID"] == "bfe9eb29-ab87"


async def test_discovery(client: httpx.AsyncClient, city: Runtime) -> None:
    answer = await client.get("/.well-known/authzen-configuration")
    assert answer.json() == {
        "policy_decision_point": "http://govopen.test",
        "access_evaluation_endpoint": "http://govopen.test/access/v1/evaluation",
        "access_evaluations_endpoint": "http://govopen.test/access/v1/evaluations",
        "search_subject_endpoint": "http://govopen.test/access/v1/search/subject",
        "search_resource_endpoint": "http://govopen.test/access/v1/search/resource",
        "search_action_endpoint": "http://govopen.test/access/v1/search/action",
        "access_request_endpoint": "http://govopen.test/access/v1/requests",
        "jwks_uri": "http://govopen.test/v1/keys.json",
        "capabilities": ["urn:openid:authzen:capability:access-request"],
    }
