"""Ranges and beginnings of strings that have a column to sort by: read from the column, not from every term."""

from __future__ import annotations

import re
import threading
from functools import cache

from tantivy import Index, Query

from ops.search.fields import SORT_TEXT, build_schema
from ops.search.nodes import Joker, Wildcard
from ops.search.schema import Kind, field_of

LAST = "\U0010ffff"
"""Sorts after every other character."""
_PLAIN = re.compile(r"\w[\w-]{0,200}")
"""Bounds that mean nothing else to the engine's own query language, the only way to ask it for a range of strings."""
_WORDS = frozenset({"TO", "AND", "OR", "NOT", "IN"})
_lock = threading.Lock()


@cache
def _language() -> Index:
    return Index(build_schema())


def by_column(
    name: str, low: str | None, high: str | None, include_low: bool = True, include_high: bool = True
) -> Query | None:
    """Documents whose value lies between two; None when the field has no column or a bound is not a plain word."""
    column = SORT_TEXT.get(name)
    bounds = [bound for bound in (low, high) if bound is not None]
    if column is None or field_of(name).kind is not Kind.STRING or not bounds:
        return None
    if any(bound in _WORDS or not _PLAIN.fullmatch(bound.removesuffix(LAST)) for bound in bounds):
        return None
    text = (
        f"{column}:{'[' if include_low or low is None else '{'}{low if low is not None else '*'}"
        f" TO {high if high is not None else '*'}{']' if include_high or high is None else '}'}"
    )
    try:
        with _lock:
            return _language().parse_query(text, [column])
    except ValueError:
        return None


def beginning_with(name: str, node: Wildcard) -> Query | None:
    """Documents whose value begins with what a pattern begins with, when that is all it asks for; else None."""
    literal = [item for item in node.pattern if isinstance(item, str)]
    if name not in SORT_TEXT or node.pattern[-1] is not Joker.ANY or len(literal) != len(node.pattern) - 1:
        return None
    text = "".join(literal)
    return by_column(name, text, text + LAST)
