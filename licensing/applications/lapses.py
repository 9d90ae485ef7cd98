"""What the clock does: drafts, supplements, offers and unsigned agreements lapse when their limit has passed."""

from __future__ import annotations

from dataclasses import replace

import asyncpg

from authz import AuditLog, Call, beijing_date
from licensing import agreements
from licensing.applications import store
from licensing.applications.steps import E, S, as_system, move
from licensing.lifecycle import APPLICATION

REASONS = {
    S.DRAFT: "草稿逾期未提交",
    S.SUPPLEMENT: "逾期未补正，视为放弃申请",
    S.OFFERED: "报价逾期未确认",
    S.SIGNING: "逾期未签署协议",
}


async def expire_due(tx: asyncpg.Connection, call: Call, *, audit: AuditLog, limit: int = 100) -> int:
    """Let up to ``limit`` applications lapse whose last day is before today (Beijing); returns how many."""
    ids = await store.lapsing(tx, beijing_date(call.now), limit)
    for application_id in ids:
        before = await store.locked(tx, application_id, None)
        row = APPLICATION.require(before.state, E.EXPIRE)
        await move(
            tx, as_system(call), before, row, replace(before, state=S.EXPIRED, lapses_on=None), audit=audit,
            reason=REASONS.get(before.state),
        )
        if before.agreement_id:
            await agreements.void(tx, as_system(call), before.agreement_id, audit=audit)
    return len(ids)
