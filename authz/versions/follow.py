"""Every process follows the policies in force: read at its start, then looked at every second."""

from __future__ import annotations

import asyncio
import logging

import asyncpg

from authz.pdp.bundle import PolicyInvalid, PolicySet, in_force, packaged, put_in_force

LOOK_EVERY_S = 1.0
log = logging.getLogger("govopen.authz")


async def load_policies(connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> str:
    """Put in force what the database says is in force; returns the version.

    Only the digest is read while nothing has changed. A stored version that does not hold together in this release is
    not taken: the process keeps deciding by what it has, and the log says so.
    """
    digest = await connection.fetchval("SELECT digest FROM authz.policy_version WHERE state = 'in_force'")
    if (digest or packaged().version) == in_force().version:
        return in_force().version
    if digest is None:
        put_in_force(None)
        return in_force().version
    files = await connection.fetchval("SELECT files FROM authz.policy_version WHERE state = 'in_force'")
    try:
        policies = PolicySet(files)
        if policies.version != digest:
            raise PolicyInvalid("the files are not those that were approved")
        put_in_force(policies)
    except (PolicyInvalid, KeyError, TypeError, AttributeError) as fault:
        log.error("policies %s cannot be used: %s: %s", digest, type(fault).__name__, fault)
        return in_force().version
    log.info("policies %s are in force", digest)
    return policies.version


async def follow_policies(pool: asyncpg.Pool) -> None:
    """Look every second, for as long as the task runs. While the database is away the last known version decides."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            async with pool.acquire(timeout=5) as connection:
                await load_policies(connection)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
            log.warning("the policies in force could not be read: %s", type(away).__name__)
