"""HTTP routes of the audit log."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import Field

from authz import AuditEntry, Body, CallDep, FieldError, Forbidden, InvalidInput, NotFound, RuntimeDep, require
from ops.audit import tree
from ops.audit.checkpoint import SUITE, open_note
from ops.audit.export import export_lines
from ops.audit.merkle import leaf_hash

router = APIRouter(tags=["audit"])

CKAN_SYSTEM = "ckan-system"
"""The subject under which the extension speaks for CKAN itself; no person can have it, ids there are UUIDs."""


@router.get("/v1/audit/key", response_class=PlainTextResponse)
async def show_key(runtime: RuntimeDep) -> str:
    """The public key, in PEM, that checkpoints and certificates are verified with."""
    key = runtime.signing_key.public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@router.get("/v1/audit/checkpoint", response_class=PlainTextResponse)
async def show_checkpoint(runtime: RuntimeDep) -> str:
    """The signed checkpoint of the log as it is now. Public: whoever keeps it can later prove a change."""
    async with runtime.transaction() as tx:
        return await tree.checkpoint(tx, runtime.signing_key, runtime.clock.now())


@router.get("/v1/audit/entries")
async def list_entries(
    runtime: RuntimeDep,
    call: CallDep,
    object_kind: Annotated[str | None, Query(max_length=64)] = None,
    object_id: Annotated[str | None, Query(max_length=128)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> dict[str, Any]:
    """Entries, newest last. Auditors and the authority see all, others those of their organisations."""
    own = None
    try:
        require(call.identity, "audit:read", None)
    except Forbidden:
        own = sorted(call.identity.organisations())
    async with runtime.snapshot() as tx:
        rows = await tx.fetch(
            "SELECT id, leaf, leaf_index FROM audit.entry WHERE id > $1"
            " AND ($2::text IS NULL OR object_kind = $2) AND ($3::text IS NULL OR object_id = $3)"
            " AND ($4::text[] IS NULL OR organisation_id = ANY($4)) ORDER BY id LIMIT $5",
            cursor, object_kind, object_id, own, limit,
        )
    items = [{"id": row["id"], "leaf_index": row["leaf_index"], **json.loads(row["leaf"])} for row in rows]
    return {"items": items, "next": str(rows[-1]["id"]) if len(rows) == limit else None}


@router.get("/v1/audit/entries/{number}/proof")
async def show_proof(number: Annotated[int, Field(ge=1, le=2**62)], runtime: RuntimeDep, call: CallDep) -> Any:
    """The entry, its place, the current checkpoint and the audit path between the two."""
    async with runtime.transaction() as tx:
        row = await tx.fetchrow("SELECT leaf, organisation_id FROM audit.entry WHERE id = $1", number)
        if row is None:
            raise NotFound
        if row["organisation_id"] not in call.identity.organisations():
            require(call.identity, "audit:read", None)
        # Visible before the checkpoint, so covered by it: only now does the entry surely have a place.
        note = await tree.checkpoint(tx, runtime.signing_key, runtime.clock.now())
        place: int = await tx.fetchval("SELECT leaf_index FROM audit.entry WHERE id = $1", number)
        size = open_note(note, runtime.signing_key.public_key()).size
        path = await tree.prove_inclusion(tx, place, size)
    return {
        "leaf": row["leaf"],
        "leaf_hash": base64.b64encode(leaf_hash(row["leaf"].encode())).decode(),
        "leaf_index": place,
        "path": [base64.b64encode(step).decode() for step in path],
        "checkpoint": note,
        "suite": SUITE,
    }


@router.get("/v1/audit/consistency")
async def show_consistency(
    runtime: RuntimeDep,
    old: Annotated[int, Query(ge=1, le=2**62)],
    new: Annotated[int, Query(ge=1, le=2**62)],
) -> dict[str, Any]:
    """Proof that the log of ``old`` entries is the beginning of the log of ``new`` entries. Public."""
    async with runtime.snapshot() as tx:
        try:
            path = await tree.prove_consistency(tx, old, new)
        except ValueError as problem:
            fault = FieldError("new", "out_of_range", "应满足 old ≤ new ≤ 日志长度", "must hold old ≤ new ≤ log size")
            raise InvalidInput([fault]) from problem
    return {"old": old, "new": new, "path": [base64.b64encode(step).decode() for step in path]}


@router.get("/v1/audit/export")
async def export(runtime: RuntimeDep, call: CallDep) -> StreamingResponse:
    """The whole log as a file that verifies offline: ``govopen audit verify FILE --key KEY``."""
    require(call.identity, "audit:read", None)
    async with runtime.transaction() as tx:
        await runtime.audit.append(
            tx, AuditEntry("audit.exported", call.identity.name, "audit", "log", request_id=call.request_id)
        )
    async with runtime.transaction() as tx:
        note = await tree.checkpoint(tx, runtime.signing_key, runtime.clock.now())
    size = open_note(note, runtime.signing_key.public_key()).size

    async def body() -> AsyncIterator[str]:
        async with runtime.snapshot() as tx:
            async for line in export_lines(tx, note, size):
                yield line

    return StreamingResponse(
        body(),
        media_type="application/jsonl",
        headers={"Content-Disposition": 'attachment; filename="govopen-audit.jsonl"'},
    )


class OutboxRecord(Body):
    sequence: Annotated[int, Field(ge=1, le=2**62)]
    at: Annotated[str, Field(max_length=40)]
    action: Annotated[str, Field(min_length=3, max_length=80, pattern=r"^[a-z_]+(\.[a-z_]+)+$")]
    actor: Annotated[str, Field(max_length=200)]
    object_kind: Annotated[str, Field(max_length=64)]
    object_id: Annotated[str, Field(max_length=128)]
    organisation_id: Annotated[str | None, Field(max_length=128)] = None
    details: dict[str, Any] = {}


class Outbox(Body):
    source: Annotated[str, Field(pattern=r"^[a-z0-9_.:-]{1,64}$")]
    records: Annotated[list[OutboxRecord], Field(max_length=500)]


@router.post("/v1/audit/outbox")
async def take_outbox(body: Outbox, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Take what happened inside CKAN into the log, in order and each record once; answers the last taken."""
    if call.identity.user_id != CKAN_SYSTEM:
        raise Forbidden
    taken = 0
    async with runtime.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", body.source)
        for record in sorted(body.records, key=lambda r: r.sequence):
            if await tx.fetchval(
                "SELECT 1 FROM audit.outbox_taken WHERE source = $1 AND sequence = $2",
                body.source, record.sequence,
            ):
                continue
            number = await runtime.audit.append(
                tx,
                AuditEntry(
                    record.action, record.actor, record.object_kind, record.object_id, record.organisation_id,
                    details={**record.details, "source": body.source, "sequence": record.sequence,
                             "happened_at": record.at},
                ),
            )
            await tx.execute(
                "INSERT INTO audit.outbox_taken (source, sequence, entry_id) VALUES ($1, $2, $3)",
                body.source, record.sequence, number,
            )
            taken += 1
    return {"taken": taken, "last": max((r.sequence for r in body.records), default=0)}
