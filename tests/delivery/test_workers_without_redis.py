"""Redis is away: every worker limits by itself, and no door stands open."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

from worker_processes import Workers, callers, environment, free_port

from authz import Runtime, SystemClock, new_id
from ops import testing

FIELDS = [{"name": "code", "title": "代码", "type": "text"}]


async def test_without_redis_every_worker_limits_by_itself(
    database_url: str, keys: dict[str, Path], runtime: Runtime
) -> None:
    runtime = replace(runtime, clock=SystemClock())
    data = await testing.load_restricted(
        runtime, testing.data_object(new_id("res"), FIELDS), {"code": "text"}, [("a",), ("b",)]
    )
    env = {**environment(database_url, f"redis://127.0.0.1:{free_port()}/0", keys), "GOVOPEN_RATE_KEY": "50"}
    alone = Workers(env)
    try:
        granted = await testing.issue_grant(runtime, data, ["code"])
        async with callers(alone, 40) as client:
            calls = [
                client.get(f"/data/v1/{data.resource_id}/rows?limit=1", headers=granted.headers) for _ in range(160)
            ]
            codes = Counter(answer.status_code for answer in await asyncio.gather(*calls))
        assert set(codes) == {200, 429}
        assert codes[429] > 80, "no worker lets more through than its own limit"
    finally:
        alone.stop()
