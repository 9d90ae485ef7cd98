"""Data objects in PostgreSQL: the present facts, every earlier version, and where the rows are."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

from authz.foundation.errors import NotFound, VersionConflict
from authz.foundation.evidence import AuditEntry, AuditLog
from authz.foundation.identity import Call
from authz.model import DataObject

_COLUMNS = "version, document, location"

STAMP = "(SELECT o.xmin::text FROM authz.data_object o WHERE o.resource_id = {resource_id} AND o.deleted_at IS NULL)"
"""SQL of a text that is another one after any change of the object, its location included; NULL without it."""


def _of(row: asyncpg.Record) -> DataObject:
    return DataObject.from_document(
        row["document"], version=row["version"], location=row["location"],
    )


async def get(tx: asyncpg.Connection, resource_id: str) -> DataObject | None:
    """The object as it is now, or None when there is none or it was deleted."""
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM authz.data_object WHERE resource_id = $1 AND deleted_at IS NULL", resource_id
    )
    return _of(row) if row else None


async def lock(tx: asyncpg.Connection, resource_id: str) -> DataObject | None:
    """``get``, with the row locked until the transaction ends."""
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM authz.data_object WHERE resource_id = $1 AND deleted_at IS NULL FOR UPDATE",
        resource_id,
    )
    return _of(row) if row else None


async def last_known(tx: asyncpg.Connection, resource_id: str, *, lock: bool = False) -> DataObject | None:
    """The object as it is or as it was when it was withdrawn; ``lock`` holds the row until the transaction ends.

    What is put again is judged against this: withdrawing data and publishing it anew is no way around the approval of
    a downgrade, nor a way for another organisation to take over the id and with it the place of the rows.
    """
    if lock:  # also where there is no row yet: two that tell of it first must not both find nothing
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))", resource_id)
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM authz.data_object WHERE resource_id = $1{' FOR UPDATE' if lock else ''}", resource_id
    )
    return _of(row) if row else None


async def put(
    tx: asyncpg.Connection, audit: AuditLog, call: Call, data: DataObject, *, version: int | None = None
) -> DataObject:
    """Save the facts as a new version, with the audit entry; equal facts make no new version.

    ``version`` is the one the caller looked at (None: whichever is there); raises VersionConflict (409) when it
    is stale. The location stays as it is: ``set_location`` changes it. Neither rights nor the publish gate are
    checked here.
    """
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))", data.resource_id)
    before = await tx.fetchrow(
        "SELECT version, document, location, deleted_at FROM authz.data_object WHERE resource_id = $1"
        " FOR UPDATE",
        data.resource_id,
    )
    current: int = before["version"] if before else 0
    if version is not None and version != current:
        raise VersionConflict(current=current, given=version)
    document = data.as_document()
    if before and before["document"] == document and before["deleted_at"] is None:
        return _of(before)
    row = await tx.fetchrow(
        "INSERT INTO authz.data_object (resource_id, dataset_id, organisation_id, version, document,"
        " updated_by, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
        " ON CONFLICT (resource_id) DO UPDATE SET dataset_id = EXCLUDED.dataset_id,"
        " organisation_id = EXCLUDED.organisation_id, version = EXCLUDED.version, document = EXCLUDED.document,"
        " updated_by = EXCLUDED.updated_by, updated_at = EXCLUDED.updated_at, deleted_at = NULL"
        f" RETURNING {_COLUMNS}",
        data.resource_id, data.dataset_id, data.organisation_id, current + 1, document, call.identity.name,
        call.now,
    )
    await tx.execute(
        "INSERT INTO authz.data_object_version (resource_id, version, document, updated_by, updated_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        data.resource_id, current + 1, document, call.identity.name, call.now,
    )
    await audit.append(tx, AuditEntry(
        "data_object.published" if before is None else "data_object.changed", call.identity.name, "data_object",
        data.resource_id, organisation_id=data.organisation_id, request_id=call.request_id,
        details={
            "version": current + 1, "open_attribute": data.open_attribute.value, "grade": data.grade.value,
            "has_personal_info": data.has_personal_info, "fields": len(data.fields),
        },
    ))
    assert row is not None  # noqa: S101 - INSERT ... RETURNING gives the row
    return _of(row)


async def set_location(tx: asyncpg.Connection, resource_id: str, location: Mapping[str, str]) -> DataObject:
    """Say where the rows are; raises NotFound without such an object. The caller writes the audit entry."""
    row = await tx.fetchrow(
        "UPDATE authz.data_object SET location = $2 WHERE resource_id = $1 AND deleted_at IS NULL"
        f" RETURNING {_COLUMNS}",
        resource_id, dict(location),
    )
    if row is None:
        raise NotFound
    return _of(row)


async def delete(tx: asyncpg.Connection, audit: AuditLog, call: Call, resource_id: str) -> None:
    """Take the object out of the catalogue; its versions stay. Raises NotFound when it is not there."""
    row = await tx.fetchrow(
        "UPDATE authz.data_object SET deleted_at = $2, updated_by = $3, updated_at = $2 WHERE resource_id = $1"
        " AND deleted_at IS NULL RETURNING organisation_id, version",
        resource_id, call.now, call.identity.name,
    )
    if row is None:
        raise NotFound
    await audit.append(tx, AuditEntry(
        "data_object.withdrawn", call.identity.name, "data_object", resource_id,
        organisation_id=row["organisation_id"], request_id=call.request_id, details={"version": row["version"]},
    ))


async def listed(
    tx: asyncpg.Connection, *, dataset_id: str | None = None, organisation_id: str | None = None,
    after: str = "", limit: int = 50,
) -> list[DataObject]:
    """Objects ordered by resource id, those after ``after``, at most ``limit``."""
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM authz.data_object WHERE deleted_at IS NULL AND resource_id > $1"
        " AND ($2::text IS NULL OR dataset_id = $2) AND ($3::text IS NULL OR organisation_id = $3)"
        " ORDER BY resource_id LIMIT $4",
        after, dataset_id, organisation_id, limit,
    )
    return [_of(row) for row in rows]


async def history(tx: asyncpg.Connection, resource_id: str) -> list[dict[str, object]]:
    """Every version, oldest first: version, facts, by whom, when."""
    rows = await tx.fetch(
        "SELECT version, document, updated_by, updated_at FROM authz.data_object_version WHERE resource_id = $1"
        " ORDER BY version",
        resource_id,
    )
    return [dict(row) for row in rows]
