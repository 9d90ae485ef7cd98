"""Queries over the readings of titles: what was typed as pinyin, initials, or a mixture with characters."""

from __future__ import annotations

import re

from tantivy import Occur as TOccur
from tantivy import Query, Schema

from ops.search import analysis
from ops.search.chinese import pinyin
from ops.search.chinese.folding import normalize
from ops.search.fields import INITIALS, PINYIN, sequence_of
from ops.search.schema import Kind

MIN_INITIALS = 2
INITIALS_WEIGHT = 0.5
_LETTERS = re.compile("([a-z']+)|[^a-z']+")


def by_syllables(schema: Schema, letters: str, *, unfinished: bool) -> Query | None:
    """Titles with these syllables in a row; ``unfinished`` lets the last be the start of one."""
    found: list[Query] = []
    for cut in pinyin.cuts(letters, unfinished=unfinished):
        words: list[str | tuple[int, str]] = list(cut)
        if unfinished and (len(cut) > 1 or cut[-1] not in pinyin.SYLLABLES):
            found.append(Query.phrase_prefix_query(schema, PINYIN, words))
        if len(cut) > 1:
            found.append(Query.phrase_query(schema, PINYIN, words))
        elif cut[-1] in pinyin.SYLLABLES:
            found.append(Query.term_query(schema, PINYIN, cut[0], "position"))
    return _any(found)


def by_initials(schema: Schema, letters: str) -> Query | None:
    """Titles in which neighbouring characters begin with these letters (the first six are looked at)."""
    letters = letters.replace("'", "")
    if len(letters) < MIN_INITIALS:
        return None
    if len(letters) >= analysis.INITIALS_MAX:
        return Query.term_query(schema, INITIALS, letters[: analysis.INITIALS_MAX], "basic")
    return Query.const_score_query(Query.regex_query(schema, INITIALS, letters + "[a-z]*"), 1.0)


def by_letters(schema: Schema, letters: str, *, unfinished: bool, least: int = MIN_INITIALS) -> Query | None:
    """Titles by syllables or, from ``least`` letters on, by initials."""
    found = []
    syllables = by_syllables(schema, letters, unfinished=unfinished)
    if syllables is not None:
        found.append(syllables)
    short = by_initials(schema, letters) if len(letters) >= least else None
    if short is not None:
        found.append(Query.boost_query(short, INITIALS_WEIGHT))
    return _any(found)


def by_sound(schema: Schema, run: str) -> Query | None:
    """Titles in which a run of Chinese stands, or another that reads the same."""
    words: list[str | tuple[int, str]] = list(pinyin.readings(run))
    return Query.phrase_query(schema, PINYIN, words) if len(words) > 1 else None


def mixed(schema: Schema, text: str) -> Query | None:
    """Titles by characters and letters together (``空气zl``); None when the text is not such a mixture."""
    plain = normalize(text).lower().replace(" ", "")
    runs = list(_LETTERS.finditer(plain))
    if len(runs) < 2 or not analysis.has_cjk(plain) or len(runs) > 8:
        return None
    found: list[tuple[TOccur, Query]] = []
    for match in runs:
        run = match[0]
        query: Query | None
        if match[1]:
            query = by_letters(schema, run, unfinished=True)
            if query is None and len(run) == 1:
                continue
        else:
            terms = analysis.phrase_terms(run, Kind.TEXT)
            query = sequence(schema, "title", terms)
        if query is None:
            return None
        found.append((TOccur.Must, query))
    return Query.boolean_query(found) if found else None


def sequence(schema: Schema, place: str, terms: list[tuple[int, str]]) -> Query | None:
    """Terms of the analysis in a row, in a field with a tantivy field of its own."""
    if not terms:
        return None
    if not analysis.in_sequence(terms):
        return Query.term_query(schema, place, terms[0][1], "freq")
    if len(terms) == 1:
        return Query.term_query(schema, sequence_of(place), terms[0][1], "position")
    return Query.phrase_query(schema, sequence_of(place), list(terms))


def _any(found: list[Query]) -> Query | None:
    if not found:
        return None
    return found[0] if len(found) == 1 else Query.disjunction_max_query(found, 0.0)
