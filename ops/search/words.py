"""Words of a query in one place of the index: each in all ways in which a document may hold it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import combinations, pairwise
from typing import NamedTuple

from tantivy import Occur as TOccur
from tantivy import Query

from ops.search import analysis, covered
from ops.search.among import Among
from ops.search.analysis import GRAM, GRAM_WEIGHT
from ops.search.covered import NOTHING, Covered, Index
from ops.search.fields import fits, sequence_of

NEIGHBOURS = 6
"""With how many following words of a sloppy phrase each word is looked for: tantivy matches more than two words at
once by an order that depends on how rare they are in the whole index."""
RUN_WEIGHT = 1.0
"""Extra weight when a run of several Chinese words stands in the text as it was asked."""

MAX_CHOICES = 21
"""Choices of needed words (five of seven) that are looked for one by one."""

Terms = Sequence[tuple[int, str]]


class Found(NamedTuple):
    """A word in one place."""

    query: Query
    size: int
    """No more documents hold it."""
    plain: bool
    """Is it one term, of which tantivy asks documents one by one?"""


class _Ways(NamedTuple):
    """All ways to find a word in one place, whatever else is looked for."""

    queries: list[Query]
    size: int
    single: bool
    """Is there one way, which needs no help?"""
    plain: bool


class Words:
    """Makes queries for one snapshot. ``covered``: what is known of ways that find nothing more."""

    def __init__(self, index: Index, known: Covered | None) -> None:
        self._index = index
        self._known = known

    def piece(
        self, place: str, prefix: str, piece: analysis.Piece, *, alone: bool, among: Among | None = None
    ) -> Found:
        """A word by all its ways. ``alone``: is it all that was asked for?"""
        key = (place, prefix, alone, self._known is None)
        ways = self._index.frequencies.made(key, piece, partial(self._ways, place, prefix, piece, alone))
        found, size = ways.queries, ways.size
        if ways.single:
            return Found(found[0], size, ways.plain)
        if among is not None and among.fewer(size):
            found = [among.of(one) for one in found]
            size = among.size
        return Found(found[0] if len(found) == 1 else Query.disjunction_max_query(found, 0.0), size, False)

    def _ways(self, place: str, prefix: str, piece: analysis.Piece, alone: bool) -> _Ways:
        size = sum(self.terms(place, prefix, piece).values())
        if len(piece.word) == 1 and not alone:
            character = self._character(place, prefix, piece)
            if character is not None:
                return _Ways([character], size, True, True)
        found = [self._alternative(place, prefix, one) for one in piece.alternatives]
        if self._known is not None and len(found) > 1 and piece.alternatives[1].own:
            found = self._known.shortened(self._index, place, prefix, piece.alternatives, found)
        first = found[0]
        found = [one for one in found if one is not NOTHING] or [NOTHING]
        single = len(found) == 1 and found[0] is first
        return _Ways(found, size, single, single and not analysis.in_sequence(piece.alternatives[0].parts[0]))

    def _character(self, place: str, prefix: str, piece: analysis.Piece) -> Query | None:
        """A frequent character beside other words: wherever it stands, which includes where it is a word.

        It scores like the word; None when it is rare or has other names.
        """
        word, gram = prefix + piece.word, prefix + GRAM + piece.word
        if [one.parts for one in piece.alternatives] != [(((0, piece.word),),), (((0, GRAM + piece.word),),)]:
            return None
        frequencies = self._index.frequencies
        if not fits(gram) or frequencies.of(place, gram) < covered.LEAST:
            return None
        rarity = max(frequencies.rarity(place, gram), 1e-6)
        best = max(rarity * GRAM_WEIGHT, frequencies.rarity(place, word) if frequencies.of(place, word) else 0.0)
        return Query.boost_query(Query.term_query(self._index.schema, place, gram, "freq"), best / rarity)

    def _alternative(self, place: str, prefix: str, one: analysis.Alternative) -> Query:
        parts = [self.sequence(place, prefix, terms, 0) for terms in one.parts]
        if any(part is NOTHING for part in parts):
            return NOTHING
        query = parts[0] if len(parts) == 1 else Query.boolean_query([(TOccur.Must, part) for part in parts])
        return query if one.weight == 1.0 else Query.boost_query(query, one.weight)

    def terms(self, place: str, prefix: str, piece: analysis.Piece) -> dict[tuple[str, str], int]:
        """Terms of which a document has one when it holds the word in any way, with how many documents have each."""
        make = partial(self._terms, place, prefix, piece)
        return self._index.frequencies.made(("terms", place, prefix), piece, make)

    def _terms(self, place: str, prefix: str, piece: analysis.Piece) -> dict[tuple[str, str], int]:
        of, found = self._index.frequencies.of, dict[tuple[str, str], int]()
        for one in piece.alternatives:
            terms = [
                (sequence_of(place) if analysis.in_sequence(part) else place, prefix + term)
                for part in one.parts
                for _, term in part
            ]
            if terms and all(fits(term) for _, term in terms):
                counts = [of(where, term) for where, term in terms]
                least = min(range(len(terms)), key=counts.__getitem__)
                if counts[least]:
                    found[terms[least]] = counts[least]
        return found

    def sequence(self, place: str, prefix: str, terms: Terms, slop: int) -> Query:
        """Terms at their positions, as far apart as ``slop`` allows."""
        schema, frequencies = self._index.schema, self._index.frequencies
        if not all(fits(prefix + term) for _, term in terms):
            return NOTHING
        alone = not analysis.in_sequence(terms)
        place = place if alone else sequence_of(place)
        if not all(frequencies.of(place, prefix + term) for _, term in terms):
            return NOTHING
        if alone:
            return Query.term_query(schema, place, prefix + terms[0][1], "freq")
        if len(terms) == 1:
            return Query.term_query(schema, place, prefix + terms[0][1], "position")
        words: list[str | tuple[int, str]] = [(at, prefix + term) for at, term in terms]
        if not slop or len(words) == 2:
            return Query.phrase_query(schema, place, words, slop)
        pairs = [[one, two] for at, one in enumerate(words) for two in words[at + 1 : at + 1 + NEIGHBOURS]]
        return Query.boolean_query([(TOccur.Must, Query.phrase_query(schema, place, pair, slop)) for pair in pairs])

    def run(self, place: str, prefix: str, terms: Terms) -> Query:
        """What is better for standing in the text as it was asked.

        Neighbouring pairs of characters say each but the first and the last twice: those that say nothing more are
        left out, the most frequent first, and the others score for them.
        """
        where, frequencies = sequence_of(place), self._index.frequencies
        whole = self.sequence(place, prefix, terms, 0)
        if whole is NOTHING:
            return NOTHING
        if len(terms) < 3:
            return Query.boost_query(whole, RUN_WEIGHT)
        rarities = [max(frequencies.rarity(where, prefix + term), 1e-6) for _, term in terms]
        left = set(range(len(terms)))
        rarest = max(left, key=rarities.__getitem__)
        for at in sorted(left, key=rarities.__getitem__):
            if at != rarest and at - 1 in left and at + 1 in left and _overlap(terms[at - 1 : at + 2]):
                left.discard(at)
        kept = sorted(left)
        score = sum(rarities) / sum(rarities[at] for at in kept)
        return Query.boost_query(self.sequence(place, prefix, [terms[at] for at in kept], 0), RUN_WEIGHT * score)


def better(query: Query, extras: Iterable[Query]) -> Query:
    """A query whose hits score more when they are found by these as well.

    One around the other: tantivy would look for several of them together in all documents, and not in the hits alone.
    """
    if query is NOTHING:
        return NOTHING
    for one in extras:
        if one is NOTHING:
            continue
        query = Query.boolean_query([(TOccur.Must, query), (TOccur.Should, one)])
    return query


def several(words: Sequence[Found], needed: int, among: Among | None) -> Query:
    """At least so many of these words.

    tantivy counts in every document that holds one of them. Each choice of as many as are needed, all of them there, is
    quicker when the rarest in it leads, and the others have one way each.
    """
    needed = max(1, min(needed, len(words)))
    words = [one for one in words if one.query is not NOTHING]
    if needed > len(words):
        return NOTHING
    if needed == len(words):
        return _all(words, among)
    choices = list(combinations(words, needed)) if math.comb(len(words), needed) <= MAX_CHOICES else []
    if needed == 1 or not choices or not _quicker(words, choices):
        found = Query.boolean_query([(TOccur.Should, one.query) for one in words], needed)
        return found if among is None else among.of(found)
    unscored = [Query.const_score_query(_all(choice, among), 0.0) for choice in choices]
    return better(Query.boolean_query([(TOccur.Should, one) for one in unscored]), [one.query for one in words])


def _quicker(words: Sequence[Found], choices: Sequence[Sequence[Found]]) -> bool:
    """Do all choices together look at fewer documents than one count of everything does?"""
    spread = sum(one.size for one in words if not one.plain)
    led = sum(min(one.size for one in choice) + sum(one.size for one in choice if not one.plain) for choice in choices)
    return 2 * led + spread <= sum(one.size for one in words)


def _all(words: Sequence[Found], among: Among | None) -> Query:
    clauses = [(TOccur.Must, one.query) for one in words]
    if among is not None and among.fewer(min(one.size for one in words)):
        clauses.append((TOccur.Must, among.query))
    return Query.boolean_query(clauses)


def _overlap(terms: Terms) -> bool:
    """Are these pairs of characters each one on from the one before?"""
    return all(
        two == one + 1 and len(pair) == len(after) == 3 and pair[0] == after[0] == GRAM
        for (one, pair), (two, after) in pairwise(terms)
    )
