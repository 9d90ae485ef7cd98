"""The audit log: entries written with their actions; leaves and nodes of the Merkle tree, checkpoints."""

from alembic import op

revision = "ops_0001"
down_revision = None
branch_labels = ("ops",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE SCHEMA ops;
        CREATE SCHEMA audit;
        CREATE SCHEMA restricted;
        REVOKE ALL ON SCHEMA restricted, audit FROM PUBLIC;

        CREATE TABLE audit.entry (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL,
            action text NOT NULL,
            object_kind text NOT NULL,
            object_id text NOT NULL,
            organisation_id text,
            leaf text NOT NULL,
            leaf_index bigint UNIQUE
        );
        COMMENT ON COLUMN audit.entry.leaf IS 'the exact text that is hashed: canonical JSON of the entry';
        CREATE INDEX entry_unsequenced ON audit.entry (id) WHERE leaf_index IS NULL;
        CREATE INDEX entry_of_object ON audit.entry (object_kind, object_id, id);
        CREATE INDEX entry_of_organisation ON audit.entry (organisation_id, id);

        CREATE TABLE audit.node (
            level smallint NOT NULL,
            index bigint NOT NULL,
            hash bytea NOT NULL,
            PRIMARY KEY (level, index)
        );
        CREATE TABLE audit.checkpoint (
            size bigint PRIMARY KEY,
            root bytea NOT NULL,
            at timestamptz NOT NULL,
            note text NOT NULL
        );
        CREATE TABLE audit.outbox_taken (
            source text NOT NULL,
            sequence bigint NOT NULL,
            entry_id bigint NOT NULL,
            PRIMARY KEY (source, sequence)
        );

        CREATE FUNCTION audit.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit log is append-only';
        END $$;
        CREATE FUNCTION audit.allow_sequencing_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.leaf_index IS NULL AND
               ROW(NEW.id, NEW.at, NEW.action, NEW.object_kind, NEW.object_id, NEW.organisation_id, NEW.leaf)
                   IS NOT DISTINCT FROM
                   ROW(OLD.id, OLD.at, OLD.action, OLD.object_kind, OLD.object_id, OLD.organisation_id, OLD.leaf)
            THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'the audit log is append-only';
        END $$;
        CREATE TRIGGER entry_sequenced_once BEFORE UPDATE ON audit.entry
            FOR EACH ROW EXECUTE FUNCTION audit.allow_sequencing_only();
        CREATE TRIGGER entry_append_only BEFORE DELETE ON audit.entry
            FOR EACH ROW EXECUTE FUNCTION audit.refuse();
        CREATE TRIGGER node_append_only BEFORE UPDATE OR DELETE ON audit.node
            FOR EACH ROW EXECUTE FUNCTION audit.refuse();
        CREATE TRIGGER checkpoint_append_only BEFORE UPDATE OR DELETE ON audit.checkpoint
            FOR EACH ROW EXECUTE FUNCTION audit.refuse();
        CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON audit.entry
            EXECUTE FUNCTION audit.refuse();
        """
    )


def downgrade() -> None:
    op.execute("DROP SCHEMA restricted CASCADE; DROP SCHEMA audit CASCADE; DROP SCHEMA ops CASCADE")
