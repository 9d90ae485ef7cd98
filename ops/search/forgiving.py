"""What else was meant, when the words as typed find nothing: a homophone, one slip of the keys, pinyin, initials.

Looked for only after the exact query came back empty (or, with several words of which one may be missing, when
none holds them all and one looks mistyped), so ordinary queries pay nothing and nothing outranks an exact hit.
Whether a word "finds nothing" is asked under the caller's filters: the answer tells of nothing behind them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

from tantivy import Occur as TOccur
from tantivy import Query, Schema

from ops.search import analysis, grams, nodes, reading
from ops.search.chinese import pinyin
from ops.search.chinese.folding import normalize
from ops.search.chinese.lexicon import LEXICON
from ops.search.compile import Compiler, Dismax
from ops.search.mm import minimum_should_match
from ops.search.nodes import Node, Occur, Term

if TYPE_CHECKING:
    from ops.search.select import Select

MAX_LETTERS = 60
"""Longer queries are taken as they are."""
MAX_SEGMENTS = 10
LATIN_MIN = 4
"""Shorter words of Latin script have too many neighbours."""
INITIALS_MIN = 3
RUN_MAX = grams.MOST
WORD_WEIGHT = 0.6
PARTIAL_BOOST = 20.0
"""Corrected words outrank documents that lack the mistyped word altogether."""
_META = re.compile(r"([\\.+*?()|\[\]{}^$#&\-~])")


@dataclass(slots=True)
class Segment:
    """A part of a query that is right or wrong as a whole: words with the single characters beside them."""

    words: tuple[str, ...]
    odd: tuple[int, int] = (0, 0)
    """Which of the words are odd, in a row: single characters or guesses, the sign of a word that is no word."""
    found: bool = True

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def suspicious(self) -> bool:
        """Is there a sign of a slip, without looking at the index?"""
        return self.odd[1] > self.odd[0]

    def variants(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """(words taken as they are, text taken to be mistyped)."""
        low, high = self.odd if self.odd[1] > self.odd[0] else (0, len(self.words))
        for start, end in dict.fromkeys(((0, len(self.words)), (0, high), (low, len(self.words)), (low, high))):
            target = "".join(self.words[start:end])
            if 2 <= len(target) <= (RUN_MAX if analysis.has_cjk(target) else MAX_LETTERS):
                yield (*self.words[:start], *self.words[end:]), target


def plain_words(node: Node | None) -> list[str] | None:
    """The texts of a query that is nothing but words; None when it has fields, operators or patterns."""
    if isinstance(node, Term) and node.field is None:
        return [node.text]
    if isinstance(node, nodes.Bool) and all(occur is Occur.SHOULD for occur, _ in node.clauses):
        found = [plain_words(child) for _, child in node.clauses]
        if all(words is not None for words in found):
            return [word for words in found for word in words or ()]
    return None


def segments(texts: list[str]) -> list[Segment]:
    """A query's words, with single characters joined to their neighbours in the same run."""
    found: list[Segment] = []
    for text in texts:
        for word in normalize(text).split():
            for run in analysis.runs_of(word):
                if analysis.has_cjk(run):
                    found += _of_run(run)
                elif re.search(r"[^\W_]", run):
                    found.append(Segment((run,)))
    return found


def _of_run(run: str) -> list[Segment]:
    words = LEXICON.cut(run)
    found: list[Segment] = []
    at = 0
    while at < len(words):
        word = words[at]
        end = at
        while end < len(words) and (_odd(words[end]) or (end > at and _lone(words, end))):
            end += 1
        if word in analysis.STOP_WORDS and len(words) > 1 and not (_lone(words, at) and _odd_at(words, at + 1)):
            at += 1
            continue
        if end == at and _lone(words, at):
            end = at + 1
            while end < len(words) and _odd(words[end]):
                end += 1
        if end == at:
            found.append(Segment((word,)))
            at += 1
            continue
        left = found.pop().words if found and found[-1].odd == (0, 0) and words[at - 1] == found[-1].text else ()
        right = words[end : end + 1] if end < len(words) and words[end] not in analysis.STOP_WORDS else []
        if not left and not right and end - at == 1 and len(word) == 1:
            found.append(Segment((word,)))
            at = end
            continue
        found.append(Segment((*left, *words[at:end], *right), (len(left), len(left) + end - at)))
        at = end + len(right)
    return found


def _lone(words: list[str], at: int) -> bool:
    """A single character that is usually passed over, yet may be part of a word that was cut wrongly."""
    return len(words[at]) == 1 and words[at] in analysis.STOP_WORDS and words[at] not in "的了和与及或在是"


def _odd_at(words: list[str], at: int) -> bool:
    return at < len(words) and _odd(words[at])


def _odd(word: str) -> bool:
    return word not in analysis.STOP_WORDS and (len(word) == 1 or not LEXICON.knows(word))


class Forgiving:
    """Corrections for one request; ``segments`` says afterwards which words were not found as typed."""

    def __init__(self, select: Select, node: Node | None, shape: Dismax, *, loosely: bool = True) -> None:
        self.select = select
        self._loosely = loosely
        """May a document have only some of the words, when nothing better is found?"""
        self.shape = shape
        texts = plain_words(node)
        short = texts is not None and sum(map(len, texts)) <= MAX_LETTERS
        self.segments = segments(texts or []) if short else []
        self._texts = (texts or []) if short else []
        self._single = self._texts[0] if len(self._texts) == 1 else ""
        if len(self.segments) > MAX_SEGMENTS:
            self.segments = []
        self._asked = False
        self._query: Query | None = None
        self._compiler: Compiler = select.compiler(Dismax(shape.fields, shape.tie, "100%"))

    @property
    def may_be_partial(self) -> bool:
        """May documents without one of the words be among the hits, and does one word look wrong?"""
        count = len(self.segments)
        needed = minimum_should_match(self.shape.mm, count) if count else 0
        wordy = sum(len(segment.words) for segment in self.segments)
        return wordy > 2 and (needed < count or wordy > count) and any(one.suspicious for one in self.segments)

    def exact(self, text: str) -> Query:
        return self._compiler.query(Term(None, text))

    def _exists(self, query: Query) -> bool:
        return self.select.finds(query)

    def query(self) -> Query | None:
        """The query with corrections for the words that find nothing; None when there is nothing to correct."""
        if not self._asked:
            self._asked = True
            self._query = self._corrected()
        return self._query

    def _corrected(self) -> Query | None:
        clauses: list[Query] = []
        corrected = False
        for segment in self.segments:
            exact = self.exact(segment.text)
            segment.found = self._exists(exact)
            found = [] if segment.found else self._corrections(segment)
            corrected = corrected or bool(found)
            clauses.append(Query.disjunction_max_query([exact, *found], 0.0) if found else exact)
        joined = self._joined_letters() or reading.mixed(self.select.engine.schema, self._single)
        if joined is not None:
            return joined
        if not corrected:
            return self._some_words()
        needed = max(1, minimum_should_match(self.shape.mm, len(clauses)))
        query = Query.boolean_query([(TOccur.Should, one) for one in clauses], needed)
        return query if self._exists(query) else self._some_words()

    def _some_words(self) -> Query | None:
        """Half of the words of a long Chinese query, which is often a question."""
        words = [word for text in self._texts for word in analysis.query_words(text)]
        words = [word for word in words if len(word) > 1] if len(words) > 3 else words
        if not self._loosely or len(words) < 2 or not any(map(analysis.has_cjk, words)):
            return None
        clauses = [(TOccur.Should, self.exact(word)) for word in words]
        return Query.boolean_query(clauses, (len(words) + 1) // 2)

    def _joined_letters(self) -> Query | None:
        """``kong qi zhi liang``: syllables typed apart, none of which is a word."""
        words = [segment.text.lower() for segment in self.segments]
        if len(words) < 2 or any(segment.found for segment in self.segments):
            return None
        if not all(pinyin.typed(word) and word in pinyin.SYLLABLES for word in words):
            return None
        return reading.by_syllables(self.select.engine.schema, "'".join(words), unfinished=True)

    def _corrections(self, segment: Segment) -> list[Query]:
        if not analysis.has_cjk(segment.text):
            return list(self._of_letters(segment.text))
        for kept, target in segment.variants():
            options = list(self._of_run(target))
            if not options:
                continue
            option = options[0] if len(options) == 1 else Query.disjunction_max_query(options, 0.0)
            if kept:
                musts = [(TOccur.Must, self.exact(word)) for word in kept]
                option = Query.boolean_query([*musts, (TOccur.Must, option)])
            if self._exists(option):
                return [option]
        return []

    def _of_run(self, target: str) -> Iterator[Query]:
        """Titles with the same sound or one slip away, and public words that are."""
        schema = self.select.engine.schema
        sound = reading.by_sound(schema, target)
        if sound is not None:
            yield sound
        yield from slipped_titles(schema, target)
        for word in LEXICON.near(target):
            yield Query.boost_query(self.exact(word), WORD_WEIGHT)

    def _of_letters(self, word: str) -> Iterator[Query]:
        """Words one slip away that begin alike; titles that read so."""
        schema = self.select.engine.schema
        letters = pinyin.typed(word)
        if letters and len(letters) > 3:
            for known in LEXICON.sounding(letters, 5, whole=True):
                yield Query.boost_query(self.exact(known), WORD_WEIGHT)
        if letters and len(letters) > 1:
            sound = reading.by_letters(schema, letters, unfinished=len(letters) > 4, least=INITIALS_MIN)
            if sound is not None:
                yield sound
        if len(word) >= LATIN_MIN and word.isascii() and word.isalpha():
            stems = list(dict.fromkeys(analysis.stem(slip) for slip in latin_slips(word.lower())))
            for place, weight in (("title", 2.0), ("text", 1.0)):
                yield Query.const_score_query(Query.term_set_query(schema, place, stems), weight)


def slips(run: str) -> tuple[list[str], str]:
    """Runs of Chinese one slip away, and a pattern of those with an unknown character.

    Two neighbours swapped, one too many, another or one missing; the pattern begins with the first character, so
    that few terms are looked at. Instead of another first character the rest is looked for alone.
    """
    size = len(run)
    if not 2 <= size <= RUN_MAX:
        return [], ""
    whole = [run[:at] + run[at + 1] + run[at] + run[at + 2 :] for at in range(size - 1)]
    if size == 2:
        return [one for one in whole if one != run], ""
    whole.append(run[1:])
    if size > 3:
        whole += [run[:at] + run[at + 1 :] for at in range(1, size)]
    unknown = [f"{_plain(run[:at])}.{_plain(run[at + 1 :])}" for at in range(1, size)]
    if size < RUN_MAX:
        unknown += [f"{_plain(run[:at])}.{_plain(run[at:])}" for at in range(1, size)]
    return [one for one in dict.fromkeys(whole) if one != run], "|".join(unknown)


def slipped_titles(schema: Schema, run: str) -> list[Query]:
    """Titles with a run of Chinese one slip away."""
    whole, pattern = slips(run)
    patterns = ("|".join(map(_plain, whole)), pattern)
    return [Query.const_score_query(grams.matching(schema, "title_ngram", one), 1.0) for one in patterns if one]


def latin_slips(word: str) -> list[str]:
    """Words of Latin script one slip away, the first letter as typed."""
    found: list[str] = []
    for at in range(1, len(word) + 1):
        before, after = word[:at], word[at:]
        found += [before + letter + after for letter in ascii_lowercase]
        if after:
            found += [before + letter + after[1:] for letter in ascii_lowercase]
            found.append(before + after[1:])
        if len(after) > 1:
            found.append(before + after[1] + after[0] + after[2:])
    return [one for one in dict.fromkeys(found) if one != word]


def _plain(text: str) -> str:
    return _META.sub(r"\\\1", text)
