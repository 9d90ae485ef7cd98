"""Distinct keys: which values a grant's lookups have asked for, as digests, so that a quota can bound how many.

Called while the grant's counters are locked: what is not known then is new, whoever else asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import asyncpg

from billing.usage.store import Key

DAYS_KEPT = 2
MONTHS_KEPT_DAYS = 400


async def new_of(tx: asyncpg.Connection, key: Key, digests: Iterable[bytes]) -> list[bytes]:
    """Those of the digests that the counter's span has not seen yet."""
    rows = await tx.fetch(
        "SELECT DISTINCT a.digest FROM unnest($4::bytea[]) AS a (digest) WHERE NOT EXISTS ("
        "SELECT FROM billing.usage_key k WHERE (k.grant_id, k.span, k.starts_on, k.digest) = ($1, $2, $3, a.digest))",
        *key, list(digests),
    )
    return [row["digest"] for row in rows]


async def keep(tx: asyncpg.Connection, key: Key, digests: list[bytes]) -> None:
    await tx.execute(
        "INSERT INTO billing.usage_key (grant_id, span, starts_on, digest)"
        " SELECT $1, $2, $3, digest FROM unnest($4::bytea[]) AS n (digest)",
        *key, digests,
    )


async def forget(tx: asyncpg.Connection, today: date) -> None:
    """Drop the digests of days and months long past: their counts stay in the counters."""
    await tx.execute(
        "DELETE FROM billing.usage_key WHERE (span = 'day' AND starts_on < $1) OR (span = 'month' AND starts_on < $2)",
        today - timedelta(days=DAYS_KEPT), today - timedelta(days=MONTHS_KEPT_DAYS),
    )
