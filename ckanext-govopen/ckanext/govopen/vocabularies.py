"""Code lists of the catalogue, read once from ``vocabularies.yaml``, with their labels in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Term:
    """One code of a list; ``code`` is the national guide's, ``days`` the cycle's length, ``under`` the parent."""

    value: str
    zh: str
    en: str
    code: str | None = None
    days: int | None = None
    under: str | None = None

    def label(self, lang: str) -> str:
        return self.zh if lang.startswith("zh") else self.en


@cache
def _all() -> dict[str, tuple[Term, ...]]:
    raw = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return {name: tuple(Term(**entry) for entry in entries) for name, entries in raw.items()}


def terms(name: str) -> tuple[Term, ...]:
    """All codes of a list in its order; raises KeyError for a list that does not exist."""
    return _all()[name]


@cache
def _index(name: str) -> dict[str, Term]:
    found = {term.code: term for term in terms(name) if term.code}
    found.update({term.value: term for term in terms(name)})
    return found


def find(name: str, value: object) -> Term | None:
    """The term of a stored value or of a national code, None when the list has no such code."""
    return _index(name).get(value) if isinstance(value, str) else None


def label(name: str, value: object, lang: str) -> str:
    """What people read for a code; an unknown code stands for itself."""
    term = find(name, value)
    return term.label(lang) if term else str(value or "")


GRADES = tuple(term.value for term in terms("grade"))
OPEN_ATTRIBUTES = tuple(term.value for term in terms("open_attribute"))


def graver(first: str, second: str) -> str:
    """The higher of two grades (core is the highest)."""
    return min(first, second, key=GRADES.index)


def stricter(first: str, second: str) -> str:
    """The less open of two open attributes."""
    return max(first, second, key=OPEN_ATTRIBUTES.index)
