"""The postings of one document: each value is cut into terms once, however many fields it is copied to.

Texts of a catalogue repeat (departments, tags, columns, phrases of notes), so what a run of text became is remembered.
A run is cut as it was when it was first met: words learned since then change nothing in documents already indexed
either, and a query finds both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tantivy import Document, PreTokenizedString, Token

from ops.search import analysis, grams
from ops.search.chinese.folding import normalize
from ops.search.chinese.lexicon import HAN
from ops.search.fields import (
    COLUMNS,
    EXACT,
    SEP,
    SORT_TEXT,
    clean_name,
    fits,
    place_of,
    sequence_of,
)
from ops.search.kept import Kept
from ops.search.schema import Kind, copies_of, field_of

GAP = PreTokenizedString("", [Token("\x04", 97, 0, 0)])
"""Stands between two values: the next one begins 100 positions on, as in Solr, so that no phrase runs into it."""
KEPT_PLANS, LONGEST_NAME = 2_000, 200
KEPT_VALUES, LONGEST_VALUE = 6_000, 60
"""Values of fields, and the characters of the longest, whose terms are remembered."""
KEPT_LATELY = 64
"""Long texts: for the fields that one document copies them to."""
SHORT = analysis.MAX_TERM_BYTES // 4
_RUNS = re.compile(f"[{analysis.CJK}]+|[^{analysis.CJK}\\s]+")
_ALIKE = re.compile(f"[{analysis.CJK}\u3000-\u303f\\x00-@\\[-`{{-\\x7f]*")
"""A text without letters but Chinese ones has the same terms in all types of text."""
BORDER = "\0"
_WITHIN = re.compile(f"(?={HAN})[^{BORDER}]*{HAN}{{2}}")
"""A text that is in sequence wherever it stands: no word of it goes on beyond its ends, and it does not end in a lone
character, which is another term than the beginning of a pair."""

Cut = tuple[str, str]
"""The words and the sequence of a text, each joined by spaces."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A text field that values go to."""

    kind: Kind
    place: str
    prefix: str
    marker: str
    """The term that says that a document has the field."""
    parted: bool
    """Would spaces part that term?"""
    seq: str
    """The tantivy field that keeps the order of its terms; of pieces the one of what begins at each character."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What becomes of the values of a source field."""

    targets: tuple[Target, ...]
    exact: str | None
    """Prefix of its exact terms."""
    marker: str
    first: str
    """The marker and that prefix, for the one value of a field."""
    room: int
    """A value of fewer characters makes a term that is surely not too long; of none it is asked when spaces part it."""
    sort: str | None
    checked: bool
    """Its one value is a date or a number and must look like it."""
    date: bool
    number: bool
    clean: bool
    """Can its name be told from other fields' terms?"""


def _parted(text: str) -> bool:
    """Would spaces part it in the index? What does not print is taken for one."""
    return " " in text or not text.isprintable()


@lru_cache(maxsize=4096)
def _target(name: str) -> Target:
    place, prefix = place_of(name)
    kind = field_of(name).kind
    seq = grams.beginnings_of(place) if kind is Kind.NGRAM else sequence_of(place)
    return Target(kind, place, prefix, SEP + name, _parted(name), seq)


def plan_of(name: str) -> Plan:
    kind = field_of(name).kind
    names = [*([name] if kind.is_text else []), *copies_of(name)]
    exact = name + SEP if not kind.is_text and kind is not Kind.STORED else None
    first = f"{SEP}{name} {exact or ''}"
    column = name in COLUMNS
    return Plan(
        tuple(_target(target) for target in names), exact, SEP + name, first,
        room=0 if _parted(name) else SHORT - len(first),
        sort=SORT_TEXT.get(name) if name != "title" else None,
        checked=kind in (Kind.DATE, Kind.INT), date=column and kind is Kind.DATE, number=column and kind is Kind.INT,
        clean=clean_name(name),
    )


PLANS = Kept(plan_of, KEPT_PLANS, LONGEST_NAME)


def _cut(text: str, kind: Kind) -> Cut:
    """One value as its words and as its sequence."""
    if text.isascii():
        runs = text.split()
        if len(runs) == 1 and len(text) < SHORT:
            return analysis.ascii_texts(runs[0], kind)
    else:
        plain = normalize(text)
        if kind is not Kind.TEXT and _ALIKE.fullmatch(plain):
            return _lately(text, Kind.TEXT)
        runs = _RUNS.findall(plain)
    known = analysis.RUN_TEXTS[kind]
    if len(runs) == 1:
        return known[runs[0]]
    found = [known[run] for run in runs]
    return " ".join([words for words, _ in found if words]), " ".join([sequence for _, sequence in found if sequence])


_lately = lru_cache(KEPT_LATELY)(_cut)


def _made(value: tuple[Plan, str]) -> tuple[Cut, ...]:
    """What each text field has of a value."""
    plan, text = value
    found: list[Cut] = []
    for target in plan.targets:
        kind, prefix = target.kind, target.prefix
        if kind is Kind.NGRAM:
            found.append(grams.terms(text))
            continue
        words, sequence = cut = _lately(text, kind)
        if prefix:  # the field shares its place with others: each term has the field's name
            between = " " + prefix
            cut = (
                prefix + words.replace(" ", between) if words else "",
                prefix + sequence.replace(" ", between) if sequence else "",
            )
        found.append(cut)
    return tuple(found)


_VALUES = Kept(_made, KEPT_VALUES, longest=2)


class Postings:
    """Collects the terms of one document. Each of its fields is added once."""

    def __init__(self) -> None:
        self._exact: list[str] = []
        self._parted: list[str] = []
        """Exact terms that spaces would part."""
        self._values: dict[Target, dict[str, Cut]] = {}
        """By text: one that a field holds more than once counts once."""

    def add(self, plan: Plan, text: str) -> None:
        """The one value of a field."""
        prefix = plan.exact
        if prefix is not None:
            if len(text) < plan.room and not _parted(text):
                self._exact.append(plan.first + text)
            else:
                self._terms(plan, prefix, (text,))
        if plan.targets:
            self._cut(plan, text)

    def add_all(self, plan: Plan, values: Sequence[str]) -> None:
        """Several values of a field."""
        values = list(dict.fromkeys(values))
        if plan.exact is not None:
            self._terms(plan, plan.exact, values)
        if plan.targets:
            for text in values:
                self._cut(plan, text)

    def _terms(self, plan: Plan, prefix: str, values: Sequence[str]) -> None:
        """Add exact terms of the values that are not too long."""
        kept = [text for text in values if len(text) < plan.room or fits(prefix + text)]
        into = self._parted if plan.room <= 0 or any(map(_parted, kept)) else self._exact
        into.append(plan.marker)
        into += [prefix + text for text in kept]

    def _cut(self, plan: Plan, text: str) -> None:
        value = plan, text
        made = _VALUES[value] if len(text) <= LONGEST_VALUE else _made(value)
        for target, cut in zip(plan.targets, made, strict=True):
            held = self._values.get(target)
            if held is None:
                self._values[target] = {text: cut}
                (self._parted if target.parted else self._exact).append(target.marker)
            else:
                held[text] = cut

    def document(self) -> Document:
        places: dict[str, tuple[Target, list[str], list[list[str]]]] = {}
        document = Document()
        add_text = document.add_text
        add_text(EXACT, " ".join(self._exact))
        if self._parted:
            tokens = [Token(term, 0, 0, 0) for term in self._parted]
            document.add_pre_tokenized_text(EXACT, PreTokenizedString("", tokens))
        for target, values in self._values.items():
            if target.kind is Kind.NGRAM:
                for pairs, beginnings in values.values():
                    add_text(target.place, pairs)
                    add_text(target.seq, beginnings)
                continue
            into = places.get(target.place)
            if into is None:
                into = places[target.place] = (target, [], [[]])
            _collect(target, values, into[1], into[2])
        for place, (target, words, spans) in places.items():
            add_text(place, " ".join(words))
            for at, span in enumerate(spans):
                if at:
                    document.add_pre_tokenized_text(target.seq, GAP)
                add_text(target.seq, span[0] if len(span) == 1 else " ".join(span))
        return document


def _collect(target: Target, values: dict[str, Cut], words: list[str], spans: list[list[str]]) -> None:
    """Terms of a field's values; each value is a span of its own where a phrase could run from one into the next."""
    words += [found for found, _ in values.values() if found]
    if target.prefix and len(values) == 1:
        spans[-1] += [ordered for _, ordered in values.values() if " " in ordered]
        return
    for ordered in _spans(values):
        if spans[-1]:
            spans.append([])
        spans[-1].append(ordered)


def _spans(values: dict[str, Cut]) -> list[str]:
    """What phrases are found in: values of several terms that are not part of another value.

    A lone term is found as a word.
    """
    found: list[str] = []
    seen = ""
    for text in sorted(values, key=len, reverse=True):
        ordered = values[text][1]
        if " " in ordered and not (text in seen and _WITHIN.fullmatch(text)):
            found.append(ordered)
            seen = f"{seen}{BORDER}{text}"
    return found
