"""Parties, applications, agreements, grants, keys; their history and clocks, which nobody can rewrite."""

from alembic import op

revision = "licensing_0002"
down_revision = "licensing_0001"
branch_labels = None
depends_on = None

SHARED = """
CREATE FUNCTION licensing.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TABLE licensing.number_series (
    series text NOT NULL, year int NOT NULL, last int NOT NULL, PRIMARY KEY (series, year)
);
CREATE TABLE licensing.transition (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    object_kind text NOT NULL, object_id text NOT NULL, version int NOT NULL,
    at timestamptz NOT NULL, actor_id text NOT NULL, actor_name text NOT NULL,
    event text NOT NULL, from_state text NOT NULL, to_state text NOT NULL,
    reason text, basis text, remedy jsonb, details jsonb NOT NULL DEFAULT '{}', request_id text
);
CREATE INDEX transition_object ON licensing.transition (object_kind, object_id, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON licensing.transition
    FOR EACH ROW EXECUTE FUNCTION licensing.refuse_change();
CREATE TABLE licensing.clock_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    object_kind text NOT NULL, object_id text NOT NULL, step text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('start', 'pause', 'resume', 'extend', 'stop')),
    at timestamptz NOT NULL, on_date date NOT NULL, days int NOT NULL CHECK (days >= 0),
    actor text NOT NULL, approver text, reason text, basis text,
    CHECK (kind <> 'extend' OR (approver IS NOT NULL AND reason IS NOT NULL))
);
CREATE INDEX clock_event_object ON licensing.clock_event (object_kind, object_id, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON licensing.clock_event
    FOR EACH ROW EXECUTE FUNCTION licensing.refuse_change();
"""

PARTY = """
CREATE TABLE licensing.party (
    id text PRIMARY KEY,
    kind text NOT NULL
        CHECK (kind IN ('enterprise', 'public_welfare', 'department', 'exchange', 'registrar', 'authority')),
    name text NOT NULL,
    uscc text,
    state text NOT NULL CHECK (state IN ('pending', 'verified', 'rejected', 'suspended')),
    version int NOT NULL DEFAULT 1,
    legal_representative text, contact_name text, contact_phone text, contact_email text, address text,
    state_reason text,
    created_by text NOT NULL, created_by_name text NOT NULL, created_at timestamptz NOT NULL,
    verified_by text, verified_by_name text, verified_at timestamptz,
    CHECK (kind NOT IN ('enterprise', 'public_welfare') OR uscc IS NOT NULL)
);
CREATE UNIQUE INDEX party_uscc ON licensing.party (uscc) WHERE uscc IS NOT NULL AND state <> 'rejected';
CREATE INDEX party_state ON licensing.party (state, id);
"""

APPLICATION = """
CREATE TABLE licensing.application (
    id text PRIMARY KEY,
    number text NOT NULL UNIQUE,
    version int NOT NULL DEFAULT 1,
    state text NOT NULL,
    party_id text NOT NULL REFERENCES licensing.party (id),
    resource_id text NOT NULL,
    organisation_id text NOT NULL,
    object jsonb NOT NULL,
    fields jsonb NOT NULL,
    purpose_class text NOT NULL CHECK (purpose_class IN ('public_interest', 'industry')),
    purpose text NOT NULL, purpose_text text NOT NULL, scenario text NOT NULL,
    region_codes jsonb NOT NULL DEFAULT '[]',
    term_months int NOT NULL CHECK (term_months BETWEEN 1 AND 600),
    delivery jsonb NOT NULL,
    expected_rows_month bigint NOT NULL CHECK (expected_rows_month > 0),
    review jsonb NOT NULL DEFAULT '{}',
    row_filter jsonb NOT NULL DEFAULT '[]',
    masks jsonb NOT NULL DEFAULT '{}',
    price_proposal jsonb,
    offer jsonb,
    created_by text NOT NULL, created_by_name text NOT NULL, created_at timestamptz NOT NULL,
    submitted_by text, submitted_at timestamptz,
    ended_at timestamptz,
    due_on date,
    lapses_on date,
    agreement_id text, grant_id text
);
CREATE INDEX application_party ON licensing.application (party_id, id);
CREATE INDEX application_organisation ON licensing.application (organisation_id, id);
CREATE INDEX application_state ON licensing.application (state, due_on);
CREATE INDEX application_lapse ON licensing.application (lapses_on) WHERE lapses_on IS NOT NULL;
"""

AGREEMENT = """
CREATE TABLE licensing.agreement (
    id text PRIMARY KEY,
    number text NOT NULL UNIQUE,
    version int NOT NULL DEFAULT 1,
    state text NOT NULL,
    application_id text NOT NULL UNIQUE REFERENCES licensing.application (id),
    party_id text NOT NULL REFERENCES licensing.party (id),
    organisation_id text NOT NULL,
    terms jsonb NOT NULL,
    text text NOT NULL,
    sha256 text NOT NULL,
    created_at timestamptz NOT NULL,
    starts_on date, ends_on date, in_force_at timestamptz, ended_at timestamptz
);
CREATE INDEX agreement_party ON licensing.agreement (party_id, id);
CREATE INDEX agreement_end ON licensing.agreement (ends_on) WHERE state = 'in_force';
CREATE FUNCTION licensing.keep_agreement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.text <> OLD.text OR NEW.sha256 <> OLD.sha256 OR NEW.terms <> OLD.terms THEN
        RAISE EXCEPTION 'the text of an agreement is never changed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_text BEFORE UPDATE OR DELETE ON licensing.agreement
    FOR EACH ROW EXECUTE FUNCTION licensing.keep_agreement();
CREATE TABLE licensing.agreement_signature (
    agreement_id text NOT NULL REFERENCES licensing.agreement (id),
    side text NOT NULL CHECK (side IN ('applicant', 'platform')),
    signer_id text NOT NULL, signer_account text NOT NULL, signer_name text NOT NULL,
    signed_at timestamptz NOT NULL,
    sha256 text NOT NULL, statement text NOT NULL, algorithm text NOT NULL, key_id text NOT NULL,
    signature text NOT NULL,
    PRIMARY KEY (agreement_id, side)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON licensing.agreement_signature
    FOR EACH ROW EXECUTE FUNCTION licensing.refuse_change();
"""

GRANT = """
CREATE TABLE licensing.access_grant (
    id text PRIMARY KEY,
    number text NOT NULL UNIQUE,
    version int NOT NULL DEFAULT 1,
    state text NOT NULL CHECK (state IN ('active', 'suspended', 'revoked', 'expired', 'exhausted')),
    state_reason text,
    party_id text NOT NULL REFERENCES licensing.party (id),
    resource_id text NOT NULL,
    organisation_id text NOT NULL,
    object jsonb NOT NULL,
    application_id text NOT NULL UNIQUE REFERENCES licensing.application (id),
    agreement_id text NOT NULL UNIQUE REFERENCES licensing.agreement (id),
    columns jsonb NOT NULL, masks jsonb NOT NULL, row_filter jsonb NOT NULL,
    purpose_class text NOT NULL, purpose text NOT NULL, scenario text NOT NULL, delivery jsonb NOT NULL,
    quota jsonb NOT NULL, price jsonb NOT NULL,
    valid_from timestamptz NOT NULL, valid_until timestamptz NOT NULL,
    salt text NOT NULL,
    consent_of_provider boolean NOT NULL DEFAULT false, risk_assessment_id text,
    created_at timestamptz NOT NULL, ended_at timestamptz,
    CHECK (valid_from < valid_until)
);
CREATE INDEX access_grant_party ON licensing.access_grant (party_id, id);
CREATE INDEX access_grant_organisation ON licensing.access_grant (organisation_id, id);
CREATE INDEX access_grant_resource ON licensing.access_grant (resource_id);
CREATE INDEX access_grant_end ON licensing.access_grant (valid_until)
    WHERE state IN ('active', 'suspended', 'exhausted');
CREATE FUNCTION licensing.announce_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state THEN
        PERFORM pg_notify('govopen_grant', NEW.id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER announce AFTER UPDATE ON licensing.access_grant
    FOR EACH ROW EXECUTE FUNCTION licensing.announce_grant();
CREATE TABLE licensing.access_key (
    id text PRIMARY KEY,
    grant_id text NOT NULL REFERENCES licensing.access_grant (id),
    label text NOT NULL,
    prefix text NOT NULL UNIQUE,
    secret_sha256 bytea NOT NULL,
    created_by text NOT NULL, created_by_name text NOT NULL, created_at timestamptz NOT NULL,
    expires_at timestamptz, revoked_at timestamptz, revoked_by_name text,
    last_used_on date
);
CREATE INDEX access_key_grant ON licensing.access_key (grant_id, id);
"""


def upgrade() -> None:
    for part in (SHARED, PARTY, APPLICATION, AGREEMENT, GRANT):
        op.execute(part)


def downgrade() -> None:
    op.execute(
        "DROP TABLE licensing.access_key, licensing.access_grant, licensing.agreement_signature, licensing.agreement,"
        " licensing.application, licensing.party, licensing.clock_event, licensing.transition,"
        " licensing.number_series;"
        " DROP FUNCTION licensing.announce_grant, licensing.keep_agreement, licensing.refuse_change"
    )
