"""Months of events in files: written, checked row by row, only then dropped from the database; and brought back.

A file holds one month's events at the time it was written, sorted by grant and number, as Parquet; beside it lies a
manifest with its checksum. A late event of a month that was moved out makes the month anew, and moving that out later
writes a further segment. Identities never move: an event sent again is known for ever.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from authz import AuditEntry, AuditLog, Conflict
from billing.periods import Period
from billing.usage.model import beijing_start, next_month

CHUNK = 20_000
LOCK = "SELECT pg_advisory_lock(hashtextextended('billing.usage_archive', 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('billing.usage_archive', 0))"

COLUMNS = (
    "number", "source", "id", "type", "subject", "time", "resource_id", "rows", "calls", "bytes", "data", "digest",
    "recorded_at", "sequence", "source_sequence", "issued_at", "corrects_source", "corrects_id",
)
INSTANTS = ("time", "recorded_at", "issued_at")
Say = Callable[[str], None]


class MonthNotClosed(Conflict):
    code = "usage_month_not_closed"
    zh = "{month} 尚未结账，或有晚到的用量还没有计费，不能归档。"
    en = "{month} is not closed, or late usage of it is not billed yet; it cannot be moved out."
    next_zh = "先关闭该账期；晚到的用量随下一账期计费后再归档。"
    next_en = "Close the period first; what came late is billed with the next one."


class NothingToMove(Conflict):
    code = "usage_month_empty"
    zh = "{month} 没有可处理的用量事件。"
    en = "There are no events of {month} to move."
    next_zh = "用 govopen usage months 查看各月所在。"
    next_en = "See where each month is with govopen usage months."


class ArchiveChanged(Conflict):
    code = "usage_archive_changed"
    zh = "归档文件 {file} 与登记的校验值不符，未作任何更改。"
    en = "The file {file} is not the one that was written; nothing was changed."
    next_zh = "请从备份取回该文件后重试。"
    next_en = "Bring the file back from a backup and try again."


class ArchiveMissing(ArchiveChanged):
    code = "usage_archive_missing"
    zh = "找不到归档文件 {file}。"
    en = "The file {file} is not there."


class Interrupted(Conflict):
    code = "usage_month_changed"
    zh = "归档期间 {month} 有新事件写入，未作删除。"
    en = "Events of {month} came while it was written; nothing was dropped."
    next_zh = "重新运行同一命令即可。"
    next_en = "Run the same command again."


@dataclass(frozen=True)
class Segment:
    """A file of a month's events as it was written."""

    month: date
    segment: int
    file: str
    sha256: str
    bytes: int
    events: int
    sums: dict[str, int]
    first_number: int
    last_number: int
    state: str = "written"


FIELDS = "month, segment, file, sha256, bytes, events, sums, first_number, last_number, state"


def partition(month: date) -> str:
    return f"usage_event_{month:%Y_%m}"


async def segments(tx: asyncpg.Connection, start: datetime, end: datetime) -> list[Segment]:
    """Files whose events are only there, of months that overlap the span."""
    rows = await tx.fetch(
        f"SELECT {FIELDS} FROM billing.usage_archive WHERE state = 'archived' ORDER BY month, segment"
    )
    found = [Segment(**dict(row)) for row in rows]
    return [one for one in found if beijing_start(one.month) < end and beijing_start(next_month(one.month)) > start]


def path_of(folder: str | None, segment: Segment) -> Path:
    path = Path(folder or ".") / segment.file
    if folder is None or not path.is_file():
        raise ArchiveMissing(file=segment.file)
    return path


async def read(
    segment: Segment, folder: str | None, grant_ids: Sequence[str], *, after: int = 0, limit: int | None = None
) -> list[dict[str, Any]]:
    """Events of the grants in a file, numbered above ``after``, in order of number."""
    path = path_of(folder, segment)

    def load() -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        table = pq.read_table(path, filters=[("subject", "in", list(grant_ids)), ("number", ">", after)])
        table = table.sort_by("number")
        return list(_rows(table.slice(0, limit) if limit is not None else table))

    return await asyncio.to_thread(load)


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    for row in table.to_pylist():
        row["data"] = orjson.loads(row["data"])
        yield row


async def facts_of(tx: asyncpg.Connection, table: str) -> dict[str, Any]:
    row = await tx.fetchrow(
        f"SELECT count(*) AS events, coalesce(sum(rows), 0)::bigint AS rows, coalesce(sum(calls), 0)::bigint AS calls,"
        f" coalesce(sum(bytes), 0)::bigint AS bytes, min(number) AS first, max(number) AS last FROM {table}"
    )
    assert row is not None  # noqa: S101 - an aggregate gives one row
    return dict(row)


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def in_file(path: Path, skip: int = 0) -> Iterator[dict[str, Any]]:
    """The rows of a file in order, as they were in the database, without the first ``skip``."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(CHUNK):
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        for row in _rows(batch.slice(skip)):
            for name in INSTANTS:
                if row[name] is not None:
                    row[name] = row[name].astimezone(UTC)
            yield row
        skip = 0


async def record(tx: asyncpg.Connection, audit: AuditLog, action: str, segment: Segment) -> None:
    await audit.append(
        tx,
        AuditEntry(
            action, "system", "usage_month", f"{segment.month:%Y-%m}",
            details={"file": segment.file, "sha256": segment.sha256, "events": segment.events, "sums": segment.sums},
        ),
    )


async def whereabouts(tx: asyncpg.Connection) -> list[dict[str, Any]]:
    """Every month: whether it is in the database, and its files."""
    rows = await tx.fetch(
        """
        SELECT substr(c.relname, 13) AS name, c.reltuples::bigint AS about FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'billing.usage_event'::regclass ORDER BY 1
        """
    )
    months: dict[str, dict[str, Any]] = {
        row["name"].replace("_", "-"): {"in_database": True, "files": []} for row in rows
    }
    for row in await tx.fetch(f"SELECT {FIELDS} FROM billing.usage_archive ORDER BY month, segment"):
        month = months.setdefault(f"{row['month']:%Y-%m}", {"in_database": False, "files": []})
        month["files"].append({"file": row["file"], "events": row["events"], "state": row["state"]})
    return [{"month": str(Period.parse(name)), **facts} for name, facts in sorted(months.items())]
