"""Scenes of billing tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest

from authz import Role, Runtime
from billing.testing.builders import AUTHORITY, EXCHANGE, Scene

SceneMaker = Callable[[], AbstractAsyncContextManager[Scene]]

STAFF = {
    "authority-1": (Role.AUTHORITY, AUTHORITY), "authority-2": (Role.AUTHORITY, AUTHORITY),
    "pricer": (Role.EXCHANGE_PRICER, EXCHANGE), "approver": (Role.EXCHANGE_APPROVER, EXCHANGE),
    "officer": (Role.EXCHANGE_OFFICER, EXCHANGE), "officer-2": (Role.EXCHANGE_APPROVER, EXCHANGE),
}


@pytest.fixture
def scene(tx: asyncpg.Connection, runtime: Runtime) -> Scene:
    """A scene whose transaction is rolled back."""
    return Scene(tx, runtime.audit, runtime.clock.now())


@pytest.fixture
def committed(runtime: Runtime) -> SceneMaker:
    """``async with committed() as scene``: what it builds stays."""

    @asynccontextmanager
    async def make() -> AsyncIterator[Scene]:
        async with runtime.transaction() as tx:
            yield Scene(tx, runtime.audit, runtime.clock.now())

    return make


@pytest.fixture
async def staff(give_role: Callable[..., object], token_for: Callable[..., dict[str, str]]) -> Callable[[str], dict]:
    """Headers of a member of staff by name."""
    for name, (role, organisation) in STAFF.items():
        await give_role(name, role, organisation)  # type: ignore[misc]
    return token_for
