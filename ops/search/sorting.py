"""Sorting by several keys on an engine that orders by one: order by the first, then settle each tie.

A few ties are settled by sorting the tied documents here. Many ties of a column are settled by asking again for the
tied documents alone, ordered by the next key; many ties of the score by walking everything in the order of the next
key. Fields without a column (the catch-all) are walked value by value through the term dictionary. The last key is
always the order of arrival.
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
from ops.search.ranges import numbered
from ops.search.schema import Kind, field_of

_SPEC = re.compile(r"^\s*(\S+)\s+(\S+)\s*$")
MAX_KEYS = 16
AHEAD = 400
"""Hits asked for beyond a window: nearly always enough to see where its last tie ends."""
SETTLED, SETTLED_TEXTS = 4_000, 300
NEAR = 1e-6
"""Scores this near to each other are one: they are sums whose parts are added in no fixed order."""


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
        rescore: Rescore | None = None, ahead: int | None = None,
    ) -> None:
        self._ahead = AHEAD if ahead is None else ahead
        self._rescore = rescore
        self._schema = schema
        self._searcher = searcher
        self._value_of = value_of
        self.total = -1
        """Hits of the outermost query, known after ``window``."""
        self.all: list[tuple[Any, Any]] | None = None
        """All of them as (anything, address), when they came with the first look."""

    def _search(self, query: Query, limit: int, **options: Any) -> tuple[list[tuple[Any, Any]], int]:
        found = self._searcher.search(query, max(1, limit), **options)
        hits, count = found.hits, found.count
        if self.total < 0:
            self.total = count
            self.all = hits if len(hits) == count else None
        return hits, count

    def window(self, query: Query, keys: Sequence[Key], start: int, stop: int) -> list[Hit]:
        """Hits from ``start`` to ``stop`` in the order of the keys."""
        if stop <= start:
            if self.total < 0:
                self._search(query, 1)
            return []
        key, rest = (keys[0], keys[1:]) if keys else (ARRIVAL, ())
        if key.by is By.SCORE:
            return self._by_score(query, key, [other for other in rest if other.by is not By.SCORE], start, stop)
        if key.by is By.TERMS:
            return self._by_terms(query, key, rest, start, stop)
        return self._by_column(query, key, rest, start, stop)

    # -- by a column -------------------------------------------------------------------------------------

    def _by_column(self, query: Query, key: Key, rest: Sequence[Key], start: int, stop: int) -> list[Hit]:
        order = TOrder.Desc if key.descending else TOrder.Asc
        ahead = 0 if key is ARRIVAL else self._ahead
        hits, total = self._search(query, stop + ahead, order_by_field=key.column, order=order)
        if key is ARRIVAL:
            return [Hit(address) for _, address in hits[start:stop]]
        window: list[Hit] = []
        at = 0
        while at < min(len(hits), stop):
            end = at + 1
            while end < len(hits) and hits[end][0] == hits[at][0]:
                end += 1
            if end > start:
                low, high = max(start - at, 0), min(end, stop) - at
                whole = end < len(hits) or len(hits) == total
                if end - at == 1 and whole:
                    window.append(Hit(hits[at][1]))
                elif whole and end - at <= _settled(rest) and not any(other.by is By.SCORE for other in rest):
                    window += self._settle([(None, address) for _, address in hits[at:end]], rest)[low:high]
                else:
                    window += self.window(self._tied(query, key, hits[at][0]), rest, low, high)
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

    # -- by terms ----------------------------------------------------------------------------------------

    def _by_terms(self, query: Query, key: Key, rest: Sequence[Key], start: int, stop: int) -> list[Hit]:
        if not self._searcher.doc_freq(EXACT, SEP + key.name):
            return self.window(query, rest, start, stop)
        if self.total < 0:
            self._search(query, 1)
        groups = self._searcher.terms_with_prefix(EXACT, key.name + SEP, query)
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

    # -- by score ----------------------------------------------------------------------------------------

    def _by_score(self, query: Query, key: Key, rest: Sequence[Key], start: int, stop: int) -> list[Hit]:
        if self._rescore is not None or not key.descending:
            hits, _ = self._search(query, self._searcher.num_docs)
            return self._ordered(self._rescore(query, hits) if self._rescore else hits, key, rest, start, stop)
        hits, total = self._search(query, stop + self._ahead)
        most = _settled(rest)
        if len(hits) < total and stop < len(hits) < stop + most and _alike(hits[stop - 1][0], hits[-1][0]):
            hits = self._searcher.search(query, stop + most).hits
        window: list[Hit] = []
        tied: list[tuple[int, int]] = []
        at = 0
        while at < min(len(hits), stop):
            best = hits[at][0]
            end = at + 1
            while end < len(hits) and _alike(best, hits[end][0]):
                end += 1
            if end > start:
                low, high = max(start - at, 0), min(end, stop) - at
                if end == len(hits) < total:
                    window += self._settled(hits, tied, rest, start, stop)
                    return window + self._walk(query, rest, best, total, low, stop - at)
                if end - at > most:
                    window += self._settled(hits, tied, rest, start, stop)
                    window += self._walk(query, rest, best, total, low, high)
                    tied = []
                else:
                    tied.append((at, end))
            at = end
        return window + self._settled(hits, tied, rest, start, stop)

    def _settled(
        self, hits: list[tuple[float, Any]], tied: list[tuple[int, int]], rest: Sequence[Key], start: int, stop: int
    ) -> list[Hit]:
        """Hits from ``start`` to ``stop`` of neighbouring ties, all of them settled at once."""
        if not tied:
            return []
        first, last = tied[0][0], tied[-1][1]
        ranks = [rank for rank, (at, end) in enumerate(tied) for _ in range(at, end)]
        found = self._settle(hits[first:last], rest, ranks if len(tied) > 1 else None)
        return found[max(start - first, 0) : stop - first]

    def _walk(
        self, query: Query, rest: Sequence[Key], best: float, total: int, low: int, high: int
    ) -> list[Hit]:
        """Hits of about one score in the order of the other keys, of which there are too many to sort here.

        Everything is walked in that order and each score is looked up, until there are enough.
        """
        found: list[Hit] = []
        at, step = 0, 4 * high + AHEAD
        while len(found) < high and at < total:
            part = self.window(query, rest, at, min(at + step, total))
            scores = self._scores(query, [hit.address for hit in part])
            found += [
                Hit(hit.address, score) for hit, score in zip(part, scores, strict=True)
                if _alike(best, score) and _alike(score, best)
            ]
            at += step
            step *= 2
        return found[low:high]

    def _scores(self, query: Query, addresses: list[Any]) -> list[float]:
        """Scores of some hits."""
        sequences = self._searcher.fast_field_values(SEQUENCE, addresses)
        these = numbered(self._schema, sequences)
        both = Query.boolean_query([(TOccur.Must, query), (TOccur.Must, these)])
        hits = self._searcher.search(both, max(1, len(addresses))).hits
        scores = {(address.segment_ord, address.doc): score for score, address in hits}
        return [scores.get((address.segment_ord, address.doc), 0.0) for address in addresses]

    def _ordered(
        self, pairs: list[tuple[float, Any]], key: Key, rest: Sequence[Key], start: int, stop: int
    ) -> list[Hit]:
        hits = self._settle(pairs, rest) if len({score for score, _ in pairs}) < len(pairs) else _hits(pairs)
        hits.sort(key=lambda hit: hit.score or 0.0, reverse=key.descending)
        return hits[start:stop]

    def _settle(
        self, pairs: Sequence[tuple[float | None, Any]], rest: Sequence[Key], ranks: Sequence[int] | None = None
    ) -> list[Hit]:
        """Hits in the order of the keys after the one that they tie in (stable sorts, last key first).

        ``ranks``: of which tie each hit is, when there are several.
        """
        if len(pairs) == 1 or (ranks is not None and ranks[-1] == len(pairs) - 1):
            return _hits(pairs)
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
        if ranks is not None:
            order.sort(key=ranks.__getitem__)
        return _hits([pairs[index] for index in order])


def _hits(pairs: Sequence[tuple[float | None, Any]]) -> list[Hit]:
    return [Hit(address, score) for score, address in pairs]


def _alike(best: float, score: float) -> bool:
    """Are two scores, the first not lower, the same but for the order in which their parts were added?"""
    return score >= best - NEAR * abs(best)


def _settled(rest: Sequence[Key]) -> int:
    """Ties that are sorted here: few when a key's values have to be read from the documents."""
    return SETTLED_TEXTS if any(key.by in (By.TEXT, By.TERMS) for key in rest) else SETTLED


def _marked(key: Key) -> str:
    """The field whose presence says that the key's column has a value."""
    return "title_string" if key.name == "title" else key.name
