"""Counts of months that are over, kept aside until they are folded into the counters.

Quotas look at today, at this month and at a grant's life; those counters are written with the events. What late events
add to earlier days and months is written beside them as plain rows and added up by the worker: an event that bears any
time at all then costs no more than one of now.
"""

from alembic import op

revision = "billing_usage_0005"
down_revision = "billing_usage_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE billing.usage_counter_late (
            grant_id text NOT NULL,
            span text NOT NULL CHECK (span IN ('day', 'month')),
            starts_on date NOT NULL,
            calls bigint NOT NULL,
            rows bigint NOT NULL,
            bytes bigint NOT NULL
        );
        COMMENT ON TABLE billing.usage_counter_late IS 'To be added to billing.usage_counter; readers add both.';
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE billing.usage_counter_late")
