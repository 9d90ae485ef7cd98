"""A history of events, corrections and cancellations, and what meters must say of it, counted by hand."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from authz import BEIJING
from billing.testing.operator import Operator

DEFINED = {
    "gigabytes": {"aggregation": "sum", "value_property": "load.gb", "group_by": ["region"]},
    "customers": {"aggregation": "unique", "value_property": "customer", "group_by": ["region"]},
    "peak": {"aggregation": "max", "value_property": "rows"},
    "queries": {"aggregation": "count", "event_types": ["cn.example.query"], "group_by": ["region", "customer"]},
}


async def ask(operator: Operator, name: str, **query: Any) -> httpx.Response:
    given = {"grant_id": operator.grant, "from": "2026-09-01", "to": "2026-12-01", **query}
    return await operator.client.get(f"/v1/meters/{name}/values", params=given, headers=operator.headers())


async def a_history(operator: Operator, seed: int = 3) -> list[dict[str, Any]]:
    """Sends events, corrections and cancellations over three months; returns what is true in the end."""
    draw, truth = random.Random(seed), []
    sent: list[dict[str, Any]] = []
    for number in range(150):
        at = operator.clock.now() - timedelta(minutes=draw.randint(0, 60 * 24 * 80))
        data: dict[str, Any] = {
            "rows": draw.randint(0, 99), "customer": f"c{draw.randint(1, 12)}", "region": draw.choice(["东", "西"]),
            "load": {"gb": draw.choice([0.1, 0.2, 1, 2.5])},
        }
        event = operator.event(at=at, data=data)
        sent.append(event)
        kind = draw.random()
        if kind < 0.1:
            sent.append(operator.fix(event, None))
            continue
        if kind < 0.25:
            fix = operator.fix(event, 1)
            data = fix["data"]["data"] = {**data, "rows": number, "customer": "corrected"}
            sent.append(fix)
        truth.append({**data, "at": at.astimezone(BEIJING)})
    answer = await operator.send(*sent)
    assert (answer.json()["recorded"], answer.json()["refused"]) == (len(sent), 0), answer.text[:500]
    return truth


def by_hand(truth: list[dict[str, Any]], window: str, group: str | None, fold: Callable[[list[dict[str, Any]]], Any]
            ) -> dict[tuple[str, str | None], Any]:
    found: dict[tuple[str, str | None], list[dict[str, Any]]] = defaultdict(list)
    for one in truth:
        at: datetime = one["at"].replace(minute=0, second=0, microsecond=0)
        at = at.replace(hour=0) if window != "hour" else at
        at = at.replace(day=1) if window == "month" else at
        found[at.isoformat(), one[group] if group else None].append(one)
    return {key: fold(events) for key, events in found.items()}


FOLDS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "gigabytes": lambda es: sum(Decimal(str(e["load"]["gb"])) for e in es),
    "customers": lambda es: len({e["customer"] for e in es}),
    "peak": lambda es: max(e["rows"] for e in es),
    "queries": len,
    "rows": lambda es: sum(e["rows"] for e in es),
}


async def check_all(operator: Operator, truth: list[dict[str, Any]]) -> None:
    for name, fold in FOLDS.items():
        for window, span in (("month", {}), ("day", {}), ("hour", {"from": "2026-11-01", "to": "2026-11-30"})):
            for group in (None, "region") if name not in ("peak", "rows") else (None,):
                answer = await ask(operator, name, window=window, **span, **({"group_by": group} if group else {}))
                assert answer.status_code == 200, answer.text
                found = {
                    (one["from"], one["groups"][group] if group else None): Decimal(one["value"])
                    for one in answer.json()["items"]
                }
                within = [one for one in truth if window != "hour" or one["at"].month == 11]
                assert found == by_hand(within, window, group, fold), (name, window, group)
