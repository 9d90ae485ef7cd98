"""Exact versions of tables: the mark changes with the rows, in the same transaction.

The DataStore's triggers keep them (``ops/database/datastore_versions.sql``). Where a table has no such trigger there is
no exact version, and nothing that was made from its rows earlier is handed out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import asyncpg

_MARK = """
SELECT c.oid::bigint AS oid, c.relfilenode::bigint AS node, v.version, v.changed_at
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN govopen.table_version v ON v.table_oid = c.oid
WHERE n.nspname = $1 AND c.relname = $2 AND EXISTS (
    SELECT 1 FROM pg_trigger t
    WHERE t.tgrelid = c.oid AND t.tgname = 'govopen_version' AND t.tgenabled IN ('O', 'A')
)
"""


@dataclass(frozen=True)
class Mark:
    """The version of a table's rows, and since when they are so."""

    text: str
    changed_at: datetime


async def exact_mark(connection: asyncpg.Connection, schema: str, table: str) -> Mark | None:
    """The mark as the connection's snapshot sees it; None when nobody keeps one."""
    if not await connection.fetchval("SELECT to_regclass('govopen.table_version') IS NOT NULL"):
        return None
    row = await connection.fetchrow(_MARK, schema, table)
    if row is None:
        return None
    # The instant tells apart two histories that began with the same backup.
    instant = int(row["changed_at"].timestamp() * 1_000_000)
    return Mark(f"{row['oid']:x}-{row['node']:x}-{row['version']}-{instant:x}", row["changed_at"])
