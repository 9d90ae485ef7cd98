"""Snippets of stored fields with the words of the query marked. A snippet is HTML: escaped text, the caller's marks."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from ops.search.documents import texts
from ops.search.errors import SearchFault, unsupported
from ops.search.marks import Needles, Span, marked
from ops.search.schema import UNIQUE_KEY, Kind, field_of

Parameters = Mapping[str, list[str]]

SPOKEN = frozenset(
    {
        "hl",
        "hl.fl",
        "hl.simple.pre",
        "hl.simple.post",
        "hl.tag.pre",
        "hl.tag.post",
        "hl.snippets",
        "hl.fragsize",
        "hl.encoder",
        "hl.method",
        "hl.requireFieldMatch",
        "hl.usePhraseHighlighter",
        "hl.maxAnalyzedChars",
        "hl.mergeContiguous",
        "hl.highlightMultiTerm",
    }
)
MAX_FIELDS = 30
MAX_SNIPPETS = 100
DEFAULT_FIELDS = "title,notes"
_ENDS = "。！？；\n.!?;"


def check(parameters: Parameters) -> None:
    """Refuse what would change the answer and is not spoken."""
    for name in parameters:
        base = name.split(".", 2)[-1] if name.startswith("f.") else name
        if base.startswith("hl") and (base == "hl" or base.startswith("hl.")) and base not in SPOKEN:
            raise unsupported(f"The parameter {name[:100]}")
    if _last(parameters, "hl.encoder", "html") != "html":
        raise unsupported("Any hl.encoder but html")
    if _last(parameters, "hl.requireFieldMatch", "false") == "true":
        raise unsupported("hl.requireFieldMatch=true")


def _last(parameters: Parameters, name: str, default: str) -> str:
    values = parameters.get(name)
    return values[-1] if values and values[-1] != "" else default


def _number(parameters: Parameters, field: str, name: str, default: int, high: int) -> int:
    text = _last(parameters, f"f.{field}.{name}", _last(parameters, name, str(default)))
    if not text.isascii() or not text.isdigit():
        raise SearchFault(f'For input string: "{text[:50]}" in {name}')
    return min(int(text), high)


class Highlighter:
    """Marks of one request; ``needles`` is what was asked for, ``more`` what was found in its place."""

    def __init__(self, parameters: Parameters, needles: Needles) -> None:
        check(parameters)
        self.parameters = parameters
        self.needles = needles
        self.before = _last(parameters, "hl.simple.pre", _last(parameters, "hl.tag.pre", "<em>"))
        self.after = _last(parameters, "hl.simple.post", _last(parameters, "hl.tag.post", "</em>"))
        self.wanted = [
            name for value in parameters.get("hl.fl") or [DEFAULT_FIELDS] for name in value.replace(",", " ").split()
        ]
        if len(self.wanted) > MAX_FIELDS:
            raise SearchFault(f"hl.fl may name {MAX_FIELDS} fields")

    def answer(self, heads: Sequence[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
        """Snippets by unique key and field."""
        return {str(head[UNIQUE_KEY]): self.document(head) for head in heads}

    def document(self, head: dict[str, Any]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        if not self.needles:
            return found
        for name, value in head.items():
            field = field_of(name)
            if not field.stored or not (field.kind.is_text or field.kind is Kind.STRING):
                continue
            if not any(fnmatch.fnmatchcase(name, wanted) for wanted in self.wanted):
                continue
            snippets = self._field(name, value)
            if snippets:
                found[name] = snippets
        return found

    def _field(self, name: str, value: Any) -> list[str]:
        most = _number(self.parameters, name, "hl.snippets", 1, MAX_SNIPPETS)
        size = _number(self.parameters, name, "hl.fragsize", 100, 1_000_000)
        limit = _number(self.parameters, name, "hl.maxAnalyzedChars", 51_200, 1_000_000)
        ranked: list[tuple[int, int, str]] = []
        for text in texts(name, value):
            spans = self.needles.spans(text[:limit])
            for start, end in fragments(text, spans, size):
                inside = [span for span in spans if span[0] < end and span[1] > start]
                weight = sum(high - low for low, high in inside)
                snippet = marked(text, inside, self.before, self.after, start=start, end=end)
                ranked.append((-weight, len(ranked), snippet))
        return [snippet for _, _, snippet in sorted(ranked)[:most]]


def fragments(text: str, spans: list[Span], size: int) -> list[Span]:
    """Stretches of about ``size`` characters around the spans, from a sentence's start where one is near."""
    if not spans:
        return []
    if size == 0 or len(text) <= size:
        return [(0, len(text))]
    found: list[Span] = []
    for low, high in spans:
        if found and high <= found[-1][1]:
            continue
        start = max(0, low - size // 4, found[-1][1] if found else 0)
        start = min(start, low)
        border = max((text.rfind(mark, max(0, low - size // 2), low) for mark in _ENDS), default=-1)
        if border >= 0 and border + 1 >= (found[-1][1] if found else 0):
            start = border + 1
        end = min(len(text), max(start + size, high))
        while (
            start > 0
            and start < low
            and text[start].isascii()
            and text[start].isalnum()
            and text[start - 1].isascii()
            and text[start - 1].isalnum()
        ):
            start += 1
        while (
            high < end < len(text)
            and text[end].isascii()
            and text[end].isalnum()
            and text[end - 1].isascii()
            and text[end - 1].isalnum()
        ):
            end -= 1
        found.append((start, end))
    return found
