"""``/v1/queue`` and ``/v1/vocabularies``: what waits for the caller, and the code lists of the forms."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from authz import CallDep, RuntimeDep
from authz.vocabularies import lists
from licensing.limits import procedure
from licensing.queue import overdue_items, work_items
from licensing.routes.paging import Limit

router = APIRouter(tags=["work"])


@router.get("/v1/queue")
async def show_queue(
    runtime: RuntimeDep, call: CallDep, limit: Limit = 50,
    kind: Annotated[str | None, Query(max_length=40, pattern=r"^[a-z_]+$")] = None,
    overdue: bool | None = None,
    cursor: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> dict[str, Any]:
    """Work items of the caller, the most urgent first; ``cursor`` is the number of items already seen."""
    async with runtime.snapshot() as tx:
        items = await work_items(tx, call)
    found = [
        one for one in items
        if (kind is None or one["kind"] == kind) and (overdue is None or one["overdue"] is overdue)
    ]
    end = cursor + limit
    return {
        "items": found[cursor:end], "next": str(end) if end < len(found) else None, "total": len(found),
        "overdue": sum(1 for one in found if one["overdue"]),
    }


@router.get("/v1/overdue")
async def show_overdue(runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """For the authority and auditors: what is overdue in any office. Nothing on it is approved by silence."""
    async with runtime.snapshot() as tx:
        items = await overdue_items(tx, call)
    return {"items": items, "next": None, "total": len(items)}


@router.get("/v1/vocabularies")
async def show_vocabularies() -> dict[str, Any]:
    """Code lists in Chinese and English, and the bounds that forms should know of. Public."""
    rules = procedure()
    return {
        "lists": {name: [term.as_document() for term in terms.values()] for name, terms in lists().items()},
        "procedure": {
            "reviewers": list(rules.reviewers), "term_months_max": rules.term_months_max,
            "limits": {
                name: {"days": limit.days, "unit": limit.unit, "source": limit.source}
                for name, limit in rules.limits.items()
            },
        },
    }
