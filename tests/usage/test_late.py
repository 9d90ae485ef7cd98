"""Late events: counted at once for whoever reads, folded into the counters afterwards, nothing twice."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from authz import FixedClock, Runtime
from billing.jobs import fold_late_counts
from billing.testing.operator import Operator


async def test_what_is_late_is_seen_before_and_after_it_is_folded(
    operator: Operator, runtime: Runtime, clock: FixedClock, pool: asyncpg.Pool
) -> None:
    late = [operator.event(at=clock.now() - timedelta(days=days)) for days in (0, 24, 24, 60)]
    await operator.send(*late)

    async def seen() -> list[tuple[str, int, int]]:
        answer = await operator.client.get(f"/v1/grants/{operator.grant}/usage?days=80", headers=operator.headers())
        return [(one["on"], one["rows"], one["calls"]) for one in answer.json()["days"]]

    expected = [("2026-09-24", 3, 1), ("2026-10-30", 6, 2), ("2026-11-23", 3, 1)]
    assert await seen() == expected
    await fold_late_counts(runtime)
    assert await pool.fetchval("SELECT count(*) FROM billing.usage_counter_late") == 0
    assert await seen() == expected
    await operator.send(operator.fix(late[1], None), operator.fix(late[3], 10), operator.fix(late[0], 1))
    corrected = [("2026-09-24", 10, 1), ("2026-10-30", 3, 1), ("2026-11-23", 1, 1)]
    assert await seen() == corrected
    await fold_late_counts(runtime)
    await fold_late_counts(runtime)
    assert await seen() == corrected
    months = (await operator.usage())["months"]
    assert [(one["period"], one["rows"]) for one in months] == [("2026-09", 10), ("2026-10", 3), ("2026-11", 1)]
    life = await pool.fetchval(
        "SELECT rows FROM billing.usage_counter WHERE grant_id = $1 AND span = 'life'", operator.grant
    )
    assert life == 14
