"""The type of a database row as mappers take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

Row = Mapping[str, Any] | asyncpg.Record
