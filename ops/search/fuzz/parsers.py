"""The parsers alone: every text of a request through each of them."""

from __future__ import annotations

from ops.search import dismax
from ops.search.dates import parse_date
from ops.search.errors import SearchFault
from ops.search.functions import parse_boosted, parse_function, walk
from ops.search.fuzz.requests import Request
from ops.search.local import parse_with_locals
from ops.search.mm import minimum_should_match
from ops.search.nodes import Bool, Boost, Node
from ops.search.oracle.corpus import NOW
from ops.search.regex import rewrite
from ops.search.sorting import parse_sort

MAX_TEXT = 4_000


def size(node: Node | None) -> int:
    """Nodes of a tree."""
    if isinstance(node, Bool):
        return 1 + sum(size(child) for _, child in node.clauses)
    return 1 + size(node.node) if isinstance(node, Boost) else int(node is not None)


def check(request: Request) -> None:
    """Any exception but a refusal is a crash; a tree has no more nodes than its text has characters (and two)."""
    for values in request.values():
        for text in values:
            _check(text[:MAX_TEXT])


def _check(text: str) -> None:
    for conjunction in (True, False):
        _bounded(text, lambda c=conjunction: parse_with_locals(text, conjunction=c))
        _bounded(text, lambda c=conjunction: dismax.parse_edismax(text, conjunction=c))
    _bounded(text, lambda: dismax.parse_dismax(text))
    for other in (
        lambda: walk(parse_function(text, NOW)),
        lambda: parse_boosted(text, NOW),
        lambda: rewrite(text, str.lower),
        lambda: parse_date(text, NOW),
        lambda: minimum_should_match(text, 7),
        lambda: parse_sort(text),
        lambda: dismax.parse_fields(text, "qf"),
    ):
        try:
            other()
        except SearchFault:
            continue


def _bounded(text: str, parse: object) -> None:
    try:
        node = parse()  # type: ignore[operator]
    except SearchFault:
        return
    if size(node) > 2 * len(text) + 2:
        raise AssertionError(f"{size(node)} nodes for {len(text)} characters")
