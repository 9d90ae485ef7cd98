"""Term facets: counts of a field's values among the hits, in Solr's flat lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tantivy import Occur as TOccur
from tantivy import Query

from ops.search.analysis import GRAM
from ops.search.errors import SearchFault, unsupported
from ops.search.fields import EXACT, SEP, clean_name, place_of
from ops.search.schema import Kind, field_of

if TYPE_CHECKING:
    from ops.search.select import Select

MAX_FACETS = 100


def counts(select: Select, query: Query) -> dict[str, Any]:
    """``facet_counts`` of an answer."""
    fields: dict[str, list[Any]] = {}
    names = select.parameters.get("facet.field", [])
    if len(names) > MAX_FACETS:
        raise SearchFault(f"A request may ask for {MAX_FACETS} facets")
    for name in names:
        if name.startswith("{!"):
            raise unsupported("Local parameters {!…} in facet.field")
        fields[name] = _field(select, query, name)
    queries: dict[str, int] = {}
    for text in select.parameters.get("facet.query", []):
        both = Query.boolean_query([(TOccur.Must, query), (TOccur.Must, select.lucene(text)[0])])
        queries[text] = select.snapshot.searcher.search(both, 1).count
    return {
        "facet_queries": queries, "facet_fields": fields, "facet_ranges": {}, "facet_intervals": {},
        "facet_heatmaps": {},
    }


def _field(select: Select, query: Query, name: str) -> list[Any]:
    def option(what: str, default: str) -> str:
        for key in (f"f.{name}.facet.{what}", f"facet.{what}"):
            if select.parameters.get(key):
                return select.parameters[key][-1] or default
        return default

    if not clean_name(name) or field_of(name).kind is Kind.STORED:
        return []
    limit, offset = _whole(option("limit", "100"), "limit"), max(0, _whole(option("offset", "0"), "offset"))
    minimum = _whole(option("mincount", "0"), "mincount")
    order = option("sort", "count" if limit > 0 else "index")
    if order not in ("count", "index", "true", "false"):
        raise SearchFault(f"Unknown facet.sort: {order[:50]}")
    place, prefix = place_of(name)
    start = prefix + option("prefix", "")
    by_count = order in ("count", "true")
    searcher = select.snapshot.searcher
    enough = offset + limit if limit >= 0 and by_count and minimum > 0 and place == EXACT else None
    found = {
        term: count for term, count in searcher.terms_with_prefix(place, start, query, enough)
        if count > 0 and not term.startswith((GRAM, prefix + GRAM))
    }
    if minimum <= 0:
        # Only among what the filters let through: elsewhere a value would tell of documents behind a label.
        for term, _ in searcher.terms_with_prefix(place, start, select.visible()):
            if not term.startswith((GRAM, prefix + GRAM)):
                found.setdefault(term, 0)
    pairs = [(term, count) for term, count in found.items() if count >= minimum]
    pairs.sort(key=(lambda pair: (-pair[1], pair[0].encode())) if by_count else (lambda pair: pair[0].encode()))
    pairs = pairs[offset:] if limit < 0 else pairs[offset : offset + limit]
    flat: list[Any] = []
    for term, count in pairs:
        flat += [term[len(prefix) :], count]
    if option("missing", "false") == "true":
        marker = Query.term_query(select.engine.schema, EXACT, SEP + name, "basic")
        without = Query.boolean_query([(TOccur.Must, query), (TOccur.MustNot, marker)])
        flat += [None, searcher.search(without, 1).count]
    return flat


def _whole(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SearchFault(f'For input string: "{text[:50]}" in facet.{what}') from None
