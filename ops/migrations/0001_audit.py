"""The audit log's entries; leaves and nodes of its Merkle tree are sequenced afterwards, in order of commit."""

from alembic import op

revision = "ops_0001"
down_revision = None
branch_labels = ("ops",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE SCHEMA ops;
        CREATE SCHEMA audit;
        CREATE SCHEMA restricted;
        REVOKE ALL ON SCHEMA restricted, audit FROM PUBLIC;
        CREATE TABLE audit.entry (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL,
            action text NOT NULL,
            body jsonb NOT NULL,
            leaf_index bigint UNIQUE
        );
        CREATE INDEX entry_unsequenced ON audit.entry (id) WHERE leaf_index IS NULL;
        """
    )


def downgrade() -> None:
    op.execute("DROP SCHEMA restricted CASCADE; DROP SCHEMA audit CASCADE; DROP SCHEMA ops CASCADE")
