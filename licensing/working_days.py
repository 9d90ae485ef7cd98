"""Working days 工作日: the State Council's holidays and make-up days (调休), counted in Beijing dates.

Rules of counting: the day of receipt is not counted; a limit of n working days ends on the n-th working day after it;
a limit in calendar days that ends on a day off moves to the next working day (民法典 201, 203). ``WorkingDays`` is
its own type so that it cannot be added to a ``timedelta`` by mistake.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Protocol

import chinese_calendar

DAY = timedelta(days=1)


@dataclass(frozen=True, order=True, slots=True)
class WorkingDays:
    """A number of working days, zero or more; never a duration on the clock."""

    count: int

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int):
            raise TypeError("working days are whole")
        if self.count < 0:
            raise ValueError("working days are not negative")

    def __add__(self, other: WorkingDays) -> WorkingDays:
        if not isinstance(other, WorkingDays):
            return NotImplemented
        return WorkingDays(self.count + other.count)

    def __str__(self) -> str:
        return f"{self.count} 个工作日"


class CalendarBasis(enum.StrEnum):
    """What told working days from days off."""

    STATE_COUNCIL = "state_council"
    """The State Council's published arrangement of holidays covers every day that was counted."""
    WEEKDAY_RULE = "weekday_rule"
    """At least one day lies in a year not yet published: Monday to Friday were taken as working days."""


class WorkCalendar(Protocol):
    def is_working_day(self, day: date) -> bool:
        """Whether public offices work on that day."""

    def knows(self, day: date) -> bool:
        """Whether the arrangement for that day's year has been published."""


class StateCouncilCalendar:
    """The official calendar, as far as it is known; beyond it Monday to Friday, and ``knows`` says so."""

    def is_working_day(self, day: date) -> bool:
        return _official(day) if self.knows(day) else day.weekday() < 5

    def knows(self, day: date) -> bool:
        return _published(day.year)


@lru_cache(maxsize=4096)
def _official(day: date) -> bool:
    return bool(chinese_calendar.is_workday(day))


@lru_cache(maxsize=64)
def _published(year: int) -> bool:
    try:
        chinese_calendar.is_workday(date(year, 1, 1))
    except NotImplementedError:
        return False
    return True


OFFICIAL = StateCouncilCalendar()


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last day of a limit, and what it was reckoned by."""

    on: date
    basis: CalendarBasis


def add_working_days(start: date, days: WorkingDays, calendar: WorkCalendar = OFFICIAL) -> Deadline:
    """The last day of a limit that begins with an event on ``start``; that day itself is not counted.

    Zero working days end on ``start`` when it is a working day, else on the next one.
    """
    if days.count == 0:
        return next_working_day(start, calendar)
    day, known = start, True
    for _ in range(days.count):
        day += DAY
        known &= calendar.knows(day)
        while not calendar.is_working_day(day):
            day += DAY
            known &= calendar.knows(day)
    return Deadline(day, _basis(known))


def next_working_day(day: date, calendar: WorkCalendar = OFFICIAL) -> Deadline:
    """``day`` itself when it is a working day, else the first working day after it."""
    known = calendar.knows(day)
    while not calendar.is_working_day(day):
        day += DAY
        known &= calendar.knows(day)
    return Deadline(day, _basis(known))


def add_calendar_days(start: date, days: int, calendar: WorkCalendar = OFFICIAL) -> Deadline:
    """The last day of a limit in calendar days: ``start`` not counted, moved on when it falls on a day off."""
    return next_working_day(start + timedelta(days=days), calendar)


def working_days_between(start: date, end: date, calendar: WorkCalendar = OFFICIAL) -> WorkingDays:
    """Working days d with start < d <= end; zero when end is not after start."""
    found = 0
    day = start
    while day < end:
        day += DAY
        found += calendar.is_working_day(day)
    return WorkingDays(found)


def calendar_knows_through(start: date, end: date, calendar: WorkCalendar = OFFICIAL) -> CalendarBasis:
    """What the days from ``start`` to ``end`` can be told apart by."""
    return _basis(all(calendar.knows(date(year, 1, 1)) for year in range(start.year, end.year + 1)))


def _basis(known: bool) -> CalendarBasis:
    return CalendarBasis.STATE_COUNCIL if known else CalendarBasis.WEEKDAY_RULE
