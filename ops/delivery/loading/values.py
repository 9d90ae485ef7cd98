"""Values of a table as text that PostgreSQL reads the same way: one reader per field type.

A reader takes the text of a cell that is not empty and returns the text to store; it raises ValueError when the cell
does not fit. Nothing here ever puts a value into a message: the table may hold personal information.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from authz import BEIJING

INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
NUMERIC = re.compile(r"[+-]?([0-9]{1,1000}(\.[0-9]{0,1000})?|\.[0-9]{1,1000})([eE][+-]?[0-9]{1,3})?")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
TRUE = frozenset({"true", "t", "1", "yes", "是"})
FALSE = frozenset({"false", "f", "0", "no", "否"})
BIGINT_MAX = 2**63 - 1
BIGINT_MIN = -(2**63)

EXPECTED: Mapping[str, tuple[str, str]] = {
    "text": ("应为有效文本（不含 U+0000）", "must be valid text (without U+0000)"),
    "integer": ("应为整数", "must be a whole number of at most 64 bits"),
    "numeric": ("应为数字", "must be a number"),
    "date": ("应为日期，例如 2026-11-21", "must be a date such as 2026-11-21"),
    "timestamp": ("应为时间，例如 2026-11-21T09:30:00", "must be a time such as 2026-11-21T09:30:00"),
    "boolean": ("应为 true/false、是/否、1/0", "must be true/false, yes/no or 1/0"),
}


def _text(cell: str) -> str:
    if "\0" in cell:
        raise ValueError
    cell.encode("utf-8")
    return cell


def _integer(cell: str) -> str:
    cell = cell.strip()
    if not INTEGER.fullmatch(cell) or not BIGINT_MIN <= int(cell) <= BIGINT_MAX:
        raise ValueError
    return cell


def _numeric(cell: str) -> str:
    cell = cell.strip()
    if not cell.isascii() or not NUMERIC.fullmatch(cell):
        raise ValueError
    return cell


def _date(cell: str) -> str:
    cell = cell.strip()
    if not DATE.fullmatch(cell):
        raise ValueError
    return date.fromisoformat(cell).isoformat()


def _timestamp(cell: str) -> str:
    cell = cell.strip()
    if not TIMESTAMP.fullmatch(cell):
        raise ValueError
    at = datetime.fromisoformat(cell)
    if at.tzinfo is not None:
        at = at.astimezone(BEIJING).replace(tzinfo=None)
    return at.isoformat(" ")


def _boolean(cell: str) -> str:
    word = cell.strip().lower()
    if word in TRUE:
        return "true"
    if word in FALSE:
        return "false"
    raise ValueError


READERS: Mapping[str, Callable[[str], str]] = {
    "text": _text, "integer": _integer, "numeric": _numeric, "date": _date, "timestamp": _timestamp,
    "boolean": _boolean,
}


def cell_of(value: Any, kind: str) -> str | None:
    """A typed value (of a Parquet file) as the text of a cell, None when it is null; ValueError if unfit."""
    match value:
        case None:
            return None
        case str():
            return value
        case bool():
            if kind in ("integer", "numeric"):
                raise ValueError
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            if value != value or value in (float("inf"), float("-inf")):
                raise ValueError
            return str(int(value)) if kind == "integer" and value.is_integer() else repr(value)
        case Decimal():
            return f"{value:f}"
        case datetime():
            return _day_of(value) if kind == "date" else value.isoformat()
        case date():
            return value.isoformat()
    raise ValueError


def _day_of(at: datetime) -> str:
    """A time that is a whole day, as the date it is."""
    if at.tzinfo is not None:
        at = at.astimezone(UTC).replace(tzinfo=None)
    if at.time() != time():
        raise ValueError
    return at.date().isoformat()
