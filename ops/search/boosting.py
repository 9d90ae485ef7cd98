"""Scores changed by functions of the documents: ``bf`` adds to what a query gives, ``boost`` multiplies it.

Every hit of the query is looked at once, so the work grows with the hits and the parts of the functions. ``scale``
looks at the documents that the filters let through, never at others.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tantivy import Occur as TOccur
from tantivy import Query, Schema

from ops.search.dates import parse_date
from ops.search.errors import SearchFault
from ops.search.fields import COLUMNS, EXACT, SEP, SEQUENCE
from ops.search.functions import MANY, ONE, TWO, Constant, FieldValue, Function

UNIT = 2.2
"""tantivy's score of a word is this many times Solr's (``k1 + 1`` of BM25, which Lucene leaves out)."""
MAX_READ = 50_000
"""Documents whose stored values a function may read (date fields without a column)."""

ALWAYS = frozenset({*ONE, "exists", "not", "and", "or", "xor", "map", "pow"})
"""Functions that exist for a document although a field in them does not (as Solr has it)."""

SINGLE = frozenset({"sum", "product", "sub", "div", "linear", "recip", "map", "abs"})
"""Functions that Solr works out in single precision, with ``max``, ``min`` and ``scale``."""

Values = list[float]
Pair = tuple[float, Any]
ValueOf = Callable[[Sequence[int], str], dict[int, str]]


@dataclass(frozen=True, slots=True)
class Boosts:
    """Functions to add, each with its factor, and functions to multiply by."""

    added: tuple[tuple[Function, float], ...] = ()
    factors: tuple[Function, ...] = ()


@dataclass(slots=True)
class Table:
    """Some documents of one snapshot and the values of their fields."""

    schema: Schema
    searcher: Any
    query: Query
    """Finds these documents, perhaps among others."""
    addresses: list[Any]
    visible: Query
    now: datetime
    value_of: ValueOf

    def values(self, function: Function) -> Values:
        """The function for each document."""
        size = len(self.addresses)
        match function:
            case Constant():
                return [function.value] * size
            case FieldValue():
                return [0.0 if value is None else value for value in self._column(function)]
        name, arguments = function.name, function.arguments
        if name == "exists":
            return [float(one) for one in self.exists(arguments[0])]
        if name == "scale":
            return _single(self._scaled(arguments))
        if name in ("max", "min"):
            return _single(self._extreme(name, arguments))
        if name == "def":
            return self._first(arguments)
        columns = [self.values(one) for one in arguments]
        if name in SINGLE:
            return _single(_combined(name, [_single(column) for column in columns]))
        found = _combined(name, columns)
        if name == "ms":
            return _single(found)
        if name == "eq":
            there = zip(self.exists(arguments[0]), self.exists(arguments[1]), strict=True)
            return [value if a and b else float(a == b) for value, (a, b) in zip(found, there, strict=True)]
        return found

    def exists(self, function: Function) -> list[bool]:
        """Which documents have the fields that a function needs."""
        size = len(self.addresses)
        if isinstance(function, Constant):
            return [True] * size
        if isinstance(function, FieldValue):
            if function.kind.value in ("int", "date"):
                return [value is not None for value in self._column(function)]
            return self._marked(function.name)
        if function.name in ALWAYS:
            return [True] * size
        if function.name == "if":
            test = self.values(function.arguments[0])
            yes, no = self.exists(function.arguments[1]), self.exists(function.arguments[2])
            return [a if chosen else b for chosen, a, b in zip(test, yes, no, strict=True)]
        found = [self.exists(one) for one in function.arguments]
        choose = any if function.name in ("max", "min", "def") else all
        return [choose(row) for row in zip(*found, strict=True)]

    def _column(self, field: FieldValue) -> list[float | None]:
        if field.name in COLUMNS:
            found: list[float | None] = self.searcher.fast_field_values(field.name, self.addresses)
            return found
        if len(self.addresses) > MAX_READ:
            raise SearchFault(f"A function of {field.name[:100]} may look at {MAX_READ} documents, not at more")
        sequences = self.searcher.fast_field_values(SEQUENCE, self.addresses)
        texts = self.value_of(sequences, field.name)
        return [float(parse_date(texts[one], self.now)) if one in texts else None for one in sequences]

    def _marked(self, name: str) -> list[bool]:
        marker = Query.term_query(self.schema, EXACT, SEP + name, "basic")
        both = Query.boolean_query([(TOccur.Must, self.query), (TOccur.Must, marker)])
        hits = self.searcher.search(both, max(1, self.searcher.num_docs), count=False, order_by_field=SEQUENCE).hits
        having = {(one.segment_ord, one.doc) for _, one in hits}
        return [(one.segment_ord, one.doc) in having for one in self.addresses]

    def _scaled(self, arguments: tuple[Function, ...]) -> Values:
        low, high = (one.value for one in arguments[1:] if isinstance(one, Constant))
        hits = self.searcher.search(
            self.visible, max(1, self.searcher.num_docs), count=False, order_by_field=SEQUENCE
        ).hits
        every = Table(
            self.schema, self.searcher, self.visible, [one for _, one in hits], self.visible, self.now, self.value_of
        )
        known = zip(every.values(arguments[0]), every.exists(arguments[0]), strict=True)
        seen = [value for value, there in known if there and math.isfinite(value)]
        least, most = (min(seen), max(seen)) if seen else (0.0, 0.0)
        rate = (high - low) / (most - least) if most > least else 0.0
        return [(value - least) * rate + low for value in self.values(arguments[0])]

    def _extreme(self, name: str, arguments: tuple[Function, ...]) -> Values:
        choose = max if name == "max" else min
        columns = [(self.values(one), self.exists(one)) for one in arguments]
        found = []
        for row in range(len(self.addresses)):
            there = [values[row] for values, having in columns if having[row]]
            broken = any(map(math.isnan, there))
            found.append(math.nan if broken else choose(there) if there else 0.0)
        return found

    def _first(self, arguments: tuple[Function, ...]) -> Values:
        found = self.values(arguments[-1])
        for one in reversed(arguments[:-1]):
            found = [a if there else b for a, there, b in zip(self.values(one), self.exists(one), found, strict=True)]
        return found


def _single(values: Values) -> Values:
    return array("f", values).tolist()


def _combined(name: str, columns: list[Values]) -> Values:
    """A function of numbers, row by row."""
    if name in ONE:
        return [ONE[name](x) for x in columns[0]]
    if name in TWO:
        return [TWO[name](a, b) for a, b in zip(*columns, strict=True)]
    if name in ("linear", "recip"):
        scaled = _single([x * m for x, m in zip(columns[0], columns[1], strict=True)])
        moved = _single([x + c for x, c in zip(scaled, columns[-1], strict=True)])
        return moved if name == "linear" else [TWO["div"](a, x) for a, x in zip(columns[2], moved, strict=True)]
    rows = zip(*columns, strict=True)
    if name in MANY:
        return [_of_many(name, row) for row in rows]
    match name:
        case "map":
            return [row[3] if row[1] <= row[0] <= row[2] else row[4 if len(row) > 4 else 0] for row in rows]
        case "if":
            return [yes if test else no for test, yes, no in rows]
        case "not":
            return [float(not row[0]) for row in rows]
    return [float(bool(one) != bool(two)) for one, two in rows]


def _of_many(name: str, row: Sequence[float]) -> float:
    match name:
        case "sum":
            return float(sum(row))
        case "product":
            return float(math.prod(row))
    return float(all(row) if name == "and" else any(row))


def boosted(table: Table, boosts: Boosts, scores: Sequence[float]) -> list[float]:
    """tantivy's scores of a table's documents after the functions, as Solr would give them."""
    found = [score / UNIT for score in scores]
    for function, weight in boosts.added:
        found = [score + _positive(value * weight) for score, value in zip(found, table.values(function), strict=True)]
    if boosts.factors:
        factor = [1.0] * len(found)
        for function in boosts.factors:
            factor = [one * value for one, value in zip(factor, table.values(function), strict=True)]
        found = [_positive(score * one) for score, one in zip(found, factor, strict=True)]
    return found


def _positive(value: float) -> float:
    """Lucene takes no negative scores: less than nothing, and no number, count nothing."""
    return min(value, 3.4e38) if value > 0 else 0.0
