"""No part of the identities of events is emptied alone: of TRUNCATE PostgreSQL asks only a part's own triggers."""

from alembic import op

revision = "billing_usage_0007"
down_revision = "billing_usage_0006"
branch_labels = None
depends_on = None

PARTS = 8
"""As ``usage_0002_months`` made them."""


def upgrade() -> None:
    for part in range(PARTS):
        op.execute(
            f"CREATE TRIGGER no_truncate BEFORE TRUNCATE ON billing.usage_identity_{part}"
            " FOR EACH STATEMENT EXECUTE FUNCTION billing.usage_event_stands()"
        )


def downgrade() -> None:
    for part in range(PARTS):
        op.execute(f"DROP TRIGGER no_truncate ON billing.usage_identity_{part}")
