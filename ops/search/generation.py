"""One generation of the index: a store and the tantivy index of its documents, in a folder of their own.

The store is the truth. The index follows it by sequence numbers: ``indexed`` says up to which change the index on the
disk has everything, so whatever a crash, a damage or a new layout took from it is indexed again from the store.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.search import deletions, health
from ops.search.covered import Covered
from ops.search.documents import Prepared, texts, to_index
from ops.search.fields import LAYOUT, build_schema
from ops.search.salvage import salvage
from ops.search.scribe import Gone
from ops.search.store import Store, unpack_head
from ops.search.values import Values
from ops.search.writing import Step, Writing

log = logging.getLogger("ops.search")

SLICE = 200
"""Documents that are caught up with between two looks for requests."""
AUTO_COMMIT_S, AUTO_COMMIT_MANY_S = 15.0, 60.0
"""What nobody commits is committed after so long; later while many documents come, or the segments would be small."""
COMMIT_EACH = 20_000
"""Documents of a catch-up between two points from which it could go on."""


@dataclass(slots=True)
class Change:
    """One step of an update: documents to put, keys to delete, or a query whose hits are deleted."""

    puts: list[Prepared] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    query: deletions.ByQuery | None = None


@dataclass(slots=True)
class Gap:
    """Documents that the store holds and the index lacks: those written after one change and up to another."""

    after: int
    upto: int
    total: int
    done: int = 0


class Generation:
    """All methods but ``close`` belong to the writer's thread, once the engine runs."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.clock = clock
        self.gap: Gap | None = None
        self.serves = True
        """Do requests look at it? Otherwise what the index lacks may wait for a quiet moment."""
        self.uncommitted = 0
        self.committed_at = time.monotonic()
        self._commit: tuple[int, int] | None = None
        """Of a commit that was started: up to which change, and of how many."""
        self._aside = False
        self.store = self._open_store(folder / "documents.sqlite")
        self.values = Values(self.store, texts)
        self._open_index(folder / "index")
        if self._aside:
            self.mark_incomplete()
        self.is_incomplete = self.store.meta("incomplete") == "1"

    def mark_incomplete(self) -> None:
        """Remember, until a rebuild, that documents were lost."""
        with self.transaction():
            self.store.set_meta("incomplete", "1")
        self.is_incomplete = True

    # -- opening -----------------------------------------------------------------------------------------

    def _open_store(self, path: Path) -> Store:
        """The store; a damaged one is set aside and what can be read of it is kept."""
        try:
            store = Store(path)
            if store.meta("ended_in_order") == "1" or health.database_is_whole(path):
                return store
            store.close()
        except sqlite3.DatabaseError as error:
            if health.is_full(error):
                raise
            log.exception("The documents cannot be opened")
        aside = health.set_aside(self.folder, path)
        shutil.rmtree(self.folder / "index", ignore_errors=True)
        store = Store(path)
        kept = salvage(aside, store)
        self._aside = True
        log.critical(
            "The documents were damaged: %d could be read and are served, the rest is missing until the index is "
            "rebuilt (govopen search rebuild). The damaged file is %s", kept, aside,
        )
        return store

    def _open_index(self, folder: Path) -> None:
        in_order = self.store.meta("ended_in_order") == "1"
        self.is_fresh = self.store.meta("layout") != LAYOUT or not (in_order or health.index_is_whole(folder))
        if not self.is_fresh:
            try:
                if not in_order:
                    health.drop_unnamed_deletions(folder)
                self._open_tantivy(folder)
            except Exception:
                log.exception("The index cannot be opened; it is built anew from the stored documents")
                self.is_fresh = True
        if self.is_fresh:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self._open_tantivy(folder)
        self.sequence = self.durable = self.store.last_sequence()
        self.missed, self.live = self.store.last_missed(), self.store.live_count()
        self.indexed = 0 if self.is_fresh else int(self.store.meta("indexed") or 0)
        with self.transaction():
            self.store.set_meta("layout", LAYOUT)
            self.store.set_meta("indexed", str(self.indexed))
            self.store.set_meta("ended_in_order", "0")
        self.saved = self.indexed
        self.open_gap()

    def _open_tantivy(self, folder: Path) -> None:
        self.schema = build_schema()
        self.writing = Writing(folder)

    def close(self, *, in_order: bool) -> None:
        if in_order:
            with self.transaction():
                self.store.set_meta("indexed", str(self.indexed))
                self.store.set_meta("ended_in_order", "1")
        self.values.close()
        self.store.close()

    # -- catching up -------------------------------------------------------------------------------------

    def open_gap(self) -> None:
        """See what the index lacks; deletions are made up for at once."""
        total = self.store.count_between(self.indexed, self.sequence)
        ended = [] if self.is_fresh else self.store.ended_after(self.indexed)
        for key in ended:
            self.writing.delete(key)
        self.uncommitted += len(ended)
        self.gap = Gap(self.indexed, self.sequence, total) if total else None

    def catch_up(self, limit: int) -> int:
        """Index some of what is lacking; how many are left."""
        gap = self.gap
        if gap is None:
            return 0
        now = self.clock()
        rows = self.store.live_between(gap.after, gap.upto, limit)
        for sequence, key, head in rows:
            if not self.is_fresh:
                self.writing.delete(key)
            self.writing.add(to_index(unpack_head(head), now), sequence)
            gap.after = sequence
        gap.done += len(rows)
        self.uncommitted += len(rows)
        if len(rows) < limit:
            log.info("Indexed %d stored documents again", gap.done)
            self.gap = None
        elif self.uncommitted >= COMMIT_EACH:
            self.commit()
            self.save()
        return max(1, gap.total - gap.done) if self.gap is not None else 0

    # -- writing -----------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done inside is on the disk when it ends, or not done at all.

        ``durable`` is the last sequence number that a restart would know of: the only one that others may be told.
        """
        missed, live = self.missed, self.live
        self.store.begin()
        try:
            yield
            self.store.commit()
        except BaseException:
            self.store.rollback()
            self.sequence, self.missed, self.live = self.durable, missed, live
            raise
        self.durable = self.sequence

    def record(self, change: Change) -> list[Step]:
        """Write a change into the open transaction."""
        recorded: list[Step] = []
        puts = change.puts
        if len(puts) > 1 and len({put.row.index_id for put in puts}) == len(puts):
            replaced = self.store.put_all(self.sequence + 1, [put.row for put in puts])
            for number, put in enumerate(puts, self.sequence + 1):
                key = put.row.index_id
                recorded.append(Step(key, number, key in replaced, put.document, put.row.head))
            self.sequence += len(puts)
            puts = []
        for put in puts:
            self.sequence += 1
            ended = self.store.put(self.sequence, put.row)
            recorded.append(Step(put.row.index_id, self.sequence, ended, put.document, put.row.head))
        for key in change.keys:
            if self.store.end(self.sequence + 1, key):
                self.sequence += 1
                recorded.append(Step(key, self.sequence, True, None))
        self.live += sum((step.head is not None) - step.replaces for step in recorded)
        return recorded

    def miss(self, change: Change) -> None:
        """Keep a deletion for the rebuild that is under way; in the open transaction."""
        self.sequence += 1
        self.missed = self.sequence
        self.store.miss(self.sequence, deletions.written(change.keys, change.query))

    def apply(self, steps: list[Step]) -> None:
        """Hand to the index what the store has."""
        self.uncommitted += len(steps)
        try:
            self.writing.apply(steps, self.clock(), may_share=self.gap is None)
        except Gone as gone:
            self._take_back(gone)

    def _take_back(self, gone: Gone) -> None:
        """Do here what the second process did not: the store has all of it."""
        log.warning("%s: what it had not committed is indexed here", gone)
        self.writing.take_back()
        self.recover()
        while self.serves and self.catch_up(SLICE):
            pass

    def rest(self, *, is_wanted: bool = False) -> None:
        """Now and then: let go of the second process when it is not needed."""
        self.undone()
        try:
            self.writing.rest(self.uncommitted, is_wanted=is_wanted)
        except Gone as gone:
            self._take_back(gone)

    def commit(self) -> None:
        """Bring the index on the disk up to date."""
        try:
            self.writing.commit()
        except Gone as gone:
            self._take_back(gone)
            self.writing.commit()
        self.indexed = self.sequence if self.gap is None else self.gap.after
        self.uncommitted = 0
        self._commit = None
        self.committed_at = time.monotonic()

    @property
    def is_overdue(self) -> bool:
        """Is it time to commit what nobody does?"""
        waited = time.monotonic() - self.committed_at
        return self.uncommitted > 0 and waited > (AUTO_COMMIT_MANY_S if self.writing.is_busy else AUTO_COMMIT_S)

    def start_commit(self) -> None:
        """``commit`` and ``save``; a second process does it while this one goes on."""
        if self._commit is not None:
            return
        try:
            if self.writing.start_commit():
                self._commit = (self.sequence, self.uncommitted)
                return
        except Gone as gone:
            self._take_back(gone)
        self.commit()
        self.save()

    def undone(self) -> int:
        """How much of what was handed over the second process has still to do. It is not waited for."""
        try:
            undone = self.writing.undone()
        except Gone as gone:
            self._take_back(gone)
            return 0
        if self._commit is not None and not self.writing.is_committing:
            self.indexed, committed = self._commit
            self.uncommitted -= committed
            self._commit = None
            self.committed_at = time.monotonic()
            self.save()
        return undone

    def searcher(self) -> Any:
        index = self.writing.index
        index.reload()
        return index.searcher()

    def save(self) -> None:
        """Write down how far the index is."""
        with self.transaction():
            self.store.set_meta("indexed", str(self.indexed))
        self.saved = self.indexed

    def recover(self) -> None:
        """Forget half a write; what the index lacks then is a gap."""
        self.store.rollback()
        self.writing.rollback()
        self._commit = None
        self.is_fresh = False
        self.sequence = self.durable = self.store.last_sequence()
        self.missed, self.live = self.store.last_missed(), self.store.live_count()
        self.values.covered = Covered()  # what is indexed again may be cut into other words under its old number
        self.open_gap()
