"""From the tree of a query text to a tantivy query over one snapshot of the index."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tantivy import FieldType, Query, Schema
from tantivy import Occur as TOccur

from ops.search import analysis, grams, nodes, reading
from ops.search.among import Among, among_of
from ops.search.boosting import UNIT
from ops.search.budget import ALL_TERMS, PATTERN, Budget
from ops.search.chinese import pinyin
from ops.search.chinese.distance import close
from ops.search.covered import NOTHING, Covered, Index
from ops.search.dates import format_date, parse_date
from ops.search.errors import SearchFault, TooMuch, unsupported
from ops.search.fields import COLUMNS, EXACT, SEP, clean_name, fits, place_of
from ops.search.frequencies import Frequencies
from ops.search.mm import minimum_should_match
from ops.search.nodes import Joker, Node, Occur
from ops.search.ranges import beginning_with, by_column
from ops.search.regex import rewrite
from ops.search.schema import Kind, field_of
from ops.search.words import NEIGHBOURS, Words, better, several

MAX_PATTERN = 500
HEARD_WEIGHT = 0.05
"""Weight of a title that only reads as what was typed for autocomplete."""

_OCCUR = {Occur.MUST: TOccur.Must, Occur.SHOULD: TOccur.Should, Occur.MUST_NOT: TOccur.MustNot}
_META = re.compile(r"([\\.+*?()|\[\]{}^$#&\-~])")


@dataclass(frozen=True, slots=True)
class Dismax:
    """The part of a dismax request that shapes leaves: fields with boosts, tie breaker, minimum match."""

    fields: tuple[tuple[str, float], ...]
    tie: float = 0.0
    mm: str = "100%"
    extended: bool = False
    """Is it edismax, where a word's parts are joined by the default operator?"""


@dataclass(slots=True)
class Compiler:
    schema: Schema
    searcher: Any
    now: datetime
    default_field: str = "text"
    conjunction: bool = True
    dismax: Dismax | None = None
    budget: Budget = field(default_factory=Budget)
    covered: Covered | None = None
    sequence: int = 0
    """Of the last change that the searcher sees."""
    known: Frequencies | None = None
    """How frequent terms are, when somebody asked before."""
    among: Among | None = None
    """What the query that is being made asks of a document, whatever else it asks."""

    @property
    def frequencies(self) -> Frequencies:
        if self.known is None:
            self.known = Frequencies(self.searcher)
        return self.known

    @property
    def words(self) -> Words:
        return Words(Index(self.schema, self.searcher, self.sequence, self.frequencies), self.covered)

    def query(self, node: Node | None) -> Query:
        """A whole query; one that only excludes is taken from everything (as Solr does at the top)."""
        if node is None:
            return Query.empty_query()
        self.among = among_of(self, node)
        if isinstance(node, nodes.Bool):
            return self._bool(node, top=True) or Query.empty_query()
        if isinstance(node, nodes.All):
            return Query.all_query()
        return self._node(node) or Query.empty_query()

    # -- structure -------------------------------------------------------------------------------------

    def _node(self, node: Node) -> Query | None:
        match node:
            case nodes.Bool():
                return self._bool(node)
            case nodes.Boost():
                inner = self._node(node.node)
                if inner is None:
                    return None
                if node.constant:
                    return Query.const_score_query(inner, node.factor * UNIT)
                return Query.boost_query(inner, node.factor)
            case nodes.All():
                return _alike(Query.all_query())
            case _:
                return self._leaf(node)

    def _bool(self, node: nodes.Bool, *, top: bool = False) -> Query | None:
        clauses: list[tuple[Occur, Query]] = []
        for occur, child in node.clauses:
            nothing = occur is Occur.MUST_NOT and _only_excludes(child)
            compiled = Query.empty_query() if nothing else self._node(child)
            if compiled is not None:
                clauses.append((occur, compiled))
        if not clauses:
            return None
        if all(occur is Occur.MUST_NOT for occur, _ in clauses):
            if not top and not (self.dismax is not None and self.dismax.extended):
                return Query.empty_query()
            clauses.append((Occur.MUST, _alike(Query.all_query())))
        subqueries = [(_OCCUR[occur], compiled) for occur, compiled in clauses]
        optional = sum(occur is Occur.SHOULD for occur, _ in clauses)
        if top and self.dismax is not None and optional:
            needed = minimum_should_match(self.dismax.mm, optional)
            if needed > 0:
                return Query.boolean_query(subqueries, needed)
        return Query.boolean_query(subqueries)

    def needed(self, text: str, pieces: int) -> int:
        """How many pieces of a word that a text becomes in a field have to be there."""
        loose = self.dismax is not None and (not self.dismax.extended or analysis.has_cjk(text))
        if self.conjunction and not loose:
            return pieces
        needed = minimum_should_match(self.dismax.mm, pieces) if self.dismax else 1
        return max(1, min(needed, pieces))

    def _leaf(self, node: Any) -> Query | None:
        name: str | None = node.field
        if name is None and self.dismax is not None:
            return self._disjunction(node, self.dismax)
        return self._in_field(node, self.default_field if name is None else name)

    def _disjunction(self, node: Any, shape: Dismax) -> Query | None:
        found: list[Query] = []
        nothing = False
        for name, boost in shape.fields:
            try:
                query = self._in_field(node, name)
            except TooMuch:
                raise
            except SearchFault:
                continue
            if query is NOTHING:
                nothing = True
            elif query is not None:
                found.append(query if boost == 1.0 else Query.boost_query(query, boost))
        if not found:
            return NOTHING if nothing else None
        return found[0] if len(found) == 1 else Query.disjunction_max_query(found, shape.tie)

    # -- leaves ----------------------------------------------------------------------------------------

    def _in_field(self, node: Any, name: str) -> Query | None:
        if not clean_name(name):
            return Query.empty_query()
        self.budget.spend()
        kind = field_of(name).kind
        if kind is Kind.STORED:
            return Query.empty_query()
        match node:
            case nodes.Term():
                return self._term(name, kind, node.text)
            case nodes.Phrase():
                return self._phrase(name, kind, node.text, node.slop)
            case nodes.Exists():
                return _alike(self._exact(EXACT, SEP + name))
            case nodes.Range():
                return self._range(name, kind, node)
            case nodes.Wildcard():
                return self._wildcard(name, kind, node)
            case nodes.Regex():
                form = self._form(kind)
                return self._automaton(place_of(name), rewrite(node.pattern, form))
            case nodes.Fuzzy():
                return self._fuzzy(name, kind, node)
        raise unsupported(type(node).__name__)

    def _exact(self, place: str, term: str) -> Query:
        return Query.term_query(self.schema, place, term, "basic") if fits(term) else Query.empty_query()

    def _valued(self, name: str, kind: Kind, text: str) -> Query:
        """An exact value; it scores by how rare it is, as in Solr, where such a field has no length."""
        if kind in (Kind.DATE, Kind.INT):
            return _alike(self._exact(EXACT, name + SEP + self._value(name, kind, text)))
        term = name + SEP + text
        if not fits(term):
            return NOTHING
        having = self.frequencies.of(EXACT, SEP + name)
        matching = self.frequencies.of(EXACT, term)
        if not matching:
            return NOTHING
        rarity = math.log(1 + (having - matching + 0.5) / (matching + 0.5))
        return Query.const_score_query(self._exact(EXACT, term), max(rarity, 0.0))

    def _value(self, name: str, kind: Kind, text: str) -> str:
        """The canonical text of an exact value."""
        if kind is Kind.DATE:
            return format_date(parse_date(text, self.now))
        if kind is Kind.INT:
            return str(_integer(name, text))
        return text

    def _term(self, name: str, kind: Kind, text: str) -> Query | None:
        place, prefix = place_of(name)
        if kind is Kind.NGRAM:
            return self._ngram(place, text)
        if not kind.is_text:
            return self._valued(name, kind, text)
        pieces = analysis.query_pieces(text, kind)
        if not pieces:
            return None
        self.budget.spend(len(pieces))
        words, alone, among = self.words, len(pieces) == 1, self.among
        weak = [words.piece(place, prefix, piece, alone=alone, among=among).query for piece in pieces if piece.weak]
        found = [words.piece(place, prefix, piece, alone=alone, among=among) for piece in pieces if not piece.weak]
        if alone:
            return found[0].query
        query = several(found, self.needed(text, len(found)), among)
        if analysis.has_cjk(text):
            run = words.run(place, prefix, analysis.phrase_terms(text, kind))
            return better(query, (*weak, run))
        return query

    def _phrase(self, name: str, kind: Kind, text: str, slop: int) -> Query | None:
        place, prefix = place_of(name)
        if kind is Kind.NGRAM:
            return self._ngram(place, text)
        if not kind.is_text:
            return self._valued(name, kind, text)
        terms = analysis.phrase_terms(text, kind)
        self.budget.spend(len(terms) * (NEIGHBOURS if slop else 1))
        return self.words.sequence(place, prefix, terms, slop) if terms else None

    def _ngram(self, place: str, text: str) -> Query | None:
        """Each word somewhere in it, all required.

        Of a title also what the letters read as, so that CKAN's own autocomplete knows pinyin and initials.
        """
        words = list(dict.fromkeys(analysis.normalize(text).lower().split()))
        if not words:
            return None
        found = [grams.containing(self.schema, place, word) for word in words]
        exact = found[0] if len(found) == 1 else Query.boolean_query([(TOccur.Must, one) for one in found])
        letters = pinyin.typed(text) if place == "title_ngram" else ""
        heard = reading.by_letters(self.schema, letters, unfinished=True) if len(letters) > 1 else None
        if heard is None:
            return exact
        return Query.disjunction_max_query([exact, Query.boost_query(heard, HEARD_WEIGHT)], 0.0)

    # -- ranges, wildcards, fuzzy ----------------------------------------------------------------------

    def _range(self, name: str, kind: Kind, node: nodes.Range) -> Query:
        if node.lower is None and node.upper is None:
            return _alike(self._exact(EXACT, SEP + name))
        if name in COLUMNS:
            low, high = (self._number(name, kind, bound) for bound in (node.lower, node.upper))
            return _alike(Query.range_query(
                self.schema, name, FieldType.Integer, low, high,
                node.include_lower or low is None, node.include_upper or high is None,
            ))
        place, prefix = place_of(name)
        bounds = []
        for bound in (node.lower, node.upper):
            if bound is not None and kind is Kind.DATE:
                bound = format_date(parse_date(bound, self.now))
            elif bound is not None and kind.is_text:
                bound = analysis.wildcard_form(bound, kind)
            bounds.append(bound)
        found = by_column(name, bounds[0], bounds[1], node.include_lower, node.include_upper)
        if found:
            return _alike(found)
        pieces = kind is Kind.NGRAM
        return self._between(grams.beginnings_of(place) if pieces else place, prefix, bounds, node, pieces=pieces)

    def _between(
        self, place: str, prefix: str, bounds: list[str | None], node: nodes.Range, *, pieces: bool
    ) -> Query:
        """All terms of a field between two, read from the term dictionary; of ``pieces`` one of them must be."""
        self.budget.spend(ALL_TERMS)
        low, high = (None if bound is None else bound.encode() for bound in bounds)

        def within(text: str) -> bool:
            value = text.encode()
            above = low is None or value > low or (value == low and node.include_lower)
            return above and (high is None or value < high or (value == high and node.include_upper))

        found = []
        for term, _ in self.searcher.terms_with_prefix(place, prefix):
            value = term[len(prefix) :]
            if any(map(within, grams.pieces(value))) if pieces else within(value):
                found.append(term)
        if not found:
            return Query.empty_query()
        return _alike(Query.term_set_query(self.schema, place, found))

    def _number(self, name: str, kind: Kind, text: str | None) -> int | None:
        if text is None:
            return None
        return parse_date(text, self.now) if kind is Kind.DATE else _integer(name, text)

    def _wildcard(self, name: str, kind: Kind, node: nodes.Wildcard) -> Query:
        if len(node.pattern) > MAX_PATTERN:
            raise SearchFault(f"A wildcard may have {MAX_PATTERN} characters")
        begun = beginning_with(name, node)
        if begun is not None:
            return _alike(begun)
        place, prefix = place_of(name)
        parts: list[str | Joker] = []
        for item in node.pattern:
            parts.append(item if isinstance(item, Joker) or not kind.is_text else analysis.wildcard_form(item, kind))
        regex = ""
        last: str | Joker | None = None
        for item in parts:
            if isinstance(item, Joker):
                if not (item is Joker.ANY and last is Joker.ANY):
                    regex += "(?s:.)*" if item is Joker.ANY else "(?s:.)"
            else:
                regex += _META.sub(r"\\\1", item)
            last = item
        query = self._automaton((place, prefix), regex)
        literal = "".join(item for item in parts if not isinstance(item, Joker))
        if kind in (Kind.TEXT, Kind.TEXT_GENERAL) and analysis.has_cjk(literal) and last is Joker.ANY:
            inner = [item for item in parts if item is not Joker.ANY]
            if not any(isinstance(item, Joker) for item in inner) and Joker.ANY not in parts[1:-1]:
                run = self.words.sequence(place, prefix, analysis.phrase_terms(literal, kind), 0)
                query = Query.boolean_query([(TOccur.Should, query), (TOccur.Should, run)])
        return _alike(query)

    def _automaton(self, place: tuple[str, str], regex: str) -> Query:
        """Terms of one field that an expression covers."""
        self.budget.spend(PATTERN)
        name, prefix = place
        try:
            if field_of(name).kind is Kind.NGRAM:
                return _alike(grams.matching(self.schema, name, regex))
            query = Query.regex_query(self.schema, name, _META.sub(r"\\\1", prefix) + regex)
        except ValueError as error:
            raise SearchFault(f"The pattern is too complex: {error}") from error
        return _alike(query)

    @staticmethod
    def _form(kind: Kind) -> Callable[[str], str]:
        """What the analysis does to a literal of a pattern."""
        return (lambda text: analysis.wildcard_form(text, kind)) if kind.is_text else str

    def _fuzzy(self, name: str, kind: Kind, node: nodes.Fuzzy) -> Query | None:
        place, prefix = place_of(name)
        text = analysis.wildcard_form(node.text, kind) if kind.is_text else node.text
        if kind is Kind.NGRAM:
            self.budget.spend(PATTERN)
            far = node.distance and len(text) <= MAX_PATTERN
            return grams.alike(self.schema, place, text, node.distance) if far else self._ngram(place, node.text)
        if node.distance == 0 or not fits(prefix + text) or len(text) > MAX_PATTERN:
            return self._exact(place, prefix + text)
        self.budget.spend(ALL_TERMS if prefix else PATTERN)
        if prefix and self._has_neighbour(name, node.distance):
            terms = [term for term, _ in self.searcher.terms_with_prefix(place, prefix)]
            found = [term for term in terms if close(text, term[len(prefix) :], node.distance)]
            return Query.term_set_query(self.schema, place, found) if found else Query.empty_query()
        return Query.fuzzy_term_query(self.schema, place, prefix + text, node.distance)

    def _has_neighbour(self, name: str, distance: int) -> bool:
        """Is there another field so alike that edits could lead from one's terms to the other's?"""
        names = (term[1:] for term, _ in self.searcher.terms_with_prefix(EXACT, SEP))
        return any(other != name and close(name, other, distance) for other in names)


def _only_excludes(node: Node) -> bool:
    """A group that only excludes finds nothing by itself, so there is nothing to exclude in it."""
    return isinstance(node, nodes.Bool) and all(occur is Occur.MUST_NOT for occur, _ in node.clauses)


def _alike(query: Query) -> Query:
    """Every hit scores one, in Solr's measure."""
    return Query.const_score_query(query, UNIT)


def _integer(name: str, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise SearchFault(f"Invalid Number: {text[:100]} for field {name}") from None
    if not -(2**31) <= value < 2**31:
        raise SearchFault(f"Invalid Number: {text[:100]} for field {name}")
    return value
