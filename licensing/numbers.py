"""Gapless numbers per series and Beijing year, such as ``SQ-2026-000001``."""

from __future__ import annotations

import asyncpg

from authz import Call, beijing_date


async def next_number(tx: asyncpg.Connection, call: Call, series: str) -> str:
    """The next number; two transactions that ask at once wait for each other, so none is given twice or lost."""
    year = beijing_date(call.now).year
    last: int = await tx.fetchval(
        "INSERT INTO licensing.number_series (series, year, last) VALUES ($1, $2, 1)"
        " ON CONFLICT (series, year) DO UPDATE SET last = licensing.number_series.last + 1 RETURNING last",
        series, year,
    )
    return f"{series}-{year}-{last:06d}"
