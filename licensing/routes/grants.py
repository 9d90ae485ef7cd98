"""``/v1/grants``: live permissions and their access keys."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from authz import Call, CallDep, GrantState, RuntimeDep, beijing_date, organisations_where
from licensing import grants
from licensing.access import belongs_to, permits
from licensing.errors import invalid
from licensing.grants import Grant, keys
from licensing.history import history_of
from licensing.lifecycle import GRANT, GrantEvent
from licensing.routes.bodies import GrantEventBody, KeyBody, KeyLimitsBody, RotateBody
from licensing.routes.paging import Cursor, Limit, page

router = APIRouter(prefix="/v1/grants", tags=["grants"])


def _shown(call: Call, grant: Grant) -> dict[str, Any]:
    mine = belongs_to(call.identity, grant.party_id)
    allowed = [
        row.event.value for row in GRANT.possible(grant.state)
        if not row.by_system and not mine and permits(call.identity, row.who, grant.organisation_id)
    ]
    if mine and not grant.ended and permits(call.identity, "key:issue", grant.party_id):
        allowed.append("issue_key")
    return {**grant.as_document(), "mine": mine, "allowed_events": allowed}


@router.get("")
async def list_grants(
    runtime: RuntimeDep, call: CallDep, mine: bool = False, state: GrantState | None = None,
    resource_id: str | None = Query(None, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$"),
    limit: Limit = 50, cursor: Cursor = None,
) -> dict[str, Any]:
    """Grants the caller may see, newest first."""
    identity = call.identity
    everywhere = organisations_where(identity, "grant:view")
    own = [o for o in identity.organisations() if permits(identity, "grant:view", o)]
    staff: list[str] | None = [] if mine else (None if everywhere is None else sorted(everywhere))
    async with runtime.snapshot() as tx:
        found = await grants.listing(
            tx, parties=own, organisations=staff, states=[state] if state else None, resource_id=resource_id,
            before=cursor, limit=limit + 1,
        )
    return page(found, limit, lambda one: one.id, lambda one: _shown(call, one))


@router.get("/{grant_id}")
async def show(grant_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """One grant with its history."""
    async with runtime.snapshot() as tx:
        found = await grants.view(tx, call, grant_id)
        return {**_shown(call, found), "history": await history_of(tx, GRANT, grant_id)}


@router.post("/{grant_id}/events")
async def happen(
    grant_id: str, body: GrantEventBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Suspend, resume or revoke; streams that run under the grant are stopped."""
    async with runtime.transaction() as tx:
        after = await grants.change(
            tx, call, grant_id, GrantEvent(body.event), body.version, body.reason, audit=runtime.audit
        )
        return _shown(call, after)


@router.post("/{grant_id}/keys", status_code=201)
async def create_key(
    grant_id: str, body: KeyBody, response: Response, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """A new key. Its text is in this answer and never again, so the answer is not kept for replay either."""
    if body.expires_on is not None and body.expires_on < beijing_date(call.now):
        raise invalid("expires_on", "date_past", "不能早于今天", "must not be in the past")
    async with runtime.transaction() as tx:
        made, text = await keys.create(
            tx, call, grant_id, body.label, body.expires_on, audit=runtime.audit,
            limits=keys.Limits.read(body.scopes, body.ip_allow),
        )
    response.headers["Cache-Control"] = "no-store"
    return {**made.as_document(call.now), "key": text}


@router.get("/{grant_id}/keys")
async def list_keys(grant_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Keys of the grant, newest first; no secret is kept that could be shown."""
    async with runtime.snapshot() as tx:
        found = await keys.listing(tx, call, grant_id)
    return {"items": [one.as_document(call.now) for one in found], "next": None}


@router.post("/{grant_id}/keys/{key_id}/rotate", status_code=201)
async def rotate_key(
    grant_id: str, key_id: str, body: RotateBody, response: Response, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """A new key in place of an old one, which works on for the overlap."""
    async with runtime.transaction() as tx:
        made, text = await keys.rotate(
            tx, call, grant_id, key_id, body.overlap_hours, audit=runtime.audit
        )
    response.headers["Cache-Control"] = "no-store"
    return {**made.as_document(call.now), "key": text, "replaces": key_id}


@router.put("/{grant_id}/keys/{key_id}/limits")
async def limit_key(
    grant_id: str, key_id: str, body: KeyLimitsBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Say anew what a key may be used for and from where; holds from its next call."""
    limits = keys.Limits.read(body.scopes, body.ip_allow)
    async with runtime.transaction() as tx:
        changed = await keys.limit(tx, call, grant_id, key_id, limits, audit=runtime.audit)
    return changed.as_document(call.now)


@router.delete("/{grant_id}/keys/{key_id}")
async def revoke_key(grant_id: str, key_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Stop a key at once."""
    async with runtime.transaction() as tx:
        ended = await keys.revoke(tx, call, grant_id, key_id, audit=runtime.audit)
    return ended.as_document(call.now)
