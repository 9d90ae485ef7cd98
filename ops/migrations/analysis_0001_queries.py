"""Analyses and verifications of restricted data: what was asked, what was told, the day's budget."""

from alembic import op

revision = "analysis_0001"
down_revision = None
branch_labels = ("analysis",)
depends_on = ("authz_0002",)


def upgrade() -> None:
    op.execute(
        """
        CREATE SCHEMA analysis;
        CREATE TABLE analysis.query (
            id text PRIMARY KEY,
            at timestamptz NOT NULL,
            day date NOT NULL,
            grant_id text NOT NULL,
            resource_id text NOT NULL,
            purpose text NOT NULL,
            sql text NOT NULL
        );
        CREATE INDEX query_budget ON analysis.query (grant_id, day);
        CREATE INDEX query_resource ON analysis.query (resource_id, id);
        CREATE TABLE analysis.outcome (
            query_id text PRIMARY KEY REFERENCES analysis.query (id),
            at timestamptz NOT NULL,
            refused text,
            groups integer,
            withheld integer,
            answer jsonb
        );
        CREATE TABLE analysis.wrong_answer (
            grant_id text NOT NULL,
            resource_id text NOT NULL,
            about bytea NOT NULL,
            day date NOT NULL,
            times integer NOT NULL CHECK (times > 0),
            PRIMARY KEY (grant_id, resource_id, day, about)
        );
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON analysis.query
            FOR EACH ROW EXECUTE FUNCTION authz.refuse_change();
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON analysis.outcome
            FOR EACH ROW EXECUTE FUNCTION authz.refuse_change();
        """
    )


def downgrade() -> None:
    op.execute("DROP SCHEMA analysis CASCADE")
