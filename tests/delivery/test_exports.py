"""Export jobs: reserved when accepted, made by the worker, counted once whatever dies, gone with their grant."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from authz import DataObject, FixedClock, Runtime, SystemClock, new_id
from billing import usage
from ops import testing
from ops.app import build_app
from ops.delivery.exports import clear_exports, make_exports
from ops.delivery.exports.make import close_exports, make_waiting
from ops.delivery.testing import read_csv, read_parquet
from ops.testing import Granted

FIELDS = [
    {"name": "code", "title": "代码", "type": "text"},
    {"name": "phone", "title": "电话", "type": "text"},
    {"name": "size", "title": "规模", "type": "integer"},
]
SQL = {"code": "text", "phone": "text", "size": "bigint"}
ROWS = [(f"{number:06d}", f"138{number:08d}", number % 10) for number in range(5_000)]
EVER = (date(2020, 1, 1), date(2040, 1, 1))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOVOPEN_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
async def _nothing_left(runtime: Runtime, pool: asyncpg.Pool) -> AsyncIterator[None]:
    yield
    await close_exports(runtime)
    await pool.execute("UPDATE ops.export_job SET state = 'cancelled' WHERE state IN ('queued', 'running', 'ready')")


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    return await testing.load_restricted(runtime, testing.data_object(new_id("res"), FIELDS), SQL, ROWS)


@pytest.fixture
async def granted(runtime: Runtime, data: DataObject) -> Granted:
    return await testing.issue_grant(
        runtime, data, ["code", "phone", "size"], masks={"phone": "partial:phone"}, quota={"rows_month": 12_000}
    )


def path(data: DataObject, job: dict[str, Any] | None = None, tail: str = "") -> str:
    return f"/data/v1/{data.resource_id}/exports" + (f"/{job['id']}{tail}" if job else "")


async def asked(client: httpx.AsyncClient, data: DataObject, granted: Granted, **body: Any) -> dict[str, Any]:
    answer = await client.post(path(data), json=body, headers=granted.headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == path(data, answer.json())
    found: dict[str, Any] = answer.json()
    return found


async def seen(client: httpx.AsyncClient, data: DataObject, granted: Granted, job: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(path(data, job), headers=granted.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def counted(pool: asyncpg.Pool, granted: Granted) -> tuple[int, int, int]:
    """Calls and rows recorded, rows held."""
    found = await usage.totals(pool, granted.id, *EVER)
    held = await pool.fetchval(
        "SELECT coalesce(sum(open_rows), 0) FROM billing.usage_counter WHERE grant_id = $1 AND span = 'month'",
        granted.id,
    )
    return found.calls, found.rows, int(held)


async def test_a_job_from_acceptance_to_file(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool, home: Path
) -> None:
    job = await asked(client, data, granted, format="parquet", filters=[{"field": "size", "op": "gte", "value": "5"}])
    assert (job["state"], job["progress"]) == ("queued", {"rows": 0, "rows_total": 2_500, "percent": 0})
    assert await counted(pool, granted) == (0, 0, 2_500), "held from acceptance on"
    early = await client.get(path(data, job, "/file"), headers=granted.headers)
    assert (early.status_code, early.json()["code"]) == (409, "export_not_ready")
    assert await make_waiting(runtime) == 1
    job = await seen(client, data, granted, job)
    assert (job["state"], job["progress"]["percent"]) == ("ready", 100)
    assert await counted(pool, granted) == (1, 2_500, 0)
    file = home / "exports" / f"{job['id']}.parquet"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    answer = await client.get(job["file_url"], headers=granted.headers)
    assert hashlib.sha256(answer.content).hexdigest() == job["sha256"]
    assert len(answer.content) == job["size"]
    table = read_parquet(answer.content)
    assert table.num_rows == 2_500
    assert "*" in table.column("phone")[0].as_py()
    rest = await client.get(
        job["file_url"], headers={**granted.headers, "Range": "bytes=100-", "If-Range": answer.headers["etag"]}
    )
    assert (rest.status_code, rest.content) == (206, answer.content[100:])
    assert answer.headers["x-govopen-usage-id"] == job["usage_id"]
    assert await counted(pool, granted) == (1, 2_500, 0), "fetching is not metered"
    text = (await client.get(job["manifest_url"], headers=granted.headers)).text
    jwks = (await client.get("/v1/keys.json")).json()
    told = jwt.decode(text, OKPKey.import_key(jwks["keys"][0]), algorithms=["Ed25519"])
    assert told.header["typ"] == "govopen-export+jwt"
    assert told.claims["export"]["sha256"] == job["sha256"]
    assert told.claims["export"]["grant_id"] == granted.id
    assert (await client.head(job["file_url"], headers=granted.headers)).headers["content-length"] == str(job["size"])


async def test_the_watermark_of_the_grantee_goes_along(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted, data: DataObject
) -> None:
    job = await asked(client, data, granted, format="json", filters=[{"field": "code", "value": "000001"}])
    await make_waiting(runtime)
    job = await seen(client, data, granted, job)
    answer = await client.get(job["file_url"], headers=granted.headers)
    plain = await client.get(
        f"/data/v1/{data.resource_id}?format=json&filter[code]=000001", headers=granted.headers
    )
    assert answer.headers.get("x-govopen-watermark") == plain.headers.get("x-govopen-watermark") == job["watermark"]
    assert answer.json()["items"] == plain.json()["items"]


async def test_the_same_wish_twice_is_one_job(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    headers = {**granted.headers, "Idempotency-Key": "one"}
    answers = await asyncio.gather(
        *(client.post(path(data), json={"format": "csv"}, headers=headers) for _ in range(6))
    )
    assert {one.status_code for one in answers} == {202}
    assert len({one.json()["id"] for one in answers}) == 1
    assert await counted(pool, granted) == (0, 0, 5_000)
    other = await client.post(path(data), json={"format": "json"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")


async def test_quota_is_exact_and_a_cancelled_job_costs_nothing(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    answers = await asyncio.gather(*(client.post(path(data), json={}, headers=granted.headers) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [202, 202, 429, 429]
    assert {one.json()["code"] for one in answers if one.status_code == 429} == {"quota_exhausted"}
    assert await counted(pool, granted) == (0, 0, 10_000)
    first, second = (one.json() for one in answers if one.status_code == 202)
    gone = await client.delete(path(data, first), headers=granted.headers)
    assert (gone.json()["state"], gone.status_code) == ("cancelled", 200)
    assert await make_waiting(runtime) == 1
    assert await counted(pool, granted) == (1, 5_000, 0)
    removed = await client.delete(path(data, second), headers=granted.headers)
    assert removed.json()["state"] == "cancelled"
    assert (await client.get(path(data, second, "/file"), headers=granted.headers)).status_code == 410
    assert await counted(pool, granted) == (1, 5_000, 0), "rows of a file that was there stay counted"


async def test_too_many_at_once(
    client: httpx.AsyncClient, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    body = {"filters": [{"field": "code", "op": "in", "value": ["000001", "000002"]}]}
    answers = await asyncio.gather(*(client.post(path(data), json=body, headers=granted.headers) for _ in range(7)))
    assert sorted(one.status_code for one in answers) == [202] * 5 + [429] * 2
    assert {one.json()["code"] for one in answers if one.status_code == 429} == {"exports_too_many"}
    assert await counted(pool, granted) == (0, 0, 10)
    listed = (await client.get(path(data), headers=granted.headers)).json()["items"]
    assert len(listed) == 5


async def test_jobs_of_others_are_not_there(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted
) -> None:
    job = await asked(client, data, granted)
    await make_waiting(runtime)
    other = await testing.issue_grant(runtime, data, ["code"], party_id="pty_other")
    narrow = await testing.issue_grant(runtime, data, ["code"], scopes=("rows", "download"))
    for tail in ("", "/file", "/manifest"):
        answer = await client.get(path(data, job, tail), headers=other.headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await client.get(path(data, job, tail))).status_code == 401
        scoped = await client.get(path(data, job, tail), headers=narrow.headers)
        assert (scoped.status_code, scoped.json()["code"]) == (403, "key_scope")
    assert (await client.delete(path(data, job), headers=other.headers)).status_code == 404
    away = await testing.issue_grant(runtime, data, ["code"], ip_allow=("203.0.113.0/24",))
    for method in ("GET", "DELETE"):
        answer = await client.request(method, path(data, job), headers=away.headers)
        assert (answer.status_code, answer.json()["reasons"][0]["code"]) == (403, "address_not_allowed")
    assert (await client.post(path(data), json={}, headers=narrow.headers)).status_code == 403
    assert (await client.get(path(data), headers=other.headers)).json()["items"] == []


async def test_what_cannot_be_had_is_refused_at_once(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    for body, status, code in (
        ({"format": "geojson"}, 422, None), ({"columns": ["none"]}, 422, "invalid_input"),
        ({"purpose": "marketing"}, 403, None),
        ({"filters": [{"field": "code", "op": "like", "value": "x"}]}, 422, None),
        ({"filters": [{"field": "code", "value": granted.key}]}, 400, "key_in_address"),
    ):
        answer = await client.post(path(data), json=body, headers=granted.headers)
        assert answer.status_code == status, answer.text
        assert code in (None, answer.json()["code"])
    assert await counted(pool, granted) == (0, 0, 0)


async def test_a_file_ends_with_its_time(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted, clock: FixedClock, home: Path
) -> None:
    job = await asked(client, data, granted)
    await make_waiting(runtime)
    await clear_exports(runtime)
    assert len(list((home / "exports").iterdir())) == 1
    clock.at += timedelta(days=7)
    answer = await client.get(path(data, job, "/file"), headers=granted.headers)
    assert (answer.status_code, answer.json()["code"]) == (410, "export_gone")
    await clear_exports(runtime)
    assert list((home / "exports").iterdir()) == []
    assert (await seen(client, data, granted, job))["state"] == "expired"


async def test_a_file_is_out_of_reach_the_moment_its_grant_ends(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool, home: Path
) -> None:
    job = await asked(client, data, granted)
    waiting = await asked(client, data, granted)
    await pool.execute("UPDATE ops.export_job SET lease_until = 'infinity' WHERE id = $1", waiting["id"])
    await make_waiting(runtime)
    await testing.set_grant_state(runtime, granted.id, "suspended")
    answer = await client.get(path(data, job, "/file"), headers=granted.headers)
    assert (answer.status_code, answer.json()["reasons"][0]["code"]) == (403, "grant_suspended")
    await testing.set_grant_state(runtime, granted.id, "active")
    assert (await client.get(path(data, job, "/file"), headers=granted.headers)).status_code == 200
    await testing.set_grant_state(runtime, granted.id, "revoked")
    assert (await client.get(path(data, job, "/file"), headers=granted.headers)).status_code == 403
    await clear_exports(runtime)
    assert list((home / "exports").iterdir()) == []
    assert (await seen(client, data, granted, job))["state"] == "revoked"
    assert (await seen(client, data, granted, waiting))["error"] == {"code": "grant_ended"}
    assert await counted(pool, granted) == (1, 5_000, 0), "what was never ready is given back"


async def test_more_rows_than_were_reserved_are_reserved_anew(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    location = await pool.fetchval("SELECT location FROM authz.data_object WHERE resource_id = $1", data.resource_id)
    table = f'"{location["schema"]}"."{location["table"]}"'
    job = await asked(client, data, granted)
    more = f"INSERT INTO {table} (code, phone, size) SELECT 'x' || n, '1', 1 FROM generate_series(1, $1) n"
    await pool.execute(more, 500)
    await make_waiting(runtime)
    assert (await seen(client, data, granted, job))["progress"]["rows"] == 5_500
    assert await counted(pool, granted) == (1, 5_500, 0)
    job = await asked(client, data, granted)
    await pool.execute(more, 5_000)
    await make_waiting(runtime)
    found = await seen(client, data, granted, job)
    assert (found["state"], found["error"]) == ("failed", {"code": "quota_exhausted"})
    assert await counted(pool, granted) == (1, 5_500, 0)


async def test_of_two_workers_only_one_makes_the_file(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted, pool: asyncpg.Pool
) -> None:
    """The first one is slow and loses its lease while it works; the second one takes over; one settlement."""
    job = await asked(client, data, granted)
    location = await pool.fetchval("SELECT location FROM authz.data_object WHERE resource_id = $1", data.resource_id)
    async with pool.acquire() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute(f'LOCK TABLE "{location["schema"]}"."{location["table"]}" IN ACCESS EXCLUSIVE MODE')
        await make_exports(runtime)
        while (await seen(client, data, granted, job))["state"] != "running":
            await asyncio.sleep(0.02)
        second = None
        while await pool.fetchval("SELECT attempt FROM ops.export_job WHERE id = $1", job["id"]) < 2:
            await pool.execute("UPDATE ops.export_job SET lease_until = '-infinity' WHERE id = $1", job["id"])
            if second is None or second.done():  # the first may have renewed its lease before the second looked
                second = asyncio.create_task(make_waiting(replace(runtime, extras=dict(runtime.extras))))
            await asyncio.sleep(0.02)
        await transaction.rollback()
    assert second is not None
    await second
    await runtime.extras["exports.task"]
    assert (await seen(client, data, granted, job))["state"] == "ready"
    assert await counted(pool, granted) == (1, 5_000, 0)


@pytest.fixture
def worker_env(database_url: str, redis_url: str, keys: dict[str, Path], home: Path) -> dict[str, str]:
    return {
        **os.environ, "GOVOPEN_HOME": str(home),
        "GOVOPEN_DATABASE_URL": database_url, "GOVOPEN_DATASTORE_URL": database_url, "GOVOPEN_REDIS_URL": redis_url,
        "GOVOPEN_SITE_URL": "http://govopen.test", "GOVOPEN_CKAN_URL": "http://127.0.0.1:9",
        "GOVOPEN_TOKEN_PUBLIC_KEY_FILE": str(keys["token_public"]), "GOVOPEN_SIGNING_KEY_FILE": str(keys["signing"]),
    }


async def until(ready: Any, within_s: float = 90) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = await ready()
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


async def test_a_killed_worker_s_job_is_done_by_the_next_and_counted_once(
    client: httpx.AsyncClient, runtime: Runtime, pool: asyncpg.Pool, worker_env: dict[str, str], home: Path
) -> None:
    """kill -9 while rows flow into the part; the next worker makes the file under the same reservation."""
    now = replace(runtime, clock=SystemClock())
    many = ((f"{number:08d}", "数" * 60, number) for number in range(300_000))
    data = await testing.load_restricted(now, testing.data_object(new_id("res"), FIELDS), SQL, many)
    granted = await testing.issue_grant(now, data, ["code", "phone", "size"], quota={"rows_month": 400_000})
    runtime.clock.at = now.clock.now()  # type: ignore[misc,attr-defined]
    job = await asked(client, data, granted, format="jsonl")

    async def part() -> Path | None:
        return next((one for one in (home / "exports").glob("*.part") if one.stat().st_size > 1 << 20), None)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "ops.worker"], env=worker_env, stderr=subprocess.DEVNULL)

    worker = start()
    try:
        await until(part)
    finally:
        worker.kill()
        worker.wait(10)
    found = await seen(client, data, granted, job)
    assert found["state"] == "running"
    assert (await counted(pool, granted))[2] == 300_000, "held, and not settled by the rule for lost processes"
    await pool.execute("UPDATE ops.export_job SET lease_until = '-infinity' WHERE id = $1", job["id"])
    worker = start()
    try:
        most = 0

        async def done() -> bool:
            nonlocal most
            most = max(most, psutil.Process(worker.pid).memory_info().rss)
            return (await seen(client, data, granted, job))["state"] == "ready"

        await until(done)
    finally:
        worker.terminate()
        worker.wait(30)
    job = await seen(client, data, granted, job)
    assert await counted(pool, granted) == (1, 300_000, 0)
    answer = await client.get(job["file_url"], headers=granted.headers)
    assert answer.content.count(b"\n") == 300_000
    assert hashlib.sha256(answer.content).hexdigest() == job["sha256"]
    assert [one.name for one in (home / "exports").iterdir()] == [f"{job['id']}.jsonl"]
    assert most < 400_000_000, "flat in the size of the data"


async def test_a_grant_revoked_while_its_file_is_made(
    client: httpx.AsyncClient, runtime: Runtime, pool: asyncpg.Pool, data: DataObject, granted: Granted, home: Path
) -> None:
    job = await asked(client, data, granted)
    location = await pool.fetchval("SELECT location FROM authz.data_object WHERE resource_id = $1", data.resource_id)
    async with pool.acquire() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute(f'LOCK TABLE "{location["schema"]}"."{location["table"]}" IN ACCESS EXCLUSIVE MODE')
        await make_exports(runtime)

        async def begun() -> bool:
            return (await seen(client, data, granted, job))["state"] == "running"

        await until(begun)
        await testing.set_grant_state(runtime, granted.id, "revoked")
        await transaction.rollback()
    await runtime.extras["exports.task"]
    found = await seen(client, data, granted, job)
    assert found["state"] in ("revoked", "ready")
    if found["state"] == "revoked":
        assert found["error"]["code"] in ("grant_revoked", "grant_ended")
        assert await counted(pool, granted) == (0, 0, 0)
    assert (await client.get(path(data, job, "/file"), headers=granted.headers)).status_code == 403
    await clear_exports(runtime)
    assert list((home / "exports").iterdir()) == []


async def test_csv_is_what_a_download_would_be(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted
) -> None:
    job = await asked(client, data, granted, columns=["size", "code"], sort=["-size", "code"])
    await make_waiting(runtime)
    answer = await client.get(path(data, job, "/file"), headers=granted.headers)
    names, rows = read_csv(answer.content)
    assert names == ["size", "code"]
    assert rows[:2] == [["9", "000009"], ["9", "000019"]]
    assert len(rows) == 5_000


async def test_a_file_on_its_way_stops_when_the_grant_ends(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, granted: Granted
) -> None:
    """The client took the first block and no more; the revocation ends the answer without its last one."""
    job = await asked(client, data, granted, format="json")
    await make_waiting(runtime)
    began, messages = asyncio.Event(), list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        messages.append(message)
        if message["type"] == "http.response.body":
            began.set()
            await asyncio.Event().wait()

    app = build_app(runtime)
    scope = {
        "type": "http", "method": "GET", "path": path(data, job, "/file"), "raw_path": b"", "query_string": b"",
        "headers": [(b"authorization", granted.headers["Authorization"].encode())], "client": ("127.0.0.1", 1),
        "server": ("govopen.test", 80), "scheme": "http", "http_version": "1.1", "root_path": "",
        "asgi": {"version": "3.0"},
    }
    serving = asyncio.create_task(app(scope, receive, send))
    await asyncio.wait_for(began.wait(), 60)
    await testing.set_grant_state(runtime, granted.id, "revoked")
    await asyncio.wait([serving], timeout=60)
    assert serving.done()
    assert all(message.get("more_body") for message in messages if message["type"] == "http.response.body")
