"""Who may report usage of which grants; meters; months that were moved out to files."""

from alembic import op

revision = "billing_usage_0003"
down_revision = "billing_usage_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE billing.usage_product (
            id text PRIMARY KEY,
            party_id text NOT NULL,
            source text NOT NULL UNIQUE,
            title text NOT NULL,
            types text[] NOT NULL CHECK (types <> '{}'),
            created_by text NOT NULL,
            created_at timestamptz NOT NULL,
            retired_at timestamptz
        );
        CREATE INDEX usage_product_party ON billing.usage_product (party_id, id);
        COMMENT ON TABLE billing.usage_product IS
            'An operator''s product: the source of its events belongs to it for ever and to nobody else.';

        CREATE TABLE billing.usage_product_grant (
            product_id text NOT NULL REFERENCES billing.usage_product,
            grant_id text NOT NULL,
            PRIMARY KEY (product_id, grant_id)
        );
        CREATE INDEX usage_product_grant_grant ON billing.usage_product_grant (grant_id);

        CREATE TABLE billing.meter (
            name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,39}$'),
            version int NOT NULL CHECK (version > 0),
            title_zh text NOT NULL,
            title_en text NOT NULL,
            event_types text[] NOT NULL,
            aggregation text NOT NULL CHECK (aggregation IN ('count', 'sum', 'max', 'unique')),
            value_property text,
            group_by text[] NOT NULL DEFAULT '{}',
            created_by text NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (name, version),
            CHECK ((aggregation = 'count') = (value_property IS NULL))
        );
        COMMENT ON COLUMN billing.meter.event_types IS 'Empty: events of every type.';
        INSERT INTO billing.meter (name, version, title_zh, title_en, event_types, aggregation, value_property,
                                   group_by, created_by, created_at)
        VALUES
            ('rows', 1, '行数', 'Rows', '{}', 'sum', 'rows', '{resource_id,purpose,source}', 'system', now()),
            ('calls', 1, '调用次数', 'Calls', '{}', 'sum', 'calls', '{resource_id,purpose,source,outcome}', 'system',
             now()),
            ('bytes', 1, '字节数', 'Bytes', '{}', 'sum', 'bytes', '{resource_id,purpose,source}', 'system', now()),
            ('events', 1, '事件数', 'Events', '{}', 'count', NULL, '{type,source}', 'system', now()),
            ('largest_answer', 1, '单次最大行数', 'Rows of the largest answer', '{}', 'max', 'rows', '{resource_id}',
             'system', now()),
            ('sources', 1, '来源数', 'Different sources', '{}', 'unique', 'source', '{}', 'system', now());

        CREATE TABLE billing.usage_archive (
            month date NOT NULL CHECK (month = date_trunc('month', month)),
            segment int NOT NULL CHECK (segment > 0),
            file text NOT NULL UNIQUE,
            sha256 text NOT NULL,
            bytes bigint NOT NULL,
            events bigint NOT NULL,
            sums jsonb NOT NULL,
            first_number bigint NOT NULL,
            last_number bigint NOT NULL,
            state text NOT NULL CHECK (state IN ('written', 'archived', 'restored')),
            changed_at timestamptz NOT NULL,
            PRIMARY KEY (month, segment)
        );
        COMMENT ON TABLE billing.usage_archive IS
            'written: the file is there and checked, the events still are in the database; archived: only the file.';

        CREATE FUNCTION billing.meter_stands() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a meter is never edited: a change is a new version' USING ERRCODE = 'restrict_violation';
        END $$;
        CREATE TRIGGER meter_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON billing.meter
            FOR EACH STATEMENT EXECUTE FUNCTION billing.meter_stands();
        """
    )
    op.execute(ADD_MONTH)


ADD_MONTH = """
CREATE OR REPLACE FUNCTION billing.usage_add_month(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := 'usage_event_' || to_char(day, 'YYYY_MM');
BEGIN
    IF to_regclass('billing.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('billing.usage_add_month', 0));
    -- read from the table: what the catalogue's cache says may be older than the lock
    IF EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = 'billing'::regnamespace) THEN
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
END $$
"""


def downgrade() -> None:
    op.execute(
        "DROP TABLE billing.usage_archive, billing.meter, billing.usage_product_grant, billing.usage_product;"
        "DROP FUNCTION billing.meter_stands()"
    )
