"""Lucene's grammar: what is accepted, what it means, what is refused, and that nothing crashes it."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.search.dismax import parse_dismax, parse_edismax
from ops.search.errors import QuerySyntaxFault, SearchFault
from ops.search.local import parse_with_locals
from ops.search.lucene import parse
from ops.search.mm import minimum_should_match
from ops.search.nodes import All, Bool, Boost, Exists, Fuzzy, Joker, Node, Occur, Phrase, Range, Term, Wildcard

MUST, SHOULD, NOT = Occur.MUST, Occur.SHOULD, Occur.MUST_NOT


def a(text: str, field: str | None = None) -> Term:
    return Term(field, text)


@pytest.mark.parametrize(("text", "meaning"), [
    ("*:*", All()),
    ("rivers", a("rivers")),
    ("a b", Bool(((MUST, a("a")), (MUST, a("b"))))),
    ("a OR b", Bool(((SHOULD, a("a")), (SHOULD, a("b"))))),
    ("a || b && c", Bool(((SHOULD, a("a")), (MUST, a("b")), (MUST, a("c"))))),
    ("+a OR +b", Bool(((SHOULD, a("a")), (SHOULD, a("b"))))),
    ("a NOT b", Bool(((MUST, a("a")), (NOT, a("b"))))),
    ("a -b !c", Bool(((MUST, a("a")), (NOT, a("b")), (NOT, a("c"))))),
    ("-a", Bool(((NOT, a("a")),))),
    ("tags:x", a("x", "tags")),
    ("tags : x", a("x", "tags")),
    ("tags:(x OR y)", Bool(((SHOULD, a("x", "tags")), (SHOULD, a("y", "tags"))))),
    ('"a b"', Phrase(None, "a b")),
    ('title:"a b"~3', Phrase("title", "a b", 3)),
    ('"a \\"b\\""', Phrase(None, 'a "b"')),
    ("a^2.5", Boost(a("a"), 2.5)),
    ("(a b)^=3", Boost(Bool(((MUST, a("a")), (MUST, a("b")))), 3.0, True)),
    ("roam~", Fuzzy(None, "roam", 2)),
    ("roam~1", Fuzzy(None, "roam", 1)),
    ("roam~0.8", Fuzzy(None, "roam", 0)),
    ("name:*", Exists("name")),
    ("r?v*", Wildcard(None, ("r", Joker.ONE, "v", Joker.ANY))),
    ("r\\*", a("r*")),
    ("x:[a TO b}", Range("x", "a", "b", True, False)),
    ("x:{* TO 2020-01-01T00:00:00Z]", Range("x", None, "2020-01-01T00:00:00Z", False, True)),
    ('x:["a b" TO c]', Range("x", "a b", "c", True, True)),
    ("a\\:b", a("a:b")),
    ("http\\://x.org/y", a("http://x.org/y")),
    ("AND-x", a("AND-x")),
    ("空气质量\u3000深圳", Bool(((MUST, a("空气质量")), (MUST, a("深圳"))))),
    ("", None),
    ("   ", None),
])
def test_meaning(text: str, meaning: Node | None) -> None:
    assert parse(text) == meaning


@pytest.mark.parametrize("text", [
    "--included", "a AND", "AND a", "(", ")", "(a", "a)", "()", "f:", "f:()", '"a', "a^", "a^x", "[a b]", "x:[a TO",
    "a:b:c", "+", "-", "\\", "a OR OR b", "~", "^2", "x:[TO b]",
])
def test_syntax_errors(text: str) -> None:
    with pytest.raises(QuerySyntaxFault):
        parse(text)


@pytest.mark.parametrize("text", ['_query_:"x"', "_val_:1", "a {!x}", "{!lucene}x"])
def test_refusals_name_themselves(text: str) -> None:
    with pytest.raises(SearchFault, match="not supported"):
        parse(text)


def test_depth_and_number_of_clauses_are_limited() -> None:
    with pytest.raises(SearchFault, match="nest"):
        parse("(" * 5000 + "a" + ")" * 5000)
    with pytest.raises(SearchFault, match="too many"):
        parse("a " * 20_001)


@pytest.mark.parametrize(("text", "meaning"), [
    ("a:b (c)", Bool(((SHOULD, a("a:b")), (SHOULD, a("(c)"))))),
    ('say "hello', Bool(((SHOULD, a("say")), (SHOULD, a("hello"))))),
    ("a +b -c", Bool(((SHOULD, a("a")), (MUST, a("b")), (NOT, a("c"))))),
    ("a - ", a("a")),
    ("a*b?", a("a*b?")),
])
def test_dismax_knows_quotes_plus_and_minus_only(text: str, meaning: Node) -> None:
    assert parse_dismax(text) == meaning


def test_dismax_keeps_solrs_syntax_error_for_two_leading_operators() -> None:
    with pytest.raises(QuerySyntaxFault):
        parse_dismax("--included")


def test_edismax_searches_for_what_it_cannot_parse() -> None:
    assert parse_edismax("title:a OR b") == Bool(((SHOULD, a("a", "title")), (SHOULD, a("b"))))
    assert parse_edismax("a ( b") == Bool(((SHOULD, a("a")), (SHOULD, a("(")), (SHOULD, a("b"))))


def test_local_parameters() -> None:
    assert parse_with_locals("{!bool must=bees must_not='a b'}", conjunction=False) == Bool((
        (MUST, a("bees")), (NOT, Bool(((SHOULD, a("a")), (SHOULD, a("b"))))),
    ))
    assert parse_with_locals("{!term f=tags}a b:c", conjunction=True) == a("a b:c", "tags")
    assert parse_with_locals("{!type=lucene v='a'}", conjunction=True) == a("a")
    for text in ("{!knn f=x}1", "{!join from=a to=b}x", "{!bool must=$q}", "{!", "{!bool must}"):
        with pytest.raises(SearchFault):
            parse_with_locals(text, conjunction=True)


@pytest.mark.parametrize(("spec", "optional", "needed"), [
    ("2<-1 5<80%", 1, 1), ("2<-1 5<80%", 2, 2), ("2<-1 5<80%", 3, 2), ("2<-1 5<80%", 5, 4), ("2<-1 5<80%", 10, 8),
    ("100%", 3, 3), ("0%", 3, 0), ("-1", 3, 2), ("2", 1, 1), ("-25%", 4, 3), ("75%", 4, 3),
    ("2 < -25% 9 < -3", 10, 7),
])
def test_minimum_should_match(spec: str, optional: int, needed: int) -> None:
    assert minimum_should_match(spec, optional) == needed


@pytest.mark.parametrize("spec", ["x", "1<", "a<2", "", "2<-1 x", "1e3"])
def test_bad_minimum_is_refused(spec: str) -> None:
    with pytest.raises(SearchFault, match="mm"):
        minimum_should_match(spec, 5)


PIECES = st.sampled_from([
    "(", ")", "[", "]", "{", "}", '"', "\\", "+", "-", "!", "&&", "||", " AND ", " OR ", " NOT ", ":", "^", "~",
    "*", "?",
    "/", " TO ", " ", "\u3000", "a", "空气", "9", "0.5", "title", "{!",
    "_query_", "\x00", "\x1f", "\ud7ff", "𠀀", "é",
])
TEXTS = st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=60))


@given(TEXTS)
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for reader in (parse, parse_dismax, parse_edismax):
        try:
            reader(text)
        except SearchFault:
            continue


@pytest.mark.parametrize("unit", [
    "(", '"', "\\", "a:", "a~", "a^2", "[a TO b] ", "-", "+ ", "*", " ", "a\\ ", "&&", "空", "{!",
])
def test_time_grows_with_length_only(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    began = time.perf_counter()
    for reader in (parse, parse_dismax, parse_edismax):
        try:
            reader(text)
        except SearchFault:
            continue
    assert time.perf_counter() - began < 20
