"""A value to compare with, read by the type of the field it is compared to."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from authz.foundation.clock import BEIJING

SQL_TYPES = {
    "text": "text", "integer": "bigint", "numeric": "numeric", "date": "date", "timestamp": "timestamp",
    "boolean": "boolean",
}
TEXT_LENGTH_MAX = 1_000
BIGINT_MAX = 2**63 - 1
DIGITS_MAX = 100


class ValueUnfit(ValueError):
    """The value cannot be compared with a field of that type; ``args`` are a Chinese and an English sentence."""

    @property
    def zh(self) -> str:
        return str(self.args[0])

    @property
    def en(self) -> str:
        return str(self.args[1])


def typed(value: Any, kind: str) -> Any:
    """The value as Python's for the field type; raises ValueUnfit. Text comes from addresses, the rest from JSON."""
    try:
        return _READERS[kind](value)
    except KeyError as fault:
        raise ValueUnfit("字段类型无法比较", "the field's type cannot be compared") from fault
    except (ValueError, TypeError, InvalidOperation, OverflowError) as fault:
        if isinstance(fault, ValueUnfit):
            raise
        raise ValueUnfit(*_SENTENCES[kind]) from fault


def as_text(value: Any) -> str:
    """The value as text to compare with a masked one."""
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float | Decimal):
        raise TypeError
    text = str(value)
    if "\0" in text or len(text) > TEXT_LENGTH_MAX:
        raise ValueUnfit(
            f"应为不超过 {TEXT_LENGTH_MAX} 字的文本", f"must be text of at most {TEXT_LENGTH_MAX} characters"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as fault:
        raise ValueUnfit("不是有效的文本", "is not valid text") from fault
    return text


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, str) and len(value) > DIGITS_MAX):
        raise TypeError
    number = int(value) if isinstance(value, str) else value
    if not isinstance(number, int) or not -BIGINT_MAX <= number <= BIGINT_MAX:
        raise ValueError
    return number


def _numeric(value: Any) -> Decimal:
    if isinstance(value, bool) or len(str(value)) > DIGITS_MAX:
        raise TypeError
    number = Decimal(str(value))
    if not number.is_finite() or abs(number.adjusted()) > DIGITS_MAX:
        raise ValueError
    return number


def _date(value: Any) -> date:
    return date.fromisoformat(value)


def _timestamp(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    return at.astimezone(BEIJING).replace(tzinfo=None) if at.tzinfo else at


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]


def _boolean_or_fault(value: Any) -> bool:
    try:
        return _boolean(value)
    except KeyError as fault:
        raise ValueError from fault


_READERS = {
    "text": _text, "integer": _integer, "numeric": _numeric, "date": _date, "timestamp": _timestamp,
    "boolean": _boolean_or_fault,
}
_SENTENCES = {
    "text": ("应为文本", "must be text"),
    "integer": ("应为整数", "must be a whole number"),
    "numeric": ("应为数字", "must be a number"),
    "date": ("应为日期，例如 2026-11-21", "must be a date such as 2026-11-21"),
    "timestamp": ("应为时间，例如 2026-11-21T09:30:00", "must be a time such as 2026-11-21T09:30:00"),
    "boolean": ("应为 true 或 false", "must be true or false"),
}
