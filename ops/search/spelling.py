""" "Did you mean": the words of documents that the caller may see, in the place of words that find nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ops.search import analysis
from ops.search.chinese import pinyin
from ops.search.chinese.distance import one_apart
from ops.search.chinese.folding import normalize, with_offsets
from ops.search.chinese.lexicon import LEXICON
from ops.search.documents import texts
from ops.search.forgiving import Forgiving, Segment
from ops.search.marks import sound_spans

if TYPE_CHECKING:
    from ops.search.select import Select

LOOKED_AT = 20
"""Best hits of the forgiving query whose words are candidates."""
_TOKEN = re.compile(r"[^\W\d_]+")
_FIELDS = ("title", "tags", "extras_department", "extras_items", "notes", "name")


def corrections(select: Select, forgiving: Forgiving) -> dict[str, str]:
    """Mistyped text → what the best visible hits have in its place."""
    query = forgiving.query()
    if query is None:
        return {}
    wrong = [segment for segment in forgiving.segments if not segment.found]
    heads = select.heads_of(select.snapshot.searcher.search(select.filtered(query), LOOKED_AT, count=False).hits)
    if len(wrong) > 1 and len(wrong) == len(forgiving.segments) and all(one.text in pinyin.SYLLABLES for one in wrong):
        wrong = [Segment(("'".join(one.text for one in wrong),))]
    found: dict[str, str] = {}
    for segment in wrong:
        pair = _best(segment, heads)
        if pair is not None:
            found[pair[0]] = pair[1]
    return found


def _best(segment: Segment, heads: list[dict[str, Any]]) -> tuple[str, str] | None:
    """The nearest replacement of a segment; among equally near ones the one that most of the best hits have."""
    votes: Counter[tuple[str, str]] = Counter()
    ranks: dict[tuple[str, str], int] = {}
    chinese = analysis.has_cjk(segment.text)
    near = {target: LEXICON.near(target) for _, target in segment.variants()} if chinese else {}
    for head in heads:
        seen: set[tuple[str, str]] = set()
        for rank, wrong, right in _candidates(segment, head, near):
            ranks[(wrong, right)] = min(rank, ranks.get((wrong, right), rank))
            seen.add((wrong, right))
        votes.update(seen)
    if not ranks:
        return None
    order = list(ranks)
    return min(order, key=lambda pair: (ranks[pair], -votes[pair], order.index(pair)))


def _candidates(
    segment: Segment, head: Mapping[str, Any], near: Mapping[str, list[str]]
) -> Iterator[tuple[int, str, str]]:
    """(rank, mistyped, right): replacements that a document holds; a lower rank is nearer."""
    for name in _FIELDS:
        for text in texts(name, head.get(name)):
            if not analysis.has_cjk(segment.text):
                yield from _for_letters(segment.text, text, title=name == "title")
                continue
            plain = normalize(text).lower()
            if name == "title":
                borders = _borders(plain)
                for target in near:
                    yield from _windows(target, plain, borders)
            yield from ((2, target, word) for target, words in near.items() for word in words if word in plain)


def _windows(target: str, plain: str, borders: set[int]) -> Iterator[tuple[int, str, str]]:
    """Stretches of a title that sound like a text (0) or are one slip away (1); later when they cut a word."""
    sound, heard = pinyin.readings(target), pinyin.readings(plain)
    size = len(target)
    for length in (size, size + 1, size - 1):
        for at in range(len(plain) - length + 1) if length > 1 else ():
            window = plain[at : at + length]
            rank = 0 if at in borders and at + length in borders else 2
            if length == size and heard[at : at + size] == sound:
                yield rank, target, window
            elif (size > 2 and length > 2 and one_apart(target, window)) or window == target[::-1]:
                yield rank + 1, target, window


def _borders(plain: str) -> set[int]:
    """Where words begin and end in a title."""
    found, at = {0}, 0
    for word in LEXICON.cut(plain):
        at += len(word)
        found.add(at)
    return found


def _for_letters(word: str, text: str, *, title: bool) -> Iterator[tuple[int, str, str]]:
    lowered = word.lower()
    letters = pinyin.typed(word)
    if letters and title and len(letters) > 1:
        plain, _ = with_offsets(text)
        for start, end in sound_spans(plain, letters):
            if end - start > 1:
                yield 1, word, plain[start:end]
    if len(word) >= 4:
        for token in _TOKEN.findall(text):
            if token[0].lower() == lowered[0] and one_apart(lowered, token.lower()):
                yield 2, word, token


def answer(select: Select, text: str, forgiving: Forgiving | None, *, extended: bool) -> dict[str, Any]:
    """Solr's ``spellcheck`` of an answer. ``forgiving`` is None when the words as typed find something."""
    if forgiving is None:
        return {"suggestions": [], "correctlySpelled": True, "collations": []}
    found = corrections(select, forgiving)
    suggestions: list[Any] = []
    collation = plain = normalize(text)
    for wrong, right in found.items():
        shown = wrong.replace("'", " ") if wrong not in plain else wrong
        start = plain.find(shown)
        suggestions += [
            shown,
            {
                "numFound": 1,
                "startOffset": max(start, 0),
                "endOffset": max(start, 0) + len(shown),
                "suggestion": [right],
            },
        ]
        collation = collation.replace(shown, right, 1)
    collations: list[Any] = []
    hits = select.count_of(collation) if found and collation != plain else 0
    if hits:
        pairs = [item for wrong, right in found.items() for item in (wrong, right)]
        full = {"collationQuery": collation, "hits": hits, "misspellingsAndCorrections": pairs}
        collations = ["collation", full if extended else collation]
    return {"suggestions": suggestions if hits else [], "correctlySpelled": False, "collations": collations}
