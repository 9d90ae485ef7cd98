"""Access keys: what a key may be used for, from where, and that its end is announced to running deliveries."""

from alembic import op

revision = "licensing_0003"
down_revision = "licensing_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE licensing.access_key
            ADD scopes text[] NOT NULL DEFAULT '{rows,download,lookup,export,verify}'
                CHECK (scopes <> '{}' AND scopes <@ '{rows,download,lookup,export,verify,report}'::text[]),
            ADD ip_allow text[] NOT NULL DEFAULT '{}' CHECK (cardinality(ip_allow) <= 64),
            ADD leaked_at timestamptz;
        COMMENT ON COLUMN licensing.access_key.ip_allow IS 'CIDR ranges a call may come from; empty: anywhere.';
        COMMENT ON COLUMN licensing.access_key.leaked_at IS 'When somebody who had found the key reported it.';

        CREATE FUNCTION licensing.announce_key() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('govopen_grant', NEW.grant_id);
            RETURN NULL;
        END $$;
        CREATE TRIGGER announce AFTER UPDATE OF revoked_at ON licensing.access_key
            FOR EACH ROW EXECUTE FUNCTION licensing.announce_key();
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TRIGGER announce ON licensing.access_key;
        DROP FUNCTION licensing.announce_key;
        ALTER TABLE licensing.access_key DROP scopes, DROP ip_allow, DROP leaked_at;
        """
    )
