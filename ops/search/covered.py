"""What other ways of finding a word find beyond the word itself.

A Chinese word is also looked for as its characters in sequence and as the shorter words it is made of, for a document
may have been cut otherwise. Of a frequent word these ways find thousands of documents, and hardly ever another one than
the word does. Which those are is asked once of the whole index and of what is written later when that is searched: a
query then names them instead of going that way. It finds the same documents, whoever asks.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from tantivy import FieldType, Query, Schema
from tantivy import Occur as TOccur

from ops.search.analysis import Alternative, in_sequence
from ops.search.fields import SEQUENCE, fits, sequence_of
from ops.search.frequencies import Frequencies
from ops.search.ranges import numbered

LEAST = 300
"""Documents that have a word; a rarer one is found by all ways at little cost."""
MOST = 40
"""Documents beyond it that are named; with more of them the way is gone."""
MAX_WAYS = 20_000
NOTHING = Query.empty_query()
"""What is known to find nothing, such as a term that no document has: others leave it out."""


@dataclass(frozen=True, slots=True)
class Index:
    """What a query is made for; ``sequence`` is that of the last change that the searcher sees."""

    schema: Schema
    searcher: Any
    sequence: int
    frequencies: Frequencies


@dataclass(frozen=True, slots=True)
class _Known:
    upto: int
    """All documents up to this number were asked."""
    beyond: tuple[int, ...] | None
    """None: too many."""


class Covered:
    """Of one store: a document's number stands for what was written once. Any thread may ask."""

    def __init__(self) -> None:
        self._ways: dict[Hashable, _Known] = {}

    def shortened(
        self, index: Index, place: str, prefix: str, ways: Sequence[Alternative], queries: list[Query]
    ) -> list[Query]:
        """Ways to find a word in a place, the plain one first; those of a frequent word as far as they are needed.

        The word's own other forms score like all their terms, which the word does in their stead.
        """
        word = prefix + ways[0].parts[0][0][1]
        if not fits(word) or index.frequencies.of(place, word) < LEAST:
            return queries
        most = rarity = max(index.frequencies.rarity(place, word), 1e-6)
        others: list[Query] = []
        for one, query in zip(ways[1:], queries[1:], strict=True):
            beyond = self._beyond(index, (place, word, one.parts), queries[0], query) if one.own else None
            if beyond is None:
                others.append(query)
                continue
            score = one.weight * sum(
                index.frequencies.rarity(sequence_of(place) if in_sequence(part) else place, prefix + term)
                for part in one.parts for _, term in part
            )
            most = max(most, score)
            if beyond:
                others.append(numbered(index.schema, beyond, score))
        return [queries[0] if most == rarity else Query.boost_query(queries[0], most / rarity), *others]

    def _beyond(self, index: Index, key: Hashable, word: Query, way: Query) -> tuple[int, ...] | None:
        """Numbers of documents that a way finds and the word does not; None when the way has to be gone.

        ``key`` stands for both queries.
        """
        known = self._ways.get(key)
        if known is None:
            if len(self._ways) >= MAX_WAYS:
                return None
            known = _Known(0, ())
        if known.beyond is None or known.upto > index.sequence:
            return None
        if known.upto < index.sequence and way is not NOTHING:
            clauses = [(TOccur.Must, Query.const_score_query(way, 0.0)), (TOccur.MustNot, word)]
            if known.upto:
                later = Query.range_query(index.schema, SEQUENCE, FieldType.Unsigned, known.upto, None, False)
                clauses.append((TOccur.Must, Query.const_score_query(later, 0.0)))
            room = MOST - len(known.beyond) + 1
            both = Query.boolean_query(clauses)
            hits = index.searcher.search(both, room, count=False, order_by_field=SEQUENCE).hits
            found = None if len(hits) >= room else (*known.beyond, *(number for number, _ in hits))
            known = self._ways[key] = _Known(index.sequence, found)
        return known.beyond
