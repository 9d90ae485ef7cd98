"""Decisions reach their log whole and in order, many in one transaction."""

from __future__ import annotations

import asyncio

from authz import Runtime, decide
from authz.testing import NOW, a_request
from ops.delivery.decisions import FLUSH_EVERY_S, DecisionLog


async def test_decisions_made_while_others_are_written_wait_for_the_next_time(runtime: Runtime) -> None:
    """Else a busy process would write each few of them in a transaction of their own, without an end."""
    kept, asked = DecisionLog(runtime.pool), a_request()
    decision = decide(asked)
    kept.start()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    made = 0
    while loop.time() < begun + 3 * FLUSH_EVERY_S:
        kept.add(asked, decision, f"req-{made:05}", NOW)
        made += 1
        await asyncio.sleep(0.001)
    passed = loop.time() - begun
    await kept.close()
    rows = await runtime.pool.fetch(
        "SELECT request_id, xmin::text AS written FROM authz.decision_log WHERE request_id LIKE 'req-0%' ORDER BY id"
    )
    assert [row["request_id"] for row in rows] == [f"req-{number:05}" for number in range(made)]
    assert len({row["written"] for row in rows}) <= passed / FLUSH_EVERY_S + 1
