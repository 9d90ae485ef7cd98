"""Folders of the index on disk."""

from __future__ import annotations

import shutil
import time
from pathlib import Path


def remove_folder(folder: Path, tries: int = 100) -> None:
    """Remove a folder that the index's own threads may still write to; what stays is removed at the next start."""
    for _ in range(tries):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
