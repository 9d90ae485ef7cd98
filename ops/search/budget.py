"""How much one request may ask for, counted in what it makes the engine do and not in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from ops.search.errors import TooMuch

UNITS = 60_000
PATTERN = 150
"""A wildcard, a regular expression or a fuzzy word: an automaton walks the terms of a field."""
ALL_TERMS = 1_000
"""A range of texts, or a fuzzy word in a field that shares its dictionary: all terms of the field are read. A price
does not follow how many terms there are: a refusal would tell of documents that the caller may not see."""


@dataclass(slots=True)
class Budget:
    """Shared by all query texts of a request. One unit is a word in a field."""

    left: int = UNITS

    def spend(self, units: int = 1) -> None:
        """400 when nothing is left."""
        self.left -= units
        if self.left < 0:
            raise TooMuch(
                f"The request asks for too much: {UNITS} words in fields, or {UNITS // PATTERN} patterns, are the most"
            )
