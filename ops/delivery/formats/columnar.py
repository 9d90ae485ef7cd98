"""Parquet and Arrow with real types: whole numbers, decimals with all their digits, days, times, truth values.

A ``numeric`` becomes a decimal of the scale that its values need (up to 38 digits). What no type can hold without loss
(more digits, NaN, infinity, years beyond 9999) makes its column text; the field's metadata keeps the type's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ops.delivery.formats.columns import TIMES, Column, cell, day_facts, is_day
from ops.delivery.framing import CSV_COPY

BATCH_BYTES = 4 << 20
"""CSV bytes of one row group or record batch."""
DIGITS_MAX = 38
DICTIONARY_SHARE = 0.2
"""A column whose first rows have a smaller share of different values is written with a dictionary."""
PLAIN = {"int2": "int16", "int4": "int32", "int8": "int64", "float4": "float32", "float8": "float64", "bool": "bool_"}


def facts_needed(columns: Sequence[Column]) -> dict[str, str]:
    """Aggregates that decide the types."""
    asked = day_facts(columns)
    for number, one in enumerate(columns):
        if one.pg == "numeric":
            name = cell(one)
            asked[f"{number}:finite"] = f"bool_and({name} NOT IN ('NaN', 'Infinity', '-Infinity'))"
            asked[f"{number}:scale"] = f"max(scale({name}))"
            asked[f"{number}:digits"] = f"max(length(trunc(abs({name}))::text))"
    return asked


def arrow_type(column: Column) -> Any:
    """The pyarrow type of a column, string when no other holds every value."""
    import pyarrow as pa

    if column.pg in PLAIN:
        return getattr(pa, PLAIN[column.pg])()
    if column.pg == "numeric":
        scale, digits = column.facts.get("scale") or 0, column.facts.get("digits") or 1
        if column.facts.get("finite") is False or scale + digits > DIGITS_MAX:
            return pa.string()
        return pa.decimal128(18 if scale + digits <= 18 else DIGITS_MAX, scale)
    if column.pg in (*TIMES, "date") and is_day(column):
        return pa.date32() if column.pg == "date" else pa.timestamp("us", "UTC" if column.pg == "timestamptz" else None)
    return pa.string()


@dataclass
class ColumnarFraming:
    """What Parquet and Arrow share: the schema, and batches of typed columns."""

    columns: Sequence[Column]
    facts: Mapping[str, Any] = field(default_factory=dict)
    copy_options: Mapping[str, Any] = field(default_factory=lambda: CSV_COPY)
    head: bytes = b""
    batch_bytes: int = BATCH_BYTES
    batch_first: int = BATCH_BYTES
    by_line: bool = False

    def __post_init__(self) -> None:
        import pyarrow as pa

        self.sink = Sink()
        self.types = [arrow_type(one) for one in self.columns]
        self.schema = pa.schema(
            [
                pa.field(one.name, kind, metadata={"title": one.title, "postgresql_type": one.pg})
                for one, kind in zip(self.columns, self.types, strict=True)
            ],
            metadata={"govopen": orjson.dumps(dict(self.facts))},
        )

    def select(self, sql: str) -> str:
        shown = [self._shown(*pair) for pair in zip(self.columns, self.types, strict=True)]
        return f"SELECT {', '.join(shown)} FROM ({sql}) AS q"

    def _shown(self, column: Column, kind: Any) -> str:
        name = cell(column)
        if str(kind) == "string":
            return name if column.pg != "json" else f"{name}::text"
        return f"{name} AT TIME ZONE 'UTC'" if column.pg == "timestamptz" else name

    def table(self, batch: bytes) -> Any:
        import pyarrow as pa

        from ops.delivery.formats import arrow

        bare = {
            str(number): pa.timestamp("us") if pa.types.is_timestamp(kind) else kind
            for number, kind in enumerate(self.types)
        }
        return arrow.read_table(batch, bare).rename_columns(self.schema.names).cast(self.schema)


@dataclass
class ParquetFraming(ColumnarFraming):
    """Row groups as they come; Zstandard, pages with checksums."""

    _writer: Any = None

    def frame(self, batch: bytes) -> tuple[bytes, int]:
        table = self.table(batch)
        if self._writer is None:
            self._open(table)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        return self.sink.taken(), table.num_rows

    def _open(self, first: Any) -> None:
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        dictionary = [
            name
            for name in first.column_names
            if first.num_rows and pc.count_distinct(first.column(name)).as_py() < DICTIONARY_SHARE * first.num_rows
        ]
        self._writer = pq.ParquetWriter(
            self.sink,
            self.schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=dictionary,
            write_page_checksum=True,
        )

    def finish(self) -> bytes:
        if self._writer is None:
            self._open(self.table(b""))
        self._writer.close()
        return self.sink.taken()


@dataclass
class ArrowFraming(ColumnarFraming):
    """Arrow's IPC stream: the schema, then one record batch after the other."""

    _writer: Any = None

    def _open(self) -> Any:
        import pyarrow as pa

        self._writer = self._writer or pa.ipc.new_stream(self.sink, self.schema)
        return self._writer

    def frame(self, batch: bytes) -> tuple[bytes, int]:
        table = self.table(batch)
        self._open().write_table(table)
        return self.sink.taken(), table.num_rows

    def finish(self) -> bytes:
        self._open().close()
        return self.sink.taken()


class Sink:
    """A file that keeps what was written only until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def close(self) -> None:
        """The writers close what they are given; the parts stay until they are taken."""
