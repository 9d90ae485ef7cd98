"""Who asks in the matrix, and the open attributes of what they ask about."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence

ATTRIBUTES = ("unconditional", "conditional", "closed")
GRANTEES = ("live", "expired", "revoked", "suspended", "over_quota")
VIEWERS = ("anonymous", "stranger", "other_enterprise", "other_editor", *GRANTEES, "owner")
CONTROLS = ("live", "owner")
PARTIES = (*GRANTEES, "other_enterprise")
"""Viewers who act for an enterprise of their own."""
SIGNED = ("stranger", "other_enterprise", *GRANTEES)
"""Viewers who are all the same to CKAN; the service behind it tells them apart."""
FULL = os.environ.get("GOVOPEN_LEAK_FULL") == "1"
"""Whether everybody asks about everything that is public, and one of each kind about all that is hidden; else two kinds
in turn about the first, and one about some of the second."""


def turn(*words: str) -> int:
    """A number that is the same in every run and differs from question to question."""
    return zlib.crc32(" ".join(words).encode())


def kinds(*words: str) -> tuple[str, str, str, str]:
    """One viewer of each kind that CKAN can tell apart; of those who are only signed in, one in turn."""
    return ("anonymous", SIGNED[turn(*words) % len(SIGNED)], "other_editor", "owner")


def askers(*words: str, everybody: bool = FULL) -> tuple[str, ...]:
    """Who asks a question of CKAN: everybody, one of each kind, or two of the kinds in turn."""
    if everybody:
        return VIEWERS
    found, first = kinds(*words), turn(*words, "first") % 4
    return found if FULL else (found[first], found[(first + 1) % 4])


def stranger(*words: str) -> str:
    """Somebody in turn who is not of the department."""
    return kinds(*words)[turn(*words, "stranger") % 3]


def some(whole: Sequence[str], *words: str) -> tuple[str, ...]:
    """The first, and of the others all or one in turn."""
    return tuple(whole) if FULL else (whole[0], whole[1:][turn(*words) % len(whole[1:])])
