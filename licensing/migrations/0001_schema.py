"""The schema of the licensing package."""

from alembic import op

revision = "licensing_0001"
down_revision = None
branch_labels = ("licensing",)
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA licensing")


def downgrade() -> None:
    op.execute("DROP SCHEMA licensing CASCADE")
