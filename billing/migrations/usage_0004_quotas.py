"""Quotas over a grant's life, of bytes and of distinct keys."""

from alembic import op

revision = "billing_usage_0004"
down_revision = "billing_usage_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE billing.usage_counter
            DROP CONSTRAINT usage_counter_span_check,
            ADD CONSTRAINT usage_counter_span_check CHECK (span IN ('day', 'month', 'life')),
            ADD open_bytes bigint NOT NULL DEFAULT 0 CHECK (open_bytes >= 0),
            ADD keys bigint NOT NULL DEFAULT 0 CHECK (keys >= 0);
        COMMENT ON COLUMN billing.usage_counter.keys IS 'Distinct values that lookups asked for in the span.';
        INSERT INTO billing.usage_counter (grant_id, span, starts_on, calls, rows, bytes, open_calls, open_rows)
            SELECT grant_id, 'life', date '2000-01-01', sum(calls), sum(rows), sum(bytes), sum(open_calls),
                sum(open_rows)
            FROM billing.usage_counter WHERE span = 'month' GROUP BY grant_id;

        ALTER TABLE billing.usage_reservation ADD bytes_reserved bigint NOT NULL DEFAULT 0 CHECK (bytes_reserved >= 0);

        CREATE TABLE billing.usage_key (
            grant_id text NOT NULL,
            span text NOT NULL CHECK (span IN ('day', 'month', 'life')),
            starts_on date NOT NULL,
            digest bytea NOT NULL,
            PRIMARY KEY (grant_id, span, starts_on, digest)
        );
        COMMENT ON TABLE billing.usage_key IS
            'Digests of the values that lookups asked for, keyed by the grant''s salt.';
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE billing.usage_key;
        ALTER TABLE billing.usage_reservation DROP bytes_reserved;
        DELETE FROM billing.usage_counter WHERE span = 'life';
        ALTER TABLE billing.usage_counter
            DROP open_bytes, DROP keys,
            DROP CONSTRAINT usage_counter_span_check,
            ADD CONSTRAINT usage_counter_span_check CHECK (span IN ('day', 'month'));
        """
    )
