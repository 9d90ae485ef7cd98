"""The ledger: balanced by a deferred constraint, immutable by triggers, idempotent by a unique key."""

from alembic import op

revision = "billing_0011"
down_revision = "billing_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE billing.account (
            code text PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('asset', 'liability', 'revenue', 'expense')),
            currency text NOT NULL DEFAULT 'CNY',
            party_id text,
            opened_at timestamptz NOT NULL,
            UNIQUE (code, currency)
        );
        CREATE TABLE billing.journal_entry (
            id text PRIMARY KEY,
            idempotency_key text NOT NULL UNIQUE,
            content_hash text NOT NULL,
            kind text NOT NULL,
            description text NOT NULL,
            period text,
            source_kind text NOT NULL,
            source_id text NOT NULL,
            reverses_id text UNIQUE REFERENCES billing.journal_entry,
            actor text NOT NULL,
            posted_at timestamptz NOT NULL,
            made_in xid8 NOT NULL DEFAULT pg_current_xact_id()
        );
        CREATE INDEX journal_entry_source ON billing.journal_entry (source_kind, source_id);
        CREATE TABLE billing.posting (
            entry_id text NOT NULL REFERENCES billing.journal_entry,
            line int NOT NULL,
            account_code text NOT NULL,
            currency text NOT NULL,
            amount_fen bigint NOT NULL CHECK (amount_fen <> 0),
            PRIMARY KEY (entry_id, line),
            FOREIGN KEY (account_code, currency) REFERENCES billing.account (code, currency)
        );
        CREATE INDEX posting_account ON billing.posting (account_code) INCLUDE (amount_fen);

        CREATE FUNCTION billing.check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (SELECT count(*) FROM billing.posting WHERE entry_id = NEW.id) < 2 OR EXISTS (
                SELECT 1 FROM billing.posting WHERE entry_id = NEW.id
                    GROUP BY currency HAVING sum(amount_fen) <> 0
            ) THEN
                RAISE EXCEPTION 'entry % does not sum to zero', NEW.id
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_balanced';
            END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER entry_balanced AFTER INSERT ON billing.journal_entry
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.check_entry();

        CREATE FUNCTION billing.refuse_late_posting() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT 1 FROM added JOIN billing.journal_entry e ON e.id = added.entry_id
                    WHERE e.made_in <> pg_current_xact_id()
            ) THEN
                RAISE EXCEPTION 'postings are written with their entry' USING ERRCODE = 'check_violation',
                    CONSTRAINT = 'append_only';
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER with_entry AFTER INSERT ON billing.posting REFERENCING NEW TABLE AS added
            FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_late_posting();
        """
    )
    for table in ("account", "journal_entry", "posting"):
        op.execute(
            f"""
            CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON billing.{table}
                FOR EACH ROW EXECUTE FUNCTION billing.refuse_change();
            CREATE TRIGGER keep_all BEFORE TRUNCATE ON billing.{table}
                FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
            """
        )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE billing.posting, billing.journal_entry, billing.account CASCADE;
        DROP FUNCTION billing.check_entry, billing.refuse_late_posting;
        """
    )
