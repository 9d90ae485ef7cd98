"""One transaction of usage: close what was sent, open what may be sent, keep every counter exact.

Safe to run again with the same work after a commit whose answer was lost: reservations and events are found by
their ids and not counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from authz import AuditEntry, AuditLog
from billing.usage import keys_asked, store
from billing.usage.model import SOURCE, Ask, Served, Settle, UsageEvent, next_month, seconds_until
from billing.usage.quota import METERS, QuotaExhausted

Counters = Mapping[store.Key, store.Counter]


@dataclass
class Work:
    """What one transaction does: ``reserves`` to open, ``records`` to write at once, ``settles`` to close."""

    reserves: list[Ask] = field(default_factory=list)
    records: list[tuple[Ask, Served]] = field(default_factory=list)
    settles: list[Settle] = field(default_factory=list)


@dataclass
class Done:
    """Asks that were refused, by id; everything else of the work stands."""

    refused: dict[str, QuotaExhausted] = field(default_factory=dict)
    events: list[UsageEvent] = field(default_factory=list)


NONE_NEW: Mapping[str, Sequence[bytes]] = {}


def check_quota(
    ask: Ask, counters: Counters, new_keys: Mapping[str, Sequence[bytes]] = NONE_NEW
) -> QuotaExhausted | None:
    """Whether the ask fits beside what is used and reserved; the refusal tells what is left and until when.

    Where nothing of a meter is left, nothing more is served, even if this call happens to need none of it; but keys
    that were asked for before may always be asked for again. ``new_keys`` are by span.
    """
    for meter, span, bound in ask.quota.set_bounds():
        place = METERS.index(meter)
        left = bound - counters[store.key_of(ask.grant_id, ask.day, span)].used()[place]
        need = (1, ask.rows, ask.bytes, len(new_keys.get(span, ())))[place]
        if need > left or (left <= 0 and meter != "keys"):
            then = {"day": ask.day + timedelta(days=1), "month": next_month(ask.day)}.get(span)
            return QuotaExhausted(meter, span, max(0, left), then, seconds_until(then, ask.at) if then else None)
    return None


def event_of(ask: Ask, served: Served) -> UsageEvent:
    details: dict[str, object] = {
        "columns": list(ask.columns), "purpose": ask.purpose, "outcome": served.outcome, "settled_by_rule": False,
    }
    if ask.keys:
        details["keys"] = len(ask.keys)
    return UsageEvent.made({
        "source": SOURCE, "id": ask.id, "subject": ask.grant_id, "time": ask.at, "resource_id": ask.resource_id,
        "rows": served.rows, "calls": 1, "bytes": served.bytes, "details": details,
    })


async def carry_out(
    tx: asyncpg.Connection, audit: AuditLog, process_id: str, work: Work, now: datetime, *, again: bool = False
) -> Done:
    """Do the work within the caller's transaction. ``again``: an earlier try may have been committed."""
    done = Done()
    asks = [*work.reserves, *(ask for ask, _ in work.records)]
    touched: list[Ask | Settle] = [*asks, *work.settles]
    counters = await store.lock_counters(
        tx, (key for one in touched for key in store.keys_of(one.grant_id, one.day))
    )
    known = await store.known_ids(tx, SOURCE, [ask.id for ask in asks]) if again else set()
    await _close(tx, work.settles, counters, done, now)
    await _open(tx, process_id, [ask for ask in work.reserves if ask.id not in known], counters, done)
    for ask, served in work.records:
        if ask.id not in known and await _fits(tx, ask, counters, done):
            done.events.append(event_of(ask, served))
            _count(done.events[-1], ask, counters)
    await store.insert_events(tx, done.events, now)
    await store.write_counters(tx, counters)
    await _leave_evidence(tx, audit, done.events)
    return done


async def _fits(tx: asyncpg.Connection, ask: Ask, counters: Counters, done: Done) -> bool:
    """Refuse the ask or, if it fits, keep the keys that it asks for; its sums are the caller's to add."""
    new_keys = await _new_keys(tx, ask)
    refusal = check_quota(ask, counters, new_keys)
    if refusal is not None:
        done.refused[ask.id] = refusal
        return False
    for span, digests in new_keys.items():
        key = store.key_of(ask.grant_id, ask.day, span)
        counters[key].keys += len(digests)
        await keys_asked.keep(tx, key, list(digests))
    return True


async def _new_keys(tx: asyncpg.Connection, ask: Ask) -> dict[str, list[bytes]]:
    """Distinct keys are counted by month, and by the spans in which they are bounded."""
    if not ask.keys:
        return {}
    spans = ["month"] + [span for meter, span, _ in ask.quota.set_bounds() if meter == "keys" and span != "month"]
    found = {}
    for span in spans:
        found[span] = await keys_asked.new_of(tx, store.key_of(ask.grant_id, ask.day, span), ask.keys)
    return found


def _count(event: UsageEvent, at: Ask | Settle, counters: Counters) -> None:
    for key in store.keys_of(event.subject, at.day):
        counters[key].calls += event.calls
        counters[key].rows += event.rows
        counters[key].bytes += event.bytes


async def _close(
    tx: asyncpg.Connection, settles: Sequence[Settle], counters: Counters, done: Done, now: datetime
) -> None:
    by_id = {one.id: one for one in settles}
    for row in await store.close_reservations(tx, settles, now):
        for key in store.keys_of(row["grant_id"], row["day"]):
            counters[key].open_calls -= 1
            counters[key].open_rows -= row["rows_reserved"]
            counters[key].open_bytes -= row["bytes_reserved"]
        if row["state"] == "settled":
            done.events.append(store.event_of_reservation(row, SOURCE))
            _count(done.events[-1], by_id[row["id"]], counters)


async def _open(
    tx: asyncpg.Connection, process_id: str, asks: Sequence[Ask], counters: Counters, done: Done
) -> None:
    opened = []
    for ask in asks:
        if await _fits(tx, ask, counters, done):
            opened.append(ask)
            for key in store.keys_of(ask.grant_id, ask.day):
                counters[key].open_calls += 1
                counters[key].open_rows += ask.rows
                counters[key].open_bytes += ask.bytes
    await store.insert_reservations(tx, process_id, opened)


async def _leave_evidence(tx: asyncpg.Connection, audit: AuditLog, events: Sequence[UsageEvent]) -> None:
    for entry in evidence_of(events):
        await audit.append(tx, entry)


def evidence_of(events: Sequence[UsageEvent]) -> list[AuditEntry]:
    """One audit entry per grant and transaction, naming every delivery in it."""
    by_grant: dict[str, list[UsageEvent]] = {}
    for event in events:
        by_grant.setdefault(event.subject, []).append(event)
    return [
        AuditEntry(
            "data.delivered", f"grant:{grant_id}", "grant", grant_id,
            details={
                "deliveries": [
                    {
                        "usage_id": one.id, "resource_id": one.resource_id, "rows": one.rows, "bytes": one.bytes,
                        "outcome": one.details.get("outcome"), "digest": one.digest.hex(),
                    }
                    for one in found
                ]
            },
        )
        for grant_id, found in by_grant.items()
    ]
