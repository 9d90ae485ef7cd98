"""What must hold for the answer to any request."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ops.search import among, covered, facets
from ops.search.engine import Engine
from ops.search.errors import SearchFault
from ops.search.fuzz import catalogue
from ops.search.fuzz.requests import Request
from ops.search.select import Select
from ops.search.suggest import Suggest

SLOW_S = 20.0
"""Processor time of one request that is a finding by itself; the budget of calls finds what grows too fast."""
CALLS_A_CHARACTER = 250
CALLS_BESIDES = 60_000
"""Python calls that one request over these few documents may make."""
FREQUENT, MANY, ALONG = 1, 2, 10
"""Documents from which on a word is frequent, hits are many and are too many to come along with the best of them: what
is done only then is done in a small index too."""


class Finding(Exception):
    """A property that does not hold."""


@dataclass
class Counts:
    requests: int = 0
    refused: int = 0
    found: int = 0
    compared: int = 0
    metered: int = 0
    slowest_s: float = 0.0
    slowest: Request = field(default_factory=dict)
    most_calls: float = 0.0
    """The largest share of the budget of calls that a request used."""

    def summary(self) -> str:
        return (
            f"{self.requests} requests, {self.refused} refusals, {self.found} with hits, "
            f"{self.compared} asked with and without hidden documents, {self.metered} metered; "
            f"at most {self.most_calls:.0%} of the budget of calls, slowest {self.slowest_s:.2f} s"
        )


@contextmanager
def calls() -> Iterator[list[int]]:
    """Counts Python calls made inside: the same for the same work, on any machine."""
    count = [0]

    def tick(frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            count[0] += 1

    before = sys.getprofile()
    sys.setprofile(tick)
    try:
        yield count
    finally:
        sys.setprofile(before)


class Properties:
    """Asks two catalogues, one with documents behind labels and one without them."""

    def __init__(self, home: Path) -> None:
        self.full = catalogue.opened(home / "full", with_hidden=True)
        self.open = catalogue.opened(home / "open", with_hidden=False)
        self.visible = {one["name"] for one in catalogue.documents(hidden=False)}
        self.counts = Counts()
        self._usual = covered.LEAST, facets.MANY, facets.ALONG, among.MANY
        covered.LEAST, facets.MANY, facets.ALONG, among.MANY = FREQUENT, MANY, ALONG, FREQUENT

    def close(self) -> None:
        covered.LEAST, facets.MANY, facets.ALONG, among.MANY = self._usual
        self.full.close()
        self.open.close()

    def check(self, request: Request, *, compare: bool = True, meter: bool = False) -> None:
        """Raises ``Finding``; any other exception is a crash."""
        if catalogue.MARK in json.dumps(request):
            return
        self.counts.requests += 1
        begun = time.thread_time()
        if meter:
            with calls() as count:
                answer = self._ask(self.full, request)
            self._within_budget(request, count[0])
        else:
            answer = self._ask(self.full, request)
        took = time.thread_time() - begun
        if took > self.counts.slowest_s:
            self.counts.slowest_s, self.counts.slowest = took, request
        if took > SLOW_S:
            raise Finding(f"{took:.1f} s of processor time")
        self._tells_nothing(answer)
        if compare:
            self.counts.compared += 1
            self._same(self._wide(request))

    def _within_budget(self, request: Request, count: int) -> None:
        self.counts.metered += 1
        characters = sum(len(name) + len(value) for name, values in request.items() for value in values)
        share = count / (CALLS_BESIDES + CALLS_A_CHARACTER * characters)
        self.counts.most_calls = max(self.counts.most_calls, share)
        if share > 1:
            raise Finding(f"{count} calls for {characters} characters")

    def _ask(self, engine: Engine, request: Request) -> dict[str, Any] | str:
        parameters = {**request, "fq": [*request.get("fq", []), catalogue.LABELS]}
        ask: Callable[[], dict[str, Any]]
        try:
            if parameters.get("suggest", [""])[-1] == "true":
                ask = Suggest(engine, parameters).answer
            else:
                ask = Select(engine, parameters).answer
            answer = ask()
        except SearchFault as fault:
            if fault.code >= 500:
                raise Finding(f"{fault.code} {fault.message}") from fault
            self.counts.refused += 1
            return fault.message
        answer.pop("responseHeader", None)
        return answer

    def _tells_nothing(self, answer: dict[str, Any] | str) -> None:
        if catalogue.MARK in json.dumps(answer).lower():
            raise Finding(f"an answer holds what is behind a label: {str(answer)[:2000]}")
        if isinstance(answer, str) or "response" not in answer:
            return
        response = answer["response"]
        self.counts.found += response["numFound"] > 0
        if response["numFound"] > len(self.visible):
            raise Finding(f"{response['numFound']} documents where {len(self.visible)} may be seen")
        strangers = [one for one in response["docs"] if "name" in one and one["name"] not in self.visible]
        if strangers:
            raise Finding(f"hidden documents: {strangers}")
        for counts in answer.get("facet_counts", {}).get("facet_fields", {}).values():
            if any(isinstance(count, int) and count > len(self.visible) for count in counts[1::2]):
                raise Finding(f"a count of hidden documents: {counts}")

    @staticmethod
    def _wide(request: Request) -> Request:
        """The same with every hit, so that an order by how rare words are cannot choose among them."""
        return {**request, "rows": ["1000"], "start": ["0"]}

    def _same(self, request: Request) -> None:
        one, two = (_plain(self._ask(engine, request)) for engine in (self.full, self.open))
        if one != two:
            raise Finding(
                f"hidden documents change the answer:\n with    {str(one)[:1500]}\n without {str(two)[:1500]}"
            )


def _plain(answer: dict[str, Any] | str) -> Any:
    """Without scores and the order, which rest on how rare words are in the whole index (as in Solr)."""
    if isinstance(answer, str) or "response" not in answer:
        return answer
    response = dict(answer["response"])
    response.pop("maxScore", None)
    kept = [{key: value for key, value in one.items() if key not in ("score", "_version_")} for one in response["docs"]]
    response["docs"] = sorted(json.dumps(one, sort_keys=True) for one in kept)
    return {**answer, "response": response}
