"""Lists: newest first, in pages that start after a cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")]

T = TypeVar("T")


def page(found: Sequence[T], limit: int, key: Callable[[T], str], show: Callable[[T], Any]) -> dict[str, Any]:
    """``{"items", "next"}`` of rows fetched with ``limit + 1``."""
    shown = found[:limit]
    return {
        "items": [show(one) for one in shown],
        "next": key(shown[-1]) if len(found) > limit else None,
    }
