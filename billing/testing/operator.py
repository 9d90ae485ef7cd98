"""An operator that reports usage of a product of its own, over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from authz import FixedClock, new_id
from billing.usage.cloudevents import BATCH, SINGLE

SOURCE = "https://operator.example/credit"
TYPE = "cn.example.query"


@dataclass
class Operator:
    """An operator that may report from ``source`` on ``grant``, and how it sends."""

    client: httpx.AsyncClient
    headers: Callable[[], dict[str, str]]
    clock: FixedClock
    party: str
    grant: str
    key: str
    source: str

    def event(self, *, at: datetime | None = None, **more: Any) -> dict[str, Any]:
        data = {"rows": 3, "calls": 1, "bytes": 30, **more.pop("data", {})}
        return {
            "specversion": "1.0", "id": new_id("evt"), "source": self.source, "type": TYPE, "subject": self.grant,
            "time": (at or self.clock.now()).isoformat(), "data": data, **more,
        }

    def fix(self, event: dict[str, Any], rows: int | None, *, after_s: int = 0, **more: Any) -> dict[str, Any]:
        """A correction of an event to so many rows, or its cancellation when None."""
        data: dict[str, Any] = {"source": event["source"], "id": event["id"], "reason": "计数有误"}
        if rows is not None:
            data["data"] = {"rows": rows, "calls": 1, "bytes": rows * 10}
        return {
            "specversion": "1.0", "id": new_id("cor"), "source": self.source, "subject": self.grant,
            "type": "cn.govopen.usage.cancelled" if rows is None else "cn.govopen.usage.corrected",
            "time": (self.clock.now() + timedelta(seconds=after_s)).isoformat(), "data": data, **more,
        }

    async def send(self, *events: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
        """One event as it is, several as a batch."""
        return await self.client.post(
            "/v1/usage/events", json=list(events) if len(events) != 1 else events[0],
            headers={**(headers or self.headers()), "Content-Type": SINGLE if len(events) == 1 else BATCH},
        )

    async def usage(self) -> dict[str, Any]:
        answer = await self.client.get(f"/v1/grants/{self.grant}/usage", headers=self.headers())
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


OperatorMaker = Callable[[], Awaitable[Operator]]
