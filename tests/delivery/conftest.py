"""An application with a DataStore of its own beside the service's database."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from authz import Runtime
from ops.delivery import close_delivery, watch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "kills")]
"""Where helpers of these tests are found: tests are no packages."""


@pytest.fixture(autouse=True)
def patient_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests is no reason to end a delivery; ``test_watch.py`` tests what is one."""
    monkeypatch.setattr(watch, "BLIND_MAX_S", 30.0)


@pytest.fixture
async def runtime(runtime: Runtime, pool: asyncpg.Pool) -> AsyncIterator[Runtime]:
    """The service's runtime with open tables (schema public of the same server) as DataStore."""
    made = replace(runtime, datastore=pool, extras={})
    yield made
    await close_delivery(made)
