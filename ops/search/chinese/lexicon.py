"""Where Chinese words begin and end: jieba's dictionary, words of public administration, the catalogue's own terms.

Terms are learned from documents that everybody may see, so that the way a query is cut tells nothing of others.
A document indexed before a word was learned stays findable: a query for the word also looks for its characters
in sequence and for the words it is made of.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import rjieba

from ops.search.chinese import pinyin
from ops.search.chinese.distance import one_apart
from ops.search.chinese.folding import lines_of, normalize
from ops.search.chinese.synonyms import SYNONYMS

log = logging.getLogger("ops.search")

MAX_WORDS = 60_000
MAX_LETTERS = 8
TITLE_LETTERS = 6
"""Longer titles are not one word."""
KEPT_LETTERS = 60
"""Texts up to this long are looked through once."""
TRIES = 10
HAN = "[\u3400-\u4dbf\u4e00-\u9fff]"
_HAN_RUN = re.compile(f"{HAN}+")
_INSIDE = r"[^\s,;、/|()]"
_WORDS = {
    longest: re.compile(f"(?<!{_INSIDE}){HAN}{{2,{longest}}}(?!{_INSIDE})") for longest in (TITLE_LETTERS, MAX_LETTERS)
}
"""Words of so many letters at the most between spaces and signs."""
SOURCES = ("tags", "title", "extras_items", "extras_department")
"""Fields of a document whose short values are words: CKAN's tags and title, column names, the department."""


class Lexicon:
    """Cuts text; learns words. One for the process, as the analysis is."""

    def __init__(self) -> None:
        self._jieba = rjieba.Jieba()
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._learned: list[str] = []
        """Words that texts are cut by, in the order in which they were learned."""
        self._by_sound: dict[str, list[str]] = {}
        """Learned words by the reading of their first and of their last character."""
        self._unsaved: list[str] = []
        self._file: Path | None = None
        self.on_change: list[Callable[[], None]] = []
        """Called after words were learned (caches of cut texts)."""
        self.add(lines_of("words.txt"), keep=False)

    def cut(self, run: str) -> list[str]:
        """The words of a run of Chinese, each character in exactly one."""
        found: list[str] = self._jieba.cut(run)
        return found

    def cut_for_search(self, run: str) -> list[str]:
        """The words of a run, and the shorter words inside long ones."""
        found: list[str] = self._jieba.cut_for_search(run)
        return found

    def knows(self, word: str) -> bool:
        """Is it a word of a dictionary, not one that was guessed from its characters?"""
        try:
            return bool(self._jieba.has_word(word))
        except RuntimeError:  # a word is being learned
            return word in self._known

    def parts(self, word: str) -> tuple[str, ...]:
        """The shorter words that a long word is made of, when they cover it but for one character."""
        if len(word) < 4:
            return ()
        inner = {one for one in self.cut_for_search(word) if 2 <= len(one) < len(word)}
        best: list[tuple[int, tuple[str, ...]]] = [(0, ())]
        for end in range(1, len(word) + 1):
            left, found = best[end - 1]
            choices = [(left + 1, found)]
            for size in range(2, min(4, end) + 1):
                if word[end - size : end] in inner:
                    left, found = best[end - size]
                    choices.append((left, (*found, word[end - size : end])))
            best.append(min(choices, key=lambda choice: (choice[0], len(choice[1]))))
        left, found = best[-1]
        return found if len(found) > 1 and left <= 1 else ()

    def add(self, words: Iterable[str], *, keep: bool = True, cut: bool = True) -> int:
        """Learn words; how many were new. ``keep`` writes them to the file with the next ``save``.

        Without ``cut`` they are known to corrections only and change no borders of words.
        """
        with self._lock:
            fresh = [word for word in dict.fromkeys(words) if word not in self._known]
            fresh = fresh[: max(0, MAX_WORDS - len(self._known))]
            learned = list(takewhile(self._add, fresh)) if cut else fresh
            for word in learned:
                self._known.add(word)
                sound = pinyin.readings(word)
                for key in {sound[0], sound[-1]}:
                    self._by_sound.setdefault(key, []).append(word)
            if cut:
                self._learned += learned
            if keep:
                self._unsaved += learned
        if learned and cut:
            for call in self.on_change:
                call()
        return len(learned)

    def learned(self, after: int = 0) -> list[str]:
        """Words that texts are cut by, in the order in which they were learned, but for the first so many."""
        with self._lock:
            return self._learned[after:]

    def _add(self, word: str) -> bool:
        """jieba refuses a new word while another thread cuts a text; one that stays busy gets it the next time."""
        for _ in range(TRIES):
            try:
                if not self._jieba.has_word(word):
                    self._jieba.add_word(word, None, None)
                return True
            except RuntimeError:
                time.sleep(0.0002)
        return False

    def learn(self, document: Mapping[str, Any]) -> int:
        """Learn the short terms of a document that everybody may see; how many were new."""
        labels = document.get("permission_labels") or ()
        if "public" not in ([labels] if isinstance(labels, str) else labels):
            return 0
        if document.get("state", "active") != "active":
            return 0
        words = [word for word in terms_of(document) if word not in self._known]
        return self.add(words) if words else 0

    def near(self, text: str, most: int = 5) -> list[str]:
        """Learned words that read the same or are one slip away (of three characters or more), nearest first."""
        sound = pinyin.readings(text)
        alike: list[str] = []
        other: list[str] = []
        with self._lock:
            words = [word for key in (sound[0], sound[-1]) for word in self._by_sound.get(key, ())]
        for word in dict.fromkeys(words):
            if word == text or abs(len(word) - len(text)) > 1:
                continue
            if len(word) == len(text) and pinyin.readings(word) == sound:
                alike.append(word)
            elif len(text) > 2 and len(word) > 2 and one_apart(text, word):
                other.append(word)
        return [*alike, *other][:most]

    def sounding(self, letters: str, most: int = 20, *, whole: bool = False) -> list[str]:
        """Learned words that begin with (``whole``: are) the syllables or initials typed."""
        found: list[str] = []
        with self._lock:
            groups = [words for sound, words in self._by_sound.items() if sound[0] == letters[0]]
            words = list(dict.fromkeys(word for group in groups for word in group))
        for word in words:
            if pinyin.readings(word)[0][:1] != letters[0]:
                continue
            matched = pinyin.match_length(word, 0, letters)
            if matched is not None and (not whole or (matched[0] == len(word) and not matched[1])):
                found.append(word)
                if len(found) >= most:
                    break
        return found

    # -- keeping ---------------------------------------------------------------------------------------

    def open(self, file: Path) -> None:
        """Learn what an earlier process learned, and keep new words in that file from now on."""
        self._file = file
        try:
            words = file.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError):
            log.exception("The learned words cannot be read; they are learned anew as documents come")
            return
        self.add((word for word in words if _is_word(word, MAX_LETTERS)), keep=False)

    def save(self) -> None:
        """Append what was learned since the last time. Losing the file loses nothing that is not found again."""
        with self._lock:
            words, self._unsaved = self._unsaved, []
        if words and self._file is not None:
            with self._file.open("a", encoding="utf-8") as out:
                out.write("\n".join(words) + "\n")


def terms_of(document: Mapping[str, Any]) -> list[str]:
    """Short Chinese terms of a document: runs of 2 to 8 characters, of its title only when it is short itself."""
    found: list[str] = []
    for name in SOURCES:
        value = document.get(name)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and len(text) <= 20_000:
                longest = TITLE_LETTERS if name == "title" else MAX_LETTERS
                found += _terms(text, longest) if len(text) > KEPT_LETTERS else _kept_terms(text, longest)
    return found


def _terms(text: str, longest: int) -> tuple[str, ...]:
    return tuple(_WORDS[longest].findall(normalize(text)))


_kept_terms = lru_cache(maxsize=4096)(_terms)


def _is_word(text: str, longest: int) -> bool:
    return 2 <= len(text) <= longest and _HAN_RUN.fullmatch(text) is not None


LEXICON = Lexicon()
LEXICON.add((name for name in SYNONYMS.words() if _is_word(name, MAX_LETTERS)), keep=False, cut=False)


def add_terms(folder: Path) -> None:
    """An operator's own ``synonyms.txt`` and ``words.txt`` beside ours; either may be missing, the folder may not."""
    names = {file.name for file in folder.iterdir()}
    if "synonyms.txt" in names:
        SYNONYMS.extend(folder / "synonyms.txt")
        LEXICON.add((name for name in SYNONYMS.words() if _is_word(name, MAX_LETTERS)), keep=False, cut=False)
    if "words.txt" in names:
        words = [normalize(word) for word in (folder / "words.txt").read_text(encoding="utf-8").split()]
        LEXICON.add((word for word in words if _is_word(word, MAX_LETTERS)), keep=False)
