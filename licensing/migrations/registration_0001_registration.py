"""Registrations, their history and objections, certificates, the serial of codes."""

from alembic import op

revision = "licensing_registration_0001"
down_revision = None
branch_labels = ("licensing_registration",)
depends_on = "licensing_0002"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE licensing.registration (
            id text PRIMARY KEY,
            number text NOT NULL UNIQUE,
            version integer NOT NULL DEFAULT 1,
            state text NOT NULL,
            party_id text NOT NULL,
            party_name text NOT NULL,
            party_code text NOT NULL,
            content jsonb NOT NULL,
            step text,
            step_started_on date,
            due_on date,
            supplements integer NOT NULL DEFAULT 0,
            notice_from date,
            notice_until date,
            code text UNIQUE,
            coded_on date,
            valid_until date,
            created_by text NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        );
        CREATE INDEX registration_state ON licensing.registration (state, id);
        CREATE INDEX registration_party ON licensing.registration (party_id, id);

        CREATE TABLE licensing.registration_event (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            registration_id text NOT NULL REFERENCES licensing.registration,
            at timestamptz NOT NULL,
            actor_id text NOT NULL,
            actor text NOT NULL,
            event text NOT NULL,
            from_state text NOT NULL,
            to_state text NOT NULL,
            reason text,
            basis text,
            remedy text,
            details jsonb NOT NULL DEFAULT '{}'
        );
        CREATE INDEX registration_event_of ON licensing.registration_event (registration_id, id);

        CREATE TABLE licensing.objection (
            id text PRIMARY KEY,
            registration_id text NOT NULL REFERENCES licensing.registration,
            objector_id text NOT NULL,
            objector_name text NOT NULL,
            grounds text NOT NULL,
            evidence text NOT NULL,
            raised_at timestamptz NOT NULL,
            due_on date NOT NULL,
            verdict text CHECK (verdict IN ('upheld', 'dismissed')),
            decided_by text,
            decided_at timestamptz,
            reason text
        );
        CREATE INDEX objection_of ON licensing.objection (registration_id);

        CREATE TABLE licensing.certificate (
            code text PRIMARY KEY,
            registration_id text NOT NULL REFERENCES licensing.registration,
            token text NOT NULL,
            facts jsonb NOT NULL,
            issued_at timestamptz NOT NULL
        );
        CREATE SEQUENCE licensing.registration_code;
        """
    )


def downgrade() -> None:
    op.execute(
        "DROP TABLE licensing.certificate, licensing.objection, licensing.registration_event,"
        " licensing.registration; DROP SEQUENCE licensing.registration_code"
    )
