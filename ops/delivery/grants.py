"""Grants as delivery sees them: whose key this is, and which grants still stand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import asyncpg

from authz import GrantFacts, GrantState, Runtime, beijing_date
from licensing import grants


async def grant_of_key(runtime: Runtime, tx: asyncpg.Connection, key: str) -> GrantFacts:
    """Facts of the grant a key opens, whatever its state; the day of its use is noted. Raises KeyInvalid."""
    now = runtime.clock.now()
    grant = await grants.by_key(tx, key, now)
    if grant.key is not None and grant.key.last_used_on != beijing_date(now):
        await grants.note_use(tx, grant, now)
    return grant.facts()


async def standing(tx: asyncpg.Connection, grant_ids: Iterable[str], now: datetime) -> set[str]:
    """Those of the grants that are active, within their term, and of a party that may act."""
    found = set()
    for grant_id in grant_ids:
        facts = await grants.facts_of(tx, grant_id)
        if facts and facts.state == GrantState.ACTIVE and facts.valid_from <= now < facts.valid_until:
            found.add(grant_id)
    return found
