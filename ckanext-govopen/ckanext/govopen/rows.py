"""How many rows the open tables have and how well they are filled, without counting what has not changed.

PostgreSQL keeps counters of inserted and deleted rows per table; a table is counted again only when they moved.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import ckan.model as model
import ckan.plugins as p
import sqlalchemy as sa

log = logging.getLogger(__name__)

CHANGES = sa.text(
    "SELECT relname, n_tup_ins + n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'public'"
)
FILLED = sa.text(
    "SELECT tablename, count(*) - 1, avg(1 - null_frac) FROM pg_stats"
    " WHERE schemaname = 'public' AND tablename = :table GROUP BY tablename"
)
PUBLIC = sa.text(
    "SELECT r.id FROM resource r JOIN package p ON p.id = r.package_id"
    " WHERE r.state = 'active' AND p.state = 'active' AND NOT p.private"
)

_known: dict[str, tuple[int, int]] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class TableFacts:
    """``completeness`` is the share of filled cells by PostgreSQL's own statistics, None until it has looked."""

    rows: int
    completeness: float | None


def _engine() -> Any:
    if not p.plugin_loaded("datastore"):
        return None
    from ckanext.datastore.backend.postgres import get_read_engine

    return get_read_engine()


def counts(wanted: set[str] | None = None) -> dict[str, int]:
    """Rows of each open table (of ``wanted``, or of all), keyed by resource; empty when there is no DataStore."""
    engine = _engine()
    if engine is None:
        return {}
    try:
        with engine.connect() as connection:
            changes = {name: moved for name, moved in connection.execute(CHANGES)
                       if wanted is None or name in wanted}
            return {name: _count(connection, name, moved) for name, moved in changes.items()}
    except sa.exc.SQLAlchemyError:
        log.warning("Rows of open tables could not be counted", exc_info=True)
        return {}


def movements(wanted: Collection[str]) -> dict[str, int]:
    """PostgreSQL's counter of changes of each wanted table that exists; another number means other rows."""
    engine = _engine()
    if engine is None:
        return {}
    with engine.connect() as connection:
        return {name: int(moved) for name, moved in connection.execute(CHANGES) if name in wanted}


def _count(connection: Any, name: str, moved: int) -> int:
    known = _known.get(name)
    if known and known[0] == moved:
        return known[1]
    table = sa.table(name, schema="public")
    rows = int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
    with _lock:
        _known[name] = (moved, rows)
    return rows


def total() -> int:
    """Rows of all tables that everyone may read."""
    public = {row[0] for row in model.Session.execute(PUBLIC)}
    return sum(counts(public).values())


def facts(resource_id: str) -> TableFacts | None:
    """Rows and completeness of one open table, None when it has no table."""
    found = counts({resource_id})
    if resource_id not in found:
        return None
    completeness = None
    try:
        with _engine().connect() as connection:
            row = connection.execute(FILLED, {"table": resource_id}).first()
            completeness = float(row[2]) if row and row[2] is not None else None
    except sa.exc.SQLAlchemyError:
        log.warning("Statistics of table %s could not be read", resource_id, exc_info=True)
    return TableFacts(found[resource_id], completeness)
