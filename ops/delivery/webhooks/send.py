"""The worker's part: what is due is sent, what failed is put off, who fails for days is left alone.

A delivery is claimed before it is sent and marked after. A worker that dies in between leaves the claim to lapse, and
the event is sent again under the same ``webhook-id``: at least once.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from authz import AuditEntry, Runtime
from ops.delivery.webhooks.places import PlaceRefused, resolve, split
from ops.delivery.webhooks.signing import headers, unseal

log = logging.getLogger("govopen.webhooks")

BATCH = 50
AT_ONCE = 16
TIMEOUT_S = 10.0
CLAIM_S = 60.0
WAITS_S = (5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200)
"""After the first failure, the second, and so on; the last one again and again."""
DISABLED_AFTER = timedelta(days=5)
KEPT = timedelta(days=90)
TASK = "webhooks.task"

_CLAIM = """
UPDATE ops.webhook_delivery d SET claimed_until = clock_timestamp() + make_interval(secs => $2)
FROM ops.webhook_endpoint e
WHERE e.id = d.endpoint_id AND d.id IN (
    SELECT w.id FROM ops.webhook_delivery w JOIN ops.webhook_endpoint p ON p.id = w.endpoint_id
    WHERE w.state = 'waiting' AND w.due_at <= $1 AND w.claimed_until < clock_timestamp()
      AND p.deleted_at IS NULL AND p.disabled_at IS NULL
    ORDER BY w.due_at, w.id LIMIT $3 FOR UPDATE OF w SKIP LOCKED)
RETURNING d.id, d.event_id, d.endpoint_id, d.body, d.attempts, e.url, e.secret, e.secret_before,
    e.secret_before_until, e.grant_id
"""


@dataclass(frozen=True)
class Result:
    """What came of one try; ``status`` None when there was no answer."""

    status: int | None
    error: str | None

    @property
    def is_good(self) -> bool:
        return self.error is None


async def deliver_webhooks(runtime: Runtime) -> None:
    """See that a task of this worker sends what is due; returns at once, since receivers may be slow."""
    task = runtime.extras.get(TASK)
    if isinstance(task, asyncio.Task) and not task.done():
        return
    runtime.extras[TASK] = asyncio.create_task(_logged(runtime))


async def close_webhooks(runtime: Runtime) -> None:
    """Stop sending; what was claimed is sent again when the claim lapses."""
    task = runtime.extras.pop(TASK, None)
    if isinstance(task, asyncio.Task):
        task.cancel()
        await asyncio.wait([task])


async def _logged(runtime: Runtime) -> None:
    try:
        while await deliver_due(runtime) == BATCH:
            continue
    except Exception:
        log.exception("webhooks")


async def deliver_due(runtime: Runtime) -> int:
    """Send one batch of what is due; how many were tried."""
    async with runtime.transaction() as tx:
        claimed = await tx.fetch(_CLAIM, runtime.clock.now(), CLAIM_S, BATCH)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(row: asyncpg.Record) -> None:
        async with gate:
            result = await _try(runtime, row)
        async with runtime.transaction() as tx:
            await _mark(tx, runtime, row, result)

    await asyncio.gather(*(one(row) for row in claimed))
    return len(claimed)


async def _try(runtime: Runtime, row: asyncpg.Record) -> Result:
    now, body = runtime.clock.now(), row["body"].encode()
    secrets = [unseal(runtime.signing_key, row["endpoint_id"], row["secret"])]
    if row["secret_before"] is not None and row["secret_before_until"] > now:
        secrets.append(unseal(runtime.signing_key, row["endpoint_id"], row["secret_before"]))
    return await post(
        row["url"], body, headers(row["event_id"], now, body, secrets), demo=runtime.settings.demo
    )


async def post(url: str, body: bytes, with_headers: dict[str, str], *, demo: bool) -> Result:
    """One try, ten seconds at most. Connects to the very address that was found allowed; follows no redirect."""
    import httpx  # some 10 MB that a process without receivers does without

    try:
        async with asyncio.timeout(TIMEOUT_S):
            parts = split(url, demo=demo)
            host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
            address = await resolve(host, port, demo=demo)
            target = httpx.URL(url).copy_with(host=address)
            sent = {**with_headers, "host": parts.netloc}
            async with (
                httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=TIMEOUT_S) as client,
                client.stream(
                    "POST", target, content=body, headers=sent, extensions={"sni_hostname": host}
                ) as answer,
            ):
                status = answer.status_code
    except TimeoutError:
        return Result(None, "timeout")
    except PlaceRefused as fault:
        return Result(None, str(fault))
    except (httpx.HTTPError, OSError, ValueError) as fault:
        return Result(None, "timeout" if isinstance(fault, httpx.TimeoutException) else "no_connection")
    except Exception:
        log.exception("a webhook could not be sent")
        return Result(None, "not_sent")
    return Result(status, None if 200 <= status < 300 else "redirect_refused" if status < 400 else "status")


async def _mark(tx: asyncpg.Connection, runtime: Runtime, row: Any, result: Result) -> None:
    now = runtime.clock.now()
    attempts = row["attempts"] + 1
    due_at = now + timedelta(seconds=WAITS_S[min(attempts, len(WAITS_S)) - 1])
    await tx.execute(
        "UPDATE ops.webhook_delivery SET attempts = attempts + 1, last_at = $2, last_status = $3, last_error = $4,"
        " due_at = $5, state = CASE WHEN $6 THEN 'delivered' ELSE state END, claimed_until = '-infinity'"
        " WHERE id = $1 AND state = 'waiting'",
        row["id"], now, result.status, result.error, due_at, result.is_good,
    )
    if result.is_good:
        await tx.execute(
            "UPDATE ops.webhook_endpoint SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL",
            row["endpoint_id"],
        )
        return
    since: datetime = await tx.fetchval(
        "UPDATE ops.webhook_endpoint SET failing_since = coalesce(failing_since, $2) WHERE id = $1"
        " RETURNING failing_since",
        row["endpoint_id"], now,
    )
    if result.status == 410 or now - since >= DISABLED_AFTER:
        await _disable(tx, runtime, row, now)


async def _disable(tx: asyncpg.Connection, runtime: Runtime, row: Any, now: datetime) -> None:
    answer = await tx.execute(
        "UPDATE ops.webhook_endpoint SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL",
        row["endpoint_id"], now,
    )
    await tx.execute(
        "UPDATE ops.webhook_delivery SET state = 'given_up' WHERE endpoint_id = $1 AND state = 'waiting'",
        row["endpoint_id"],
    )
    if answer.endswith(" 1"):
        await runtime.audit.append(tx, AuditEntry(
            "webhook.disabled", "worker", "webhook", row["endpoint_id"], details={"grant_id": row["grant_id"]}
        ))


async def forget_old_webhooks(runtime: Runtime) -> None:
    """Deliveries are kept for ninety days."""
    async with runtime.transaction() as tx:
        await tx.execute(
            "DELETE FROM ops.webhook_delivery WHERE state <> 'waiting' AND at < $1", runtime.clock.now() - KEPT
        )
