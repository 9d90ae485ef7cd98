"""The one act no account can do: name the first security administrator of a city, from the operator's shell.

``python -m ops.bootstrap --user-id ID --user-name NAME`` with GOVOPEN_DATABASE_URL set. Afterwards roles are
assigned by the security administrator at ``/v1/roles``.
"""

from __future__ import annotations

import argparse
import asyncio
import os

import asyncpg

from authz import SYSTEM, Call, Role, SystemClock, assign_role, new_id, prepare_connection
from ops.audit import PostgresAuditLog

CITY = "city"
"""The organisation of offices that serve the whole platform."""


async def appoint_security_admin(url: str, user_id: str, user_name: str) -> bool:
    """Appoint unless there is a security administrator already; returns whether it was done."""
    connection = await asyncpg.connect(url)
    try:
        await prepare_connection(connection)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(7310023)")
            taken = await connection.fetchval(
                "SELECT 1 FROM authz.role_assignment WHERE role = $1 AND ended_at IS NULL", Role.SECURITY_ADMIN.value
            )
            if taken:
                return False
            clock = SystemClock()
            call = Call(SYSTEM, clock.now(), new_id("req"))
            await assign_role(
                connection, PostgresAuditLog(clock), call, user_id=user_id, user_name=user_name,
                role=Role.SECURITY_ADMIN, organisation_id=CITY,
            )
            return True
    finally:
        await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="任命首位安全管理员 / appoint the first security administrator")
    parser.add_argument("--user-id", required=True, help="CKAN user id (UUID)")
    parser.add_argument("--user-name", required=True)
    given = parser.parse_args()
    done = asyncio.run(appoint_security_admin(os.environ["GOVOPEN_DATABASE_URL"], given.user_id, given.user_name))
    print("已任命 / appointed" if done else "已有安全管理员 / there is one already")


if __name__ == "__main__":
    main()
