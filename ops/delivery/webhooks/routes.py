"""``/v1/grants/{id}/webhooks``: the holder of a grant says where to tell what concerns it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import asyncpg
import orjson
from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from authz import (
    AuditEntry,
    Body,
    Call,
    CallDep,
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    Runtime,
    RuntimeDep,
    new_id,
    require,
)
from licensing import grants
from ops.delivery.webhooks import signing
from ops.delivery.webhooks.places import URL_MAX, require_place

router = APIRouter(prefix="/v1/grants/{grant_id}/webhooks", tags=["webhooks"])

EVENTS = ("data.new_version", "export.finished", "grant.state_changed")
ENDPOINTS_MAX = 5
OVERLAP_HOURS = 24
TEST = "webhook.test"
TESTS_WAITING_MAX = 3


class TooManyWebhooks(Conflict):
    code = "too_many_webhooks"
    zh = "每项授权最多 {limit} 个通知地址。"
    en = "A grant has at most {limit} webhooks."
    next_zh = "请先删除不再使用的通知地址。"
    next_en = "Delete one that is not used any more."


class WebhookDisabled(Conflict):
    code = "webhook_disabled"
    zh = "该通知地址因持续失败已停用。"
    en = "This webhook was disabled after failing for days."
    next_zh = "请先恢复该地址。"
    next_en = "Enable it first."


class TooManyTests(Conflict):
    code = "too_many_tests"
    zh = "已有 {limit} 条测试通知等待发送。"
    en = "{limit} tests are waiting to be sent."
    next_zh = "请等待其发送，或查看通知记录中的失败原因。"
    next_en = "Wait until they are sent, or see in the deliveries why they fail."


class WebhookBody(Body):
    url: Annotated[str, StringConstraints(min_length=1, max_length=URL_MAX)]
    events: Annotated[list[str], Field(min_length=1, max_length=20)] = list(EVENTS)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _endpoint(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"], "grant_id": row["grant_id"], "url": row["url"], "events": list(row["events"]),
        "state": "disabled" if row["disabled_at"] else "failing" if row["failing_since"] else "active",
        "created_by": row["created_by_name"], "created_at": _iso(row["created_at"]),
        "failing_since": _iso(row["failing_since"]), "disabled_at": _iso(row["disabled_at"]),
    }


def _delivery(row: Any) -> dict[str, Any]:
    waiting = row["state"] == "waiting"
    return {
        "id": str(row["id"]), "event_id": row["event_id"], "type": row["type"], "at": _iso(row["at"]),
        "state": row["state"], "attempts": row["attempts"], "last_at": _iso(row["last_at"]),
        "last_status": row["last_status"], "last_error": row["last_error"],
        "next_at": _iso(row["due_at"]) if waiting and row["attempts"] else None, "body": row["body"],
    }


async def _may(tx: asyncpg.Connection, call: Call, grant_id: str, action: str) -> grants.Grant:
    """The grant, for members of its party with the right; strangers get 404."""
    grant = await grants.view(tx, call, grant_id)
    require(call.identity, action, grant.party_id)
    return grant


async def _one(tx: asyncpg.Connection, grant_id: str, webhook_id: str) -> asyncpg.Record:
    row = await tx.fetchrow(
        "SELECT * FROM ops.webhook_endpoint WHERE id = $1 AND grant_id = $2 AND deleted_at IS NULL FOR UPDATE",
        webhook_id, grant_id,
    )
    if row is None:
        raise NotFound
    return row


async def _tell(tx: asyncpg.Connection, runtime: Runtime, call: Call, action: str, webhook_id: str, grant: Any) -> None:
    await runtime.audit.append(tx, AuditEntry(
        action, call.identity.name, "webhook", webhook_id, organisation_id=grant.party_id, request_id=call.request_id,
        details={"grant_id": grant.id},
    ))


@router.post("", status_code=201, summary="登记通知地址 Register a webhook")
async def create(
    grant_id: str, body: WebhookBody, response: Response, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """An address to be told of new versions, finished exports and changes of the grant. The secret is shown once."""
    for place, name in enumerate(body.events):
        if name not in EVENTS:
            known = ", ".join(EVENTS)
            raise InvalidInput([FieldError(
                f"events.{place}", "unknown_value", f"可用：{known}", f"must be one of {known}"
            )])
    async with runtime.snapshot() as tx:
        await _may(tx, call, grant_id, "key:issue")
    await require_place(body.url, demo=runtime.settings.demo)
    webhook_id, secret = new_id("whk"), signing.new_secret()
    async with runtime.transaction() as tx:
        grant = await _may(tx, call, grant_id, "key:issue")
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 12))", grant_id)
        there = await tx.fetchval(
            "SELECT count(*) FROM ops.webhook_endpoint WHERE grant_id = $1 AND deleted_at IS NULL", grant_id
        )
        if there >= ENDPOINTS_MAX:
            raise TooManyWebhooks(limit=ENDPOINTS_MAX)
        row = await tx.fetchrow(
            "INSERT INTO ops.webhook_endpoint (id, grant_id, url, events, secret, created_by_name, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
            webhook_id, grant_id, body.url, sorted(set(body.events)),
            signing.seal(runtime.signing_key, webhook_id, secret), call.identity.display_name, call.now,
        )
        await _tell(tx, runtime, call, "webhook.created", webhook_id, grant)
    response.headers["Cache-Control"] = "no-store"
    return {**_endpoint(row), "secret": signing.shown(secret)}


@router.get("", summary="通知地址 Webhooks")
async def listing(grant_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    async with runtime.snapshot() as tx:
        await _may(tx, call, grant_id, "grant:view")
        rows = await tx.fetch(
            "SELECT * FROM ops.webhook_endpoint WHERE grant_id = $1 AND deleted_at IS NULL ORDER BY id DESC", grant_id
        )
    return {"items": [_endpoint(row) for row in rows], "next": None}


@router.delete("/{webhook_id}", summary="删除通知地址 Delete a webhook")
async def delete(grant_id: str, webhook_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Nothing more is sent there; what waits is given up."""
    async with runtime.transaction() as tx:
        grant = await _may(tx, call, grant_id, "key:issue")
        row = await _one(tx, grant_id, webhook_id)
        await tx.execute("UPDATE ops.webhook_endpoint SET deleted_at = $2 WHERE id = $1", webhook_id, call.now)
        await tx.execute(
            "UPDATE ops.webhook_delivery SET state = 'given_up' WHERE endpoint_id = $1 AND state = 'waiting'",
            webhook_id,
        )
        await _tell(tx, runtime, call, "webhook.deleted", webhook_id, grant)
    return {**_endpoint(row), "state": "deleted"}


@router.post("/{webhook_id}/rotate", summary="更换签名密钥 Rotate the secret")
async def rotate(
    grant_id: str, webhook_id: str, response: Response, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """A new secret; for a day both sign, so that a receiver may change over in its own time."""
    secret = signing.new_secret()
    async with runtime.transaction() as tx:
        grant = await _may(tx, call, grant_id, "key:issue")
        await _one(tx, grant_id, webhook_id)
        row = await tx.fetchrow(
            "UPDATE ops.webhook_endpoint SET secret_before = secret, secret_before_until = $3, secret = $2"
            " WHERE id = $1 RETURNING *",
            webhook_id, signing.seal(runtime.signing_key, webhook_id, secret),
            call.now + timedelta(hours=OVERLAP_HOURS),
        )
        await _tell(tx, runtime, call, "webhook.rotated", webhook_id, grant)
    response.headers["Cache-Control"] = "no-store"
    return {**_endpoint(row), "secret": signing.shown(secret), "overlap_hours": OVERLAP_HOURS}


@router.post("/{webhook_id}/enable", summary="恢复通知 Enable again")
async def enable(grant_id: str, webhook_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Send again to an address that was left alone after days of failure."""
    async with runtime.transaction() as tx:
        grant = await _may(tx, call, grant_id, "key:issue")
        await _one(tx, grant_id, webhook_id)
        row = await tx.fetchrow(
            "UPDATE ops.webhook_endpoint SET disabled_at = NULL, failing_since = NULL WHERE id = $1 RETURNING *",
            webhook_id,
        )
        await _tell(tx, runtime, call, "webhook.enabled", webhook_id, grant)
    return _endpoint(row)


@router.post("/{webhook_id}/test", status_code=202, summary="发送测试通知 Send a test")
async def test(grant_id: str, webhook_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """An event of the type ``webhook.test``, signed and sent like all others; its delivery, to look at afterwards."""
    event_id = new_id("evt")
    body = {
        "id": event_id, "type": TEST, "timestamp": call.now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": {"grant_id": grant_id},
    }
    async with runtime.transaction() as tx:
        grant = await _may(tx, call, grant_id, "key:issue")
        endpoint = await _one(tx, grant_id, webhook_id)
        if endpoint["disabled_at"] is not None:
            raise WebhookDisabled
        waiting = await tx.fetchval(
            "SELECT count(*) FROM ops.webhook_delivery WHERE endpoint_id = $1 AND type = $2 AND state = 'waiting'",
            webhook_id, TEST,
        )
        if waiting >= TESTS_WAITING_MAX:
            raise TooManyTests(limit=TESTS_WAITING_MAX)
        row = await tx.fetchrow(
            "INSERT INTO ops.webhook_delivery (event_id, endpoint_id, type, body, at) VALUES ($1, $2, $3, $4, $5)"
            " RETURNING *",
            event_id, webhook_id, TEST, orjson.dumps(body).decode(), call.now,
        )
        await _tell(tx, runtime, call, "webhook.tested", webhook_id, grant)
    return _delivery(row)


@router.get("/{webhook_id}/deliveries", summary="通知记录 Deliveries")
async def deliveries(
    grant_id: str, webhook_id: str, runtime: RuntimeDep, call: CallDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: Annotated[int | None, Query(ge=1)] = None,
) -> dict[str, Any]:
    """What was sent or waits, newest first: tries, the last answer, the body word for word."""
    async with runtime.snapshot() as tx:
        await _may(tx, call, grant_id, "grant:view")
        if not await tx.fetchval(
            "SELECT true FROM ops.webhook_endpoint WHERE id = $1 AND grant_id = $2", webhook_id, grant_id
        ):
            raise NotFound
        rows = await tx.fetch(
            "SELECT * FROM ops.webhook_delivery WHERE endpoint_id = $1 AND ($2::bigint IS NULL OR id < $2)"
            " ORDER BY id DESC LIMIT $3",
            webhook_id, cursor, limit + 1,
        )
    following = str(rows[limit - 1]["id"]) if len(rows) > limit else None
    return {"items": [_delivery(row) for row in rows[:limit]], "next": following}


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver", status_code=202, summary="重新发送 Send again")
async def redeliver(
    grant_id: str, webhook_id: str, delivery_id: int, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """The same event, under the same id, as soon as may be."""
    async with runtime.transaction() as tx:
        grant = await _may(tx, call, grant_id, "key:issue")
        await _one(tx, grant_id, webhook_id)
        row = await tx.fetchrow(
            "UPDATE ops.webhook_delivery SET state = 'waiting', due_at = '-infinity' WHERE id = $1 AND endpoint_id = $2"
            " RETURNING *",
            delivery_id, webhook_id,
        )
        if row is None:
            raise NotFound
        await _tell(tx, runtime, call, "webhook.redelivered", webhook_id, grant)
    return _delivery(row)
