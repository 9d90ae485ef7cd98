"""A clock of one step, read from its events: started, paused, resumed, extended, stopped. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from licensing.working_days import (
    DAY,
    OFFICIAL,
    CalendarBasis,
    WorkCalendar,
    WorkingDays,
    calendar_knows_through,
)

NONE = WorkingDays(0)


class ClockKind(enum.StrEnum):
    """What happened to a clock; a start replaces any earlier clock of the same step."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    EXTEND = "extend"
    STOP = "stop"


@dataclass(frozen=True)
class ClockEvent:
    """``on`` is the Beijing date; ``days`` the limit of a start or the addition of an extension."""

    step: str
    kind: ClockKind
    on: date
    days: WorkingDays = NONE
    actor: str = ""
    approver: str | None = None
    reason: str | None = None
    basis: str | None = None
    at: datetime | None = None


class ClockMisuse(ValueError):
    """Events in an order that no clock can have, such as resuming one that runs."""


@dataclass(frozen=True)
class Reading:
    """A clock on one day. ``left`` counts down to 0 on the due day and below it afterwards."""

    step: str
    started_on: date
    limit: WorkingDays
    used: WorkingDays
    paused: bool
    due_on: date | None
    stopped_on: date | None
    basis: CalendarBasis

    @property
    def left(self) -> int:
        return self.limit.count - self.used.count

    @property
    def overdue(self) -> bool:
        return self.left < 0

    def as_document(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "started_on": self.started_on.isoformat(),
            "due_on": self.due_on.isoformat() if self.due_on else None,
            "limit_working_days": self.limit.count,
            "working_days_used": self.used.count,
            "working_days_left": self.left,
            "paused": self.paused,
            "overdue": self.overdue,
            "stopped_on": self.stopped_on.isoformat() if self.stopped_on else None,
            "calendar": self.basis.value,
        }


def read_clock(
    events: Iterable[ClockEvent], step: str, today: date, calendar: WorkCalendar = OFFICIAL
) -> Reading | None:
    """The clock of a step as it stands on ``today``; None when it was never started.

    A day counts when it is a working day after the start, not after the stop, and not inside a pause: the day
    of the pause itself still counts, the day of resuming does not (it is a day of receipt).
    """
    started: date | None = None
    limit = NONE
    pauses: list[tuple[date, date | None]] = []
    stopped: date | None = None
    for event in events:
        if event.step != step:
            continue
        if event.kind is ClockKind.START:
            started, limit, pauses, stopped = event.on, event.days, [], None
            continue
        if started is None or stopped is not None:
            raise ClockMisuse(f"{event.kind} of a clock that does not run: {step}")
        paused = bool(pauses) and pauses[-1][1] is None
        if event.kind is ClockKind.PAUSE:
            if paused:
                raise ClockMisuse(f"paused twice: {step}")
            pauses.append((event.on, None))
        elif event.kind is ClockKind.RESUME:
            if not paused:
                raise ClockMisuse(f"resumed without a pause: {step}")
            pauses[-1] = (pauses[-1][0], event.on)
        elif event.kind is ClockKind.EXTEND:
            limit = limit + event.days
        else:
            stopped = event.on
    if started is None:
        return None
    return _reckon(step, started, limit, pauses, stopped, today, calendar)


def _reckon(
    step: str, started: date, limit: WorkingDays, pauses: list[tuple[date, date | None]],
    stopped: date | None, today: date, calendar: WorkCalendar,
) -> Reading:
    def counts(day: date) -> bool:
        inside = any(begin < day and (end is None or day <= end) for begin, end in pauses)
        return not inside and calendar.is_working_day(day)

    until = min(today, stopped) if stopped else today
    used = sum(counts(started + timedelta(days=n)) for n in range(1, max(0, (until - started).days) + 1))
    running = not (pauses and pauses[-1][1] is None)
    due: date | None = None
    if running:
        day, found = started, 0
        while found < limit.count:
            day += DAY
            found += counts(day)
        due = day
    last = max(today, due) if due else today
    return Reading(
        step=step, started_on=started, limit=limit, used=WorkingDays(used), paused=not running and stopped is None,
        due_on=due, stopped_on=stopped, basis=calendar_knows_through(started, last, calendar),
    )
