"""Usage events by month, their identity apart from it, a sequence per grant, corrections by addition.

A unique constraint of a partitioned table must hold the partition key, so (source, id) could be unique only within a
month: the same event sent again with another time would be a second event. Identity is therefore a table of its own,
partitioned by hash, that outlives the months.
"""

from alembic import op

revision = "billing_usage_0002"
down_revision = "billing_usage_0001"
branch_labels = None
depends_on = None

IDENTITY_PARTS = 8

COLUMNS = "number, source, id, type, subject, time, resource_id, rows, calls, bytes, data, digest, recorded_at"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE billing.usage_event RENAME TO usage_event_before;
        ALTER TABLE billing.usage_event_before RENAME CONSTRAINT usage_event_pkey TO usage_event_before_pkey;
        DROP INDEX billing.usage_event_subject, billing.usage_event_subject_number;

        CREATE SEQUENCE billing.usage_event_number AS bigint CACHE 1;
        COMMENT ON SEQUENCE billing.usage_event_number IS
            'CACHE stays 1 and numbers are taken under ROW EXCLUSIVE of usage_event: a close trusts last_value.';

        CREATE TABLE billing.usage_identity (
            source text COLLATE "C" NOT NULL,
            id text COLLATE "C" NOT NULL,
            digest bytea NOT NULL,
            number bigint NOT NULL,
            time timestamptz NOT NULL,
            PRIMARY KEY (source, id)
        ) PARTITION BY HASH (id);
        COMMENT ON TABLE billing.usage_identity IS
            'Every (source, id) ever recorded, whatever its time, also of months that were moved out.';

        CREATE TABLE billing.usage_event (
            number bigint NOT NULL DEFAULT nextval('billing.usage_event_number'),
            source text NOT NULL,
            id text NOT NULL,
            type text NOT NULL,
            subject text NOT NULL,
            time timestamptz NOT NULL,
            resource_id text NOT NULL,
            rows bigint NOT NULL,
            calls bigint NOT NULL,
            bytes bigint NOT NULL,
            data jsonb NOT NULL,
            digest bytea NOT NULL,
            recorded_at timestamptz NOT NULL,
            sequence bigint NOT NULL,
            source_sequence bigint,
            issued_at timestamptz,
            corrects_source text,
            corrects_id text,
            PRIMARY KEY (number, time),
            CHECK (corrects_id IS NOT NULL OR (rows >= 0 AND calls >= 0 AND bytes >= 0)),
            CHECK ((corrects_id IS NULL) = (issued_at IS NULL) AND (corrects_id IS NULL) = (corrects_source IS NULL))
        ) PARTITION BY RANGE (time);
        ALTER SEQUENCE billing.usage_event_number OWNED BY billing.usage_event.number;
        CREATE INDEX usage_event_subject_number ON billing.usage_event (subject, number);
        COMMENT ON COLUMN billing.usage_event.time IS
            'When the use happened. A correction bears the time of what it corrects, and issued_at its own.';
        COMMENT ON COLUMN billing.usage_event.rows IS 'What the event adds; a correction adds the difference.';
        COMMENT ON COLUMN billing.usage_event.sequence IS 'Counts the events of a grant from 1 without gaps.';
        COMMENT ON COLUMN billing.usage_event.source_sequence IS 'The count that the sender gave, if any.';

        CREATE TABLE billing.usage_grant_sequence (
            grant_id text PRIMARY KEY,
            last bigint NOT NULL
        ) WITH (fillfactor = 50);

        CREATE TABLE billing.usage_source_sequence (
            grant_id text NOT NULL,
            source text NOT NULL,
            received int8multirange NOT NULL,
            PRIMARY KEY (grant_id, source)
        ) WITH (fillfactor = 50);
        COMMENT ON TABLE billing.usage_source_sequence IS
            'Which numbers of a sender''s own count have come; the holes are what is missing.';

        CREATE TABLE billing.usage_effective (
            source text COLLATE "C" NOT NULL,
            id text COLLATE "C" NOT NULL,
            subject text NOT NULL,
            resource_id text NOT NULL,
            time timestamptz NOT NULL,
            number bigint NOT NULL,
            type text NOT NULL,
            cancelled boolean NOT NULL,
            issued_at timestamptz NOT NULL,
            by_source text COLLATE "C" NOT NULL,
            by_id text COLLATE "C" NOT NULL,
            rows bigint NOT NULL CHECK (rows >= 0),
            calls bigint NOT NULL CHECK (calls >= 0),
            bytes bigint NOT NULL CHECK (bytes >= 0),
            data jsonb NOT NULL,
            PRIMARY KEY (source, id)
        );
        CREATE INDEX usage_effective_subject ON billing.usage_effective (subject, time);
        COMMENT ON TABLE billing.usage_effective IS
            'What corrected events count for now; follows from the events and can be made again from them.';
        """
    )
    for part in range(IDENTITY_PARTS):
        op.execute(
            f"CREATE TABLE billing.usage_identity_{part} PARTITION OF billing.usage_identity"
            f" FOR VALUES WITH (MODULUS {IDENTITY_PARTS}, REMAINDER {part})"
        )
    _months()
    _guards()
    _move()


def _months() -> None:
    op.execute(
        """
        CREATE FUNCTION billing.usage_month_start(day date) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
            SELECT date_trunc('month', day::timestamp) AT TIME ZONE 'Asia/Shanghai'
        $$;

        CREATE FUNCTION billing.usage_add_month(day date) RETURNS boolean LANGUAGE plpgsql AS $$
        DECLARE
            name text := 'usage_event_' || to_char(day, 'YYYY_MM');
        BEGIN
            IF to_regclass('billing.' || name) IS NOT NULL THEN
                RETURN false;
            END IF;
            PERFORM pg_advisory_xact_lock(hashtextextended('billing.usage_add_month', 0));
            IF to_regclass('billing.' || name) IS NOT NULL THEN
                RETURN false;
            END IF;
            -- made apart and attached: neither readers nor writers of other months have to wait
            EXECUTE format('CREATE TABLE billing.%I (LIKE billing.usage_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS'
                           ' INCLUDING COMMENTS)', name);
            EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON billing.%I'
                           ' FOR EACH STATEMENT EXECUTE FUNCTION billing.usage_event_stands()', name);
            EXECUTE format('ALTER TABLE billing.usage_event ATTACH PARTITION billing.%I FOR VALUES FROM (%L) TO (%L)',
                           name, billing.usage_month_start(day),
                           billing.usage_month_start((date_trunc('month', day::timestamp) + interval '1 month')::date));
            RETURN true;
        END $$;
        """
    )


def _guards() -> None:
    """Nothing recorded is changed or deleted, neither through the whole nor in a part."""
    op.execute(
        """
        CREATE TRIGGER usage_event_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.usage_event
            FOR EACH STATEMENT EXECUTE FUNCTION billing.usage_event_stands();
        CREATE TRIGGER each_stands BEFORE UPDATE OR DELETE ON billing.usage_event
            FOR EACH ROW EXECUTE FUNCTION billing.usage_event_stands();
        CREATE TRIGGER usage_identity_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.usage_identity
            FOR EACH STATEMENT EXECUTE FUNCTION billing.usage_event_stands();
        CREATE TRIGGER each_stands BEFORE UPDATE OR DELETE ON billing.usage_identity
            FOR EACH ROW EXECUTE FUNCTION billing.usage_event_stands();
        """
    )


def _move() -> None:
    """Everything recorded so far, number by number; the migration fails rather than lose one event."""
    op.execute(
        f"""
        SELECT billing.usage_add_month(m::date) FROM (
            SELECT DISTINCT date_trunc('month', time AT TIME ZONE 'Asia/Shanghai') AS m
            FROM billing.usage_event_before
            UNION SELECT date_trunc('month', now() AT TIME ZONE 'Asia/Shanghai') + make_interval(months => k)
            FROM generate_series(0, 3) AS k
        ) AS months;
        INSERT INTO billing.usage_identity (source, id, digest, number, time)
            SELECT source, id, digest, number, time FROM billing.usage_event_before;
        INSERT INTO billing.usage_event ({COLUMNS}, sequence)
            SELECT {COLUMNS}, row_number() OVER (PARTITION BY subject ORDER BY number)
            FROM billing.usage_event_before ORDER BY number;
        INSERT INTO billing.usage_grant_sequence (grant_id, last)
            SELECT subject, count(*) FROM billing.usage_event_before GROUP BY subject;
        SELECT setval('billing.usage_event_number', greatest(max(number), 1), max(number) IS NOT NULL)
            FROM billing.usage_event_before;
        DO $$
        DECLARE
            lost bigint;
        BEGIN
            SELECT count(*) INTO lost FROM billing.usage_event_before b
            WHERE NOT EXISTS (
                SELECT FROM billing.usage_event e JOIN billing.usage_identity i USING (source, id)
                WHERE (e.source, e.id, e.number, e.time, e.digest) = (b.source, b.id, b.number, b.time, b.digest)
                  AND (e.rows, e.calls, e.bytes) = (b.rows, b.calls, b.bytes) AND i.digest = b.digest
            );
            IF lost > 0 THEN
                RAISE EXCEPTION '% usage events were not carried over', lost;
            END IF;
        END $$;
        DROP TABLE billing.usage_event_before;
        """
    )


def downgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE billing.usage_event_before (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL, id text NOT NULL,
            type text NOT NULL, subject text NOT NULL, time timestamptz NOT NULL, resource_id text NOT NULL,
            rows bigint NOT NULL, calls bigint NOT NULL, bytes bigint NOT NULL, data jsonb NOT NULL,
            digest bytea NOT NULL, recorded_at timestamptz NOT NULL, UNIQUE (source, id)
        );
        INSERT INTO billing.usage_event_before ({COLUMNS}) OVERRIDING SYSTEM VALUE
            SELECT {COLUMNS} FROM billing.usage_event;
        SELECT setval(pg_get_serial_sequence('billing.usage_event_before', 'number'), greatest(max(number), 1))
            FROM billing.usage_event_before;
        DROP TABLE billing.usage_event, billing.usage_identity, billing.usage_grant_sequence,
            billing.usage_source_sequence, billing.usage_effective CASCADE;
        DROP FUNCTION billing.usage_add_month(date), billing.usage_month_start(date);
        ALTER TABLE billing.usage_event_before RENAME TO usage_event;
        CREATE INDEX usage_event_subject ON billing.usage_event (subject, time);
        CREATE INDEX usage_event_subject_number ON billing.usage_event (subject, number);
        CREATE TRIGGER usage_event_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.usage_event
            FOR EACH STATEMENT EXECUTE FUNCTION billing.usage_event_stands();
        """
    )
