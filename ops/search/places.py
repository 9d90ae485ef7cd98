"""Where generations lie: the first in the folder itself, later ones in folders of their own; ``current`` names one."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from ops.search import copies
from ops.search.folders import remove_folder
from ops.search.generation import Generation
from ops.search.rebuild import Rebuild

FIRST = "."


class Places:
    def __init__(self, home: Path) -> None:
        self.home = home
        self._pointer = home / "current"
        self.is_lost = False
        """The folder that is to serve has gone."""
        self._retired: list[tuple[float, Generation]] = []

    def current(self) -> Path:
        """The folder of the generation that serves."""
        with contextlib.suppress(FileNotFoundError):
            name = self._pointer.read_text(encoding="utf-8").strip()
            if name:
                self.is_lost = not (self.home / name / "documents.sqlite").exists()
                return self.home / name
        return self.home

    def interrupted(self, current: Generation) -> Rebuild | None:
        """The rebuild that was under way when the process ended; whatever else is left over is removed."""
        copies.clean(self.home)
        found: Rebuild | None = None
        for folder in sorted(self.home.glob("generation-*")):
            if folder == current.folder:
                continue
            if found is not None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                found = Rebuild.open(folder, current)
        if current.folder != self.home:
            self._remove(self.home)
        return found

    def fresh(self) -> Path:
        """A folder for a new generation."""
        numbers = [int(one.name.partition("-")[2]) for one in self.home.glob("generation-*")]
        return self.home / f"generation-{max(numbers, default=0) + 1}"

    def switch(self, folder: Path) -> None:
        """From now on, also after a crash at any instant, this folder is the current one."""
        waiting = self._pointer.with_suffix(".new")
        with waiting.open("w", encoding="utf-8") as file:
            file.write(folder.name + "\n")
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(self._pointer)
        directory = os.open(self.home, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    # -- generations that served -------------------------------------------------------------------------

    def retire(self, generation: Generation, now: float) -> None:
        """Readers may still be looking at it: it goes later."""
        generation.writing.rollback()
        self._retired.append((now, generation))

    def clean(self, before: float) -> None:
        for item in [item for item in self._retired if item[0] <= before]:
            self._retired.remove(item)
            item[1].close(in_order=False)
            self._remove(item[1].folder)

    def close(self) -> None:
        self.clean(float("inf"))

    def _remove(self, folder: Path) -> None:
        if folder != self.home:
            remove_folder(folder)
            return
        remove_folder(folder / "index")
        for suffix in ("", "-wal", "-shm"):
            (folder / f"documents.sqlite{suffix}").unlink(missing_ok=True)
