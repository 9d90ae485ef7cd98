"""Identifiers: a prefix that names the kind, then 128 bits that sort by time (UUID version 7 layout)."""

from __future__ import annotations

import os
import time
from functools import lru_cache

_ALPHABET = b"0123456789abcdefghjkmnpqrstvwxyz"
_OF_BYTE = _ALPHABET * 8
"""Of each byte its last five bits, as a character."""


def new_id(prefix: str) -> str:
    """Return an id such as ``app_01jd3…``: 26 Crockford base-32 characters, 48 bits of milliseconds first."""
    return f"{prefix}_{_moment(int(time.time() * 1000))}{os.urandom(16).translate(_OF_BYTE).decode()}"


@lru_cache(8)
def _moment(ms: int) -> str:
    return bytes(_ALPHABET[ms >> shift & 31] for shift in range(45, -1, -5)).decode()
