"""The tax rate in force on a day: configuration with its source note."""

from __future__ import annotations

from datetime import date

import asyncpg


async def rate_in_force(tx: asyncpg.Connection, on: date) -> int:
    """The rate in basis points."""
    rate: int = await tx.fetchval(
        "SELECT rate_bp FROM billing.tax_rate WHERE effective_on <= $1 ORDER BY effective_on DESC LIMIT 1", on
    )
    return rate
