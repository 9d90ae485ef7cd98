"""Grants as delivery sees them: whose key this is, and which grants still stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from authz import GrantFacts, GrantState, Runtime, beijing_date
from licensing import grants


@dataclass(frozen=True, slots=True)
class Held:
    """A grant as the key that was shown reaches it."""

    facts: GrantFacts
    key: grants.KeyUse


async def grant_of_key(runtime: Runtime, tx: asyncpg.Connection, key: str) -> Held:
    """The grant a key opens, whatever its state; the day of its use is noted. Raises KeyInvalid."""
    now = runtime.clock.now()
    grant = await grants.by_key(tx, key, now)
    assert grant.key is not None  # noqa: S101 - reached by a key
    if grant.key.last_used_on != beijing_date(now):
        await grants.note_use(tx, grant, now)
    return Held(grant.facts(), grant.key)


async def standing(tx: asyncpg.Connection, grant_ids: Iterable[str], now: datetime) -> set[str]:
    """Those of the grants that are active, within their term, and of a party that may act."""
    found = set()
    for grant_id in grant_ids:
        facts = await grants.facts_of(tx, grant_id)
        if facts and facts.state == GrantState.ACTIVE and facts.valid_from <= now < facts.valid_until:
            found.add(grant_id)
    return found
