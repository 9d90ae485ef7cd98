"""Time as an input. Domain code takes instants; only this module reads the machine's clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

BEIJING = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, in UTC, with zone."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class ShiftedClock:
    """The system's clock moved by an offset: a demo city lives through weeks in minutes.

    The offset is kept in ``authz.clock`` so that all processes of a stack agree; ``shift_s`` is refreshed
    from there (``refresh``) by the app and the worker.
    """

    def __init__(self, shift_s: float = 0.0) -> None:
        self.shift_s = shift_s

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.shift_s)


class FixedClock:
    """A clock for tests: stands still until moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, **delta: float) -> None:
        self.at += timedelta(**delta)


def beijing_date(at: datetime) -> date:
    """The calendar date in Beijing of an instant: what the law's days are counted in."""
    return at.astimezone(BEIJING).date()
