"""What a key may be used for, from where, and how it ends when somebody finds it."""

from __future__ import annotations

import asyncio

import asyncpg
import httpx
import orjson
import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from authz import DataObject, Runtime, new_id
from ops import testing
from ops.app import build_app

FIELDS = [{"name": "code", "title": "代码", "type": "text"}]
ROWS = [(f"{number:03d}",) for number in range(20)]


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    return await testing.load_restricted(runtime, testing.data_object(new_id("res"), FIELDS), {"code": "text"}, ROWS)


@pytest.mark.parametrize("scope", ["rows", "download", "lookup"])
async def test_a_key_does_what_it_was_made_for_and_nothing_else(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, scope: str
) -> None:
    granted = await testing.issue_grant(runtime, data, ["code"], scopes=[scope])
    address = f"/data/v1/{data.resource_id}"
    body = {"key": "code", "values": ["001"]}
    answers = {
        "rows": await client.get(f"{address}/rows", headers=granted.headers),
        "download": await client.get(address, headers=granted.headers),
        "lookup": await client.post(f"{address}/lookup", json=body, headers=granted.headers),
    }
    for name, answer in answers.items():
        assert answer.status_code == (200 if name == scope else 403), answer.text
        if name != scope:
            assert (answer.json()["code"], scope in answer.json()["detail"]) == ("key_scope", True)


def behind_a_front(runtime: Runtime, *, peer: str) -> httpx.AsyncClient:
    """The application as the server runs it: forwarded addresses count only when the front itself brings them."""
    app = ProxyHeadersMiddleware(build_app(runtime), trusted_hosts="127.0.0.1")  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=app, client=(peer, 1), raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url=runtime.settings.site_url)


@pytest.mark.parametrize(("ranges", "address", "allowed"), [
    (["203.0.113.0/24"], "203.0.113.7", True), (["203.0.113.0/24"], "203.0.114.7", False),
    (["2001:db8::/48"], "2001:db8:0:1::5", True), (["2001:db8::/48"], "2001:db9::5", False),
    (["203.0.113.0/24"], "::ffff:203.0.113.7", True), (["203.0.113.7/32", "2001:db8::/48"], "203.0.113.8", False),
    ([], "198.51.100.1", True), (["0.0.0.0/0"], "2001:db8::1", False),
])
async def test_addresses_a_key_may_be_used_from(
    runtime: Runtime, data: DataObject, ranges: list[str], address: str, allowed: bool
) -> None:
    granted = await testing.issue_grant(runtime, data, ["code"], ip_allow=ranges)
    async with behind_a_front(runtime, peer=address) as client:
        for _ in range(2):  # the second answer comes from what is remembered of the key
            answer = await client.get(f"/data/v1/{data.resource_id}/rows", headers=granted.headers)
            assert answer.status_code == (200 if allowed else 403), answer.text
        if not allowed:
            assert answer.json()["reasons"][0]["code"] == "address_not_allowed"


async def test_an_address_that_a_client_claims_is_worth_nothing(runtime: Runtime, data: DataObject) -> None:
    granted = await testing.issue_grant(runtime, data, ["code"], ip_allow=["203.0.113.0/24"])
    address = f"/data/v1/{data.resource_id}/rows"
    claims = [
        {"X-Forwarded-For": "203.0.113.7"}, {"X-Real-IP": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"},
        {"X-Forwarded-For": "203.0.113.7, 203.0.113.7"}, {"X-Client-IP": "203.0.113.7"},
    ]
    async with behind_a_front(runtime, peer="198.51.100.9") as stranger:
        for claim in claims:
            answer = await stranger.get(address, headers={**granted.headers, **claim})
            assert answer.status_code == 403, claim
    async with behind_a_front(runtime, peer="127.0.0.1") as front:  # the front appends the address it sees
        spoofed = {"X-Forwarded-For": "203.0.113.7, 198.51.100.9"}
        assert (await front.get(address, headers={**granted.headers, **spoofed})).status_code == 403
        real = {"X-Forwarded-For": "198.51.100.9, 203.0.113.7"}
        assert (await front.get(address, headers={**granted.headers, **real})).status_code == 200


async def test_limits_that_change_hold_from_the_next_call(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    granted = await testing.issue_grant(runtime, data, ["code"])
    address = f"/data/v1/{data.resource_id}/rows"
    changes = [
        "UPDATE licensing.access_key SET scopes = '{download}' WHERE grant_id = $1",
        "UPDATE licensing.access_key SET scopes = '{rows}', ip_allow = '{203.0.113.0/24}' WHERE grant_id = $1",
        "UPDATE licensing.access_key SET ip_allow = '{}', revoked_at = now() WHERE grant_id = $1",
        "UPDATE licensing.access_key SET revoked_at = NULL, expires_at = '2020-01-01' WHERE grant_id = $1",
    ]
    for change, code in zip(changes, ("key_scope", "denied", "key_invalid", "key_invalid"), strict=True):
        await pool.execute(
            "UPDATE licensing.access_key SET scopes = '{rows}', ip_allow = '{}', revoked_at = NULL, expires_at = NULL"
            " WHERE grant_id = $1", granted.id,
        )
        before = await client.get(address, headers=granted.headers)
        assert before.status_code == 200, before.text
        await pool.execute(change, granted.id)
        assert (await client.get(address, headers=granted.headers)).json()["code"] == code


async def test_every_change_of_the_facts_holds_from_the_next_page(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    granted = await testing.issue_grant(runtime, data, ["code"])
    address = f"/data/v1/{data.resource_id}/rows"
    there_and_back = [
        ("UPDATE licensing.access_grant SET state = $2 WHERE id = $1", "suspended", "active", granted.id),
        ("UPDATE licensing.party SET state = $2 WHERE id = $1", "suspended", "verified", testing.PARTY),
    ]
    for sql, away, back, name in there_and_back:
        before = await client.get(address, headers=granted.headers)
        assert before.status_code == 200, before.text
        await pool.execute(sql, name, away)
        refused = await client.get(address, headers=granted.headers)
        await pool.execute(sql, name, back)
        assert (refused.status_code, refused.json()["reasons"][0]["code"]) == (403, "grant_suspended")
    await pool.execute("UPDATE authz.data_object SET deleted_at = now() WHERE resource_id = $1", data.resource_id)
    assert (await client.get(address, headers=granted.headers)).status_code == 410


async def test_a_found_key_is_ended_by_whoever_shows_it(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    granted, other = [await testing.issue_grant(runtime, data, ["code"]) for _ in range(2)]
    address = f"/data/v1/{data.resource_id}/rows"
    assert (await client.get(address, headers=granted.headers)).status_code == 200
    prefix = granted.key.rsplit("_", 1)[0]
    texts = ["x", "gok_", prefix + "_" + "0" * 32, granted.key, granted.key, granted.key.upper(), prefix]
    answers = [await client.post("/v1/keys/leaked", json={"key": text}) for text in texts]
    assert {(one.status_code, one.text) for one in answers} == {(202, answers[0].text)}
    assert (await client.get(address, headers=granted.headers)).json()["code"] == "key_invalid"
    assert (await client.get(address, headers=other.headers)).status_code == 200
    row = await pool.fetchrow("SELECT * FROM licensing.access_key WHERE grant_id = $1", granted.id)
    assert row["leaked_at"] is not None
    assert row["revoked_at"] is not None
    leaves = [orjson.loads(one["leaf"]) for one in await pool.fetch(
        "SELECT leaf FROM audit.entry WHERE action = 'key.leaked' AND object_id = $1", row["id"]
    )]
    assert len(leaves) == 1
    assert granted.key.rsplit("_", 1)[1] not in str(leaves)
    guesses = [client.post("/v1/keys/leaked", json={"key": f"gok_{number}"}) for number in range(60)]
    assert 429 in [one.status_code for one in await asyncio.gather(*guesses)]
