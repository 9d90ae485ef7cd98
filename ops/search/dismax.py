"""The dismax and edismax parsers: what people type, over several fields with boosts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ops.search import nodes
from ops.search.errors import QuerySyntaxFault, SearchFault
from ops.search.lucene import parse
from ops.search.nodes import Node, Occur

_OPERATORS = re.compile(r"[\s+-]+", re.ASCII)
_ESCAPED = re.compile(r"([\\!():^\[\]{}~*?/]|&&|\|\|)")
_ALL_ESCAPED = re.compile(r'([\\!():^\[\]{}~*?/+\-"]|&&|\|\|)')
_WORDS = re.compile(r"(?<!\S)(AND|OR|NOT)(?!\S)")


@dataclass(frozen=True, slots=True)
class Boosted:
    """A field list like ``name^4 title^4 text``."""

    fields: tuple[tuple[str, float], ...]


def parse_fields(spec: str, what: str) -> tuple[tuple[str, float], ...]:
    found: list[tuple[str, float]] = []
    for part in spec.replace(",", " ").split():
        name, _, boost = part.partition("^")
        try:
            factor = float(boost) if boost else 1.0
        except ValueError:
            raise SearchFault(f"Invalid boost in {what}: {part[:100]}") from None
        if not name or not 0 <= factor < 1e9:
            raise SearchFault(f"Invalid field in {what}: {part[:100]}")
        found.append((name.partition("~")[0], factor))
    return tuple(found)


def parse_dismax(text: str) -> Node | None:
    """Only quotes, ``+`` and ``-`` are operators; the rest is escaped (SolrPluginUtils.partialEscape)."""
    if text.count('"') % 2:
        text = text.replace('"', "")
    text = _OPERATORS.sub(_strip_operators, text)
    return parse(_ESCAPED.sub(_escape, text), conjunction=False)


def _strip_operators(match: re.Match[str]) -> str:
    """SolrPluginUtils.stripIllegalOperators: after a space, two operators in a row or at the end mean nothing."""
    run = match[0]
    blank = next((index for index, char in enumerate(run) if char.isspace()), -1)
    if blank < 0:
        return run
    rest = run[blank:]
    if match.end() == len(match.string):
        return run[:blank]
    if rest.count("+") + rest.count("-") < 2:
        return run
    return run[:blank] + " "


def _any_field(_: str) -> bool:
    return True


def parse_edismax(text: str, allowed: Callable[[str], bool] = _any_field, *, conjunction: bool = False) -> Node | None:
    """Lucene's grammar where it fits; a text that is not in it is searched for as it stands.

    ``allowed`` says which fields the text may name.
    """
    try:
        return parse(text, conjunction=conjunction, extended=allowed)
    except QuerySyntaxFault:
        escaped = _ALL_ESCAPED.sub(_escape, text)
        return parse(_WORDS.sub(lambda match: match[1].lower(), escaped), conjunction=conjunction)


def _escape(match: re.Match[str]) -> str:
    return "".join("\\" + char for char in match[1])


def has_operators(node: Node | None) -> bool:
    """Did the text use operators, so that edismax leaves the minimum match at its default of none?"""
    if not isinstance(node, nodes.Bool):
        return False
    return any(occur is not Occur.SHOULD for occur, _ in node.clauses)


def words_of(node: Node | None, *, quoted: bool = False) -> list[str]:
    """Plain words of a query in order, none that is excluded; with those of quoted texts when ``quoted``."""
    if isinstance(node, nodes.Term) and node.field is None:
        return [node.text]
    if quoted and isinstance(node, nodes.Phrase) and node.field is None:
        return [node.text]
    if isinstance(node, nodes.Boost):
        return words_of(node.node, quoted=quoted)
    if isinstance(node, nodes.Bool):
        kept = [child for occur, child in node.clauses if occur is not Occur.MUST_NOT]
        return [word for child in kept for word in words_of(child, quoted=quoted)]
    return []


def number(parameters: Mapping[str, list[str]], name: str, default: float) -> float:
    """A decimal parameter (``tie``)."""
    text = parameters.get(name, [""])[-1]
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise SearchFault(f"Invalid number in {name}: {text[:50]}") from None
    if not 0 <= value < 1e9:
        raise SearchFault(f"Invalid number in {name}: {text[:50]}")
    return value
