"""Hostile requests: a short run of the fuzzer with a fixed seed, and what longer runs have found."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator

import pytest

from ops.search import dismax
from ops.search.errors import SearchFault
from ops.search.functions import parse_function
from ops.search.fuzz import catalogue, parsers
from ops.search.fuzz.__main__ import stream
from ops.search.fuzz.properties import Finding, Properties, calls
from ops.search.fuzz.requests import Request, decode, encode
from ops.search.local import parse_with_locals
from ops.search.oracle.corpus import NOW
from ops.search.regex import rewrite

COUNT = int(os.environ.get("GOVOPEN_SEARCH_FUZZ", "700"))

FOUND: list[Request] = [
    {"q": ["*:*"], "fq": ['-text:"road death Nation roads"~5']},
]
"""Requests that once broke a property."""


@pytest.fixture(scope="module")
def properties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Properties]:
    opened = Properties(tmp_path_factory.mktemp("fuzz"))
    yield opened
    opened.close()


def test_any_request_is_answered_without_what_is_behind_labels(properties: Properties) -> None:
    for number, request in enumerate(stream(Namespace(seed=20261123, count=COUNT, minutes=0))):
        try:
            properties.check(request, compare=number % 2 == 0, meter=number % 10 == 0)
        except Exception as problem:
            raise AssertionError(f"{request}: {problem}") from problem
    assert properties.counts.found > COUNT / 10


@pytest.mark.parametrize("request_", FOUND)
def test_what_was_found_stays_mended(properties: Properties, request_: Request) -> None:
    properties.check(request_, meter=True)


@pytest.mark.parametrize("request_", [
    {"q": ["permission_labels:*"], "facet": ["true"], "facet.field": ["permission_labels", "tags", "name", "title"],
     "facet.mincount": ["0"], "facet.limit": ["-1"], "rows": ["1000"]},
    {"q": ['*:* OR permission_labels:"member-z"'], "fl": ["*"]},
    {"q": ["x"], "fq": ['permission_labels:"member-z"', "{!bool should=permission_labels:member-z should=*:*}"]},
    {"q": ["{!term f=permission_labels}member-z"]}, {"q": ["{!lucene df=permission_labels}member-z OR *:*"]},
    {"q": ["*"], "defType": ["edismax"], "qf": ["permission_labels^9 title"], "bq": ["permission_labels:*"]},
    {"q": ["*:*"], "sort": ["permission_labels asc"]}, {"q": ["*:*"], "sort": ["name desc"], "rows": ["1000"]},
    {"q": ["*:*"], "defType": ["edismax"], "boost": ["scale(views_total,0,1)"], "fl": ["name,score"]},
    {"q": ["title\x1f*"]}, {"q": ["*:/.*/"]}, {"q": ["name:/.*/ OR tags:*"], "facet": ["true"], "facet.query": ["*:*"]},
    {"q": ["机密"], "hl": ["true"], "spellcheck": ["true"]}, {"q": ["机"], "suggest": ["true"]},
    {"q": ["jm"], "suggest": ["true"]},
    {"q": ["watre"], "defType": ["dismax"], "qf": ["title text"], "spellcheck": ["true"]},
])
def test_known_ways_around_labels_lead_nowhere(properties: Properties, request_: Request) -> None:
    properties.check(request_)


def test_the_properties_see_a_leak(properties: Properties) -> None:
    """The checks themselves: without the labels' filter they raise."""
    answer = {"response": {"numFound": 1, "docs": [{"name": f"{catalogue.MARK}-1"}]}}
    with pytest.raises(Finding, match="behind a label"):
        properties._tells_nothing(answer)
    with pytest.raises(Finding, match="hidden documents"):
        properties._tells_nothing({"response": {"numFound": 1, "docs": [{"name": "another"}]}})


def test_requests_survive_their_bytes() -> None:
    request = {"q": ["空气 \x1f"], "fq": ["a", "b"], "defType": ["edismax"]}
    assert decode(encode(request)) == request
    for number in range(256):
        decode(bytes([number]) * 40)


@pytest.mark.parametrize("piece", [
    "a ", "(a ", "-(a) ", '"a b"~2 ', "a:b ", "a:[b TO c] ", "/a.b/ ", "a*b? ", "a~1 ", "a^2 ", "+", "- ", "&& a ",
    "\\", "\\u0041",
    "{!bool must=a ", "*:* ", "空气 ", "'", ":", "a AND b OR ", "NOT ", "]", "^", "~",
])
def test_work_grows_no_faster_than_the_text(piece: str) -> None:
    """In calls, not in seconds: twice the text is at most about twice the work, answered or refused."""
    counts = []
    for times in (200, 400):
        with calls() as count:
            for parse in (
                lambda text: parse_with_locals(text, conjunction=True), dismax.parse_dismax, dismax.parse_edismax,
            ):
                try:
                    parse(piece * times)
                except SearchFault:
                    continue
        counts.append(count[0])
    assert counts[1] <= 2.2 * counts[0] + 200


@pytest.mark.parametrize("text", ["sum(1," * 3000, "-" * 5000, "sum(" + "1," * 5000 + "1)", "(" * 4000, "a" * 4001])
def test_functions_are_limited(text: str) -> None:
    with calls() as count, pytest.raises(SearchFault):
        parse_function(text, NOW)
    assert count[0] < 5_000


@pytest.mark.parametrize("pattern", [
    "(" * 200, "a{999999}", "((a{40}){40}){40}", "a" * 501, "[" * 300, "(a|" * 160, "a{1,", "~a",
])
def test_regular_expressions_are_limited(pattern: str) -> None:
    with calls() as count, pytest.raises(SearchFault):
        rewrite(pattern, str.lower)
    assert count[0] < 20_000


def test_parsers_take_any_text() -> None:
    for request in stream(Namespace(seed=5, count=300, minutes=0)):
        parsers.check(request)


@pytest.mark.parametrize("request_", [
    {"q": ["a* " * 600]}, {"q": ["/a.b/ " * 450]}, {"q": ["tag~2 " * 450]}, {"q": ['"' + "a b " * 6000 + '"~3']},
    {"q": ["title:[a TO b] " * 450]}, {"q": ["*:*"], "fq": ["a?c " * 100] * 5}, {"q": ["a-b-c-d" * 24_000]},
    {"q": ["word " * 15_000], "defType": ["edismax"], "qf": ["title text notes author tags"]},
])
def test_a_request_may_not_ask_for_everything(properties: Properties, request_: Request) -> None:
    """What a request makes the engine do is counted, over all its texts."""
    answer = properties._ask(properties.full, request_)
    assert isinstance(answer, str)
    assert "too much" in answer or "too many" in answer
