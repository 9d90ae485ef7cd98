"""Every format over HTTP: how it is asked for, what it refuses, masks, exact counting, and who leaves early."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from authz import DataObject, Runtime, new_id
from billing import usage
from ops import testing
from ops.app import build_app
from ops.delivery.formats import FORMATS, framing_for
from ops.delivery.framing import Framing
from ops.delivery.testing import read_arrow, read_csv, read_jsonl, read_parquet, read_xlsx

GEO = [
    {"name": "name", "title": "名称", "type": "text"},
    {"name": "lon", "title": "经度", "type": "numeric"},
    {"name": "lat", "title": "纬度", "type": "text"},
]
GEO_ROWS = [("东", Decimal("120.5"), "31.3"), ("无", None, "31"), ("错", Decimal("500"), "31"), ("字", Decimal(1), "x")]


@pytest.fixture
async def places(runtime: Runtime, pool: asyncpg.Pool) -> DataObject:
    resource_id = new_id("res")
    await testing.fill_table(pool, "public", resource_id, {"name": "text", "lon": "numeric", "lat": "text"}, GEO_ROWS)
    return await testing.publish(
        runtime, testing.data_object(resource_id, GEO, open_attribute="unconditional", grade="general-1")
    )


async def test_geojson_of_longitude_and_latitude(client: httpx.AsyncClient, places: DataObject) -> None:
    answer = await client.get(f"/data/v1/{places.resource_id}", headers={"Accept": "application/geo+json"})
    assert answer.headers["content-type"] == "application/geo+json"
    document = answer.json()
    geometries = [one["geometry"] for one in document["features"]]
    assert geometries == [{"type": "Point", "coordinates": [120.5, 31.3]}, None, None, None]
    assert document["features"][0]["properties"] == {"name": "东", "lon": 120.5, "lat": "31.3"}


async def test_what_a_format_cannot_hold_is_said_before_the_first_byte(
    client: httpx.AsyncClient, places: DataObject, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/data/v1/{places.resource_id}"
    answer = await client.get(address, params={"format": "geojson", "columns": "name"})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_geometry")
    monkeypatch.setattr("ops.delivery.formats.xlsx.ROWS_MAX", 3)
    answer = await client.get(address, params={"format": "xlsx"}, headers={"Accept-Language": "en"})
    assert (answer.status_code, answer.json()["code"]) == (422, "format_rows_exceeded")
    assert answer.headers["content-type"].startswith("application/problem+json")
    await pool.execute(f'UPDATE "{places.resource_id}" SET name = repeat($1, 20000) WHERE lon IS NULL', "𠮷")
    answer = await client.get(address, params={"format": "xlsx", "limit": "3"})
    assert (answer.status_code, answer.json()["code"]) == (422, "format_text_exceeded")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "text/csv"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/csv"),
        ("application/json", "application/json"),
        ("application/x-ndjson, text/csv;q=0.5", "application/x-ndjson"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("application/vnd.apache.arrow.stream;q=0.9,application/json;q=0.1", "application/vnd.apache.arrow.stream"),
    ],
)
async def test_the_format_follows_accept(client: httpx.AsyncClient, places: DataObject, accept: str, kind: str) -> None:
    answer = await client.get(f"/data/v1/{places.resource_id}", headers={"Accept": accept})
    assert answer.headers["content-type"].split(";")[0] == kind
    named = await client.get(f"/data/v1/{places.resource_id}?format=jsonl", headers={"Accept": accept})
    assert named.headers["content-type"].startswith("application/x-ndjson")


async def test_faulty_wishes_are_named(client: httpx.AsyncClient, places: DataObject) -> None:
    address = f"/data/v1/{places.resource_id}"
    answer = await client.get(address, headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    params = {"format": "json", "encoding": "gb18030", "sort": "name,-name", "bom": "1"}
    answer = await client.get(address, params=params)
    assert {(one["field"], one["code"]) for one in answer.json()["errors"]} == {
        ("encoding", "csv_only"),
        ("bom", "csv_only"),
        ("sort", "repeated_name"),
        ("bom", "contradiction"),
    }
    answer = await client.get(address, params={"sort": "nowhere"})
    assert answer.json()["errors"][0]["field"] == "sort.nowhere"


async def test_sorting_is_stable_with_no_value_last(client: httpx.AsyncClient, places: DataObject) -> None:
    answer = await client.get(f"/data/v1/{places.resource_id}", params={"sort": "-lat,name", "format": "jsonl"})
    assert [one["name"] for one in read_jsonl(answer.content)] == ["字", "东", "无", "错"]
    answer = await client.get(f"/data/v1/{places.resource_id}", params={"sort": "lon", "format": "jsonl", "limit": "2"})
    assert [one["name"] for one in read_jsonl(answer.content)] == ["字", "东"]


SECRET = [
    {"name": "name", "title": "企业", "type": "text", "mask": "partial:name"},
    {"name": "phone", "title": "电话", "type": "text", "mask": "partial:phone"},
    {"name": "capital", "title": "资本", "type": "numeric", "mask": "generalise_number:100"},
    {"name": "on_day", "title": "日期", "type": "date", "mask": "generalise_date:year"},
]
SECRET_ROWS = [
    (f"企业{n}号", f"1391234{n:04d}", Decimal(n * 77) / 4, datetime.date(2020 + n % 3, 1 + n % 12, 3))
    for n in range(200)
]


@pytest.mark.parametrize("name", [one for one in FORMATS if one != "geojson"])
async def test_every_format_shows_masks_and_is_counted_exactly(
    client: httpx.AsyncClient, runtime: Runtime, pool: asyncpg.Pool, name: str
) -> None:
    data = await testing.load_restricted(
        runtime,
        testing.data_object(new_id("res"), SECRET),
        {"name": "text", "phone": "text", "capital": "numeric", "on_day": "date"},
        SECRET_ROWS,
    )
    granted = await testing.issue_grant(
        runtime,
        data,
        [one["name"] for one in SECRET],
        row_filter=[{"field": "capital", "op": "gte", "value": 1000}],
        quota={"rows_month": 1_000},
    )
    answer = await client.get(f"/data/v1/{data.resource_id}?format={name}", headers=granted.headers)
    assert answer.status_code == 200, answer.text
    wanted = [
        (f"{n}"[0] + "**", f"{phone[:3]}****{phone[-4:]}", int(c // 100 * 100), f"{day.year}")
        for n, phone, c, day in SECRET_ROWS
        if c >= 1000
    ]
    assert read_any(name, answer.content) == wanted
    assert b"13912340150" not in answer.content
    (event,) = await usage.events(pool, [granted.id])
    assert (event.rows, event.bytes) == (len(wanted), len(answer.content))
    assert granted.id not in answer.text or name == "json"


def read_any(name: str, body: bytes) -> list[tuple[Any, ...]]:
    if name == "csv":
        rows: Any = read_csv(body)[1]
    elif name == "xlsx":
        rows = read_xlsx(body)[1:]
    elif name in ("parquet", "arrow"):
        rows = [list(one.values()) for one in (read_parquet if name == "parquet" else read_arrow)(body).to_pylist()]
    else:
        rows = [list(one.values()) for one in (read_jsonl(body) if name == "jsonl" else orjson.loads(body)["items"])]
    return [(one[0], one[1], int(Decimal(one[2])), one[3]) for one in rows]


async def test_more_than_the_quota_is_refused_in_every_format(client: httpx.AsyncClient, runtime: Runtime) -> None:
    data = await testing.load_restricted(
        runtime, testing.data_object(new_id("res"), SECRET[:1]), {"name": "text"}, [("甲",)] * 20
    )
    granted = await testing.issue_grant(runtime, data, ["name"], quota={"rows_month": 10})
    for name in ("csv", "jsonl", "parquet", "arrow", "xlsx", "json"):
        answer = await client.get(f"/data/v1/{data.resource_id}?format={name}", headers=granted.headers)
        assert (answer.status_code, answer.json()["code"]) == (429, "quota_exhausted"), name


async def test_the_description_of_the_interface_names_every_format(client: httpx.AsyncClient) -> None:
    document = (await client.get("/v1/openapi.json")).json()
    shown = document["paths"]["/data/v1/{resource_id}"]["get"]
    assert set(shown["responses"]["200"]["content"]) >= {one.media_type.split(";")[0] for one in FORMATS.values()}
    assert {"206", "304", "406", "416", "429"} <= set(shown["responses"])
    assert all("example" in shown["responses"][code]["content"]["application/problem+json"] for code in ("416", "429"))
    (named,) = [one for one in shown["parameters"] if one["name"] == "format"]
    assert named["schema"]["enum"] == list(FORMATS)
    assert "/data/v1/{resource_id}/files" in document["paths"]


async def leave_after(app: Any, path: str, headers: dict[str, str], messages: int) -> bytes:
    """What a client got that takes so many pieces, then nothing more, and then is gone."""
    got, gone = bytearray(), asyncio.Event()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal messages
        if message["type"] == "http.response.body":
            got.extend(message["body"])
            messages -= 1
            if messages == 0:
                gone.set()
                await asyncio.Event().wait()

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("govopen.test", 80),
        "client": ("127.0.0.1", 1),
        "asgi": {"version": "3.0"},
    }
    await app(scope, receive, send)
    return bytes(got)


@pytest.mark.parametrize("name", [one for one in FORMATS if one != "geojson"])
async def test_who_leaves_pays_for_what_was_sent_in_every_format(
    runtime: Runtime, pool: asyncpg.Pool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = 40_000
    data = await testing.load_restricted(
        runtime,
        testing.data_object(new_id("res"), [{"name": "a", "title": "甲", "type": "text"}]),
        {"a": "text"},
        ((hashlib.sha256(str(number).encode()).hexdigest(),) for number in range(total)),
    )
    granted = await testing.issue_grant(runtime, data, ["a"], quota={"rows_month": total})

    async def in_small_batches(*given: Any) -> Framing:
        framing: Any = await framing_for(*given)
        framing.batch_bytes = min(framing.batch_bytes, 100_000)
        return framing

    monkeypatch.setattr("ops.delivery.downloads.framing_for", in_small_batches)
    got = await leave_after(build_app(runtime), f"/data/v1/{data.resource_id}?format={name}", granted.headers, 3)
    async with asyncio.timeout(20):
        while not (events := await usage.events(pool, [granted.id])):
            await asyncio.sleep(0.02)
    (event,) = events
    assert (event.data["outcome"], event.bytes) == ("client_left", len(got))
    assert 0 < event.rows < total
    if name in ("csv", "jsonl", "json"):
        assert event.rows == got.count(b"\n") - (name != "jsonl")
    if name == "arrow":
        assert rows_of_a_broken_stream(got) <= event.rows
    assert await usage.open_reservations(pool, grant_id=granted.id) == []


def rows_of_a_broken_stream(body: bytes) -> int:
    import pyarrow as pa

    rows = 0
    with contextlib.suppress(pa.ArrowInvalid, StopIteration, OSError):
        for batch in pa.ipc.open_stream(body):
            rows += batch.num_rows
    return rows
