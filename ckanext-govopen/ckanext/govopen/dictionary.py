"""The DataStore's own description of the columns of open tables: the label and the note a department gave each."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import ckan.plugins as p
import sqlalchemy as sa

log = logging.getLogger(__name__)

COLUMNS = sa.text(
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE c.relkind = 'r' AND c.relname = ANY(:tables) ORDER BY c.relname, a.attnum"
)
TYPES = {"text": "text", "date": "date", "boolean": "boolean", "numeric": "numeric", "double precision": "numeric",
         "integer": "integer", "bigint": "integer", "smallint": "integer",
         "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamp"}
"""PostgreSQL's type -> the catalogue's."""


_ahead: ContextVar[dict[str, list[dict[str, Any]]]] = ContextVar("columns read ahead")


@contextmanager
def read_ahead(resource_ids: Iterable[str]) -> Iterator[None]:
    """Within it the columns of these tables are known."""
    wanted = list(resource_ids)
    token = _ahead.set({**{one: [] for one in wanted}, **columns(wanted)})
    try:
        yield
    finally:
        _ahead.reset(token)


def columns(resource_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Columns of each table as described fields (``name``, ``type``, ``title``, ``description``).

    The caller names open tables only. Empty when there is no DataStore or it cannot be read.
    """
    wanted = list(resource_ids)
    known = _ahead.get({})
    if all(one in known for one in wanted):
        return {one: known[one] for one in wanted if known[one]}
    if not p.plugin_loaded("datastore"):
        return {}
    from ckanext.datastore.backend.postgres import get_read_engine

    found: dict[str, list[dict[str, Any]]] = {}
    try:
        with get_read_engine().connect() as connection:
            for table, name, kind, comment in connection.execute(COLUMNS, {"tables": wanted}):
                if not name.startswith("_"):
                    found.setdefault(table, []).append(
                        {"name": name, "type": TYPES.get(kind, kind), **_told(comment)})
    except sa.exc.SQLAlchemyError:
        log.warning("The dictionary of open tables could not be read", exc_info=True)
        return {}
    return found


def _told(comment: str | None) -> dict[str, str]:
    """Label and note out of the comment in which the DataStore keeps them."""
    try:
        kept = json.loads(comment or "{}")
    except ValueError:
        return {}
    info = kept.get("_info", kept) if isinstance(kept, dict) else {}
    if not isinstance(info, dict):
        return {}
    told = {"title": info.get("label"), "description": info.get("notes")}
    return {key: value for key, value in told.items() if isinstance(value, str) and value}
