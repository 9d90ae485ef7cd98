"""Whole files of open data: of exactly the version that is there, in parts that fit together, made once."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import multiprocessing
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from authz import DataObject, Runtime, new_id
from ops import testing
from ops.delivery import delivery_of
from ops.delivery.files.build import Plan, _alone, make
from ops.delivery.files.store import FileStore, Manifest
from ops.delivery.jobs import clear_files
from ops.delivery.ranges import Representation, coding_of, http_date, is_unchanged, part_of
from ops.stack.postgres import VERSIONS

FIELDS = [{"name": "code", "title": "代码", "type": "text"}, {"name": "n", "title": "数", "type": "integer"}]
ROWS = [(f"{number:06d}村", number) for number in range(4_000)]


@pytest.fixture(scope="module")
async def versions(pool: asyncpg.Pool) -> AsyncIterator[None]:
    """The triggers that keep exact versions, as the stack installs them in the DataStore."""
    await pool.execute(VERSIONS.read_text(encoding="utf-8"))
    await pool.execute(VERSIONS.read_text(encoding="utf-8"))
    yield
    await pool.execute(
        "DROP EVENT TRIGGER govopen_tables; DROP EVENT TRIGGER govopen_drops; DROP SCHEMA govopen CASCADE"
    )


@pytest.fixture
async def folder(runtime: Runtime, tmp_path: Path, versions: None) -> Path:
    parts = await delivery_of(runtime)
    parts.files.store = FileStore(tmp_path / "files", 1 << 30)
    return tmp_path / "files"


@pytest.fixture
async def data(runtime: Runtime, pool: asyncpg.Pool, folder: Path) -> DataObject:
    resource_id = new_id("res")
    await testing.fill_table(pool, "public", resource_id, {"code": "text", "n": "bigint"}, ROWS)
    made = testing.data_object(resource_id, FIELDS, open_attribute="unconditional", grade="general-1")
    return await testing.publish(runtime, made)


async def ready(client: httpx.AsyncClient, runtime: Runtime, data: DataObject, query: str = "") -> httpx.Response:
    """The answer from the file: the first download streams and has it made."""
    identity = {"Accept-Encoding": "identity"}
    await client.get(f"/data/v1/{data.resource_id}{query}", headers=identity)
    await (await delivery_of(runtime)).files.settled()
    answer = await client.get(f"/data/v1/{data.resource_id}{query}", headers=identity)
    assert answer.headers["x-govopen-source"] == "file"
    return answer


@pytest.mark.parametrize("name", ["csv", "json", "jsonl", "parquet", "arrow", "xlsx"])
async def test_the_file_holds_what_the_stream_said(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, name: str
) -> None:
    live = await client.get(f"/data/v1/{data.resource_id}?format={name}", headers={"Cache-Control": "no-cache"})
    assert "x-govopen-source" not in live.headers
    answer = await ready(client, runtime, data, f"?format={name}")
    assert answer.content == live.content
    assert answer.headers["x-govopen-version"] == live.headers["x-govopen-version"]
    assert answer.headers["content-type"] == live.headers["content-type"]
    assert answer.headers["content-length"] == str(len(answer.content))
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()[:40]}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert "ratelimit-remaining" in answer.headers


async def test_changed_rows_are_a_new_version_at_once(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    table, address = f'"{data.resource_id}"', f"/data/v1/{data.resource_id}"
    before = await ready(client, runtime, data)
    changes = [
        f"UPDATE {table} SET n = n + 1 WHERE n = 7",
        f"DELETE FROM {table} WHERE n = 3",
        f"INSERT INTO {table} (code, n) VALUES ('新', -1)",
        f"ALTER TABLE {table} ALTER COLUMN n TYPE integer",
        f"TRUNCATE {table}",
        f"INSERT INTO {table} (code, n) SELECT 'x', g FROM generate_series(1, 5) AS g",
    ]
    seen = {before.headers["x-govopen-version"]}
    for change in changes:
        await pool.execute(change)
        answer = await client.get(address, headers={"If-None-Match": before.headers["etag"]})
        assert answer.status_code == 200, change
        assert "x-govopen-source" not in answer.headers, "nothing that was made before is handed out"
        rows = await pool.fetchval(f"SELECT count(*) FROM {table}")
        assert answer.text.count("\n") == rows + 1
        assert answer.headers["x-govopen-version"] not in seen
        seen.add(answer.headers["x-govopen-version"])
        before = await ready(client, runtime, data)
        assert before.content == answer.content
        assert before.headers["last-modified"] not in {http_date(datetime(2000, 1, 1, tzinfo=UTC))}


async def test_an_open_transaction_changes_nothing_until_it_commits(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    before = await ready(client, runtime, data)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        for number in range(3):
            await connection.execute(f'DELETE FROM "{data.resource_id}" WHERE n = $1', number)
        during = await client.get(f"/data/v1/{data.resource_id}", headers={"Accept-Encoding": "identity"})
        assert (during.content, during.headers["x-govopen-source"]) == (before.content, "file")
        await transaction.commit()
    after = await client.get(f"/data/v1/{data.resource_id}")
    assert "x-govopen-source" not in after.headers
    assert after.text.count("\n") == len(ROWS) - 2
    version = int(after.headers["x-govopen-version"].split("-")[3])
    assert version == int(before.headers["x-govopen-version"].split("-")[3]) + 1, "one transaction, one version"


async def test_without_exact_versions_no_file_is_handed_out(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    await ready(client, runtime, data)
    await pool.execute(f'ALTER TABLE "{data.resource_id}" DISABLE TRIGGER govopen_version')
    answer = await client.get(f"/data/v1/{data.resource_id}")
    assert "x-govopen-source" not in answer.headers
    listing = (await client.get(f"/data/v1/{data.resource_id}/files")).json()
    assert (listing["is_exact"], listing["resumable"]) == (False, False)


async def test_compressed_files(client: httpx.AsyncClient, runtime: Runtime, data: DataObject) -> None:
    whole = await ready(client, runtime, data)
    for coding in ("gzip", "zstd"):
        async with client.stream(
            "GET", f"/data/v1/{data.resource_id}", headers={"Accept-Encoding": f"{coding}, br;q=0.5"}
        ) as answer:
            body = b"".join([block async for block in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["content-length"] == str(len(body))
        assert answer.headers["etag"] == f'"{hashlib.sha256(body).hexdigest()[:40]}"' != whole.headers["etag"]
        plain = gzip.decompress(body) if coding == "gzip" else pa.input_stream(pa.BufferReader(body), "zstd").read()
        assert plain == whole.content
        assert len(body) < len(plain) / 3


async def test_any_split_of_ranges_fits_together(client: httpx.AsyncClient, runtime: Runtime, data: DataObject) -> None:
    """As a client resumes: part after part, each on the condition that it is still the same file."""
    whole = await ready(client, runtime, data, "?format=parquet")
    size, seeded = len(whole.content), random.Random(11)
    for _ in range(12):
        cuts = sorted(seeded.sample(range(1, size), seeded.randrange(5)))
        got = b""
        for first, end in zip([0, *cuts], [*cuts, size], strict=True):
            last = "" if end == size and seeded.random() < 0.5 else str(end - 1)
            headers = {"Range": f"bytes={first}-{last}", "If-Range": whole.headers["etag"]}
            answer = await client.get(f"/data/v1/{data.resource_id}?format=parquet", headers=headers)
            assert answer.status_code == 206
            assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
            assert answer.headers["content-length"] == str(end - first) == str(len(answer.content))
            assert answer.headers["repr-digest"] == whole.headers["repr-digest"]
            got += answer.content
        assert hashlib.sha256(got).digest() == hashlib.sha256(whole.content).digest()


async def test_ranges_that_do_not_hold(client: httpx.AsyncClient, runtime: Runtime, data: DataObject) -> None:
    whole = await ready(client, runtime, data)
    address, size = f"/data/v1/{data.resource_id}", len(whole.content)

    async def ask(**headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.get(address, headers={"Accept-Encoding": "identity", **named})

    answer = await ask(Range=f"bytes={size}-")
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{size}"
    answer = await ask(Range="bytes=0-1,5-6")
    assert (answer.status_code, answer.json()["code"]) == (416, "many_ranges")
    for headers in ({"Range": "lines=1-2"}, {"Range": "bytes=9-3"}, {"Range": "bytes=0-1", "If_Range": '"other"'}):
        answer = await ask(**headers)
        assert (answer.status_code, len(answer.content)) == (200, size)
    assert (await ask(Range="bytes=-3")).content == whole.content[-3:]
    dated = await ask(Range="bytes=0-1", If_Range=whole.headers["last-modified"])
    assert dated.status_code == 206
    for headers in ({"If_None_Match": whole.headers["etag"]}, {"If_Modified_Since": whole.headers["last-modified"]}):
        answer = await ask(**headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == whole.headers["etag"]
    head = await client.head(address, headers={"Accept-Encoding": "identity"})
    assert (head.headers["content-length"], head.headers["etag"]) == (str(size), whole.headers["etag"])


@given(size=st.integers(1, 500), first=st.integers(0, 600), length=st.integers(0, 600), form=st.integers(0, 2))
def test_a_range_is_what_it_says(size: int, first: int, length: int, form: int) -> None:
    from ops.delivery.ranges import RangeNotSatisfiable

    found = Representation('"x"', datetime(2026, 1, 1, tzinfo=UTC), size)
    body = bytes(number % 251 for number in range(size))
    text = (f"bytes={first}-{first + length}", f"bytes={first}-", f"bytes=-{length}")[form]
    wanted = (body[first : first + length + 1], body[first:], body[-length:] if length else b"")[form]
    try:
        part = part_of(Headers({"Range": text}), found)
    except RangeNotSatisfiable:
        assert wanted == b""
        return
    assert (part.partial, body[part.first : part.last + 1], part.length) == (True, wanted, len(wanted))


def test_validators_and_codings() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    found = Representation('"abc"', at, 10)
    assert is_unchanged(Headers({"If-None-Match": '"x", W/"abc"'}), found)
    assert not is_unchanged(Headers({"If-None-Match": '"x"', "If-Modified-Since": http_date(at)}), found)
    assert not is_unchanged(Headers({"If-Modified-Since": http_date(at - timedelta(seconds=1))}), found)
    assert not is_unchanged(Headers({"If-Modified-Since": "yesterday"}), found)
    codings = ("zstd", "gzip")
    wanted = {
        "gzip, zstd": "zstd",
        "gzip;q=1, zstd;q=0.2": "gzip",
        "br": None,
        "": None,
        "*": "zstd",
        "zstd;q=0, gzip": "gzip",
        "identity, gzip;q=0.5": None,
        "gzip;q=x": None,
    }
    assert {text: coding_of(Headers({"Accept-Encoding": text}), codings) for text in wanted} == wanted


async def test_a_file_is_made_once_whoever_asks(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    async def counting(store: FileStore, plan: Plan) -> Manifest | None:
        made.append(plan.label)
        return await make(store, plan)

    monkeypatch.setattr("ops.delivery.files.build.make", counting)
    await asyncio.gather(*(client.get(f"/data/v1/{data.resource_id}") for _ in range(12)))
    await (await delivery_of(runtime)).files.settled()
    assert made == ["csv"]
    assert not [one for one in (folder / data.resource_id).iterdir() if ".part" in one.name]


def _hold(place: str, held: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    with _alone(Path(place)) as alone:
        assert alone
        held.set()
        done.wait(30)


async def test_another_process_is_not_disturbed_and_a_dead_one_holds_nothing(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, folder: Path
) -> None:
    (folder / data.resource_id).mkdir(parents=True)
    spawn = multiprocessing.get_context("spawn")
    held, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(str(folder / data.resource_id / "csv.lock"), held, done))
    other.start()
    try:
        assert await asyncio.to_thread(held.wait, 60)
        await client.get(f"/data/v1/{data.resource_id}")
        await (await delivery_of(runtime)).files.settled()
        assert FileStore(folder, 1).of(data.resource_id) == []
    finally:
        other.kill()
        await asyncio.to_thread(other.join, 30)
    assert (await ready(client, runtime, data)).status_code == 200


async def test_the_listing_tells_size_and_checksum(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    address = f"/data/v1/{data.resource_id}/files"
    first = {one["format"]: one for one in (await client.get(address)).json()["items"]}
    assert [name for name, one in first.items() if one.get("preparing")] == ["csv", "parquet", "xlsx"]
    assert (first["geojson"]["available"], first["geojson"]["reason"]) == (False, "no_geometry")
    await (await delivery_of(runtime)).files.settled()
    listing = (await client.get(address)).json()
    assert listing["is_exact"]
    for one in listing["items"]:
        if one["ready"]:
            answer = await client.get(one["url"], headers={"Accept-Encoding": "identity"})
            assert (len(answer.content), hashlib.sha256(answer.content).hexdigest()) == (one["size"], one["sha256"])
            assert (one["rows"], one["etag"]) == (len(ROWS), answer.headers["etag"])
    (csv,) = [one for one in listing["items"] if one["format"] == "csv"]
    assert {one["encoding"] for one in csv["encodings"]} == {"gzip", "zstd"}
    await pool.execute(f'DELETE FROM "{data.resource_id}" WHERE n = 1')
    assert not any(one["ready"] for one in (await client.get(address)).json()["items"])


async def test_restricted_data_is_never_kept_as_a_file(
    client: httpx.AsyncClient, runtime: Runtime, folder: Path, pool: asyncpg.Pool
) -> None:
    data = await testing.load_restricted(
        runtime, testing.data_object(new_id("res"), FIELDS), {"code": "text", "n": "bigint"}, ROWS[:10]
    )
    granted = await testing.issue_grant(runtime, data, ["code"])
    for tail in ("", "/files"):
        answer = await client.get(f"/data/v1/{data.resource_id}{tail}", headers=granted.headers)
        assert answer.status_code == 200
        assert "x-govopen-source" not in answer.headers
    assert (await client.get(f"/data/v1/{data.resource_id}/files")).json()["code"] == "key_required"
    assert not folder.exists() or not list(folder.iterdir())


async def test_data_that_is_open_no_more_has_no_file(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready(client, runtime, data)
    shut = replace(data, open_attribute=testing.data_object("x", []).open_attribute)
    await testing.publish(runtime, shut)
    answer = await client.get(f"/data/v1/{data.resource_id}")
    assert answer.json()["code"] == "key_required"
    monkeypatch.setenv("GOVOPEN_FILES_DIR", str(folder))
    await clear_files(runtime)
    assert not (folder / data.resource_id).exists()


async def test_the_bound_drops_what_was_least_used(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, folder: Path
) -> None:
    for query in ("?format=parquet", "?format=xlsx"):
        await ready(client, runtime, data, query)
    store = FileStore(folder, 1 << 30)
    notes = sorted((folder / data.resource_id).glob("*.manifest"))
    assert len(notes) == 2
    for place, note in enumerate(notes):
        os.utime(note, (1_000_000_000 + place,) * 2)
    now_s = 1_000_000_100.0
    kept = store.of(data.resource_id)[1]
    assert FileStore(folder, kept.size).clear({data.resource_id}, now_s) == 1
    assert store.of(data.resource_id) == [kept]
    (folder / data.resource_id / "csv.99.part").write_bytes(b"half")
    os.utime(folder / data.resource_id / "csv.99.part", (1, 1))
    store.clear({data.resource_id}, now_s)
    assert not (folder / data.resource_id / "csv.99.part").exists()
    assert store.clear({data.resource_id}, now_s + 20 * 86_400) == 1
    assert store.of(data.resource_id) == []


async def test_what_was_sent_is_counted_by_its_share(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, pool: asyncpg.Pool
) -> None:
    whole = await ready(client, runtime, data)
    size = len(whole.content)
    for part in (f"bytes=0-{size // 2}", f"bytes={size // 2 + 1}-"):
        await client.get(f"/data/v1/{data.resource_id}", headers={"Range": part, "Accept-Encoding": "identity"})
    await (await delivery_of(runtime)).recorder._write_open_sums()
    sums = await pool.fetchrow("SELECT * FROM billing.usage_open_day WHERE resource_id = $1", data.resource_id)
    assert (sums["downloads"], sums["rows"], sums["bytes"]) == (3, 3 * len(ROWS), 3 * size)
