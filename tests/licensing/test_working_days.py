"""Working days against an independent reckoning, the calendar's known traps, clocks with pauses."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from chinese_calendar import constants
from hypothesis import given
from hypothesis import strategies as st

from licensing.clocks import ClockEvent, ClockKind, ClockMisuse, read_clock
from licensing.limits import LimitsMalformed, parse, procedure
from licensing.working_days import (
    OFFICIAL,
    CalendarBasis,
    WorkingDays,
    add_calendar_days,
    add_working_days,
    next_working_day,
    working_days_between,
)

FIRST, LAST = date(2004, 1, 1), date(2026, 12, 31)
WORKING = [
    day
    for day in (FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1))
    if day in constants.workdays or (day.weekday() < 5 and day not in constants.holidays)
]
"""Every working day that is officially known, listed from the published tables themselves."""
DAYS = st.dates(FIRST, date(2026, 6, 30))


@given(DAYS, st.integers(1, 80))
def test_a_limit_ends_on_the_nth_listed_day_after_its_start(start: date, count: int) -> None:
    after = [day for day in WORKING if day > start]
    deadline = add_working_days(start, WorkingDays(count))
    if count <= len(after):
        assert deadline.on == after[count - 1]
        assert deadline.basis is CalendarBasis.STATE_COUNCIL


@given(DAYS, st.integers(0, 200))
def test_days_between_are_those_listed(start: date, days: int) -> None:
    end = min(start + timedelta(days=days), LAST)
    assert working_days_between(start, end).count == sum(start < day <= end for day in WORKING)


@given(DAYS, st.integers(1, 60))
def test_adding_and_counting_agree(start: date, count: int) -> None:
    assert working_days_between(start, add_working_days(start, WorkingDays(count)).on) == WorkingDays(count)


@given(st.dates(date(2004, 1, 1), date(2050, 1, 1)))
def test_a_deadline_is_never_on_a_day_off(day: date) -> None:
    assert OFFICIAL.is_working_day(next_working_day(day).on)
    assert next_working_day(day).on >= day


@pytest.mark.parametrize(
    ("start", "days", "ends"),
    [
        (date(2026, 9, 30), 1, date(2026, 10, 8)),  # the National Day holiday lies between
        (date(2026, 10, 8), 2, date(2026, 10, 10)),  # a Saturday that is a make-up day
        (date(2026, 2, 13), 3, date(2026, 2, 25)),  # Saturday 14 works, then the Spring Festival
        (date(2026, 11, 23), 5, date(2026, 11, 30)),
        (date(2026, 11, 28), 1, date(2026, 11, 30)),  # received on a Saturday
    ],
)
def test_known_days(start: date, days: int, ends: date) -> None:
    assert add_working_days(start, WorkingDays(days)).on == ends


def test_beyond_the_published_years_weekdays_count_and_the_record_says_so() -> None:
    deadline = add_working_days(date(2026, 12, 31), WorkingDays(1))
    assert (deadline.on, deadline.basis) == (date(2027, 1, 1), CalendarBasis.WEEKDAY_RULE)
    assert add_working_days(date(2031, 3, 3), WorkingDays(5)).on == date(2031, 3, 10)


def test_a_calendar_limit_moves_to_the_next_working_day() -> None:
    assert add_calendar_days(date(2026, 8, 2), 60).on == date(2026, 10, 8)


def test_working_days_mix_with_nothing_else() -> None:
    assert WorkingDays(2) + WorkingDays(3) == WorkingDays(5)
    for wrong in (lambda: WorkingDays(2) + timedelta(days=1), lambda: WorkingDays(1.5), lambda: WorkingDays(True)):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ValueError, match="not negative"):
        WorkingDays(-1)


def at(kind: ClockKind, on: date, days: int = 0) -> ClockEvent:
    return ClockEvent("form_review", kind, on, WorkingDays(days))


PAUSES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=4)


@given(st.dates(date(2020, 1, 1), date(2026, 1, 1)), st.integers(1, 25), PAUSES, st.integers(0, 120))
def test_a_clock_counts_the_listed_days_outside_its_pauses(
    start: date, limit: int, pauses: list[tuple[int, int]], later: int
) -> None:
    events, day, off = [at(ClockKind.START, start, limit)], start, set()
    for gap, length in pauses:
        begin = day + timedelta(days=gap)
        day = begin + timedelta(days=length)
        events += [at(ClockKind.PAUSE, begin), at(ClockKind.RESUME, day)]
        off |= {begin + timedelta(days=n) for n in range(1, length + 1)}
    today = day + timedelta(days=later)
    counted = [one for one in WORKING if one > start and one not in off]
    reading = read_clock(events, "form_review", today)
    assert reading is not None
    used = sum(one <= today for one in counted)
    assert (reading.used.count, reading.left) == (used, limit - used)
    assert reading.due_on == counted[limit - 1]
    assert reading.overdue is (today > counted[limit - 1] and used > limit)


def test_a_paused_clock_has_no_due_date_and_an_extended_one_a_later() -> None:
    monday = date(2026, 11, 23)
    events = [at(ClockKind.START, monday, 5), at(ClockKind.PAUSE, date(2026, 11, 25))]
    paused = read_clock(events, "form_review", date(2026, 12, 20))
    assert paused is not None
    assert (paused.paused, paused.due_on, paused.left, paused.overdue) == (True, None, 3, False)
    events += [at(ClockKind.RESUME, date(2026, 12, 21)), at(ClockKind.EXTEND, date(2026, 12, 21), 2)]
    running = read_clock(events, "form_review", date(2026, 12, 21))
    assert running is not None
    assert (running.paused, running.due_on, running.left) == (False, date(2026, 12, 28), 5)
    stopped = read_clock([*events, at(ClockKind.STOP, date(2026, 12, 22))], "form_review", date(2027, 5, 1))
    assert stopped is not None
    assert (stopped.left, stopped.overdue) == (4, False)


def test_a_new_start_restarts_and_nonsense_is_refused() -> None:
    day = date(2026, 11, 23)
    again = read_clock(
        [at(ClockKind.START, day, 3), at(ClockKind.STOP, day), at(ClockKind.START, date(2026, 12, 1), 3)],
        "form_review", date(2026, 12, 2),
    )
    assert again is not None
    assert (again.started_on, again.left) == (date(2026, 12, 1), 2)
    for wrong in ([at(ClockKind.RESUME, day)], [at(ClockKind.START, day, 3), at(ClockKind.RESUME, day)],
                  [at(ClockKind.START, day, 3), at(ClockKind.STOP, day), at(ClockKind.PAUSE, day)]):
        with pytest.raises(ClockMisuse):
            read_clock(wrong, "form_review", day)
    assert read_clock([], "form_review", day) is None


def test_every_limit_names_its_source_and_a_broken_file_is_refused() -> None:
    assert all(limit.source for limit in procedure().limits.values())
    assert (procedure().limit("form_review").days, procedure().limit("owner_review").days) == (5, 10)
    good = {
        "procedure": {"reviewers": ["owner_review"], "supplements_per_step_max": 1, "extensions_per_step_max": 1,
                      "term_months_max": 60, "keys_per_grant_max": 5},
        "limit": {"form_review": {"days": 5, "unit": "working_days", "source": "x"}},
    }
    assert parse(good).reviewers == ("owner_review",)
    for wrong in (
        {**good, "procedure": {**good["procedure"], "reviewers": ["form_review"]}},
        {**good, "procedure": {**good["procedure"], "reviewers": ["owner_review", "nobody"]}},
        {**good, "limit": {"form_review": {"days": 0, "unit": "working_days", "source": "x"}}},
        {**good, "limit": {"form_review": {"days": 5, "unit": "days", "source": "x"}}},
        {**good, "limit": {"form_review": {"days": 5, "unit": "working_days"}}},
    ):
        with pytest.raises(LimitsMalformed):
            parse(wrong)
