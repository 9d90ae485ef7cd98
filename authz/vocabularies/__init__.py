"""Code lists with Chinese and English labels, read from the YAML beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Term:
    """One entry of a code list; ``classes`` limits a purpose to use classes."""

    code: str
    zh: str
    en: str
    classes: tuple[str, ...] = ()

    def as_document(self) -> dict[str, Any]:
        out: dict[str, Any] = {"code": self.code, "zh": self.zh, "en": self.en}
        if self.classes:
            out["classes"] = list(self.classes)
        return out


def _terms(entries: list[dict[str, Any]]) -> Mapping[str, Term]:
    return {e["code"]: Term(e["code"], e["zh"], e["en"], tuple(e.get("classes", ()))) for e in entries}


@lru_cache(maxsize=1)
def lists() -> Mapping[str, Mapping[str, Term]]:
    """Every list by its name."""
    small = yaml.safe_load((FOLDER / "lists.yaml").read_text(encoding="utf-8"))
    found = {name: _terms(entries) for name, entries in small.items()}
    found["purposes"] = _terms(yaml.safe_load((FOLDER / "purposes.yaml").read_text(encoding="utf-8")))
    return found


def label(name: str, code: str) -> Term:
    """The entry of a list; a code that is not in it is shown as itself."""
    return lists()[name].get(code) or Term(code, code, code)
