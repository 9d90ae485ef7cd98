"""A decision told check by check is the decision that was made, and only those hear it whom it concerns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from authz import SYSTEM, Call, GrantFacts, Role, Runtime, decide, objects, record_decision
from authz.pdp.decide import policy_input
from authz.pdp.explain import CHECKS, explain
from authz.testing import NOW, a_grant, a_register, a_request, an_open_table

GRANTS = {one.id: one for one in (a_grant(), a_grant(id="grt_2", state="revoked", party_id="pty_other"))}

CASES = {
    "granted": (a_request(), set()),
    "revoked": (a_request(grant=a_grant(state="revoked")), {"grant_active"}),
    "expired": (a_request(grant=a_grant(valid_until=NOW)), {"grant_not_ended"}),
    "purpose": (a_request(purpose="marketing"), {"purpose_granted"}),
    "channel and purpose": (a_request(purpose="marketing", channel="download"), {"purpose_granted", "channel_granted"}),
    "no grant": (a_request(grant=None), {"grant_given"}),
    "open": (a_request(object=an_open_table(), grant=None, subject_kind="public"), set()),
    "quota": (a_request(quota_exhausted=True), {"quota_left"}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_checks_that_failed_are_those_behind_the_reasons(case: str) -> None:
    request, expected = CASES[case]
    told, decision = explain(policy_input(request)), decide(request)
    assert told["effect"] == decision.effect.value
    assert told["reasons"] == list(decision.codes)
    assert {one["rule"] for one in told["checks"] if one["outcome"] == "failed"} == expected
    assert {code for one in told["checks"] for code in one["codes"]} <= set(decision.codes) | {"grant_required"}


def test_fields_are_told_with_their_masks() -> None:
    told = explain(policy_input(a_request(fields=("name", "phone"))))
    fields = {one["name"]: (one["outcome"], one["mask"]) for one in told["fields"]}
    assert fields["phone"][0] == "refused"
    granted = explain(policy_input(a_request()))
    assert {one["name"]: one["outcome"] for one in granted["fields"]} == {"name": "readable", "uscc": "readable"}
    assert granted["fields"][0]["mask"] == "partial:name"


def test_no_check_tells_what_is_secret() -> None:
    told = str(explain(policy_input(a_request())))
    assert "salt" not in told
    assert "3301" not in told
    assert "r_register" not in told
    assert len({check.rule for check in CHECKS}) == len(CHECKS)


async def grant_facts(tx: asyncpg.Connection, grant_id: str) -> GrantFacts | None:
    return GRANTS.get(grant_id)


async def grants_found(tx: asyncpg.Connection, *, party_ids: Any, after: str, limit: int, **_: Any) -> list[GrantFacts]:
    found = [one for one in GRANTS.values() if party_ids is None or one.party_id in party_ids]
    return [one for one in found if one.id > after][:limit]


Send = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def send(
    client: httpx.AsyncClient, runtime: Runtime, token_for: Any, give_role: Callable[..., Awaitable[None]]
) -> Send:
    """Requests of ban (of the bank), oli (of another party), owner (of the department), audit, stranger."""
    async with runtime.transaction() as tx:
        for data in (a_register(), an_open_table()):
            await objects.put(tx, runtime.audit, Call(SYSTEM, NOW, "req-1"), data)
    runtime.extras.update({"grant_facts": grant_facts, "grants_found": grants_found})
    await give_role("ban", Role.ENTERPRISE_MEMBER, "pty_bank")
    await give_role("oli", Role.ENTERPRISE_MEMBER, "pty_other")
    await give_role("audit", Role.AUDITOR, "platform")

    async def ask(who: str, path: str, **body: Any) -> httpx.Response:
        orgs = [("org-market", "admin")] if who == "owner" else None
        headers, address = token_for(who, orgs=orgs), f"/v1/decisions{path}"
        if body:
            return await client.post(address, json=body, headers=headers)
        return await client.get(address, headers=headers)

    return ask


def question(**changes: Any) -> dict[str, Any]:
    return {"subject_type": "grant", "subject_id": "grt_1", "resource_id": "res-register", **changes}


async def test_why_cannot_i(send: Send) -> None:
    found = (await send("ban", "/explain", **question(purpose="marketing"))).json()
    assert found["decision"] is False
    assert found["reasons"][0]["code"] == "purpose_not_granted"
    assert found["next"]["zh"]
    told = [one["zh"] for one in found["explanation"]["sentences"]]
    assert told == ["用途“marketing”不在授权范围内，授权用途为“信贷风险控制”。"]
    assert found["hypothetical"] is False
    permitted = (await send("ban", "/explain", **question())).json()
    assert permitted["decision"] is True
    assert permitted["obligations"]["masks"] == {"name": "partial:name"}


async def test_what_if_the_grant_were_otherwise(send: Send) -> None:
    found = (await send("ban", "/explain", **question(channel="download", if_grant={"delivery": ["download"]}))).json()
    assert (found["decision"], found["hypothetical"]) == (True, True)
    later = (await send("audit", "/explain", **question(time="2031-01-01T00:00:00Z"))).json()
    assert later["reasons"][0]["code"] == "grant_expired"
    assert (await send("ban", "/explain", **question(time="2031-01-01T00:00:00Z"))).status_code == 403


@pytest.mark.parametrize("who", ["oli", "stranger"])
async def test_others_are_not_told(send: Send, runtime: Runtime, who: str) -> None:
    async with runtime.transaction() as tx:
        asked = a_request()
        await record_decision(tx, asked, decide(asked), "req-others")
    number = await runtime.pool.fetchval("SELECT max(id) FROM authz.decision_log")
    assert (await send(who, "/explain", **question())).status_code == 403
    assert (await send(who, f"/{number}")).status_code == 404
    assert (await send(who, "/grants/grt_1")).status_code == 404
    assert (await send(who, "/objects/res-register")).status_code == 403
    assert (await send(who, "")).json()["items"] == []


async def test_a_logged_decision_is_explained_to_those_it_concerns(send: Send, runtime: Runtime) -> None:
    async with runtime.transaction() as tx:
        asked = a_request(purpose="marketing")
        await record_decision(tx, asked, decide(asked), "req-logged")
    number = await runtime.pool.fetchval("SELECT max(id) FROM authz.decision_log")
    for who in ("ban", "owner", "audit"):
        assert number in [one["id"] for one in (await send(who, "?effect=deny")).json()["items"]]
        found = (await send(who, f"/{number}")).json()
        assert found["decision"]["reasons"] == ["purpose_not_granted"]
        assert found["explanation"]["reasons"] == ["purpose_not_granted"]
        assert found["changed"] is False


async def test_who_can_see_this_and_what_a_grant_allows(send: Send) -> None:
    for who in ("owner", "audit"):
        found = (await send(who, "/objects/res-register")).json()
        assert found["everyone"] is False
        assert {one["grant_id"]: one["decision"] for one in found["items"]} == {"grt_1": True, "grt_2": False}
    assert (await send("audit", "/objects/res-villages")).json()["everyone"] is True
    allows = {one["channel"]: one["decision"] for one in (await send("ban", "/grants/grt_1")).json()["allows"]}
    assert allows == {"api": True, "download": False, "verify": False, "analysis": False, "offline": False}
