"""Values of counted fields by document, so that hits are counted without asking the index again.

A document is known by its sequence number, and what has a number never changes: nothing here depends on who asks, on a
filter or on a commit. Which documents are counted is decided by the query under the caller's filters alone.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ops.search.covered import Covered
from ops.search.fields import fits
from ops.search.store import Store

log = logging.getLogger("ops.search")

AT_ONCE = 300
"""New documents that a request reads itself; more are read in the background."""
CHUNK = 200
MAX_FIELDS = 40
MAX_VALUES = 600_000
"""Different values, over all fields; beyond it, and beyond ``MAX_NUMBERS``, the index counts as before."""
MAX_NUMBERS = 4_000_000
_UNREAD = -1
_NONE, _UNKNOWN = -1, -2

Texts = Callable[[str, Any], list[str]]
Numbers = NDArray[np.int32]


class _Field:
    """A document has ``counts[number]`` values: ``flat[begins[number]]`` and on, each a place in ``texts``.

    Arrays only grow, by other ones in their place, and nothing in them changes: a thread that holds them may read on.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix_fits = len(name) < 1000
        self.texts: list[str] = []
        self.counts: Numbers = np.full(0, _UNREAD, np.int32)
        self.begins: Numbers = np.zeros(0, np.int32)
        self.flat: Numbers = np.zeros(0, np.int32)
        self.only: Numbers | None = np.full(0, _UNKNOWN, np.int32)
        """The place of a document's only value, in one array; None as soon as a document has several."""
        self.upto = 0
        """All documents up to this number are here."""
        self._known: dict[str, int] = {}
        self._filled = 0
        self._numbers: list[int] = []
        self._sizes: list[int] = []
        self._places: list[int] = []

    def put(self, number: int, values: Iterable[str]) -> None:
        """Note the values of a document; they count after ``settle``."""
        before = len(self._places)
        for text in values:
            place = self._known.get(text)
            if place is None:
                place = self._known[text] = len(self.texts)
                self.texts.append(text)
            self._places.append(place)
        self._numbers.append(number)
        self._sizes.append(len(self._places) - before)

    def settle(self, upto: int) -> None:
        """What was noted is here, and with it all documents up to a number."""
        if self._numbers:
            numbers, sizes = np.array(self._numbers, np.int64), np.array(self._sizes, np.int32)
            end = self._filled + len(self._places)
            self.flat = _grown(self.flat, end, 0)
            self.flat[self._filled : end] = self._places
            last = int(numbers.max()) + 1
            counts, self.begins = _grown(self.counts, last, _UNREAD), _grown(self.begins, last, 0)
            self.begins[numbers] = self._filled + np.cumsum(sizes, dtype=np.int32) - sizes
            counts[numbers] = sizes
            self.counts = counts
            if self.only is not None and int(sizes.max()) <= 1:
                only = _grown(self.only, last, _UNKNOWN)
                places = np.full(len(numbers), _NONE, np.int32)
                places[sizes == 1] = self._places
                only[numbers] = places
                self.only = only
            else:
                self.only = None
            self._filled = end
            self._numbers, self._sizes, self._places = [], [], []
        self.upto = max(self.upto, upto)

    def tally(self, numbers: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """How many of these documents have each value, by its place; None when one of them is not known."""
        only = self.only
        if only is not None:
            if len(numbers) and int(numbers.max()) >= len(only):
                return None
            alone = only[numbers]
            if int(np.minimum.reduce(alone, initial=_NONE)) < _NONE:
                return None
            return np.bincount(alone - _NONE)[1:]
        counts, begins = self.counts, self.begins
        if len(numbers) and int(numbers.max()) >= len(counts):
            return None
        sizes, starts = counts[numbers], begins[numbers]
        least = int(np.minimum.reduce(sizes, initial=1))
        if least < 0:
            return None
        if least == 1 and int(np.maximum.reduce(sizes, initial=1)) == 1:
            places = starts
        else:
            total = int(np.add.reduce(sizes))
            places = np.repeat(starts - np.cumsum(sizes, dtype=np.int32) + sizes, sizes)
            places += np.arange(total, dtype=np.int32)
        return np.bincount(self.flat[places])

    def named(self, found: NDArray[np.int64], enough: int | None) -> list[tuple[str, int]]:
        these = np.flatnonzero(found)
        if enough is not None and 0 < enough < len(these):
            least = np.partition(found[these], -enough)[-enough]
            these = these[found[these] >= least]
        texts = self.texts
        return [(texts[at], many) for at, many in zip(these.tolist(), found[these].tolist(), strict=True)]


def _grown(values: Numbers, size: int, filler: int) -> Numbers:
    """The same with room for as many; a copy when there is none."""
    if size <= len(values):
        return values
    larger = np.full(max(size, 2 * len(values), 1024), filler, np.int32)
    larger[: len(values)] = values
    return larger


class Values:
    """Of one store. Any thread may ask."""

    def __init__(self, store: Store, texts: Texts) -> None:
        self._store = store
        self._texts = texts
        self._fields: dict[str, _Field] = {}
        self._lock = threading.Lock()
        self._filler: threading.Thread | None = None
        self._closed = False
        self._overflown = False
        self.covered = Covered()

    def close(self) -> None:
        self._closed = True
        filler = self._filler
        if filler is not None and filler is not threading.current_thread():
            filler.join(10)

    def ready(self, names: Iterable[str], upto: int) -> bool:
        """Are the values of these fields here, of all documents up to a number? If not, they soon will be."""
        if upto > MAX_NUMBERS or self._closed or self._overflown:
            return False
        wanted = [self._fields.get(name) for name in names]
        if all(field is not None and field.upto >= upto for field in wanted):
            return True
        with self._lock:
            behind: list[_Field] = []
            for name in names:
                field = self._fields.get(name)
                if field is None:
                    if len(self._fields) >= MAX_FIELDS:
                        return False
                    field = self._fields[name] = _Field(name)
                if field.upto < upto:
                    behind.append(field)
            if upto - min((field.upto for field in behind), default=upto) <= AT_ONCE:
                self._fill(behind, upto)
                return not self._overflown
            if self._filler is None:
                self._filler = threading.Thread(target=self._run, args=(upto,), name="search-values", daemon=True)
                self._filler.start()
        return False

    def tally(self, name: str, numbers: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """How many of these documents have each value of a field; None when one of them is not known."""
        field = self._fields.get(name)
        return None if field is None else field.tally(numbers)

    def named(self, name: str, tally: NDArray[np.int64], enough: int | None = None) -> list[tuple[str, int]]:
        """The values that were found.

        ``enough``: so many of the most frequent ones will do, and those as frequent as the last of them.
        """
        field = self._fields.get(name)
        return [] if field is None else field.named(tally, enough)

    # -- filling -----------------------------------------------------------------------------------------

    def _run(self, upto: int) -> None:
        try:
            at = 0
            while at < upto and not self._closed and not self._overflown:
                with self._lock:
                    behind = [field for field in self._fields.values() if field.upto < upto]
                    if not behind:
                        break
                    at = min(min(field.upto for field in behind) + CHUNK, upto)
                    self._fill(behind, at)
        except (sqlite3.Error, ValueError):
            if not self._closed:
                log.exception("The values of documents cannot be read; they are counted by the index")
                self._overflown = True
        finally:
            self._store.release()
            self._filler = None

    def _fill(self, fields: list[_Field], upto: int) -> None:
        """Read what fields lack up to a number."""
        after = min((field.upto for field in fields), default=upto)
        for number, head in self._store.heads_between(after, upto):
            for field in fields:
                if number > field.upto:
                    value = head.get(field.name)
                    texts = () if value is None else dict.fromkeys(self._texts(field.name, value))
                    field.put(number, [text for text in texts if self._indexed(field, text)])
        for field in fields:
            field.settle(upto)
        if sum(len(field.texts) for field in self._fields.values()) > MAX_VALUES:
            self._overflown = True
            self._fields = {}

    @staticmethod
    def _indexed(field: _Field, text: str) -> bool:
        return (field.prefix_fits and len(text) < 4000) or fits(field.name + " " + text)
