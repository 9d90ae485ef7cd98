"""HTTP routes of usage: what a grant has used and may still use, and the events behind it."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from authz import CallDep, FieldError, InvalidInput, RuntimeDep, beijing_date, organisations_where
from billing.usage import downloads, eventstore, reading, service
from billing.usage.model import UsageTotals, beijing_start, month_of, next_month
from billing.usage.quota import Quota
from billing.usage.service import SpanTotals
from licensing import grants

PERIOD = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
MONTHS_SHOWN = 13
VIEW = "grant:view"
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2200, 1, 1)

router = APIRouter(tags=["usage"])
router.include_router(downloads.router)


def _sums(totals: UsageTotals) -> dict[str, int]:
    return {"rows": totals.rows, "calls": totals.calls, "bytes": totals.bytes}


def _span(one: SpanTotals, name: str) -> dict[str, Any]:
    return {
        name: one.starts_on.isoformat(), **_sums(one.totals), "open_rows": one.open_rows, "open_calls": one.open_calls,
    }


@router.get("/v1/grants/{grant_id}/usage", summary="授权的用量 Usage of a grant")
async def show_usage(
    grant_id: str, runtime: RuntimeDep, call: CallDep, days: Annotated[int, Query(ge=1, le=366)] = 31
) -> dict[str, Any]:
    """Sums by day and month (Beijing's), live, and what the quota leaves; for the grant's party and supervisors."""
    today = beijing_date(call.now)
    first_month = month_of(today - timedelta(days=31 * (MONTHS_SHOWN - 1)))
    async with runtime.snapshot() as tx:
        grant = await grants.view(tx, call, grant_id)
        quota = Quota.of(dict(grant.quota))
        by_day = await service.spans(tx, grant_id, "day", today - timedelta(days=days - 1), today + timedelta(days=1))
        by_month = await service.spans(tx, grant_id, "month", first_month, next_month(today))
        left = await service.quota_left(tx, grant_id, quota, today)
    return {
        "grant_id": grant_id, "resource_id": grant.resource_id, "as_of": call.now.isoformat(),
        "days": [_span(one, "on") for one in by_day],
        "months": [{"period": one.starts_on.isoformat()[:7], **_span(one, "starts_on")} for one in by_month],
        "quota": {
            "rows_month": {
                "limit": quota.rows_month, "left": left.rows_month, "resets_on": left.month_resets_on.isoformat(),
            },
            "calls_day": {
                "limit": quota.calls_day, "left": left.calls_day,
                "resets_on": (today + timedelta(days=1)).isoformat(),
            },
            **{one.name: one.as_document() for one in left.bounds},
        },
    }


@router.get("/v1/usage/events", summary="用量事件 Usage events")
async def list_events(
    runtime: RuntimeDep, call: CallDep, grant_id: str | None = None, period: str | None = None,
    cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """CloudEvents of a grant in the order they were recorded; of all grants for who may see them all.

    A grant's events of months that were moved out are read from their files; the list over all grants leaves them out.
    """
    start, end = _period(period)
    async with runtime.snapshot() as tx:
        if grant_id is not None:
            await grants.view(tx, call, grant_id)
        elif organisations_where(call.identity, VIEW) is not None:
            raise InvalidInput([FieldError("grant_id", "missing", "必填项", "is required")])
        if grant_id is None:
            found = await service.events(
                tx, None, period_start=start, period_end=end, after=_after(cursor), limit=limit + 1
            )
        else:
            span = reading.Span(grant_id, beijing_start(start or FIRST_DAY), beijing_start(end or LAST_DAY))
            rows = await reading.page(
                tx, runtime.settings.archive_folder, [span], after=_after(cursor), limit=limit + 1
            )
            found = [eventstore.event_of_record(row) for row in rows]
    shown = found[:limit]
    following = str(shown[-1].number) if len(found) > limit else None
    return {"items": [one.as_document() for one in shown], "next": following}


def _period(period: str | None) -> tuple[date | None, date | None]:
    if period is None:
        return None, None
    if not PERIOD.fullmatch(period):
        fault = FieldError("period", "malformed", "应为月份，例如 2026-11", "must be a month such as 2026-11")
        raise InvalidInput([fault])
    start = date(int(period[:4]), int(period[5:]), 1)
    return start, next_month(start)


def _after(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise InvalidInput([FieldError("cursor", "malformed", "游标无效", "is not a cursor")])
    return int(cursor)
