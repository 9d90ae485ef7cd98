"""Which datasets are looked at: counted by day in Redis, kept for 40 days, no person recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ckan.lib.redis import connect_to_redis
from redis.exceptions import RedisError

KEEP_DAYS = 40
WINDOW_DAYS = 30
PREFIX = "govopen:views:"


def _key(days_ago: int = 0) -> str:
    day = datetime.now(UTC) - timedelta(days=days_ago)
    return f"{PREFIX}{day:%Y%m%d}"


def seen(name: str) -> None:
    """Count one look at a dataset; a Redis that is away costs the count, not the page."""
    try:
        pipe = connect_to_redis().pipeline(transaction=False)
        pipe.zincrby(_key(), 1, name)
        pipe.expire(_key(), KEEP_DAYS * 86400)
        pipe.execute()
    except RedisError:
        return


def most_viewed(limit: int) -> list[tuple[str, int]]:
    """Names and counts of the datasets most looked at in the last 30 days, best first."""
    try:
        found = connect_to_redis().zunion([_key(days) for days in range(WINDOW_DAYS)], withscores=True)
    except RedisError:
        return []
    ranked = sorted(((name.decode(), int(score)) for name, score in found), key=lambda pair: (-pair[1], pair[0]))
    return ranked[:limit]
