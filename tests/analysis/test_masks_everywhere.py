"""Masks at every way out: files of every format, pages, lookups and analyses of two tables that look alike are alike.

The tables differ only in what their masks hide, so whatever tells them apart has told something of a raw value.
"""

from __future__ import annotations

import datetime
import os
import random
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz import Runtime, new_id
from ops import testing
from ops.delivery.testing import read_arrow, read_csv, read_jsonl, read_parquet, read_xlsx

EXAMPLES = int(os.environ.get("GOVOPEN_MASK_EXAMPLES", "12"))
FORMATS = ("csv", "json", "jsonl", "parquet", "arrow", "xlsx")
FIELDS = [
    {"name": "name", "title": "姓名", "type": "text", "mask": "partial:name"},
    {"name": "idn", "title": "证件号", "type": "text", "mask": "partial:id"},
    {"name": "phone", "title": "电话", "type": "text", "mask": "partial:phone"},
    {"name": "region", "title": "区划", "type": "text", "mask": "generalise_region:4"},
    {"name": "capital", "title": "资本", "type": "numeric", "mask": "generalise_number:100"},
    {"name": "born", "title": "出生", "type": "date", "mask": "generalise_date:year"},
    {"name": "note", "title": "备注", "type": "text", "mask": "null"},
    {"name": "code", "title": "代码", "type": "text", "mask": "hash"},
    {"name": "kind", "title": "类别", "type": "text"},
]
NAMES = [str(one["name"]) for one in FIELDS]
SQL = {"name": "text", "idn": "text", "phone": "text", "region": "text", "capital": "numeric", "born": "date",
       "note": "text", "code": "text", "kind": "text"}
SURNAMES, GIVEN = "王李张刘陈", "伟芳娜敏静强磊洋勇杰"
COUNT = 80


def a_row(place: int, chance: random.Random) -> tuple[Any, ...]:
    """One row; what its masks show is fixed by its place, the rest by chance."""
    def some(letters: str, count: int) -> str:
        return "".join(chance.choice(letters) for _ in range(count))

    digits = "0123456789"
    return (
        SURNAMES[place % 5] + some(GIVEN, chance.randint(1, 3)), f"33{place % 2}{some(digits, 13)}{place % 10}X",
        f"13{place % 3}{some(digits, 4)}{1_000 + place % 7}", f"330{place % 3}{some(digits, 2)}",
        Decimal(place % 6 * 100) + Decimal(some(digits, 4)) / 100,
        datetime.date(1980 + place % 4, chance.randint(1, 12), chance.randint(1, 28)),
        chance.choice([None, some(GIVEN, 4)]), f"C{place % 9}", "甲乙"[place % 2],
    )


LEFT, RIGHT = ([a_row(place, random.Random(f"{side}{place}")) for place in range(COUNT)] for side in "LR")
RAW = sorted({str(value) for row in (*LEFT, *RIGHT) for value in row if value is not None})
HIDDEN = {str(value) for row in (*LEFT, *RIGHT) for value in (row[0], row[1], row[2], row[6]) if value is not None}


class Twins:
    """The same question to both tables, under like grants."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.sides: list[tuple[str, dict[str, str]]] = []

    async def open(self, runtime: Runtime) -> Twins:
        for rows in (LEFT, RIGHT):
            data = await testing.load_restricted(runtime, testing.data_object(new_id("res"), FIELDS), SQL, rows)
            granted = await testing.issue_grant(
                runtime, data, NAMES, delivery=["api", "download", "analysis"],
                row_filter=[{"field": "kind", "op": "in", "value": ["甲", "乙"]}],
            )
            self.sides.append((data.resource_id, granted.headers))
        return self

    async def ask(self, method: str, path: str, name: str = "json", **more: Any) -> Any:
        """What both answer, after it was found to be the same; no raw value stands in it."""
        told = []
        for resource_id, headers in self.sides:
            answer = await self.client.request(method, f"/data/v1/{resource_id}{path}", headers=headers, **more)
            assert answer.status_code < 500, answer.text
            told.append((answer.status_code, shown(name, answer, resource_id)))
        assert told[0] == told[1]
        return told[0][1]


def shown(name: str, answer: httpx.Response, resource_id: str) -> Any:
    """The content of an answer without what names the side or the request."""
    if answer.status_code != 200 or name == "json":
        found = orjson.loads(answer.text.replace(resource_id, "{id}"))
        for own in ("request_id", "id", "next", "generated_at", "version", "usage_id"):
            if own != "next" or answer.status_code == 200:
                found.pop(own, None)
        return found
    if name == "csv":
        return read_csv(answer.content)
    if name == "xlsx":
        return read_xlsx(answer.content)
    if name == "jsonl":
        return read_jsonl(answer.content)
    return (read_parquet if name == "parquet" else read_arrow)(answer.content).to_pylist()


@pytest.fixture
async def twins(client: httpx.AsyncClient, runtime: Runtime) -> Twins:
    return await Twins(client).open(runtime)


columns = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)
values = (
    st.sampled_from(RAW) | st.sampled_from(RAW).map(lambda text: text[:3]) | st.text(max_size=8)
    | st.sampled_from(["王**", "330000", "330100", "1981", "100", "' OR 1=1 --", "ｘ", "null", "%", "Ａ\u0301"])
).filter(lambda text: "\0" not in text and not text.startswith("gok_"))
filters = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["eq", "in", "prefix", "gte", "lte", "ne", "eq] OR [1"])).map(
        lambda one: f"filter[{one[0]}][{one[1]}]"),
    values, max_size=2,
)
ASKING = settings(
    max_examples=EXAMPLES, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@ASKING
@given(asking=st.data())
async def test_files_and_pages_of_twins_are_alike(twins: Twins, asking: st.DataObject) -> None:
    wish = asking.draw(filters)
    if asking.draw(st.booleans()):
        wish["columns"] = ",".join(asking.draw(columns))
    if asking.draw(st.integers(0, 3)):
        wish["limit"] = str(asking.draw(st.integers(1, 30)))
    if asking.draw(st.integers(0, 2)) == 0:
        found = await twins.ask("GET", "/rows", params=wish)
    else:
        name = wish["format"] = asking.draw(st.sampled_from(FORMATS))
        if asking.draw(st.booleans()):
            wish["sort"] = ",".join(asking.draw(st.sampled_from(["", "-"])) + one for one in asking.draw(columns))
        found = await twins.ask("GET", "", name, params=wish)
    raw = {str(value) for value in wish.values()}
    assert not [one for one in HIDDEN - raw if one in str(found) and len(one) > 2]


@pytest.mark.parametrize("name", FORMATS)
async def test_whole_files_of_twins_are_alike_in_every_format(twins: Twins, name: str) -> None:
    found = str(await twins.ask("GET", "", name, params={"format": name}))
    assert not [one for one in HIDDEN if one in found and len(one) > 2]


@ASKING
@given(st.sampled_from(NAMES), st.lists(values | st.integers(-5, 500), min_size=1, max_size=5), st.none() | columns)
async def test_lookups_in_twins_are_alike(twins: Twins, key: str, sought: list[Any], show: list[str] | None) -> None:
    await twins.ask("POST", "/lookup", json={"key": key, "values": sought, "columns": show})


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@ASKING
@given(asking=st.data())
async def test_analyses_of_twins_are_alike(twins: Twins, asking: st.DataObject) -> None:
    """Aggregates, groups and conditions are over what is seen: sums of steps, groups of images, minima of nothing."""
    grouped = asking.draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    wanted = asking.draw(st.lists(st.sampled_from(
        ["count(*)", "count(name)", "count(DISTINCT idn)", "count(note)", "sum(capital)", "avg(capital)",
         "count(DISTINCT born)", "min(capital)", "sum(phone)"],
    ), min_size=1, max_size=3, unique=True))
    named = [f"{one} AS o{n}" for n, one in enumerate(wanted)]
    conditions = asking.draw(st.lists(st.builds(
        lambda name, sign, value: f"{name} {sign} {literal(value)}",
        st.sampled_from(NAMES), st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), values,
    ) | st.sampled_from(NAMES).map(lambda name: f"{name} IS NOT NULL"), max_size=2))
    text = f"SELECT {', '.join([*grouped, *named])} FROM data"
    text += f" WHERE {' AND '.join(conditions)}" if conditions else ""
    text += f" GROUP BY {', '.join(grouped)}" if grouped else ""
    await twins.ask("POST", "/analysis", json={"sql": text})
