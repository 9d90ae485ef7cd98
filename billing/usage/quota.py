"""Quotas of a grant: calls, rows, bytes and distinct keys, by Beijing's day and month and over the grant's life."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Self

from authz import Reason, Refusal

SPANS = ("day", "month", "life")
METERS = ("calls", "rows", "bytes", "keys")

_METER_ZH = {"calls": "调用次数", "rows": "行数", "bytes": "字节数", "keys": "查询对象数"}
_METER_EN = {"calls": "calls", "rows": "rows", "bytes": "bytes", "keys": "distinct keys"}
_SPAN_ZH = {"day": "每日", "month": "月度", "life": "授权期内"}
_SPAN_EN = {"day": "a day", "month": "a month", "life": "over the grant's life"}


@dataclass(frozen=True, slots=True)
class Quota:
    """Bounds of a grant; None is without bound. ``keys`` are the distinct values that lookups asked for."""

    rows_month: int | None = None
    calls_day: int | None = None
    rows_day: int | None = None
    rows_life: int | None = None
    calls_month: int | None = None
    calls_life: int | None = None
    bytes_day: int | None = None
    bytes_month: int | None = None
    bytes_life: int | None = None
    keys_day: int | None = None
    keys_month: int | None = None
    keys_life: int | None = None

    @classmethod
    def of(cls, terms: Any) -> Self:
        """From a grant's terms (``authz.QuotaTerms``, or a document), None for none."""
        if terms is None:
            return cls()
        if isinstance(terms, dict):
            return cls(**{one.name: terms.get(one.name) for one in fields(cls)})
        return cls(**{one.name: getattr(terms, one.name) for one in fields(cls)})

    def of_span(self, span: str) -> tuple[int | None, int | None, int | None, int | None]:
        """The bounds of a span: calls, rows, bytes, keys."""
        match span:
            case "day":
                return self.calls_day, self.rows_day, self.bytes_day, self.keys_day
            case "month":
                return self.calls_month, self.rows_month, self.bytes_month, self.keys_month
        return self.calls_life, self.rows_life, self.bytes_life, self.keys_life

    def set_bounds(self) -> Iterator[tuple[str, str, int]]:
        """(meter, span, bound) of every bound there is."""
        for span in SPANS:
            for meter, bound in zip(METERS, self.of_span(span), strict=True):
                if bound is not None:
                    yield meter, span, bound


class QuotaExhausted(Refusal):
    """The call would go over the grant's quota; nothing was sent and nothing was counted."""

    code = "quota_exhausted"
    status = 429
    zh = "授权的{what_zh}用量不足：剩余 {left}，少于本次所需。"
    en = "The grant's quota of {what_en} does not suffice: {left} left, this call needs more."
    next_zh = "{then_zh}"
    next_en = "{then_en}"

    def __init__(self, meter: str, span: str, left: int, resets_on: date | None, retry_after_s: int | None) -> None:
        until = resets_on.isoformat() if resets_on else None
        less_zh, less_en = (f"（例如 limit={left}）", f" (for example limit={left})") if meter == "rows" else ("", "")
        wait_zh, wait_en = (f"，或等到 {until} 额度恢复", f", wait until {until}") if until else ("", "")
        super().__init__(
            meter=f"{meter}_{span}", left=left, resets_on=until, what_zh=f"{_SPAN_ZH[span]}{_METER_ZH[meter]}",
            what_en=f"{_METER_EN[meter]} {_SPAN_EN[span]}",
            then_zh=f"可减少本次数量{less_zh}{wait_zh}，或在“我的授权”页申请增加用量。",
            then_en=f"Ask for less{less_en}{wait_en}, or apply for more in My grants.",
        )
        told = {"meter": f"{meter}_{span}", "left": left, "resets_on": until}
        self.reasons = (Reason("quota_exhausted", self.detail("zh"), self.detail("en"), told),)
        self._retry_after_s = retry_after_s

    def headers(self) -> dict[str, str]:
        return {} if self._retry_after_s is None else {"Retry-After": str(self._retry_after_s)}
