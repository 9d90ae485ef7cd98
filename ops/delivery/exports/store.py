"""Export jobs at rest (``ops.export_job``) and where their files lie."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from authz import NotFound, Unavailable
from ops.delivery.exports.model import ExportJob
from ops.delivery.formats import FORMATS

LEASE_S = 20.0
"""A worker that did not say for so long that it is at a job has lost it."""
FREE_MIN = 1 << 29


class ExportFolder:
    """``GOVOPEN_EXPORTS_DIR``, else ``$GOVOPEN_HOME/exports``: readable by the service's account only."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> ExportFolder:
        """Raises Unavailable when there is no place for files."""
        found = cls.known(env)
        if found is None:
            raise Unavailable(part="exports")
        return found

    @classmethod
    def known(cls, env: Mapping[str, str] = os.environ) -> ExportFolder | None:
        """The folder, made when it is missing; None where none is set."""
        given, home = env.get("GOVOPEN_EXPORTS_DIR"), env.get("GOVOPEN_HOME")
        if not given and not home:
            return None
        made = cls(Path(given) if given else Path(str(home)) / "exports")
        made.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return made

    def file(self, job: ExportJob) -> Path:
        return self.root / f"{job.id}.{FORMATS[job.query['format']].suffix}"

    def part(self, job: ExportJob) -> Path:
        """Each attempt writes a file of its own: a worker that was only slow cannot spoil its successor's."""
        return self.root / f"{job.id}.{job.attempt}.part"

    def drop_parts(self, job: ExportJob) -> None:
        """Remove what earlier attempts left behind."""
        for attempt in range(1, job.attempt):
            (self.root / f"{job.id}.{attempt}.part").unlink(missing_ok=True)

    def has_room(self) -> bool:
        return shutil.disk_usage(self.root).free > FREE_MIN

    def keep_only(self, ids: set[str]) -> int:
        """Remove the files of all other jobs; how many."""
        removed = 0
        for file in self.root.iterdir():
            if file.name.partition(".")[0] not in ids:
                file.unlink(missing_ok=True)
                removed += 1
        return removed


async def insert(tx: asyncpg.Connection, job: Mapping[str, Any]) -> None:
    names = list(job)
    places = ", ".join(f"${place}" for place in range(1, len(names) + 1))
    await tx.execute(f"INSERT INTO ops.export_job ({', '.join(names)}) VALUES ({places})", *job.values())


async def find(
    tx: asyncpg.Connection, job_id: str, *, grant_id: str | None = None, resource_id: str | None = None,
    lock: bool = False,
) -> ExportJob:
    """The job, of this grant and resource where given; raises NotFound for anybody else's."""
    row = await tx.fetchrow(
        "SELECT * FROM ops.export_job WHERE id = $1 AND grant_id = coalesce($2, grant_id)"
        " AND resource_id = coalesce($3, resource_id)" + (" FOR UPDATE" if lock else ""),
        job_id, grant_id, resource_id,
    )
    if row is None:
        raise NotFound
    return ExportJob.from_row(dict(row))


async def of_grant(tx: asyncpg.Connection, grant_id: str, resource_id: str, limit: int) -> list[ExportJob]:
    rows = await tx.fetch(
        "SELECT * FROM ops.export_job WHERE grant_id = $1 AND resource_id = $2 ORDER BY id DESC LIMIT $3",
        grant_id, resource_id, limit,
    )
    return [ExportJob.from_row(dict(row)) for row in rows]


async def count_open(tx: asyncpg.Connection, grant_id: str) -> int:
    """Jobs not done; whoever counts to decide holds the grant's lock until the transaction ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 11))", grant_id)
    found: int = await tx.fetchval(
        "SELECT count(*) FROM ops.export_job WHERE grant_id = $1 AND state IN ('queued', 'running')", grant_id
    )
    return found


async def claim(tx: asyncpg.Connection, now: datetime) -> ExportJob | None:
    """The oldest job that no living worker has, now this worker's; None when there is none."""
    row = await tx.fetchrow(
        """
        UPDATE ops.export_job SET state = 'running', attempt = attempt + 1, rows_done = 0,
            started_at = coalesce(started_at, $1), lease_until = clock_timestamp() + make_interval(secs => $2)
        WHERE id = (
            SELECT id FROM ops.export_job WHERE state IN ('queued', 'running') AND lease_until < clock_timestamp()
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING *
        """,
        now, LEASE_S,
    )
    return ExportJob.from_row(dict(row)) if row else None


async def say_alive(tx: asyncpg.Connection, job: ExportJob, rows: int) -> bool:
    """Renew the lease and tell how far it is; False when the job is this worker's no more."""
    answer: str = await tx.execute(
        "UPDATE ops.export_job SET lease_until = clock_timestamp() + make_interval(secs => $3), rows_done = $4"
        " WHERE id = $1 AND attempt = $2 AND state = 'running'",
        job.id, job.attempt, LEASE_S, rows,
    )
    return answer.endswith(" 1")


async def put_back(tx: asyncpg.Connection, job: ExportJob, wait_s: float, *, tried: bool) -> None:
    """Leave the job to the next try; ``tried`` False gives the attempt back."""
    await tx.execute(
        "UPDATE ops.export_job SET state = 'queued', rows_done = 0, attempt = attempt - $3,"
        " lease_until = clock_timestamp() + make_interval(secs => $4)"
        " WHERE id = $1 AND attempt = $2 AND state = 'running'",
        job.id, job.attempt, int(not tried), wait_s,
    )
