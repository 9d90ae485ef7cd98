"""Meters: what is counted, from which events, by which window. A definition is never edited: a change is a version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import asyncpg

from authz import BEIJING, FieldError, InvalidInput, NotFound
from billing.acting import Act
from billing.usage import effective

Aggregation = Literal["count", "sum", "max", "unique"]
Window = Literal["hour", "day", "month"]
DEFINE = "meter:define"

COLUMNS = {"rows": "e.rows", "calls": "e.calls", "bytes": "e.bytes"}
TEXTS = {"source": "e.source", "type": "e.type", "resource_id": "e.resource_id", "id": "e.id"}
PROPERTY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}(\.[A-Za-z_][A-Za-z0-9_]{0,60}){0,4}")
"""A property of the event's data, dots for what lies deeper; a few names mean the event's own attributes."""
SPAN_MAX: dict[str, timedelta] = {
    "hour": timedelta(days=32), "day": timedelta(days=400), "month": timedelta(days=366 * 6),
}
VALUES_MAX = 10_000


@dataclass(frozen=True)
class Meter:
    name: str
    version: int
    title_zh: str
    title_en: str
    event_types: tuple[str, ...]
    aggregation: Aggregation
    value_property: str | None
    group_by: tuple[str, ...]
    created_at: datetime

    def as_document(self) -> dict[str, Any]:
        return {
            "name": self.name, "version": self.version, "title_zh": self.title_zh, "title_en": self.title_en,
            "event_types": list(self.event_types), "aggregation": self.aggregation,
            "value_property": self.value_property, "group_by": list(self.group_by),
            "created_at": self.created_at.isoformat(),
        }


@dataclass(frozen=True)
class NewMeter:
    """A definition to add; ``event_types`` empty counts events of every type."""

    name: str
    title_zh: str
    title_en: str
    event_types: tuple[str, ...]
    aggregation: Aggregation
    value_property: str | None
    group_by: tuple[str, ...]


SELECT = (
    "SELECT name, version, title_zh, title_en, event_types, aggregation, value_property, group_by, created_at"
    " FROM billing.meter"
)


def _meter(row: asyncpg.Record) -> Meter:
    return Meter(**{**dict(row), "event_types": tuple(row["event_types"]), "group_by": tuple(row["group_by"])})


async def listed(tx: asyncpg.Connection) -> list[Meter]:
    """The newest version of every meter."""
    rows = await tx.fetch(
        f"SELECT DISTINCT ON (name) * FROM ({SELECT}) AS m ORDER BY name, version DESC"
    )
    return [_meter(row) for row in rows]


async def find(tx: asyncpg.Connection, name: str, version: int | None = None) -> Meter:
    """The meter in that version, the newest when none is named; raises NotFound."""
    row = await tx.fetchrow(
        f"{SELECT} WHERE name = $1 AND ($2::int IS NULL OR version = $2) ORDER BY version DESC LIMIT 1", name, version
    )
    if row is None:
        raise NotFound
    return _meter(row)


async def define(act: Act, given: NewMeter) -> Meter:
    """Add a meter or a version of one; the same again adds nothing. Raises InvalidInput naming what is wrong."""
    act.require(DEFINE)
    faults = [
        FieldError(field, "property_malformed", "应为事件数据的属性名", "must be a property of the event's data")
        for field, value in (
            ("value_property", given.value_property), *((f"group_by.{n}", one) for n, one in enumerate(given.group_by)),
        )
        if value is not None and not PROPERTY.fullmatch(value)
    ]
    if (given.aggregation == "count") != (given.value_property is None):
        faults.append(FieldError(
            "value_property", "property_needed", "除 count 外均须指明取值属性，count 不得指明",
            "is needed by every aggregation but count, which takes none",
        ))
    if faults:
        raise InvalidInput(faults)
    await act.tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('billing.meter', 0))")
    row = await act.tx.fetchrow(f"{SELECT} WHERE name = $1 ORDER BY version DESC LIMIT 1", given.name)
    before = _meter(row) if row else None
    if before is not None and _content(before) == _content(given):
        return before
    version = before.version + 1 if before else 1
    await act.tx.execute(
        "INSERT INTO billing.meter (name, version, title_zh, title_en, event_types, aggregation, value_property,"
        " group_by, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        given.name, version, given.title_zh, given.title_en, list(given.event_types), given.aggregation,
        given.value_property, list(given.group_by), act.who.user_id, act.now,
    )
    await act.record(
        "meter.defined", given.name,
        details={"version": version, "aggregation": given.aggregation, "value_property": given.value_property,
                 "event_types": list(given.event_types), "group_by": list(given.group_by)},
    )
    return await find(act.tx, given.name)


def _content(one: Meter | NewMeter) -> tuple[Any, ...]:
    return (one.title_zh, one.title_en, one.event_types, one.aggregation, one.value_property, one.group_by)


@dataclass(frozen=True)
class Asked:
    """A question to a meter: half-open span of time, window, groups; ``folder`` is where moved-out months are."""

    grant_ids: Sequence[str]
    start: datetime
    end: datetime
    window: Window
    group_by: tuple[str, ...] = ()
    folder: str | None = None


def check(meter: Meter, asked: Asked) -> None:
    """Raises InvalidInput for a span that is empty or too long for the window, or a group the meter does not have."""
    faults = []
    if asked.start >= asked.end or asked.end - asked.start > SPAN_MAX[asked.window]:
        days = SPAN_MAX[asked.window].days
        zh, en = f"时段应大于零且不超过 {days} 天", f"must be later, by {days} days at most"
        faults.append(FieldError("to", "span_too_long", zh, en))
    for name in asked.group_by:
        if name not in meter.group_by:
            allowed = ", ".join(meter.group_by) or "-"
            faults.append(FieldError("group_by", "group_unknown", f"可用的分组：{allowed}", f"must be of: {allowed}"))
    if faults:
        raise InvalidInput(faults)


async def values(tx: asyncpg.Connection, meter: Meter, asked: Asked) -> list[dict[str, Any]]:
    """Values by window (hours, days and months of Beijing) and group, in order; windows without events are left out.

    ``unique`` is exact. What was corrected counts as corrected, what was cancelled not at all.
    """
    check(meter, asked)
    bound = await effective.parameters(tx, asked.folder, asked.grant_ids, asked.start, asked.end)
    bound += [list(meter.event_types), asked.window]
    groups: list[str] = []
    for name in asked.group_by:
        groups.append(f"{_text(name, bound)} AS g{len(groups)}")
    value = _value(meter, bound)
    names = [f"g{number}" for number in range(len(groups))]
    rows = await tx.fetch(
        f"""
        WITH {effective.SQL}
        SELECT date_trunc($15, e.time AT TIME ZONE 'Asia/Shanghai') AS at, {"".join(f"{one}, " for one in groups)}
            {value} AS value
        FROM e WHERE $14::text[] = '{{}}' OR e.type = ANY($14)
        GROUP BY {", ".join(["1", *names])} ORDER BY {", ".join(["1", *names])} LIMIT {VALUES_MAX + 1}
        """,
        *bound,
    )
    if len(rows) > VALUES_MAX:
        raise InvalidInput([FieldError(
            "group_by", "too_many_values", f"结果超过 {VALUES_MAX} 行，请缩小时段或减少分组",
            f"more than {VALUES_MAX} values; ask for less time or fewer groups",
        )])
    return [
        {
            "from": row["at"].replace(tzinfo=BEIJING).isoformat(),
            **({"groups": {name: row[f"g{n}"] for n, name in enumerate(asked.group_by)}} if asked.group_by else {}),
            "value": _plain(row["value"]),
        }
        for row in rows if row["value"] is not None
    ]


def _text(name: str, bound: list[Any]) -> str:
    if name in TEXTS or name in COLUMNS:
        return f"{TEXTS.get(name) or COLUMNS[name]}::text"
    bound.append(name.split("."))
    return f"(e.data #>> ${len(bound)}::text[])"


def _value(meter: Meter, bound: list[Any]) -> str:
    name = meter.value_property
    if meter.aggregation == "count" or name is None:
        return "count(*)"
    if meter.aggregation == "unique":
        return f"count(DISTINCT {_text(name, bound)})"
    if name in COLUMNS:
        number = COLUMNS[name]
    else:
        bound.append(name.split("."))
        place = f"${len(bound)}::text[]"
        number = f"CASE WHEN jsonb_typeof(e.data #> {place}) = 'number' THEN (e.data #>> {place})::numeric END"
    return f"{meter.aggregation}({number})"


def _plain(value: Any) -> int | str:
    """A whole number as one; any other as text, exactly: no float comes in between."""
    if isinstance(value, Decimal) and value != value.to_integral_value():
        return format(value.normalize(), "f")
    return int(value)
