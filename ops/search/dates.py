"""Dates as the index keeps them (milliseconds since 1970, UTC) and Solr's date mathematics."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ops.search.errors import SearchFault

_ISO = re.compile(
    r"^([+-]?\d{4,6})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:?\d{2})(Z?)(.*)$", re.S
)
_PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.A)
"""As CKAN writes them."""
_MATH = re.compile(r"([+-]\d+|/)([A-Za-z]+)")
_UNITS = {
    "YEAR": "year", "YEARS": "year", "MONTH": "month", "MONTHS": "month", "DAY": "day", "DAYS": "day",
    "DATE": "day", "HOUR": "hour", "HOURS": "hour", "MINUTE": "minute", "MINUTES": "minute",
    "SECOND": "second", "SECONDS": "second", "MILLI": "milli", "MILLIS": "milli", "MILLISECOND": "milli",
    "MILLISECONDS": "milli",
}
_SPANS = {"day": 86_400_000, "hour": 3_600_000, "minute": 60_000, "second": 1000, "milli": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _bad(text: str) -> SearchFault:
    return SearchFault(f"Invalid Date String:'{text[:100]}'")


def to_millis(value: datetime) -> int:
    return (value - _EPOCH) // timedelta(milliseconds=1)


def from_millis(millis: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=millis)


def parse_date(text: str, now: datetime) -> int:
    """An instant with optional mathematics (``NOW-1MONTH/DAY``) in milliseconds; 400 when it is none."""
    text = text.strip()
    try:
        if _PLAIN.fullmatch(text):
            return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
        if text.startswith("NOW"):
            return _math(to_millis(now), text[3:], text)
        match = _ISO.match(text)
        if match is None:
            raise _bad(text)
        year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
        fraction = int(((match[7] or "") + "000")[:3])
        zone = UTC if match[8] == "Z" else datetime.strptime(match[8].replace(":", ""), "%z").tzinfo
        instant = datetime(year, month, day, hour, minute, second, fraction * 1000, tzinfo=zone)
        return _math(to_millis(instant), match[10], text)
    except (ValueError, OverflowError) as error:
        raise _bad(text) from error


def _math(millis: int, operations: str, text: str) -> int:
    position = 0
    while position < len(operations):
        match = _MATH.match(operations, position)
        unit = _UNITS.get(match[2].upper()) if match else None
        if match is None or unit is None:
            raise _bad(text)
        millis = _round(millis, unit) if match[1] == "/" else _add(millis, int(match[1]), unit)
        position = match.end()
    from_millis(millis)
    return millis


def _add(millis: int, amount: int, unit: str) -> int:
    if unit in _SPANS:
        return millis + amount * _SPANS[unit]
    value = from_millis(millis)
    months = value.year * 12 + value.month - 1 + amount * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    following = datetime(year + (month + 1) // 12, (month + 1) % 12 + 1, 1, tzinfo=UTC)
    last = (following - timedelta(days=1)).day
    return to_millis(value.replace(year=year, month=month + 1, day=min(value.day, last)))


def _round(millis: int, unit: str) -> int:
    if unit in _SPANS:
        return millis - millis % _SPANS[unit]
    value = from_millis(millis).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return to_millis(value.replace(month=1) if unit == "year" else value)


def format_date(millis: int) -> str:
    """As Solr prints it: milliseconds only when there are some."""
    text = from_millis(millis).isoformat(timespec="milliseconds")
    return f"{text[:23]}".rstrip("0") + "Z" if millis % 1000 else text[:19] + "Z"
