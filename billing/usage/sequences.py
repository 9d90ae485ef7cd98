"""Whether events are missing: our own count per grant, and the holes in what each sender numbered itself."""

from __future__ import annotations

from typing import Any

import asyncpg

HOLES_SHOWN = 100


async def show(tx: asyncpg.Connection, grant_id: str) -> dict[str, Any]:
    """``recorded`` is the grant's last ``recordnumber``: whoever has read all of 1 .. recorded has read every event.

    Per source that numbers its events (CloudEvents' ``sequence``): the highest that came, how many came, and the
    first holes as ``[from, to]``, both included.
    """
    last = await tx.fetchval("SELECT last FROM billing.usage_grant_sequence WHERE grant_id = $1", grant_id)
    rows = await tx.fetch(
        """
        SELECT s.source, upper(s.received) - 1 AS highest,
            (SELECT sum(upper(r) - lower(r))::bigint FROM unnest(s.received) AS r) AS received,
            (SELECT count(*) FROM unnest(int8multirange(int8range(1, upper(s.received))) - s.received)) AS holes,
            ARRAY(
                SELECT ARRAY[lower(h), upper(h) - 1]
                FROM unnest(int8multirange(int8range(1, upper(s.received))) - s.received) AS h ORDER BY 1 LIMIT $2
            ) AS missing
        FROM billing.usage_source_sequence s WHERE s.grant_id = $1 ORDER BY s.source
        """,
        grant_id, HOLES_SHOWN,
    )
    return {
        "grant_id": grant_id, "recorded": last or 0,
        "sources": [
            {
                "source": row["source"], "highest": row["highest"], "received": row["received"], "holes": row["holes"],
                "missing": [list(hole) for hole in row["missing"]],
            }
            for row in rows
        ],
    }
