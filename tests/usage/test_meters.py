"""Meters: exact by window and group, corrected as the events are, the same wherever the events are kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from authz import BEIJING, FixedClock
from billing.testing.meter_history import a_history, ask, check_all
from billing.testing.operator import Operator, OperatorMaker


async def test_values_equal_an_independent_count(operator: Operator, defined: None) -> None:
    await check_all(operator, await a_history(operator))


async def test_only_those_who_see_the_grant_see_its_values(
    operator: Operator, make_operator: OperatorMaker, defined: None, token_for: Callable[..., dict[str, str]]
) -> None:
    other = await make_operator()
    await operator.send(operator.event())
    await other.send(other.event(), other.event())
    assert (await ask(other, "rows", grant_id=operator.grant)).status_code == 404
    assert (await ask(other, "rows", grant_id=[other.grant, operator.grant])).status_code == 404
    address = "/v1/meters/events/values?from=2026-11-01&to=2026-12-01&window=month"
    own = await other.client.get(address, headers=other.headers())
    assert [one["value"] for one in own.json()["items"]] == [2]
    assert own.json()["grants"] == [other.grant]
    assert (await other.client.get(address, headers=token_for("officer-meters"))).status_code == 422
    assert (await other.client.get(address)).status_code == 401
    assert (await ask(operator, "unheard_of")).status_code == 404


async def test_a_definition_is_versioned_and_only_the_exchange_makes_it(
    operator: Operator, defined: None, token_for: Callable[..., dict[str, str]]
) -> None:
    body = {"title_zh": "峰值", "title_en": "Peak", "aggregation": "max", "value_property": "rows"}
    address, officer = "/v1/meters/peak_rows", token_for("officer-meters")
    assert (await operator.client.put(address, json=body, headers=operator.headers())).status_code == 403
    for given, version in ((body, 1), (body, 1), ({**body, "value_property": "bytes"}, 2)):
        answer = await operator.client.put(address, json=given, headers=officer)
        assert answer.json()["version"] == version
    await operator.send(operator.event())
    values = [(await ask(operator, "peak_rows", version=v, window="month")).json()["items"][0]["value"] for v in (1, 2)]
    assert values == [3, 30]
    for wrong in ({"value_property": "a'b"}, {"value_property": None}, {"aggregation": "count"},
                  {"group_by": ["x; drop"]}, {"aggregation": "avg"}):
        answer = await operator.client.put(address, json={**body, **wrong}, headers=officer)
        assert answer.status_code == 422, wrong


@pytest.mark.parametrize("query", [
    {"to": "2026-09-01"}, {"from": "2010-01-01"}, {"window": "hour"}, {"window": "week"}, {"group_by": "customer"},
    {"from": "gestern"}, {"version": 0},
], ids=str)
async def test_questions_that_make_no_sense_are_named(
    operator: Operator, defined: None, query: dict[str, Any]
) -> None:
    assert (await ask(operator, "customers", **query)).status_code == 422


async def test_a_day_begins_in_beijing(operator: Operator, clock: FixedClock) -> None:
    midnight = datetime(2026, 11, 20, tzinfo=BEIJING)
    await operator.send(operator.event(at=midnight - timedelta(seconds=1)), operator.event(at=midnight))
    items = (await ask(operator, "rows", window="day")).json()["items"]
    assert [(one["from"], one["value"]) for one in items] == [
        ("2026-11-19T00:00:00+08:00", 3), ("2026-11-20T00:00:00+08:00", 3),
    ]
