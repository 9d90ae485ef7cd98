"""Usage: reservations before the first byte, events after the last, counters that quotas are held by."""

from alembic import op

revision = "billing_usage_0001"
down_revision = None
branch_labels = ("billing_usage",)
depends_on = "billing_0001"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE billing.usage_process (
            id text PRIMARY KEY,
            started_at timestamptz NOT NULL,
            beat_at timestamptz NOT NULL
        );
        COMMENT ON TABLE billing.usage_process IS
            'Service processes that hold reservations; beat_at is the database''s clock, never a demo city''s.';

        CREATE TABLE billing.usage_counter (
            grant_id text NOT NULL,
            span text NOT NULL CHECK (span IN ('day', 'month')),
            starts_on date NOT NULL,
            calls bigint NOT NULL DEFAULT 0 CHECK (calls >= 0),
            rows bigint NOT NULL DEFAULT 0 CHECK (rows >= 0),
            bytes bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
            open_calls bigint NOT NULL DEFAULT 0 CHECK (open_calls >= 0),
            open_rows bigint NOT NULL DEFAULT 0 CHECK (open_rows >= 0),
            PRIMARY KEY (grant_id, span, starts_on)
        ) WITH (fillfactor = 50);

        CREATE TABLE billing.usage_reservation (
            id text PRIMARY KEY,
            process_id text NOT NULL,
            grant_id text NOT NULL,
            resource_id text NOT NULL,
            purpose text NOT NULL,
            columns jsonb NOT NULL,
            rows_reserved bigint NOT NULL CHECK (rows_reserved >= 0),
            reserved_at timestamptz NOT NULL,
            day date NOT NULL,
            state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'settled', 'void')),
            outcome text,
            rows bigint,
            bytes bigint,
            by_rule boolean NOT NULL DEFAULT false,
            settled_at timestamptz,
            CHECK (rows <= rows_reserved),
            CHECK ((state = 'open') = (settled_at IS NULL))
        ) WITH (fillfactor = 70);
        CREATE INDEX usage_reservation_open ON billing.usage_reservation (process_id) WHERE state = 'open';
        CREATE INDEX usage_reservation_open_grant ON billing.usage_reservation (grant_id, day)
            WHERE state = 'open';

        CREATE TABLE billing.usage_event (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            source text NOT NULL,
            id text NOT NULL,
            type text NOT NULL,
            subject text NOT NULL,
            time timestamptz NOT NULL,
            resource_id text NOT NULL,
            rows bigint NOT NULL CHECK (rows >= 0),
            calls bigint NOT NULL CHECK (calls >= 0),
            bytes bigint NOT NULL CHECK (bytes >= 0),
            data jsonb NOT NULL,
            digest bytea NOT NULL,
            recorded_at timestamptz NOT NULL,
            UNIQUE (source, id)
        );
        CREATE INDEX usage_event_subject ON billing.usage_event (subject, time);
        CREATE INDEX usage_event_subject_number ON billing.usage_event (subject, number);

        CREATE FUNCTION billing.usage_event_stands() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'usage events are never edited or deleted' USING ERRCODE = 'restrict_violation';
        END $$;
        CREATE TRIGGER usage_event_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.usage_event
            FOR EACH STATEMENT EXECUTE FUNCTION billing.usage_event_stands();

        CREATE TABLE billing.usage_open_day (
            resource_id text NOT NULL,
            day date NOT NULL,
            downloads bigint NOT NULL DEFAULT 0,
            rows bigint NOT NULL DEFAULT 0,
            bytes bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (resource_id, day)
        ) WITH (fillfactor = 50);
        COMMENT ON TABLE billing.usage_open_day IS 'Downloads of open data, as sums only: nothing about a caller.';
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE billing.usage_open_day, billing.usage_event, billing.usage_reservation,
            billing.usage_counter, billing.usage_process;
        DROP FUNCTION billing.usage_event_stands();
        """
    )
