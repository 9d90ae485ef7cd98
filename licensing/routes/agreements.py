"""``/v1/agreements``: the text, its machine-readable twin, the countersignature."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse

from authz import Call, CallDep, RuntimeDep, organisations_where
from licensing import agreements, applications
from licensing.access import belongs_to, permits
from licensing.agreements import Agreement
from licensing.history import history_of
from licensing.lifecycle import AGREEMENT
from licensing.routes.bodies import AgreementEventBody, Countersign, EventRoute
from licensing.routes.paging import Cursor, Limit, page

router = APIRouter(prefix="/v1/agreements", tags=["agreements"], route_class=EventRoute)


def _shown(call: Call, agreement: Agreement) -> dict[str, Any]:
    mine = belongs_to(call.identity, agreement.party_id)
    allowed = [
        row.event.value for row in AGREEMENT.possible(agreement.state)
        if not row.by_system and (
            (mine and permits(call.identity, row.who, agreement.party_id))
            or (not mine and permits(call.identity, row.who, agreement.organisation_id))
        )
    ]
    return {**agreement.as_document(), "mine": mine, "allowed_events": allowed}


@router.get("")
async def list_agreements(
    runtime: RuntimeDep, call: CallDep, mine: bool = False, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Agreements the caller may see, newest first."""
    identity = call.identity
    everywhere = organisations_where(identity, "application:view")
    own = [o for o in identity.organisations() if permits(identity, "application:view", o)]
    staff: list[str] | None = [] if mine else (None if everywhere is None else sorted(everywhere))
    async with runtime.snapshot() as tx:
        found = await agreements.listing(
            tx, parties=own, organisations=staff, before=cursor, limit=limit + 1
        )
    return page(found, limit, lambda one: one.id, lambda one: _shown(call, one))


@router.get("/{agreement_id}")
async def show(agreement_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Terms, digest, signatures and history."""
    async with runtime.snapshot() as tx:
        found = await agreements.view(tx, call, agreement_id)
        return {**_shown(call, found), "history": await history_of(tx, AGREEMENT, agreement_id)}


@router.get("/{agreement_id}/text", response_class=PlainTextResponse)
async def show_text(agreement_id: str, runtime: RuntimeDep, call: CallDep) -> PlainTextResponse:
    """The exact text that was signed; its SHA-256 is in the header ``X-Content-SHA256``."""
    async with runtime.snapshot() as tx:
        found = await agreements.view(tx, call, agreement_id)
    return PlainTextResponse(
        found.text, media_type="text/plain; charset=utf-8",
        headers={"X-Content-SHA256": found.sha256, "ETag": f'"{found.sha256}"', "Content-Language": "zh-CN"},
    )


@router.get("/{agreement_id}/odrl", response_class=JSONResponse)
async def show_odrl(agreement_id: str, runtime: RuntimeDep, call: CallDep) -> JSONResponse:
    """The agreement for machines, in ODRL 2.2 (JSON-LD)."""
    async with runtime.snapshot() as tx:
        found = await agreements.view(tx, call, agreement_id)
    return JSONResponse(
        agreements.as_odrl(found, runtime.settings.site_url), media_type="application/ld+json"
    )


@router.post("/{agreement_id}/events")
async def happen(
    agreement_id: str, body: AgreementEventBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Countersign (the grant is issued) or terminate (the grant is revoked)."""
    async with runtime.transaction() as tx:
        if isinstance(body, Countersign):
            after = await applications.countersign(
                tx, call, agreement_id, body.version, body.signer_name or call.identity.display_name,
                audit=runtime.audit, signing_key=runtime.signing_key,
            )
        else:
            after = await agreements.terminate(
                tx, call, agreement_id, body.version, body.reason, audit=runtime.audit
            )
        return _shown(call, after)
