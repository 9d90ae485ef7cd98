"""The engine: one writer thread, snapshots for readers, and which generation of the index serves.

A write is acknowledged after SQLite has synced it; one that asks for a commit, after tantivy has too and new
readers see it. Writes that arrive together share one sync and one commit. After a crash whatever the store holds
and the tantivy index lacks is indexed again before anything is answered: a little at once, much of it in the
background, with 503 and how far it is for those who ask.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.search import health, memory
from ops.search.chinese.lexicon import LEXICON
from ops.search.copies import Copy
from ops.search.errors import NoRoom, SearchFault
from ops.search.fields import SEQUENCE
from ops.search.generation import SLICE, Change, Generation
from ops.search.places import Places
from ops.search.rebuild import Rebuild
from ops.search.store import Store
from ops.search.values import Values
from ops.search.writing import Step

__all__ = ["Change", "Engine", "Snapshot"]

log = logging.getLogger("ops.search")

MAX_BATCH = 256
IDLE_S = 1.0
TIDY_S = 10.0
KEEP_ENDED_S = 60.0
AT_ONCE = 1000
"""Documents that are caught up with before the first request."""
BULK = 1000
"""After so many documents what they needed of memory is let go of, once no more come."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A consistent view for one request; ``generation`` changes with every visible commit."""

    searcher: Any
    generation: int
    store: Store
    values: Values
    sequence: int
    """Of the last change that the snapshot may hold."""
    kept: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What requests worked out of it and others may use again; goes when the snapshot does."""
    filters: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What the texts of filters and of queries mean, with what each takes of a request's budget."""


@dataclass(slots=True)
class _Job:
    changes: list[Change]
    commit: bool
    done: Future[Any]
    task: Callable[[], Any] | None = None
    """Something else to do on the writer's thread, alone."""

    @property
    def alone(self) -> bool:
        return self.task is not None or any(change.query for change in self.changes)


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
        LEXICON.open(home / "words.txt")
        self.places = Places(home)
        self.current = Generation(self.places.current(), clock)
        self.schema = self.current.schema
        self.rebuild: Rebuild | None = self.places.interrupted(self.current)
        Rebuild.settle(self.current)
        if self.places.is_lost:
            self.current.mark_incomplete()
        self._number = 0
        self._snapshot: Snapshot | None = None
        self._full = False
        self._tidied = time.monotonic()
        self._trimmed = self.current.sequence
        self._ended: list[tuple[float, int]] = []
        self._queue: queue.Queue[_Job | None] = queue.Queue()
        while self.current.gap is not None and self.current.gap.total <= AT_ONCE:
            self.current.catch_up(SLICE)
        if self.current.gap is None:
            self._publish()
        self._thread = threading.Thread(target=self._run, name="search-writer", daemon=True)
        self._thread.start()

    # -- for requests ------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        return self.current.store

    def snapshot(self) -> Snapshot:
        snapshot = self._snapshot
        if snapshot is None:
            gap = self.current.gap
            how_far = f": {gap.done} of {gap.total} documents" if gap is not None else ""
            raise SearchFault(f"The index is being built from the stored documents{how_far}", 503)
        return snapshot

    def submit(self, changes: list[Change], *, commit: bool) -> Future[Any]:
        """Queue a write; the future ends when it is durable (and, with ``commit``, visible)."""
        return self._put(_Job(changes, commit, Future()))

    def perform(self, task: Callable[[], Any]) -> Future[Any]:
        """Queue something that is to be done on the writer's thread between writes."""
        return self._put(_Job([], False, Future(), task))

    def _put(self, job: _Job) -> Future[Any]:
        if not self._thread.is_alive():
            job.done.set_exception(SearchFault("The search service is shutting down", 503))
        else:
            self._queue.put(job)
        return job.done

    def close(self) -> None:
        """Finish what is queued, commit, and let go of the folder."""
        self._queue.put(None)
        self._thread.join(60)
        self.places.close()
        self._lock_file.close()

    # -- the writer's thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        stop = False
        while not stop:
            jobs: list[_Job] = []
            try:
                job = self._queue.get(timeout=0.001 if self._gaps() else IDLE_S)
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
            elif self._gaps():
                self._guarded(self._close_gaps)
            if not jobs or time.monotonic() - self._tidied > TIDY_S:
                self._guarded(self._tidy)
            if not jobs and abs(self.current.sequence - self._trimmed) >= BULK and not self.current.uncommitted:
                self._trimmed = self.current.sequence
                memory.let_go()
        self._guarded(self._finish)

    def _generations(self) -> list[Generation]:
        return [self.current, *([self.rebuild.generation] if self.rebuild else [])]

    def _gaps(self) -> list[Generation]:
        return [one for one in self._generations() if one.gap is not None]

    def _close_gaps(self) -> None:
        for generation in self._gaps():
            if not generation.catch_up(SLICE):
                self._publish() if generation is self.current else self._make_up()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            log.exception("The index writer failed in the background")
            self._recover(error)

    def _work(self, jobs: list[_Job]) -> None:
        failure: BaseException | None = None
        failed: dict[int, BaseException] = {}
        results: dict[int, Any] = {}
        try:
            self._ready_to_write()
            at = 0
            while at < len(jobs):
                at = self._apply_group(jobs, at, failed, results)
            self._make_up()
            if self.current.gap is None and (self.current.is_overdue or any(job.commit for job in jobs)):
                self._publish()
        except SearchFault as fault:
            failure = fault
        except Exception as error:
            log.exception("A write failed")
            failure = error
            self._recover(error)
        for number, job in enumerate(jobs):
            problem = failure or failed.get(number)
            if problem is None:
                job.done.set_result(results.get(number))
            elif isinstance(problem, SearchFault):
                job.done.set_exception(problem)
            elif health.is_full(problem):
                job.done.set_exception(NoRoom())
            else:
                job.done.set_exception(SearchFault(f"The write failed: {problem}", 500))

    def _ready_to_write(self) -> None:
        """Refuse before anything is touched when there is no room; make good a failure for want of room first."""
        if not health.has_room(self.home):
            raise NoRoom()
        if self._full:
            self._recover(None)
            if self._full:
                raise NoRoom()

    def _apply_group(
        self, jobs: list[_Job], at: int, failed: dict[int, BaseException], results: dict[int, Any]
    ) -> int:
        """Apply jobs from ``at`` in one transaction, up to the next that goes alone; where to go on."""
        first = jobs[at]
        if first.alone:
            try:
                if first.task is not None:
                    results[at] = first.task()
                for change in first.changes:
                    self._apply_alone(change)
            except SearchFault as error:
                failed[at] = error
            return at + 1
        steps: list[Step] = []
        with self.current.transaction():
            while at < len(jobs) and not jobs[at].alone:
                for change in jobs[at].changes:
                    steps += self._record(change)
                at += 1
            self._note_progress()
        self.current.apply(steps)
        return at

    def _apply_alone(self, change: Change) -> None:
        if change.query is not None:
            if self.current.gap is not None:
                self.snapshot()
            if self.current.uncommitted:
                self._publish()
            searcher = self.snapshot().searcher
            query = change.query.compiled(self.schema, searcher)
            hits = searcher.search(query, max(1, searcher.num_docs), order_by_field=SEQUENCE).hits
            change = Change(keys=self.store.keys_of([sequence for sequence, _ in hits]), query=change.query)
        with self.current.transaction():
            steps = self._record(change)
            self._note_progress()
        self.current.apply(steps)

    def _record(self, change: Change) -> list[Step]:
        """Write a change into the open transaction. A rebuild may hold what a deletion did not find here.

        A query that found one document is taken to have meant that one: so CKAN deletes, dataset by dataset.
        """
        steps = self.current.record(change)
        means_more = len(change.keys) != 1 if change.query else len(steps) < len(change.puts) + len(change.keys)
        if self.rebuild is not None and means_more:
            self.current.miss(change)
        return steps

    def _make_up(self) -> None:
        """What was deleted goes from the rebuild as well, before the deletion is acknowledged."""
        if self.rebuild is not None:
            self.rebuild.make_up()

    def _note_progress(self) -> None:
        """How far the index is goes with a transaction that is made anyway."""
        if self.current.saved != self.current.indexed:
            self.store.set_meta("indexed", str(self.current.indexed))

    def _publish(self) -> None:
        """Make everything written so far visible to new snapshots."""
        self.current.commit()
        self._number += 1
        current = self.current
        self._snapshot = Snapshot(current.searcher(), self._number, current.store, current.values, current.sequence)

    def _tidy(self) -> None:
        """When idle: commit what nobody committed, save how far the index is, drop rows no reader can need."""
        if self._full:
            self._recover(None)
            return
        now = self._tidied = time.monotonic()
        current = self.current
        if current.gap is None and current.is_overdue:
            self._publish()
        for generation in self._generations():
            generation.rest()
        if current.saved != current.indexed:
            LEXICON.save()
            current.save()
            self._ended.append((now, current.indexed))
        while len(self._ended) > 1 and now - self._ended[1][0] > KEEP_ENDED_S:
            self._ended.pop(0)
        if self._ended and now - self._ended[0][0] > KEEP_ENDED_S:
            upto = self._ended[0][1]
            if not self.store.forget(min(upto, self.rebuild.followed) if self.rebuild else upto):
                self._ended.pop(0)
        self.places.clean(now - KEEP_ENDED_S)

    def _recover(self, error: BaseException | None) -> None:
        """Forget half a write and bring the index back to what the store holds; readers keep what they see."""
        try:
            for generation in self._generations():
                generation.recover()
            while self.current.catch_up(SLICE):
                pass
            self._publish()
            self._full = False
        except Exception as second:
            short = health.is_full(second) or (error is not None and health.is_full(error))
            if short or not health.has_room(self.home):
                self._full = True
                log.warning("There is no room on the disk: what is there is served, writes are refused")
                return
            log.critical("The index cannot be brought back; stopping so that a restart rebuilds it", exc_info=True)
            os._exit(70)

    def _finish(self) -> None:
        if self.current.gap is None:
            self._publish()
        LEXICON.save()
        for generation in self._generations():
            generation.commit()
            generation.writing.finish()
            generation.close(in_order=True)

    # -- how it is ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """For those who operate it: what is being built, what is missing."""
        gap, rebuild = self.current.gap, self.rebuild
        return {
            "documents": self.current.live, "sequence": self.current.durable,
            "building": {"done": gap.done, "total": gap.total} if gap is not None else None,
            "incomplete": self.current.is_incomplete, "full": self._full or not health.has_room(self.home),
            "rebuild": rebuild.state if rebuild is not None else None,
        }

    # -- rebuilding, on the writer's thread ----------------------------------------------------------------

    def start_rebuild(self, plan: dict[str, Any], copy: Copy | None = None) -> None:
        self.drop_rebuild()
        folder = self.places.fresh()
        if copy is not None:
            copy.become(folder, self.current)
        self.rebuild = Rebuild.start(Generation(folder, self.clock), self.current, plan)

    def drop_rebuild(self) -> None:
        if self.rebuild is not None:
            self.rebuild.drop()
            self.rebuild = None

    def finish_rebuild(self, since: int, alive: Set[str], foreign: Sequence[str]) -> int:
        """Let the next generation serve in place of the current one; how many documents it has."""
        if self.rebuild is None:
            raise SearchFault("No rebuild is under way", 409)
        count = self.rebuild.finish(since, alive, foreign)
        old, self.current = self.current, self.rebuild.generation
        try:
            self.places.switch(self.current.folder)
        except BaseException:
            self.current = old
            raise
        self.rebuild = None
        self._ended.clear()
        self._publish()
        Rebuild.settle(self.current)
        self.places.retire(old, time.monotonic())
        return count
