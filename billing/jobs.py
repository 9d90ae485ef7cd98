"""Scheduled work of the billing package."""

from __future__ import annotations

from authz import SYSTEM, Call, Job, Runtime, beijing_date
from billing.acting import Act
from billing.invoices import state
from billing.payments import inbox, refunds
from billing.prices import ceilings, rate_cards
from billing.usage import eventstore, staging

MONTHS_AHEAD = 3


def _call(runtime: Runtime, name: str) -> Call:
    return Call(SYSTEM, runtime.clock.now(), f"job:{name}")


async def publish_due_prices(runtime: Runtime) -> None:
    """Put approved ceilings and rates in force on their day."""
    async with runtime.transaction() as tx:
        act = Act(tx, _call(runtime, "prices"), runtime.audit)
        await ceilings.publish_due(act)
        await rate_cards.publish_due(act)


async def mark_overdue(runtime: Runtime) -> None:
    """Mark invoices whose due date has passed."""
    async with runtime.transaction() as tx:
        await state.fall_due(Act(tx, _call(runtime, "overdue"), runtime.audit))


async def handle_notifications(runtime: Runtime) -> None:
    """Handle provider notifications that are stored or wait for something of ours."""
    await inbox.handle_all(runtime)


async def ask_refunds_again(runtime: Runtime) -> None:
    """Ask for refunds whose answer was lost."""
    if runtime.settings.stripe_key:
        await refunds.ask_again(runtime)


async def make_months_ahead(runtime: Runtime) -> None:
    """Make the usage events' partitions of this month and the next three."""
    async with runtime.transaction() as tx:
        await eventstore.months_ahead(tx, beijing_date(runtime.clock.now()), MONTHS_AHEAD)


async def fold_late_counts(runtime: Runtime) -> None:
    """Add what late events count to the counters of their days and months."""
    async with runtime.transaction() as tx:
        await staging.fold_late(tx)


JOBS: list[Job] = [
    Job("billing.fold_late_counts", 5.0, fold_late_counts),
    Job("billing.make_months_ahead", 60.0, make_months_ahead),
    Job("billing.publish_due_prices", 60.0, publish_due_prices),
    Job("billing.mark_overdue", 300.0, mark_overdue),
    Job("billing.handle_notifications", 2.0, handle_notifications),
    Job("billing.ask_refunds_again", 60.0, ask_refunds_again),
]
