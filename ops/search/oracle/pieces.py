"""Pieces of made requests: words, values, dates, clauses and trees of them."""

from __future__ import annotations

import random

from ops.search.oracle.corpus import FORMATS, GROUPS, JOINED, TAGS, WORDS

STRINGS = ("tags", "groups", "organization", "license_id", "name", "version", "rank_code", "owner_org", "res_format")
TEXTS = ("text", "title", "notes", "res_description", "author", "maintainer", "extras_frequency")
NUMBERS = ("views_total", "views_recent", "resources_accessed_total")
DATES = ("metadata_modified", "metadata_created", "issued_date")


def word(chance: random.Random) -> str:
    form = chance.random()
    if form < 0.12:
        return chance.choice(JOINED)
    made = chance.choice(WORDS)
    return made.capitalize() if form < 0.2 else made


def plain(chance: random.Random) -> str:
    return chance.choice(WORDS)


def phrase(chance: random.Random, size: int = 2) -> str:
    return '"' + " ".join(word(chance) for _ in range(size)) + '"'


def string_value(chance: random.Random, name: str) -> str:
    values = {
        "tags": TAGS,
        "groups": GROUPS,
        "organization": tuple(f"org-{n}" for n in range(1, 7)),
        "license_id": ("cc-by", "odc-odbl", "other-open"),
        "version": ("1.0", "1.1", "2", "10"),
        "rank_code": ("a1", "b2", "B2", "c 3", "d-4"),
        "res_format": FORMATS,
        "owner_org": tuple(f"{n:08x}" for n in range(1, 7)),
        "name": WORDS,
    }
    return chance.choice(values[name])


def escaped(value: str) -> str:
    return "".join("\\" + char if char in '\\+-!():^[]"{}~*?|&/ ' else char for char in value)


def instant(chance: random.Random) -> str:
    day = f"{chance.randint(2022, 2026)}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"
    base = chance.choice((f"{day}T00:00:00Z", f"{day}T12:30:00.5Z", "NOW", "NOW"))
    moves = "".join(
        chance.choice(
            ("/DAY", "/MONTH", "/YEAR", "/HOUR", "-1DAY", "-30DAYS", "-1MONTH", "-2YEARS", "+6MONTHS", "-90MINUTES")
        )
        for _ in range(chance.randint(0, 2))
    )
    return base + moves


def bounds(chance: random.Random, low: str, high: str) -> str:
    low, high = ("*" if chance.random() < 0.15 else one for one in (low, high))
    return f"{chance.choice('[[{')}{low} TO {high}{chance.choice(']]}')}"


def leaf(chance: random.Random) -> str:
    form = chance.randint(0, 9)
    if form < 4:
        return word(chance)
    if form == 4:
        return phrase(chance)
    if form == 5:
        name = chance.choice(STRINGS)
        return f'{name}:"{string_value(chance, name)}"'
    if form == 6:
        return f"{chance.choice(TEXTS)}:{word(chance)}"
    if form == 7:
        return f"{chance.choice(NUMBERS)}:{chance.randint(0, 9)}"
    if form == 8:
        return f"{chance.choice((*STRINGS, *NUMBERS, *DATES, 'no_such'))}:*"
    return f"{plain(chance)[:3]}*"


def nested(chance: random.Random, depth: int = 3) -> str:
    """A tree of groups, operators and modifiers."""
    parts: list[str] = []
    for at in range(chance.randint(1, 4)):
        if at:
            parts.append(chance.choice((" ", " ", " AND ", " OR ", " && ", " || ", " NOT ", " AND NOT ")))
        modifier = chance.choice(("", "", "", "+", "-", "!"))
        if depth and chance.random() < 0.35:
            name = chance.choice(("", "", "title:", "notes:", "tags:"))
            inner = nested(chance, depth - 1) if not name else " ".join(word(chance) for _ in range(2))
            body = f"{name}({inner})"
        else:
            body = leaf(chance)
        parts.append(modifier + body)
    return "".join(parts)


def typed(chance: random.Random) -> str:
    parts = []
    for _ in range(chance.randint(1, 5)):
        part = f'"{plain(chance)} {plain(chance)}"' if chance.random() < 0.12 else plain(chance)
        parts.append(chance.choice(("", "", "", "", "+", "-")) + part)
    return f"{plain(chance)} {' '.join(parts)}"
