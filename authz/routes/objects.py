"""``/v1/data-objects``: catalogue facts behind the publish gate."""

from __future__ import annotations

from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, Query, Request

from authz import objects
from authz.decision import Effect
from authz.foundation.errors import FieldError, Forbidden, InvalidInput, Language, NotFound
from authz.foundation.http import CallDep, RuntimeDep
from authz.foundation.identity import Call
from authz.gate import GateDecision, check, scan
from authz.model import DataObject
from authz.roles import may, require
from authz.routes.bodies import Id, ObjectBody

router = APIRouter(tags=["data objects"])

Limit = Annotated[int, Query(ge=1, le=200)]


def shown(data: DataObject) -> dict[str, Any]:
    """The facts for the API: with the version and whether rows are loaded, never where they are."""
    return {**data.as_document(), "version": data.version, "loaded": data.location is not None}


def language_of(request: Request) -> Language:
    """Chinese unless the first supported tag of Accept-Language is English."""
    for part in request.headers.get("accept-language", "").split(","):
        tag = part.split(";")[0].strip().lower()
        if tag[:2] in ("zh", "en"):
            return "en" if tag.startswith("en") else "zh"
    return "zh"


class PublishThroughCatalogue(Forbidden):
    code = "publish_through_catalogue"
    zh = "新的数据资源或变更归属须通过目录发布。"
    en = "A new data resource, or one that changes hands, is published through the catalogue."
    next_zh = "请在平台目录中登记该数据集，发布时会自动完成。"
    next_en = "Publish the dataset in the catalogue; this is done with it."


def _authorise(call: Call, wanted: DataObject, before: DataObject | None) -> bool:
    """Whether the caller may approve a downgrade; raises ActionNotPermitted without the right to publish at all.

    An object that exists is changed by a publisher of the organisation that has it, and moved only by one who
    publishes for both. The data authority may change what exists, to carry out a downgrade it has approved.
    """
    approves = may(call.identity, "object:approve_downgrade", wanted.organisation_id).effect is Effect.PERMIT
    moved = before is not None and before.organisation_id != wanted.organisation_id
    if approves and before is not None and not moved:
        return True
    require(call.identity, "object:publish", wanted.organisation_id)
    if before is not None and moved:
        require(call.identity, "object:publish", before.organisation_id)
    return approves


def _vouched(call: Call, wanted: DataObject, before: DataObject | None) -> None:
    """Raise PublishThroughCatalogue unless CKAN vouches for whose a resource is that is new or changes hands.

    Without this, an editor of one department could tell of another's unpublished table and have it delivered.
    """
    known = before is not None and before.organisation_id == wanted.organisation_id
    if not known and call.identity.publishes != (wanted.resource_id, wanted.organisation_id):
        raise PublishThroughCatalogue


async def _gate(
    call: Call, wanted: DataObject, before: DataObject | None, sample: list[dict[str, Any]]
) -> GateDecision:
    approves = _authorise(call, wanted, before)
    found = scan(sample, [(one.name, one.title) for one in wanted.fields])
    return await check(
        wanted, found, previous=before.open_attribute if before else None, downgrade_approved=approves,
    )


@router.post("/v1/data-objects/check")
async def check_data_object(
    body: ObjectBody, runtime: RuntimeDep, call: CallDep, request: Request
) -> dict[str, Any]:
    """What the publish gate would say, with the scanner's findings by row and column; nothing is saved."""
    wanted = body.as_object()
    async with runtime.snapshot() as connection:
        before = await objects.last_known(connection, wanted.resource_id)
    decision = await _gate(call, wanted, before, body.sample)
    return decision.as_document(language_of(request))


@router.put("/v1/data-objects/{resource_id}")
async def put_data_object(
    resource_id: Id, body: ObjectBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """Save the facts of an object that passes the publish gate; 422 ``publish_gate`` with reasons otherwise."""
    if body.resource_id != resource_id:
        raise InvalidInput([FieldError(
            "resource_id", "mismatch", "与地址中的编号不一致", "is not the one in the address",
        )])
    wanted = body.as_object()
    async with runtime.transaction() as tx:
        before = await objects.last_known(tx, resource_id, lock=True)
        decision = await _gate(call, wanted, before, body.sample)
        _vouched(call, wanted, before)
        decision.require()
        saved = await objects.put(tx, runtime.audit, call, wanted, version=body.version)
    return shown(saved)


@router.get("/v1/data-objects/{resource_id}")
async def show_data_object(resource_id: Id, runtime: RuntimeDep) -> dict[str, Any]:
    """The catalogue facts of an object: public, as its conditions are."""
    async with runtime.snapshot() as connection:
        return shown(await _found(connection, resource_id))


@router.get("/v1/data-objects")
async def list_data_objects(
    runtime: RuntimeDep, dataset_id: Id | None = None, organisation_id: Id | None = None,
    limit: Limit = 50, cursor: Id | None = None,
) -> dict[str, Any]:
    """Objects in order of resource id; ``next`` is the cursor of the next page."""
    async with runtime.snapshot() as connection:
        found = await objects.listed(
            connection, dataset_id=dataset_id, organisation_id=organisation_id, after=cursor or "", limit=limit + 1,
        )
    page = found[:limit]
    return {
        "items": [shown(one) for one in page],
        "next": page[-1].resource_id if len(found) > limit else None,
    }


@router.delete("/v1/data-objects/{resource_id}")
async def delete_data_object(resource_id: Id, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Withdraw an object; its versions are kept."""
    async with runtime.transaction() as tx:
        before = await _found(tx, resource_id)
        require(call.identity, "object:publish", before.organisation_id)
        await objects.delete(tx, runtime.audit, call, resource_id)
    return {"resource_id": resource_id, "deleted": True}


async def _found(tx: asyncpg.Connection, resource_id: str) -> DataObject:
    found = await objects.get(tx, resource_id)
    if found is None:
        raise NotFound
    return found
