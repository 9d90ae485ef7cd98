"""From text to index terms and query terms: Solr's ``text``, ``text_general`` and ``text_ngram``, plus Chinese.

Runs of Latin script follow CKAN's schema: whitespace, word delimiter, lower case, Snowball English, ASCII
folding. Runs of Chinese, Japanese and Korean script, which that schema leaves unsegmented, are indexed twice: as
a bag of words (jieba, search mode) and characters, and as a sequence of pairs of neighbours, marked with ``GRAM``.
A query is cut into words; each finds the word or, failing that, its characters in sequence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import rjieba
from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

from ops.search.schema import Kind

GRAM = "\x02"
"""Marks a character n-gram, so that it never equals a word of the same spelling."""
NGRAM_MIN, NGRAM_MAX = 2, 10
MAX_TERM_BYTES = 32_766
"""Lucene's longest term; a longer one is not indexed."""

_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u3105-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
)
_RUNS = re.compile(f"[{_CJK}]+|[^{_CJK}]+")
_IS_CJK = re.compile(f"[{_CJK}]")
_FOLD = str.maketrans({
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d",
    "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ħ": "h", "Ħ": "H", "ı": "i", "ĸ": "q", "ŋ": "n",
    "Ŋ": "N", "ŧ": "t", "Ŧ": "T", "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-",
})
STOP_WORDS = frozenset("的了和与及或在是我要有吗呢吧啊把被给请等之其从到对为想") | {"中的", "我要", "我想"}
"""Words that a Chinese query may hold without asking for them; dropped when another word is left."""

_STEMMER = TextAnalyzerBuilder(Tokenizer.raw()).filter(Filter.stemmer("english")).build()


@dataclass(frozen=True, slots=True)
class Piece:
    """One unit of a query: alternatives, best first; each is a sequence of (offset, term)."""

    alternatives: tuple[tuple[tuple[int, str], ...], ...]
    word: str


def stem(word: str) -> str:
    """Snowball English, as the schema's SnowballPorterFilter."""
    found = _STEMMER.analyze(word)
    return found[0] if found else word


def fold(word: str) -> str:
    """ASCIIFoldingFilter: letters with marks become their base letters."""
    if word.isascii():
        return word
    decomposed = unicodedata.normalize("NFKD", word.translate(_FOLD))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _finish(word: str, stemmed: bool) -> str:
    """What both text types do to a part: lower case, then stem and fold (``text``) or nothing (general)."""
    lowered = word.lower()
    return fold(stem(lowered)) if stemmed else lowered


def normalize(text: str) -> str:
    """Full-width letters, digits and compatibility forms become their plain forms."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _parts(word: str, case_change: bool) -> tuple[tuple[str, bool], ...]:
    """WordDelimiter: (part, is it letters) split at punctuation, letter-digit borders and lower-to-upper."""
    if word.endswith(("'s", "'S", "’s", "’S")):
        word = word[:-2]
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
    for index, (part, letters) in enumerate(parts):
        run.append(part)
        if index + 1 == len(parts) or parts[index + 1][1] != letters:
            if len(run) > 1:
                joined.append(_finish("".join(run), stemmed))
            run = []
    return tuple(_finish(part, stemmed) for part, _ in parts), tuple(joined)


def index_terms(text: str, kind: Kind) -> tuple[list[str], list[str]]:
    """One value as its words (a bag: parts, joined parts, Chinese words and characters) and as its sequence.

    The sequence holds one term for each position: a part, or a character with its right neighbour.
    """
    words: list[str] = []
    sequence: list[str] = []
    for word in normalize(text).split():
        for run in _RUNS.findall(word):
            if _IS_CJK.match(run):
                words += rjieba.cut_for_search(run)
                words += [GRAM + char for char in run]
                sequence += [GRAM + left + right for left, right in pairwise(run)]
                sequence.append(GRAM + run[-1])
            else:
                parts, joined = _latin(run, kind)
                words += parts
                words += joined
                sequence += parts
    if len(text) > MAX_TERM_BYTES // 4:
        words = [word for word in words if len(word.encode()) <= MAX_TERM_BYTES]
        sequence = [term if len(term.encode()) <= MAX_TERM_BYTES else GRAM for term in sequence]
    return words, sequence


def ngrams(text: str) -> list[str]:
    """Every 2 to 10 neighbouring characters, in lower case, each once (autocomplete)."""
    lowered = normalize(text).lower()
    size = len(lowered)
    grams = {
        lowered[start : start + width]
        for width in range(NGRAM_MIN, NGRAM_MAX + 1)
        for start in range(size - width + 1)
    }
    return sorted(grams)


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
    pieces: list[Piece] = []
    for word in normalize(text).split():
        for run in _RUNS.findall(word):
            if _IS_CJK.match(run):
                pieces.extend(_cjk_pieces(run))
            else:
                pieces.extend(Piece((((0, part),),), part) for part in _latin(run, kind)[0])
    return tuple(pieces)


def _cjk_pieces(run: str) -> list[Piece]:
    words = rjieba.cut(run)
    wanted = [word for word in words if word not in STOP_WORDS] or words
    pieces = []
    for word in wanted:
        alternatives: list[tuple[tuple[int, str], ...]] = [((0, word),), _sequence(word)]
        pieces.append(Piece(tuple(alternatives), word))
    return pieces


def wildcard_form(text: str, kind: Kind) -> str:
    """What Lucene's multi-term analysis does to a prefix, wildcard or fuzzy term: no stemming, no splitting."""
    lowered = normalize(text).lower()
    return fold(lowered) if kind is Kind.TEXT else lowered


def has_cjk(text: str) -> bool:
    return _IS_CJK.search(text) is not None
