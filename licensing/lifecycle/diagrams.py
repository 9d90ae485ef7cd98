"""The README's tables and pictures, generated: ``python -m licensing.lifecycle.diagrams`` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from licensing.lifecycle import TABLES, TransitionTable
from licensing.registration.lifecycle import REGISTRATION

README = Path(__file__).parent.parent / "README.md"


def section(table: TransitionTable) -> str:
    """One table's picture and rows between its marks."""
    return (
        f"<!-- generated: {table.name} -->\n\n```mermaid\n{table.mermaid()}\n```\n\n{table.markdown()}\n\n"
        f"<!-- end: {table.name} -->"
    )


def refreshed(text: str) -> str:
    """``text`` with every generated part as the tables say now; raises ValueError when a table has no place."""
    for table in (*TABLES, REGISTRATION):
        marks = re.compile(
            rf"<!-- generated: {table.name} -->.*?<!-- end: {table.name} -->", re.DOTALL
        )
        places = list(marks.finditer(text))
        if len(places) != 1:
            raise ValueError(f"the README has {len(places)} places for the table {table.name}")
        (place,) = places
        text = text[: place.start()] + section(table) + text[place.end() :]
    return text


def main() -> None:
    README.write_text(refreshed(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
