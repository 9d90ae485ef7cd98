"""A copy of the serving generation for a rebuild to begin with, so that only what is not as it should be is indexed.

tantivy never writes to a file again once it is there, so the copy of the index has the same files under names of its
own. The documents are copied by SQLite while writes go on. What cannot be relied on is not copied: every file is read
against its checksum, every page of the database is checked, and the one has to hold as many documents as the other.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops.search import health
from ops.search.generation import Generation
from ops.search.store import Store

if TYPE_CHECKING:
    from ops.search.engine import Engine

log = logging.getLogger("ops.search")

PREFIX = "copy-"
FOLLOWED = "followed"
"""Names the change of the serving generation up to which the next one has everything."""
TRIES = 20
"""A merge may remove files of the index while they are being linked."""


@dataclass(frozen=True, slots=True)
class Copy:
    folder: Path
    source: Generation

    def become(self, folder: Path, current: Generation) -> None:
        """Be the next generation's folder, unless another one than it was made of serves by now."""
        if self.source is current:
            self.folder.rename(folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def take(engine: Engine) -> Copy | None:
    """A checked copy, None when there is none to be had. Not for the writer's thread, which it asks."""
    source = engine.current
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=engine.home))
    try:
        engine.submit([], commit=True).result()
        indexed = engine.perform(lambda: _link(source, folder / "index")).result()
        if indexed is not None:
            source.store.copy(folder / "documents.sqlite")
            if _is_whole(folder, indexed):
                _settle(folder, indexed)
                return Copy(folder, source)
            log.error("What serves cannot be relied on: the rebuild begins with nothing")
    except (OSError, sqlite3.Error, ValueError):
        log.exception("What serves cannot be copied: the rebuild begins with nothing")
    shutil.rmtree(folder, ignore_errors=True)
    return None


def clean(home: Path) -> None:
    """Remove what an earlier process left."""
    for folder in home.glob(f"{PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _link(source: Generation, into: Path) -> int | None:
    """The index as it was committed, and up to which change that is; on the writer's thread, or it would go on."""
    index = source.folder / "index"
    for _ in range(TRIES if source.gap is None else 0):
        shutil.rmtree(into, ignore_errors=True)
        try:
            into.mkdir()
            meta = (index / "meta.json").read_bytes()
            for name in health.files_of(json.loads(meta)):
                os.link(index / name, into / name)
            (into / "meta.json").write_bytes(meta)
            (into / ".managed.json").write_bytes((index / ".managed.json").read_bytes())
            return source.indexed
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            log.exception("The files of the index cannot be linked")
            break
    return None


def _is_whole(folder: Path, indexed: int) -> bool:
    if not (health.index_is_whole(folder / "index") and health.database_is_whole(folder / "documents.sqlite")):
        return False
    meta = json.loads((folder / "index" / "meta.json").read_bytes())
    held = sum(
        int(one["max_doc"]) - (int(one["deletes"]["num_deleted_docs"]) if one.get("deletes") else 0)
        for one in meta["segments"]
    )
    store = Store(folder / "documents.sqlite")
    try:
        stored = store.live_at(indexed)
    finally:
        store.close()
    if held != stored:
        log.error("The index has %d documents and should have %d", held, stored)
    return held == stored


def _settle(folder: Path, indexed: int) -> None:
    """It is no longer the generation that it was."""
    store = Store(folder / "documents.sqlite")
    try:
        store.begin()
        store.set_meta(FOLLOWED, str(store.last_sequence()))
        store.set_meta("indexed", str(indexed))
        store.set_meta("ended_in_order", "1")
        store.drop_meta("incomplete")
        store.drop_missed(store.last_missed() + 1)
        store.commit()
    finally:
        store.close()
    for one in (folder / "index", folder):
        descriptor = os.open(one, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
