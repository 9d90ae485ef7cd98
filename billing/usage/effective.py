"""What events count for now, as one relation: originals that nobody corrected, and corrected ones by their correction.

Events of months that were moved out to files are handed in as arrays, so that one statement
computes over both and nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from authz import Conflict
from billing.usage import archive

ARCHIVED_MAX = 500_000


class TooMuchArchived(Conflict):
    code = "usage_month_archived"
    zh = "所查时段含已归档月份，且其事件超过 {limit} 条，无法直接计算。"
    en = "The time asked for includes months that were moved out, with more than {limit} events."
    next_zh = "请缩小时段或按授权查询，或请运维人员恢复该月（govopen usage restore YYYY-MM）。"
    next_en = "Ask for less time or one grant, or have the month restored (govopen usage restore YYYY-MM)."


SQL = """
e AS (
    SELECT o.* FROM (
        SELECT subject, time, source, id, type, resource_id, rows, calls, bytes, data FROM billing.usage_event
        WHERE subject = ANY($1) AND time >= $2 AND time < $3 AND corrects_id IS NULL
        UNION ALL
        SELECT * FROM unnest($4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], $9::text[],
                             $10::bigint[], $11::bigint[], $12::bigint[], $13::jsonb[])
    ) AS o
    LEFT JOIN billing.usage_effective f ON (f.subject, f.source, f.id) = (o.subject, o.source, o.id)
    WHERE f.subject IS NULL
    UNION ALL
    SELECT subject, time, source, id, type, resource_id, rows, calls, bytes, data FROM billing.usage_effective
    WHERE subject = ANY($1) AND time >= $2 AND time < $3 AND NOT cancelled
)
"""
"""A common table expression ``e``; its parameters are those that ``parameters`` gives."""

COLUMNS = ("subject", "time", "source", "id", "type", "resource_id", "rows", "calls", "bytes", "data")


async def parameters(
    tx: asyncpg.Connection, folder: str | None, grant_ids: Sequence[str], start: datetime, end: datetime
) -> list[Any]:
    """$1 to $13 of ``SQL``. Raises TooMuchArchived, or ArchiveMissing when a file is not where it was put."""
    moved: list[dict[str, Any]] = []
    for segment in await archive.segments(tx, start, end):
        found = await archive.read(segment, folder, grant_ids, limit=ARCHIVED_MAX - len(moved) + 1)
        moved += [one for one in found if one["corrects_id"] is None and start <= one["time"] < end]
        if len(moved) > ARCHIVED_MAX:
            raise TooMuchArchived(limit=ARCHIVED_MAX)
    return [list(grant_ids), start, end, *([one[name] for one in moved] for name in COLUMNS)]
