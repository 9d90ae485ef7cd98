"""The postings of one document: each value is cut into terms once, however many fields it is copied to.

Texts of a catalogue repeat (departments, tags, columns, phrases of notes), so what a run of text became is remembered.
A run is cut as it was when it was first met: words learned since then change nothing in documents already indexed
either, and a query finds both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    fits,
    is_counted,
    place_of,
    sequence_of,
)
from ops.search.schema import Kind, copies_of, field_of

GAP = PreTokenizedString("\x04", [Token("\x04", 97, 0, 1)])
"""Stands between two values: the next one begins 100 positions on, as in Solr, so that no phrase runs into it."""
KEPT_RUNS, KEPT_VALUES = 12_000, 6_000
KEPT_LATELY = 64
"""Long texts: for the fields that one document copies them to."""
LONGEST_RUN, LONGEST_VALUE = 120, 60
"""Characters of texts that are remembered."""
SHORT = analysis.MAX_TERM_BYTES // 4
_RUNS = re.compile(f"[{analysis.CJK}]+|[^{analysis.CJK}\\s]+")

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


@dataclass(frozen=True, slots=True)
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


@lru_cache(maxsize=4096)
def _target(name: str) -> Target:
    return Target(field_of(name).kind, *place_of(name), SEP + name)


@lru_cache(maxsize=4096)
def plan_of(name: str) -> Plan:
    kind = field_of(name).kind
    names = [*([name] if kind.is_text else []), *copies_of(name)]
    exact = name + SEP if not kind.is_text and kind is not Kind.STORED else None
    column = name in COLUMNS
    return Plan(
        tuple(_target(target) for target in names), exact, SEP + name,
        sort=SORT_TEXT.get(name) if name != "title" else None,
        checked=kind in (Kind.DATE, Kind.INT), date=column and kind is Kind.DATE, number=column and kind is Kind.INT,
        counted=name if is_counted(name) else None,
    )


_run = lru_cache(KEPT_RUNS)(analysis.run_texts)


def _cut(text: str, kind: Kind) -> Cut:
    runs = text.split() if text.isascii() else _RUNS.findall(normalize(text))
    if len(runs) == 1:
        run = runs[0]
        return _run(run, kind) if len(run) <= LONGEST_RUN else analysis.run_texts(run, kind)
    words: list[str] = []
    sequence: list[str] = []
    for run in runs:
        found, ordered = _run(run, kind) if len(run) <= LONGEST_RUN else analysis.run_texts(run, kind)
        if found:
            words.append(found)
        if ordered:
            sequence.append(ordered)
    return " ".join(words), " ".join(sequence)


_value, _lately = lru_cache(KEPT_VALUES)(_cut), lru_cache(KEPT_LATELY)(_cut)


def cut(text: str, kind: Kind) -> Cut:
    """One value as its words and as its sequence."""
    return _value(text, kind) if len(text) <= LONGEST_VALUE else _lately(text, kind)


def _marked(text: str, target: Target) -> Cut:
    """One value for a field that shares its place with others: each term with the field's name."""
    found, ordered = cut(text, target.kind)
    between = " " + target.prefix
    return (
        target.prefix + found.replace(" ", between) if found else "",
        target.prefix + ordered.replace(" ", between) if ordered else "",
    )


_marked_value = lru_cache(KEPT_VALUES)(_marked)


class Postings:
    """Collects the terms of one document. Each of its fields is added once."""

    def __init__(self) -> None:
        self._exact: list[str] = []
        self._counted: dict[str, list[str]] = {}
        self._values: dict[Target, dict[str, None]] = {}
        """A text that a field holds more than once counts once."""

    def add(self, plan: Plan, values: Sequence[str]) -> None:
        if plan.exact is not None:
            self._exact.append(plan.marker)
            prefix = plan.exact
            if len(values) == 1:
                term = prefix + values[0]
                if len(term) < SHORT or fits(term):
                    self._exact.append(term)
                    if plan.counted is not None:
                        self._counted[plan.counted] = [COUNTED_MARK + values[0]]
            else:
                values = list(dict.fromkeys(values))
                kept = [text for text in values if len(prefix) + len(text) < SHORT or fits(prefix + text)]
                self._exact += [prefix + text for text in kept]
                if plan.counted is not None and kept:
                    self._counted[plan.counted] = [COUNTED_MARK + text for text in kept]
        for target in plan.targets:
            found = self._values.get(target)
            if found is None:
                self._values[target] = dict.fromkeys(values)
                self._exact.append(target.marker)
            else:
                for text in values:
                    found[text] = None

    def document(self) -> Document:
        places: dict[str, tuple[list[str], list[list[str]]]] = {}
        grams: list[tuple[str, str]] = []
        for target, values in self._values.items():
            if target.kind is Kind.NGRAM:
                grams += [(target.place, analysis.gram_text(value)) for value in values]
                continue
            into = places.get(target.place)
            if into is None:
                into = places[target.place] = ([], [[]])
            _collect(target, values, *into)
        document = Document(**{EXACT: self._exact})
        document.add_json(COUNTED, self._counted)
        for place, (words, spans) in places.items():
            document.add_text(place, " ".join(words))
            into_sequence = sequence_of(place)
            for at, span in enumerate(spans):
                if at:
                    document.add_pre_tokenized_text(into_sequence, GAP)
                document.add_text(into_sequence, " ".join(span))
        for place, text in grams:
            document.add_text(place, text)
        return document


def _collect(target: Target, values: Iterable[str], words: list[str], spans: list[list[str]]) -> None:
    """Terms of a field's values; each value is a span of its own where a phrase could run from one into the next."""
    kind, marked = target.kind, bool(target.prefix)
    apart = not marked
    for value in values:
        if len(value) <= LONGEST_VALUE:
            found, ordered = _marked_value(value, target) if marked else _value(value, kind)
        else:
            found, ordered = _marked(value, target) if marked else _lately(value, kind)
        if found:
            words.append(found)
        if ordered:
            if apart and spans[-1]:
                spans.append([])
            spans[-1].append(ordered)
        apart = True
