"""An application with a DataStore of its own beside the service's database."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest

from authz import Runtime
from ops.app import build_app
from ops.delivery import close_delivery

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "kills")]
"""Where helpers of these tests are found: tests are no packages."""


@pytest.fixture
async def runtime(runtime: Runtime, pool: asyncpg.Pool) -> AsyncIterator[Runtime]:
    """The service's runtime with open tables (schema public of the same server) as DataStore."""
    made = replace(runtime, datastore=pool, extras={})
    yield made
    await close_delivery(made)


@pytest.fixture
async def client(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build_app(runtime), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=runtime.settings.site_url) as opened:
        yield opened
