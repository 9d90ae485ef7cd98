"""Aggregates and yes-or-no over restricted rows by HTTP: what is told, what is kept, what attackers do not learn."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from statistics import mean
from typing import Any

import httpx
import pytest

from authz import DataObject, Runtime, new_id
from billing import usage
from ops import testing
from ops.testing import Granted

FIELDS = [
    {"name": "name", "title": "姓名", "type": "text", "mask": "partial:name"},
    {"name": "code", "title": "代码", "type": "text"},
    {"name": "region", "title": "区划", "type": "text"},
    {"name": "income", "title": "收入", "type": "integer"},
    {"name": "born", "title": "出生日期", "type": "date"},
    {"name": "phone", "title": "电话", "type": "text", "mask": "partial:phone"},
    {"name": "secret", "title": "备注", "type": "text", "open_attribute": "closed"},
]
SQL = {"name": "text", "code": "text", "region": "text", "income": "bigint", "born": "date", "phone": "text",
       "secret": "text"}
COLUMNS = ["name", "code", "region", "income", "born", "phone"]
ROWS: list[tuple[Any, ...]] = [
    (f"王{n}明", f"C{n:04}", f"3301{n % 4:02}", 1_000 + n, date(1980 + n % 20, 1, 1), f"139{n:08}", "机密")
    for n in range(400)
] + [("李特殊", "C9999", "330109", 1_500, date(1990, 1, 1), "13900009999", "机密")]
ALL = "SELECT count(*) AS n FROM data"


@pytest.fixture
async def data(runtime: Runtime) -> DataObject:
    made = testing.data_object(new_id("res"), FIELDS)
    return await testing.load_restricted(runtime, made, SQL, ROWS)


@pytest.fixture
async def granted(runtime: Runtime, data: DataObject) -> Granted:
    return await testing.issue_grant(runtime, data, COLUMNS, delivery=["analysis", "verify"])


class Asker:
    """Sends queries and checks under one grant."""

    def __init__(self, client: httpx.AsyncClient, data: DataObject, granted: Granted) -> None:
        self.client, self.data, self.granted = client, data, granted

    async def post(self, what: str, **body: Any) -> httpx.Response:
        return await self.client.post(
            f"/data/v1/{self.data.resource_id}/{what}", json=body, headers=self.granted.headers
        )

    async def rows(self, sql: str) -> list[list[Any]]:
        answer = await self.post("analysis", sql=sql)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["rows"])

    async def refused(self, sql: str) -> str:
        answer = await self.post("analysis", sql=sql)
        assert answer.status_code in (403, 422), answer.text
        return str(answer.json()["code"])

    async def verified(self, *checks: tuple[dict[str, Any], dict[str, Any]]) -> list[str]:
        answer = await self.post("verify", checks=[{"match": match, "claims": claims} for match, claims in checks])
        assert answer.status_code == 200, answer.text
        return list(answer.json()["results"])


@pytest.fixture
def ask(client: httpx.AsyncClient, data: DataObject, granted: Granted) -> Asker:
    return Asker(client, data, granted)


async def test_groups_come_close_to_an_independent_computation(ask: Asker) -> None:
    rows = await ask.rows("SELECT region, count(*) AS n, avg(income) FROM data GROUP BY region ORDER BY region")
    assert [row[0] for row in rows] == ["330100", "330101", "330102", "330103"], "but not the one of a single record"
    for region, count, average in rows:
        incomes = [row[3] for row in ROWS if row[2] == region]
        assert abs(count - len(incomes)) <= 2
        assert abs(Decimal(average) - Decimal(mean(incomes))) <= Decimal(2 * max(incomes)) / len(incomes)


async def test_masked_columns_are_grouped_as_they_are_seen(ask: Asker) -> None:
    rows = await ask.rows("SELECT name, count(*) FROM data GROUP BY name")
    assert {row[0] for row in rows} <= {"王**", "王*明"}
    assert "王1明" not in str(rows)


async def test_what_is_asked_and_told_is_kept_and_metered_before_it_is_told(
    ask: Asker, runtime: Runtime, token_for: Any
) -> None:
    told = await ask.rows(ALL)
    assert await ask.refused("SELECT count(*) FROM data WHERE code = 'C0001'") == "analysis_too_few_rows"
    kept = await runtime.pool.fetch(
        "SELECT q.sql, o.refused, o.answer FROM analysis.query q JOIN analysis.outcome o ON o.query_id = q.id"
        " WHERE q.grant_id = $1 ORDER BY q.id",
        ask.granted.id,
    )
    assert [(row["refused"], row["answer"]) for row in kept] == [(None, told), ("analysis_too_few_rows", None)]
    actions = [row["action"] for row in await runtime.pool.fetch(
        "SELECT action FROM audit.entry WHERE object_id = $1 AND action LIKE 'data.anal%' ORDER BY id",
        ask.data.resource_id,
    )]
    assert actions == ["data.analysis_asked", "data.analysed", "data.analysis_asked", "data.analysis_refused"]
    (event,) = await usage.events(runtime.pool, [ask.granted.id])  # type: ignore[arg-type]
    assert (event.calls, event.rows) == (1, 1)
    address = f"/v1/analyses?resource_id={ask.data.resource_id}"
    owner = token_for("owner", orgs=[(ask.data.organisation_id, "admin")])
    assert len((await ask.client.get(address, headers=owner)).json()["items"]) == 2
    assert (await ask.client.get(address, headers=token_for("stranger"))).status_code == 404


@pytest.mark.parametrize(("sql", "code"), [
    ("SELECT count(*) FROM data WHERE secret = '机密'", "denied"),
    ("SELECT secret, count(*) FROM data GROUP BY secret", "denied"),
    ("SELECT count(*) FROM data WHERE nothing = 1", "denied"),
    ("SELECT sum(name) FROM data", "analysis_query_not_allowed"),
    ("SELECT date_trunc('year', name) y, count(*) FROM data GROUP BY y", "analysis_query_not_allowed"),
    ("SELECT count(*) FROM data WHERE income = 'x'", "invalid_input"),
    ("SELECT * FROM data", "analysis_query_not_allowed"),
    ("SELECT count(*) FROM data WHERE region = '330109'", "analysis_too_few_rows"),
    ("SELECT count(*) FROM data WHERE income BETWEEN 1500 AND 1500", "analysis_too_few_rows"),
])
async def test_crafted_queries_are_refused(ask: Asker, sql: str, code: str) -> None:
    assert await ask.refused(sql) == code


async def test_no_row_leaves_by_other_forms_of_delivery(ask: Asker) -> None:
    for path in ("", "/rows"):
        refused = await ask.client.get(f"/data/v1/{ask.data.resource_id}{path}", headers=ask.granted.headers)
        assert refused.status_code == 403
    plain = await ask.client.post(f"/data/v1/{ask.data.resource_id}/analysis", json={"sql": ALL})
    assert plain.status_code == 401


async def test_a_condition_on_a_few_is_without_effect_and_tells_nothing(ask: Asker) -> None:
    """Were it refused when it sets somebody apart and answered when nobody, ten questions would find an income."""
    for low in (1_050, 1_150, 1_250, 1_290, 1_299, 1_300, 1_310, 1_350):  # C0300 has 1,300
        bare = await ask.rows(f"SELECT count(*), avg(income) FROM data WHERE income > {low}")
        told = await ask.rows(f"SELECT count(*), avg(income) FROM data WHERE income > {low} AND code <> 'C0300'")
        assert told == bare
    (whole,) = await ask.rows(ALL)
    for condition in ("income > 1000", "income >= 0", "region <> '330109'", "code <> 'C0001' AND code <> 'C0002'"):
        assert await ask.rows(f"SELECT count(*) AS n FROM data WHERE {condition}") == [whole]


async def test_a_set_with_and_without_a_few_records_is_answered_alike(ask: Asker) -> None:
    """Whether somebody is between, or nobody: the second answer is the first, and no noise can be averaged.

    The sets asked first are 25 records apart and more: at the floor itself two records that fall to one bit of the
    sketch make two sets near, and a few records more make them far again.
    """
    counted = "SELECT count(*), sum(income) FROM data WHERE region = '330103' AND income >= {} AND income <= {}"
    for low in range(1_000, 1_200, 100):
        for high in (1_250, 1_390):  # each fourth number is the income of one
            first = await ask.rows(counted.format(low, high))
            for near in (high + 1, high + 2, high + 6):
                assert await ask.rows(counted.format(low, near)) == first


async def test_groups_with_and_without_a_few_records_are_answered_alike(ask: Asker) -> None:
    """By groups one query would tell of many sets at once: each is answered as the one that was told."""
    grouped = "SELECT region, count(*), sum(income) FROM data WHERE income <= {} GROUP BY region ORDER BY region"
    first = await ask.rows(grouped.format(1_250))
    assert len(first) == 4
    assert await ask.rows(grouped.format(1_262)) == first, "three records more in each region: too few, in each"
    assert await ask.rows("SELECT count(*), sum(income) FROM data WHERE income <= 1254 AND region = '330101'") == [
        first[1][1:]]
    later = await ask.rows(grouped.format(1_330))
    assert len(later) == 4
    assert later != first


async def test_that_a_small_group_is_there_does_not_show(ask: Asker) -> None:
    """The one of 330109 has 1,500: whether it matches makes no difference to what is told of the others."""
    for condition in ("income > 1100", "income > 1100 AND income < 1450"):
        answer = await ask.post(
            "analysis", sql=f"SELECT region, count(*) FROM data WHERE {condition} GROUP BY region ORDER BY region")
        assert [row[0] for row in answer.json()["rows"]] == ["330100", "330101", "330102", "330103"]
        assert "withheld" not in answer.text


async def test_how_many_records_have_no_value_does_not_show_while_they_are_few(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    told = []
    for missing in (0, 3):
        made = testing.data_object(new_id("res"), FIELDS[1:4])
        rows = [(f"C{n}", "3301", None if n < missing else n) for n in range(100)]
        data = await testing.load_restricted(runtime, made, {k: SQL[k] for k in ("code", "region", "income")}, rows)
        granted = await testing.issue_grant(runtime, data, ["code", "region", "income"], delivery=["analysis"])
        ask = Asker(client, data, granted)
        told.append(await ask.rows("SELECT count(income), count(*) FROM data"))
        assert (await ask.rows("SELECT avg(income) FROM data"))[0][0] is not None
    assert told[0] == told[1]


async def test_grants_of_one_party_are_held_together(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject, ask: Asker
) -> None:
    other = Asker(client, data, await testing.issue_grant(runtime, data, COLUMNS, delivery=["analysis"]))
    narrow = Asker(client, data, await testing.issue_grant(
        runtime, data, COLUMNS, delivery=["analysis"], row_filter=[{"field": "income", "op": "lte", "value": 1_204}]))
    await ask.rows("SELECT count(*) FROM data WHERE income <= 1200")
    kept = await runtime.pool.fetchval("SELECT count(*) FROM analysis.told_set WHERE resource_id = $1",
                                       data.resource_id)
    await other.rows("SELECT count(*) FROM data WHERE income <= 1201")
    assert await runtime.pool.fetchval(
        "SELECT count(*) FROM analysis.told_set WHERE resource_id = $1", data.resource_id) == kept
    await narrow.rows(ALL)


async def test_questions_at_once_are_held_against_each_other(ask: Asker) -> None:
    asked = [f"SELECT count(*) FROM data WHERE income <= {1_200 + n}" for n in range(6)]
    answers = await asyncio.gather(*(ask.rows(sql) for sql in asked))
    assert len({str(one) for one in answers}) == 1


async def test_repeating_a_query_in_other_words_gives_the_same_noise(ask: Asker) -> None:
    told = {
        (await ask.rows(sql))[0][0] for sql in (
            "SELECT count(*) FROM data WHERE income < 1200", "SELECT count(*) AS x FROM data WHERE income <= 1199",
            "SELECT count(*) FROM data WHERE income BETWEEN 0 AND 1199",
            "SELECT count(*) FROM data WHERE income < 1200 AND name IS NOT NULL",
        )
    }
    assert len(told) == 1


async def test_the_budget_holds_against_many_at_once(
    ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOVOPEN_ANALYSIS_QUERIES_DAY", "5")
    answers = await asyncio.gather(*(ask.post("analysis", sql=ALL) for _ in range(12)))
    assert sorted(one.status_code for one in answers) == [200] * 5 + [403] * 7
    assert {one.json()["code"] for one in answers if one.status_code == 403} == {"analysis_budget_spent"}


async def test_yes_and_no_on_given_values(ask: Asker) -> None:
    assert await ask.verified(
        ({"code": "C0001"}, {"name": "王1明", "phone": "13900000001"}), ({"code": "C0001"}, {"name": "王2明"}),
        ({"code": "nothing"}, {"name": "王1明"}), ({"code": "C0002"}, {"income": 1_002, "born": "1982-01-01"}),
    ) == ["yes", "no", "no", "yes"]


async def test_a_value_cannot_be_found_by_trying(ask: Asker) -> None:
    guesses = [({"code": "C0007"}, {"income": guess}) for guess in range(1_000, 1_008)]
    assert await ask.verified(*guesses) == ["no"] * 5 + ["locked"] * 3
    assert await ask.verified(({"code": "C0007"}, {"income": 1_007})) == ["locked"]
    assert await ask.verified(({"code": "C0008"}, {"income": 1_008})) == ["yes"]
    many = await asyncio.gather(*(ask.verified(({"code": "C0009"}, {"income": guess})) for guess in range(12)))
    assert sorted(one[0] for one in many) == ["locked"] * 7 + ["no"] * 5


async def test_a_value_cannot_be_found_by_turning_the_check_around(
    ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is tried may stand in the match and what is known in the claims; also when it is known by several fields."""
    monkeypatch.setenv("GOVOPEN_ANALYSIS_FLOOR", "30")  # of one region and birthday there are twenty
    turned = [({"income": guess}, {"code": "C0007"}) for guess in range(1_000, 1_008)]
    assert await ask.verified(*turned) == ["no"] * 5 + ["locked"] * 3
    assert await ask.verified(({"code": "C0007"}, {"income": 1_007})) == ["locked"]
    known = {"region": "330101", "born": "1985-01-01"}  # together they mean few
    several = [({"income": guess}, known) for guess in range(2_000, 2_030)]
    assert await ask.verified(*several) == ["no"] * 5 + ["locked"] * 25
    mixed = [({"phone": f"139{guess:08}"}, {"code": "C0011", "income": 1_011}) for guess in range(8)]
    assert await ask.verified(*mixed) == ["no"] * 5 + ["locked"] * 3


async def test_that_a_record_is_there_does_not_show_in_being_locked(ask: Asker) -> None:
    for code in ("C0012", "C7777"):
        turned = [({"income": guess}, {"code": code}) for guess in range(900, 907)]
        assert await ask.verified(*turned) == ["no"] * 5 + ["locked"] * 2


async def test_common_values_may_be_claimed_wrongly_of_many(ask: Asker) -> None:
    """A region that hundreds have tells of nobody: who checks a list of records is not locked out."""
    checks = [({"code": f"C{n:04}"}, {"region": "330103"}) for n in range(100, 116)]
    assert await ask.verified(*checks) == ["no", "no", "no", "yes"] * 4


@pytest.mark.parametrize("check", [
    ({"secret": "机密"}, {"name": "王1明"}), ({"code": "C0001"}, {"secret": "机密"}),
    ({"code": "C0001"}, {"nothing": 1}),
])
async def test_what_is_not_granted_is_not_verified(ask: Asker, check: Any) -> None:
    answer = await ask.post("verify", checks=[{"match": check[0], "claims": check[1]}])
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")


@pytest.mark.parametrize("body", [
    {"checks": []}, {"checks": [{"match": {}, "claims": {"name": "x"}}]}, {"checks": [{"match": {"code": "x"}}]},
    {"checks": [{"match": {"code": "x", "name": "y"}, "claims": {"name": "x"}}]},
    {"checks": [{"match": {"code": "x"}, "claims": {"income": "many"}}]},
    {"checks": [{"match": {"code": None}, "claims": {"name": "x"}}]},
    {"checks": [{"match": {"code": "x"}, "claims": {"name": "x"}}] * 1_001},
    {"checks": [{"match": {"income": 10**30}, "claims": {"name": "x"}}]},
])
async def test_malformed_checks_are_named(ask: Asker, body: dict[str, Any]) -> None:
    answer = await ask.post("verify", **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_the_row_filter_of_the_grant_holds_in_both(
    client: httpx.AsyncClient, runtime: Runtime, data: DataObject
) -> None:
    granted = await testing.issue_grant(
        runtime, data, COLUMNS, delivery=["analysis", "verify"],
        row_filter=[{"field": "region", "op": "eq", "value": "330101"}],
    )
    ask = Asker(client, data, granted)
    (row,) = await ask.rows("SELECT region, count(*) FROM data GROUP BY region")
    assert row[0] == "330101"
    assert await ask.verified(
        ({"code": "C0001"}, {"name": "王1明"}), ({"code": "C0002"}, {"name": "王2明"})
    ) == ["yes", "no"]
