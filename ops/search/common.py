"""Counts that callers have in common: of the hits that everybody may see.

Who signs in sees what is public and a little more. How often each value occurs among the public hits of a search is
reckoned once for all who may see these and ask the same; what a caller sees besides is added for each. The common part
is given only to a caller whose own filter names the public label, with all other filters alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tantivy import Occur as TOccur
from tantivy import Query

from ops.search.fields import EXACT, SEP, SEQUENCE, fits
from ops.search.local import parse_with_locals
from ops.search.nodes import Bool, Node, Occur, Phrase, Term

if TYPE_CHECKING:
    from ops.search.select import Select

LABELS, PUBLIC = "permission_labels", "public"
KEPT = 100
"""Searches of which a snapshot keeps the common counts."""

Numbers = NDArray[np.int64]
Tallies = dict[str, Numbers]
"""How many documents have each of a field's values, by the value's place."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The hits of a search, those that everybody may see apart."""

    key: Any
    common: Query
    own: Query | None


def parts_of(select: Select, main: Query, key: Any) -> Parts | None:
    """Of the hits of ``main``, the query before its filters; None when no filter lets public documents through."""
    texts = [text for text in select.parameters.get("fq", []) if text.strip()]
    for at, text in enumerate(texts):
        labels = _labels(parse_with_locals(text, conjunction=True))
        if PUBLIC not in labels:
            continue
        others = texts[:at] + texts[at + 1 :]
        common = select.filtered(main, [*others, f'{LABELS}:"{PUBLIC}"'])
        own = None if len(labels) == 1 else _own(select, select.filtered(main, others), labels)
        return Parts(("common", key, tuple(others)), common, own)
    return None


def _own(select: Select, query: Query, labels: set[str]) -> Query:
    """What a caller sees besides what is public: few documents, which lead."""
    schema = select.engine.schema

    def having(label: str) -> Query:
        return Query.term_query(schema, EXACT, LABELS + SEP + label, "basic")

    own = Query.boolean_query([(TOccur.Should, having(one)) for one in labels if one != PUBLIC and fits(one)])
    return Query.boolean_query([(TOccur.Must, own), (TOccur.Must, query), (TOccur.MustNot, having(PUBLIC))])


def _labels(node: Node | None) -> set[str]:
    """The labels of which a filter asks for any; none when it asks for anything else besides."""
    while isinstance(node, Bool) and len(node.clauses) == 1 and node.clauses[0][0] is not Occur.MUST_NOT:
        node = node.clauses[0][1]
    leaves = [node]
    if isinstance(node, Bool):
        if any(occur is not Occur.SHOULD for occur, _ in node.clauses):
            return set()
        leaves = [child for _, child in node.clauses]
    found: set[str] = set()
    for leaf in leaves:
        if not isinstance(leaf, Term | Phrase) or leaf.field != LABELS:
            return set()
        found.add(leaf.text)
    return found


def tallies(select: Select, parts: Parts, names: list[str]) -> Tallies | None:
    """Of all hits of a search; None when the values of a document are not known."""
    kept = select.snapshot.kept.setdefault("common", {})
    found: Tallies | None = kept.get(parts.key)
    if found is None:
        found = _tallied(select, numbers_of(select, parts.common), names)
        if found is None:
            return None
        if len(kept) < KEPT:
            kept[parts.key] = found
    if parts.own is None:
        return found
    own = _tallied(select, numbers_of(select, parts.own), names)
    return None if own is None else {name: _sum(found[name], own[name]) for name in names}


def keep(select: Select, parts: Parts, found: Tallies) -> None:
    """For others, of what is known of all hits of a search: without those that only this caller sees."""
    kept = select.snapshot.kept.setdefault("common", {})
    if len(kept) >= KEPT or parts.key in kept:
        return
    if parts.own is not None:
        own = _tallied(select, numbers_of(select, parts.own), list(found))
        if own is None:
            return
        found = {name: _without(found[name], own[name]) for name in found}
    kept[parts.key] = found


def is_kept(select: Select, parts: Parts | None) -> bool:
    return parts is not None and parts.key in select.snapshot.kept.get("common", ())


def numbers_of(select: Select, query: Query) -> Numbers:
    """Numbers of all hits of a query."""
    searcher = select.snapshot.searcher
    unscored = Query.const_score_query(query, 0.0)
    hits = searcher.search(unscored, max(1, searcher.num_docs), count=False, order_by_field=SEQUENCE).hits
    return np.array([number for number, _ in hits], np.int64)


def _tallied(select: Select, numbers: Numbers, names: list[str]) -> Tallies | None:
    found: Tallies = {}
    for name in names:
        tally = select.snapshot.values.tally(name, numbers)
        if tally is None:
            return None
        found[name] = tally
    return found


def _without(whole: Numbers, part: Numbers) -> Numbers:
    found = whole.copy()
    found[: len(part)] -= part
    return found


def _sum(one: Numbers, two: Numbers) -> Numbers:
    """A value that was met later has a place behind the others."""
    if len(one) < len(two):
        one, two = two, one
    found = one.copy()
    found[: len(two)] += two
    return found
