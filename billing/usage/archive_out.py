"""A closed month out of the database into a file: written, compared row by row, only then dropped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import asdict
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
    INSTANTS,
    LOCK,
    UNLOCK,
    ArchiveChanged,
    Interrupted,
    MonthNotClosed,
    NothingToMove,
    Say,
    Segment,
    checksum,
    facts_of,
    in_file,
    partition,
    path_of,
    record,
)


async def move_out(
    connection: asyncpg.Connection, audit: AuditLog, folder: str, month: date, now: datetime, say: Say
) -> Segment:
    """Write a closed month to a file, compare every row, then drop it from the database.

    Safe to run again after any interruption: a file that is complete is not written again, and until the very last step
    the events are where they were. Raises MonthNotClosed, NothingToMove, Interrupted, ArchiveChanged.
    """
    await connection.execute(LOCK)
    try:
        await _require_billed(connection, month)
        segment = await _written(connection, folder, month, say) or await _write(connection, folder, month, now, say)
        await _compare(connection, folder, segment, say)
        await _drop(connection, audit, segment, now)
        say(f"{month:%Y-%m}: {segment.events:,} → {segment.file}")
        return segment
    finally:
        await connection.execute(UNLOCK)


async def _require_billed(tx: asyncpg.Connection, month: date) -> None:
    if await tx.fetchval("SELECT to_regclass($1) IS NULL", f"billing.{partition(month)}"):
        raise NothingToMove(month=f"{month:%Y-%m}")
    billed = await tx.fetchval(
        f"SELECT EXISTS (SELECT 1 FROM billing.period_close WHERE period = $1) AND NOT EXISTS (SELECT 1 FROM"
        f" billing.{partition(month)} WHERE number > (SELECT max(usage_cut) FROM billing.period_close))",
        f"{month:%Y-%m}",
    )
    if not billed:
        raise MonthNotClosed(month=f"{month:%Y-%m}")
    if await tx.fetchval(f"SELECT count(*) FROM billing.{partition(month)}") == 0:
        raise NothingToMove(month=f"{month:%Y-%m}")


async def _written(tx: asyncpg.Connection, folder: str, month: date, say: Say) -> Segment | None:
    """A file that an earlier run completed and that still is the whole month; None when there is none."""
    row = await tx.fetchrow(f"SELECT {FIELDS} FROM billing.usage_archive WHERE month = $1 AND state = 'written'", month)
    if row is None:
        return None
    segment = Segment(**dict(row))
    facts = await facts_of(tx, f"billing.{partition(month)}")
    path = Path(folder) / segment.file
    same = (facts["events"], facts["last"]) == (segment.events, segment.last_number)
    if same and path.is_file() and await asyncio.to_thread(checksum, path) == segment.sha256:
        say(f"{month:%Y-%m}: {segment.file} ✓")
        return segment
    await tx.execute("DELETE FROM billing.usage_archive WHERE month = $1 AND segment = $2", month, segment.segment)
    path.unlink(missing_ok=True)
    return None


async def _write(tx: asyncpg.Connection, folder: str, month: date, now: datetime, say: Say) -> Segment:
    number: int = await tx.fetchval(
        "SELECT coalesce(max(segment), 0) + 1 FROM billing.usage_archive WHERE month = $1", month
    )
    name = f"usage-{month:%Y-%m}.{number:03d}.parquet"
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    async with tx.transaction(isolation="repeatable_read", readonly=True):
        facts = await facts_of(tx, f"billing.{partition(month)}")
        await _fill(part, _stored(tx, month), facts["events"], say, f"{month:%Y-%m}")
    part.rename(path)
    segment = Segment(
        month, number, name, await asyncio.to_thread(checksum, path), path.stat().st_size, facts["events"],
        {name: facts[name] for name in ("rows", "calls", "bytes")}, facts["first"], facts["last"],
    )
    manifest = {**asdict(segment), "month": f"{month:%Y-%m}", "written_at": now.isoformat(), "columns": COLUMNS}
    del manifest["state"]
    beside = path.with_suffix(".json")
    beside.write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    await asyncio.to_thread(_to_disk, path, beside, path.parent)
    await tx.execute(
        f"INSERT INTO billing.usage_archive ({FIELDS}, changed_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        *asdict(segment).values(), now,
    )
    return segment


async def _stored(tx: asyncpg.Connection, month: date) -> AsyncIterator[list[dict[str, Any]]]:
    """The month's events as they are in the database, by grant and number."""
    cursor = await tx.cursor(
        f"SELECT {', '.join(COLUMNS)} FROM billing.{partition(month)} ORDER BY subject COLLATE \"C\", number"
    )
    while rows := await cursor.fetch(CHUNK):
        yield [dict(row) for row in rows]


async def _fill(
    path: Path, chunks: AsyncIterator[list[dict[str, Any]]], total: int, say: Say, label: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(pa)
    done = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        async for rows in chunks:
            for row in rows:
                row["data"] = orjson.dumps(row["data"]).decode()
            table = pa.Table.from_pylist(rows, schema=schema)
            await asyncio.to_thread(writer.write_table, table)
            done += len(rows)
            say(f"{label}: {done:,} / {total:,}")


def _schema(pa: Any) -> Any:
    kinds = {
        **dict.fromkeys(COLUMNS, pa.string()), **dict.fromkeys(INSTANTS, pa.timestamp("us", tz="UTC")),
        **dict.fromkeys(("number", "rows", "calls", "bytes", "sequence", "source_sequence"), pa.int64()),
        "digest": pa.binary(),
    }
    return pa.schema([(name, kinds[name]) for name in COLUMNS])


def _to_disk(*paths: Path) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


async def _compare(tx: asyncpg.Connection, folder: str, segment: Segment, say: Say) -> None:
    """Every row of the file against the row in the database, field by field."""
    path = path_of(folder, segment)
    kept = in_file(path)
    seen = 0
    async with tx.transaction(isolation="repeatable_read", readonly=True):
        async for rows in _stored(tx, segment.month):
            for row in rows:
                if next(kept, None) != row:
                    raise ArchiveChanged(file=segment.file)
                seen += 1
            say(f"{segment.month:%Y-%m}: ✓ {seen:,} / {segment.events:,}")
    if next(kept, None) is not None or seen != segment.events:
        raise ArchiveChanged(file=segment.file)


async def _drop(tx: asyncpg.Connection, audit: AuditLog, segment: Segment, now: datetime) -> None:
    """Let go of the partition if it still is what was written; locks everybody out for that moment only."""
    name = f"billing.{partition(segment.month)}"
    async with tx.transaction():
        await tx.execute("SET LOCAL lock_timeout = '10s'")
        await tx.execute("LOCK TABLE ONLY billing.usage_event IN SHARE ROW EXCLUSIVE MODE")
        facts = await facts_of(tx, name)
        if (facts["events"], facts["last"]) != (segment.events, segment.last_number):
            raise Interrupted(month=f"{segment.month:%Y-%m}")
        await tx.execute(f"ALTER TABLE billing.usage_event DETACH PARTITION {name}")
        await tx.execute(f"DROP TABLE {name}")
        await tx.execute(
            "UPDATE billing.usage_archive SET state = 'archived', changed_at = $3 WHERE month = $1 AND segment = $2",
            segment.month, segment.segment, now,
        )
        await record(tx, audit, "usage_month.archived", segment)
