"""An operator whose product may report on a grant of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from authz import FixedClock, Role, Runtime, new_id
from billing.testing.meter_history import DEFINED
from billing.testing.operator import SOURCE, TYPE, Operator, OperatorMaker
from ops import testing

FIELDS = [{"name": "a", "title": "甲", "type": "text"}]


@pytest.fixture
def make_operator(
    client: httpx.AsyncClient, runtime: Runtime, clock: FixedClock, token_for: Callable[..., dict[str, str]],
    give_role: Callable[..., Any],
) -> OperatorMaker:
    async def make() -> Operator:
        name = new_id("ops")
        party = f"pty_{name}"
        await give_role(name, Role.ENTERPRISE_ADMIN, party)
        data = await testing.publish(runtime, testing.data_object(new_id("res"), FIELDS))
        granted = await testing.issue_grant(
            runtime, data, ["a"], party_id=party, quota={"rows_month": 1000, "calls_day": 100}
        )
        await runtime.pool.execute(
            "UPDATE licensing.access_grant SET valid_from = valid_from - interval '90 days' WHERE id = $1", granted.id
        )
        source = f"{SOURCE}/{name}"
        made = await client.post(
            "/v1/usage/products", headers=token_for(name),
            json={"party_id": party, "source": source, "title": "信用查询", "types": [TYPE], "grants": [granted.id]},
        )
        assert made.status_code == 201, made.text
        return Operator(client, lambda: token_for(name), clock, party, granted.id, granted.key, source)

    return make


@pytest.fixture
async def operator(make_operator: OperatorMaker) -> Operator:
    return await make_operator()


@pytest.fixture
async def defined(
    client: httpx.AsyncClient, token_for: Callable[..., dict[str, str]], give_role: Callable[..., Any]
) -> None:
    await give_role("officer-meters", Role.EXCHANGE_OFFICER, "pty_exchange")
    for name, one in DEFINED.items():
        body = {"title_zh": name, "title_en": name, **one}
        answer = await client.put(f"/v1/meters/{name}", json=body, headers=token_for("officer-meters"))
        assert answer.status_code == 200, answer.text
