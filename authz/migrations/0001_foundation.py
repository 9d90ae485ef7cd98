"""Roles by assignment, idempotency of creation, the clock of a demo city."""

from alembic import op

revision = "authz_0001"
down_revision = None
branch_labels = ("authz",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE SCHEMA authz;
        CREATE TABLE authz.role_assignment (
            id text PRIMARY KEY,
            user_id text NOT NULL,
            user_name text NOT NULL,
            role text NOT NULL,
            organisation_id text NOT NULL,
            assigned_by text NOT NULL,
            assigned_at timestamptz NOT NULL,
            ended_by text,
            ended_at timestamptz
        );
        CREATE UNIQUE INDEX role_assignment_live ON authz.role_assignment (user_id, role, organisation_id)
            WHERE ended_at IS NULL;
        CREATE TABLE authz.idempotency (
            key text PRIMARY KEY,
            digest text NOT NULL,
            answer jsonb NOT NULL,
            created_at timestamptz NOT NULL
        );
        CREATE TABLE authz.clock (
            singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
            shift_s double precision NOT NULL DEFAULT 0
        );
        INSERT INTO authz.clock DEFAULT VALUES;
        """
    )


def downgrade() -> None:
    op.execute("DROP SCHEMA authz CASCADE")
