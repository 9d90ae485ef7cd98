"""From text to index terms and query terms: Solr's ``text``, ``text_general`` and ``text_ngram``, plus Chinese.

Runs of Latin script follow CKAN's schema: whitespace, word delimiter, lower case, Snowball English, ASCII
folding. Runs of Chinese, Japanese and Korean script, which that schema leaves unsegmented, are indexed twice: as
a bag of words (jieba, search mode) and characters, and as a sequence of pairs of neighbours, marked with ``GRAM``.
A query is cut into words; each finds the word or, failing that, its characters in sequence, what else it may be
called (``chinese.synonyms``) or the shorter words it is made of. Traditional and full-width forms are one with the
plain ones. Titles have their reading besides, for pinyin.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from operator import add

from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

from ops.search import grams
from ops.search.chinese import pinyin
from ops.search.chinese.folding import lines_of
from ops.search.chinese.folding import normalize as normalize
from ops.search.chinese.lexicon import LEXICON
from ops.search.chinese.synonyms import MAX_WORDS, SYNONYMS
from ops.search.kept import Kept
from ops.search.schema import Kind

GRAM = "\x02"
"""Marks a character or a pair of them, so that it never equals a word of the same spelling."""
_BETWEEN = " " + GRAM
INITIALS_MAX = 6
MAX_TERM_BYTES = 32_766
"""Lucene's longest term; a longer one is not indexed."""
KEPT_RUNS, KEPT_STRETCHES, LONGEST_KEPT = 4_000, 4_000, 40
"""Runs of one script and stretches of letters or digits that are remembered, and the characters of the longest."""

CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u3105-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
)
_RUNS = re.compile(f"[{CJK}]+|[^{CJK}]+")
_IS_CJK = re.compile(f"[{CJK}]")
_FOLD = str.maketrans({
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d",
    "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ħ": "h", "Ħ": "H", "ı": "i", "ĸ": "q", "ŋ": "n",
    "Ŋ": "N", "ŧ": "t", "Ŧ": "T", "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-",
})
_PASSED = {kind: frozenset(words) for kind, *words in map(str.split, lines_of("passed.txt"))}
STOP_WORDS = _PASSED["stop"]
"""Words that a Chinese query may hold without asking for them; dropped when another word is left."""
WEAK_WORDS = _PASSED["weak"]
"""Words that a document need not have when it has the others; one that has them is the better."""

_STEMMER = TextAnalyzerBuilder(Tokenizer.raw()).filter(Filter.stemmer("english")).build()
_NO_SUFFIX = frozenset("abfhjkopquvwxz0123456789")
"""Characters that no English suffix ends in: such words stay as they are."""

Terms = tuple[tuple[int, str], ...]
"""Index terms with their offsets, to be found in sequence."""

GRAM_WEIGHT = 0.6
"""Weight of characters in sequence against a whole word."""
SYNONYM_WEIGHT = 0.7
"""Weight of another name; shared among its neighbouring pairs, each of which scores like a word."""
FOREIGN_WEIGHT = 0.25
"""Weight of an English name for a Chinese one: it is rare, and rare words count for much."""
PARTS_WEIGHT = 0.25
"""Weight of the shorter words that a long one is made of, wherever they stand."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A way to find a piece: every part must be there, each in sequence."""

    parts: tuple[Terms, ...]
    weight: float = 1.0
    own: bool = False
    """Is it another form of a Chinese word, which nearly all documents with the word have?"""


@dataclass(frozen=True, slots=True)
class Piece:
    """One unit of a query: alternatives, best first."""

    alternatives: tuple[Alternative, ...]
    word: str
    weak: bool = False
    """May it be missing, as long as the others are there?"""


def stem(word: str) -> str:
    """Snowball English, as the schema's SnowballPorterFilter."""
    if (len(word) < 3 or word[-1] in _NO_SUFFIX) and word[:1] != "'":
        return word
    found = _STEMMER.analyze(word)
    return found[0] if found else word


def fold(word: str) -> str:
    """ASCIIFoldingFilter: letters with marks become their base letters."""
    if word.isascii():
        return word
    decomposed = unicodedata.normalize("NFKD", word.translate(_FOLD))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@lru_cache(maxsize=20_000)
def _finish(word: str, stemmed: bool) -> str:
    """What both text types do to a part: lower case, then stem and fold (``text``) or nothing (general)."""
    lowered = word.lower()
    return fold(stem(lowered)) if stemmed else lowered


_CASED = re.compile("[A-Z]+[a-z]*|[a-z]+|[0-9]+")
_PLAIN = re.compile("[A-Za-z]+|[0-9]+")


def _parts(word: str, case_change: bool) -> tuple[tuple[str, bool], ...]:
    """WordDelimiter: (part, is it letters) split at punctuation, letter-digit borders and lower-to-upper."""
    if word.endswith(("'s", "'S", "’s", "’S")):
        word = word[:-2]
    if word.isascii():
        return tuple([(part, part > ":") for part in (_CASED if case_change else _PLAIN).findall(word)])
    parts: list[tuple[str, bool]] = []
    start, last = 0, ""
    for index, char in enumerate(word):
        now = "a" if char.isalpha() or unicodedata.category(char)[0] == "M" else "d" if char.isnumeric() else ""
        border = now != last or (
            case_change and now == "a" and char.isupper() and index > start and word[index - 1].islower()
        )
        if border:
            if last and index > start:
                parts.append((word[start:index], last == "a"))
            start = index
        last = now
    if last and start < len(word):
        parts.append((word[start:], last == "a"))
    return tuple(parts)


@lru_cache(maxsize=20_000)
def _latin(word: str, kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A word without Chinese: its parts in order, and the joined runs of parts that only the index has."""
    stemmed = kind is Kind.TEXT
    parts = _parts(word, stemmed)
    joined: list[str] = []
    run: list[str] = []
    before = False
    for part, letters in parts:
        if letters is not before:
            if len(run) > 1:
                joined.append(_finish("".join(run), stemmed) if before else "".join(run))
            run, before = [], letters
        run.append(part)
    if len(run) > 1:
        joined.append(_finish("".join(run), stemmed) if before else "".join(run))
    finished = [_finish(part, stemmed) if letters else part for part, letters in parts]
    return tuple([part for part in finished if part]), tuple([part for part in joined if part])


def index_terms(text: str, kind: Kind) -> tuple[list[str], list[str]]:
    """One value as its words (a bag: parts, joined parts, Chinese words and characters) and as its sequence.

    The sequence holds one term for each position: a part, or a character with its right neighbour.
    """
    words: list[str] = []
    sequence: list[str] = []
    for word in normalize(text).split():
        for run in _RUNS.findall(word):
            found, ordered = run_texts(run, kind)
            words += found.split()
            sequence += ordered.split()
    return words, sequence


def run_texts(run: str, kind: Kind) -> tuple[str, str]:
    """A normalized run of one script: its words and its sequence, each joined by spaces."""
    return RUN_TEXTS[kind][run]


def _run_texts(run: str, kind: Kind) -> tuple[str, str]:
    if _IS_CJK.match(run):
        return _cjk_texts(run)
    if len(run) <= MAX_TERM_BYTES // 4:
        return ascii_texts(run, kind) if run.isascii() else _latin_texts(*_latin(run, kind))
    parts, joined = _latin(run, kind)
    joined = tuple(term for term in joined if len(term.encode()) <= MAX_TERM_BYTES)
    words = [term for term in parts if len(term.encode()) <= MAX_TERM_BYTES]
    parts = tuple(term if len(term.encode()) <= MAX_TERM_BYTES else GRAM for term in parts)
    return " ".join((*words, *joined)), " ".join(parts)


def _latin_texts(parts: Sequence[str], joined: Sequence[str]) -> tuple[str, str]:
    sequence = " ".join(parts)
    return (f"{sequence} {' '.join(joined)}" if joined else sequence), sequence


_STRETCHES = re.compile("[A-Za-z](?:[^0-9]*[A-Za-z])?|[0-9](?:[^A-Za-z]*[0-9])?")
_DIGITS = re.compile("[0-9]+")


def ascii_texts(word: str, kind: Kind) -> tuple[str, str]:
    """What ``_latin`` makes of a word, by its stretches of letters and of digits: they occur again and again."""
    known = _STRETCH[kind]
    found = [known[one] for one in _STRETCHES.findall(word[:-2] if word.endswith(("'s", "'S")) else word)]
    if len(found) == 1:
        parts, joined = found[0]
        return (f"{parts} {joined}" if joined else parts), parts
    return _latin_texts([parts for parts, _ in found if parts], [joined for _, joined in found if joined])


def _stretch(stretch: str, kind: Kind) -> tuple[str, str]:
    """Its parts, and the word that they make together when they are several."""
    if stretch.isdigit():
        return stretch, ""
    if stretch[0] < ":":
        parts = _DIGITS.findall(stretch)
        return " ".join(parts), "".join(parts)
    stemmed = kind is Kind.TEXT
    parts = (_CASED if stemmed else _PLAIN).findall(stretch)
    finished = " ".join([part for part in [_finish(part, stemmed) for part in parts] if part])
    return finished, _finish("".join(parts), stemmed) if len(parts) > 1 else ""


def _cjk_texts(run: str) -> tuple[str, str]:
    pairs = _BETWEEN.join(map(add, run, chain(run[1:], ("",))))
    return f"{' '.join(LEXICON.cut_for_search(run))} {GRAM}{_BETWEEN.join(run)}", GRAM + pairs


_TEXTS = (Kind.TEXT, Kind.TEXT_GENERAL)
RUN_TEXTS = {kind: Kept(partial(_run_texts, kind=kind), KEPT_RUNS, LONGEST_KEPT) for kind in _TEXTS}
_STRETCH = {kind: Kept(partial(_stretch, kind=kind), KEPT_STRETCHES, LONGEST_KEPT) for kind in _TEXTS}


def phrase_terms(text: str, kind: Kind) -> list[tuple[int, str]]:
    """A quoted text as (position, term): characters in sequence for Chinese, delimited parts for the rest."""
    terms: list[tuple[int, str]] = []
    position = 0
    for word in normalize(text).split():
        for run in _RUNS.findall(word):
            if _IS_CJK.match(run):
                terms.extend((position + offset, term) for offset, term in _sequence(run))
                position += len(run)
            else:
                for part in _latin(run, kind)[0]:
                    terms.append((position, part))
                    position += 1
    return terms


def _sequence(run: str) -> tuple[tuple[int, str], ...]:
    """Neighbouring pairs (or the one character) that stand for a run of Chinese."""
    if len(run) == 1:
        return ((0, GRAM + run),)
    return tuple((index, GRAM + run[index : index + 2]) for index in range(len(run) - 1))


def in_sequence(terms: Sequence[tuple[int, str]]) -> bool:
    """Must these terms be looked for by position? A lone word or character is in the bag of words."""
    return len(terms) > 1 or (terms[0][1].startswith(GRAM) and len(terms[0][1]) > 2)


@lru_cache(maxsize=4096)
def query_pieces(text: str, kind: Kind) -> tuple[Piece, ...]:
    """An unquoted chunk as the pieces that must be found, in any order."""
    words = query_words(text)
    pieces: list[Piece] = []
    at = 0
    while at < len(words):
        size, others = _known(words, at)
        if others:
            pieces.append(_named(words[at : at + size], others, kind))
        elif _IS_CJK.match(words[at]):
            pieces.append(_cjk_piece(words[at]))
        else:
            pieces.extend(Piece((Alternative((((0, part),),)),), part) for part in _latin(words[at], kind)[0])
        at += size
    if all(piece.weak for piece in pieces):
        pieces = [replace(piece, weak=False) for piece in pieces]
    return tuple(pieces)


LEXICON.on_change.append(query_pieces.cache_clear)


def query_words(text: str) -> list[str]:
    """An unquoted chunk as words: Chinese ones without those that ask for nothing, others as they were typed."""
    words: list[str] = []
    for word in normalize(text).split():
        for run in _RUNS.findall(word):
            if _IS_CJK.match(run):
                found = LEXICON.cut(run)
                words += [one for one in found if one not in STOP_WORDS] or found
            else:
                words.append(run)
    return words


def joined(words: Sequence[str]) -> str:
    """Words as one name: Chinese without spaces, others with one."""
    name = words[0]
    for word in words[1:]:
        name += word if _IS_CJK.match(word) and _IS_CJK.match(name[-1]) else " " + word
    return name.lower()


def _known(words: Sequence[str], at: int) -> tuple[int, tuple[str, ...]]:
    """How many words from ``at`` have other names together, and the names."""
    for size in range(min(MAX_WORDS, len(words) - at), 0, -1):
        others = SYNONYMS.of(joined(words[at : at + size]))
        if others:
            return size, others
    return 1, ()


def _named(words: Sequence[str], others: Sequence[str], kind: Kind) -> Piece:
    """A piece that has other names: as it was typed, or any of those in sequence."""
    name = joined(words)
    own = _cjk_piece(name).alternatives if has_cjk(name) and " " not in name else ()
    if not own:
        terms = tuple(phrase_terms(" ".join(words), kind))
        parts = tuple(((0, term),) for _, term in terms)
        own = (Alternative((terms,)), *([Alternative(parts, GRAM_WEIGHT)] if len(parts) > 1 else []))
    found: list[Alternative] = []
    for other in others:
        terms = tuple(phrase_terms(other, kind))
        weight = FOREIGN_WEIGHT if other.isascii() and has_cjk(name) else SYNONYM_WEIGHT
        found.append(Alternative((terms,), weight / max(1, len(terms))))
        parts = tuple(((0, part),) for part in LEXICON.cut(other)) if has_cjk(other) and " " not in other else ()
        if len(parts) > 1 and all(len(part[0][1]) > 1 for part in parts):
            found.append(Alternative(parts, PARTS_WEIGHT))
    return Piece((*own, *(one for one in found if one.parts[0])), name, name in WEAK_WORDS)


def _cjk_piece(word: str) -> Piece:
    alternatives = [Alternative((((0, word),),)), Alternative((_sequence(word),), GRAM_WEIGHT, len(word) > 1)]
    parts = LEXICON.parts(word)
    if parts:
        alternatives.append(Alternative(tuple(((0, part),) for part in parts), PARTS_WEIGHT, own=True))
    return Piece(tuple(alternatives), word, word in WEAK_WORDS)


def runs_of(word: str) -> list[str]:
    """A word cut where Chinese and other script meet."""
    return _RUNS.findall(word)


def latin_parts(word: str) -> tuple[str, ...]:
    """The index terms of a word without Chinese, as in the type ``text``."""
    return _latin(word, Kind.TEXT)[0]


def reading_terms(text: str) -> tuple[list[str], list[str]]:
    """A title as its sequence of readings, and the initials from each character on (``INITIALS_MAX`` letters)."""
    syllables: list[str] = []
    starts: dict[str, None] = {}
    for word in normalize(text).lower().split():
        for run in _RUNS.findall(word):
            if _IS_CJK.match(run):
                found = pinyin.readings(run)
                syllables += found
                letters = "".join([reading[0] for reading in found])
                starts.update(dict.fromkeys([letters[at : at + INITIALS_MAX] for at in range(len(letters) - 1)]))
            else:
                syllables.append(run)
    return syllables, list(starts)


def wildcard_form(text: str, kind: Kind) -> str:
    """What Lucene's multi-term analysis does to a prefix, wildcard or fuzzy term: no stemming, no splitting."""
    if kind is Kind.NGRAM:
        return grams.plain(text)
    lowered = normalize(text).lower()
    return fold(lowered) if kind is Kind.TEXT else lowered


def has_cjk(text: str) -> bool:
    return _IS_CJK.search(text) is not None
