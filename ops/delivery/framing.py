"""From PostgreSQL's COPY to the bytes of a format, with an exact count of the rows in every piece.

PostgreSQL sends one protocol message per row and asyncpg hands over whole messages, so a piece never ends inside a
row. JSON comes as COPY CSV whose quote and delimiter are control characters: JSON escapes every control character, so
nothing in it is ever quoted, and the text needs no second pass.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from authz.obligations import quoted

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson; charset=utf-8", "json": "application/json",
}
JSON_COPY: Mapping[str, Any] = {"format": "csv", "quote": "\x01", "delimiter": "\x02"}
BOM = b"\xef\xbb\xbf"


class Framing(Protocol):
    """How rows become bytes: ``head``, then pieces, then ``tail``."""

    @property
    def copy_options(self) -> Mapping[str, Any]: ...

    @property
    def head(self) -> bytes: ...

    @property
    def tail(self) -> bytes: ...

    def select(self, sql: str, columns: Sequence[str], types: Mapping[str, str]) -> str:
        """The statement to COPY from, around the compiled one."""

    def frame(self, piece: bytes | bytearray) -> tuple[bytes | bytearray, int]:
        """Bytes to send for a piece of COPY output, and how many rows they hold."""


def count_csv_rows(piece: bytes | bytearray) -> int:
    """Rows in whole CSV lines: line ends outside of quotes."""
    if b'"' not in piece:
        return piece.count(b"\n")
    return sum(part.count(b"\n") for part in piece.split(b'"')[::2])


@dataclass
class CsvFraming:
    """CSV as PostgreSQL writes it (RFC 4180 quoting, LF, NULL empty, '' quoted), with our own header line.

    With ``spreadsheet`` a BOM leads, and text that a spreadsheet would run as a formula gets an apostrophe before it.
    """

    columns: Sequence[str]
    spreadsheet: bool = False
    copy_options: Mapping[str, Any] = field(default_factory=lambda: {"format": "csv"})
    tail: bytes = b""

    @property
    def head(self) -> bytes:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(self.columns)
        return (BOM if self.spreadsheet else b"") + line.getvalue().encode()

    def select(self, sql: str, columns: Sequence[str], types: Mapping[str, str]) -> str:
        if not self.spreadsheet and "boolean" not in types.values():
            return sql
        return f"SELECT {', '.join(self._shown(name, types[name]) for name in columns)} FROM ({sql}) AS q"

    def _shown(self, name: str, kind: str) -> str:
        column = f"q.{quoted(name)}"
        if kind == "boolean":
            return f"{column}::text"
        if not self.spreadsheet or kind in ("integer", "numeric", "date", "timestamp"):
            return column
        formula = r"E'^[=+\\-@\\t\\r]'"
        number = r"E'^[+-]?[0-9]+(\\.[0-9]+)?$'"
        text = f"({column})::text"
        return f"CASE WHEN {text} ~ {formula} AND {text} !~ {number} THEN '''' || {text} ELSE {text} END"

    def frame(self, piece: bytes | bytearray) -> tuple[bytes | bytearray, int]:
        return piece, count_csv_rows(piece)


@dataclass
class JsonLinesFraming:
    """One JSON object a line."""

    copy_options: Mapping[str, Any] = field(default_factory=lambda: JSON_COPY)
    head: bytes = b""
    tail: bytes = b""

    def select(self, sql: str, columns: Sequence[str], types: Mapping[str, str]) -> str:
        if "json" in types.values():
            shown = ", ".join(
                f"x.{quoted(name)}::jsonb AS {quoted(name)}" if types[name] == "json" else f"x.{quoted(name)}"
                for name in columns
            )
            sql = f"SELECT {shown} FROM ({sql}) AS x"
        return f"SELECT row_to_json(q) FROM ({sql}) AS q"

    def frame(self, piece: bytes | bytearray) -> tuple[bytes | bytearray, int]:
        return piece, piece.count(b"\n")


@dataclass
class JsonFraming(JsonLinesFraming):
    """One JSON object around an array of rows; ``facts`` come before the rows."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    tail: bytes = b"\n]}\n"
    _first: bool = True

    def __post_init__(self) -> None:
        self.head = orjson.dumps(dict(self.facts))[:-1] + b',"items":[\n'

    def frame(self, piece: bytes | bytearray) -> tuple[bytes | bytearray, int]:
        rows = piece.count(b"\n")
        lines = piece[:-1].replace(b"\n", b",\n")
        if not self._first:
            return b",\n" + lines, rows
        self._first = False
        return lines, rows
