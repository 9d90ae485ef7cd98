"""Figures of datasets, ratings, and the list of what the index has to be told again."""

from __future__ import annotations

from alembic import op

revision = "govopen_0002"
down_revision = "govopen_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE govopen_resource_figures (
            resource_id text PRIMARY KEY,
            dataset_id text NOT NULL,
            moved bigint,
            rows bigint CHECK (rows >= 0),
            deliveries bigint CHECK (deliveries >= 0),
            files bigint NOT NULL DEFAULT 0 CHECK (files >= 0)
        )
    """)
    op.execute("CREATE INDEX govopen_resource_figures_dataset ON govopen_resource_figures (dataset_id)")
    op.execute("""
        CREATE TABLE govopen_rating (
            dataset_id text NOT NULL,
            user_id text NOT NULL,
            stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
            rated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (dataset_id, user_id)
        )
    """)
    op.execute("CREATE INDEX govopen_rating_user ON govopen_rating (user_id, rated_at)")
    op.execute("""
        CREATE TABLE govopen_stale (
            dataset_id text PRIMARY KEY,
            since timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)


def downgrade() -> None:
    for table in ("govopen_stale", "govopen_rating", "govopen_resource_figures"):
        op.execute(f"DROP TABLE {table}")
