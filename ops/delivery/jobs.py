"""Scheduled work of delivery: what lost processes left open, and tables that nobody reads any more."""

from __future__ import annotations

import asyncio

from authz import Job, Runtime
from billing.usage import settle_lost
from ops.delivery.exports import clear_exports, make_exports
from ops.delivery.files import FileStore
from ops.delivery.loading.service import drop_retired
from ops.delivery.webhooks.send import deliver_webhooks, forget_old_webhooks


async def settle_lost_deliveries(runtime: Runtime) -> None:
    """Settle by rule the deliveries of processes that gave no sign of life for the length of a lease."""
    await settle_lost(runtime.pool, runtime.audit, runtime.clock.now())


async def drop_retired_tables(runtime: Runtime) -> None:
    """Drop restricted tables that were replaced."""
    await drop_retired(runtime)


async def clear_files(runtime: Runtime) -> None:
    """Clear away files of data that is open no more, files long unused, and the least used above the bound."""
    rows = await runtime.pool.fetch(
        "SELECT resource_id FROM authz.data_object"
        " WHERE deleted_at IS NULL AND document->>'open_attribute' = 'unconditional'"
    )
    await asyncio.to_thread(FileStore.from_env().clear, {row["resource_id"] for row in rows})


JOBS: list[Job] = [
    Job("usage.settle_lost", 5, settle_lost_deliveries), Job("restricted.drop_retired", 60, drop_retired_tables),
    Job("files.clear", 600, clear_files), Job("exports.make", 1, make_exports), Job("exports.clear", 5, clear_exports),
    Job("webhooks.deliver", 1, deliver_webhooks), Job("webhooks.forget", 3600, forget_old_webhooks),
]
