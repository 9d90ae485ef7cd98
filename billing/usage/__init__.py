"""Usage: reserved before the first byte, settled after the last, kept as events that nobody edits."""

from billing.usage.model import (
    SOURCE,
    Ask,
    OpenReservation,
    Quota,
    QuotaExhausted,
    Served,
    UsageEvent,
    UsageEventConflict,
    UsageTotals,
)
from billing.usage.recorder import UsageRecorder
from billing.usage.service import (
    QuotaLeft,
    SpanTotals,
    each_event,
    events,
    open_reservations,
    quota_left,
    record_event,
    settle_lost,
    spans,
    totals,
    totals_by_grant,
)

__all__ = [
    "SOURCE", "Ask", "OpenReservation", "Quota", "QuotaExhausted", "QuotaLeft", "Served", "SpanTotals",
    "UsageEvent", "UsageEventConflict", "UsageRecorder", "UsageTotals", "each_event", "events",
    "open_reservations", "quota_left", "record_event", "settle_lost", "spans", "totals", "totals_by_grant",
]
