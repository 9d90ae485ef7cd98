"""Changing the policies: checked, simulated on what was decided, approved by another, rolled back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from authz import SYSTEM, Call, GrantFacts, Role, Runtime, decide, objects, policy_version, record_decision
from authz.pdp.bundle import PolicySet, in_force, packaged, put_in_force
from authz.testing import NOW, a_grant, a_register, a_request
from authz.versions import load_policies

RULES, TESTS, ROLES = "data_access/data_access.rego", "data_access/data_access_test.rego", "roles.csv"
STRICTER = ('\tis_string(grant.state)\n', '\tis_string(grant.state)\n\tinput.channel != "download"\n')
GRANTS = [
    a_grant(), a_grant(id="grt_2", delivery=("api", "download")), a_grant(id="grt_3", delivery=("download",)),
    a_grant(id="grt_4", state="revoked", delivery=("download",)),
]


@pytest.fixture(autouse=True)
def release() -> Iterator[None]:
    """Every test begins and ends with the release's own policies in this process."""
    put_in_force(None)
    yield
    put_in_force(None)


async def grants_found(tx: asyncpg.Connection, **wanted: Any) -> list[GrantFacts]:
    return GRANTS


@pytest.fixture
async def office(
    client: httpx.AsyncClient, runtime: Runtime, token_for: Any, give_role: Callable[..., Awaitable[None]]
) -> Callable[..., Awaitable[httpx.Response]]:
    """Requests of sec (security administrator), auth (authority) and audit (auditor), on an unchanged city."""
    runtime.extras["grants_found"] = grants_found
    for name, role in (("sec", Role.SECURITY_ADMIN), ("auth", Role.AUTHORITY), ("audit", Role.AUDITOR)):
        await give_role(name, role, "platform")
    await runtime.pool.execute("DELETE FROM authz.policy_version")

    async def send(who: str, method: str, path: str, **body: Any) -> httpx.Response:
        return await client.request(method, f"/v1/policies{path}", json=body or None, headers=token_for(who))

    return send


def stricter() -> dict[str, str]:
    """Rules that deny downloads under a grant, in a way that the tests of the release still hold."""
    text = packaged().files[RULES]
    assert STRICTER[0] in text
    reason = '\nreasons contains "channel_not_granted" if {\n\t_grant_examined\n\tinput.channel == "download"\n}\n'
    return {RULES: text.replace(*STRICTER, 1) + reason}


async def proposed(office: Any, files: dict[str, str] | None = None) -> dict[str, Any]:
    answer = await office("sec", "POST", "", files=files or stricter(), reason="下载方式停用")
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def in_force_now(office: Any, made: dict[str, Any]) -> None:
    done = await office("auth", "POST", f"/{made['id']}/approve", version=made["version"], reason="同意")
    assert done.status_code == 200, done.text


async def test_a_proposal_decides_nothing_until_another_approves(office: Any, runtime: Runtime) -> None:
    made = await proposed(office)
    assert made["state"] == "proposed"
    assert made["base"] == policy_version() == packaged().version
    assert "+\tinput.channel" in made["differences"][RULES]
    await in_force_now(office, made)
    assert policy_version() == made["policy_version"] != packaged().version
    request = a_request(grant=a_grant(delivery=("download",)), channel="download")
    assert decide(request).codes == ("channel_not_granted",)
    assert decide(a_request()).permitted
    rows = await runtime.pool.fetch(
        "SELECT action FROM audit.entry WHERE object_kind = 'policy_version' ORDER BY id"
    )
    assert [row["action"] for row in rows][-2:] == ["policy.proposed", "policy.approved"]


async def test_simulation_tells_which_grants_and_decisions_would_change(
    office: Any, runtime: Runtime
) -> None:
    async with runtime.transaction() as tx:
        await objects.put(tx, runtime.audit, Call(SYSTEM, NOW, "req-1"), a_register())
        for channel in ("api", "download"):
            asked = a_request(grant=a_grant(delivery=("api", "download")), channel=channel)
            await record_decision(tx, asked, decide(asked), f"req-{channel}")
    made = await proposed(office)
    found = (await office("audit", "POST", f"/{made['id']}/simulate")).json()
    assert (found["from"], found["to"]) == (packaged().version, made["policy_version"])
    assert (found["grants"]["asked"], found["grants"]["changed"], found["grants"]["now_denied"]) == (4, 2, 2)
    assert [(one["grant_id"], one["channel"]) for one in found["grants"]["first"]] == [
        ("grt_2", "download"), ("grt_3", "download"),
    ]
    after = found["grants"]["first"][0]["after"]
    assert after["reasons"] == ["channel_not_granted"]
    (said,) = after["sentences"]
    assert (said["code"], "文件" in said["zh"], "{" in said["zh"] + said["en"]) == ("channel_not_granted", True, False)
    assert found["decisions"]["changed"] == 1
    assert found["decisions"]["first"][0]["channel"] == "download"
    assert found["roles"] == {"added": [], "removed": []}
    assert policy_version() == packaged().version, "a simulation changes nothing"


async def test_who_proposed_cannot_approve_and_others_may_not_propose(office: Any, give_role: Any) -> None:
    made = await proposed(office)
    assert (await office("auth", "POST", "", files=stricter(), reason="修改")).status_code == 403
    assert (await office("audit", "POST", f"/{made['id']}/approve", version=1, reason="同意")).status_code == 403
    assert (await office("stranger", "GET", "")).status_code == 403
    await give_role("sec", Role.AUTHORITY, "platform")
    refused = await office("sec", "POST", f"/{made['id']}/approve", version=1, reason="同意")
    assert (refused.status_code, refused.json()["code"]) == (403, "separation_of_duties")


async def test_rolling_back_is_at_once_and_by_one_person(office: Any) -> None:
    first = await proposed(office)
    await in_force_now(office, first)
    second = await proposed(office, {ROLES: in_force().files[ROLES] + "p, auditor, any, price:look\n"})
    assert second["base"] == first["policy_version"]
    await in_force_now(office, second)
    back = await office("auth", "POST", f"/{first['id']}/roll-back", reason="影响过大")
    assert back.json()["in_force"] == first["policy_version"] == policy_version()
    out = await office("auth", "POST", "/release/roll-back", reason="恢复出厂策略")
    assert out.json()["in_force"] == packaged().version == policy_version()
    states = {one["id"]: one["state"] for one in (await office("audit", "GET", "")).json()["items"]}
    assert states == {first["id"]: "superseded", second["id"]: "superseded"}


async def test_a_version_made_from_what_is_no_longer_in_force_is_not_approved(office: Any) -> None:
    early, late = await proposed(office), await proposed(office, {ROLES: packaged().files[ROLES] + "\n"})
    await in_force_now(office, late)
    refused = await office("auth", "POST", f"/{early['id']}/approve", version=1, reason="同意")
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_moved_on")
    rejected = await office("auth", "POST", f"/{early['id']}/reject", version=1, reason="过期")
    assert rejected.json()["state"] == "rejected"
    again = await office("auth", "POST", f"/{early['id']}/approve", version=2, reason="同意")
    assert again.json()["code"] == "policy_decided"


def changed(path: str, old: str, new: str) -> dict[str, str]:
    text = packaged().files[path]
    assert old in text
    return {path: text.replace(old, new, 1)}


WRONG = {
    "unknown_file": {"other/other.rego": "package other"},
    "does_not_compile": {RULES: "package govopen.data_access\n\ndecision := {"},
    "tests_fail": changed(RULES, 'grant.state == "active"', 'grant.state != "active"'),
    "tests_missing": {TESTS: "package govopen.data_access_test\n"},
    "malformed_line": {ROLES: "p, auditor, everywhere, audit:read\n"},
    "unknown_role": {ROLES: packaged().files[ROLES] + "p, king, any, audit:read\n"},
    "duties_not_separate": {ROLES: packaged().files[ROLES] + "p, exchange_pricer, any, application:price_approve\n"},
    "fixed_file": {"roles.conf": packaged().files["roles.conf"] + "\n# changed\n"},
    "example_fails": {"data_access/example_denied.json": packaged().files["data_access/example_allowed.json"]},
}


@pytest.mark.parametrize("code", WRONG)
async def test_a_proposal_that_does_not_hold_is_refused_with_the_file_named(office: Any, code: str) -> None:
    refused = await office("sec", "POST", "", files=WRONG[code], reason="修改")
    assert refused.status_code == 422, refused.text
    assert code in {one["code"] for one in refused.json()["errors"]}


async def test_what_does_not_differ_is_refused(office: Any) -> None:
    refused = await office("sec", "POST", "", files={ROLES: packaged().files[ROLES]}, reason="修改")
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_unchanged")


async def test_a_process_follows_what_is_in_force_and_keeps_it_when_the_store_is_damaged(
    office: Any, runtime: Runtime
) -> None:
    made = await proposed(office)
    await in_force_now(office, made)
    put_in_force(None)
    async with runtime.transaction() as tx:
        assert await load_policies(tx) == made["policy_version"] == policy_version()
        await tx.execute(
            "UPDATE authz.policy_version SET digest = 'other', files = jsonb_build_object('x', 'y')"
            " WHERE state = 'in_force'"
        )
        assert await load_policies(tx) == made["policy_version"], "what cannot be used is not taken"


async def test_a_logged_decision_can_be_made_again_from_its_facts(runtime: Runtime) -> None:
    async with runtime.transaction() as tx:
        for later in range(3):
            asked = a_request(now=NOW + timedelta(minutes=later))
            await record_decision(tx, asked, decide(asked), "req-facts")
        rows = await tx.fetch(
            "SELECT f.facts FROM authz.decision_log l JOIN authz.decision_facts f ON f.digest = l.facts_digest"
            " WHERE l.request_id = 'req-facts'"
        )
        kept = await tx.fetchval(
            "SELECT count(DISTINCT facts_digest) FROM authz.decision_log WHERE request_id = 'req-facts'"
        )
    assert (len(rows), kept) == (3, 1)
    assert "salt" not in str(rows[0]["facts"])
    assert "3301" not in str(rows[0]["facts"]), "the values of a row filter are not kept"


def test_the_version_is_the_digest_of_what_decides() -> None:
    files = packaged().files
    assert PolicySet({**files, TESTS: "changed"}).version == packaged().version
    assert PolicySet({**files, RULES: files[RULES] + "\n"}).version != packaged().version
