"""Readers of every format for tests: back to the values that went in."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from typing import Any
from xml.etree import ElementTree

import orjson

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def read_csv(body: bytes, encoding: str = "utf-8") -> tuple[list[str], list[list[str]]]:
    """Names and rows of texts; no value and empty text are alike here."""
    names, *rows = csv.reader(io.StringIO(body.decode(encoding), newline=""))
    return names, rows


def read_jsonl(body: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in body.split(b"\n") if line]


def read_parquet(body: bytes) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(body), page_checksum_verification=True)


def read_arrow(body: bytes) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(body).read_all()


def read_xlsx(body: bytes, sheet: int = 1) -> list[list[str | None]]:
    """Cells of a sheet as texts, None for empty ones; every member's checksum is verified."""
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        assert book.testzip() is None
        for name in book.namelist():
            ElementTree.fromstring(book.read(name))  # noqa: S314 - our own file
        root = ElementTree.fromstring(book.read(f"xl/worksheets/sheet{sheet}.xml"))  # noqa: S314 - our own file
    assert next(root.iter(f"{MAIN}f"), None) is None, "no formula anywhere"
    return [[_cell(one) for one in row] for row in root.iter(f"{MAIN}row")]


def _cell(cell: ElementTree.Element) -> str | None:
    if cell.get("t") == "inlineStr":
        text = "".join(one.text or "" for one in cell.iter(f"{MAIN}t"))
        return ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    value = cell.find(f"{MAIN}v")
    return None if value is None else value.text
