"""The text that is hashed is the same whichever writer of JSON wrote it; lists reach PostgreSQL as they were."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from authz import AuditEntry, Role, arrays
from ops.audit.log import _plain, leaf_text

ODD = ['"', "\\", "\n", "\x00", "\x1f", "\x7f", "\u2028", "é", "语", "😀", "a", "{", ",", "NULL", " ", "'"]


def slowly(entry: AuditEntry, at: str) -> str:
    body = {key: value for key, value in vars(entry).items() if value not in (None, {})} | {"at": at}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def text(made: random.Random) -> str:
    return "".join(made.choices(ODD, k=made.randrange(8)))


def value(made: random.Random, depth: int = 0) -> Any:
    match made.randrange(9 if depth < 3 else 7):
        case 0:
            return None
        case 1:
            return made.random() < 0.5
        case 2:
            return made.choice((0, -1, 2**53 + 1, 2**63, 2**64, -(2**70)))
        case 3:
            return made.choice((0.1, 1e30, Decimal("1.50"), datetime(2026, 1, 2, tzinfo=UTC), Role.AUDITOR))
        case 7:
            return [value(made, depth + 1) for _ in range(made.randrange(4))]
        case 8:
            return {text(made): value(made, depth + 1) for _ in range(made.randrange(4))}
    return text(made)


def test_both_writers_write_alike() -> None:
    made = random.Random(11)
    for _ in range(3_000):
        details = {text(made): value(made) for _ in range(made.randrange(5))}
        entry = AuditEntry("x.done", text(made), "x", text(made), text(made), None, text(made), None, details)
        assert leaf_text(entry, "2026-11-22T09:30:00+00:00") == slowly(entry, "2026-11-22T09:30:00+00:00")


async def test_lists_arrive_as_they_were(tx: asyncpg.Connection) -> None:
    made = random.Random(12)
    given: list[str | None] = [None, "", *(text(made).replace("\x00", "") for _ in range(300))]
    assert await tx.fetchval("SELECT $1::text::text[]", arrays.texts(given)) == given
    numbers = [0, -1, 2**62, -(2**62)]
    assert await tx.fetchval("SELECT $1::text::bigint[]", arrays.numbers(numbers)) == numbers
    assert await tx.fetchval("SELECT $1::text::text[]", arrays.texts([])) == []


async def test_short_lists_of_any_texts_arrive_as_they_were(tx: asyncpg.Connection) -> None:
    """Texts that need no quoting go another way than those that do."""
    lists: list[list[str | None]] = [
        ["a"], ["", ""], ['"'], ['","'], ["a", 'b"'], ["\\"], ["{}", "NULL", "a,b", " "], ["x", None], ["语", "e'"],
    ]
    for given in lists:
        assert await tx.fetchval("SELECT $1::text::text[]", arrays.texts(given)) == given
