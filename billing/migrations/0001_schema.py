"""The schema of the billing package."""

from alembic import op

revision = "billing_0001"
down_revision = None
branch_labels = ("billing",)
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA billing")


def downgrade() -> None:
    op.execute("DROP SCHEMA billing CASCADE")
