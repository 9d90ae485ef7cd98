"""Names and values as SQL text, quoted so that no content of theirs can become syntax."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

IDENTIFIER_BYTES_MAX = 63
"""PostgreSQL cuts longer names silently, and a cut name may be another column."""


def quoted(name: str) -> str:
    """A name as a quoted identifier; raises ValueError for one that PostgreSQL could not hold as it is."""
    if not name or "\0" in name or len(name.encode("utf-8")) > IDENTIFIER_BYTES_MAX:
        raise ValueError("not a name that a table or column can have")
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """A value as a literal, under either setting of standard_conforming_strings; ValueError if it cannot be."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value) if value >= 0 else f"({value})"
        case Decimal():
            if not value.is_finite():
                raise ValueError("not a finite number")
            return f"({value:f})"
        case bytes():
            return f"decode('{value.hex()}', 'hex')"
        case datetime() | date():
            return f"'{value.isoformat(*[' '] if isinstance(value, datetime) else [])}'"
        case str():
            if "\0" in value:
                raise ValueError("text with U+0000")
            value.encode("utf-8")
            doubled = value.replace("'", "''")
            return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in doubled else f"'{doubled}'"
        case list() | tuple():
            return "ARRAY[" + ", ".join(literal(one) for one in value) + "]"
    raise ValueError(f"no literal for {type(value).__name__}")


class Parameters:
    """Values to bind: ``add`` gives the placeholder with its type; ``as_literals`` puts them into the text."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.casts: list[str] = []

    def add(self, value: Any, cast: str) -> str:
        self.values.append(value)
        self.casts.append(cast)
        return f"\0{len(self.values)}\0"

    def bound(self, sql: str) -> str:
        """Finished text with ``$n::type`` placeholders."""
        for place, cast in enumerate(self.casts, 1):
            sql = sql.replace(f"\0{place}\0", f"${place}::{cast}")
        return sql

    def as_literals(self, sql: str) -> str:
        """Finished text with every value written out, for COPY, which takes no parameters."""
        parts = sql.split("\0")
        for index in range(1, len(parts), 2):
            place = int(parts[index]) - 1
            parts[index] = f"{literal(self.values[place])}::{self.casts[place]}"
        return "".join(parts)
