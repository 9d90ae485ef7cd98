"""Reading the parameters of a request."""

from __future__ import annotations

from collections.abc import Mapping

from ops.search.errors import SearchFault

Parameters = Mapping[str, list[str]]

MAX_ROWS = 100_000


def last(parameters: Parameters, name: str, default: str = "") -> str:
    values = parameters.get(name)
    return values[-1] if values else default


def truth(parameters: Parameters, name: str) -> bool:
    return last(parameters, name).lower() in ("true", "on", "yes", "1")


def whole(parameters: Parameters, name: str, default: int, *, low: int = 0, high: int = MAX_ROWS) -> int:
    text = last(parameters, name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise SearchFault(f'For input string: "{text[:50]}" in {name}') from None
    if value < low:
        raise SearchFault(f"'{name}' parameter cannot be below {low}")
    return min(value, high)
