"""Periods, invoices, credit notes, payments, the inbox of provider events, settlements."""

from alembic import op

revision = "billing_0012"
down_revision = "billing_0011"
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "period_close", "invoice_line", "billed_usage", "credit_note", "credit_note_line", "payment_allocation",
    "settlement_item", "payout",
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE billing.period_close (
            period text PRIMARY KEY CHECK (period ~ '^20[0-9]{2}-(0[1-9]|1[0-2])$'),
            closed_by text NOT NULL,
            closed_at timestamptz NOT NULL,
            tax_rate_bp int NOT NULL,
            invoices int NOT NULL,
            total_fen bigint NOT NULL,
            usage_cut bigint NOT NULL
        );
        CREATE TABLE billing.invoice (
            id text PRIMARY KEY,
            number text NOT NULL UNIQUE,
            party_id text NOT NULL,
            party_name text NOT NULL,
            period text NOT NULL REFERENCES billing.period_close DEFERRABLE INITIALLY DEFERRED,
            state text NOT NULL CHECK (state IN ('open', 'partly_paid', 'paid', 'overdue', 'credited', 'free')),
            version int NOT NULL DEFAULT 1,
            currency text NOT NULL DEFAULT 'CNY' CHECK (currency = 'CNY'),
            total_fen bigint NOT NULL CHECK (total_fen >= 0),
            net_fen bigint NOT NULL,
            tax_fen bigint NOT NULL,
            tax_rate_bp int NOT NULL,
            paid_fen bigint NOT NULL DEFAULT 0 CHECK (paid_fen BETWEEN 0 AND total_fen),
            credited_fen bigint NOT NULL DEFAULT 0 CHECK (credited_fen BETWEEN 0 AND total_fen),
            issued_at timestamptz NOT NULL,
            due_on date NOT NULL,
            paid_at timestamptz,
            CHECK (net_fen + tax_fen = total_fen),
            UNIQUE (party_id, period)
        );
        CREATE INDEX invoice_party ON billing.invoice (party_id, id);
        CREATE TABLE billing.invoice_line (
            invoice_id text NOT NULL REFERENCES billing.invoice,
            line int NOT NULL CHECK (line > 0),
            kind text NOT NULL CHECK (kind IN ('usage', 'flat', 'adjustment')),
            grant_id text NOT NULL,
            resource_id text NOT NULL,
            resource_title text NOT NULL,
            holder_id text NOT NULL,
            use_class text NOT NULL,
            rate_card_id text,
            rate_card_version int,
            usage_period text NOT NULL,
            meter text NOT NULL,
            tier int NOT NULL,
            from_unit bigint NOT NULL,
            quantity bigint NOT NULL CHECK (quantity >= 0),
            unit_amount_fen bigint NOT NULL,
            per bigint NOT NULL,
            amount_fen bigint NOT NULL CHECK (amount_fen >= 0),
            net_fen bigint NOT NULL,
            tax_fen bigint NOT NULL,
            PRIMARY KEY (invoice_id, line),
            CHECK (net_fen + tax_fen = amount_fen)
        );
        CREATE TABLE billing.billed_usage (
            grant_id text NOT NULL,
            usage_period text NOT NULL,
            closed_period text NOT NULL REFERENCES billing.period_close DEFERRABLE INITIALLY DEFERRED,
            invoice_id text NOT NULL REFERENCES billing.invoice,
            meter text NOT NULL,
            rows_total bigint NOT NULL CHECK (rows_total >= 0),
            calls_total bigint NOT NULL CHECK (calls_total >= 0),
            after_number bigint NOT NULL,
            up_to_number bigint NOT NULL,
            PRIMARY KEY (grant_id, usage_period, closed_period)
        );
        CREATE TABLE billing.credit_note (
            id text PRIMARY KEY,
            number text NOT NULL UNIQUE,
            invoice_id text NOT NULL REFERENCES billing.invoice,
            total_fen bigint NOT NULL CHECK (total_fen > 0),
            net_fen bigint NOT NULL,
            tax_fen bigint NOT NULL,
            reason text NOT NULL CHECK (btrim(reason) <> ''),
            issued_by text NOT NULL,
            issued_at timestamptz NOT NULL,
            CHECK (net_fen + tax_fen = total_fen)
        );
        CREATE TABLE billing.credit_note_line (
            credit_note_id text NOT NULL REFERENCES billing.credit_note,
            invoice_id text NOT NULL,
            line int NOT NULL,
            amount_fen bigint NOT NULL CHECK (amount_fen > 0),
            net_fen bigint NOT NULL,
            tax_fen bigint NOT NULL,
            PRIMARY KEY (credit_note_id, line),
            FOREIGN KEY (invoice_id, line) REFERENCES billing.invoice_line (invoice_id, line),
            CHECK (net_fen + tax_fen = amount_fen)
        );
        CREATE TABLE billing.payment (
            id text PRIMARY KEY,
            provider text NOT NULL CHECK (provider IN ('bank_transfer', 'stripe')),
            external_id text NOT NULL,
            content_hash text NOT NULL,
            party_id text,
            currency text NOT NULL DEFAULT 'CNY' CHECK (currency = 'CNY'),
            amount_fen bigint NOT NULL CHECK (amount_fen > 0),
            refunded_fen bigint NOT NULL DEFAULT 0 CHECK (refunded_fen BETWEEN 0 AND amount_fen),
            payer text NOT NULL,
            reference text NOT NULL,
            received_on date NOT NULL,
            recorded_by text NOT NULL,
            recorded_at timestamptz NOT NULL,
            UNIQUE (provider, external_id)
        );
        CREATE TABLE billing.payment_allocation (
            payment_id text NOT NULL REFERENCES billing.payment,
            invoice_id text NOT NULL REFERENCES billing.invoice,
            number int NOT NULL,
            amount_fen bigint NOT NULL CHECK (amount_fen <> 0),
            allocated_at timestamptz NOT NULL,
            PRIMARY KEY (payment_id, invoice_id, number)
        );
        CREATE INDEX payment_allocation_invoice ON billing.payment_allocation (invoice_id);
        CREATE TABLE billing.refund (
            id text PRIMARY KEY,
            payment_id text NOT NULL REFERENCES billing.payment,
            external_id text UNIQUE,
            amount_fen bigint NOT NULL CHECK (amount_fen > 0),
            reason text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed')),
            requested_by text NOT NULL,
            requested_at timestamptz NOT NULL
        );
        CREATE TABLE billing.checkout_session (
            id text PRIMARY KEY,
            invoice_id text NOT NULL REFERENCES billing.invoice,
            party_id text NOT NULL,
            amount_fen bigint NOT NULL CHECK (amount_fen > 0),
            url text NOT NULL,
            state text NOT NULL CHECK (state IN ('open', 'complete', 'expired')),
            payment_intent text,
            created_by text NOT NULL,
            created_at timestamptz NOT NULL
        );
        CREATE INDEX checkout_session_invoice ON billing.checkout_session (invoice_id);
        CREATE TABLE billing.provider_event (
            provider text NOT NULL,
            event_id text NOT NULL,
            type text NOT NULL,
            payload jsonb NOT NULL,
            content_hash text NOT NULL,
            received_at timestamptz NOT NULL,
            deliveries int NOT NULL DEFAULT 1,
            state text NOT NULL CHECK (state IN ('stored', 'waiting', 'handled', 'ignored', 'refused')),
            attempts int NOT NULL DEFAULT 0,
            outcome text,
            handled_at timestamptz,
            PRIMARY KEY (provider, event_id)
        );
        CREATE INDEX provider_event_unhandled ON billing.provider_event (received_at)
            WHERE state IN ('stored', 'waiting');
        """
    )
    op.execute(
        """
        CREATE TABLE billing.settlement (
            id text PRIMARY KEY,
            number text NOT NULL UNIQUE,
            period text NOT NULL REFERENCES billing.period_close,
            state text NOT NULL CHECK (state IN ('run', 'approved', 'rejected')),
            version int NOT NULL DEFAULT 1,
            share_rule_id text NOT NULL REFERENCES billing.share_rule,
            gross_fen bigint NOT NULL,
            tax_fen bigint NOT NULL,
            net_fen bigint NOT NULL,
            run_by text NOT NULL,
            run_at timestamptz NOT NULL,
            decided_by text,
            decided_at timestamptz,
            decision_reason text,
            CHECK (gross_fen = net_fen + tax_fen),
            CHECK (decided_by IS NULL OR decided_by <> run_by),
            CHECK (state = 'run' OR decided_by IS NOT NULL)
        );
        CREATE UNIQUE INDEX settlement_waiting ON billing.settlement (period) WHERE state = 'run';
        CREATE TABLE billing.settlement_item (
            settlement_id text NOT NULL REFERENCES billing.settlement,
            item int NOT NULL,
            invoice_id text NOT NULL,
            line int NOT NULL,
            credit_note_id text,
            resource_id text NOT NULL,
            holder_id text NOT NULL,
            net_fen bigint NOT NULL,
            tax_fen bigint NOT NULL,
            PRIMARY KEY (settlement_id, item),
            FOREIGN KEY (invoice_id, line) REFERENCES billing.invoice_line (invoice_id, line)
        );
        CREATE INDEX settlement_item_line ON billing.settlement_item (invoice_id, line);
        CREATE TABLE billing.settlement_share (
            settlement_id text NOT NULL REFERENCES billing.settlement,
            resource_id text NOT NULL,
            share text NOT NULL CHECK (share IN ('holder', 'operator', 'exchange')),
            party_id text NOT NULL,
            basis_fen bigint NOT NULL,
            bp int NOT NULL,
            amount_fen bigint NOT NULL,
            PRIMARY KEY (settlement_id, resource_id, share)
        );
        CREATE TABLE billing.payout (
            id text PRIMARY KEY,
            settlement_id text NOT NULL REFERENCES billing.settlement,
            party_id text NOT NULL,
            amount_fen bigint NOT NULL CHECK (amount_fen > 0),
            bank_serial text NOT NULL UNIQUE,
            content_hash text NOT NULL,
            paid_on date NOT NULL,
            recorded_by text NOT NULL,
            recorded_at timestamptz NOT NULL
        );
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"""
            CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON billing.{table}
                FOR EACH ROW EXECUTE FUNCTION billing.refuse_change();
            """
        )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE billing.payout, billing.settlement_share, billing.settlement_item, billing.settlement,
            billing.provider_event, billing.checkout_session, billing.refund, billing.payment_allocation,
            billing.payment, billing.credit_note_line, billing.credit_note, billing.billed_usage,
            billing.invoice_line, billing.invoice, billing.period_close CASCADE;
        """
    )
