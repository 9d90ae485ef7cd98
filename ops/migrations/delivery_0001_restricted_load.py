"""Loads of restricted tables: which table holds which version, and which wait to be dropped."""

from alembic import op

revision = "ops_delivery_0001"
down_revision = None
branch_labels = ("ops_delivery",)
depends_on = "ops_0001"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE ops.restricted_load (
            id text PRIMARY KEY,
            resource_id text NOT NULL,
            version integer NOT NULL CHECK (version > 0),
            table_name text NOT NULL UNIQUE,
            state text NOT NULL CHECK (state IN ('current', 'retired', 'dropped')),
            rows bigint NOT NULL,
            bytes bigint NOT NULL,
            sha256 bytea NOT NULL,
            format text NOT NULL CHECK (format IN ('csv', 'parquet')),
            columns jsonb NOT NULL,
            loaded_by text NOT NULL,
            loaded_at timestamptz NOT NULL,
            retired_at timestamptz,
            UNIQUE (resource_id, version)
        );
        CREATE UNIQUE INDEX restricted_load_current ON ops.restricted_load (resource_id) WHERE state = 'current';
        CREATE INDEX restricted_load_retired ON ops.restricted_load (retired_at) WHERE state = 'retired';
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE ops.restricted_load")
