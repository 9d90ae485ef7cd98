"""What a caller sees depends on raw values through their masks alone: equal images, equal answers, whatever is asked.

Two tables hold rows that differ only in what a mask hides. A caller who could tell one from the other, by values,
filters, order, pages or refusals, would learn something that the mask does not show.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import string
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz import FilterNotAllowed, InvalidInput, Mask, Obligations, RowFilter, compile_select
from authz.model import FILTER_OPS, DataField, DataObject
from authz.testing import SALT, a_register

EXAMPLES = int(os.environ.get("GOVOPEN_MASK_EXAMPLES", "12"))
PROPERTY = settings(
    max_examples=EXAMPLES, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
HIDDEN = {"text": "text", "integer": "bigint", "numeric": "numeric", "date": "date"}
"""Types of the hidden column, and what PostgreSQL calls them; each has a pair of tables."""
characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
texts = st.text(characters, max_size=20)
digits = st.text(string.digits, min_size=1, max_size=8)

Pair = tuple[Any, Any]


@st.composite
def ends_kept(draw: st.DrawFn, first: int, last: int, length_min: int) -> Pair:
    """Two texts with the same ends and length; or two that are too short to show anything."""
    if draw(st.booleans()):
        short = st.text(characters, max_size=length_min - 1)
        return draw(short), draw(short)
    head, tail = draw(st.text(characters, min_size=first, max_size=first)), draw(
        st.text(characters, min_size=last, max_size=last))
    size = draw(st.integers(length_min - first - last, length_min + 4))
    middle = st.text(characters, min_size=size, max_size=size)
    return head + draw(middle) + tail, head + draw(middle) + tail


@st.composite
def names(draw: st.DrawFn) -> Pair:
    if draw(st.booleans()):
        short = st.text(characters, max_size=1)
        return draw(short), draw(short)
    first, rest = draw(characters), st.text(characters, min_size=1, max_size=6)
    return first + draw(rest), first + draw(rest)


@st.composite
def regions(draw: st.DrawFn, keep: int) -> Pair:
    """Codes alike in the digits kept and in length; or texts that are no codes, which show as nothing."""
    if draw(st.integers(0, 3)) == 0:
        other = st.none() | texts.filter(lambda text: not text or not set(text) <= set(string.digits))
        return draw(other), draw(other)
    head = draw(st.text(string.digits, min_size=keep, max_size=keep))
    size = draw(st.integers(0, 6))
    rest = st.text(string.digits, min_size=size, max_size=size)
    return head + draw(rest), head + draw(rest)


@st.composite
def numbers(draw: st.DrawFn, step: int, whole: bool) -> Pair:
    base = draw(st.integers(-50, 50)) * step
    if whole:
        return base + draw(st.integers(0, step - 1)), base + draw(st.integers(0, step - 1))
    cents = st.integers(0, step * 100 - 1)
    return Decimal(base) + Decimal(draw(cents)) / 100, Decimal(base) + Decimal(draw(cents)) / 100


@st.composite
def months(draw: st.DrawFn) -> Pair:
    first = date(draw(st.integers(1900, 2030)), draw(st.integers(1, 12)), 1)
    days = st.integers(0, 27)
    return first + timedelta(draw(days)), first + timedelta(draw(days))


MASKS: Sequence[tuple[str, str, st.SearchStrategy[Pair]]] = [
    ("partial:name", "text", names()), ("partial:phone", "text", ends_kept(3, 4, 11)),
    ("partial:id", "text", ends_kept(3, 2, 15)), ("partial", "text", ends_kept(1, 1, 4)),
    ("generalise_region:2", "text", regions(2)), ("generalise_region:4", "text", regions(4)),
    ("generalise_number:100", "numeric", numbers(100, False)), ("generalise_number:7", "integer", numbers(7, True)),
    ("generalise_date:month", "date", months()), ("null", "text", st.tuples(st.none() | texts, st.none() | texts)),
    ("null", "numeric", st.tuples(st.none() | st.integers(-9, 9), st.none() | st.integers(-9, 9))),
]


@dataclass(frozen=True)
class Ask:
    """One wish of a caller."""

    columns: Sequence[str] | None
    filters: Sequence[RowFilter]
    order: Sequence[tuple[str, bool]]
    limit: int | None
    cursor: int | None


def asks(pairs: Sequence[Pair]) -> st.SearchStrategy[Ask]:
    """Wishes that use what the caller might know or guess: the raw values, pieces of them, and anything else."""
    raw = [value for pair in pairs for value in pair if value is not None]
    pieces = [str(value)[:size] for value in raw for size in (1, 3, 8)] + [str(value) for value in raw]
    guesses = st.sampled_from([*raw, *pieces]) if raw else st.nothing()
    value = guesses | texts | st.integers(-1_000, 1_000) | digits
    filters = st.builds(
        RowFilter, st.sampled_from(["hidden", "hidden", "other", "place"]),
        st.sampled_from([*FILTER_OPS, "like", "is null) or (true"]),
        value | st.lists(value, min_size=1, max_size=4),
    )
    return st.builds(
        Ask, st.none() | st.lists(st.sampled_from(["hidden", "other", "place"]), unique=True, min_size=1),
        st.lists(filters, max_size=3),
        st.lists(st.tuples(st.sampled_from(["hidden", "other"]), st.booleans()), max_size=2),
        st.none() | st.integers(0, 8), st.none() | st.integers(0, 8),
    )


def table(kind: str, side: str) -> DataObject:
    fields = (DataField("hidden", "遮蔽", type=kind), DataField("other", "其他"), DataField("place", "区划"))
    return DataObject(**{
        **a_register().__dict__, "fields": fields,
        "location": {"kind": "restricted", "schema": "restricted", "table": f"r_{kind}_{side}"},
    })


@pytest.fixture(scope="module")
async def connection(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    async with pool.acquire() as opened:
        for kind, sql in HIDDEN.items():
            for side in ("left", "right"):
                await opened.execute(
                    f"CREATE TABLE restricted.r_{kind}_{side} (_id bigint PRIMARY KEY, hidden {sql}, other text,"
                    " place text)"
                )
        yield opened


async def fill(connection: asyncpg.Connection, kind: str, pairs: Sequence[Pair]) -> None:
    for place, side in enumerate(("left", "right")):
        await connection.executemany(
            f"INSERT INTO restricted.r_{kind}_{side} VALUES ($1, $2, $3, $4)",
            [(n, pair[place], f"o{n % 3}", f"33{n % 2}") for n, pair in enumerate(pairs, 1)],
        )


async def outcome(
    connection: asyncpg.Connection, data: DataObject, duties: Obligations, ask: Ask, salt: str = SALT
) -> Any:
    """Everything the caller learns: the rows in their order, or the refusal word for word."""
    try:
        query = compile_select(
            duties, data, ask.columns, ask.filters, ask.limit, None if ask.order else ask.cursor, salt,
            order=ask.order, with_key=True,
        )
    except (FilterNotAllowed, InvalidInput) as refusal:
        return type(refusal).__name__, refusal.detail("zh"), refusal.errors, refusal.reasons
    bound = await connection.fetch(query.sql, *query.params)
    assert bound == await connection.fetch(query.sql_literal)
    return [tuple(row) for row in bound]


@pytest.mark.parametrize(("mask", "kind", "pairs"), MASKS, ids=[f"{mask} on {kind}" for mask, kind, _ in MASKS])
@PROPERTY
@given(asking=st.data())
async def test_what_a_mask_hides_cannot_be_told_apart(
    connection: asyncpg.Connection, mask: str, kind: str, pairs: st.SearchStrategy[Pair], asking: st.DataObject
) -> None:
    """Rows with equal images answer alike to every filter, order, page and fault."""
    rows = asking.draw(st.lists(pairs, min_size=1, max_size=8))
    wishes = asking.draw(st.lists(asks(rows), min_size=1, max_size=4))
    granted = asking.draw(st.sampled_from([(), (RowFilter("place", "eq", "331"),), (RowFilter("other", "eq", "o1"),)]))
    duties = Obligations(
        columns=("hidden", "other", "place"), masks={"hidden": Mask.parse(mask)}, row_filter=granted,
    )
    transaction = connection.transaction()
    await transaction.start()
    try:
        await fill(connection, kind, rows)
        for ask in wishes:
            left = await outcome(connection, table(kind, "left"), duties, ask)
            assert left == await outcome(connection, table(kind, "right"), duties, ask), (rows, ask)
    finally:
        await transaction.rollback()


@PROPERTY
@given(asking=st.data())
async def test_a_hash_is_of_the_grant_and_is_all_that_is_seen(
    connection: asyncpg.Connection, asking: st.DataObject
) -> None:
    """The hash is HMAC under the grant's salt; filters, order and pages go by it and never by the raw value."""
    raw = asking.draw(st.lists(st.none() | texts, min_size=1, max_size=8))
    salts = asking.draw(st.lists(st.text(string.ascii_letters, min_size=16, max_size=64), min_size=2, max_size=2,
                                 unique=True))
    ask = asking.draw(asks([(value, value) for value in raw]))
    duties = Obligations(columns=("hidden", "other", "place"), masks={"hidden": Mask("hash")})
    seen = [
        [hmac.new(salt.encode(), value.encode(), hashlib.sha256).hexdigest() if value is not None else None
         for value in raw] for salt in salts
    ]
    assert not {one for one in seen[0] if one} & {one for one in seen[1] if one}
    transaction = connection.transaction()
    await transaction.start()
    try:
        await fill(connection, "text", [(value, image) for value, image in zip(raw, seen[0], strict=True)])
        bare = Obligations(columns=("hidden", "other", "place"))
        hashed = await outcome(connection, table("text", "left"), duties, ask, salts[0])
        assert hashed == await outcome(connection, table("text", "right"), bare, ask)
        everything = Ask(["hidden"], (), (), None, None)
        for salt, images in zip(salts, seen, strict=True):
            shown = await outcome(connection, table("text", "left"), duties, everything, salt)
            assert [row[0] for row in shown] == images
    finally:
        await transaction.rollback()


conditions = st.one_of(
    st.builds(RowFilter, st.just("hidden"), st.sampled_from(["eq", "gte", "lte"]), st.integers(-5, 5)),
    st.builds(RowFilter, st.just("hidden"), st.just("in"), st.lists(st.integers(-5, 5), min_size=1, max_size=3)
              .map(tuple)),
    st.builds(RowFilter, st.just("other"), st.sampled_from(["eq", "prefix"]), st.sampled_from(["o", "o0", "o1"])),
)


def holds(one: RowFilter, row: dict[str, Any]) -> bool:
    """The condition by an independent computation; nothing is ever matched by no value."""
    value = row[one.field]
    if value is None:
        return False
    match one.op:
        case "eq":
            return bool(value == one.value)
        case "gte":
            return bool(value >= one.value)
        case "lte":
            return bool(value <= one.value)
        case "in":
            return value in one.value
    return str(value).startswith(one.value)


@PROPERTY
@given(asking=st.data())
async def test_no_wish_of_a_caller_reaches_rows_outside_the_grant(
    connection: asyncpg.Connection, asking: st.DataObject
) -> None:
    """Random row filters of grants, values that are missing, and every kind of caller's filter, order and page."""
    values = asking.draw(st.lists(st.none() | st.integers(-5, 5), min_size=1, max_size=8))
    granted = asking.draw(st.lists(conditions, min_size=1, max_size=3))
    wishes = asking.draw(st.lists(asks([(value, value) for value in values]), min_size=1, max_size=4))
    transaction = connection.transaction()
    await transaction.start()
    try:
        await fill(connection, "integer", [(value, value) for value in values])
        inside = {
            n for n, value in enumerate(values, 1)
            if all(holds(one, {"hidden": value, "other": f"o{n % 3}"}) for one in granted)
        }
        duties = Obligations(columns=("hidden", "other", "place"), row_filter=tuple(granted))
        whole = await outcome(connection, table("integer", "left"), duties, Ask(None, (), (), None, None))
        assert {row[-1] for row in whole} == inside
        for ask in wishes:
            found = await outcome(connection, table("integer", "left"), duties, ask)
            if isinstance(found, list):
                assert {row[-1] for row in found} <= inside, (granted, ask)
    finally:
        await transaction.rollback()
