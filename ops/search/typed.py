"""The query that scores: ``q`` by ``defType``, with everything that favours some hits over others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tantivy import Occur as TOccur
from tantivy import Query

from ops.search import dismax
from ops.search.analysis import SYNONYM_WEIGHT
from ops.search.assist import foreign_names
from ops.search.boosting import UNIT, Boosts
from ops.search.compile import Compiler, Dismax
from ops.search.errors import SearchFault, unsupported
from ops.search.functions import parse_boosted, parse_function
from ops.search.nodes import All, Bool, Node, Occur, Phrase, Term
from ops.search.parameters import last, whole

if TYPE_CHECKING:
    from ops.search.select import Select

MAX_FUNCTIONS = 20
MAX_KEPT, LONGEST_KEPT = 1_000, 1_000
"""Main queries that a snapshot remembers beside its filters, and of how many characters."""
UNRELATED = frozenset({"fq", "fl", "rows", "start", "sort", "wt", "forgive"})
"""Parameters that do not change what is looked for; nor do those that begin with ``facet``."""
FAVOURS = frozenset({"bq", "bf", "boost"})
"""Parameters that may ask for the time of day."""


@dataclass(frozen=True, slots=True)
class Main:
    """``constant``: does every hit score the same? ``node`` and ``shape`` are what the query was made of."""

    query: Query
    constant: bool
    text: str = ""
    node: Node | None = None
    shape: Dismax | None = None
    boosts: Boosts | None = None


def main_query(select: Select) -> Main:
    """The main query of a request; it is remembered for as long as nothing is written."""
    asked = sorted((name, values) for name, values in select.parameters.items() if not _unrelated(name))
    key = ("main", repr(asked))
    kept = select.snapshot.filters
    found: tuple[Main, int] | None = kept.get(key)
    if found is not None:
        select.budget.spend(found[1])
        return found[0]
    before = select.budget.left
    main = _main_query(select)
    lasting = "NOW" not in key[1] and not any(name in FAVOURS for name, _ in asked)
    if lasting and len(kept) < MAX_KEPT and len(key[1]) < LONGEST_KEPT:
        kept[key] = (main, before - select.budget.left)
    return main


def _unrelated(name: str) -> bool:
    return name in UNRELATED or name.startswith("facet")


def _main_query(select: Select) -> Main:
    parameters = select.parameters
    text = last(parameters, "q")
    kind = last(parameters, "defType", "lucene")
    if kind not in ("lucene", "dismax", "edismax"):
        raise unsupported(f"The query parser {kind[:50]} (defType)")
    for name in ("bf", "boost", "uf") if kind == "lucene" else ("boost", "uf") if kind == "dismax" else ():
        if any(value.strip() for value in parameters.get(name, [])):
            raise unsupported(f"The parameter {name} with defType={kind} (edismax takes it)")
    if kind == "lucene":
        query, node = select.lucene(text)
        return Main(query, isinstance(node, All), text, node)
    if text.strip():
        return _favoured(select, _typed(select, text, extended=kind == "edismax"))
    query, node = select.lucene(last(parameters, "q.alt"))
    return _favoured(select, Main(query, isinstance(node, All)))


def _typed(select: Select, text: str, *, extended: bool) -> Main:
    if text.lstrip().startswith("{!"):
        raise unsupported("Local parameters {!…}")
    parameters = select.parameters
    fields = dismax.parse_fields(last(parameters, "qf"), "qf")
    fields = fields or ((last(parameters, "df", "text"), 1.0),)
    conjunction = last(parameters, "q.op", "OR").upper() == "AND"
    if extended:
        node = dismax.parse_edismax(text, _allowed(last(parameters, "uf")), conjunction=conjunction)
    else:
        node = dismax.parse_dismax(text)
    default = "100%" if conjunction and not extended else "0%"
    tie = dismax.number(parameters, "tie", 0.0)
    shape = Dismax(fields, tie, last(parameters, "mm") or default, extended)
    compiler = select.compiler(shape)
    query = compiler.query(node)
    named = [Term(None, word) for word in dismax.words_of(node)]
    if named and not dismax.has_operators(node):
        ways = foreign_names([term.text for term in named])
        others = [compiler.query(Bool(tuple((Occur.SHOULD, Term(None, word)) for word in way))) for way in ways]
        if others:
            weighted = [Query.boost_query(other, SYNONYM_WEIGHT) for other in others]
            query = Query.disjunction_max_query([query, *weighted], 0.0)
    extra = _phrase_boosts(select, compiler, node, tie)
    if extra:
        query = Query.boolean_query([(TOccur.Must, query), *((TOccur.Should, one) for one in extra)])
    return Main(query, isinstance(node, All) and not extra, text, node, shape)


def _phrase_boosts(select: Select, compiler: Compiler, node: Node | None, tie: float) -> list[Query]:
    """``pf`` (all words as a phrase), ``pf2`` and ``pf3`` (each two or three neighbours); none that is excluded."""
    found: list[Query] = []
    extended = compiler.dismax is not None and compiler.dismax.extended
    words = dismax.words_of(node)
    everything = dismax.words_of(node, quoted=not extended)
    for name, size in (("pf", 0), ("pf2", 2), ("pf3", 3)):
        fields = dismax.parse_fields(last(select.parameters, name), name)
        if not fields:
            continue
        slop = whole(select.parameters, "ps" + name[2:], whole(select.parameters, "ps", 0), high=1000)
        texts = [" ".join(everything)] if not size else [
            " ".join(words[at : at + size]) for at in range(len(words) - size + 1)
        ]
        shaped = Compiler(
            compiler.schema, compiler.searcher, compiler.now, compiler.default_field, False, Dismax(fields, tie),
            compiler.budget, known=compiler.frequencies,
        )
        found += [shaped.query(Phrase(None, one, slop)) for one in texts if one and len(everything) != 1]
    return found


def _favoured(select: Select, main: Main) -> Main:
    """With ``bq``, ``bf`` and ``boost``, which change no hit's presence."""
    parameters = select.parameters
    every = Query.const_score_query(main.query, UNIT) if main.constant else main.query
    queries = [select.lucene(text)[0] for text in parameters.get("bq", []) if text.strip()]
    if queries:
        clauses = [(TOccur.Must, every), *((TOccur.Should, one) for one in queries)]
        every = Query.boolean_query(clauses)
        main = replace(main, query=every, constant=False)
    added = [one for text in parameters.get("bf", []) for one in parse_boosted(text, select.now)]
    factors = [parse_function(text, select.now) for text in parameters.get("boost", []) if text.strip()]
    if len(added) + len(factors) > MAX_FUNCTIONS:
        raise SearchFault(f"bf and boost may hold {MAX_FUNCTIONS} functions")
    if not added and not factors:
        return main
    return replace(main, query=every, boosts=Boosts(tuple(added), tuple(factors)), constant=False)


def _allowed(spec: str) -> Callable[[str], bool]:
    """``uf``: the fields that a text may name, by names and patterns like ``title*``; ``-name`` takes one away."""
    parts = spec.split() or ["*"]
    if any("^" in part for part in parts):
        raise unsupported("A boost in uf")

    def matches(pattern: str, name: str) -> bool:
        if pattern.startswith("*"):
            return name.endswith(pattern[1:])
        return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern

    def allowed(name: str) -> bool:
        if any(matches(part[1:], name) for part in parts if part.startswith("-")):
            return False
        return any(matches(part, name) for part in parts if not part.startswith("-"))

    return allowed
