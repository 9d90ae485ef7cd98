"""Clocks of procedural steps in working days: every start, pause, resume, extension and stop is an event."""

from licensing.clocks.model import ClockEvent, ClockKind, ClockMisuse, Reading, read_clock
from licensing.clocks.store import events_of, reading, record

__all__ = [
    "ClockEvent", "ClockKind", "ClockMisuse", "Reading", "events_of", "read_clock", "reading", "record",
]
