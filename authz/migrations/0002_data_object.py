"""Data objects with their versions, and the log of decisions."""

from alembic import op

revision = "authz_0002"
down_revision = "authz_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE authz.data_object (
            resource_id text PRIMARY KEY,
            dataset_id text NOT NULL,
            organisation_id text NOT NULL,
            version integer NOT NULL CHECK (version > 0),
            document jsonb NOT NULL,
            location jsonb,
            updated_by text NOT NULL,
            updated_at timestamptz NOT NULL,
            deleted_at timestamptz
        );
        CREATE INDEX data_object_dataset ON authz.data_object (dataset_id, resource_id);
        CREATE INDEX data_object_organisation ON authz.data_object (organisation_id, resource_id);
        CREATE TABLE authz.data_object_version (
            resource_id text NOT NULL REFERENCES authz.data_object,
            version integer NOT NULL,
            document jsonb NOT NULL,
            updated_by text NOT NULL,
            updated_at timestamptz NOT NULL,
            PRIMARY KEY (resource_id, version)
        );
        CREATE TABLE authz.decision_log (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL,
            request_id text NOT NULL,
            subject_kind text NOT NULL,
            subject_id text NOT NULL,
            action text NOT NULL,
            channel text NOT NULL,
            resource_id text NOT NULL,
            grant_id text,
            effect text NOT NULL CHECK (effect IN ('permit', 'deny')),
            reasons text[] NOT NULL,
            policy_version text NOT NULL
        );
        CREATE INDEX decision_log_resource ON authz.decision_log (resource_id, at);
        CREATE INDEX decision_log_grant ON authz.decision_log (grant_id, at) WHERE grant_id IS NOT NULL;
        CREATE FUNCTION authz.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'rows of % are only added', TG_TABLE_NAME; END $$;
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON authz.decision_log
            FOR EACH ROW EXECUTE FUNCTION authz.refuse_change();
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON authz.data_object_version
            FOR EACH ROW EXECUTE FUNCTION authz.refuse_change();
        """
    )


def downgrade() -> None:
    op.execute(
        "DROP TABLE authz.decision_log, authz.data_object_version, authz.data_object;"
        " DROP FUNCTION authz.refuse_change()"
    )
