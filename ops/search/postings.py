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

from ops.search import analysis
from ops.search.chinese.folding import normalize
from ops.search.fields import (
    COLUMNS,
    COUNTED,
    COUNTED_MARK,
    EXACT,
    SEP,
    SORT_TEXT,
    clean_name,
    fits,
    is_counted,
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
    seq: str
    """The tantivy field that keeps the order of its terms."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What becomes of the values of a source field."""

    targets: tuple[Target, ...]
    exact: str | None
    """Prefix of its exact terms."""
    marker: str
    sort: str | None
    checked: bool
    """Its one value is a date or a number and must look like it."""
    date: bool
    number: bool
    counted: str | None
    """The field's name when its values have a column."""
    clean: bool
    """Can its name be told from other fields' terms?"""


@lru_cache(maxsize=4096)
def _target(name: str) -> Target:
    place, prefix = place_of(name)
    return Target(field_of(name).kind, place, prefix, SEP + name, sequence_of(place))


def plan_of(name: str) -> Plan:
    kind = field_of(name).kind
    names = [*([name] if kind.is_text else []), *copies_of(name)]
    exact = name + SEP if not kind.is_text and kind is not Kind.STORED else None
    column = name in COLUMNS
    return Plan(
        tuple(_target(target) for target in names), exact, SEP + name,
        sort=SORT_TEXT.get(name) if name != "title" else None,
        checked=kind in (Kind.DATE, Kind.INT), date=column and kind is Kind.DATE, number=column and kind is Kind.INT,
        counted=name if is_counted(name) else None, clean=clean_name(name),
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
    """What each text field has of a value; of n-grams the text that they are cut from."""
    plan, text = value
    found: list[Cut] = []
    for target in plan.targets:
        kind, prefix = target.kind, target.prefix
        if kind is Kind.NGRAM:
            found.append((analysis.gram_text(text), ""))
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
        self._counted: dict[str, str | list[str]] = {}
        self._values: dict[Target, dict[str, Cut]] = {}
        """By text: one that a field holds more than once counts once."""

    def add(self, plan: Plan, text: str) -> None:
        """The one value of a field."""
        exact, prefix = self._exact, plan.exact
        if prefix is not None:
            exact.append(plan.marker)
            term = prefix + text
            if len(term) < SHORT or fits(term):
                exact.append(term)
                if plan.counted is not None:
                    self._counted[plan.counted] = COUNTED_MARK + text
        if plan.targets:
            self._cut(plan, text)

    def add_all(self, plan: Plan, values: Sequence[str]) -> None:
        """Several values of a field."""
        values = list(dict.fromkeys(values))
        prefix = plan.exact
        if prefix is not None:
            self._exact.append(plan.marker)
            kept = [text for text in values if len(prefix) + len(text) < SHORT or fits(prefix + text)]
            self._exact += [prefix + text for text in kept]
            if plan.counted is not None and kept:
                self._counted[plan.counted] = [COUNTED_MARK + text for text in kept]
        if plan.targets:
            for text in values:
                self._cut(plan, text)

    def _cut(self, plan: Plan, text: str) -> None:
        value = plan, text
        made = _VALUES[value] if len(text) <= LONGEST_VALUE else _made(value)
        for target, cut in zip(plan.targets, made, strict=True):
            held = self._values.get(target)
            if held is None:
                self._values[target] = {text: cut}
                self._exact.append(target.marker)
            else:
                held[text] = cut

    def document(self) -> Document:
        places: dict[str, tuple[Target, list[str], list[list[str]]]] = {}
        document = Document(**{EXACT: self._exact})
        document.add_json(COUNTED, self._counted)
        add_text = document.add_text
        for target, values in self._values.items():
            if target.kind is Kind.NGRAM:
                for text, _ in values.values():
                    add_text(target.place, text)
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
    apart = not target.prefix
    for found, ordered in values.values():
        if found:
            words.append(found)
        if ordered:
            if apart and spans[-1]:
                spans.append([])
            spans[-1].append(ordered)
        apart = True
