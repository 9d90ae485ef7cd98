"""Which characters of a text a query asks for: what highlights and suggestions mark."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from ops.search import analysis, nodes
from ops.search.chinese import pinyin
from ops.search.chinese.folding import normalize, with_offsets
from ops.search.chinese.lexicon import LEXICON
from ops.search.chinese.synonyms import MAX_WORDS, SYNONYMS
from ops.search.nodes import Joker, Node, Occur
from ops.search.schema import Kind, field_of

Span = tuple[int, int]

_TOKEN = re.compile(r"[^\W_\u2e80-\U0003134f]+")
_SHOWN_STRINGS = frozenset({"tags", "name", "title_string", "groups", "organization", "res_format", "license"})
MAX_SPANS = 400


@dataclass(slots=True)
class Needles:
    """Chinese runs, stems of words, starts of words and letters of pinyin that a query asks for."""

    runs: set[str] = field(default_factory=set)
    stems: set[str] = field(default_factory=set)
    starts: set[str] = field(default_factory=set)
    letters: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.runs or self.stems or self.starts or self.letters)

    def add_text(self, text: str) -> None:
        """The words of an unquoted text and what else they are called."""
        words = analysis.query_words(text)
        for at, word in enumerate(words):
            self._add_word(word)
            for size in range(1, min(MAX_WORDS, len(words) - at) + 1):
                for other in SYNONYMS.of(analysis.joined(words[at : at + size])):
                    self.add_phrase(other)

    def _add_word(self, word: str) -> None:
        if analysis.has_cjk(word):
            self.runs.add(word.lower())
            self.runs.update(LEXICON.parts(word))
        else:
            self.stems.update(analysis.latin_parts(word))

    def add_phrase(self, text: str) -> None:
        """A quoted text: its Chinese as it stands, its other words each."""
        for word in normalize(text).split():
            for run in analysis.runs_of(word):
                if analysis.has_cjk(run):
                    self.runs.add(run.lower())
                else:
                    self.stems.update(analysis.latin_parts(run))

    def spans(self, text: str) -> list[Span]:
        """Places of the needles in a text, joined where they touch, in order."""
        plain, places = with_offsets(text)
        found: list[Span] = []
        if self.runs:
            pattern = "|".join(map(re.escape, sorted(self.runs, key=len, reverse=True)))
            found += [match.span(1) for match in re.finditer(f"(?=({pattern}))", plain)]
        if self.stems or self.starts:
            for token in _TOKEN.finditer(plain):
                original = text[places[token.start()] : places[token.end() - 1] + 1]
                if self._wanted(original):
                    found.append(token.span())
        for letters in self.letters:
            found += sound_spans(plain, letters)
        return _joined([(places[start], places[end - 1] + 1) for start, end in found[:MAX_SPANS] if end > start])

    def _wanted(self, word: str) -> bool:
        if any(part in self.stems for part in analysis.latin_parts(word)):
            return True
        return bool(self.starts) and analysis.wildcard_form(word, Kind.TEXT).startswith(tuple(self.starts))


def sound_spans(plain: str, letters: str) -> list[Span]:
    """Where a normalized text reads as the letters of pinyin or initials say, longest match at each place."""
    found: list[Span] = []
    at = 0
    while at < len(plain):
        matched = pinyin.match_length(plain, at, letters) if analysis.has_cjk(plain[at]) else None
        if matched is None:
            at += 1
            continue
        found.append((at, at + matched[0]))
        at += matched[0]
    return found


def _joined(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def of_query(node: Node | None) -> Needles:
    """What a query asks for in texts that people see; what it excludes is left out."""
    needles = Needles()
    _walk(node, needles)
    return needles


def _walk(node: Node | None, needles: Needles) -> None:
    match node:
        case nodes.Bool():
            for occur, child in node.clauses:
                if occur is not Occur.MUST_NOT:
                    _walk(child, needles)
        case nodes.Boost():
            _walk(node.node, needles)
        case nodes.Term() if _shown(node.field):
            needles.add_text(node.text)
        case nodes.Phrase() if _shown(node.field):
            needles.add_phrase(node.text)
        case nodes.Wildcard() if _shown(node.field) and len(node.pattern) > 1:
            literal = node.pattern[0]
            if not isinstance(literal, Joker):
                if analysis.has_cjk(literal):
                    needles.add_phrase(literal)
                else:
                    needles.starts.add(analysis.wildcard_form(literal, Kind.TEXT))
        case nodes.Fuzzy() if _shown(node.field):
            needles.add_text(node.text)


def _shown(name: str | None) -> bool:
    return name is None or name in _SHOWN_STRINGS or field_of(name).kind.is_text


def marked(text: str, spans: list[Span], before: str, after: str, *, start: int = 0, end: int | None = None) -> str:
    """A part of a text as HTML: escaped, with marks around the spans as they were given."""
    end = len(text) if end is None else end
    out: list[str] = []
    at = start
    for low, high in spans:
        low, high = max(low, start), min(high, end)
        if low >= high:
            continue
        out += [html.escape(text[at:low]), before, html.escape(text[low:high]), after]
        at = high
    out.append(html.escape(text[at:end]))
    return "".join(out)
