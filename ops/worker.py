"""The govopen worker: scheduled jobs of every package, one worker at a time per job."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
import zlib
from typing import TYPE_CHECKING

import authz.jobs
import billing.jobs
import licensing.jobs
import ops.jobs
from authz import Job, Runtime, Settings
from ops.delivery import close_delivery
from ops.delivery.exports.make import close_exports
from ops.delivery.webhooks.send import close_webhooks
from ops.runtime import open_runtime, refresh_clock

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

log = logging.getLogger("govopen.worker")


def all_jobs() -> list[Job]:
    return [*authz.jobs.JOBS, *licensing.jobs.JOBS, *billing.jobs.JOBS, *ops.jobs.JOBS]


async def run_once(runtime: Runtime, turns: Connection, job: Job) -> bool:
    """Run the job unless another worker is running it; returns whether it ran. Failures are logged.

    ``turns`` is a connection for locks alone: one that did everything in turn would remember everything (10 MB).
    """
    key = zlib.crc32(job.name.encode()) - 2**31
    if not await turns.fetchval("SELECT pg_try_advisory_lock(7310, $1::int)", key):
        return False
    try:
        await job.run(runtime)
    except Exception:
        log.exception("job %s failed", job.name)
    finally:
        await turns.execute("SELECT pg_advisory_unlock(7310, $1::int)", key)
    return True


async def main() -> None:
    """Run all jobs at their intervals until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_runtime(Settings.from_env()) as runtime, runtime.pool.acquire() as turns:
        due = {job.name: 0.0 for job in all_jobs()}
        try:
            while not stop.is_set():
                await refresh_clock(runtime)
                for job in all_jobs():
                    if due[job.name] <= time.monotonic() and not stop.is_set():
                        await run_once(runtime, turns, job)
                        due[job.name] = time.monotonic() + job.every_s
                try:
                    await asyncio.wait_for(stop.wait(), timeout=0.25)
                except TimeoutError:
                    continue
        finally:
            await close_webhooks(runtime)
            await close_exports(runtime)
            await close_delivery(runtime)


if __name__ == "__main__":
    asyncio.run(main())
