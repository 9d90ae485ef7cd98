"""Events as they were recorded, in the order of their numbers, wherever they are kept: the database or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from billing.usage import archive


@dataclass(frozen=True)
class Span:
    """Events of one grant within a half-open span of time and of numbers ``after_number`` < n <= ``up_to_number``."""

    grant_id: str
    start: datetime
    end: datetime
    after_number: int = 0
    up_to_number: int = 2**62


async def page(
    tx: asyncpg.Connection, folder: str | None, spans: Sequence[Span], *, after: int = 0, limit: int = 1000
) -> list[dict[str, Any]]:
    """Events of any of the spans numbered above ``after``, at most ``limit``. Raises ArchiveMissing."""
    if not spans:
        return []
    found = await stored(tx, spans, after, limit)
    for segment in await archive.segments(tx, min(s.start for s in spans), max(s.end for s in spans)):
        grants = sorted({s.grant_id for s in spans})
        lowest = max(after, min(s.after_number for s in spans))
        moved = await archive.read(segment, folder, grants, after=lowest)
        found += [row for row in moved if any(_in(row, span) for span in spans)][:limit]
    return sorted(found, key=lambda row: int(row["number"]))[:limit]


async def stored(tx: asyncpg.Connection, spans: Sequence[Span], after: int, limit: int) -> list[dict[str, Any]]:
    """Those of them that are in the database."""
    rows = await tx.fetch(
        """
        SELECT e.* FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::bigint[])
            AS s (grant_id, starts_at, ends_at, after_number, up_to_number)
        CROSS JOIN LATERAL (
            SELECT * FROM billing.usage_event v
            WHERE v.subject = s.grant_id AND v.number > greatest($6, s.after_number) AND v.number <= s.up_to_number
              AND v.time >= s.starts_at AND v.time < s.ends_at
            ORDER BY v.number LIMIT $7
        ) AS e
        ORDER BY e.number LIMIT $7
        """,
        [s.grant_id for s in spans], [s.start for s in spans], [s.end for s in spans],
        [s.after_number for s in spans], [s.up_to_number for s in spans], after, limit,
    )
    return [dict(row) for row in rows]


def _in(row: dict[str, Any], span: Span) -> bool:
    return bool(
        row["subject"] == span.grant_id and span.start <= row["time"] < span.end
        and span.after_number < row["number"] <= span.up_to_number
    )
