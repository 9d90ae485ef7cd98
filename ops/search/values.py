"""Values of counted fields by document, for counting a few hits without asking the index again.

A document is known by its sequence number, and what has a number never changes: nothing here depends on who asks, on a
filter or on a commit. Which documents are counted is decided by the query under the caller's filters alone.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from ops.search.fields import fits
from ops.search.store import Store

log = logging.getLogger("ops.search")

AT_ONCE = 300
"""New documents that a request reads itself; more are read in the background."""
CHUNK = 200
MAX_FIELDS = 40
MAX_SETS = 600_000
"""Different sets of values, over all fields; beyond it, and beyond ``MAX_NUMBERS``, the index counts as before."""
MAX_NUMBERS = 4_000_000
_UNKNOWN = "\x00"
"""The value of a document that was not read; no value of a column looks like it."""

Texts = Callable[[str, Any], list[str]]


class _Field:
    """``sets[ids[number]]`` are the values that a document has in one field."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix_fits = len(name) < 1000
        self.ids = array("i")
        self.sets: list[tuple[str, ...]] = [(_UNKNOWN,)]
        self._known: dict[tuple[str, ...], int] = {}
        self.upto = 0
        """All documents up to this number are here."""

    def put(self, number: int, values: tuple[str, ...]) -> None:
        known = self._known.get(values)
        if known is None:
            known = self._known[values] = len(self.sets)
            self.sets.append(values)
        if number >= len(self.ids):
            self.ids.extend([0] * (number + 1 - len(self.ids)))
        self.ids[number] = known


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

    def count(self, name: str, numbers: Sequence[int]) -> list[tuple[str, int]] | None:
        """How often each value occurs in these documents; None when one of them is not known."""
        field = self._fields.get(name)
        if field is None:
            return None
        try:
            found = Counter(chain.from_iterable(map(field.sets.__getitem__, map(field.ids.__getitem__, numbers))))
        except IndexError:
            return None
        return None if _UNKNOWN in found else list(found.items())

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
                    texts = () if value is None else tuple(dict.fromkeys(self._texts(field.name, value)))
                    field.put(number, tuple([text for text in texts if self._indexed(field, text)]))
        for field in fields:
            field.upto = max(field.upto, upto)
        if sum(len(field.sets) for field in self._fields.values()) > MAX_SETS:
            self._overflown = True
            self._fields = {}

    @staticmethod
    def _indexed(field: _Field, text: str) -> bool:
        return (field.prefix_fits and len(text) < 4000) or fits(field.name + " " + text)
