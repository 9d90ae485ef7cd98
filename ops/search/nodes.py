"""The tree that a query text becomes. ``field`` is None where the text named none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Occur(Enum):
    MUST = "+"
    SHOULD = ""
    MUST_NOT = "-"


@dataclass(frozen=True, slots=True)
class Term:
    field: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Phrase:
    field: str | None
    text: str
    slop: int = 0


@dataclass(frozen=True, slots=True)
class Wildcard:
    """``pattern`` holds literal characters and ``ANY``/``ONE`` for unescaped ``*`` and ``?``."""

    field: str | None
    pattern: tuple[str | Joker, ...]


class Joker(Enum):
    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Regex:
    """``pattern`` is in Lucene's own language of regular expressions, and must match a whole term."""

    field: str | None
    pattern: str


@dataclass(frozen=True, slots=True)
class Fuzzy:
    field: str | None
    text: str
    distance: int


@dataclass(frozen=True, slots=True)
class Range:
    """A bound that is None is open."""

    field: str | None
    lower: str | None
    upper: str | None
    include_lower: bool
    include_upper: bool


@dataclass(frozen=True, slots=True)
class Exists:
    field: str | None


@dataclass(frozen=True, slots=True)
class All:
    pass


@dataclass(frozen=True, slots=True)
class Boost:
    node: Node
    factor: float
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Bool:
    clauses: tuple[tuple[Occur, Node], ...]


Node = Term | Phrase | Wildcard | Regex | Fuzzy | Range | Exists | All | Boost | Bool
