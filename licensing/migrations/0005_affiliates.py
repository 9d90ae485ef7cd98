"""Parties declare who is under the same control, so that an operator keeps out of what it operates."""

from alembic import op

revision = "licensing_0005"
down_revision = "licensing_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE licensing.party ADD affiliates text[] NOT NULL DEFAULT '{}';
        CREATE INDEX party_affiliates ON licensing.party USING gin (affiliates);
        """
    )


def downgrade() -> None:
    op.execute("ALTER TABLE licensing.party DROP affiliates")
