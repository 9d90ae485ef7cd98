"""Which sets of records a party was told figures of, as sketches that tell how far two sets are apart."""

from alembic import op

revision = "analysis_0002"
down_revision = "analysis_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE analysis.told_set (
            party_id text NOT NULL,
            resource_id text NOT NULL,
            state bigint NOT NULL,
            size bigint NOT NULL,
            rows bigint NOT NULL,
            sketch bit(1024) NOT NULL,
            conditions jsonb NOT NULL,
            rank integer NOT NULL,
            query_id text NOT NULL REFERENCES analysis.query (id),
            at timestamptz NOT NULL,
            PRIMARY KEY (party_id, resource_id, state, size, rows)
        );
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON analysis.told_set
            FOR EACH ROW EXECUTE FUNCTION authz.refuse_change();
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE analysis.told_set")
