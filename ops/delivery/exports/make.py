"""The worker's part: jobs made into files, one at a time, in the background of its other work.

A job belongs to the worker that renews its lease. When the worker is gone, the next one begins the job anew, under the
same reservation; the reservation is settled in the transaction that makes the file ready, so that rows count once,
however many attempts it took.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import asyncpg

from authz import AuditEntry, DecisionRequest, Denied, NotFound, Refusal, Runtime, Unavailable, decide_async
from billing.usage.carry import Work, carry_out
from billing.usage.model import Settle
from licensing import grants
from ops.delivery import downloads, service
from ops.delivery.access import CHANNEL, Access, find_object
from ops.delivery.connections import Lease
from ops.delivery.exports import accept, store
from ops.delivery.exports.manifest import signed
from ops.delivery.exports.model import OPEN, PROCESS, ExportJob, Superseded
from ops.delivery.framing import Framing
from ops.delivery.parts import DeliveryParts, delivery_of
from ops.delivery.pump import EXECUTOR, Overrun, pump
from ops.delivery.service import Permit
from ops.delivery.watch import Running

log = logging.getLogger("govopen.exports")

ATTEMPTS_MAX = 5
RETRY_AFTER_S = 5.0
BEAT_EVERY_S = 1.0
WRITE_BYTES = 1 << 20
OPEN_HOURS_MAX = 24
TASK = "exports.task"


async def make_exports(runtime: Runtime) -> None:
    """See that a task of this worker makes what is waiting; returns at once, since exports take their time."""
    task = runtime.extras.get(TASK)
    if isinstance(task, asyncio.Task) and not task.done():
        return
    runtime.extras[TASK] = asyncio.create_task(_logged(make_waiting(runtime)))


async def close_exports(runtime: Runtime) -> None:
    """Stop what is being made; it is put back for another worker."""
    task = runtime.extras.pop(TASK, None)
    if isinstance(task, asyncio.Task):
        task.cancel()
        await asyncio.wait([task])


async def _logged(work: Awaitable[int]) -> None:
    try:
        await work
    except Exception:
        log.exception("exports")


async def make_waiting(runtime: Runtime) -> int:
    """Make every job that no living worker has; how many were taken."""
    folder, taken = store.ExportFolder.known(), 0
    if folder is None:
        return 0
    if not folder.has_room():
        log.error("no room for exports under %s", folder.root)
        return 0
    while True:
        async with runtime.transaction() as tx:
            job = await store.claim(tx, runtime.clock.now())
        if job is None:
            return taken
        taken += 1
        await _Making(await delivery_of(runtime), folder, job).run()


@dataclass
class _Made:
    permit: Permit
    rows: int
    size: int
    sha256: bytes
    watermark: str | None
    reserved: Settle


class _Making:
    """One attempt at one job."""

    def __init__(self, parts: DeliveryParts, folder: store.ExportFolder, job: ExportJob) -> None:
        self.parts, self.folder, self.job = parts, folder, job
        self.runtime = parts.runtime
        self.part = folder.part(job)
        self.rows = 0

    async def run(self) -> None:
        """To the end, whatever it is. The part that was written is gone afterwards."""
        self.folder.drop_parts(self.job)
        running = Running(self.job.grant_id, self.job.resource_id)
        self.parts.watch.add(running)
        work = asyncio.create_task(self._make())
        beat = asyncio.create_task(self._beat())
        try:
            ends: set[asyncio.Future[Any]] = {work, beat, running.stopped}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await self._concluded(work)
            elif running.stopped.done():
                await self._stop(work)
                await self._put_back(0.0, tried=False)
        except asyncio.CancelledError:
            await asyncio.shield(self._stop(work))
            with contextlib.suppress(Exception):
                await asyncio.shield(self._put_back(0.0, tried=False))
            raise
        finally:
            self.parts.watch.discard(running)
            await self._stop(work)
            await self._stop(beat)
            self.part.unlink(missing_ok=True)

    async def _stop(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.wait([task])

    async def _beat(self) -> None:
        """Renew the lease and tell the progress; ends when the job is somebody else's or nobody's."""
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            try:
                async with asyncio.timeout(store.LEASE_S / 3), self.runtime.transaction() as tx:
                    if not await store.say_alive(tx, self.job, self.rows):
                        return
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
                log.warning("export %s: the lease could not be renewed: %s", self.job.id, type(away).__name__)

    async def _concluded(self, work: asyncio.Task[None]) -> None:
        fault = work.exception()
        if fault is None:
            return
        if isinstance(fault, Superseded):
            log.info("export %s is another's or nobody's now", self.job.id)
        elif isinstance(fault, Refusal) and not isinstance(fault, Unavailable):
            ended = isinstance(fault, Denied | NotFound) or fault.status == 410
            code = fault.reasons[0].code if fault.reasons else fault.code
            await self._end("revoked" if ended else "failed", code)
        elif self.job.attempt >= ATTEMPTS_MAX:
            log.error("export %s failed", self.job.id, exc_info=fault)
            await self._end("failed", "export_failed")
        else:
            log.warning("export %s broke off, attempt %d", self.job.id, self.job.attempt, exc_info=fault)
            await self._put_back(RETRY_AFTER_S, tried=True)

    async def _put_back(self, wait_s: float, *, tried: bool) -> None:
        async with self.runtime.transaction() as tx:
            await store.put_back(tx, self.job, wait_s, tried=tried)

    async def _end(self, state: str, code: str) -> None:
        async with self.runtime.transaction() as tx:
            job = await store.find(tx, self.job.id, lock=True)
            if job.state == "running" and job.attempt == self.job.attempt:
                await accept.end(tx, self.runtime, job, state, code)

    async def _make(self) -> None:
        permit, query = await self._permit(), self.job.data_query
        compiled = downloads.compiled_for(permit, query)
        lease = await Lease.take(permit.pool)
        try:
            rows, size = await downloads.count_rows(
                lease, compiled, permit.rows_max, sizes=permit.bytes_bounded
            )
            reserved = await self._fitting(permit, rows, size, compiled.columns)
            framing = await downloads.framing_of(lease, permit, query, compiled, reserved.id)
            digest = hashlib.sha256()
            written = await self._write(lease, compiled.sql_literal, framing, digest, rows)
        except BaseException:
            await asyncio.shield(lease.throw_away())
            raise
        await lease.give_back()
        if permit.bytes_bounded and written > size:
            raise Overrun
        await self._finish(_Made(permit, self.rows, written, digest.digest(), compiled.watermark, reserved))

    async def _permit(self) -> Permit:
        """Decide again: the grant, the policy or the data may have changed since the job was accepted."""
        job, runtime, query = self.job, self.runtime, self.job.data_query
        async with runtime.snapshot() as tx:
            data = await find_object(tx, job.resource_id)
            facts = await grants.facts_of(tx, job.grant_id)
        if facts is None:
            raise NotFound
        found = await service.with_rows(self.parts, data, None)
        asked = DecisionRequest(
            subject_kind="key", subject_id=facts.party_id, object=found.data, now=runtime.clock.now(), grant=facts,
            fields=query.columns, purpose=query.purpose, channel=CHANNEL,
        )
        decision = await decide_async(asked)
        self.parts.decisions.add(asked, decision, job.id)
        decision.require()
        access = Access(found.data, facts, decision.obligations, job.key_id)
        return Permit(self.parts, access, found.pool, found.key, found.version, found.generation, {})

    async def _fitting(self, permit: Permit, rows: int, size: int, columns: tuple[str, ...]) -> Settle:
        """The reservation under which the file is made; a larger one in its place when the data has grown."""
        job = self.job
        if rows <= job.rows_reserved and size <= job.bytes_reserved:
            return accept.served(job, 0, 0)
        ask = permit.ask(columns, rows, size)
        async with self.runtime.transaction() as tx:
            locked = await self._mine(tx)
            await accept.reserve(
                tx, permit, ask, instead_of=Settle(locked.usage_id, job.grant_id, locked.usage_day, None)
            )
            await tx.execute(
                "UPDATE ops.export_job SET usage_id = $2, usage_day = $3, rows_reserved = $4, bytes_reserved = $5"
                " WHERE id = $1",
                job.id, ask.id, ask.day, ask.rows, ask.bytes,
            )
        return Settle(ask.id, job.grant_id, ask.day, None)

    async def _write(self, lease: Lease, sql: str, framing: Framing, digest: Any, rows_max: int) -> int:
        """The rows into the part; the bytes written. ``rows_max`` holds it to what was counted."""
        loop, pieces, size, waiting = asyncio.get_running_loop(), list[bytes](), 0, 0
        number = os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

        def put(file: BinaryIO, body: bytes) -> None:
            file.write(body)
            digest.update(body)

        def close(file: BinaryIO, body: bytes) -> None:
            put(file, body)
            file.flush()
            os.fsync(file.fileno())

        with os.fdopen(number, "wb") as file:

            async def take(body: bytes, rows: int) -> None:
                nonlocal size, waiting
                pieces.append(body)
                size += len(body)
                waiting += len(body)
                self.rows += rows
                if waiting >= WRITE_BYTES:
                    whole, waiting = b"".join(pieces), 0
                    pieces.clear()
                    await loop.run_in_executor(EXECUTOR, put, file, whole)

            await pump(lease.connection, sql, framing, take, rows_max)
            await loop.run_in_executor(EXECUTOR, close, file, b"".join(pieces))
        return size

    async def _mine(self, tx: asyncpg.Connection) -> ExportJob:
        job = await store.find(tx, self.job.id, lock=True)
        if job.state != "running" or job.attempt != self.job.attempt:
            raise Superseded
        return job

    async def _finish(self, made: _Made) -> None:
        """Settle, name the file and make the job ready, all in one; raises Superseded."""
        runtime, now = self.runtime, self.runtime.clock.now()
        async with runtime.transaction() as tx:
            job = await self._mine(tx)
            settle = accept.served(job, made.rows, made.size)
            await carry_out(tx, runtime.audit, PROCESS, Work(settles=[settle]), now)
            expires_at = now + accept.kept_for()
            manifest = signed(runtime, job, made.permit, made.rows, made.size, made.sha256, made.watermark, expires_at)
            await tx.execute(
                "UPDATE ops.export_job SET state = 'ready', rows_done = $2, size = $3, sha256 = $4, version = $5,"
                " watermark = $6, manifest = $7, ended_at = $8, expires_at = $9 WHERE id = $1",
                job.id, made.rows, made.size, made.sha256, made.permit.version, made.watermark, manifest, now,
                expires_at,
            )
            await runtime.audit.append(tx, AuditEntry(
                "export.ready", "worker", "export", job.id, organisation_id=made.permit.data.organisation_id,
                details={"grant_id": job.grant_id, "rows": made.rows, "sha256": made.sha256.hex()},
            ))
            _name(self.part, self.folder.file(job))


def _name(part: Path, file: Path) -> None:
    """The last step before the commit: if that fails, the file is made again and takes this one's place."""
    os.replace(part, file)


_OVER = """
SELECT j.id, CASE WHEN j.state = 'ready' AND j.expires_at <= $1 THEN 'expired'
    WHEN g.state IN ('revoked', 'expired') OR g.valid_until <= $1 OR o.resource_id IS NULL THEN 'revoked'
    ELSE 'failed' END AS ends
FROM ops.export_job j JOIN licensing.access_grant g ON g.id = j.grant_id
LEFT JOIN authz.data_object o ON o.resource_id = j.resource_id AND o.deleted_at IS NULL
WHERE j.state IN ('queued', 'running', 'ready') AND (
    (j.state = 'ready' AND j.expires_at <= $1)
    OR g.state IN ('revoked', 'expired') OR g.valid_until <= $1 OR o.resource_id IS NULL
    OR (j.state <> 'ready' AND j.created_at < $1 - make_interval(hours => $2)))
ORDER BY j.id LIMIT 200
"""
ERRORS = {"revoked": "grant_ended", "failed": "export_too_slow"}


async def clear_exports(runtime: Runtime) -> None:
    """End jobs whose time or grant is over and remove files that are no ready job's."""
    folder = store.ExportFolder.known()
    if folder is None:
        return
    async with runtime.snapshot() as tx:
        over = await tx.fetch(_OVER, runtime.clock.now(), OPEN_HOURS_MAX)
    for row in over:
        async with runtime.transaction() as tx:
            job = await store.find(tx, row["id"], lock=True)
            if job.state in (*OPEN, "ready"):
                await accept.end(tx, runtime, job, row["ends"], ERRORS.get(row["ends"]))
    async with runtime.snapshot() as tx:
        kept = await tx.fetch("SELECT id FROM ops.export_job WHERE state IN ('queued', 'running', 'ready')")
    await asyncio.to_thread(folder.keep_only, {row["id"] for row in kept})
