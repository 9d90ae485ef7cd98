"""Readings of Chinese text, and typed pinyin cut into syllables.

Readings have no tones; ``ü`` is ``v``. A character has one reading, unless it stands in a word that is listed with
another (重庆, 银行). Typed pinyin may be whole syllables, initials, or syllables with the last one unfinished.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ops.search.chinese.folding import lines_of, normalize

MAX_TYPED = 64
"""Longer texts are not taken for pinyin."""
MAX_CUTS = 8


def _load() -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    lines = lines_of("pinyin.txt")
    border = lines.index("phrases")
    readings = {char: syllable for syllable, chars in map(str.split, lines[:border]) for char in chars}
    phrases = {word: tuple(rest) for word, *rest in map(str.split, lines[border + 1 :])}
    return readings, phrases


_READINGS, _PHRASES = _load()
_HEADS = frozenset(word[0] for word in _PHRASES)
_BY_START: dict[str, list[str]] = {}
"""Phrases by their first two characters, longest first."""
for _word in sorted(_PHRASES, key=len, reverse=True):
    _BY_START.setdefault(_word[:2], []).append(_word)
_VOWELS = frozenset("aeiouv")
SYLLABLES = frozenset(
    one for one in {*_READINGS.values(), *(part for parts in _PHRASES.values() for part in parts)} if _VOWELS & set(one)
)
_STARTS = frozenset(syllable[:end] for syllable in SYLLABLES for end in range(1, len(syllable) + 1))
_TYPED = re.compile(r"^[a-z']+$")


@lru_cache(maxsize=50_000)
def readings(text: str) -> tuple[str, ...]:
    """The reading of each character of a normalized text; a character without one stands for itself."""
    found = [_READINGS.get(char, char) for char in text]
    upto = 0
    for at, char in enumerate(text):
        if char in _HEADS and at >= upto:
            for phrase in _BY_START.get(text[at : at + 2], ()):
                if text.startswith(phrase, at):
                    upto = at + len(phrase)
                    found[at:upto] = _PHRASES[phrase]
                    break
    return tuple(found)


def initials(text: str) -> str:
    """First letters of the readings: 空气质量 → kqzl."""
    return "".join(reading[:1] for reading in readings(text))


def typed(text: str) -> str:
    """What was typed as letters of pinyin in lower case, or an empty text when it cannot be."""
    plain = normalize(text).lower().replace("ü", "v").replace("’", "'")
    return plain if len(plain) <= MAX_TYPED and _TYPED.match(plain) else ""


@lru_cache(maxsize=2048)
def cuts(text: str, *, unfinished: bool) -> tuple[tuple[str, ...], ...]:
    """Ways to read typed letters as syllables, those with fewer syllables first, at most ``MAX_CUTS``.

    With ``unfinished`` the last syllable may be the start of one. An apostrophe is a border.
    """
    done: list[tuple[str, ...]] = []
    budget = 2000

    def walk(at: int, before: tuple[str, ...]) -> None:
        nonlocal budget
        budget -= 1
        if budget < 0 or len(done) >= MAX_CUTS * 4:
            return
        if at == len(text):
            if before:
                done.append(before)
            return
        if text[at] == "'":
            walk(at + 1, before)
            return
        for end in range(min(len(text), at + 6), at, -1):
            part = text[at:end]
            if part in SYLLABLES or (unfinished and end == len(text) and part in _STARTS):
                walk(end, (*before, part))

    walk(0, ())
    done.sort(key=len)
    return tuple(done[:MAX_CUTS])


def match_length(text: str, at: int, letters: str) -> tuple[int, bool] | None:
    """How many characters of a normalized text from ``at`` letters stand for, and whether all were initials.

    Each character takes itself, its whole reading, its initial, or (the last one) the start of its reading.
    """
    syllables = readings(text)
    best: tuple[int, bool] | None = None
    states: list[tuple[int, int, bool]] = [(at, 0, True)]
    seen: set[tuple[int, int, bool]] = set()
    while states:
        place, used, short = states.pop()
        if used == len(letters):
            if best is None or place - at < best[0]:
                best = (place - at, short)
            continue
        if place >= len(text) or (place, used, short) in seen:
            continue
        seen.add((place, used, short))
        reading, rest = syllables[place], letters[used:]
        if rest.startswith("'"):
            states.append((place, used + 1, short))
        if rest[0] == text[place]:
            states.append((place + 1, used + 1, short))
        if rest.startswith(reading):
            states.append((place + 1, used + len(reading), short and len(reading) == 1))
        elif reading.startswith(rest):
            states.append((place + 1, len(letters), short and len(rest) == 1))
        if rest[0] == reading[0]:
            states.append((place + 1, used + 1, short))
    return best
