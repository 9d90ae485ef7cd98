"""What was asked for, what was sent, and the event that stays: values of usage, no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import orjson

from authz import BEIJING, Conflict, beijing_date, new_id
from billing.usage.quota import Quota as Quota
from billing.usage.quota import QuotaExhausted as QuotaExhausted

SOURCE = "/data/v1"
"""CloudEvents source of everything that delivery itself sends."""
Digest = bytes
EVENT_TYPE = "cn.govopen.data.delivered"

Outcome = Literal["complete", "client_left", "stopped", "failed", "by_rule"]
"""How a delivery ended: all sent; the client went away; the grant ended; a fault of ours; process lost."""


class UsageEventConflict(Conflict):
    """The same (source, id) came with other content: one of the two is wrong and neither is overwritten."""

    code = "usage_event_conflict"
    zh = "用量事件 {source} / {id} 已记录，且内容不同。"
    en = "The usage event {source} / {id} is already recorded with other content."
    next_zh = "已记录的事件不可修改；如需更正，请以新的编号追加更正事件。"
    next_en = "A recorded event is never changed; add a correction under an id of its own."


@dataclass(slots=True)
class Ask:
    """What a call wants to reserve: ``rows`` is the most it may send, and ``bytes`` too where a quota bounds them.
    Nothing of it changes; a class that made sure of that would cost three times as much for every page.

    ``keys`` are digests of the distinct values that a lookup asks for.
    """

    grant_id: str
    resource_id: str
    purpose: str
    columns: tuple[str, ...]
    rows: int
    at: datetime
    quota: Quota = field(default_factory=Quota)
    id: str = field(default_factory=lambda: new_id("use"))
    bytes: int = 0
    keys: tuple[Digest, ...] = ()

    @property
    def day(self) -> date:
        return beijing_date(self.at)


@dataclass(frozen=True, slots=True)
class Served:
    """What was really handed to the transport."""

    rows: int
    bytes: int
    outcome: Outcome = "complete"


@dataclass(frozen=True, slots=True)
class Settle:
    """Close an open reservation; ``served`` None means nothing was sent and nothing counts."""

    id: str
    grant_id: str
    day: date
    served: Served | None


@dataclass(frozen=True)
class UsageEvent:
    """A CloudEvent of usage. Identity is (source, id); ``time`` is when the call was accepted."""

    source: str
    id: str
    subject: str
    time: datetime
    resource_id: str
    rows: int
    calls: int
    bytes: int
    details: Mapping[str, Any]
    type: str = EVENT_TYPE
    number: int | None = None
    body: Mapping[str, Any] | None = None
    """The data word for word as it was sent by somebody else; None for what delivery itself records."""
    source_sequence: int | None = None
    """The sender's own count of what it sends about this grant, for finding what got lost."""
    sequence: int | None = None
    """Our count of the grant's events, from 1 without gaps; given when it is recorded."""
    corrects: tuple[str, str] | None = None
    """(source, id) of the event that this one corrects or cancels."""
    issued_at: datetime | None = None
    """When a correction was made; its ``time`` is that of what it corrects."""
    body_json: Digest | None = field(default=None, compare=False, repr=False)
    """The body as JSON with sorted keys, where it has been made already."""

    @classmethod
    def made(cls, fields: dict[str, Any]) -> UsageEvent:
        """An event of named fields; those not named have their defaults. A third of what the constructor costs."""
        event = object.__new__(cls)
        event.__dict__.update(fields)
        return event

    @property
    def data(self) -> dict[str, Any]:
        if self.body is not None:
            return dict(self.body)
        return {
            "resource_id": self.resource_id, "rows": self.rows, "calls": self.calls, "bytes": self.bytes,
            **self.details,
        }

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 of what the event says, but for when it was recorded: equal content, equal digest."""
        at = self.issued_at or self.time
        time = (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat()
        data = self.data if self.body_json is None else orjson.Fragment(self.body_json)
        content: list[Any] = [self.source, self.id, self.type, self.subject, time, data]
        if self.source_sequence is not None:
            content.append(self.source_sequence)
        return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()

    def as_document(self) -> dict[str, Any]:
        """CloudEvents 1.0 in JSON; ``recordnumber`` is our count of the grant's events, ``sequence`` the sender's."""
        document: dict[str, Any] = {
            "specversion": "1.0", "source": self.source, "id": self.id, "type": self.type,
            "subject": self.subject, "time": (self.issued_at or self.time).astimezone(BEIJING).isoformat(),
            "datacontenttype": "application/json", "data": self.data,
        }
        if self.source_sequence is not None:
            document["sequence"] = str(self.source_sequence)
        if self.sequence is not None:
            document["recordnumber"] = self.sequence
        return document


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """Sums over a span of time."""

    rows: int = 0
    calls: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class OpenReservation:
    """A delivery that is under way, or whose process was lost and has not been settled yet."""

    id: str
    grant_id: str
    resource_id: str
    rows_reserved: int
    reserved_at: datetime


def month_of(day: date) -> date:
    return day.replace(day=1)


def next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def seconds_until(day: date, now: datetime) -> int:
    """Seconds from ``now`` until that day begins in Beijing, at least one."""
    start = datetime(day.year, day.month, day.day, tzinfo=BEIJING)
    return max(1, int((start - now).total_seconds()))


def beijing_start(day: date) -> datetime:
    """The instant at which the day begins in Beijing."""
    return datetime(day.year, day.month, day.day, tzinfo=BEIJING)
