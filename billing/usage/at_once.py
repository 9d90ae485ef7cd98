"""Small answers recorded in one statement: locked, checked, counted, kept as events and evidence, in one round trip.

For answers whose rows are known before their first byte. When every one of them fits its quotas, and the counters they
need are there, all is written; otherwise nothing is, and ``carry`` does the same work step by step and finds out what
is to be refused. Both lock counters in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg

from authz import AuditLog
from billing.usage import store
from billing.usage.carry import event_of, evidence_of
from billing.usage.eventstore import NUMBERED
from billing.usage.model import Ask, Served

ENDLESS = 2**62


@dataclass(slots=True)
class _Need:
    """What a batch adds to one counter, and the tightest of its bounds."""

    calls: int = 0
    rows: int = 0
    bytes: int = 0
    calls_max: int = ENDLESS
    rows_max: int = ENDLESS
    bytes_max: int = ENDLESS

    def add(self, ask: Ask, served: Served, span: str) -> None:
        calls_max, rows_max, bytes_max, _ = ask.quota.of_span(span)
        self.calls += 1
        self.rows += max(ask.rows, served.rows)
        self.bytes += max(ask.bytes, served.bytes)
        self.calls_max = min(self.calls_max, ENDLESS if calls_max is None else calls_max)
        self.rows_max = min(self.rows_max, ENDLESS if rows_max is None else rows_max)
        self.bytes_max = min(self.bytes_max, ENDLESS if bytes_max is None else bytes_max)


STATEMENT = f"""
WITH need AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bigint[])
        AS u (grant_id, span, starts_on, calls, rows, bytes, calls_max, rows_max, bytes_max)
),
locked AS MATERIALIZED (
    SELECT c.* FROM billing.usage_counter c
    WHERE (c.grant_id, c.span, c.starts_on) IN (SELECT grant_id, span, starts_on FROM need)
    ORDER BY c.grant_id, c.span, c.starts_on FOR UPDATE
),
fits AS MATERIALIZED (
    SELECT count(*) = cardinality($1::text[]) AND bool_and(
        l.calls + l.open_calls + n.calls <= n.calls_max
        AND l.rows + l.open_rows + n.rows <= n.rows_max AND l.rows + l.open_rows < n.rows_max
        AND l.bytes + l.open_bytes + n.bytes <= n.bytes_max AND l.bytes + l.open_bytes < n.bytes_max
    ) AS all_of_it
    FROM locked l JOIN need n USING (grant_id, span, starts_on)
),
added AS (
    UPDATE billing.usage_counter AS c SET calls = c.calls + n.calls, rows = c.rows + n.rows, bytes = c.bytes + n.bytes
    FROM need n WHERE (c.grant_id, c.span, c.starts_on) = (n.grant_id, n.span, n.starts_on)
        AND (SELECT all_of_it FROM fits)
),
n AS MATERIALIZED (
    SELECT nextval('billing.usage_event_number') AS number, u.* FROM unnest($10::text[], $11::text[], $12::text[],
        $13::text[], $14::timestamptz[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[], $19::jsonb[],
        $20::bytea[])
        AS u (source, id, type, subject, time, resource_id, rows, calls, bytes, data, digest)
    WHERE (SELECT all_of_it FROM fits)
), {NUMBERED},
written AS (
    INSERT INTO billing.usage_event (number, source, id, type, subject, time, resource_id, rows, calls, bytes, data,
        digest, recorded_at, sequence)
    SELECT number, source, id, type, subject, time, resource_id, rows, calls, bytes, data, digest, $21, sequence
    FROM numbered
),
evidence AS (
    {{evidence}} WHERE (SELECT all_of_it FROM fits)
)
SELECT all_of_it FROM fits
"""
PARAMETERS = 21


def fit_for_it(records: Sequence[tuple[Ask, Served]]) -> bool:
    """Whether all of them may go this way: what asks for keys has them compared one by one."""
    return not any(ask.keys for ask, _ in records)


async def record_at_once(
    connection: asyncpg.Connection, audit: AuditLog, records: Sequence[tuple[Ask, Served]], now: datetime
) -> bool:
    """Record all of them, durably, or none. Outside of a transaction: the statement is one.

    Only for records that were never tried before: a second try would count twice.
    """
    needs: dict[store.Key, _Need] = {}
    for ask, served in records:
        for key in store.keys_of(ask.grant_id, ask.day):
            needs.setdefault(key, _Need()).add(ask, served, key[1])
    events = [event_of(ask, served) for ask, served in records]
    columns = list(zip(*(_row(key, need) for key, need in needs.items()), strict=True))
    sql, evidence = audit.insertion(evidence_of(events), PARAMETERS + 1)
    done: bool | None = await connection.fetchval(
        _statement(sql),
        *(list(column) for column in columns),
        [e.source for e in events], [e.id for e in events], [e.type for e in events], [e.subject for e in events],
        [e.time for e in events], [e.resource_id for e in events], [e.rows for e in events],
        [e.calls for e in events], [e.bytes for e in events], [e.data for e in events], [e.digest for e in events],
        now, *evidence,
    )
    return bool(done)


_statements: dict[str, str] = {}


def _statement(evidence: str) -> str:
    known = _statements.get(evidence)
    if known is None:
        known = _statements[evidence] = STATEMENT.replace("{evidence}", evidence)
    return known


def _row(key: store.Key, need: _Need) -> tuple[str, str, date, Any, Any, Any, Any, Any, Any]:
    return (
        *key, need.calls, need.rows, need.bytes, need.calls_max, need.rows_max, need.bytes_max,
    )
