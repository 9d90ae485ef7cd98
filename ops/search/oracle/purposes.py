"""Differences from Solr that are meant. Everything else that differs is a fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ops.search import analysis
from ops.search.oracle.questions import Question
from ops.search.schema import Kind

_SLOPPY = re.compile(r'"((?:\\.|[^"\\])*)"\s*~([1-9]\d*)')

_SHORT = re.compile(r"(?<![\w\\])\w{1,3}\s*~")
_SIGNED = re.compile(r'\(\s*[+-]"')


@dataclass(frozen=True)
class Purpose:
    name: str
    reason: str
    holds: Callable[[Question, str], bool]
    """Is it this difference? From the question and the words with which it was refused here, if it was."""


def _of_patterns(question: Question, refused: str) -> bool:
    return any(words in refused for words in ("in a regular expression", "is too complex", "repeats more than"))


def _of_slop(question: Question, refused: str) -> bool:
    texts = [text for value in question.parameters.values() for text in ([value] if isinstance(value, str) else value)]
    for phrase, _ in (match for text in texts for match in _SLOPPY.findall(text)):
        words = [term for _, term in analysis.phrase_terms(phrase, Kind.TEXT)]
        if len(words) > 2 or len(set(words)) < len(words):
            return True
    return False


def _of_signs(question: Question, refused: str) -> bool:
    return question.parameters.get("defType") == "edismax" and bool(_SIGNED.search(str(question.parameters["q"])))


def _of_short(question: Question, refused: str) -> bool:
    return any(_SHORT.search(str(question.parameters.get(name, ""))) for name in ("q", "fq"))


PURPOSES = (
    Purpose(
        "patterns",
        "A regular expression with ~ & # <1-9>, or whose automaton has more than 1,000 states, is refused.",
        _of_patterns,
    ),
    Purpose(
        "slop",
        "A sloppy phrase of three and more words is found where each two of them are near enough; one that repeats "
        "a word is satisfied by one of it.",
        _of_slop,
    ),
    Purpose(
        "fuzzy", "All terms so near are looked for; Solr takes the 50 nearest, few for a word this short.", _of_short
    ),
    Purpose(
        "signs",
        "edismax: a sign before a phrase that opens a group counts; Solr loses it.",
        _of_signs,
    ),
)


def purpose_of(question: Question, refused: str) -> Purpose | None:
    return next((one for one in PURPOSES if one.holds(question, refused)), None)
