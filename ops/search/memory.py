"""What the C library does with memory that a bulk of documents needed: kept while it goes on, let go of afterwards."""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Any

LARGE_BYTES = 24 << 20
"""Smaller pieces are used again instead of being given back to the system and asked for anew with every batch."""
COLLECT = (20_000, 20, 50)
"""The collector of cycles runs seldom: a batch of documents makes many values and hardly a cycle, and the tables that
were read at the start are not looked at again."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def _library() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def keep_pieces() -> None:
    """Use pieces of up to ``LARGE_BYTES`` again; without effect where the C library is not glibc."""
    library = _library()
    if hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(_TRIM_THRESHOLD, LARGE_BYTES)


def collect_seldom() -> None:
    """Once everything that stays was read."""
    gc.freeze()
    gc.set_threshold(*COLLECT)


def let_go() -> None:
    """Give back to the system what is free."""
    library = _library()
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
