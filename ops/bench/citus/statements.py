"""The few statements of the product that Citus refuses, in a form that it runs; all others run as they are.

They are not the product's own because PostgreSQL alone is better off with those: the fence that keeps a lookup of
identities from reading all of them, and one statement for a small answer instead of five.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import asyncpg

from billing.usage import corrections, kept, reading, recorder, staging


async def compare(tx: asyncpg.Connection, known: Sequence[asyncpg.Record]) -> dict[int, bool]:
    """``staging.compare`` as a plain join: Citus does not push down LATERAL … OFFSET."""
    rows = await tx.fetch(
        """
        SELECT k.ord, i.digest = k.digest AS same
        FROM unnest($1::int[], $2::text[], $3::text[], $4::bytea[]) AS k (ord, source, id, digest)
        JOIN billing.usage_identity i USING (source, id)
        """,
        *([row[name] for row in known] for name in ("ord", "source", "id", "digest")),
    )
    return {row["ord"]: row["same"] for row in rows}


async def originals(tx: asyncpg.Connection, targets: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """``corrections._originals`` in two steps: identities and events are not in one place, so they are not joined."""
    identities = await tx.fetch(
        "SELECT i.source, i.id, i.time, i.number FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[])"
        " AS k (source, id)) AS k JOIN billing.usage_identity i USING (source, id)",
        [source for source, _ in targets], [name for _, name in targets],
    )
    events = await tx.fetch(
        "SELECT e.source, e.id, e.time, e.number, e.subject, e.resource_id, e.type, e.rows, e.calls, e.bytes, e.data,"
        " e.corrects_id, false AS moved FROM unnest($1::bigint[], $2::timestamptz[]) AS k (number, time)"
        " JOIN billing.usage_event e USING (number, time)",
        [row["number"] for row in identities], [row["time"] for row in identities],
    )
    found: dict[tuple[str, str], Any] = {(row["source"], row["id"]): {**row, "moved": True} for row in identities}
    return found | {(row["source"], row["id"]): row for row in events}


async def stored(
    tx: asyncpg.Connection, spans: Sequence[reading.Span], after: int, limit: int
) -> list[dict[str, Any]]:
    """``reading.stored`` span by span: LATERAL … LIMIT is not pushed down either."""
    found: list[dict[str, Any]] = []
    for span in spans:
        rows = await tx.fetch(
            "SELECT * FROM billing.usage_event WHERE subject = $1 AND number > $2 AND number <= $3 AND time >= $4"
            " AND time < $5 ORDER BY number LIMIT $6",
            span.grant_id, max(after, span.after_number), span.up_to_number, span.start, span.end, limit,
        )
        found += [dict(row) for row in rows]
    return found


async def step_by_step(*_: object) -> bool:
    """``record_at_once`` says that it has written nothing: what delivery records is then carried out in steps."""
    return False


@contextmanager
def on_citus() -> Iterator[None]:
    """Within it the product's own code takes these forms. Citus plans for values: a plan for any is refused."""
    with (
        patch.object(staging, "compare", compare),
        patch.object(corrections, "_originals", originals),
        patch.object(recorder, "record_at_once", step_by_step),
        patch.object(reading, "stored", stored),
        patch.object(kept, "PLANNING", "SET enable_seqscan = off"),
    ):
        yield
