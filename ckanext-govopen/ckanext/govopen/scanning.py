"""Which rows the gate is shown: the first ones, and every later one that could hold personal information."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import ckan.plugins.toolkit as tk

CELL_CHARS_MAX = 200
MATCHES_PER_CELL = 500
CHUNK_ROWS_MAX = 4_000
CHUNK_BYTES_MAX = 400_000
"""The service takes bodies of 1 MB: two chunks at most, and the facts."""

CANDIDATES = tuple(map(re.compile, (
    r"(?<![0-9A-Za-z])\d{6}[ -]?\d{8}[ -]?\d{3}[0-9Xx](?![0-9A-Za-z])",
    r"(?<![0-9A-Za-z.])(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?![0-9A-Za-z])",
    r"(?<![0-9A-Za-z.])(?:62|4\d|5[1-5]|3[47])(?:[ -]?\d){13,17}(?![0-9A-Za-z])",
)))
"""Identity, phone and card numbers as the service's scanner reads them (``authz.gate.scanner``), without checksums.

Those three kinds are all that the gate refuses by content; each is found by one of these patterns, in text normalized
by NFKC. So what matches none of them is nothing to the gate, wherever it stands, and what matches is judged by the
service alone. The other kinds (e-mail, sole traders) are notes on the first rows. A test holds the patterns to those
of the scanner.
"""
_ANY = re.compile("|".join(one.pattern for one in CANDIDATES))

Sample = list[dict[str, Any]]
Cell = tuple[int, str, str]
Chunk = tuple[Sample, list[int]]
"""Rows as they are sent, and for each the number of the row it comes from (1 is the first)."""


def chunks(records: Iterable[Any], taken: int = 0) -> Iterator[Chunk]:
    """What the gate is to be shown of these rows, in bodies that it takes; at least one, which may be empty.

    ``taken`` is the size of the facts sent along, in bytes. A short last chunk is filled up with the rows before it,
    because the scanner tells card numbers from other long numbers by how many of a column pass their check.
    """
    first = int(tk.config["ckanext.govopen.sample_rows"])
    budget = max(CHUNK_BYTES_MAX - taken // 2, CHUNK_BYTES_MAX // 8)
    before: Chunk = ([], [])
    rows: Sample = []
    places: list[int] = []
    size, limit = 0, first
    for place, column, text in _cells(records, first):
        cost = len(json.dumps(column)) + len(json.dumps(text)) + 6
        if not rows or places[-1] != place or column in rows[-1] or size + cost > budget:
            if rows and (len(rows) >= limit or size + cost > budget):
                yield rows, places
                before, rows, places, size, limit = (rows, places), [], [], 0, CHUNK_ROWS_MAX
            rows.append({})
            places.append(place)
        rows[-1][column] = text
        size += cost
    missing = max(first - len(rows), 0)
    if before[0] and missing:
        rows, places = [*before[0][-missing:], *rows], [*before[1][-missing:], *places]
    yield rows, places


def _cells(records: Iterable[Any], first: int) -> Iterator[Cell]:
    """Every cell of the first rows, and of the rows after them the cells with a candidate."""
    for place, record in enumerate(records, 1):
        if not isinstance(record, dict):
            continue
        if place > first and not _ANY.search(_plain("\n".join(map(str, record.values())))):
            continue
        for key, value in record.items():
            if key == "_id" or value is None:
                continue
            text = str(value)
            pieces = _pieces(text)
            if place <= first and not pieces:
                pieces = [text[:CELL_CHARS_MAX]]
            for piece in pieces:
                yield place, str(key), piece


def _pieces(text: str) -> list[str]:
    """A cell with candidates: whole when it is short, else the candidates alone; nothing of a cell without any."""
    plain = _plain(text)
    if not _ANY.search(plain):
        return []
    if len(text) <= CELL_CHARS_MAX:
        return [text]
    found = [plain[start:end] for start, end in _spans(plain)]
    return ["; ".join(found[at:at + MATCHES_PER_CELL]) for at in range(0, len(found), MATCHES_PER_CELL)]


def _spans(plain: str) -> list[tuple[int, int]]:
    """Where candidates stand, overlapping ones as one, with a point before them, which has a meaning to the scanner."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted(one.span() for kind in CANDIDATES for one in kind.finditer(plain)):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start - plain.startswith(".", start - 1) if start else 0, end))
    return spans


def _plain(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)
