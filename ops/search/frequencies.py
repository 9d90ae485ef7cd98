"""In how many documents of a snapshot a term stands: asked for again and again while a query is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

MAX_TERMS = 100_000
"""Terms that are remembered of a snapshot."""
MAX_MADE = 10_000

Made = TypeVar("Made")


class Frequencies:
    """Of one snapshot, whoever asks: filters do not change them. Any thread may ask."""

    def __init__(self, searcher: Any) -> None:
        self._searcher = searcher
        self._known: dict[tuple[str, str], int] = {}
        self._made: dict[tuple[Hashable, int], tuple[Any, Any]] = {}
        self.documents: int = searcher.num_docs

    def of(self, place: str, term: str) -> int:
        """In how many documents a term stands in a place."""
        key = (place, term)
        found = self._known.get(key)
        if found is None:
            found = int(self._searcher.doc_freq(place, term))
            if len(self._known) < MAX_TERMS:
                self._known[key] = found
        return found

    def rarity(self, place: str, term: str) -> float:
        """How rare a term is, as tantivy reckons it."""
        having = self.of(place, term)
        return math.log(1 + (max(self.documents - having, 0) + 0.5) / (having + 0.5))

    def made(self, key: Hashable, of: object, make: Callable[[], Made]) -> Made:
        """What was made of an object for the snapshot, for as long as that very object is asked for again."""
        known = self._made.get((key, id(of)))
        if known is not None and known[0] is of:
            found: Made = known[1]
            return found
        found = make()
        if len(self._made) < MAX_MADE:
            self._made[key, id(of)] = (of, found)
        return found
