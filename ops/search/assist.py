"""What an answer holds beside its hits for people: corrections when nothing was found, highlights, "did you mean"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tantivy import Occur as TOccur
from tantivy import Query

from ops.search import dismax, highlight, marks, spelling
from ops.search.chinese import pinyin
from ops.search.chinese.synonyms import MAX_WORDS, SYNONYMS
from ops.search.compile import Dismax
from ops.search.errors import SearchFault
from ops.search.forgiving import PARTIAL_BOOST, Forgiving
from ops.search.local import parse_with_locals
from ops.search.nodes import Node

if TYPE_CHECKING:
    from ops.search.select import Select
    from ops.search.sorting import Hit


class Assist:
    """For one request. ``node`` and ``shape`` are what the main query was made of; no shape without dismax."""

    def __init__(self, select: Select, text: str, node: Node | None, shape: Dismax | None) -> None:
        self.select = select
        self.text = text
        self.node = node
        self.shape = shape
        self._forgiving: Forgiving | None = None

    def forgive(self, main: Query, total: int, hits: Sequence[Hit]) -> Query | None:
        """Another main query when this one finds nothing, or nothing with all its words; None to keep it."""
        if self.shape is None or self.node is None:
            return None
        forgiving = Forgiving(self.select, self.node, self.shape, loosely=not total)
        if total and (not forgiving.may_be_partial or self._all_words(hits)):
            return None
        self._forgiving = forgiving
        corrected = forgiving.query()
        if corrected is None or not total:
            return corrected
        return Query.boolean_query(
            [
                (TOccur.Should, main),
                (TOccur.Should, Query.boost_query(corrected, PARTIAL_BOOST)),
            ]
        )

    def _all_words(self, hits: Sequence[Hit]) -> bool:
        """Does any document that may be seen hold every word as typed? Most likely one of the best hits does."""
        shape = self.shape or Dismax(())
        strict = self.select.compiler(Dismax(shape.fields, shape.tie, "100%")).query(self.node)
        return self.select.finds(strict, hits)

    def answer(self, hits: Sequence[Hit], total: int) -> dict[str, Any]:
        """``highlighting`` and ``spellcheck``, as asked for."""
        found: dict[str, Any] = {}
        if self.select.truth("hl"):
            found["highlighting"] = self._highlighting(hits)
        if self.select.truth("spellcheck"):
            found["spellcheck"] = self._spelling(total)
        return found

    def _highlighting(self, hits: Sequence[Hit]) -> dict[str, Any]:
        needles = marks.of_query(self.node)
        for way in foreign_names(dismax.words_of(self.node)):
            for word in way:
                needles.add_phrase(word)
        if self._forgiving is not None:
            for right in spelling.corrections(self.select, self._forgiving).values():
                needles.add_phrase(right)
            for segment in self._forgiving.segments:
                letters = "" if segment.found else pinyin.typed(segment.text)
                if len(letters) > 1:
                    needles.letters.add(letters)
        return highlight.Highlighter(self.select.parameters, needles).answer(
            self.select.heads_of([(0.0, hit.address) for hit in hits])
        )

    def _spelling(self, total: int) -> dict[str, Any]:
        extended = self.select.parameters.get("spellcheck.collateExtendedResults", ["true"])[-1] != "false"
        other = self.select.parameters.get("spellcheck.q", [""])[-1].strip()
        if other and other != self.text.strip():
            return self._of_other(other, extended)
        forgiving = self._forgiving
        if forgiving is None and not total and self.node is not None:
            shape = self.shape or Dismax(((self.select.default_field, 1.0),))
            forgiving = Forgiving(self.select, self.node, shape)
        return spelling.answer(self.select, self.text, forgiving, extended=extended)

    def _of_other(self, text: str, extended: bool) -> dict[str, Any]:
        shape = self.shape or Dismax(((self.select.default_field, 1.0),))
        try:
            node = parse_with_locals(text, conjunction=True)
        except SearchFault:
            node = None
        found = self.select.count_of(text)
        forgiving = None if found or node is None else Forgiving(self.select, node, shape)
        return spelling.answer(self.select, text, forgiving, extended=extended)


def foreign_names(texts: Sequence[str]) -> list[list[str]]:
    """Words of a query with an English name of several words (``air quality``) in Chinese; at most two ways."""
    found: list[list[str]] = []
    if len(texts) < 2 or len(texts) > 20:
        return found
    for at in range(len(texts) - 1):
        for size in range(min(MAX_WORDS, len(texts) - at), 1, -1):
            names = SYNONYMS.of(" ".join(texts[at : at + size]).lower())
            if names:
                found.append([*texts[:at], names[0], *texts[at + size :]])
                break
        if len(found) == 2:
            break
    return found
