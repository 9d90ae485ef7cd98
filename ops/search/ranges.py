"""Documents by the column of a string that they sort by, read from the column and not from every term; or by number."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import cache

from tantivy import Index, Query, Schema
from tantivy import Occur as TOccur

from ops.search.fields import SEQUENCE, SORT_TEXT, build_schema
from ops.search.nodes import Joker, Wildcard
from ops.search.schema import Kind, field_of

MANY = 1_000
"""Documents that are looked up one by one: for a set of terms tantivy first builds an automaton (0.15 ms)."""
LAST = "\U0010ffff"
"""Sorts after every other character."""
_PLAIN = re.compile(r"\w[\w-]{0,200}")
"""Bounds that mean nothing else to the engine's own query language, the only way to ask it for a range of strings."""
_WORDS = frozenset({"TO", "AND", "OR", "NOT", "IN"})
_lock = threading.Lock()


@cache
def _language() -> Index:
    return Index(build_schema())


def numbered(schema: Schema, numbers: Sequence[int], score: float = 0.0) -> Query:
    """Documents with these sequence numbers, each of which scores the same."""
    if len(numbers) > MANY:
        return Query.const_score_query(Query.term_set_query(schema, SEQUENCE, list(numbers)), score)
    each = [Query.term_query(schema, SEQUENCE, number, "basic") for number in numbers]
    if len(each) == 1:
        return Query.const_score_query(each[0], score)
    return Query.const_score_query(Query.boolean_query([(TOccur.Should, one) for one in each]), score)


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
