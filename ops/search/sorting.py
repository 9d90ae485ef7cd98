"""Sorting by several keys on an engine that orders by one: order by the first, then settle each tie.

Ties of a column are settled by asking again for the tied documents alone, ordered by the next key; ties of the
score by widening the window until it ends between two scores. Fields without a column (the catch-all) are
walked value by value through the term dictionary. The last key is always the order of arrival.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tantivy import FieldType, Query, Schema
from tantivy import Occur as TOccur
from tantivy import Order as TOrder

from ops.search.errors import SearchFault
from ops.search.fields import COLUMNS, EXACT, SEP, SEQUENCE, SORT_TEXT, clean_name
from ops.search.schema import Kind, field_of

_SPEC = re.compile(r"^\s*(\S+)\s+(\S+)\s*$")
MAX_KEYS = 16


class By(Enum):
    SCORE = 0
    NUMBER = 1
    TEXT = 2
    TERMS = 3


@dataclass(frozen=True, slots=True)
class Key:
    by: By
    name: str
    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Hit:
    address: Any
    score: float | None = None


ARRIVAL = Key(By.NUMBER, SEQUENCE, SEQUENCE, False)


def parse_sort(spec: str) -> list[Key]:
    """``score desc, metadata_modified desc`` as keys; the words of the errors are Solr's."""
    keys: list[Key] = []
    for part in spec.split(","):
        if not part.strip():
            continue
        match = _SPEC.match(part)
        if match is None or match[2].lower() not in ("asc", "desc"):
            missing = " (Missing sort order)" if match is None and len(part.split()) == 1 else ""
            raise SearchFault(
                f"Can't determine a Sort Order (asc or desc) in sort spec '{part.strip()[:100]}'{missing}"
            )
        keys.append(_key(match[1], match[2].lower() == "desc"))
    if len(keys) > MAX_KEYS:
        raise SearchFault(f"A sort may have {MAX_KEYS} keys")
    return keys


def _key(name: str, descending: bool) -> Key:
    if name == "score":
        return Key(By.SCORE, name, "", descending)
    if "(" in name or not clean_name(name):
        raise SearchFault(
            f"sort param could not be parsed as a query, and is not a field that exists in the index: {name[:100]}"
        )
    if name in SORT_TEXT:
        return Key(By.TEXT, name, SORT_TEXT[name], descending)
    if name in COLUMNS:
        return Key(By.NUMBER, name, name, descending)
    field = field_of(name)
    if field.multi:
        raise SearchFault(f"can not sort on multivalued field: {name}")
    if field.kind is Kind.STORED or field.kind.is_text:
        raise SearchFault(f"can not sort on a field that has no order: {name}")
    return Key(By.TERMS, name, "", descending)


Rescore = Callable[[Query, list[tuple[float, Any]]], list[tuple[float, Any]]]
"""New scores for (score, address) pairs of a query's hits."""


class Sorter:
    """Sorts the hits of one request over one snapshot."""

    def __init__(
        self, schema: Schema, searcher: Any, value_of: Callable[[Sequence[int], str], dict[int, str]],
        rescore: Rescore | None = None,
    ) -> None:
        self._rescore = rescore
        self._schema = schema
        self._searcher = searcher
        self._value_of = value_of
        self.total = -1
        """Hits of the outermost query, known after ``window``."""

    def _search(self, query: Query, limit: int, **options: Any) -> tuple[list[tuple[Any, Any]], int]:
        found = self._searcher.search(query, max(1, limit), **options)
        if self.total < 0:
            self.total = found.count
        return found.hits, found.count

    def window(self, query: Query, keys: Sequence[Key], start: int, stop: int) -> list[Hit]:
        """Hits from ``start`` to ``stop`` in the order of the keys."""
        if stop <= start:
            if self.total < 0:
                self._search(query, 1)
            return []
        key, rest = (keys[0], keys[1:]) if keys else (ARRIVAL, ())
        if key.by is By.SCORE:
            return self._by_score(query, key, rest, start, stop)
        if key.by is By.TERMS:
            return self._by_terms(query, key, rest, start, stop)
        return self._by_column(query, key, rest, start, stop)

    def _by_column(self, query: Query, key: Key, rest: Sequence[Key], start: int, stop: int) -> list[Hit]:
        order = TOrder.Desc if key.descending else TOrder.Asc
        hits, total = self._search(query, stop + 1, order_by_field=key.column, order=order)
        if key is ARRIVAL:
            return [Hit(address) for _, address in hits[start:stop]]
        window: list[Hit] = []
        at = 0
        while at < min(len(hits), stop):
            end = at + 1
            while end < len(hits) and hits[end][0] == hits[at][0]:
                end += 1
            whole = end < len(hits) or len(hits) == total
            if end > start:
                low, high = max(start - at, 0), min(end, stop) - at
                if end - at == 1 and whole:
                    window.append(Hit(hits[at][1]))
                else:
                    tied = self._tied(query, key, hits[at][0])
                    window += self.window(tied, rest, low, high)
            at = end
        return window

    def _tied(self, query: Query, key: Key, value: Any) -> Query:
        marker = Query.term_query(self._schema, EXACT, SEP + _marked(key), "basic")
        if value is None:
            return Query.boolean_query([(TOccur.Must, query), (TOccur.MustNot, marker)])
        if key.by is By.NUMBER:
            same = Query.range_query(self._schema, key.column, FieldType.Integer, value, value)
        else:
            same = Query.term_query(self._schema, key.column, value, "basic")
        return Query.boolean_query([(TOccur.Must, query), (TOccur.Must, Query.const_score_query(same, 0.0))])

    def _by_terms(self, query: Query, key: Key, rest: Sequence[Key], start: int, stop: int) -> list[Hit]:
        if self.total < 0:
            self._search(query, 1)
        prefix = key.name + SEP
        groups = self._searcher.terms_with_prefix(EXACT, prefix, query)
        groups.sort(key=lambda group: group[0].encode(), reverse=key.descending)
        window: list[Hit] = []
        at = 0
        for term, count in groups:
            if at >= stop:
                return window
            if count and at + count > start:
                same = Query.const_score_query(Query.term_query(self._schema, EXACT, term, "basic"), 0.0)
                tied = Query.boolean_query([(TOccur.Must, query), (TOccur.Must, same)])
                window += self.window(tied, rest, max(start - at, 0), min(at + count, stop) - at)
            at += count
        if at < stop:
            window += self.window(self._tied(query, key, None), rest, max(start - at, 0), stop - at)
        return window

    def _by_score(self, query: Query, key: Key, rest: Sequence[Key], start: int, stop: int) -> list[Hit]:
        if self._rescore is not None:
            hits, _ = self._search(query, self._searcher.num_docs)
            return self._ordered(self._rescore(query, hits), key, rest, start, stop)
        hits, total = self._search(query, stop + 1)
        wide = stop + 1
        while wide < total and (not key.descending or hits[stop - 1][0] == hits[-1][0]):
            wide = min(wide * 4, total) if key.descending else total
            hits = self._searcher.search(query, wide, count=False).hits
        return self._ordered(list(hits), key, rest, start, stop)

    def _ordered(
        self, pairs: list[tuple[float, Any]], key: Key, rest: Sequence[Key], start: int, stop: int
    ) -> list[Hit]:
        pairs = self._settle(pairs, rest)
        pairs.sort(key=lambda pair: pair[0], reverse=key.descending)
        return [Hit(address, score) for score, address in pairs[start:stop]]

    def _settle(self, pairs: list[tuple[float, Any]], rest: Sequence[Key]) -> list[tuple[float, Any]]:
        """Order by the keys after the score, when some scores are the same (stable sorts, last key first)."""
        if len({score for score, _ in pairs}) == len(pairs):
            return pairs
        addresses = [address for _, address in pairs]
        sequences: list[int] = self._searcher.fast_field_values(SEQUENCE, addresses)
        order = sorted(range(len(pairs)), key=sequences.__getitem__)
        for key in reversed(rest):
            values: Sequence[Any]
            if key.by is By.SCORE:
                continue
            if key.by is By.NUMBER:
                values = self._searcher.fast_field_values(key.column, addresses)
            else:
                texts = self._value_of(sequences, _marked(key))
                values = [texts[seq].encode() if seq in texts else None for seq in sequences]
            present = [index for index in order if values[index] is not None]
            present.sort(key=values.__getitem__, reverse=key.descending)
            order = present + [index for index in order if values[index] is None]
        return [pairs[index] for index in order]


def _marked(key: Key) -> str:
    """The field whose presence says that the key's column has a value."""
    return "title_string" if key.name == "title" else key.name
