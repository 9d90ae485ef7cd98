"""``/v1/policies``: the policies in force, versions proposed, simulated, approved, rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from authz import versions
from authz.foundation.errors import NotFound
from authz.foundation.http import Body, CallDep, RuntimeDep, once
from authz.foundation.runtime import Runtime
from authz.model import GrantState
from authz.pdp.bundle import in_force, packaged
from authz.roles import require
from authz.versions.model import PolicyVersion, differences
from authz.versions.simulate import GRANTS, simulate

router = APIRouter(prefix="/v1/policies", tags=["policies"])

Why = Annotated[str, StringConstraints(min_length=2, max_length=2000)]
Text = Annotated[str, StringConstraints(strip_whitespace=False, max_length=200_000)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Proposal(Body):
    files: Annotated[dict[Path, Text], Field(min_length=1, max_length=20)]
    reason: Why


class Deciding(Body):
    version: Annotated[int, Field(ge=1)]
    reason: Why


class RollingBack(Body):
    reason: Why


def _document(found: PolicyVersion) -> dict[str, Any]:
    """One version with what it changes in the policies in force, or changed when it came."""
    return {**found.as_document(), "differences": differences(in_force(), found.policies)}


@router.get("")
async def show(
    runtime: RuntimeDep, call: CallDep, limit: Annotated[int, Field(ge=1, le=200)] = 50, cursor: str | None = None
) -> dict[str, Any]:
    """The version in force, its files' names, and versions newest first."""
    async with runtime.snapshot() as tx:
        found = await versions.listed(tx, call, cursor, limit + 1)
    shown = found[:limit]
    return {
        "in_force": in_force().version, "release": packaged().version, "files": sorted(in_force().files),
        "items": [one.as_document() for one in shown], "next": shown[-1].id if len(found) > limit else None,
    }


@router.get("/files/{path:path}")
async def show_file(path: str, call: CallDep) -> dict[str, Any]:
    """The text of a file of the policies in force."""
    text = versions.text_of(call, path)
    if text is None:
        raise NotFound
    return {"path": path, "policy_version": in_force().version, "text": text}


@router.post("", status_code=201)
async def propose(body: Proposal, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Propose changed files; they are compiled, tested and checked before anyone is asked."""
    async with runtime.transaction() as tx:

        async def produce() -> dict[str, Any]:
            made = await versions.propose(tx, call, body.files, body.reason, audit=runtime.audit)
            return _document(made)

        return await once(tx, call, "policy.propose", body.model_dump(), produce)


@router.get("/{version_id}")
async def show_one(version_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """A version with its differences."""
    async with runtime.snapshot() as tx:
        return _document(await versions.get(tx, call, version_id))


@router.post("/{version_id}/simulate")
async def try_out(version_id: str, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """What it would change: the last decisions asked again, every live grant tried, permissions compared."""
    require(call.identity, "policy:view", None)
    source = cast("Callable[..., Any] | None", runtime.extras.get("grants_found"))
    async with runtime.snapshot() as tx:
        found = await versions.get(tx, call, version_id)
        grants = await source(tx, resource_id=None, party_ids=None, after="", limit=GRANTS) if source else []
        live = [one for one in grants if one.state == GrantState.ACTIVE]
        return await simulate(tx, in_force(), found.policies, live, call.now)


@router.post("/{version_id}/approve")
async def approve(version_id: str, body: Deciding, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Put it in force; by another person than the one who proposed it. Every process follows within a second."""
    async with runtime.transaction() as tx:
        decided = await versions.approve(tx, call, version_id, body.version, body.reason, audit=runtime.audit)
    await _follow(runtime)
    return decided.as_document()


@router.post("/{version_id}/reject")
async def reject(version_id: str, body: Deciding, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Refuse it."""
    async with runtime.transaction() as tx:
        decided = await versions.reject(tx, call, version_id, body.version, body.reason, audit=runtime.audit)
        return decided.as_document()


@router.post("/{version_id}/roll-back")
async def roll_back(version_id: str, body: RollingBack, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Put an earlier version back in force at once; ``release`` for the policies that the software carries."""
    async with runtime.transaction() as tx:
        back = await versions.roll_back(tx, call, version_id, body.reason, audit=runtime.audit)
    await _follow(runtime)
    return {"in_force": in_force().version, "version": back.as_document() if back else None}


async def _follow(runtime: Runtime) -> None:
    async with runtime.pool.acquire() as connection:
        await versions.load_policies(connection)
