"""The city of the licensing tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from authz import Runtime
from licensing.testing import City


@pytest.fixture
async def city(
    client: httpx.AsyncClient, runtime: Runtime, token_for: Callable[..., dict[str, str]], give_role: Any
) -> City:
    """A city whose authority, exchange and department are at work; parties sign up as they are asked for."""
    return await City(client, runtime, token_for, give_role).open()
