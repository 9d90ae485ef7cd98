"""A select request: parameters in, Solr's answer out."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Collection, Sequence
from typing import Any

from tantivy import Occur as TOccur
from tantivy import Query

from ops.search import dismax, facets
from ops.search.assist import Assist
from ops.search.boosting import UNIT, Boosts, Table, boosted
from ops.search.budget import Budget
from ops.search.compile import Compiler, Dismax
from ops.search.engine import Engine, Snapshot
from ops.search.errors import SearchFault, unsupported
from ops.search.fields import EXACT, SEP, SEQUENCE
from ops.search.frequencies import Frequencies
from ops.search.local import parse_with_locals
from ops.search.nodes import Bool, Node, Occur, Phrase, Term
from ops.search.parameters import Parameters, last, truth, whole
from ops.search.ranges import numbered
from ops.search.schema import Kind, field_of
from ops.search.sorting import By, Hit, Key, Sorter, parse_sort
from ops.search.store import BIG_FIELDS
from ops.search.typed import Main, main_query

REFUSED = (
    "group", "stats", "mlt", "expand", "terms", "facet.pivot", "facet.range", "facet.interval",
    "facet.heatmap", "facet.date", "json", "json.facet", "json.filter", "json.query", "cursorMark", "shards", "rq",
    "stream.body", "collapse",
)
"""Parameters that would change the answer and that this service does not speak: refused, never ignored."""
MAX_KEPT = 2_000
"""Filters that a snapshot remembers."""
ID_ONLY = frozenset({"id", *BIG_FIELDS})
"""Fields for which the rest of a document is not read."""
BEST = 5
"""Of the best hits so few nearly always have one that holds every word."""
BY_SCORE = Key(By.SCORE, "score", "", True)
_FL_NAME = re.compile(r"^[^\s()\[\]{}:'\"!]+$")


class Select:
    """One request over one snapshot."""

    def __init__(self, engine: Engine, parameters: Parameters) -> None:
        self.engine = engine
        self.parameters = parameters
        self.snapshot: Snapshot = engine.snapshot()
        self.now = engine.clock()
        self.budget = Budget()
        self._main = Main(Query.empty_query(), True)
        self._filters: list[tuple[TOccur, Query]] | None = None
        """Those that exclude anything."""

    def answer(self) -> dict[str, Any]:
        began = time.perf_counter()
        self._check()
        searcher = self.snapshot.searcher
        main = self._main = main_query(self)
        query = self._filtered(main.query)
        rows, start = whole(self.parameters, "rows", 10), whole(self.parameters, "start", 0, high=10_000_000)
        keys = parse_sort(last(self.parameters, "sort")) or [BY_SCORE]
        if main.constant:
            keys = [key for key in keys if key.by is not By.SCORE]
        rescore = self._rescore if main.boosts else None
        counting = facets.Counting(self, main.query, query) if truth(self.parameters, "facet") else None
        ahead = None if counting is None or main.constant else counting.ahead
        sorter = Sorter(self.engine.schema, searcher, self._values, rescore, ahead)
        hits = sorter.window(query, keys, start, min(start + rows, max(1, searcher.num_docs)))
        total = sorter.total
        assist = Assist(self, main.text, main.node, main.shape)
        other = assist.forgive(main.query, total, hits) if last(self.parameters, "forgive") != "false" else None
        if other is not None:
            query = self._filtered(other)
            sorter = Sorter(self.engine.schema, searcher, self._values, rescore, ahead)
            hits = sorter.window(query, keys, start, min(start + rows, max(1, searcher.num_docs)))
            total = sorter.total
        wanted = self._wanted()
        response: dict[str, Any] = {"numFound": total, "start": start, "numFoundExact": True}
        if "score" in wanted:
            hits = [Hit(hit.address, UNIT) for hit in hits] if main.constant else self._scored(query, hits)
            best = Sorter(self.engine.schema, searcher, self._values, rescore).window(query, [BY_SCORE], 0, 1)
            response["maxScore"] = float(main.constant) or self._shown(best[0].score) if best else 0.0
        response["docs"] = self._documents(hits, wanted)
        result: dict[str, Any] = {
            "responseHeader": {"status": 0, "QTime": 0}, "response": response,
        }
        if counting is not None:
            result["facet_counts"] = (
                counting.result(sorter) if other is None else facets.counts(self, query, sorter)
            )
        result.update(assist.answer(hits, total if other is None else 0))
        result["responseHeader"]["QTime"] = int((time.perf_counter() - began) * 1000)
        return result

    def _check(self) -> None:
        for name in self.parameters:
            base = name.split(".", 2)[-1] if name.startswith("f.") else name
            if name.startswith("f.") and base == "qf":
                raise unsupported("A name for several fields (f.NAME.qf)")
            if base in REFUSED and last(self.parameters, name).lower() not in ("", "false", "off", "no", "0"):
                raise unsupported(f"The parameter {name}")
        if last(self.parameters, "wt", "json") != "json":
            raise unsupported("Any response writer (wt) but json")

    # -- queries -----------------------------------------------------------------------------------------

    def compiler(self, shape: Dismax | None = None) -> Compiler:
        operator = last(self.parameters, "q.op", "OR").upper()
        if operator not in ("AND", "OR"):
            raise SearchFault(f"Invalid q.op: {operator[:20]}")
        return Compiler(
            self.engine.schema, self.snapshot.searcher, self.now, last(self.parameters, "df", "text"),
            operator == "AND", shape, self.budget, self.snapshot.values.covered, self.snapshot.sequence,
            self._frequencies(),
        )

    def _frequencies(self) -> Frequencies:
        kept = self.snapshot.kept
        found: Frequencies | None = kept.get("frequencies")
        if found is None:
            found = kept.setdefault("frequencies", Frequencies(self.snapshot.searcher))
        return found

    def lucene(self, text: str) -> tuple[Query, Node | None]:
        """A text in Lucene's grammar (``fq``, ``facet.query``, ``bq`` and ``q`` without defType)."""
        compiler = self.compiler()
        node = parse_with_locals(text, conjunction=compiler.conjunction)
        return compiler.query(node), node

    def visible(self) -> Query:
        """Everything that the filters let through, whatever is searched for."""
        return self._filtered(Query.all_query())

    def _filtered(self, main: Query) -> Query:
        """The main query under every filter; filters do not score."""
        if self._filters is None:
            texts = [text for text in self.parameters.get("fq", []) if text.strip()]
            queries = [self._filter(text) for text in texts]
            self._filters = [(TOccur.Must, query) for query in queries if query is not None]
        return Query.boolean_query([(TOccur.Must, main), *self._filters]) if self._filters else main

    def _filter(self, text: str) -> Query | None:
        """One filter; what a text means is remembered for as long as nothing is written. None lets all through."""
        key = (text, self.default_field, last(self.parameters, "q.op", "OR").upper())
        kept = self.snapshot.filters
        found: tuple[Query | None, int] | None = kept.get(key)
        if found is not None:
            self.budget.spend(found[1])
            return found[0]
        before = self.budget.left
        compiled, node = self.lucene(text)
        query = None if self._is_all(compiled, node) else Query.const_score_query(compiled, 0.0)
        if len(kept) < MAX_KEPT and len(text) < 2_000 and "NOW" not in text:
            kept[key] = (query, before - self.budget.left)
        return query

    def _is_all(self, query: Query, node: Node | None) -> bool:
        """Is a filter for one value met by all documents, such as the one for a site?"""
        while isinstance(node, Bool) and len(node.clauses) == 1 and node.clauses[0][0] is not Occur.MUST_NOT:
            node = node.clauses[0][1]
        if not isinstance(node, Term | Phrase):
            return False
        searcher = self.snapshot.searcher
        having = self._frequencies().of(EXACT, f"{node.field or self.default_field}{SEP}{node.text}")
        return having >= int(searcher.num_docs) and searcher.search(query, 1).count == searcher.num_docs

    # -- for assistance ----------------------------------------------------------------------------------

    @property
    def default_field(self) -> str:
        return last(self.parameters, "df", "text")

    def truth(self, name: str) -> bool:
        return truth(self.parameters, name)

    def filtered(self, main: Query, texts: Sequence[str] | None = None) -> Query:
        """A query under the caller's filters, or under others."""
        if texts is None:
            return self._filtered(main)
        queries = [self._filter(text) for text in texts]
        return Query.boolean_query([(TOccur.Must, main), *((TOccur.Must, one) for one in queries if one is not None)])

    def finds(self, query: Query, among: Sequence[Hit] = ()) -> bool:
        """Is there a hit under the caller's filters? Nothing is scored; ``among`` are hits that it may be one of."""
        searcher = self.snapshot.searcher
        unscored = self._filtered(Query.const_score_query(query, 0.0))
        for some in (among[:BEST], among[BEST:]):
            these = numbered(self.engine.schema, searcher.fast_field_values(SEQUENCE, [hit.address for hit in some]))
            both = Query.boolean_query([(TOccur.Must, these), (TOccur.Must, query)])
            if some and searcher.search(both, 1, count=False, order_by_field=SEQUENCE).hits:
                return True
        return bool(searcher.search(unscored, 1, count=False, order_by_field=SEQUENCE).hits)

    def count_of(self, text: str) -> int:
        """How many documents another text would find under the same filters and fields."""
        shape = self._main.shape or Dismax(((self.default_field, 1.0),))
        query = self.compiler(shape).query(dismax.parse_dismax(text))
        return int(self.snapshot.searcher.search(self._filtered(query), 1).count)

    def heads_of(self, hits: Sequence[tuple[Any, Any]]) -> list[dict[str, Any]]:
        """Documents of (score, address) pairs in their order, without the big fields."""
        if not hits:
            return []
        sequences = self.snapshot.searcher.fast_field_values(SEQUENCE, [address for _, address in hits])
        heads = self.snapshot.store.heads(sequences)
        return [heads[sequence] for sequence in sequences if sequence in heads]

    # -- documents ---------------------------------------------------------------------------------------

    def _values(self, sequences: Sequence[int], name: str) -> dict[int, str]:
        heads = self.snapshot.store.heads(sequences)
        return {seq: str(head[name]) for seq, head in heads.items() if head.get(name) is not None}

    def _wanted(self) -> list[str]:
        names: list[str] = []
        for value in self.parameters.get("fl", []):
            for name in value.replace(",", " ").split():
                if not _FL_NAME.match(name):
                    raise unsupported(f"'{name[:100]}' in fl (names, * and score are)")
                names.append(name)
        return names or ["*"]

    def _scored(self, query: Query, hits: list[Hit]) -> list[Hit]:
        """Scores for hits that were sorted by something else."""
        missing = [hit.address for hit in hits if hit.score is None]
        if not missing:
            return hits
        searcher = self.snapshot.searcher
        sequences = searcher.fast_field_values(SEQUENCE, missing)
        these = numbered(self.engine.schema, sequences)
        both = Query.boolean_query([(TOccur.Must, query), (TOccur.Must, these)])
        scores = {
            (address.segment_ord, address.doc): score
            for score, address in self._scores(both, searcher.search(both, len(missing)).hits)
        }
        return [
            Hit(hit.address, scores.get((hit.address.segment_ord, hit.address.doc), 0.0))
            if hit.score is None else hit
            for hit in hits
        ]

    def _scores(self, query: Query, pairs: list[tuple[float, Any]]) -> list[tuple[float, Any]]:
        return self._rescore(query, pairs) if self._main.boosts else pairs

    def _rescore(self, query: Query, pairs: list[tuple[float, Any]]) -> list[tuple[float, Any]]:
        """(score, address) pairs of a query's hits after ``bf`` and ``boost``."""
        addresses = [address for _, address in pairs]
        table = Table(
            self.engine.schema, self.snapshot.searcher, query, addresses, self.visible(), self.now, self._values
        )
        scores = boosted(table, self._main.boosts or Boosts(), [score for score, _ in pairs])
        return list(zip(scores, addresses, strict=True))

    def _shown(self, score: float | None) -> float:
        """A score in Solr's measure."""
        return score or 0.0 if self._main.boosts else (score or 0.0) / UNIT

    def _documents(self, hits: list[Hit], wanted: list[str]) -> list[dict[str, Any]]:
        if not hits:
            return []
        sequences = self.snapshot.searcher.fast_field_values(SEQUENCE, [hit.address for hit in hits])
        globs = [name for name in wanted if "*" in name or "?" in name]
        names = dict.fromkeys(wanted)
        big = [name for name in BIG_FIELDS if name in names or any(fnmatch.fnmatchcase(name, g) for g in globs)]
        store = self.snapshot.store
        bigs = store.bigs(sequences, big) if big else {}
        heads: dict[int, dict[str, Any]] = bigs if big and names.keys() <= ID_ONLY else store.heads(sequences)
        documents = []
        for hit, sequence in zip(hits, sequences, strict=True):
            head = heads.get(sequence)
            if head is None:
                continue
            document = _stored(head, names, globs)
            found = bigs.get(sequence, {})
            document.update((name, found[name]) for name in big if name in found)
            if "*" in names or "_version_" in names:
                document["_version_"] = str(sequence)
            if "score" in names:
                document["score"] = self._shown(hit.score)
            documents.append(document)
        return documents


def _stored(head: dict[str, Any], names: Collection[str], globs: list[str]) -> dict[str, Any]:
    """The stored fields of a document that were asked for, in the shapes that Solr gives them."""
    full = dict(head) if globs else {name: head[name] for name in names if name in head}
    for source, copy in (("title", "title_ngram"), ("name", "name_ngram")):
        if source in head and (globs or copy in names):
            full.setdefault(copy, head[source])
    document: dict[str, Any] = {}
    for name, value in full.items():
        field = field_of(name)
        if not field.stored or value is None or value == []:
            continue
        if name not in names and not any(fnmatch.fnmatchcase(name, glob) for glob in globs):
            continue
        if field.multi:
            document[name] = [_plain(one, field.kind) for one in (value if isinstance(value, list) else [value])]
        else:
            document[name] = _plain(value[0] if isinstance(value, list) else value, field.kind)
    return document


def _plain(value: Any, kind: Kind) -> Any:
    if kind is Kind.INT:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
