"""``/v1/roles`` and ``/v1/me``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from authz import SYSTEM, Call, Conflict, Role, Runtime, assign_role

GiveRole = Callable[..., Awaitable[None]]


def assignment(user: str, role: str, organisation: str = "pty_1") -> dict[str, str]:
    return {"user_id": f"user-{user}", "user_name": user, "role": role, "organisation_id": organisation}


async def test_first_security_admin_is_made_by_the_system(runtime: Runtime) -> None:
    call = Call(SYSTEM, runtime.clock.now(), "req-1")
    async with runtime.transaction() as tx:
        made = await assign_role(
            tx, runtime.audit, call, user_id="user-sec", user_name="sec", role=Role.SECURITY_ADMIN,
            organisation_id="platform",
        )
    assert made.assigned_by == "system"
    with pytest.raises(Conflict):
        async with runtime.transaction() as tx:
            await assign_role(
                tx, runtime.audit, call, user_id="user-sec", user_name="sec", role=Role.AUDITOR,
                organisation_id="platform",
            )


async def test_assign_list_end(
    client: httpx.AsyncClient, token_for: Any, give_role: GiveRole, runtime: Runtime
) -> None:
    runtime.extras.pop("parties_of", None)
    await give_role("admin", Role.SECURITY_ADMIN, "platform")
    headers = token_for("admin")
    made = await client.post("/v1/roles", json=assignment("li", "registrar"), headers=headers)
    assert made.status_code == 201
    assert made.json()["role_zh"] == "登记员"
    twice = await client.post("/v1/roles", json=assignment("li", "registrar"), headers=headers)
    assert twice.json()["code"] == "role_already_held"
    me = (await client.get("/v1/me", headers=token_for("li"))).json()
    assert {"role": "registrar", "role_zh": "登记员", "organisation_id": "pty_1"} in me["roles"]
    assert me["actions"]["registration:accept"] == ["*"]
    assert me["parties"] == [{"id": "pty_1"}]
    listed = await client.get("/v1/roles", params={"user_id": "user-li"}, headers=headers)
    assert [one["id"] for one in listed.json()["items"]] == [made.json()["id"]]
    ended = await client.delete(f"/v1/roles/{made.json()['id']}", headers=headers)
    assert ended.json()["ended_by"] == "admin"
    assert (await client.delete(f"/v1/roles/{made.json()['id']}", headers=headers)).status_code == 404
    assert (await client.get("/v1/me", headers=token_for("li"))).json()["roles"] == []


async def test_three_administrations_are_three_people(
    client: httpx.AsyncClient, token_for: Any, give_role: GiveRole
) -> None:
    await give_role("admin", Role.SECURITY_ADMIN, "platform")
    headers = token_for("admin")
    assert (await client.post("/v1/roles", json=assignment("san", "auditor"), headers=headers)).status_code == 201
    for role in ("system_admin", "security_admin"):
        refused = await client.post("/v1/roles", json=assignment("san", role, "elsewhere"), headers=headers)
        assert refused.status_code == 409
        assert refused.json()["code"] == "roles_exclude"
        assert refused.json()["reasons"][0]["code"] == "three_administrations"
    assert (await client.post("/v1/roles", json=assignment("san", "authority"), headers=headers)).status_code == 201


async def test_nobody_gives_themselves_a_role(client: httpx.AsyncClient, token_for: Any, give_role: GiveRole) -> None:
    await give_role("admin", Role.SECURITY_ADMIN, "platform")
    refused = await client.post("/v1/roles", json=assignment("admin", "authority"), headers=token_for("admin"))
    assert refused.status_code == 403
    assert refused.json()["code"] == "separation_of_duties"


async def test_rights(client: httpx.AsyncClient, token_for: Any, give_role: GiveRole) -> None:
    await give_role("boss", Role.ENTERPRISE_ADMIN, "pty_bank")
    boss = token_for("boss")
    sub = await client.post("/v1/roles", json=assignment("clerk", "enterprise_member", "pty_bank"), headers=boss)
    assert sub.status_code == 201
    for wanted in (
        assignment("clerk", "enterprise_member", "pty_other"), assignment("clerk", "authority", "pty_bank")
    ):
        assert (await client.post("/v1/roles", json=wanted, headers=boss)).status_code == 403
    assert (await client.get("/v1/roles", headers=boss)).status_code == 403
    mine = await client.get("/v1/roles", params={"organisation_id": "pty_bank"}, headers=boss)
    assert {one["user_name"] for one in mine.json()["items"]} == {"boss", "clerk"}
    assert (await client.get("/v1/roles")).status_code == 401
    assert (await client.get("/v1/me")).status_code == 401
    stranger = token_for("stranger")
    assert (await client.delete("/v1/roles/rol_none", headers=stranger)).status_code == 403
    assert (await client.delete(f"/v1/roles/{sub.json()['id']}", headers=stranger)).status_code == 403
    assert (await client.delete(f"/v1/roles/{sub.json()['id']}", headers=boss)).status_code == 200


async def test_the_last_administrator_of_an_enterprise_stays(
    client: httpx.AsyncClient, token_for: Any, give_role: GiveRole, runtime: Runtime
) -> None:
    await give_role("one", Role.ENTERPRISE_ADMIN, "pty_last")
    await give_role("two", Role.ENTERPRISE_ADMIN, "pty_last")
    await give_role("guard", Role.SECURITY_ADMIN, "platform")
    ids = [row["id"] for row in await runtime.pool.fetch(
        "SELECT id FROM authz.role_assignment WHERE organisation_id = 'pty_last' ORDER BY user_id")]
    one, two = token_for("one"), token_for("two")
    ended = await asyncio.gather(
        client.delete(f"/v1/roles/{ids[0]}", headers=one), client.delete(f"/v1/roles/{ids[1]}", headers=two),
    )
    assert sorted(answer.status_code for answer in ended) == [200, 409]
    assert {answer.json()["code"] for answer in ended if answer.status_code == 409} == {"last_administrator"}
    left = ids[[answer.status_code for answer in ended].index(409)]
    answer = await client.delete(f"/v1/roles/{left}", headers=token_for("guard"))
    assert answer.status_code == 200


async def test_bad_input(client: httpx.AsyncClient, token_for: Any, give_role: GiveRole) -> None:
    await give_role("admin", Role.SECURITY_ADMIN, "platform")
    bad = [("role", "king"), ("role", "public"), ("user_id", "a b"), ("organisation_id", ""), ("extra", 1)]
    for field, value in bad:
        sent = {**assignment("li", "registrar"), field: value}
        answer = await client.post("/v1/roles", json=sent, headers=token_for("admin"))
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field
