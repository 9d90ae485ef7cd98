"""What the matrix has tried, as a line for people and, where GOVOPEN_LEAK_REPORT names a file, JSON for machines."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

_tried: dict[str, dict[str, Any]] = {}


class Tally:
    """Counts of one suite: cells (surface x viewer x open attribute), answers searched, how they were answered."""

    def __init__(self, suite: str) -> None:
        self.surfaces: set[str] = set()
        self.cells: set[tuple[str, str, str]] = set()
        self.answers: Counter[str] = Counter()
        self.canaries = 0
        self._suite = suite
        _tried[suite] = {}

    def count(self, surface: str, viewer: str, attribute: str, status: str) -> None:
        self.surfaces.add(surface)
        self.cells.add((surface, viewer, attribute))
        self.answers[status] += 1
        _tried[self._suite] = self.as_document()

    def as_document(self) -> dict[str, Any]:
        return {
            "surfaces": len(self.surfaces),
            "cells": len(self.cells),
            "canaries": self.canaries,
            "answers": sum(self.answers.values()),
            "by_status": dict(sorted(self.answers.items())),
        }


def write(line: Callable[[str], None]) -> None:
    """Print what was tried; add it to the report's file."""
    for suite, told in _tried.items():
        if told:
            line(
                f"leak matrix, {suite}: {told['surfaces']} surfaces, {told['cells']} cells, {told['answers']} answers"
                f" searched for {told['canaries']} canaries {told['by_status']}"
            )
    named = os.environ.get("GOVOPEN_LEAK_REPORT")
    if named and any(_tried.values()):
        file = Path(named)
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps({**before, **_tried}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
