"""Webhooks against a real receiver: signed, at least once, put off, given up, never inwards."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from authz import FixedClock, InvalidInput, Role, Runtime, new_id
from ops import testing
from ops.app import build_app
from ops.delivery import close_delivery
from ops.delivery.webhooks import send
from ops.delivery.webhooks.places import PlaceRefused, is_allowed, resolve, split
from ops.delivery.webhooks.send import DISABLED_AFTER, WAITS_S, deliver_due
from ops.testing import Granted

FIELDS = [{"name": "code", "title": "代码", "type": "text"}]
MEMBER = "webhook-member"


@dataclass
class Got:
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver:
    """An HTTP server on a port of its own; ``answer`` says what the next request gets, None for silence."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answer: bytes | None = b"HTTP/1.1 204 No Content\r\n\r\n"
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hooks?for=us"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.got.append(Got({**headers, ":line": head[0]}, body))
        if self.answer is None:
            await reader.read()
        else:
            writer.write(self.answer)
            await writer.drain()
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def runtime(runtime: Runtime, pool: asyncpg.Pool) -> AsyncIterator[Runtime]:
    """A demo city: only there a receiver may be on this machine."""
    await pool.execute("DELETE FROM ops.webhook_delivery")
    made = replace(runtime, settings=replace(runtime.settings, demo=True), extras={})
    yield made
    await close_delivery(made)


@pytest.fixture
async def granted(runtime: Runtime, give_role: Callable[..., Any]) -> Granted:
    data = await testing.load_restricted(
        runtime, testing.data_object(new_id("res"), FIELDS), {"code": "text"}, [("a",)]
    )
    await give_role(MEMBER, Role.ENTERPRISE_ADMIN, testing.PARTY)
    return await testing.issue_grant(runtime, data, ["code"])


@pytest.fixture
def member(token_for: Callable[..., Any]) -> dict[str, str]:
    found: dict[str, str] = token_for(MEMBER)
    return found


async def registered(
    client: httpx.AsyncClient, granted: Granted, member: dict[str, str], receiver: Receiver, **more: Any
) -> dict[str, Any]:
    answer = await client.post(
        f"/v1/grants/{granted.id}/webhooks", json={"url": receiver.url, **more}, headers=member
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def is_signed(got: Got, secret: str) -> bool:
    """As any receiver would check it (Standard Webhooks)."""
    content = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mine = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(mine, one) for one in got.headers["webhook-signature"].split())


async def log_of(
    client: httpx.AsyncClient, granted: Granted, member: Any, hook: dict[str, Any]
) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/grants/{granted.id}/webhooks/{hook['id']}/deliveries", headers=member)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_changes_of_the_grant_arrive_signed(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted, member: dict[str, str], receiver: Receiver
) -> None:
    hook = await registered(client, granted, member, receiver)
    await testing.set_grant_state(runtime, granted.id, "suspended")
    assert await deliver_due(runtime) == 1
    assert await deliver_due(runtime) == 0
    (got,) = receiver.got
    assert got.headers[":line"] == "POST /hooks?for=us HTTP/1.1"
    assert got.headers["host"] == receiver.url.split("/")[2]
    assert is_signed(got, hook["secret"])
    assert not is_signed(replace(got, body=got.body + b" "), hook["secret"])
    assert got.event["type"] == "grant.state_changed"
    assert got.event["id"] == got.headers["webhook-id"]
    assert (got.event["data"]["from"], got.event["data"]["to"]) == ("active", "suspended")
    assert got.headers["webhook-timestamp"] == str(int(runtime.clock.now().timestamp()))
    (told,) = await log_of(client, granted, member, hook)
    assert (told["state"], told["attempts"], told["last_status"]) == ("delivered", 1, 204)
    listed = (await client.get(f"/v1/grants/{granted.id}/webhooks", headers=member)).json()["items"]
    assert [one["id"] for one in listed] == [hook["id"]]
    assert "secret" not in listed[0]


async def test_what_did_not_happen_is_not_told(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted, member: dict[str, str], receiver: Receiver
) -> None:
    await registered(client, granted, member, receiver)
    async with runtime.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE licensing.access_grant SET state = 'suspended' WHERE id = $1", granted.id)
        await transaction.rollback()
    assert await deliver_due(runtime) == 0
    await runtime.pool.execute("UPDATE licensing.access_grant SET state = state WHERE id = $1", granted.id)
    assert await deliver_due(runtime) == 0


async def test_new_versions_and_finished_exports_are_told_to_who_asked_for_them(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted, member: dict[str, str], receiver: Receiver
) -> None:
    await registered(client, granted, member, receiver, events=["data.new_version"])
    await registered(client, granted, member, receiver, events=["export.finished"])
    of_grant = "SELECT resource_id FROM licensing.access_grant WHERE id = $1"
    resource_id = await runtime.pool.fetchval(of_grant, granted.id)
    await runtime.pool.execute(
        "INSERT INTO ops.restricted_load (id, resource_id, version, table_name, state, rows, bytes, sha256, format,"
        " columns, loaded_by, loaded_at) VALUES ($1, $2, 1, $1, 'current', 1, 1, '', 'csv', '[]'::jsonb, 'x', now())",
        new_id("lod"), resource_id,
    )
    job = new_id("exp")
    await runtime.pool.execute(
        "INSERT INTO ops.export_job (id, grant_id, party_id, resource_id, key_id, query, columns, usage_id, usage_day,"
        " rows_reserved, bytes_reserved, created_at) VALUES ($1, $2, 'p', $3, 'k', '{}'::jsonb, '[]'::jsonb, 'u',"
        " '2026-11-21', 1, 1, now())",
        job, granted.id, resource_id,
    )
    await runtime.pool.execute("UPDATE ops.export_job SET state = 'failed', error = 'x' WHERE id = $1", job)
    assert await deliver_due(runtime) == 2
    found = {one.event["type"]: one.event["data"] for one in receiver.got}
    assert (found["data.new_version"]["version"], found["data.new_version"]["resource_id"]) == (1, resource_id)
    assert (found["export.finished"]["export_id"], found["export.finished"]["state"]) == (job, "failed")


async def test_failures_are_put_off_longer_and_longer_then_the_address_is_left_alone(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted, member: dict[str, str], receiver: Receiver,
    clock: FixedClock,
) -> None:
    hook = await registered(client, granted, member, receiver)
    receiver.answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    await testing.set_grant_state(runtime, granted.id, "suspended")
    began = clock.at
    for wait_s in WAITS_S[:4]:
        assert await deliver_due(runtime) == 1
        clock.at += timedelta(seconds=wait_s - 1)
        assert await deliver_due(runtime) == 0, "not before its time"
        clock.at += timedelta(seconds=1)
    (told,) = await log_of(client, granted, member, hook)
    assert (told["state"], told["attempts"], told["last_status"], told["last_error"]) == ("waiting", 4, 500, "status")
    assert len({one.headers["webhook-id"] for one in receiver.got}) == 1, "the same id on every try"
    clock.at = began + DISABLED_AFTER
    assert await deliver_due(runtime) == 1
    listed = (await client.get(f"/v1/grants/{granted.id}/webhooks", headers=member)).json()["items"]
    assert listed[0]["state"] == "disabled"
    assert (await log_of(client, granted, member, hook))[0]["state"] == "given_up"
    await testing.set_grant_state(runtime, granted.id, "active")
    assert await deliver_due(runtime) == 0
    receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    base = f"/v1/grants/{granted.id}/webhooks/{hook['id']}"
    assert (await client.post(f"{base}/enable", headers=member)).json()["state"] == "active"
    again = await client.post(f"{base}/deliveries/{told['id']}/redeliver", headers=member)
    assert again.status_code == 202
    assert await deliver_due(runtime) == 1
    assert (await log_of(client, granted, member, hook))[0]["state"] == "delivered"
    assert receiver.got[-1].headers["webhook-id"] == told["event_id"]


async def test_silence_and_redirects_are_failures(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted, member: dict[str, str], receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook = await registered(client, granted, member, receiver)
    monkeypatch.setattr(send, "TIMEOUT_S", 0.5)
    receiver.answer = None
    await testing.set_grant_state(runtime, granted.id, "suspended")
    assert await deliver_due(runtime) == 1
    assert (await log_of(client, granted, member, hook))[0]["last_error"] == "timeout"
    monkeypatch.setattr(send, "TIMEOUT_S", 30.0)
    receiver.answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    await runtime.pool.execute("UPDATE ops.webhook_delivery SET due_at = '-infinity'")
    assert await deliver_due(runtime) == 1
    told = (await log_of(client, granted, member, hook))[0]
    assert (told["last_status"], told["last_error"], told["attempts"]) == (302, "redirect_refused", 2)
    await receiver.stop()
    gone = await send.post("http://127.0.0.1:1/", b"{}", {}, demo=True)
    assert (gone.status, gone.error) == (None, "no_connection")


async def test_a_worker_that_dies_between_sending_and_marking_sends_again(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted, member: dict[str, str], receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await registered(client, granted, member, receiver)
    await testing.set_grant_state(runtime, granted.id, "suspended")

    sent = asyncio.Event()

    async def dies(*_: Any) -> None:
        sent.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(send, "_mark", dies)
        worker = asyncio.create_task(deliver_due(runtime))
        await asyncio.wait_for(sent.wait(), 60)
        worker.cancel()
        await asyncio.wait([worker])
    assert len(receiver.got) == 1
    assert await deliver_due(runtime) == 0, "claimed still"
    await runtime.pool.execute("UPDATE ops.webhook_delivery SET claimed_until = '-infinity'")
    assert await deliver_due(runtime) == 1
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"], "the receiver can tell"
    assert first.body == second.body
    assert await deliver_due(runtime) == 0


async def test_while_a_secret_is_changed_both_sign(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted, member: dict[str, str], receiver: Receiver,
    clock: FixedClock,
) -> None:
    hook = await registered(client, granted, member, receiver)
    changed = await client.post(f"/v1/grants/{granted.id}/webhooks/{hook['id']}/rotate", headers=member)
    secret = changed.json()["secret"]
    await testing.set_grant_state(runtime, granted.id, "suspended")
    await deliver_due(runtime)
    assert is_signed(receiver.got[-1], hook["secret"])
    assert is_signed(receiver.got[-1], secret)
    clock.at += timedelta(hours=25)
    await testing.set_grant_state(runtime, granted.id, "active")
    await deliver_due(runtime)
    assert is_signed(receiver.got[-1], secret)
    assert not is_signed(receiver.got[-1], hook["secret"])
    kept = await runtime.pool.fetchval("SELECT secret FROM ops.webhook_endpoint WHERE id = $1", hook["id"])
    assert base64.b64decode(secret.removeprefix("whsec_")) not in bytes(kept), "sealed at rest"


async def test_only_the_holder_has_a_say(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted, member: dict[str, str], receiver: Receiver,
    token_for: Callable[..., Any],
) -> None:
    hook = await registered(client, granted, member, receiver)
    base = f"/v1/grants/{granted.id}/webhooks"
    stranger = token_for("stranger-of-hooks")
    for method, path in (
        ("GET", ""), ("DELETE", f"/{hook['id']}"), ("POST", f"/{hook['id']}/rotate"),
        ("GET", f"/{hook['id']}/deliveries"),
    ):
        assert (await client.request(method, base + path, headers=stranger)).status_code == 404
        assert (await client.request(method, base + path)).status_code == 401
    assert (await client.post(base, json={"url": receiver.url}, headers=stranger)).status_code == 404
    assert (await client.get(f"{base}/whk_of_nobody/deliveries", headers=member)).status_code == 404
    unknown = await client.post(base, json={"url": receiver.url, "events": ["all"]}, headers=member)
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "events.0")
    for _ in range(4):
        await registered(client, granted, member, receiver)
    full = await client.post(base, json={"url": receiver.url}, headers=member)
    assert (full.status_code, full.json()["code"]) == (409, "too_many_webhooks")
    await testing.set_grant_state(runtime, granted.id, "suspended")
    assert (await client.delete(f"{base}/{hook['id']}", headers=member)).json()["state"] == "deleted"
    assert await deliver_due(runtime) == 4, "nothing more goes to one that was deleted"
    assert (await client.delete(f"{base}/{hook['id']}", headers=member)).status_code == 404


@pytest.mark.parametrize("address", [
    "127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::",  # noqa: S104
    "fe80::1%eth0", "fc00::1", "224.0.0.1", "255.255.255.255", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "192.0.2.1", "198.18.0.1", "240.0.0.1", "ff02::1",
])
def test_addresses_that_are_never_called(address: str) -> None:
    assert not is_allowed(address, demo=False)


def test_addresses_that_may_be_called() -> None:
    assert is_allowed("1.1.1.1", demo=False)
    assert is_allowed("2606:4700::1111", demo=False)
    assert is_allowed("127.0.0.1", demo=True)
    assert not is_allowed("10.0.0.1", demo=True)


@pytest.mark.parametrize("url", [
    "http://example.com/", "https://user@example.com/", "https://user:pw@example.com/", "https:///x", "ftp://example.com",
    "https://example.com:99999/", "https://example.com/#x", "https://例子.cn/", "https://exa mple.com/", "file:///etc/x",
    "https://example.com\\@10.0.0.1/", "http://127.0.0.1/", "//example.com", "https://example.com:0/",
])
def test_addresses_that_cannot_be_registered(url: str) -> None:
    with pytest.raises(InvalidInput):
        split(url, demo=False)


async def test_a_name_that_leads_inwards_is_found_out_when_registered_and_again_when_sent(
    runtime: Runtime, receiver: Receiver, client: httpx.AsyncClient, granted: Granted, member: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    leads_to = ["10.0.0.5"]

    async def lookup(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in leads_to]

    strict = replace(runtime, settings=replace(runtime.settings, demo=False), extras={})
    transport = httpx.ASGITransport(app=build_app(strict), raise_app_exceptions=False)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "getaddrinfo", lookup)
        async with httpx.AsyncClient(transport=transport, base_url=strict.settings.site_url) as outside:
            for addresses in (["10.0.0.5"], ["1.1.1.1", "127.0.0.1"], ["169.254.169.254"]):
                leads_to[:] = addresses
                answer = await outside.post(
                    f"/v1/grants/{granted.id}/webhooks", json={"url": "https://hooks.example/"}, headers=member
                )
                assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "address_not_public")
        leads_to[:] = ["192.168.0.1"]
        assert (await send.post("https://hooks.example/", b"", {}, demo=False)).error == "address_not_public"
        with pytest.raises(PlaceRefused):
            await resolve("hooks.example", 443, demo=False)
    loopback = await send.post(receiver.url.replace("http:", "https:"), b"", {}, demo=False)
    assert loopback.error == "address_not_public"
    assert receiver.got == []


async def test_a_grant_without_endpoints_writes_nothing(runtime: Runtime, granted: Granted) -> None:
    await testing.set_grant_state(runtime, granted.id, "suspended")
    assert await runtime.pool.fetchval("SELECT count(*) FROM ops.webhook_delivery") == 0
