"""What a document needs to be found, put together before the query is.

tantivy looks for any of several queries in all documents that one of them finds, also when others that are needed as
well find few. So what is needed of a whole query is known first, as plain terms, and frequent words are looked for
among the documents alone that have one of these: the hits and their scores are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tantivy import Occur as TOccur
from tantivy import Query, Schema

from ops.search import analysis, nodes
from ops.search.fields import fits, place_of
from ops.search.mm import minimum_should_match
from ops.search.nodes import Node, Occur
from ops.search.schema import Kind, field_of

if TYPE_CHECKING:
    from ops.search.compile import Compiler

MANY, MUCH_MORE = 500, 2
"""What so many documents have, and so many times as many as have what is needed, is looked for among these alone."""

Terms = dict[tuple[str, str], int]
"""(place, term) with how many documents have it."""


class Among:
    """What a document needs to be found: one of these terms, of which each is in so many documents."""

    def __init__(self, schema: Schema, terms: Mapping[tuple[str, str], int]) -> None:
        self.size = sum(terms.values())
        having = [term for term, size in terms.items() if size]
        clauses = [(TOccur.Should, Query.term_query(schema, place, term, "basic")) for place, term in having]
        self.query = Query.const_score_query(Query.boolean_query(clauses) if clauses else Query.empty_query(), 0.0)

    def fewer(self, size: int) -> bool:
        """Is it worth while to look among these alone for what so many documents have?"""
        return size > max(MANY, MUCH_MORE * self.size)

    def of(self, query: Query) -> Query:
        """A query, of these documents alone."""
        return Query.boolean_query([(TOccur.Must, query), (TOccur.Must, self.query)])


def among_of(compiler: Compiler, node: Node | None) -> Among | None:
    """What plain words that are all needed ask of a document, by the rarest of them; None when it is not known."""
    shape = compiler.dismax
    if shape is None:
        return None
    terms: list[Node | None] = [node]
    if isinstance(node, nodes.Bool):
        terms = [child for occur, child in node.clauses if occur is Occur.SHOULD]
        if minimum_should_match(shape.mm, len(terms)) < len(node.clauses):
            return None
    least: Terms | None = None
    for term in terms:
        if not isinstance(term, nodes.Term) or term.field:
            return None
        found = _asked(compiler, term, shape.fields)
        if found is None:
            return None
        if least is None or sum(found.values()) < sum(least.values()):
            least = found
    return Among(compiler.schema, least) if least is not None else None


def _asked(compiler: Compiler, term: nodes.Term, fields: tuple[tuple[str, float], ...]) -> Terms | None:
    """Terms of which each document has one that a word finds in any field; None when they are not known.

    A word of which nothing is left to look for asks for nothing: then the others may not all be needed.
    """
    found: Terms = {}
    asks = False
    for name, _ in fields:
        place, prefix = place_of(name)
        kind = field_of(name).kind
        if kind is Kind.NGRAM:
            return None
        if kind.is_text:
            pieces = [one for one in analysis.query_pieces(term.text, kind) if not one.weak]
            each = [compiler.words.terms(place, prefix, one) for one in pieces]
            asks = asks or bool(each)
            each.sort(key=lambda terms: sum(terms.values()))
            for terms in each[: len(each) - compiler.needed(term.text, len(each)) + 1]:
                found.update(terms)
        elif kind is Kind.STRING:
            asks = True
            found[place, prefix + term.text] = compiler.frequencies.of(place, prefix + term.text)
        else:
            return None
    return found if asks and all(fits(text) for _, text in found) else None
