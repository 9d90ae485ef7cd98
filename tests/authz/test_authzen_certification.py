"""The working group's certification scenario for Authorization API 1.0, with its fixture as a further domain.

Levels Basic, Batch and Search with their Core and Properties parts, and Discovery
(openid/authzen, certification/authorization-api-1_0-scenario.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest

from authz import Role, Runtime
from authz.authzen.domain import EXTRA, Asking, MayNotAsk, no
from authz.authzen.request import EvaluationRequest
from authz.decision import Decision, Effect

PERMIT = Decision(Effect.PERMIT, "fixture")
ROLES = {"alice": None, "bob": "admin"}
RECORDS = {"record-1": "active", "record-2": "archived"}


class Records:
    """The fixture's policy: alice and bob, two records, read, write and delete."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking

    async def fetch(self, wanted: Sequence[EvaluationRequest]) -> None:
        """Everything is here."""

    async def decide(self, wanted: EvaluationRequest) -> Decision:
        if not self.asking.evaluates:
            raise MayNotAsk
        denied = no("fixture", "不允许。", "Not permitted.")
        if wanted.subject_type != "user" or wanted.subject_id not in ROLES or wanted.resource_id not in RECORDS:
            return denied
        archived = wanted.resource_properties.get("status", RECORDS[wanted.resource_id]) == "archived"
        admin = wanted.subject_properties.get("role", ROLES[wanted.subject_id]) == "admin"
        permitted = {
            "read": True,
            "write": admin if archived else wanted.subject_id == "alice",
            "delete": wanted.subject_id == "alice" and wanted.action_properties.get("soft") is True,
        }.get(wanted.action, False)
        return PERMIT if permitted else denied

    async def subjects(self, wanted: EvaluationRequest, after: str, limit: int) -> Sequence[str]:
        return [name for name in ROLES if name > after and wanted.subject_type == "user"][:limit]

    async def resources(self, wanted: EvaluationRequest, after: str, limit: int) -> Sequence[str]:
        return [name for name in RECORDS if name > after][:limit]

    async def actions(self, wanted: EvaluationRequest) -> Sequence[str]:
        return ["delete", "read", "write"]


Post = Callable[[str, Any], Awaitable[httpx.Response]]


@pytest.fixture
async def post(
    client: httpx.AsyncClient, runtime: Runtime, token_for: Any, give_role: Callable[..., Awaitable[None]]
) -> Post:
    runtime.extras[EXTRA] = {"record": Records}
    await give_role("harness", Role.AUDITOR, "platform")

    async def send(address: str, body: Any) -> httpx.Response:
        return await client.post(f"/access/v1/{address}", json=body, headers=token_for("harness"))

    return send


def asked(
    subject: str | None, action: str | None, resource: str | None, *, subject_properties: Any = None,
    resource_properties: Any = None, action_properties: Any = None, **more: Any,
) -> dict[str, Any]:
    """A request as the scenario writes them; None leaves the member's identifier out."""
    found: dict[str, Any] = {
        "subject": {"type": "user"} | ({"id": subject} if subject else {}),
        "resource": {"type": "record"} | ({"id": resource} if resource else {}),
    }
    if action is not None:
        found["action"] = {"name": action}
    for name, properties in (
        ("subject", subject_properties), ("resource", resource_properties), ("action", action_properties),
    ):
        if properties is not None:
            found[name]["properties"] = properties
    return found | more


RULES = {
    "1": (asked("alice", "read", "record-1"), True),
    "2": (asked("alice", "write", "record-1"), True),
    "3": (asked("bob", "read", "record-1"), True),
    "4": (asked("bob", "write", "record-1"), False),
    "5": (asked("alice", "write", "record-2", resource_properties={"status": "archived"}), False),
    "6": (
        asked("bob", "write", "record-2", subject_properties={"role": "admin"},
              resource_properties={"status": "archived"}),
        True,
    ),
    "7": (asked("alice", "delete", "record-1", action_properties={"soft": True}), True),
    "8": (asked("alice", "delete", "record-1", action_properties={"soft": False}), False),
}


@pytest.mark.parametrize("rule", RULES)
async def test_basic_decisions_of_the_fixture(post: Post, rule: str) -> None:
    body, expected = RULES[rule]
    for context in ({}, {"context": {"time": "2025-06-27T18:03:07-07:00", "ip": "192.168.1.1"}}):
        answer = await post("evaluation", body | context)
        assert answer.status_code == 200
        assert answer.json()["decision"] is expected
        again = await post("evaluation", body | context)
        assert again.json() == answer.json(), "the same question has the same answer"


async def test_batch_decides_in_order_with_defaults_and_properties(post: Post) -> None:
    bodies = [body for body, _ in RULES.values()]
    answer = await post("evaluations", {"evaluations": bodies})
    assert [one["decision"] for one in answer.json()["evaluations"]] == [expected for _, expected in RULES.values()]
    inherited = {
        "subject": {"type": "user", "id": "alice"}, "action": {"name": "write"}, "context": {"source": "batch"},
        "evaluations": [
            {"resource": {"type": "record", "id": "record-1"}},
            {"resource": {"type": "record", "id": "record-2", "properties": {"status": "archived"}}},
            {"resource": {"type": "record"}},
        ],
    }
    answer = await post("evaluations", inherited)
    assert [one["decision"] for one in answer.json()["evaluations"]] == [True, False, False]


@pytest.mark.parametrize("evaluations", [{}, {"evaluations": []}])
async def test_batch_without_items_is_a_single_evaluation(post: Post, evaluations: Any) -> None:
    answer = await post("evaluations", asked("alice", "read", "record-1") | evaluations)
    assert answer.json()["decision"] is True


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one.get("id") or one["name"] for one in answer.json()["results"]]


CONTEXTS: list[dict[str, Any]] = [{}, {"context": {"time": "2025-06-27T18:03:07-07:00"}}]


@pytest.mark.parametrize("context", CONTEXTS)
async def test_search_finds_what_the_fixture_permits(post: Post, context: dict[str, Any]) -> None:
    archived = {"resource_properties": {"status": "archived"}}
    admin = {"subject_properties": {"role": "admin"}}
    for sent in (asked(None, "read", "record-1"), asked("alice", "read", "record-1")):
        assert names(await post("search/subject", sent | context)) == ["alice", "bob"]
    assert names(await post("search/subject", asked(None, "write", "record-2", **archived) | context)) == ["bob"]
    for sent in (asked("alice", "read", None), asked("alice", "read", "record-1")):
        assert names(await post("search/resource", sent | context)) == ["record-1", "record-2"]
    assert names(await post("search/resource", asked("bob", "write", None, **admin) | context)) == ["record-2"]
    for sent in (asked("alice", None, "record-1"), asked("alice", "delete", "record-1")):
        assert names(await post("search/action", sent | context)) == ["read", "write"]
    sent = asked("bob", None, "record-2", **admin, **archived)
    assert names(await post("search/action", sent | context)) == ["read", "write"]


@pytest.mark.parametrize(("kind", "body"), [
    ("subject", asked(None, "read", "record-1")), ("resource", asked("alice", "read", None)),
    ("action", asked("alice", None, "record-1")),
])
async def test_search_pages_add_up_to_the_whole(post: Post, kind: str, body: dict[str, Any]) -> None:
    whole = names(await post(f"search/{kind}", body))
    pages, token = [], ""
    while True:
        page = {"limit": 1} | ({"token": token} if token else {})
        answer = await post(f"search/{kind}", body | {"page": page})
        assert answer.json()["page"]["count"] == len(answer.json()["results"]) <= 1
        pages += names(answer)
        token = answer.json()["page"]["next_token"]
        if not token:
            break
        changed = await post(f"search/{kind}", body | {"page": {"limit": 2, "token": token}})
        assert changed.status_code == 400, "a token goes with the request it came from"
    assert pages == whole
    assert len(whole) > 1


@pytest.mark.parametrize(("kind", "body"), [
    ("subject", asked(None, "read", "nothing")), ("resource", asked("nobody", "read", None)),
    ("action", asked("nobody", None, "record-1")),
    ("subject", asked(None, "read", "record-1") | {"subject": {"type": "robot"}}),
    ("resource", asked("alice", "read", None) | {"resource": {"type": "spaceship"}}),
])
async def test_search_for_what_is_not_known_is_empty(post: Post, kind: str, body: dict[str, Any]) -> None:
    answer = await post(f"search/{kind}", body)
    assert names(answer) == []
    assert answer.json()["page"]["next_token"] == ""


@pytest.mark.parametrize(("kind", "lacking"), [
    ("subject", "subject"), ("subject", "action"), ("subject", "resource"), ("resource", "resource"),
    ("resource", "subject"), ("resource", "action"), ("action", "subject"), ("action", "resource"),
])
async def test_search_without_a_required_member_is_400(post: Post, kind: str, lacking: str) -> None:
    body = asked("alice", "read", "record-1")
    body.pop(lacking)
    assert (await post(f"search/{kind}", body)).status_code == 400
    assert (await post(f"search/{kind}", body | {lacking: {"note": 1}})).status_code == 400


@pytest.mark.parametrize("page", [
    [], {"limit": -1}, {"limit": "2"}, {"limit": True}, {"token": 7}, {"token": "made-up"}, {"token": "WyJ4Il0"},
    {"properties": "x"},
])
async def test_search_with_a_wrong_page_is_400(post: Post, page: Any) -> None:
    assert (await post("search/subject", asked(None, "read", "record-1") | {"page": page})).status_code == 400
