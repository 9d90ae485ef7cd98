"""Replacing a restricted table: a new table beside the old, the catalogue's pointer moved, the old dropped later."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from authz import (
    AuditEntry,
    Call,
    Conflict,
    DataField,
    DataObject,
    Forbidden,
    Grade,
    NotFound,
    OpenAttribute,
    Runtime,
    new_id,
    objects,
    require,
)
from authz.obligations import quoted
from authz.obligations.values import SQL_TYPES
from ops.delivery.connections import acquired
from ops.delivery.loading.made import definition, texts_worth_keeping, without_statistics
from ops.delivery.loading.tables import Format, TableReader
from ops.delivery.service import ROW_KEY

SCHEMA = "restricted"
ACTION = "data:load"
RETIRED_KEPT_S = 600.0
INDEXES_MAX = 4
"""A replaced table stays readable for so long, for deliveries that had found it."""
NAME_BYTES_MAX = 63


class CoreData(Forbidden):
    code = "grade_core"
    zh = "核心数据不得载入本平台。"
    en = "Core data must not be loaded into this platform."
    next_zh = "请在数据分类分级结果中核对该数据或字段的级别。"
    next_en = "Check the grade of the data or of its fields."


class NotRestricted(Conflict):
    code = "not_restricted"
    zh = "无条件开放的数据请在目录页面发布，不经受限数据通道载入。"
    en = "Data that is open to everyone is published through the catalogue, not loaded here."
    next_zh = "请在数据集页面上传文件；如应受限，请先修改开放属性。"
    next_en = "Upload it on the dataset's page; if it should be restricted, change its open attribute first."


class FieldsMissing(Conflict):
    code = "fields_missing"
    zh = "目录中尚未登记可入库的字段（{what}）。"
    en = "The catalogue does not describe fields that can be loaded ({what})."
    next_zh = "请先在目录中登记字段的名称和类型（名称不超过 63 字节，不以下划线开头）。"
    next_en = "Describe the fields' names and types first (at most 63 bytes, no leading underscore)."


class ChangedMeanwhile(Conflict):
    code = "object_changed"
    zh = "载入期间该数据的目录信息已被修改，未替换现有数据。"
    en = "The catalogue entry changed while the table was being read; nothing was replaced."
    next_zh = "请核对字段后重新上传。"
    next_en = "Check the fields and upload it again."


@dataclass(frozen=True)
class Upload:
    """A received file and its digest."""

    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Load:
    """A version of a restricted table, without where it is."""

    resource_id: str
    version: int
    rows: int
    bytes: int
    sha256: str
    format: Format
    loaded_by: str
    loaded_at: datetime
    columns: Sequence[str]

    def as_document(self) -> dict[str, Any]:
        return {
            "resource_id": self.resource_id, "version": self.version, "rows": self.rows, "bytes": self.bytes,
            "sha256": self.sha256, "format": self.format, "loaded_by": self.loaded_by,
            "loaded_at": self.loaded_at.isoformat(), "columns": list(self.columns),
        }


async def may_load(runtime: Runtime, call: Call, resource_id: str) -> DataObject:
    """The object, when the caller may load its rows; raises NotFound, ActionNotPermitted, CoreData, NotRestricted."""
    async with acquired(runtime.pool) as connection:
        data = await objects.get(connection, resource_id)
    if data is None:
        raise NotFound
    require(call.identity, ACTION, data.organisation_id)
    if data.grade is Grade.CORE or any(one.grade is Grade.CORE for one in data.fields):
        raise CoreData
    if data.open_attribute is OpenAttribute.UNCONDITIONAL and data.grade is not Grade.IMPORTANT:
        raise NotRestricted
    if not data.fields:
        raise FieldsMissing(what="0")
    for one in data.fields:
        if one.type not in SQL_TYPES or one.name.startswith("_") or len(one.name.encode()) > NAME_BYTES_MAX:
            raise FieldsMissing(what=one.name)
    return data


async def receive(blocks: AsyncIterator[bytes], folder: Path) -> Upload:
    """Write what comes to a file of its own, block by block."""
    path = folder / "upload"
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        async for block in blocks:
            file.write(block)
            digest.update(block)
            size += len(block)
    return Upload(path, size, digest.hexdigest())


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="govopen-load-")


def _normalize(upload: Upload, fields: Sequence[DataField], target: Path) -> tuple[Format, int]:
    """Read, check and write the rows as PostgreSQL will copy them; runs in a thread."""
    reader = TableReader(upload.path, fields)
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(reader.read())
    return reader.format(), reader.rows


async def replace(runtime: Runtime, call: Call, data: DataObject, upload: Upload, folder: Path) -> Load:
    """Check the file and put its rows in place of the present ones, all or nothing.

    The same content again is no new version. Raises NotATable, TableRefused or ChangedMeanwhile.
    """
    present = await current(runtime, data.resource_id)
    names = [one.name for one in data.fields]
    if present and present.sha256 == upload.sha256 and list(present.columns) == names and data.location:
        return present
    target = folder / "rows"
    form, rows = await asyncio.to_thread(_normalize, upload, data.fields, target)
    table = f"r_{secrets.token_hex(16)}"
    async with runtime.transaction() as tx:
        await _create(tx, table, data.fields, target.stat().st_size / max(1, rows))
        await tx.copy_to_table(
            table, source=target, schema_name=SCHEMA, columns=names, format="csv", force_null=names
        )
        await tx.execute(f"ANALYZE {SCHEMA}.{quoted(table)}")
        await _index(tx, table)
        now = await objects.lock(tx, data.resource_id)
        if now is None or now.version != data.version:
            raise ChangedMeanwhile
        load = await _swap(tx, runtime, call, now, table, (form, rows), upload)
        await _audit(tx, runtime, call, data, load)
    return load


async def _index(tx: asyncpg.Connection, table: str) -> None:
    """Indexes on what rows are looked up by: fields of whose values at least half are different ones.

    By hash for text, which may be of any length; a lookup only asks for equality.
    """
    rows = await tx.fetch(
        "SELECT s.attname AS name, t.typname AS type FROM pg_stats s"
        " JOIN pg_attribute a ON a.attrelid = $1::text::regclass AND a.attname = s.attname"
        " JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE s.schemaname = $2 AND s.tablename = $3 AND s.attname <> $4 AND t.typname IN ('text', 'int8')"
        " AND a.attgenerated = '' AND s.n_distinct < -0.5 AND s.null_frac < 0.5 ORDER BY a.attnum LIMIT $5",
        f"{SCHEMA}.{quoted(table)}", SCHEMA, table, ROW_KEY, INDEXES_MAX,
    )
    for row in rows:
        method = "hash" if row["type"] == "text" else "btree"
        await tx.execute(f"CREATE INDEX ON {SCHEMA}.{quoted(table)} USING {method} ({quoted(row['name'])})")


async def _create(tx: asyncpg.Connection, table: str, fields: Sequence[DataField], row_bytes: float) -> None:
    place = f"{SCHEMA}.{quoted(table)}"
    texts = texts_worth_keeping(fields, row_bytes, tx.get_server_version().major)
    columns = definition([(one.name, SQL_TYPES[one.type]) for one in fields], texts, key=ROW_KEY)
    await tx.execute(f"CREATE TABLE {place} ({columns})")
    await without_statistics(tx, place, texts)
    await tx.execute(f"REVOKE ALL ON {place} FROM PUBLIC")


async def _swap(
    tx: asyncpg.Connection, runtime: Runtime, call: Call, data: DataObject, table: str,
    read: tuple[Format, int], upload: Upload,
) -> Load:
    version: int = await tx.fetchval(
        "SELECT coalesce(max(version), 0) + 1 FROM ops.restricted_load WHERE resource_id = $1", data.resource_id
    )
    await tx.execute(
        "UPDATE ops.restricted_load SET state = 'retired', retired_at = clock_timestamp()"
        " WHERE resource_id = $1 AND state = 'current'",
        data.resource_id,
    )
    names = [one.name for one in data.fields]
    await tx.execute(
        "INSERT INTO ops.restricted_load (id, resource_id, version, table_name, state, rows, bytes, sha256, format,"
        " columns, loaded_by, loaded_at) VALUES ($1, $2, $3, $4, 'current', $5, $6, $7, $8, $9, $10, $11)",
        new_id("lod"), data.resource_id, version, table, read[1], upload.bytes, bytes.fromhex(upload.sha256),
        read[0], names, call.identity.name, call.now,
    )
    await objects.set_location(
        tx, data.resource_id, {"kind": "restricted", "schema": SCHEMA, "table": table}
    )
    return Load(
        data.resource_id, version, read[1], upload.bytes, upload.sha256, read[0], call.identity.name, call.now, names
    )


async def _audit(
    tx: asyncpg.Connection, runtime: Runtime, call: Call, data: DataObject, load: Load
) -> None:
    await runtime.audit.append(
        tx,
        AuditEntry(
            "restricted_data.loaded", call.identity.name, "data_object", data.resource_id,
            organisation_id=data.organisation_id, request_id=call.request_id,
            details={
                "version": load.version, "rows": load.rows, "bytes": load.bytes, "sha256": load.sha256,
                "format": load.format,
            },
        ),
    )


async def current(runtime: Runtime, resource_id: str) -> Load | None:
    """The version that is delivered now, None when nothing is loaded."""
    async with acquired(runtime.pool) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM ops.restricted_load WHERE resource_id = $1 AND state = 'current'", resource_id
        )
    if row is None:
        return None
    return Load(
        row["resource_id"], row["version"], row["rows"], row["bytes"], row["sha256"].hex(), row["format"],
        row["loaded_by"], row["loaded_at"], row["columns"],
    )


async def drop_retired(runtime: Runtime, *, kept_s: float = RETIRED_KEPT_S) -> int:
    """Drop replaced tables that no delivery reads any more; one that is read is left for the next time."""
    async with acquired(runtime.pool) as connection:
        due = await connection.fetch(
            "SELECT id, table_name FROM ops.restricted_load WHERE state = 'retired'"
            " AND retired_at < clock_timestamp() - make_interval(secs => $1) ORDER BY retired_at LIMIT 100",
            kept_s,
        )
    dropped = 0
    for row in due:
        try:
            async with runtime.transaction() as tx:
                await tx.execute("SET LOCAL lock_timeout = '200ms'")
                await tx.execute(f"DROP TABLE IF EXISTS {SCHEMA}.{quoted(row['table_name'])}")
                await tx.execute("UPDATE ops.restricted_load SET state = 'dropped' WHERE id = $1", row["id"])
        except asyncpg.LockNotAvailableError:
            continue
        dropped += 1
    return dropped
