"""Every row of some databases, to see what an attempt has changed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection

import psycopg2

UNSEEN = ("last_active", "last_access")
"""Columns that only tell when an account or a token was last used."""
Digests = dict[str, Counter[str]]


class Rows:
    """Digests of all rows by table; tables of a schema of their own are named with it."""

    def __init__(self, *addresses: str) -> None:
        self._connections = [psycopg2.connect(address) for address in addresses]
        for connection in self._connections:
            connection.autocommit = True

    def now(self) -> Digests:
        found: Digests = {}
        for connection in self._connections:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
                " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
            for schema, table in cursor.fetchall():
                cursor.execute(f'SELECT (to_jsonb(t) - %s)::text FROM "{schema}"."{table}" t', [list(UNSEEN)])
                name = table if schema == "public" else f"{schema}.{table}"
                found.setdefault(name, Counter()).update(
                    hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for (text,) in cursor.fetchall()
                )
        return found

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def changes(before: Digests, after: Digests, growing: Collection[str] = ()) -> dict[str, tuple[int, int]]:
    """Rows that went and rows that came, by table; what only came is left out for ``growing`` tables.

    A name of ``growing`` that ends with a dot stands for its whole schema. A changed row went and came.
    """
    found: dict[str, tuple[int, int]] = {}
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name, Counter()), after.get(name, Counter())
        went, came = sum((one - other).values()), sum((other - one).values())
        grows = name in growing or f"{name.partition('.')[0]}." in growing
        if went or (came and not grows):
            found[name] = (went, came)
    return found
