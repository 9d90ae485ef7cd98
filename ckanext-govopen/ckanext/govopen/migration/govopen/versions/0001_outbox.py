"""Outbox, publications and catalogue codes."""

from __future__ import annotations

from alembic import op

revision = "govopen_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE govopen_outbox (
            id bigserial PRIMARY KEY,
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            action text NOT NULL,
            object text NOT NULL,
            body jsonb NOT NULL,
            drained_at timestamptz
        )
    """)
    op.execute("CREATE INDEX govopen_outbox_waiting ON govopen_outbox (id) WHERE drained_at IS NULL")
    op.execute("""
        CREATE TABLE govopen_publication (
            resource_id text PRIMARY KEY,
            dataset_id text NOT NULL,
            digest text NOT NULL,
            published_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE INDEX govopen_publication_dataset ON govopen_publication (dataset_id)")
    op.execute("""
        CREATE TABLE govopen_catalog_code (
            code text PRIMARY KEY,
            category text NOT NULL,
            serial bigint NOT NULL,
            dataset_name text NOT NULL,
            assigned_at timestamptz NOT NULL DEFAULT now(),
            UNIQUE (category, serial)
        )
    """)


def downgrade() -> None:
    for table in ("govopen_catalog_code", "govopen_publication", "govopen_outbox"):
        op.execute(f"DROP TABLE {table}")
