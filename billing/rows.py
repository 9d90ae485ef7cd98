"""Reading the one row that must be there."""

from __future__ import annotations

import asyncpg

from authz import NotFound


async def one(tx: asyncpg.Connection, query: str, *values: object) -> asyncpg.Record:
    """The row; raises NotFound when there is none."""
    row = await tx.fetchrow(query, *values)
    if row is None:
        raise NotFound
    return row
