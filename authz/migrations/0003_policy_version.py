"""Versions of the policies: proposed by one, approved by another; the facts that decisions were made from."""

from alembic import op

revision = "authz_0003"
down_revision = "authz_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE authz.policy_version (
            id text PRIMARY KEY,
            digest text NOT NULL,
            base text NOT NULL,
            release text NOT NULL,
            files jsonb NOT NULL,
            reason text NOT NULL,
            state text NOT NULL CHECK (state IN ('proposed', 'rejected', 'in_force', 'superseded')),
            version integer NOT NULL DEFAULT 1,
            proposed_by text NOT NULL, proposed_by_name text NOT NULL, proposed_at timestamptz NOT NULL,
            decided_by text, decided_by_name text, decided_at timestamptz, decision_reason text,
            in_force_from timestamptz, in_force_until timestamptz
        );
        CREATE UNIQUE INDEX policy_version_in_force ON authz.policy_version ((true)) WHERE state = 'in_force';

        -- Equal facts are kept once; the instant of a decision is the log's own.
        CREATE TABLE authz.decision_facts (
            digest text PRIMARY KEY,
            facts jsonb NOT NULL
        );
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON authz.decision_facts
            FOR EACH ROW EXECUTE FUNCTION authz.refuse_change();
        ALTER TABLE authz.decision_log ADD COLUMN facts_digest text;
        CREATE INDEX decision_log_at ON authz.decision_log (at, id);
        """
    )


def downgrade() -> None:
    op.execute(
        "DROP INDEX authz.decision_log_at; ALTER TABLE authz.decision_log DROP COLUMN facts_digest;"
        " DROP TABLE authz.decision_facts, authz.policy_version"
    )
