"""Term facets: counts of a field's values among the hits, in Solr's flat lists.

Strings are counted by the values that are kept for the documents' numbers (``values.py``), of which the search for the
hits gives most. Until these are read, and of other fields (texts, dates, numbers, fields of which hardly two documents
share a value), the terms are walked. Both count exactly.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tantivy import Occur as TOccur
from tantivy import Query

from ops.search import common
from ops.search.analysis import GRAM
from ops.search.errors import SearchFault, unsupported
from ops.search.fields import EXACT, SEP, SEQUENCE, clean_name, is_counted, place_of
from ops.search.schema import Kind, field_of

if TYPE_CHECKING:
    from ops.search.select import Select
    from ops.search.sorting import Sorter

MAX_FACETS = 100
LARGEST = 2**31 - 1
"""The largest whole number of a parameter, as in Solr."""
ALONG = 10_000
"""Hits whose numbers the search for the best of them gives along; those of more are asked for by themselves."""
MANY = 6_000
"""Of more hits what everybody may see is kept for whoever asks the same."""
KEPT = 400
"""Counts that a snapshot keeps: other pages and other orders of the same search have the same ones."""
UNRELATED = frozenset({"sort", "start", "rows", "fl", "wt"})
"""Parameters that do not change what is counted."""

Pairs = list[tuple[str, int]]

_pool = ThreadPoolExecutor(4, thread_name_prefix="facets")


@dataclass(frozen=True, slots=True)
class Wish:
    """How one field is to be counted."""

    name: str
    limit: int
    """Values to give back, all of them when negative."""
    offset: int
    minimum: int
    by_count: bool
    prefix: str
    missing: bool

    @property
    def enough(self) -> int | None:
        """How many of the most frequent values hold the answer; None when all are needed."""
        if self.limit < 0 or not self.by_count or self.minimum <= 0 or self.prefix:
            return None
        return self.offset + self.limit


class Counting:
    """The counts of one search. By terms they begin while the hits are looked for: both take about as long."""

    def __init__(self, select: Select, main: Query, query: Query) -> None:
        self._select = select
        self._main = main
        self._query = query
        self._future: Future[dict[str, Any]] | None = None
        asked = [(name, values) for name, values in select.parameters.items() if name not in UNRELATED]
        lasting = not any("NOW" in value for _, values in asked for value in values)
        self._key = ("facets", repr(sorted(asked))) if lasting else None
        self._alike = repr(sorted(pair for pair in asked if pair[0] != "fq")) if lasting else None
        """What is asked but for the filters."""
        self._found: dict[str, Any] | None = select.snapshot.kept.get(self._key) if self._key else None
        names = [name for name in select.parameters.get("facet.field", []) if is_counted(name)]
        if self._found is None and not select.snapshot.values.ready(names, select.snapshot.sequence):
            self._future = _pool.submit(counts, select, query)

    @property
    def ahead(self) -> int | None:
        """How many hits the search for the best gives along; no more when what all may see is counted already."""
        return None if self._alike in self._select.snapshot.kept.get("many", ()) else ALONG

    def result(self, sorter: Sorter) -> dict[str, Any]:
        """With what a search for the hits knows of them."""
        found = self._found
        if found is None:
            found = self._future.result() if self._future else self._counted(sorter)
            kept = self._select.snapshot.kept
            if self._key is not None and len(kept) < KEPT:
                kept[self._key] = found
        return found

    def _counted(self, sorter: Sorter) -> dict[str, Any]:
        return counts(self._select, self._query, sorter, self._main, self._alike)


def counts(
    select: Select, query: Query, sorter: Sorter | None = None, main: Query | None = None, key: Any = None
) -> dict[str, Any]:
    """``facet_counts`` of an answer; with a sorter that has looked for the hits, by the values of their numbers.

    ``main`` is the query before its filters, when it means the same for whoever asks so (``key``).
    """
    names = select.parameters.get("facet.field", [])
    if len(names) > MAX_FACETS:
        raise SearchFault(f"A request may ask for {MAX_FACETS} facets")
    if any(name.startswith("{!") for name in names):
        raise unsupported("Local parameters {!…} in facet.field")
    if any(field_of(name).kind is Kind.NGRAM for name in names):
        raise unsupported("Counting pieces of names and titles")
    wishes = [
        _wish(select, name) for name in dict.fromkeys(names)
        if clean_name(name) and field_of(name).kind is not Kind.STORED
    ]
    known = _of_hits(select, query, wishes, sorter, main, key) if sorter is not None else {}
    fields: dict[str, list[Any]] = {name: [] for name in names}
    for wish in wishes:
        found = known.get(wish.name)
        fields[wish.name] = _flat(select, query, wish, _by_terms(select, query, wish) if found is None else found)
    queries: dict[str, int] = {}
    for text in select.parameters.get("facet.query", []):
        both = Query.boolean_query([(TOccur.Must, query), (TOccur.Must, select.lucene(text)[0])])
        queries[text] = select.snapshot.searcher.search(both, 1).count
    return {
        "facet_queries": queries, "facet_fields": fields, "facet_ranges": {}, "facet_intervals": {},
        "facet_heatmaps": {},
    }


def _wish(select: Select, name: str) -> Wish:
    def option(what: str, default: str) -> str:
        for key in (f"f.{name}.facet.{what}", f"facet.{what}"):
            if select.parameters.get(key):
                return select.parameters[key][-1] or default
        return default

    limit = _whole(option("limit", "100"), "limit")
    order = option("sort", "count" if limit > 0 else "index")
    if order not in ("count", "index", "true", "false"):
        raise SearchFault(f"Unknown facet.sort: {order[:50]}")
    return Wish(
        name, limit, max(0, _whole(option("offset", "0"), "offset")), _whole(option("mincount", "0"), "mincount"),
        order in ("count", "true"), option("prefix", ""), option("missing", "false") == "true",
    )


def _of_hits(
    select: Select, query: Query, wishes: list[Wish], sorter: Sorter, main: Query | None, key: Any
) -> dict[str, Pairs]:
    """Values with their counts of fields that are kept with the documents' numbers."""
    wishes = [wish for wish in wishes if is_counted(wish.name)]
    if not wishes:
        return {}
    names, values = [wish.name for wish in wishes], select.snapshot.values
    found: common.Tallies | None = None
    parts = None
    if sorter.total > MANY and main is not None and key is not None:
        parts = common.parts_of(select, main, key)
    if sorter.all is None and parts is not None:
        found = common.tallies(select, parts, names)
    if found is None:
        if sorter.all is None:
            numbers = common.numbers_of(select, query)
        else:
            addresses = [address for _, address in sorter.all]
            numbers = np.array(select.snapshot.searcher.fast_field_values(SEQUENCE, addresses), np.int64)
        tallied = {name: values.tally(name, numbers) for name in names}
        found = {name: tally for name, tally in tallied.items() if tally is not None}
        if parts is not None and len(found) == len(names):
            common.keep(select, parts, found)
    many: set[Any] = select.snapshot.kept.setdefault("many", set())
    if key is not None and len(many) < KEPT and (sorter.all is None or common.is_kept(select, parts)):
        many.add(key)
    return {wish.name: values.named(wish.name, found[wish.name], wish.enough) for wish in wishes if wish.name in found}


def _by_terms(select: Select, query: Query, wish: Wish) -> Pairs:
    place, prefix = place_of(wish.name)
    enough = wish.enough if place == EXACT else None
    found = select.snapshot.searcher.terms_with_prefix(place, prefix + wish.prefix, query, enough)
    return _plain(found, prefix)


def _plain(terms: Pairs, prefix: str) -> Pairs:
    cut = len(prefix)
    return [(term[cut:], count) for term, count in terms if not term.startswith((GRAM, prefix + GRAM))]


def _flat(select: Select, query: Query, wish: Wish, pairs: Pairs) -> list[Any]:
    searcher = select.snapshot.searcher
    found = {term: count for term, count in pairs if count > 0 and term.startswith(wish.prefix)}
    if wish.minimum <= 0:
        # Only among what the filters let through: elsewhere a value would tell of documents behind a label.
        place, prefix = place_of(wish.name)
        for term, _ in _plain(searcher.terms_with_prefix(place, prefix + wish.prefix, select.visible()), prefix):
            found.setdefault(term, 0)
    least = wish.minimum
    if wish.by_count and 0 < wish.limit < len(found) - wish.offset:
        least = max(least, sorted(found.values(), reverse=True)[wish.offset + wish.limit - 1])
    pairs = [(term, count) for term, count in found.items() if count >= least]
    pairs.sort(key=(lambda pair: (-pair[1], pair[0].encode())) if wish.by_count else (lambda pair: pair[0].encode()))
    pairs = pairs[wish.offset :] if wish.limit < 0 else pairs[wish.offset : wish.offset + wish.limit]
    flat: list[Any] = [item for pair in pairs for item in pair]
    if wish.missing:
        marker = Query.term_query(select.engine.schema, EXACT, SEP + wish.name, "basic")
        without = Query.boolean_query([(TOccur.Must, query), (TOccur.MustNot, marker)])
        flat += [None, searcher.search(without, 1).count]
    return flat


def _whole(text: str, what: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = LARGEST + 1
    if abs(number) > LARGEST:
        raise SearchFault(f'For input string: "{text[:50]}" in facet.{what}')
    return number
