"""Export jobs: files of restricted data that are made in the background for the holder of a grant."""

from alembic import op

revision = "exports_0001"
down_revision = None
branch_labels = ("exports",)
depends_on = ("ops_delivery_0001", "billing_usage_0001", "licensing_0003")


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE ops.export_job (
            id text PRIMARY KEY,
            grant_id text NOT NULL,
            party_id text NOT NULL,
            resource_id text NOT NULL,
            key_id text NOT NULL,
            state text NOT NULL DEFAULT 'queued'
                CHECK (state IN ('queued', 'running', 'ready', 'failed', 'cancelled', 'revoked', 'expired')),
            query jsonb NOT NULL,
            columns jsonb NOT NULL,
            usage_id text NOT NULL,
            usage_day date NOT NULL,
            rows_reserved bigint NOT NULL CHECK (rows_reserved >= 0),
            bytes_reserved bigint NOT NULL CHECK (bytes_reserved >= 0),
            rows_done bigint NOT NULL DEFAULT 0,
            attempt integer NOT NULL DEFAULT 0,
            lease_until timestamptz NOT NULL DEFAULT '-infinity',
            version text,
            watermark text,
            size bigint,
            sha256 bytea CHECK (length(sha256) = 32),
            manifest text,
            error text,
            created_at timestamptz NOT NULL,
            started_at timestamptz,
            ended_at timestamptz,
            expires_at timestamptz,
            CHECK (state <> 'ready' OR (size IS NOT NULL AND sha256 IS NOT NULL AND expires_at IS NOT NULL))
        ) WITH (fillfactor = 70);
        COMMENT ON COLUMN ops.export_job.lease_until IS 'Until when a worker has the job; by the database''s clock.';
        CREATE INDEX export_job_grant ON ops.export_job (grant_id, id);
        CREATE INDEX export_job_open ON ops.export_job (id) WHERE state IN ('queued', 'running');
        CREATE INDEX export_job_files ON ops.export_job (expires_at) WHERE state = 'ready';

        INSERT INTO billing.usage_process (id, started_at, beat_at) VALUES ('exports', now(), 'infinity');
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE ops.export_job; DELETE FROM billing.usage_process WHERE id = 'exports'")
