"""What is read, what a month costs to make and to let go of, and how large an event is."""

from __future__ import annotations

import asyncpg

from billing.invoices.usage import monthly_use
from billing.periods import Period
from billing.usage import service
from billing.usage.store import acquire
from ops.bench.citus.figures import DAYS, GRANTS, UNTIL, Results, timed
from ops.bench.framework import Say

EVENTS = 300_000
TIMES = 7
MONTHS = (2031, 2032, 2033)
GRANT = "grt_17"
ALL = 2**62

FILL = f"""
INSERT INTO billing.usage_event (number, source, id, type, subject, time, resource_id, rows, calls, bytes, data, digest,
    recorded_at, sequence)
SELECT 1000000000 + n, 'https://operator-' || n % {GRANTS} || '.example/credit', substr(md5('govopen' || n), 1, 24),
    'cn.bench.query', 'grt_' || n % {GRANTS}, $1::timestamptz - make_interval(secs => n % 100003 * {DAYS * 0.8639741}),
    'res-bench', n % 97, 1, 300,
    jsonb_build_object('rows', n % 97, 'calls', 1, 'bytes', 300, 'product', 'score', 'region', '320500'),
    sha256(n::text::bytea), $1, n / {GRANTS}
FROM generate_series(1, {EVENTS}) AS n
"""
"""As many events as decision 0009 measured one server with, of as many grants, over six months."""
KNOW = f"""
INSERT INTO billing.usage_identity (source, id, digest, number, time)
SELECT 'https://operator-' || n % {GRANTS} || '.example/credit', substr(md5('govopen' || n), 1, 24),
    sha256(n::text::bytea), 1000000000 + n, $1::timestamptz - make_interval(secs => n % 100003 * {DAYS * 0.8639741})
FROM generate_series(1, {EVENTS}) AS n
"""


async def fill(pool: asyncpg.Pool, say: Say) -> None:
    async with acquire(pool) as connection:
        await connection.execute(FILL, UNTIL)
        await connection.execute(KNOW, UNTIL)
        await connection.execute("VACUUM ANALYZE billing.usage_event")
        await connection.execute("VACUUM ANALYZE billing.usage_identity")
        say(f"{await connection.fetchval('SELECT count(*) FROM billing.usage_event'):,} events")


async def queries(pool: asyncpg.Pool, results: Results) -> None:
    """The shortest of seven, in milliseconds, by one connection."""
    period = Period.parse("2026-08")
    start, end = period.starts_at.date(), period.ends_at.date()
    async with acquire(pool) as tx:
        source, name = await tx.fetchrow(  # type: ignore[misc]
            "SELECT source, id FROM billing.usage_event WHERE subject = $1 LIMIT 1", GRANT
        )
        asked = {
            "grant_month": lambda: service.totals(tx, GRANT, start, end),
            "grant_all": lambda: tx.fetchrow(
                "SELECT count(*), sum(rows), sum(bytes) FROM billing.usage_event WHERE subject = $1", GRANT
            ),
            "identity": lambda: tx.fetchrow(
                "SELECT * FROM billing.usage_identity WHERE source = $1 AND id = $2", source, name
            ),
            "month_all_grants": lambda: monthly_use(tx, period, ALL, ALL),
            "page_of_grant": lambda: service.events(tx, [GRANT], period_start=start, period_end=end, limit=200),
        }
        for what, ask in asked.items():
            results.add(f"{what}_ms", min(await timed(TIMES, ask)), "ms")


async def sums(pool: asyncpg.Pool, results: Results) -> None:
    """What billing adds up for each grant and month, as one number that no other sums are likely to have."""
    total = 0
    async with acquire(pool) as tx:
        for month in range(5, 11):
            for one in await monthly_use(tx, Period.parse(f"2026-{month:02}"), ALL, ALL):
                total += (one.rows * 31 + one.calls) ** 2
    results.add("billing_check", total % 1_000_000_007, "sum")


async def months(pool: asyncpg.Pool, results: Results) -> None:
    """A month made, detached and dropped, as the worker makes it and as moving it out lets go of it."""
    made, detached, dropped = [], [], []
    async with acquire(pool) as tx:
        for year in MONTHS:
            name = f"billing.usage_event_{year}_01"
            made += await timed(1, lambda year=year: tx.execute(f"SELECT billing.usage_add_month('{year}-01-01')"))  # type: ignore[misc]
            detached += await timed(
                1, lambda name=name: tx.execute(f"ALTER TABLE billing.usage_event DETACH PARTITION {name}")  # type: ignore[misc]
            )
            dropped += await timed(1, lambda name=name: tx.execute(f"DROP TABLE {name}"))  # type: ignore[misc]
    for name, found in (("make", made), ("detach", detached), ("drop", dropped)):
        results.add(f"month_{name}_ms", sorted(found)[1], "ms")


async def size(pool: asyncpg.Pool, results: Results, *, citus: bool) -> None:
    """Bytes of an event and of its identity, indexes included."""
    whole = "citus_total_relation_size" if citus else "pg_total_relation_size"
    for what in ("usage_event", "usage_identity"):
        found = await pool.fetchval(
            f"SELECT sum({whole}(inhrelid)) / (SELECT count(*) FROM billing.{what}) FROM pg_inherits"
            f" WHERE inhparent = 'billing.{what}'::regclass"
        )
        results.add(f"{what}_bytes", float(found), "B")
