"""A rebuild: a next generation that CKAN's documents flow into while the current one serves.

The builder cuts CKAN's datasets into ranges and sends each range's documents. What is written meanwhile goes to the
current generation as ever; the next one follows it by sequence numbers, so no write is lost and none is overtaken by
an older document: a range says which change was the last when its datasets were read, and whatever changed since then
is taken from the current generation. An interrupted rebuild goes on with the ranges that are missing.
"""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from ops.search import deletions
from ops.search.copies import FOLLOWED
from ops.search.documents import Prepared
from ops.search.errors import SearchFault
from ops.search.fields import LAYOUT, SEQUENCE
from ops.search.folders import remove_folder
from ops.search.generation import Change, Generation
from ops.search.store import Row, Store
from ops.search.writing import Step

log = logging.getLogger("ops.search")

COMMIT_EACH = 28_000
"""Documents between two points from which it could go on: as in a bulk load, so that the segments are few and large."""
AHEAD = 2
"""Ranges that the second process has before it when the next one is taken."""
MANY = 1000
"""Datasets for which a second process is started before they come."""
FEW = 500
"""Documents of the last commit, which writes wait for."""
PLAN, DONE, MADE_UP = "plan", "done:", "made_up"


class Behind(SearchFault):
    """The next index lacks documents that the store has, for now: such as after a second process died."""

    def __init__(self) -> None:
        super().__init__("The index of the rebuild is catching up; ask again", 503)


class Rebuild:
    """All methods belong to the writer's thread; ``state`` and ``is_copy`` may be read from any."""

    def __init__(self, generation: Generation, source: Generation) -> None:
        self.generation = generation
        self.source = source
        generation.serves = False
        generation.writing.rival, source.writing.rival = source.writing, generation.writing
        self.plan: dict[str, Any] = json.loads(generation.store.meta(PLAN) or "{}")
        self.is_copy = bool(self.plan.get("copied"))
        """Did it begin with what the current generation had?"""
        generation.writing.is_eager = not self.is_copy and int(self.plan.get("datasets", 0)) >= MANY
        done = generation.store.metas(DONE)
        self.done = {int(name.removeprefix(DONE)): int(count) for name, count in done.items()}
        self.followed = int(generation.store.meta(FOLLOWED) or 0)
        self.made_up = int(generation.store.meta(MADE_UP) or 0)

    @classmethod
    def start(cls, generation: Generation, source: Generation, plan: dict[str, Any]) -> Rebuild:
        """``plan``: ``ranges`` (anything the builder understands, in order) and ``datasets`` (how many there are).

        The generation is empty or a copy (``copies.py``).
        """
        followed = generation.store.meta(FOLLOWED)
        with source.transaction():
            source.store.drop_missed(source.missed)
        with generation.transaction():
            generation.store.set_meta(PLAN, json.dumps({**plan, "layout": LAYOUT, "copied": followed is not None}))
            generation.store.set_meta(FOLLOWED, followed or str(source.sequence))
            generation.store.set_meta(MADE_UP, str(source.missed))
        made = cls(generation, source)
        if generation.writing.is_eager:
            source.rest(is_wanted=True)
            generation.writing.expect_many()
        return made

    @classmethod
    def open(cls, folder: Path, source: Generation) -> Rebuild | None:
        """The interrupted rebuild in a folder; one that cannot go on is removed."""
        try:
            store = Store(folder / "documents.sqlite")
            plan = json.loads(store.meta(PLAN) or "{}")
            store.close()
            if plan.get("layout") == LAYOUT:
                return cls(Generation(folder, source.clock), source)
        except (sqlite3.DatabaseError, ValueError, OSError):
            log.exception("The interrupted rebuild in %s cannot go on", folder)
        shutil.rmtree(folder, ignore_errors=True)
        return None

    @property
    def state(self) -> dict[str, Any]:
        ranges = self.plan.get("ranges", [])
        return {
            "ranges": ranges, "done": sorted(self.done), "datasets": self.plan.get("datasets", 0),
            "documents": sum(self.done.values()), "copied": self.is_copy,
        }

    # -- filling -----------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Is it time for a range? Not while the index is behind: writes to the current generation would wait for it."""
        writing = self.generation.writing
        if writing.is_eager and not writing.is_helped:
            self.source.rest(is_wanted=True)
        return self.generation.gap is None and self.generation.undone() <= AHEAD

    def is_ready_to_end(self) -> bool:
        """Is all but little of it on the disk?"""
        generation = self.generation
        if len(self.done) < len(self.plan.get("ranges", [])):
            return True  # ``finish`` refuses
        if generation.gap is not None or generation.undone():
            return False
        if generation.uncommitted > FEW:
            generation.start_commit()
        return generation.gap is None and generation.uncommitted <= FEW

    def add(
        self, number: int, since: int, documents: Sequence[Prepared], same: Sequence[str], gone: Sequence[str] = (),
        noted: Sequence[Row] = (),
    ) -> None:
        """One range: its documents, the keys of those that the current generation is to lend, and of those that are to
        have no document. Of a copy's documents that are ``noted`` something changes that is not indexed."""
        if not 0 <= number < len(self.plan.get("ranges", [])):
            raise SearchFault(f"The rebuild has no range {number}")
        if number in self.done:
            return
        changed = set(self.source.store.changed_since(since))
        with self.generation.transaction():
            puts = [one for one in documents if one.row.index_id not in changed]
            steps = self.generation.record(Change(puts=puts, keys=[key for key in gone if key not in changed]))
            lacking = {*same} - changed - (self.generation.store.holding(same) if self.is_copy else set())
            steps += self._lend([key for key in same if key in lacking])
            self.generation.store.note([row for row in noted if row.index_id not in changed])
            followed, more = self._follow()
            made_up = min(self.made_up, since)
            self.generation.store.set_meta(MADE_UP, str(made_up))
            self.generation.store.set_meta(f"{DONE}{number}", str(len(documents) + len(same)))
        self._applied([*steps, *more], followed)
        self.made_up = made_up
        self.done[number] = len(documents) + len(same)
        self.make_up()

    def make_up(self) -> None:
        """Of what deletions meant and the current generation did not hold, nothing stays that CKAN sent before them.

        Whatever such a deletion finds here becomes as it is in the current generation. While the index is catching up
        it cannot be searched: then this is left for later.
        """
        missed = self.source.missed
        if missed <= self.made_up or self.generation.gap is not None:
            return
        self.generation.commit()
        if self.generation.gap is not None:
            return
        searcher = self.generation.searcher()
        found: list[str] = []
        for deletion in map(deletions.read, self.source.store.missed_after(self.made_up)):
            if isinstance(deletion, deletions.ByQuery):
                query = deletion.compiled(self.generation.schema, searcher)
                hits = searcher.search(query, max(1, searcher.num_docs), order_by_field=SEQUENCE).hits
                found += self.generation.store.keys_of([sequence for sequence, _ in hits])
            else:
                found += deletion
        with self.generation.transaction():
            steps = self._lend(list(dict.fromkeys(found)))
            self.generation.store.set_meta(MADE_UP, str(missed))
        self._applied(steps, self.followed)
        self.made_up = missed

    def _lend(self, keys: Sequence[str]) -> list[Step]:
        """The current generation's documents of these keys, in the open transaction."""
        rows = self.source.store.rows(keys)
        puts = [Prepared(rows[key], None) for key in keys if key in rows]
        return self.generation.record(Change(puts=puts, keys=[key for key in keys if key not in rows]))

    def _follow(self) -> tuple[int, list[Step]]:
        """What was written to the current generation since the last time, in the open transaction."""
        upto = self.source.sequence
        if upto == self.followed:
            return upto, []
        steps = self._lend(self.source.store.changed_since(self.followed))
        self.generation.store.set_meta(FOLLOWED, str(upto))
        return upto, steps

    def _applied(self, steps: list[Step], followed: int) -> None:
        self.generation.apply(steps)
        self.followed = followed
        if self.generation.uncommitted >= COMMIT_EACH:
            self.generation.start_commit()

    # -- the end -----------------------------------------------------------------------------------------

    def finish(self, since: int, alive: Set[str], foreign: Sequence[str]) -> int:
        """Bring the next generation level with the current one; how many documents it has.

        ``alive`` are the keys of all datasets that CKAN has, read when ``since`` was the last change: what is not among
        them goes. ``foreign`` are keys of documents that are no datasets of this site; they are taken over as they are.
        ``Behind`` is raised when it has to be asked for again.
        """
        missing = len(self.plan.get("ranges", [])) - len(self.done)
        if missing:
            raise SearchFault(f"{missing} ranges are missing", 409)
        self._refuse_gap()
        self.make_up()
        self._refuse_gap()
        keep = {*alive, *foreign, *self.source.store.changed_since(since)}
        gone = [key for key in self.generation.store.live_keys() if key not in keep]
        with self.generation.transaction():
            steps = self.generation.record(Change(keys=gone))
            steps += self._lend([] if self.is_copy else foreign)
            followed, more = self._follow()
        self._applied([*steps, *more], followed)
        self.generation.commit()
        self._refuse_gap()
        self.generation.save()
        self.generation.writing.rival = self.source.writing.rival = None
        return self.generation.live

    def _refuse_gap(self) -> None:
        if self.generation.gap is not None:
            raise Behind

    @staticmethod
    def settle(generation: Generation) -> None:
        """Forget that a generation came from a rebuild, once it is the current one."""
        generation.serves = True
        generation.writing.is_eager = False
        with generation.transaction():
            for name in (PLAN, FOLLOWED, MADE_UP, *generation.store.metas(DONE)):
                generation.store.drop_meta(name)

    def drop(self) -> None:
        """Give up, with everything that was gathered."""
        self.source.writing.rival = None
        self.generation.writing.rollback()
        self.generation.close(in_order=False)
        remove_folder(self.generation.folder)
