"""Exports and tests of webhooks asked for by people who sign in; files by a link that holds for minutes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from authz import DataObject, FixedClock, Role, Runtime, new_id
from ops import testing
from ops.delivery.exports import clear_exports
from ops.delivery.exports.make import close_exports, make_waiting
from ops.testing import Granted

FIELDS = [{"name": "code", "title": "代码", "type": "text"}, {"name": "size", "title": "规模", "type": "integer"}]
ROWS = [(f"{number:04d}", number % 10) for number in range(500)]


@dataclass
class Holder:
    client: httpx.AsyncClient
    granted: Granted
    data: DataObject
    key_id: str
    headers: dict[str, str]
    strangers: dict[str, str]

    @property
    def path(self) -> str:
        return f"/v1/grants/{self.granted.id}/exports"

    async def ask(self, **body: Any) -> httpx.Response:
        return await self.client.post(self.path, json={"key_id": self.key_id, **body}, headers=self.headers)

    async def link(self, job_id: str) -> str:
        answer = await self.client.post(f"{self.path}/{job_id}/link", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["url"])

    async def code(self, address: str) -> str:
        return str((await self.client.get(address)).json()["code"])


async def told(pool: asyncpg.Pool, action: str) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM audit.entry WHERE action = $1", action))


@pytest.fixture
async def holder(
    client: httpx.AsyncClient, runtime: Runtime, pool: asyncpg.Pool, give_role: Callable[..., Any],
    token_for: Callable[..., dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Holder]:
    monkeypatch.setenv("GOVOPEN_HOME", str(tmp_path))
    data = await testing.load_restricted(
        runtime, testing.data_object(new_id("res"), FIELDS), {"code": "text", "size": "bigint"}, ROWS
    )
    party = new_id("pty")
    granted = await testing.issue_grant(runtime, data, ["code", "size"], party_id=party, quota={"rows_month": 600})
    member, stranger = new_id("usr"), new_id("usr")
    await give_role(member, Role.ENTERPRISE_ADMIN, party)
    await give_role(stranger, Role.ENTERPRISE_ADMIN, "pty_elsewhere")
    key_id = await pool.fetchval("SELECT id FROM licensing.access_key WHERE grant_id = $1", granted.id)
    yield Holder(client, granted, data, key_id, token_for(member), token_for(stranger))
    await close_exports(runtime)
    await pool.execute("UPDATE ops.export_job SET state = 'cancelled' WHERE state IN ('queued', 'running', 'ready')")


async def test_from_the_wish_to_the_file_in_a_browser(
    holder: Holder, runtime: Runtime, clock: FixedClock, pool: asyncpg.Pool
) -> None:
    client = holder.client
    made = await holder.ask(format="csv", filters=[{"field": "size", "op": "lte", "value": "1"}])
    assert made.status_code == 202, made.text
    job = made.json()
    assert (job["state"], job["progress"]["rows_total"], job["key_id"]) == ("queued", 100, holder.key_id)
    early = await client.post(f"{holder.path}/{job['id']}/link", headers=holder.headers)
    assert (early.status_code, early.json()["code"]) == (409, "export_not_ready")
    await make_waiting(runtime)
    (listed,) = (await client.get(holder.path, headers=holder.headers)).json()["items"]
    assert (listed["state"], listed["progress"]["percent"]) == ("ready", 100)
    url = await holder.link(job["id"])
    assert await told(pool, "export.link_given") == 1, "who could fetch it stands in the log"
    answer = await client.get(url)
    assert (answer.status_code, answer.text.count("\n")) == (200, 101)
    assert answer.headers["x-govopen-usage-id"] == job["usage_id"]
    rest = await client.get(url, headers={"Range": "bytes=10-", "If-Range": answer.headers["etag"]})
    assert (rest.status_code, rest.content) == (206, answer.content[10:])
    by = await pool.fetchval(
        "SELECT leaf::json->>'actor' FROM audit.entry WHERE action = 'export.accepted' AND object_id = $1", job["id"]
    )
    assert by.startswith("usr_"), "the person is named"
    clock.at += timedelta(minutes=16)
    assert await holder.code(url) == "export_link_over"


async def test_a_link_opens_one_job_and_nothing_else(holder: Holder, runtime: Runtime, pool: asyncpg.Pool) -> None:
    jobs = [(await holder.ask(filters=[{"field": "size", "value": str(n)}])).json()["id"] for n in range(2)]
    await make_waiting(runtime)
    await make_waiting(runtime)
    url = await holder.link(jobs[0])
    assert await holder.code(url.replace(jobs[0], jobs[1])) == "export_link_over"
    until, _, tag = url.partition("ticket=")[2].partition(".")
    for forged in (f"{int(until) + 60}.{tag}", f"{until}.{tag[:-4]}AAAA", "x", "", f"{until}.", "٣.x", f"{until}.ü"):
        address = f"/data/v1/{holder.data.resource_id}/exports/{jobs[0]}/file"
        answer = await holder.client.get(address, params={"ticket": forged})
        assert (answer.status_code, answer.json()["code"]) == (403, "export_link_over"), forged
    await pool.execute("UPDATE licensing.access_key SET ip_allow = '{203.0.113.0/24}' WHERE id = $1", holder.key_id)
    answer = await holder.client.get(url)
    assert "address_not_allowed" in answer.text, "from where the key may be used"
    await pool.execute("UPDATE licensing.access_key SET ip_allow = '{}' WHERE id = $1", holder.key_id)
    assert (await holder.client.get(url)).status_code == 200
    await pool.execute("UPDATE licensing.access_grant SET state = 'suspended' WHERE id = $1", holder.granted.id)
    assert (await holder.client.get(url)).status_code == 403, "decided anew"


async def test_strangers_see_nothing_and_a_key_must_be_fit(
    holder: Holder, runtime: Runtime, pool: asyncpg.Pool
) -> None:
    job = (await holder.ask()).json()
    for method, path in (
        ("GET", ""), ("POST", ""), ("DELETE", f"/{job['id']}"), ("POST", f"/{job['id']}/link"),
    ):
        body = {"json": {"key_id": holder.key_id}} if (method, path) == ("POST", "") else {}
        answer = await holder.client.request(method, holder.path + path, headers=holder.strangers, **body)
        assert answer.status_code == 404, (method, path, answer.text)
    other = await holder.ask(key_id="key_of_nobody")
    assert (other.status_code, other.json()["errors"][0]["code"]) == (422, "key_not_usable")
    await pool.execute("UPDATE licensing.access_key SET scopes = '{rows}' WHERE id = $1", holder.key_id)
    assert (await holder.ask()).json()["errors"][0]["code"] == "key_not_usable"
    await pool.execute("UPDATE licensing.access_key SET scopes = '{rows,export}' WHERE id = $1", holder.key_id)
    full = await holder.ask()
    assert (full.status_code, full.json()["code"]) == (429, "quota_exhausted"), "500 of 600 rows are held already"


async def test_the_same_request_twice_is_one_job_and_another_one_under_its_name_is_refused(holder: Holder) -> None:
    headers = {**holder.headers, "Idempotency-Key": new_id("once")}
    asked = {"key_id": holder.key_id, "filters": [{"field": "size", "value": "1"}]}
    first, again = [(await holder.client.post(holder.path, json=asked, headers=headers)).json() for _ in range(2)]
    assert first["id"] == again["id"]
    keys = f"/v1/grants/{holder.granted.id}/keys"
    key = await holder.client.post(keys, json={"label": "另一"}, headers=holder.headers)
    assert key.status_code == 201, key.text
    other = await holder.client.post(holder.path, json={**asked, "key_id": key.json()["id"]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch"), "bound by another key's limits"


async def test_given_up_it_costs_nothing_and_its_file_goes(holder: Holder, runtime: Runtime, tmp_path: Path) -> None:
    first = (await holder.ask()).json()
    given_up = await holder.client.delete(f"{holder.path}/{first['id']}", headers=holder.headers)
    assert given_up.json()["state"] == "cancelled"
    second = (await holder.ask()).json()  # the quota holds only one of them
    await make_waiting(runtime)
    assert list((tmp_path / "exports").iterdir())
    await holder.client.delete(f"{holder.path}/{second['id']}", headers=holder.headers)
    await clear_exports(runtime)
    assert list((tmp_path / "exports").iterdir()) == []
    again = await holder.client.delete(f"{holder.path}/{second['id']}", headers=holder.headers)
    assert (again.status_code, again.json()["code"]) == (409, "export_over")


async def test_a_webhook_can_be_tried(holder: Holder, pool: asyncpg.Pool) -> None:
    hooks = f"/v1/grants/{holder.granted.id}/webhooks"
    await pool.execute(
        "INSERT INTO ops.webhook_endpoint (id, grant_id, url, events, secret, created_by_name, created_at)"
        " VALUES ('whk_try', $1, 'https://example.org/x', '{data.new_version}', '\\x00', 'x', now())",
        holder.granted.id,
    )
    for _ in range(3):
        answer = await holder.client.post(f"{hooks}/whk_try/test", headers=holder.headers)
        assert answer.status_code == 202, answer.text
        assert (answer.json()["type"], answer.json()["state"]) == ("webhook.test", "waiting")
    assert await told(pool, "webhook.tested") == 3
    full = await holder.client.post(f"{hooks}/whk_try/test", headers=holder.headers)
    assert (full.status_code, full.json()["code"]) == (409, "too_many_tests")
    assert (await holder.client.post(f"{hooks}/whk_try/test", headers=holder.strangers)).status_code == 404
    await pool.execute("UPDATE ops.webhook_endpoint SET disabled_at = now() WHERE id = 'whk_try'")
    off = await holder.client.post(f"{hooks}/whk_try/test", headers=holder.headers)
    assert (off.status_code, off.json()["code"]) == (409, "webhook_disabled")
