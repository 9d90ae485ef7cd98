"""From PostgreSQL's COPY to the bytes of a format, with an exact count of the rows in every piece.

PostgreSQL sends one protocol message per row and asyncpg hands over whole messages, so a piece never ends inside a
row. Cheap formats take each piece as it comes; the others collect pieces into batches and work on them in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

CSV_COPY: Mapping[str, Any] = {"format": "csv"}


class Framing(Protocol):
    """How rows become bytes: ``head``, then ``frame`` for piece after piece, then ``finish``."""

    @property
    def copy_options(self) -> Mapping[str, Any]: ...

    @property
    def head(self) -> bytes: ...

    @property
    def batch_bytes(self) -> int:
        """0: every piece by itself, in the event loop. Else pieces are collected up to so many bytes for a thread."""

    @property
    def batch_first(self) -> int:
        """Bytes of the first batch; the next ones double, so that the first rows leave soon."""

    @property
    def by_line(self) -> bool:
        """Whether every row is one line of what ``frame`` gives, so that a part of it can be counted too."""

    def select(self, sql: str) -> str:
        """The statement to COPY from, around the compiled one."""

    def frame(self, piece: bytes) -> tuple[bytes, int]:
        """Bytes to send for a piece of COPY output, and how many rows they hold."""

    def finish(self) -> bytes:
        """What comes after the last row."""


def count_csv_rows(piece: bytes | bytearray) -> int:
    """Rows in whole CSV lines: line ends outside of quotes."""
    if b'"' not in piece:
        return piece.count(b"\n")
    return sum(part.count(b"\n") for part in piece.split(b'"')[::2])
