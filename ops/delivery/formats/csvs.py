"""CSV as PostgreSQL writes it (RFC 4180 quoting, LF, no value empty, empty text quoted), with our own header line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.delivery.formats.columns import FLOATS, TIMES, WHOLE, Column, cell
from ops.delivery.framing import CSV_COPY, count_csv_rows

BOM = b"\xef\xbb\xbf"
RECODED_BYTES = 1 << 19
NO_TEXT = (*WHOLE, *FLOATS, "numeric", "date", *TIMES)


@dataclass
class CsvFraming:
    """With ``spreadsheet`` a BOM leads, and text that a spreadsheet would run as a formula gets an apostrophe.

    ``encoding`` ``gb18030`` writes GB 18030, whose four-byte forms hold every character of Unicode: none is lost, none
    is replaced.
    """

    columns: Sequence[Column]
    spreadsheet: bool = False
    encoding: str = "utf-8"
    copy_options: Mapping[str, Any] = field(default_factory=lambda: CSV_COPY)
    batch_bytes: int = 0
    batch_first: int = 64 * 1024
    by_line: bool = False

    def __post_init__(self) -> None:
        self.batch_bytes = 0 if self.encoding == "utf-8" else RECODED_BYTES

    @property
    def head(self) -> bytes:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([one.name for one in self.columns])
        return (BOM if self.spreadsheet else b"") + line.getvalue().encode(self.encoding)

    def select(self, sql: str) -> str:
        if not self.spreadsheet and all(one.pg != "bool" for one in self.columns):
            return sql
        return f"SELECT {', '.join(self._shown(one) for one in self.columns)} FROM ({sql}) AS q"

    def _shown(self, column: Column) -> str:
        name = cell(column)
        if column.pg == "bool":
            return f"{name}::text"
        if not self.spreadsheet or column.pg in NO_TEXT:
            return name
        formula = r"E'^[=+\\-@\\t\\r]'"
        number = r"E'^[+-]?[0-9]+(\\.[0-9]+)?$'"
        text = f"({name})::text"
        return f"CASE WHEN {text} ~ {formula} AND {text} !~ {number} THEN '''' || {text} ELSE {text} END"

    def frame(self, piece: bytes) -> tuple[bytes, int]:
        rows = count_csv_rows(piece)
        return (piece if self.encoding == "utf-8" else piece.decode().encode(self.encoding)), rows

    def finish(self) -> bytes:
        return b""
