"""Data that becomes open without conditions is free from the next close, whatever was agreed before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from authz import Call, FixedClock, OpenAttribute, Runtime
from billing.invoices.closing import close_period
from billing.periods import Period
from billing.testing.builders import OFFICER, a_billed_city


async def test_opened_data_is_metered_and_free(
    runtime: Runtime, clock: FixedClock, pool: asyncpg.Pool, committed: Any
) -> None:
    async with committed() as scene:
        grants = await a_billed_city(scene, since=datetime(2026, 11, 2, tzinfo=UTC))
        await scene.use(grants["alpha"], datetime(2026, 11, 10, tzinfo=UTC), 5_000)
        await scene.data_object("res-city", open_attribute=OpenAttribute.UNCONDITIONAL)
    clock.at = datetime(2026, 12, 3, tzinfo=UTC)
    await close_period(runtime, Call(OFFICER, clock.now(), "r"), Period(2026, 11))
    row = await pool.fetchrow(
        "SELECT i.state, l.quantity, l.amount_fen FROM billing.invoice i JOIN billing.invoice_line l"
        " ON l.invoice_id = i.id WHERE i.party_id = 'pty_alpha'"
    )
    assert tuple(row) == ("free", 5_000, 0)
