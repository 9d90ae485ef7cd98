"""Unmistakable texts, who may know each, and looking for them in an answer however it is packed."""

from __future__ import annotations

import base64
import gzip
import io
import re
import secrets
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MARK = "zq"
HALF = re.compile(rb"zq[a-z2-9]{8}")
"""A canary is two halves of this form; either of them gives it away."""
ALPHABET = "abcdefghjkmnprstuvwxy23456789"
UNPACKED_BYTES_MAX = 50_000_000


@dataclass(frozen=True)
class Canary:
    """A text that stands in one place only. ``may_know`` are viewers; nobody else may be told it or half of it."""

    label: str
    text: str
    may_know: frozenset[str]


class Book:
    """All canaries of a run, and who has been told which."""

    def __init__(self) -> None:
        self._of_half: dict[bytes, Canary] = {}
        self._of_part: dict[bytes, Canary] = {}
        self._parts: re.Pattern[bytes] | None = None
        self.told: dict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(set(self))

    def __iter__(self) -> Iterator[Canary]:
        return iter({*self._of_half.values(), *self._of_part.values()})

    def plant(self, label: str, *may_know: str, digits: bool = False) -> str:
        """A new text for a place; letters and digits, or digits only where a number is needed."""
        if digits:
            text = str(10**16 + secrets.randbelow(9 * 10**16))
            self.watch(label, text, *may_know)
            return text
        halves = [MARK + "".join(secrets.choice(ALPHABET) for _ in range(8)) for _ in range(2)]
        for half in halves:
            self._of_half[half.encode()] = Canary(label, "".join(halves), frozenset(may_know))
        return "".join(halves)

    def watch(self, label: str, text: str, *may_know: str) -> None:
        """Look for a text that was made elsewhere: a key, a table's name, a digest."""
        canary = Canary(label, text, frozenset(may_know))
        half = len(text) // 2
        parts = {text} if text.isdigit() else {text[:half], text[-half:]}
        for part in parts:
            known = self._of_part.setdefault(part.encode(), canary)
            if known.label != canary.label and known.text != text:
                raise ValueError(f"{label} and {known.label} cannot be told apart")
        self._parts = None

    def listed(self) -> list[tuple[str, str, list[str]]]:
        """Label, text and who may know it, for a book in another process."""
        return sorted((one.label, one.text, sorted(one.may_know)) for one in self)

    def take(self, listed: Iterable[tuple[str, str, Iterable[str]]]) -> None:
        """Look for what another process has planted."""
        for label, text, may_know in listed:
            halves = HALF.findall(text.encode())
            if b"".join(halves) != text.encode():
                self.watch(label, text, *may_know)
            for half in halves if b"".join(halves) == text.encode() else ():
                self._of_half[half] = Canary(label, text, frozenset(may_know))

    def found(self, answer: bytes) -> set[Canary]:
        """The canaries in an answer, also inside archives, columnar files and base64."""
        if self._parts is None:
            self._parts = re.compile(b"|".join(re.escape(part) for part in self._of_part) or b"(?!)")
        found: set[Canary] = set()
        for form in forms(answer):
            found.update(self._of_half[hit] for hit in HALF.findall(form) if hit in self._of_half)
            found.update(self._of_part[hit] for hit in self._parts.findall(form))
        return found

    def leaks(self, viewer: str, answer: bytes, said: bytes = b"") -> list[str]:
        """Labels of what this viewer was told and may not know; what the viewer said in the question is not told."""
        found = self.found(answer)
        found -= self.found(said) if found and said else set()
        self.told[viewer].update(one.label for one in found)
        return sorted(one.label for one in found if viewer not in one.may_know)

    def never_told(self) -> list[str]:
        """Labels of what nobody was told who may know it: there the matrix proves nothing."""
        told = {(label, viewer) for viewer, labels in self.told.items() for label in labels}
        return sorted(
            one.label
            for one in self
            if one.may_know and not any((one.label, viewer) in told for viewer in one.may_know)
        )


def forms(answer: bytes) -> Iterator[bytes]:
    """The answer as it is, and as it reads once unpacked."""
    yield answer
    if answer[:2] == b"\x1f\x8b":
        yield from _quietly(gzip.decompress, answer)
    elif answer[:4] == b"PK\x03\x04":
        yield from _zipped(answer)
    elif answer[:4] == b"PAR1" or answer[:4] == b"\xff\xff\xff\xff":
        yield from _columnar(answer)
    elif answer[:5] == b"%PDF-":
        for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", answer, re.DOTALL):
            yield from _quietly(zlib.decompress, stream)
    for word in re.findall(rb"[A-Za-z0-9+/_-]{24,}={0,2}", answer[:200_000]):
        plain = word.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
        yield from _quietly(base64.b64decode, plain + b"=" * (-len(plain) % 4))


def _quietly(unpack: object, packed: bytes) -> Iterable[bytes]:
    try:
        return [unpack(packed)]  # type: ignore[operator]
    except (ValueError, OSError, EOFError, zlib.error):
        return []


def _zipped(answer: bytes) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(answer)) as archive:
        for member in archive.infolist():
            if member.file_size < UNPACKED_BYTES_MAX:
                yield archive.read(member)


def _columnar(answer: bytes) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        whole = io.BytesIO(answer)
        table = pq.read_table(whole) if answer[:4] == b"PAR1" else pa.ipc.open_stream(whole).read_all()
    except (pa.ArrowException, OSError):
        return
    yield repr(table.to_pylist()).encode()
    yield repr(table.schema).encode()
