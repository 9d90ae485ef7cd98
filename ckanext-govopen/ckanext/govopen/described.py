"""Described fields of a dataset or table, out of the text in which they are kept."""

from __future__ import annotations

import json
from typing import Any


def read_items(value: Any) -> list[dict[str, Any]]:
    """Described fields from a stored text or a list; what cannot be read is no fields."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
