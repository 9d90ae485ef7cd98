"""The govopen service: every package's routes under one application."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any

import asyncpg
from fastapi import APIRouter, FastAPI
from pydantic import Field

import authz.routes
import billing.routes
import licensing.registration.routes
import licensing.routes
import ops.analysis.routes
import ops.audit.routes
import ops.delivery.routes
from authz import (
    AuditEntry,
    Body,
    CallDep,
    Forbidden,
    GrantFacts,
    NotFound,
    Role,
    Runtime,
    RuntimeDep,
    Settings,
    beijing_date,
)
from billing import usage
from billing.usage.ingest_routes import close_ingest
from ops import openapi, problems
from ops.delivery import close_delivery
from ops.edge import Edge
from ops.evaluation import EvaluationRoute
from ops.quick import Service
from ops.runtime import open_runtime, refresh_clock

health = APIRouter(tags=["operations"])


@health.get("/v1/health")
async def show_health(runtime: RuntimeDep) -> dict[str, Any]:
    """Whether the service can reach its database, and the time it goes by."""
    async with runtime.pool.acquire() as connection:
        await connection.fetchval("SELECT 1")
    return {"status": "ok", "now": runtime.clock.now().isoformat(), "demo": runtime.settings.demo}


class ClockShift(Body):
    days: Annotated[int, Field(ge=0, le=400)] = 0
    hours: Annotated[int, Field(ge=0, le=24)] = 0


@health.post("/v1/demo/clock")
async def move_clock(body: ClockShift, runtime: RuntimeDep, call: CallDep) -> dict[str, Any]:
    """Move the demo city's clock forward. A city that is no demo has no such address."""
    if not runtime.settings.demo:
        raise NotFound
    if not call.identity.holds(Role.SYSTEM_ADMIN):
        raise Forbidden
    delta = timedelta(days=body.days, hours=body.hours)
    async with runtime.transaction() as tx:
        await tx.execute("UPDATE authz.clock SET shift_s = shift_s + $1", delta.total_seconds())
        await runtime.audit.append(
            tx,
            AuditEntry(
                "clock.moved", call.identity.name, "clock", "demo",
                details={"seconds": int(delta.total_seconds())}, request_id=call.request_id,
            ),
        )
    await refresh_clock(runtime)
    return {"now": runtime.clock.now().isoformat()}


def settle_memory() -> None:
    """What was made while starting stays for good: no collection looks through it again, and pauses stay short."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def _party_names(tx: asyncpg.Connection, ids: Iterable[str]) -> dict[str, str]:
    return {party_id: party.name for party_id, party in (await licensing.parties.names(tx, ids)).items()}


async def _quota_exhausted(tx: asyncpg.Connection, grant: GrantFacts, at: datetime) -> bool:
    left = await usage.quota_left(tx, grant.id, usage.Quota.of(grant.quota), beijing_date(at))
    return any(bound.left == 0 for bound in left.bounds)


def with_sources(runtime: Runtime) -> Runtime:
    """Let the lower packages ask the upper ones what only those know, through ports."""
    runtime.extras.setdefault("grant_facts", licensing.grant_facts)
    runtime.extras.setdefault("grant_of_key", licensing.grant_of_key)
    runtime.extras.setdefault("grants_found", licensing.grants_found)
    runtime.extras.setdefault("keys_found", licensing.keys_found)
    runtime.extras.setdefault("parties_of", licensing.parties_of)
    runtime.extras.setdefault("party_names", _party_names)
    runtime.extras.setdefault("quota_exhausted", _quota_exhausted)
    return runtime


def build_app(runtime: Runtime | None = None) -> FastAPI:
    """The application. A runtime that is given is used as it is; else one is opened from the environment."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if runtime is not None:
            yield
            return
        async with open_runtime(Settings.from_env()) as opened:
            app.state.runtime = with_sources(opened)
            settle_memory()
            try:
                yield
            finally:
                await close_ingest(opened)
                await close_delivery(opened)

    app = Service(
        docs_url=None, openapi_url="/v1/openapi.json", redoc_url=None, redirect_slashes=False,
        lifespan=lifespan,
    )
    if runtime is not None:
        app.state.runtime = with_sources(runtime)
    problems.install(app)

    app.add_middleware(Edge)

    for part in (
        ops.analysis.routes.router, ops.delivery.routes.router, health, authz.routes.router, licensing.routes.router,
        licensing.registration.routes.router, billing.routes.router, ops.audit.routes.router,
    ):
        app.include_router(part)
    openapi.complete(app)
    app.router.routes[:0] = [ops.delivery.routes.RowsRoute(), EvaluationRoute()]
    return app


def create_app() -> FastAPI:
    """Factory for the server: settings from the environment."""
    return build_app()
