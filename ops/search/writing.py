"""Who writes to an index: this process, or while many documents come a second one (``scribe.py``), never both."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tantivy import Document

from ops.search import health
from ops.search.documents import to_index
from ops.search.fields import KEY, SEQUENCE, open_index
from ops.search.scribe import Gone, Scribe
from ops.search.store import unpack_head

log = logging.getLogger("ops.search")

HEAP_BYTES = 480_000_000
"""What tantivy may hold before it writes a segment: a bulk load makes few large ones, which queries are the faster for.
Small writes never come near it."""
LARGE = 100
"""Documents that count as many when they are written at once."""
AFTER, WITHIN_S = 2, 10.0
"""So many times as many at once, each so soon after the one before, start the second process."""
IDLE_S = 15.0
"""When there were not as many for so long, it ends,"""
SOON_S = 1.0
"""or for so long, when another index wants one."""
REST_S = 60.0
"""After it failed, none is started for so long."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the index is to do after the store did it. What the store does not hold, the index does not hold."""

    key: str
    sequence: int
    replaces: bool
    document: Document | None
    head: bytes | None = None
    """The document as the store has it; its postings are made of it when they were not before."""


class Writing:
    """Belongs to the writer's thread. ``Gone`` is raised when the second process is of no use: then ``take_back``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rival: Writing | None = None
        """Another index of this process: only one of them has a second process."""
        self.is_eager = False
        """Are many documents known to come?"""
        self.is_shared = False
        self._scribe: Scribe | None = None
        self._is_ending = False
        self._large = 0
        self._last = self._not_before = float("-inf")
        self._open()

    def _open(self) -> None:
        self.index, self._writer = open_index(self.folder, HEAP_BYTES)
        self.index.config_reader("manual")

    @property
    def pid(self) -> int | None:
        """The second process while it writes."""
        return self._scribe.pid if self._scribe is not None and self.is_shared else None

    @property
    def is_helped(self) -> bool:
        """Has it a second process that does more than to end?"""
        return self._scribe is not None and not self._is_ending

    @property
    def is_busy(self) -> bool:
        """Has it a second process because many documents come?"""
        return self.is_shared and time.monotonic() - self._last < WITHIN_S

    @property
    def is_committing(self) -> bool:
        """Has the second process not yet ended a commit that was only started?"""
        return self._scribe is not None and self._scribe.is_committing

    @property
    def _keeper(self) -> Scribe | None:
        """The second process, where what is written goes to it."""
        return self._scribe if self.is_shared and not self._is_ending else None

    # -- writing -----------------------------------------------------------------------------------------

    def apply(self, steps: Sequence[Step], now: datetime, *, may_share: bool = True) -> None:
        """Hand to the index what the store has."""
        if may_share and len(steps) >= LARGE:
            self._many()
        if (keeper := self._keeper) is not None:
            keeper.apply([(one.key if one.replaces else None, one.head, one.sequence) for one in steps], now)
            return
        self._come_back()
        for step in steps:
            if step.replaces:
                self.delete(step.key)
            if step.document is not None:
                self.add(step.document, step.sequence)
            elif step.head is not None:
                self.add(to_index(unpack_head(step.head), now), step.sequence)

    def delete(self, key: str) -> None:
        self._writer.delete_documents_by_term(KEY, key)

    def add(self, document: Document, sequence: int) -> None:
        document.add_unsigned(SEQUENCE, sequence)
        self._writer.add_document(document)

    def commit(self) -> None:
        if (keeper := self._keeper) is not None:
            keeper.commit()
            return
        self._come_back()
        self._writer.commit()

    def start_commit(self) -> bool:
        """Let the second process commit while other things are done; is there one?"""
        if (keeper := self._keeper) is not None:
            keeper.start_commit()
        return keeper is not None

    def undone(self) -> int:
        """How much the second process has still to do; waits for nothing."""
        return 0 if (keeper := self._keeper) is None else keeper.undone()

    def rollback(self) -> None:
        """Forget what was not committed; from now on this process writes."""
        shared = self.is_shared
        self._drop()
        if shared:
            self._open_again()
        else:
            self._writer.rollback()

    def take_back(self) -> None:
        """As ``rollback``, because the second process is of no use."""
        self._not_before = time.monotonic() + REST_S
        self.rollback()

    # -- the second process ------------------------------------------------------------------------------

    def _many(self) -> None:
        """Start it, and let it write when it has started."""
        now = time.monotonic()
        self._large = self._large + 1 if now - self._last < WITHIN_S else 1
        self._last = now
        if self._is_ending:
            self._come_back()
        if self._scribe is None:
            if self._large >= (1 if self.is_eager else AFTER):
                self._start(now)
        elif not self.is_shared and self._scribe.is_up():
            self._writer.commit()
            self._writer = None
            self.is_shared = True
            self._scribe.open()
        elif not self.is_shared and self._scribe.has_ended:
            log.warning("The process that is to keep the index did not start")
            self._not_before = now + REST_S
            self._drop()

    def expect_many(self) -> None:
        """Start it before they come."""
        self._last = time.monotonic()
        if self._scribe is None:
            self._start(self._last)

    def _start(self, now: float) -> None:
        if now < self._not_before or (self.rival is not None and self.rival.is_helped):
            return
        try:
            self._scribe = Scribe(self.folder, HEAP_BYTES)
        except OSError as error:
            log.warning("No process can be started that keeps the index: %s", error)
            self._not_before = now + REST_S

    def rest(self, uncommitted: int, *, is_wanted: bool = False) -> None:
        """Now and then: when not many documents come any more, the second process goes; sooner when it is wanted
        for another index."""
        scribe = self._scribe
        if scribe is None:
            return
        idle = time.monotonic() - self._last > (SOON_S if is_wanted else IDLE_S)
        if not self.is_shared:
            if idle:
                self._drop()
        elif scribe.has_ended:
            if uncommitted:
                raise Gone("The process that keeps the index has ended")
            self._come_back(or_ended=True)
        elif idle and not uncommitted and not self._is_ending:
            self._is_ending = True
            scribe.end()

    def _come_back(self, *, or_ended: bool = False) -> None:
        if self.is_shared and (self._is_ending or or_ended):
            self._drop()
            self._open_again()

    def _drop(self) -> None:
        if self._scribe is not None:
            self._scribe.kill()
        self._scribe = None
        self.is_shared = self._is_ending = False
        self._large = 0

    def _open_again(self) -> None:
        health.drop_unnamed_deletions(self.folder)
        self._open()

    def finish(self) -> None:
        """The end, after a commit: wait for segments that are being merged."""
        if self.is_shared and self._scribe is not None:
            self._scribe.finish()
            self._drop()
        else:
            self._drop()
            self._writer.wait_merging_threads()
