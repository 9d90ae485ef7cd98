"""Identifiers: a prefix that names the kind, then 128 bits that sort by time (UUID version 7 layout)."""

from __future__ import annotations

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)


def new_id(prefix: str) -> str:
    """Return an id such as ``app_01jd3…``: 26 Crockford base-32 characters, 48 bits of milliseconds first."""
    value = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    pairs = [_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)]
    return f"{prefix}_{''.join(pairs)}"
