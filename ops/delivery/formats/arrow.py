"""COPY's CSV into Arrow and out again as text, at the speed of vectors. Runs in threads; loaded when first needed."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

BOM = b"\xef\xbb\xbf"
EMPTY = pa.scalar("")
QUOTE = pa.scalar('"')


def read_table(batch: bytes, types: Mapping[str, Any]) -> Any:
    """A pyarrow.Table of whole CSV rows as COPY writes them: no value is empty, empty text is ``""``."""
    if not batch:
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    if batch.startswith(BOM):
        batch = BOM + batch  # the reader takes the first one for a mark
    return pa.csv.read_csv(
        pa.BufferReader(batch),
        read_options=pa.csv.ReadOptions(
            use_threads=False, column_names=list(types), block_size=max(64, len(batch) + 1)
        ),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict(types),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            check_utf8=False,
        ),
    )


def read_texts(batch: bytes, count: int) -> list[Any]:
    """The columns as string arrays, just as COPY wrote the values."""
    table = read_table(batch, {str(number): pa.string() for number in range(count)})
    return [_whole(table.column(number)) for number in range(count)]


def _whole(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], pa.string())])


def join(*parts: Any, none: str | None = None) -> Any:
    """Texts of each row put together; without ``none`` a missing part makes the whole missing."""
    scalars = [pa.scalar(one) if isinstance(one, str) else one for one in parts]
    if none is None:
        return pc.binary_join_element_wise(*scalars, EMPTY)
    return pc.binary_join_element_wise(*scalars, EMPTY, null_handling="replace", null_replacement=none)


def contains(column: Any, pattern: str) -> bool:
    """Whether the pattern occurs anywhere in the values, taken as one text: one pass, not one for each value."""
    offsets, data = column.buffers()[1:3]
    if data is None or not len(column):
        return False
    bounds = memoryview(offsets).cast("B")
    first = struct.unpack_from("<i", bounds, 4 * column.offset)[0]
    last = struct.unpack_from("<i", bounds, 4 * (column.offset + len(column)))[0]
    one = pa.Array.from_buffers(
        pa.large_binary(), 1, [None, pa.py_buffer(struct.pack("<qq", 0, last - first)), data.slice(first, last - first)]
    )
    return bool(pc.match_substring_regex(one, pattern)[0].as_py())


def replaced(column: Any, pairs: Sequence[tuple[str, str]]) -> Any:
    """The values with each text of the pairs replaced, in order."""
    data = column.buffers()[2].to_pybytes()
    for old, new in pairs:
        if old.encode() in data:
            column = pc.replace_substring(column, pattern=old, replacement=new)
    return column


def as_bytes(lines: Any) -> bytes:
    """All values of a string array without a missing one, one after the other."""
    data = lines.buffers()[2] if len(lines) else None
    return data.to_pybytes() if data is not None else b""
