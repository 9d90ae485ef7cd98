"""How often open data was downloaded, in all: what the catalogue shows and sorts by."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Query

from authz import CallDep, Forbidden, RuntimeDep

CKAN_SYSTEM = "ckan-system"
"""The subject under which the extension speaks for CKAN itself; no person can have it, ids there are UUIDs."""

router = APIRouter(tags=["usage"])


async def download_totals(
    tx: asyncpg.Connection, since: date | None, after: str, limit: int
) -> list[tuple[str, int]]:
    """(resource, downloads ever) in order of the resource; with ``since`` those downloaded on that day or later."""
    rows = await tx.fetch(
        """
        SELECT d.resource_id, sum(d.downloads)::bigint AS downloads FROM billing.usage_open_day d
        WHERE d.resource_id > $1 AND ($2::date IS NULL OR EXISTS (
            SELECT FROM billing.usage_open_day s WHERE s.resource_id = d.resource_id AND s.day >= $2))
        GROUP BY d.resource_id ORDER BY d.resource_id LIMIT $3
        """,
        after, since, limit,
    )
    return [(row["resource_id"], row["downloads"]) for row in rows]


@router.get("/v1/usage/downloads", summary="开放数据下载次数 Downloads of open data")
async def list_downloads(
    runtime: RuntimeDep, call: CallDep, since: date | None = None,
    cursor: Annotated[str, Query(max_length=200)] = "", limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> dict[str, Any]:
    """Downloads per resource, in all; ``since`` narrows to resources downloaded on that day (Beijing's) or later.

    For CKAN itself, which shows the figure of what is public. Calls under grants are not in it: what one licensee does
    with its grant is nobody else's business.
    """
    if call.identity.user_id != CKAN_SYSTEM:
        raise Forbidden
    async with runtime.snapshot() as tx:
        found = await download_totals(tx, since, cursor, limit + 1)
    shown = found[:limit]
    return {
        "items": [{"resource_id": resource, "downloads": downloads} for resource, downloads in shown],
        "next": shown[-1][0] if len(found) > limit else None,
    }
