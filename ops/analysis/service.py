"""Analysis: a query counted against the budget, kept, run under disclosure control, metered, and only then answered."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import asyncpg
import orjson
from starlette.requests import Request

from authz import AuditEntry, NotFound, Refusal, beijing_date, new_id
from billing.usage import Ask, Quota, Served
from ops.analysis.asking import Question, tellable
from ops.analysis.disclosure import Answer, answer
from ops.analysis.entry import Admitted, admit
from ops.analysis.limits import AnalysisLimits
from ops.analysis.query import AnalysisQuery, parse
from ops.analysis.refusals import AnalysisTooSlow, BudgetSpent
from ops.delivery.connections import acquired
from ops.delivery.parts import DeliveryParts


async def analyse(
    parts: DeliveryParts, request: Request, resource_id: str, text: str, purpose: str | None, limits: AnalysisLimits
) -> tuple[dict[str, Any], dict[str, str]]:
    """The answer and its headers. Every admitted query costs budget, answered or refused, and both are kept."""
    query = parse(text)
    admitted = await admit(
        parts, request, resource_id, "analysis", purpose=purpose, fields=query.columns or None
    )
    query_id = await _spend(parts, admitted, text, limits)
    try:
        found = await _run(parts, admitted, query, query_id, limits)
        await _meter(parts, admitted, query, found)
    except Refusal as refusal:
        await _keep(parts, admitted, query_id, refused=refusal.code)
        raise
    await _keep(parts, admitted, query_id, found=found)
    shown = {
        "id": query_id, "columns": list(found.columns), "rows": [list(row) for row in found.rows],
        "floor": limits.floor, "blurred_by_records": found.blurred,
    }
    return shown, admitted.limits


def _plain(value: Any) -> Any:
    return str(value) if not isinstance(value, str | int | bool | None) else value


async def _spend(parts: DeliveryParts, admitted: Admitted, text: str, limits: AnalysisLimits) -> str:
    """Keep the query and count it; raises BudgetSpent. Two at once cannot spend the same."""
    runtime, grant = parts.runtime, admitted.grant
    now, query_id = runtime.clock.now(), new_id("anq")
    day = beijing_date(now)
    async with runtime.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 5))", grant.id)
        spent = await tx.fetchval(
            "SELECT count(*) FROM analysis.query WHERE grant_id = $1 AND day = $2", grant.id, day
        )
        if spent >= limits.queries_day:
            raise BudgetSpent(most=limits.queries_day)
        await tx.execute(
            "INSERT INTO analysis.query (id, at, day, grant_id, resource_id, purpose, sql)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            query_id, now, day, grant.id, admitted.data.resource_id, grant.purpose, text,
        )
        await runtime.audit.append(tx, AuditEntry(
            "data.analysis_asked", grant.party_id, "data_object", admitted.data.resource_id,
            organisation_id=admitted.data.organisation_id,
            details={
                "query_id": query_id, "grant_id": grant.id, "sql_sha256": hashlib.sha256(text.encode()).hexdigest(),
                "spent": spent + 1,
            },
        ))
    return query_id


async def _run(
    parts: DeliveryParts, admitted: Admitted, query: AnalysisQuery, query_id: str, limits: AnalysisLimits
) -> Answer:
    """The blurred groups; raises TooFewRows, TooNear, AnalysisTooSlow. Reads one state, read-only, in time."""
    try:
        async with (
            acquired(parts.restricted) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(f"SET LOCAL statement_timeout = {int(limits.timeout_s * 1000)}")
            visible, groups = await tellable(parts, Question(connection, admitted, query, limits), query_id)
    except (asyncpg.QueryCanceledError, TimeoutError) as fault:
        raise AnalysisTooSlow(seconds=f"{limits.timeout_s:g}") from fault
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as fault:
        raise NotFound from fault
    return await asyncio.to_thread(answer, visible, query, limits, admitted.grant.salt, groups)


async def _meter(parts: DeliveryParts, admitted: Admitted, query: AnalysisQuery, found: Answer) -> None:
    """Record the call and the groups told, durably, before they are; raises QuotaExhausted."""
    grant, quota = admitted.grant, admitted.obligations.quota
    size = len(orjson.dumps([[_plain(value) for value in row] for row in found.rows]))
    await parts.recorder.record(
        Ask(
            grant_id=grant.id, resource_id=admitted.data.resource_id, purpose=grant.purpose, columns=query.columns,
            rows=len(found.rows), at=parts.runtime.clock.now(),
            quota=Quota.of(quota),
        ),
        Served(len(found.rows), size),
    )


async def _keep(
    parts: DeliveryParts, admitted: Admitted, query_id: str, *, refused: str | None = None, found: Answer | None = None
) -> None:
    """Keep what was told, with its audit entry, before it is told."""
    runtime = parts.runtime
    rows = [[_plain(value) for value in row] for row in found.rows] if found else None
    digest = hashlib.sha256(orjson.dumps(rows)).hexdigest() if rows is not None else None
    async with runtime.transaction() as tx:
        await tx.execute(
            "INSERT INTO analysis.outcome (query_id, at, refused, groups, withheld, answer)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            query_id, runtime.clock.now(), refused, len(rows) if rows is not None else None,
            found.withheld if found else None, rows,
        )
        await runtime.audit.append(tx, AuditEntry(
            "data.analysis_refused" if refused else "data.analysed", admitted.grant.party_id, "data_object",
            admitted.data.resource_id, organisation_id=admitted.data.organisation_id,
            details={"query_id": query_id, "refused": refused, "answer_sha256": digest,
                     "groups": len(rows) if rows is not None else None},
        ))
