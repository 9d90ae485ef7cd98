"""Scheduled work of delivery: what lost processes left open, and tables that nobody reads any more."""

from __future__ import annotations

from authz import Job, Runtime
from billing.usage import settle_lost
from ops.delivery.loading.service import drop_retired


async def settle_lost_deliveries(runtime: Runtime) -> None:
    """Settle by rule the deliveries of processes that gave no sign of life for the length of a lease."""
    await settle_lost(runtime.pool, runtime.audit, runtime.clock.now())


async def drop_retired_tables(runtime: Runtime) -> None:
    """Drop restricted tables that were replaced."""
    await drop_retired(runtime)


JOBS: list[Job] = [
    Job("usage.settle_lost", 5, settle_lost_deliveries), Job("restricted.drop_retired", 60, drop_retired_tables),
]
