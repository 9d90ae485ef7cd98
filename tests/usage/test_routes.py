"""Usage as the grantee and the supervisors see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from authz import FixedClock, Role, Runtime, new_id
from billing.usage import Ask, Quota, Served, UsageRecorder
from billing.usage.downloads import CKAN_SYSTEM
from ops import testing
from ops.testing import Granted

FIELDS = [{"name": "a", "title": "甲", "type": "text"}]


@pytest.fixture
async def granted(runtime: Runtime) -> Granted:
    data = await testing.publish(runtime, testing.data_object(new_id("res"), FIELDS))
    return await testing.issue_grant(runtime, data, ["a"], quota={"rows_month": 1000, "calls_day": 10})


async def use(runtime: Runtime, granted: Granted, *rows: int) -> None:
    recorder = UsageRecorder(runtime.pool, runtime.audit, runtime.clock)
    await recorder.start()
    for count in rows:
        ask = Ask(granted.id, "res", "lending", ("a",), count, runtime.clock.now(), Quota())
        await recorder.record(ask, Served(count, count * 10))
    await recorder.close()


async def test_days_months_and_what_is_left(
    client: httpx.AsyncClient, runtime: Runtime, clock: FixedClock, granted: Granted,
    token_for: Callable[..., dict[str, str]], give_role: Callable[..., object],
) -> None:
    await give_role("chen", Role.ENTERPRISE_MEMBER, testing.PARTY)  # type: ignore[misc]
    await use(runtime, granted, 5, 7)
    clock.advance(days=1)
    await use(runtime, granted, 11)
    answer = await client.get(f"/v1/grants/{granted.id}/usage", headers=token_for("chen"))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [(one["on"], one["rows"], one["calls"]) for one in found["days"]] == [
        ("2026-11-23", 12, 2), ("2026-11-24", 11, 1),
    ]
    assert [(one["period"], one["rows"], one["bytes"]) for one in found["months"]] == [("2026-11", 23, 230)]
    assert found["quota"]["rows_month"] == {"limit": 1000, "left": 977, "resets_on": "2026-12-01"}
    assert found["quota"]["calls_day"]["left"] == 9


async def test_events_are_paged_cloudevents(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted,
    token_for: Callable[..., dict[str, str]], give_role: Callable[..., object],
) -> None:
    await give_role("chen", Role.ENTERPRISE_MEMBER, testing.PARTY)  # type: ignore[misc]
    await use(runtime, granted, 1, 2, 3)
    address = f"/v1/usage/events?grant_id={granted.id}&period=2026-11&limit=2"
    first = (await client.get(address, headers=token_for("chen"))).json()
    second = (await client.get(f"{address}&cursor={first['next']}", headers=token_for("chen"))).json()
    assert [one["data"]["rows"] for one in first["items"] + second["items"]] == [1, 2, 3]
    assert second["next"] is None
    event = first["items"][0]
    assert (event["specversion"], event["source"], event["subject"]) == ("1.0", "/data/v1", granted.id)
    none = await client.get(address.replace("2026-11", "2026-10"), headers=token_for("chen"))
    assert none.json()["items"] == []


async def test_strangers_see_nothing_and_supervisors_everything(
    client: httpx.AsyncClient, runtime: Runtime, granted: Granted,
    token_for: Callable[..., dict[str, str]], give_role: Callable[..., object],
) -> None:
    await give_role("zhao", Role.AUTHORITY, "pty_authority")  # type: ignore[misc]
    await use(runtime, granted, 1)
    for address in (f"/v1/grants/{granted.id}/usage", f"/v1/usage/events?grant_id={granted.id}"):
        assert (await client.get(address)).status_code == 401
        assert (await client.get(address, headers=token_for("wu"))).status_code == 404
        assert (await client.get(address, headers=token_for("zhao"))).status_code == 200
    assert (await client.get("/v1/usage/events", headers=token_for("wu"))).status_code == 422
    every = await client.get("/v1/usage/events", headers=token_for("zhao"))
    assert granted.id in {one["subject"] for one in every.json()["items"]}


@pytest.mark.parametrize("query", ["period=2026-13", "period=x", "cursor=-1", "cursor=1e9", "limit=0", "limit=x"])
async def test_bad_queries_are_422(
    client: httpx.AsyncClient, token_for: Callable[..., dict[str, str]], give_role: Callable[..., object],
    query: str,
) -> None:
    await give_role("zhao", Role.AUTHORITY, "pty_authority")  # type: ignore[misc]
    answer = await client.get(f"/v1/usage/events?{query}", headers=token_for("zhao"))
    assert answer.status_code == 422


async def test_downloads_of_open_data_are_told_to_ckan_alone(
    client: httpx.AsyncClient, runtime: Runtime, clock: FixedClock, token_for: Callable[..., Any],
) -> None:
    recorder = UsageRecorder(runtime.pool, runtime.audit, runtime.clock)
    await recorder.start()
    first, second = sorted((new_id("res"), new_id("res")))
    today = clock.now().date()
    recorder.count_open(first, today - timedelta(days=9), 5, 50)
    recorder.count_open(first, today - timedelta(days=8), 5, 50)
    recorder.count_open(second, today, 5, 50)
    recorder.count_open(second, today, 5, 50, downloads=0)
    await recorder.close()
    for who in ("chen", "admin"):
        assert (await client.get("/v1/usage/downloads", headers=token_for(who))).status_code == 403
    assert (await client.get("/v1/usage/downloads")).status_code == 401
    system = {"Authorization": f"Bearer {token_for('x')._sign({'sub': CKAN_SYSTEM})}"}
    whole = (await client.get("/v1/usage/downloads", headers=system)).json()
    assert {one["resource_id"]: one["downloads"] for one in whole["items"]}.items() >= {first: 2, second: 1}.items()
    page = (await client.get("/v1/usage/downloads", params={"limit": 1}, headers=system)).json()
    following = await client.get("/v1/usage/downloads", params={"cursor": page["next"]}, headers=system)
    assert page["items"][0] not in following.json()["items"]
    recent = await client.get("/v1/usage/downloads", params={"since": today.isoformat()}, headers=system)
    assert first not in {one["resource_id"] for one in recent.json()["items"]}
