"""Where the rows of a data object are, and which columns are really there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import asyncpg

from authz import DataField, DataObject, Grade, OpenAttribute
from authz.obligations.written import PREFIX
from ops.delivery.refusals import DataNotLoaded

COLUMNS_KEPT_S = 5.0
COLUMNS_KEPT_MAX = 5_000

TYPES = {
    "int2": "integer", "int4": "integer", "int8": "integer", "numeric": "numeric", "float4": "numeric",
    "float8": "numeric", "date": "date", "timestamp": "timestamp", "bool": "boolean", "text": "text",
    "varchar": "text", "bpchar": "text", "json": "json",
}
"""PostgreSQL's types as field types; a type that is not here is delivered, but not filtered by."""

DATASTORE_OWN = ("_id", "_full_text")


@dataclass(frozen=True, slots=True)
class TableColumns:
    """``fields`` are (name, field type) pairs in order, ``mark`` changes with the table's content.

    ``written`` are names of columns in which the table keeps fields as finished JSON; they are no fields. Only what is
    generated counts: nothing else could not be made to say something else than the field.
    """

    fields: list[tuple[str, str]]
    mark: str
    written: frozenset[str]


class Columns:
    """Real columns of tables, remembered for a few seconds."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[float, TableColumns]] = {}

    def forget(self) -> None:
        self._known.clear()

    def known(self, schema: str, table: str) -> TableColumns | None:
        known = self._known.get((schema, table))
        return known[1] if known and known[0] > time.monotonic() else None

    async def of(self, connection: asyncpg.Connection, schema: str, table: str) -> TableColumns:
        """What the table has now; DataNotLoaded when there is none."""
        rows = await connection.fetch(
            """
            SELECT a.attname, t.typname, a.attgenerated = 's' AND starts_with(a.attname, $3) AS written,
                   c.oid::bigint AS oid, c.relfilenode::bigint AS node,
                   coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0) AS changes
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
            WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY a.attnum
            """,
            schema, table, PREFIX,
        )
        if not rows:
            raise DataNotLoaded
        fields = [(row["attname"], TYPES.get(row["typname"], "other")) for row in rows if not row["written"]]
        mark = f"{rows[0]['oid']:x}-{rows[0]['node']:x}-{rows[0]['changes']:x}"
        if len(self._known) > COLUMNS_KEPT_MAX:
            self._known.clear()
        columns = TableColumns(fields, mark, frozenset(row["attname"] for row in rows if row["written"]))
        self._known[schema, table] = (time.monotonic() + COLUMNS_KEPT_S, columns)
        return columns


def with_columns(data: DataObject, columns: Sequence[tuple[str, str]], *, own: Sequence[str]) -> DataObject:
    """The object with the types that its columns really have, without fields that are not in the table.

    An unconditionally open object that describes no fields has those of its table, graded as the object is.
    """
    real = {name: kind for name, kind in columns if name not in own}
    if not data.fields and data.open_attribute is OpenAttribute.UNCONDITIONAL:
        grade = data.grade if data.grade is not Grade.CORE else Grade.GENERAL_4
        fields = tuple(DataField(name, name, kind, grade) for name, kind in real.items())
    else:
        fields = tuple(replace(one, type=real[one.name]) for one in data.fields if one.name in real)
    return replace(data, fields=fields)


def location_of(data: DataObject) -> tuple[str, str, str]:
    """(kind, schema, table) of the rows; raises DataNotLoaded while there are none.

    An open object without a location of its own has its rows in CKAN's DataStore, under the resource's id.
    """
    found = data.location or {}
    if found.get("kind") == "restricted":
        return "restricted", found["schema"], found["table"]
    if found.get("kind") == "datastore":
        return "datastore", "public", found["table"]
    if data.restricted:
        raise DataNotLoaded
    return "datastore", "public", data.resource_id
