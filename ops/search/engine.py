"""The index: one writer thread, snapshots for readers, the store as its write-ahead truth.

A write is acknowledged after SQLite has synced it; one that asks for a commit, after tantivy has too and new
readers see it. Writes that arrive together share one sync and one commit. After a crash whatever the store holds
and the tantivy index lacks is indexed again, keyed by sequence numbers, before the first request is answered.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tantivy import Document, Index, Query

from ops.search.chinese.lexicon import LEXICON
from ops.search.documents import Prepared, to_index
from ops.search.errors import SearchFault
from ops.search.fields import KEY, LAYOUT, SEQUENCE, build_schema, register_tokenizers
from ops.search.store import Store, unpack_head

log = logging.getLogger("ops.search")

HEAP_BYTES = 48_000_000
MAX_BATCH = 256
AUTO_COMMIT_S = 15.0
IDLE_S = 1.0
KEEP_ENDED_S = 60.0


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A consistent view for one request; ``generation`` changes with every visible commit."""

    searcher: Any
    generation: int
    kept: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What requests worked out of it and others may use again; goes when the snapshot does."""


@dataclass(slots=True)
class Change:
    """One step of an update: documents to put, keys to delete, or a query whose hits are deleted."""

    puts: list[Prepared] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    matching: Callable[[Any], Query] | None = None


@dataclass(slots=True)
class _Job:
    changes: list[Change]
    commit: bool
    done: Future[None]


@dataclass(frozen=True, slots=True)
class _Step:
    """What the index is to do after the store did it. What the store does not hold, the index does not hold."""

    key: str
    sequence: int
    replaces: bool
    document: Document | None


class Engine:
    """Opened on a folder of its own; ``submit`` to write, ``snapshot`` to read."""

    def __init__(self, home: Path, clock: Callable[[], datetime] = utc_now) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.clock = clock
        self.home = home
        self._lock_file = (home / "lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock_file.close()
            raise SearchFault(f"{home} is in use by another search service", 503) from error
        self.store = Store(home / "documents.sqlite")
        self.schema = build_schema()
        self._generation = 0
        self._uncommitted = 0
        self._last_commit = time.monotonic()
        self._ended: list[tuple[float, int]] = []
        self._queue: queue.Queue[_Job | None] = queue.Queue()
        LEXICON.open(home / "words.txt")
        self._open_index()
        self._thread = threading.Thread(target=self._run, name="search-writer", daemon=True)
        self._thread.start()

    # -- opening and catching up -------------------------------------------------------------------------

    def _open_index(self) -> None:
        folder = self.home / "index"
        fresh = self.store.meta("layout") != LAYOUT or not folder.is_dir()
        if not fresh:
            try:
                self.index = Index(self.schema, path=str(folder))
                self._writer = self.index.writer(HEAP_BYTES, 1)
            except Exception:
                log.exception("The index cannot be opened; it is built anew from the stored documents")
                fresh = True
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self.index = Index(self.schema, path=str(folder))
            self._writer = self.index.writer(HEAP_BYTES, 1)
        register_tokenizers(self.index)
        self.index.config_reader("manual")
        self._sequence = self.store.last_sequence()
        self._indexed = 0 if fresh else int(self.store.meta("indexed") or 0)
        self._catch_up(everything=fresh)
        self.store.begin()
        self.store.set_meta("layout", LAYOUT)
        self.store.set_meta("indexed", str(self._indexed))
        self.store.commit()
        self._saved = self._indexed

    def _catch_up(self, *, everything: bool) -> None:
        now = self.clock()
        count = 0
        if everything:
            for sequence, head in self.store.all_live():
                self._add(to_index(unpack_head(head), now), sequence)
                count += 1
        else:
            keys = self.store.changed_since(self._indexed)
            for key in keys:
                self._writer.delete_documents_by_term(KEY, key)
            for sequence, head in self.store.live(keys):
                self._add(to_index(unpack_head(head), now), sequence)
            count = len(keys)
        if count:
            log.info("Indexed %d stored documents again", count)
        self._publish()

    def _add(self, document: Document, sequence: int) -> None:
        document.add_unsigned(SEQUENCE, sequence)
        self._writer.add_document(document)

    def _publish(self) -> None:
        """Make everything written so far visible to new snapshots."""
        self._writer.commit()
        self.index.reload()
        self._generation += 1
        self._snapshot = Snapshot(self.index.searcher(), self._generation)
        self._indexed = self._sequence
        self._uncommitted = 0
        self._last_commit = time.monotonic()

    # -- for requests ------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def submit(self, changes: list[Change], *, commit: bool) -> Future[None]:
        """Queue a write; the future ends when it is durable (and, with ``commit``, visible)."""
        done: Future[None] = Future()
        if not self._thread.is_alive():
            done.set_exception(SearchFault("The search service is shutting down", 503))
        else:
            self._queue.put(_Job(changes, commit, done))
        return done

    def close(self) -> None:
        """Finish what is queued, commit, and let go of the folder."""
        self._queue.put(None)
        self._thread.join(60)
        self.store.close()
        self._lock_file.close()

    # -- the writer's thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        stop = False
        while not stop:
            jobs: list[_Job] = []
            try:
                job = self._queue.get(timeout=IDLE_S)
                while True:
                    if job is None:
                        stop = True
                        break
                    jobs.append(job)
                    if len(jobs) >= MAX_BATCH:
                        break
                    job = self._queue.get_nowait()
            except queue.Empty:
                pass
            if jobs:
                self._work(jobs)
            else:
                self._guarded(self._tidy)
        self._guarded(self._finish)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:
            log.exception("The index writer failed in the background")
            self._recover()

    def _work(self, jobs: list[_Job]) -> None:
        failure: BaseException | None = None
        failed: dict[int, BaseException] = {}
        try:
            at = 0
            while at < len(jobs):
                at = self._apply_group(jobs, at, failed)
            if any(job.commit for job in jobs):
                self._publish()
        except Exception as error:
            log.exception("A write failed")
            failure = error
            self._recover()
        for number, job in enumerate(jobs):
            problem = failure or failed.get(number)
            if problem is None:
                job.done.set_result(None)
            elif isinstance(problem, SearchFault):
                job.done.set_exception(problem)
            else:
                job.done.set_exception(SearchFault(f"The write failed: {problem}", 500))

    def _apply_group(self, jobs: list[_Job], at: int, failed: dict[int, BaseException]) -> int:
        """Apply jobs from ``at`` in one transaction, up to the next that deletes by query; where to go on."""
        documents: list[_Step] = []
        first = jobs[at]
        if any(change.matching for change in first.changes):
            try:
                for change in first.changes:
                    self._apply_now(change)
            except SearchFault as error:
                failed[at] = error
            return at + 1
        self.store.begin()
        while at < len(jobs) and not any(change.matching for change in jobs[at].changes):
            for change in jobs[at].changes:
                documents.extend(self._record(change))
            at += 1
        self.store.commit()
        self._index(documents)
        return at

    def _apply_now(self, change: Change) -> None:
        if change.matching is not None:
            if self._uncommitted:
                self._publish()
            query = change.matching(self._snapshot.searcher)
            count = max(1, self._snapshot.searcher.num_docs)
            hits = self._snapshot.searcher.search(query, count, order_by_field=SEQUENCE).hits
            change = Change(keys=self.store.keys_of([sequence for sequence, _ in hits]))
        self.store.begin()
        documents = self._record(change)
        self.store.commit()
        self._index(documents)

    def _record(self, change: Change) -> list[_Step]:
        recorded: list[_Step] = []
        for put in change.puts:
            self._sequence += 1
            replaced = self.store.put(self._sequence, put.row)
            recorded.append(_Step(put.row.index_id, self._sequence, replaced, put.document))
        for key in change.keys:
            self._sequence += 1
            if self.store.end(self._sequence, key):
                recorded.append(_Step(key, self._sequence, True, None))
        return recorded

    def _index(self, steps: list[_Step]) -> None:
        for step in steps:
            if step.replaces:
                self._writer.delete_documents_by_term(KEY, step.key)
            if step.document is not None:
                self._add(step.document, step.sequence)
        self._uncommitted += len(steps)

    def _tidy(self) -> None:
        """When idle: commit what nobody committed, save how far the index is, drop rows no reader can need."""
        now = time.monotonic()
        if self._uncommitted and now - self._last_commit > AUTO_COMMIT_S:
            self._publish()
        if self._saved != self._indexed:
            self._save_progress()
            self._ended.append((now, self._indexed))
        while len(self._ended) > 1 and now - self._ended[1][0] > KEEP_ENDED_S:
            self._ended.pop(0)
        if self._ended and now - self._ended[0][0] > KEEP_ENDED_S and not self.store.forget(self._ended[0][1]):
            self._ended.pop(0)

    def _save_progress(self) -> None:
        LEXICON.save()
        self.store.begin()
        self.store.set_meta("indexed", str(self._indexed))
        self.store.commit()
        self._saved = self._indexed

    def _recover(self) -> None:
        """Forget half a write and bring the index back to what the store holds."""
        try:
            self.store.rollback()
            self._writer.rollback()
            self._sequence = max(self._sequence, self.store.last_sequence())
            self._catch_up(everything=False)
        except Exception:
            log.critical("The index cannot be brought back; stopping so that a restart rebuilds it", exc_info=True)
            os._exit(70)

    def _finish(self) -> None:
        self._publish()
        self._save_progress()
        self._writer.wait_merging_threads()
