"""Full-width, compatibility and traditional forms become plain simplified ones, alike in index and query."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

DATA = Path(__file__).parent / "data"


def lines_of(name: str) -> list[str]:
    """Lines of a data file without comments and blanks."""
    text = (DATA / name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


_SIMPLE: dict[int, str] = {ord(form): line[0] for line in lines_of("traditional.txt") for form in line[1:]}
_TRADITIONAL = re.compile("[" + "".join(map(chr, sorted(_SIMPLE))) + "]")


def simplify(text: str) -> str:
    """Traditional characters, each for itself, become simplified; the length stays."""
    return text.translate(_SIMPLE) if _TRADITIONAL.search(text) else text


def normalize(text: str) -> str:
    """Full-width letters, digits and compatibility forms become plain, traditional characters simplified."""
    if text.isascii():
        return text
    return _lately(text) if len(text) <= 1000 else _plain(text)


def _plain(text: str) -> str:
    return simplify(unicodedata.normalize("NFKC", text))


_lately = lru_cache(maxsize=128)(_plain)
"""Of a document's text it is asked for its words, its learned terms, its n-grams and its reading."""


def with_offsets(text: str) -> tuple[str, Sequence[int]]:
    """The normalized text in lower case, and for each of its characters the place it came from."""
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        plain = simplify(text).lower()
        if len(plain) == len(text):
            return plain, range(len(text))
    parts: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        plain = char.lower() if char.isascii() else normalize(char).lower()
        parts.append(plain)
        places.extend([place] * len(plain))
    return "".join(parts), places
