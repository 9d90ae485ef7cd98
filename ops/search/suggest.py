"""Suggestions while somebody types: titles and tags of datasets that the caller's filters let through."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tantivy import Occur as TOccur
from tantivy import Query

from ops.search import analysis, forgiving, grams, reading
from ops.search.chinese import pinyin
from ops.search.chinese.distance import one_apart
from ops.search.chinese.folding import normalize, with_offsets
from ops.search.chinese.lexicon import LEXICON
from ops.search.documents import texts
from ops.search.engine import Engine
from ops.search.fields import EXACT, SEP, place_of
from ops.search.marks import Needles, Span, marked, sound_spans
from ops.search.nodes import Term
from ops.search.parameters import last, whole
from ops.search.select import Select

MAX_QUERY = 60
"""Longer texts are cut: nobody types that much before choosing."""
MAX_ROWS = 50
CANDIDATES = 40
ENOUGH = 20
"""With so many more than are shown, broader ways to read what was typed are not tried."""
MAX_TAGS = 3
"""Tags stand after the datasets, at most so many."""

Match = tuple[str, list[Span]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    rank: tuple[float, ...]
    body: dict[str, Any]


class Suggest:
    """One request: ``q``, ``rows``, ``fq`` and the marks."""

    def __init__(self, engine: Engine, parameters: Mapping[str, list[str]]) -> None:
        self.select = Select(engine, parameters)
        self.schema = engine.schema
        self.text = last(parameters, "q").strip()
        self.plain = " ".join(normalize(self.text[:MAX_QUERY]).lower().split())
        self.rows = whole(parameters, "rows", 10, low=1, high=MAX_ROWS)
        self.before = last(parameters, "hl.simple.pre") or "<em>"
        self.after = last(parameters, "hl.simple.post") or "</em>"
        self.letters = pinyin.typed(self.plain.replace(" ", ""))

    def answer(self) -> dict[str, Any]:
        began = time.perf_counter()
        found = self._found() if self.plain else []
        took = int((time.perf_counter() - began) * 1000)
        return {
            "responseHeader": {"status": 0, "QTime": took},
            "suggest": {"q": self.text, "numFound": len(found), "suggestions": found},
        }

    def _found(self) -> list[dict[str, Any]]:
        heads = self._heads(self._queries())
        typo = False
        if not heads:
            heads, typo = self._heads(self._slips()), True
        datasets: dict[str, Suggestion] = {}
        tags: dict[str, Match] = {}
        for head in heads:
            title = next(iter(texts("title", head.get("title"))), "")
            match = self._match(title, typo=typo)
            if match is not None and title not in datasets:
                datasets[title] = self._dataset(head, title, match)
            for tag in texts("tags", head.get("tags")):
                match = None if typo else self._match(tag, typo=False, whole_query=True)
                if match is not None:
                    tags.setdefault(tag, match)
        ranked = [one.body for one in sorted(datasets.values(), key=lambda one: one.rank)]
        shown = [self._tag(tag, match) for tag, match in list(tags.items())[: MAX_TAGS * 3]]
        shown = sorted((one for one in shown if one["count"]), key=lambda one: -int(one["count"]))[:MAX_TAGS]
        room = max(self.rows - len(shown), self.rows // 2)
        return (ranked[:room] + shown)[: self.rows]

    # -- candidates --------------------------------------------------------------------------------------

    def _queries(self) -> list[Query]:
        """Ways to read what was typed; each is asked for by itself, so that a broad one hides none of the others."""
        found: list[Query] = []
        title, _ = place_of("title_ngram")
        words = self.plain.split()
        if all(grams.LEAST <= len(word) <= grams.MOST for word in words):
            each = [(TOccur.Must, grams.containing(self.schema, title, word)) for word in words]
            found.append(Query.boolean_query(each))
        compiler = self.select.compiler()
        compiler.conjunction = True
        for name in ("title", "name_ngram"):
            found.append(compiler.query(Term(name, self.plain)))
        if len(self.letters) > 1:
            for query in (
                reading.by_syllables(self.schema, self.letters, unfinished=True),
                reading.by_initials(self.schema, self.letters),
            ):
                found += [] if query is None else [query]
        mixture = reading.mixed(self.schema, self.plain)
        found += [] if mixture is None else [mixture]
        found += self._tagged()
        return found

    def _tagged(self) -> list[Query]:
        """Datasets with a tag that begins as typed."""
        place, prefix = place_of("tags")
        pattern = "".join("\\" + char if char in r"\.+*?()|[]{}^$#&-~" else char for char in self.plain)
        found = [Query.regex_query(self.schema, place, f"{prefix}{pattern}(?s:.)*")]
        heard = LEXICON.sounding(self.letters) if len(self.letters) > 1 else []
        if heard:
            found.append(Query.term_set_query(self.schema, place, [prefix + word for word in heard]))
        return found

    def _slips(self) -> list[Query]:
        found: list[Query] = []
        run = self.plain.replace(" ", "")
        if analysis.has_cjk(run) and not any(char.isascii() for char in run):
            sound = reading.by_sound(self.schema, run)
            found += [] if sound is None else [sound]
            found += forgiving.slipped_titles(self.schema, run)
        elif len(run) >= forgiving.LATIN_MIN and run.isascii() and run.isalpha():
            stems = list(dict.fromkeys(analysis.stem(slip) for slip in forgiving.latin_slips(run)))
            found.append(Query.term_set_query(self.schema, "title", stems))
        return found

    def _heads(self, queries: Iterable[Query]) -> list[dict[str, Any]]:
        """The best visible documents of each query, each document once."""
        searcher = self.select.snapshot.searcher
        found: dict[str, dict[str, Any]] = {}
        for query in queries:
            hits = searcher.search(self.select.filtered(query), CANDIDATES, count=False).hits
            for head in self.select.heads_of(hits):
                found.setdefault(str(head["index_id"]), head)
            if len(found) >= self.rows + ENOUGH:
                break
        return list(found.values())

    # -- what is shown -----------------------------------------------------------------------------------

    def _match(self, text: str, *, typo: bool, whole_query: bool = False) -> Match | None:
        """How a text answers what was typed (``whole_query``: not only some words of it), and where."""
        plain, places = with_offsets(text)

        def spans(found: list[Span]) -> list[Span]:
            return [(places[start], places[end - 1] + 1) for start, end in found]

        at = plain.find(self.plain)
        if at >= 0:
            return "text", spans([(at, at + len(self.plain))])
        if len(self.letters) > 1:
            heard = sound_spans(plain, self.letters)
            if heard:
                short = all(end - start == len(self.letters.replace("'", "")) for start, end in heard)
                return ("initials" if short else "pinyin"), spans(heard[:1])
        if typo:
            return "typo", spans(_slipped(plain, self.plain.replace(" ", "")))
        whole_text = self.plain.replace(" ", "")
        if analysis.has_cjk(whole_text) and not all(analysis.has_cjk(char) for char in whole_text):
            for at in range(len(plain)):
                length = pinyin.match_length(plain, at, whole_text)
                if length is not None:
                    return "mixed", spans([(at, at + length[0])])
        if whole_query:
            return None
        needles = Needles()
        needles.add_text(self.plain)
        found = needles.spans(text)
        return ("text", found) if found else None

    def _dataset(self, head: dict[str, Any], title: str, match: Match) -> Suggestion:
        kind, spans = match
        order = ("text", "pinyin", "initials", "mixed", "typo").index(kind)
        start = spans[0][0] if spans else len(title)
        covered = sum(high - low for low, high in spans)
        body = {
            "kind": "dataset",
            "text": title,
            "name": head.get("name"),
            "id": head.get("id"),
            "highlight": marked(title, spans, self.before, self.after),
            "match": kind,
        }
        return Suggestion((0 if covered >= len(self.plain) else 1, order, start > 0, len(title), start), body)

    def _tag(self, tag: str, match: Match) -> dict[str, Any]:
        term = Query.term_query(self.schema, EXACT, f"tags{SEP}{tag}", "basic")
        count = self.select.snapshot.searcher.search(self.select.filtered(term), 1).count
        kind, spans = match
        return {
            "kind": "tag",
            "text": tag,
            "count": int(count),
            "highlight": marked(tag, spans, self.before, self.after),
            "match": kind,
        }


def _slipped(plain: str, typed: str) -> list[Span]:
    """Where a text sounds like what was typed or is one slip away."""
    size = len(typed)
    sound, heard = pinyin.readings(typed), pinyin.readings(plain)
    for length in (size, size + 1, size - 1):
        for at in range(max(0, len(plain) - length + 1)):
            window = plain[at : at + length]
            if (length == size and heard[at : at + size] == sound) or one_apart(typed, window):
                return [(at, at + length)]
    return []
