"""HTTP routes of meters: definitions, and values by window and group."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import APIRouter, Path, Query
from pydantic import Field

from authz import Body, CallDep, FieldError, Identity, InvalidInput, RuntimeDep, organisations_where
from billing.acting import Act
from billing.usage import meters
from billing.usage.model import beijing_start
from licensing import grants

GRANTS_MAX = 200
VIEW = "grant:view"
Name = Annotated[str, Field(min_length=1, max_length=200)]

router = APIRouter(tags=["meters"])


@router.get("/v1/meters", summary="计量项 Meters")
async def list_meters(runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """The newest version of every meter, for anybody signed in."""
    async with runtime.snapshot() as tx:
        return {"items": [one.as_document() for one in await meters.listed(tx)], "next": None}


class MeterBody(Body):
    title_zh: Annotated[str, Field(min_length=1, max_length=100)]
    title_en: Annotated[str, Field(min_length=1, max_length=100)]
    event_types: Annotated[list[Name], Field(max_length=50)] = []
    aggregation: Literal["count", "sum", "max", "unique"]
    value_property: Name | None = None
    group_by: Annotated[list[Name], Field(max_length=5)] = []


@router.put("/v1/meters/{name}", summary="定义计量项 Define a meter")
async def define_meter(
    name: Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,39}$")], body: MeterBody, runtime: RuntimeDep, call: CallDep
) -> dict[str, Any]:
    """A new version of the meter; the same definition again adds none. For the exchange."""
    given = meters.NewMeter(
        name, body.title_zh, body.title_en, tuple(sorted(set(body.event_types))), body.aggregation,
        body.value_property, tuple(dict.fromkeys(body.group_by)),
    )
    async with runtime.transaction() as tx:
        return (await meters.define(Act(tx, call, runtime.audit), given)).as_document()


@router.get("/v1/meters/{name}/values", summary="计量值 Values of a meter")
async def show_values(
    name: str, runtime: RuntimeDep, call: CallDep, from_: Annotated[date, Query(alias="from")],
    to: date, window: Literal["hour", "day", "month"] = "day",
    grant_id: Annotated[list[str] | None, Query(max_length=GRANTS_MAX)] = None,
    group_by: Annotated[list[str] | None, Query(max_length=5)] = None,
    version: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> dict[str, Any]:
    """Exact values by hour, day or month of Beijing over the days from ``from`` up to, not including, ``to``.

    For the grants named, each of which the caller must be allowed to see; without any, for the caller's own.
    """
    async with runtime.snapshot() as tx:
        meter = await meters.find(tx, name, version)
        wanted = list(dict.fromkeys(grant_id or ()))
        for one in wanted:
            await grants.view(tx, call, one)
        if not wanted:
            wanted = await _own_grants(tx, call.identity)
        asked = meters.Asked(
            wanted, beijing_start(from_), beijing_start(to), window, tuple(dict.fromkeys(group_by or ())),
            runtime.settings.archive_folder,
        )
        found = await meters.values(tx, meter, asked)
    return {
        "meter": meter.name, "version": meter.version, "aggregation": meter.aggregation, "window": window,
        "from": asked.start.isoformat(), "to": asked.end.isoformat(), "grants": wanted, "items": found, "next": None,
    }


async def _own_grants(tx: asyncpg.Connection, identity: Identity) -> list[str]:
    """Grants of the parties that the caller belongs to; supervisors, who may see all, must name some."""
    own = organisations_where(identity, VIEW)
    if own is None:
        raise InvalidInput([FieldError("grant_id", "missing", "必填项", "is required")])
    rows = await tx.fetch(
        "SELECT id FROM licensing.access_grant WHERE party_id = ANY($1) ORDER BY id LIMIT $2", list(own), GRANTS_MAX
    )
    return [row["id"] for row in rows]
