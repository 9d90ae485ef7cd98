"""JSON: what ``row_to_json`` would say, put together from COPY's CSV several times as fast.

Texts are escaped as PostgreSQL escapes them; numbers keep their digits; a number that is none (NaN, Infinity) is text;
everything that is no plain value comes from PostgreSQL's own ``to_jsonb``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ops.delivery.formats.columns import FLOATS, JSONS, TEXTS, TIMES, WHOLE, Column, cell
from ops.delivery.framing import CSV_COPY

BATCH_BYTES = 1 << 20
ESCAPES = [
    ("\\", "\\\\"),
    ('"', '\\"'),
    ("\b", "\\b"),
    ("\f", "\\f"),
    ("\n", "\\n"),
    ("\r", "\\r"),
    ("\t", "\\t"),
    *((chr(code), f"\\u{code:04x}") for code in range(1, 32) if chr(code) not in "\b\f\n\r\t"),
]
"""As PostgreSQL's escape_json does it; a text holds no U+0000."""
SPECIAL = r'[\x01-\x1f"\\]'


def value_sql(column: Column) -> str:
    """What is selected: plain values as they are, all others as JSON made by PostgreSQL."""
    name = cell(column)
    if column.pg in (*WHOLE, *TEXTS, *FLOATS, "numeric", "date"):
        return name
    if column.pg == "bool":
        return f"{name}::text"
    if column.pg in JSONS:
        return f"{name}::jsonb::text"
    maker = "to_json" if column.pg in (*TIMES, "bpchar") else "to_jsonb"
    return f"{maker}({name})::text"


def members(columns: Sequence[Column], texts: Sequence[Any]) -> list[Any]:
    """Parts of ``"name":value,…`` for arrow.join with ``none="null"``."""
    from ops.delivery.formats import arrow

    parts: list[Any] = []
    before = ""
    for column, text in zip(columns, texts, strict=True):
        before += orjson.dumps(column.name).decode() + ":"
        if column.pg in (*TEXTS, "date"):
            if arrow.contains(text, SPECIAL):
                text = arrow.replaced(text, ESCAPES)
            if text.null_count:
                parts += [before, arrow.join(arrow.QUOTE, text, arrow.QUOTE)]
                before = ","
            else:
                parts += [before + '"', text]
                before = '",'
            continue
        parts += [before, _finite(text) if column.pg in (*FLOATS, "numeric") else text]
        before = ","
    return [*parts, before[:-1]]


def _finite(text: Any) -> Any:
    import pyarrow.compute as pc

    from ops.delivery.formats import arrow

    if not arrow.contains(text, "[NI]"):
        return text
    return pc.if_else(pc.match_substring_regex(text, "[NI]"), arrow.join(arrow.QUOTE, text, arrow.QUOTE), text)


@dataclass
class JsonLinesFraming:
    """One JSON object a line."""

    columns: Sequence[Column]
    copy_options: Mapping[str, Any] = field(default_factory=lambda: CSV_COPY)
    head: bytes = b""
    batch_bytes: int = BATCH_BYTES
    batch_first: int = 64 * 1024
    by_line: bool = True
    before: str = ""

    def select(self, sql: str) -> str:
        return f"SELECT {', '.join(value_sql(one) for one in self.columns)} FROM ({sql}) AS q"

    def frame(self, batch: bytes) -> tuple[bytes, int]:
        from ops.delivery.formats import arrow

        texts = arrow.read_texts(batch, len(self.columns))
        lines = arrow.join(self.before + "{", *members(self.columns, texts), "}\n", none="null")
        return arrow.as_bytes(lines), len(texts[0])

    def finish(self) -> bytes:
        return b""


@dataclass
class JsonFraming(JsonLinesFraming):
    """One JSON object around an array of rows; ``facts`` come before the rows."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    before: str = ","
    _first: bool = True

    def __post_init__(self) -> None:
        self.head = orjson.dumps(dict(self.facts))[:-1] + b',"items":[\n'

    def frame(self, batch: bytes) -> tuple[bytes, int]:
        lines, rows = super().frame(batch)
        return self.listed(lines), rows

    def listed(self, lines: bytes) -> bytes:
        """The rows as members of an array: a comma leads each line but the first of all."""
        if not lines or not self._first:
            return lines
        self._first = False
        return lines[1:]

    def finish(self) -> bytes:
        return b"]}\n"
