"""Small answers recorded in one statement: locked, checked, counted, kept as events and evidence, in one round trip.

For answers whose rows are known before their first byte. When every one of them fits its quotas, and the counters they
need are there, all is written; otherwise nothing is, and ``carry`` does the same work step by step and finds out what
is to be refused. Both lock counters in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import asyncpg
import orjson

from authz import AuditLog, arrays
from billing.usage import store
from billing.usage.carry import event_of, evidence_of
from billing.usage.model import EVENT_TYPE, SOURCE, Ask, Served, UsageEvent
from billing.usage.quota import SPANS, Quota

ENDLESS = 2**62


@dataclass(slots=True)
class _Need:
    """What a batch adds to the counters of one grant and day, and the quotas it is bounded by."""

    calls: int = 0
    rows: int = 0
    bytes: int = 0
    quotas: list[Quota] = field(default_factory=list)

    def add(self, ask: Ask, served: Served) -> None:
        self.calls += 1
        self.rows += max(ask.rows, served.rows)
        self.bytes += max(ask.bytes, served.bytes)
        if not any(one is ask.quota for one in self.quotas):
            self.quotas.append(ask.quota)

    def bounds(self, span: str) -> tuple[int, int, int]:
        """The tightest bounds of the span: calls, rows, bytes."""
        bounds = [ENDLESS, ENDLESS, ENDLESS]
        for quota in self.quotas:
            for place, bound in enumerate(quota.of_span(span)[:3]):
                if bound is not None and bound < bounds[place]:
                    bounds[place] = bound
        return bounds[0], bounds[1], bounds[2]


STATEMENT = """
WITH need AS MATERIALIZED (
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::date[], $4::text::bigint[], $5::text::bigint[],
        $6::text::bigint[], $7::text::bigint[], $8::text::bigint[], $9::text::bigint[])
        AS u (grant_id, span, starts_on, calls, rows, bytes, calls_max, rows_max, bytes_max)
    ORDER BY grant_id, span, starts_on
),
locked AS MATERIALIZED (
    SELECT n.calls_max - n.calls - c.calls AS calls_left, n.rows_max - c.rows AS rows_left, n.rows AS rows,
        n.bytes_max - c.bytes AS bytes_left, n.bytes AS bytes
    FROM need n CROSS JOIN LATERAL (
        SELECT k.calls + k.open_calls AS calls, k.rows + k.open_rows AS rows, k.bytes + k.open_bytes AS bytes
        FROM billing.usage_counter k
        WHERE k.grant_id = n.grant_id AND k.span = n.span AND k.starts_on = n.starts_on FOR UPDATE
    ) AS c
),
fits AS MATERIALIZED (
    SELECT count(*) = (SELECT count(*) FROM need) AND bool_and(
        calls_left >= 0 AND rows_left > 0 AND rows <= rows_left AND bytes_left > 0 AND bytes <= bytes_left
    ) AS all_of_it
    FROM locked
),
added AS (
    UPDATE billing.usage_counter AS c SET calls = c.calls + n.calls, rows = c.rows + n.rows, bytes = c.bytes + n.bytes
    FROM need n WHERE c.grant_id = n.grant_id AND c.span = n.span AND c.starts_on = n.starts_on
        AND (SELECT all_of_it FROM fits)
),
counted AS (
    INSERT INTO billing.usage_grant_sequence AS s (grant_id, last)
    SELECT u.* FROM unnest($10::text::text[], $11::text::bigint[]) AS u (grant_id, events)
    WHERE (SELECT all_of_it FROM fits) ORDER BY u.grant_id
    ON CONFLICT (grant_id) DO UPDATE SET last = s.last + excluded.last
    RETURNING grant_id, last
),
n AS MATERIALIZED (
    SELECT nextval('billing.usage_event_number') AS number, u.* FROM unnest($12::text::text[], $13::text::text[],
        $14::text::timestamptz[], $15::text::text[], $16::text::bigint[], $17::text::bigint[], $18::text::text[],
        $19::text::text[], $20::text::bigint[])
        AS u (id, subject, time, resource_id, rows, bytes, data, digest, later)
    WHERE (SELECT all_of_it FROM fits)
),
identified AS (
    INSERT INTO billing.usage_identity (source, id, digest, number, time)
    SELECT $21::text, id, decode(digest, 'hex'), number, time FROM n
),
written AS (
    INSERT INTO billing.usage_event (number, source, id, type, subject, time, resource_id, rows, calls, bytes, data,
        digest, recorded_at, sequence)
    SELECT number, $21::text, id, $22::text, subject, time, resource_id, rows, 1, bytes, data::jsonb,
        decode(digest, 'hex'), $23, c.last - later
    FROM n JOIN counted c ON c.grant_id = n.subject
),
evidence AS (
    {evidence} WHERE (SELECT all_of_it FROM fits)
)
SELECT all_of_it FROM fits
"""
"""Ids are ours and new: one that is there already is a fault, and what is tried after it looks for it. ``later`` is how
many events of the same grant follow in the batch."""
PARAMETERS = 23


def fit_for_it(records: Sequence[tuple[Ask, Served]]) -> bool:
    """Whether all of them may go this way: what asks for keys has them compared one by one."""
    return not any(ask.keys for ask, _ in records)


async def record_at_once(
    connection: asyncpg.Connection, audit: AuditLog, records: Sequence[tuple[Ask, Served]], now: datetime
) -> bool:
    """Record all of them, durably, or none. Outside of a transaction: the statement is one.

    Only for records that were never tried before: a second try would count twice.
    """
    events = [event_of(ask, served) for ask, served in records]
    sql, evidence = audit.insertion(evidence_of(events), PARAMETERS + 1)
    done: bool | None = await connection.fetchval(
        _statement(sql), *_counters(records), *_events(events), SOURCE, EVENT_TYPE, now, *evidence,
    )
    return bool(done)


_statements: dict[str, str] = {}


def _statement(evidence: str) -> str:
    known = _statements.get(evidence)
    if known is None:
        known = _statements[evidence] = STATEMENT.replace("{evidence}", evidence)
    return known


def _counters(records: Sequence[tuple[Ask, Served]]) -> list[str]:
    """The first parameters: what each counter gets and how far it may go."""
    needs: dict[tuple[str, date], _Need] = {}
    for ask, served in records:
        name = (ask.grant_id, ask.day)
        need = needs.get(name)
        if need is None:
            need = needs[name] = _Need()
        need.add(ask, served)
    keys: list[store.Key] = []
    sums: list[tuple[int, int, int, int, int, int]] = []
    for (grant_id, day), need in needs.items():
        for span, key in zip(SPANS, store.keys_of(grant_id, day), strict=True):
            keys.append(key)
            sums.append((need.calls, need.rows, need.bytes, *need.bounds(span)))
    return [
        arrays.texts([key[0] for key in keys]), arrays.texts([key[1] for key in keys]),
        arrays.texts([key[2].isoformat() for key in keys]),
        *(arrays.numbers(column) for column in zip(*sums, strict=True)),
    ]


def _events(events: Sequence[UsageEvent]) -> list[str]:
    """The parameters that follow: events by grant, and the events."""
    many = Counter(e.subject for e in events)
    left, later = dict(many), []
    for e in events:
        left[e.subject] -= 1
        later.append(left[e.subject])
    return [
        arrays.texts(many), arrays.numbers(many.values()),
        arrays.texts([e.id for e in events]), arrays.texts([e.subject for e in events]),
        arrays.texts([e.time.astimezone(UTC).isoformat() for e in events]),
        arrays.texts([e.resource_id for e in events]), arrays.numbers([e.rows for e in events]),
        arrays.numbers([e.bytes for e in events]), arrays.texts([orjson.dumps(e.data).decode() for e in events]),
        arrays.texts([e.digest.hex() for e in events]), arrays.numbers(later),
    ]
