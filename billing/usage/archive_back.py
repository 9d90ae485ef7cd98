"""A month that was moved out back into the database, from its files."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from authz import AuditLog
from billing.usage.archive import (
    CHUNK,
    COLUMNS,
    FIELDS,
    LOCK,
    UNLOCK,
    ArchiveChanged,
    NothingToMove,
    Say,
    Segment,
    checksum,
    facts_of,
    in_file,
    path_of,
    record,
)


async def bring_back(
    connection: asyncpg.Connection, audit: AuditLog, folder: str, month: date, now: datetime, say: Say
) -> list[Segment]:
    """Put a month's files back into the database. Safe to run again: what was loaded before is not loaded twice.

    Raises NothingToMove, ArchiveMissing, ArchiveChanged.
    """
    await connection.execute(LOCK)
    try:
        rows = await connection.fetch(
            f"SELECT {FIELDS} FROM billing.usage_archive WHERE month = $1 AND state = 'archived' ORDER BY segment",
            month,
        )
        found = [Segment(**dict(row)) for row in rows]
        if not found:
            raise NothingToMove(month=f"{month:%Y-%m}")
        for segment in found:
            path = path_of(folder, segment)
            if await asyncio.to_thread(checksum, path) != segment.sha256:
                raise ArchiveChanged(file=segment.file)
            await _load(connection, path, segment, say)
            await _take_in(connection, audit, segment, now)
            say(f"{month:%Y-%m}: {segment.file} → {segment.events:,}")
        return found
    finally:
        await connection.execute(UNLOCK)


def _loading(segment: Segment) -> str:
    return f"usage_loading_{segment.month:%Y_%m}_{segment.segment}"


async def _load(tx: asyncpg.Connection, path: Path, segment: Segment, say: Say) -> None:
    """Into a table of its own, chunk by chunk, each committed: an interrupted run goes on where it was."""
    name = _loading(segment)
    await tx.execute(f"CREATE TABLE IF NOT EXISTS billing.{name} (LIKE billing.usage_event)")
    await tx.execute(f"ALTER TABLE billing.{name} ALTER data TYPE text")
    done: int = await tx.fetchval(f"SELECT count(*) FROM billing.{name}")
    chunk: list[tuple[Any, ...]] = []
    rows = in_file(path, skip=done)
    while True:
        row = next(rows, None)
        if row is not None:
            row["data"] = orjson.dumps(row["data"]).decode()
            chunk.append(tuple(row[column] for column in COLUMNS))
        if len(chunk) == CHUNK or (row is None and chunk):
            await tx.copy_records_to_table(name, schema_name="billing", columns=COLUMNS, records=chunk)
            done += len(chunk)
            chunk = []
            say(f"{segment.month:%Y-%m}: {done:,} / {segment.events:,}")
        if row is None:
            return


async def _take_in(tx: asyncpg.Connection, audit: AuditLog, segment: Segment, now: datetime) -> None:
    """From the table it was loaded into to the events, all at once, if it is what was written."""
    name = f"billing.{_loading(segment)}"
    async with tx.transaction():
        facts = await facts_of(tx, name)
        sums = {key: facts[key] for key in ("rows", "calls", "bytes")}
        if (facts["events"], facts["last"], sums) != (segment.events, segment.last_number, segment.sums):
            raise ArchiveChanged(file=segment.file)
        await tx.execute("SELECT billing.usage_add_month($1)", segment.month)
        listed = ", ".join(COLUMNS)
        await tx.execute(
            f"INSERT INTO billing.usage_event ({listed}) SELECT {listed.replace('data,', 'data::jsonb,')} FROM {name}"
        )
        await tx.execute(f"DROP TABLE {name}")
        await tx.execute(
            "UPDATE billing.usage_archive SET state = 'restored', changed_at = $3 WHERE month = $1 AND segment = $2",
            segment.month, segment.segment, now,
        )
        await record(tx, audit, "usage_month.restored", segment)
