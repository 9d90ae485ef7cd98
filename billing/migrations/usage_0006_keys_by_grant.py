"""Keys that begin with the grant, so that events and what they count can be distributed by grant over several nodes.

The key of the events serves what the index by grant and number served; numbers alone get an index in its place.
"""

from alembic import op

revision = "billing_usage_0006"
down_revision = "billing_usage_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE billing.usage_event DROP CONSTRAINT usage_event_pkey;
        DROP INDEX billing.usage_event_subject_number;
        ALTER TABLE billing.usage_event ADD PRIMARY KEY (subject, number, time);
        CREATE INDEX usage_event_by_number ON billing.usage_event (number);

        ALTER TABLE billing.usage_effective DROP CONSTRAINT usage_effective_pkey;
        ALTER TABLE billing.usage_effective ADD PRIMARY KEY (subject, source, id);
        """
    )


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE billing.usage_effective DROP CONSTRAINT usage_effective_pkey;
        ALTER TABLE billing.usage_effective ADD PRIMARY KEY (source, id);

        DROP INDEX billing.usage_event_by_number;
        ALTER TABLE billing.usage_event DROP CONSTRAINT usage_event_pkey;
        ALTER TABLE billing.usage_event ADD PRIMARY KEY (number, time);
        CREATE INDEX usage_event_subject_number ON billing.usage_event (subject, number);
        """
    )
