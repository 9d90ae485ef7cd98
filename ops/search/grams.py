"""Names and titles by any 2 to 10 neighbouring characters of theirs (Solr's ``text_ngram``, for autocomplete).

Not every such piece is indexed, which would be nine for each character, but the pairs of neighbours in sequence, and
what begins at each character. A piece is found by its pairs in a row and scores like a phrase; patterns and slips are
looked for among the beginnings, whose own beginnings are all the pieces that there are.
"""

from __future__ import annotations

import re
from operator import add

from tantivy import Query, Schema

from ops.search.chinese.folding import normalize

LEAST, MOST = 2, 10
"""Characters of a piece."""
SPACE = "\x10"
"""A space, for spaces part the terms of an index."""
_SPACES = re.compile(r"\s")
_ANYTHING = "(?s:.)*"


def beginnings_of(place: str) -> str:
    """The tantivy field of what begins at each character, for the field of the pairs."""
    return place + "_from"


def plain(text: str) -> str:
    """What pieces are cut from, and what a pattern of them is made of."""
    return _SPACES.sub(SPACE, normalize(text).lower())


def terms(text: str) -> tuple[str, str]:
    """The pairs of a text in sequence, and what begins at each of its characters, each joined by spaces."""
    whole = plain(text)
    pairs = " ".join(map(add, whole, whole[1:]))
    return pairs, " ".join([whole[at : at + MOST] for at in range(len(whole) - 1)])


def containing(schema: Schema, place: str, word: str) -> Query:
    """Texts that hold a word of two characters or more somewhere; of shorter ones nothing is found, as in Solr."""
    word = plain(word)
    pairs: list[str | tuple[int, str]] = list(map(add, word, word[1:]))
    if len(pairs) > 1:
        return Query.phrase_query(schema, place, pairs)
    return Query.term_query(schema, place, pairs[0], "basic") if pairs else Query.empty_query()


def matching(schema: Schema, place: str, pattern: str) -> Query:
    """Texts a piece of which an expression covers; raises ValueError for one that is too complex."""
    return Query.regex_query(schema, beginnings_of(place), f"(?:{pattern}){_ANYTHING}")


def alike(schema: Schema, place: str, text: str, distance: int) -> Query:
    """Texts with a piece that so many slips lead to."""
    return Query.fuzzy_term_query(schema, beginnings_of(place), text, distance, prefix=True)


def pieces(beginning: str) -> list[str]:
    """The pieces that begin where one beginning does."""
    return [beginning[:size] for size in range(LEAST, len(beginning) + 1)]
