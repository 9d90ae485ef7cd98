"""Webhooks: endpoints of grantees, and the outbox that triggers fill in the transaction of what happened."""

from alembic import op

revision = "webhooks_0001"
down_revision = None
branch_labels = ("webhooks",)
depends_on = "exports_0001"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE ops.webhook_endpoint (
            id text PRIMARY KEY,
            grant_id text NOT NULL,
            url text NOT NULL,
            events text[] NOT NULL CHECK (events <> '{}'),
            secret bytea NOT NULL,
            secret_before bytea,
            secret_before_until timestamptz,
            created_by_name text NOT NULL,
            created_at timestamptz NOT NULL,
            failing_since timestamptz,
            disabled_at timestamptz,
            deleted_at timestamptz
        );
        COMMENT ON COLUMN ops.webhook_endpoint.secret IS 'Sealed under a key derived from the service''s signing key.';
        CREATE INDEX webhook_endpoint_grant ON ops.webhook_endpoint (grant_id) WHERE deleted_at IS NULL;

        CREATE TABLE ops.webhook_delivery (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            event_id text NOT NULL,
            endpoint_id text NOT NULL REFERENCES ops.webhook_endpoint (id),
            type text NOT NULL,
            body text NOT NULL,
            at timestamptz NOT NULL,
            state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
            attempts integer NOT NULL DEFAULT 0,
            due_at timestamptz NOT NULL DEFAULT '-infinity',
            claimed_until timestamptz NOT NULL DEFAULT '-infinity',
            last_at timestamptz,
            last_status integer,
            last_error text,
            UNIQUE (endpoint_id, event_id)
        ) WITH (fillfactor = 80);
        CREATE INDEX webhook_delivery_due ON ops.webhook_delivery (due_at) WHERE state = 'waiting';
        CREATE INDEX webhook_delivery_endpoint ON ops.webhook_delivery (endpoint_id, id);

        CREATE FUNCTION ops.webhook_tell(about_grant text, kind text, facts jsonb) RETURNS void LANGUAGE sql AS $$
            WITH event AS (
                SELECT 'evt_' || replace(gen_random_uuid()::text, '-', '') AS id, now() + make_interval(
                    secs => coalesce((SELECT shift_s FROM authz.clock LIMIT 1), 0)) AS at
            )
            INSERT INTO ops.webhook_delivery (event_id, endpoint_id, type, body, at)
            SELECT event.id, e.id, kind, jsonb_build_object(
                'id', event.id, 'type', kind, 'timestamp', to_char(event.at AT TIME ZONE 'UTC',
                    'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'data', facts || jsonb_build_object('grant_id', about_grant))::text,
                event.at
            FROM event, ops.webhook_endpoint e
            WHERE e.grant_id = about_grant AND e.deleted_at IS NULL AND e.disabled_at IS NULL AND kind = ANY (e.events)
        $$;

        CREATE FUNCTION ops.webhook_grant() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.state <> OLD.state THEN
                PERFORM ops.webhook_tell(NEW.id, 'grant.state_changed', jsonb_build_object(
                    'from', OLD.state, 'to', NEW.state, 'version', NEW.version, 'resource_id', NEW.resource_id));
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER webhook AFTER UPDATE OF state ON licensing.access_grant
            FOR EACH ROW EXECUTE FUNCTION ops.webhook_grant();

        CREATE FUNCTION ops.webhook_load() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM ops.webhook_tell(g.id, 'data.new_version', jsonb_build_object(
                'resource_id', NEW.resource_id, 'version', NEW.version, 'loaded_at', NEW.loaded_at))
            FROM licensing.access_grant g WHERE g.resource_id = NEW.resource_id AND g.state = 'active'
                AND EXISTS (SELECT FROM ops.webhook_endpoint e WHERE e.grant_id = g.id AND e.deleted_at IS NULL);
            RETURN NULL;
        END $$;
        CREATE TRIGGER webhook AFTER INSERT ON ops.restricted_load
            FOR EACH ROW EXECUTE FUNCTION ops.webhook_load();

        CREATE FUNCTION ops.webhook_export() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.state <> OLD.state AND NEW.state IN ('ready', 'failed', 'revoked') AND OLD.state <> 'ready' THEN
                PERFORM ops.webhook_tell(NEW.grant_id, 'export.finished', jsonb_build_object(
                    'export_id', NEW.id, 'state', NEW.state, 'resource_id', NEW.resource_id, 'rows', NEW.rows_done,
                    'error', NEW.error, 'url', '/data/v1/' || NEW.resource_id || '/exports/' || NEW.id));
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER webhook AFTER UPDATE OF state ON ops.export_job
            FOR EACH ROW EXECUTE FUNCTION ops.webhook_export();
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TRIGGER webhook ON ops.export_job;
        DROP TRIGGER webhook ON ops.restricted_load;
        DROP TRIGGER webhook ON licensing.access_grant;
        DROP FUNCTION ops.webhook_export, ops.webhook_load, ops.webhook_grant, ops.webhook_tell;
        DROP TABLE ops.webhook_delivery, ops.webhook_endpoint;
        """
    )
