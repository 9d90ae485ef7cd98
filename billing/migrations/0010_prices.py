"""Ceilings, rate cards and share rules, with the laws that no writer can get around."""

from alembic import op

revision = "billing_0010"
down_revision = "billing_0001"
branch_labels = None
depends_on = None

DECIDED = """
    state text NOT NULL CHECK (state IN ('proposed', 'approved', 'published', 'rejected', 'retired')),
    version int NOT NULL DEFAULT 1,
    effective_on date NOT NULL,
    proposed_by text NOT NULL,
    proposed_name text NOT NULL,
    proposed_at timestamptz NOT NULL,
    proposal_reason text NOT NULL DEFAULT '',
    decided_by text,
    decided_name text,
    decided_at timestamptz,
    decision_reason text,
    published_at timestamptz,
    retired_at timestamptz,
    CHECK (decided_by IS NULL OR decided_by <> proposed_by),
    CHECK (state = 'proposed' OR decided_by IS NOT NULL)
"""


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE billing.ceiling (
            id text PRIMARY KEY,
            resource_id text NOT NULL,
            resource_title text NOT NULL,
            open_attribute text NOT NULL CHECK (open_attribute <> 'unconditional'),
            meter text NOT NULL CHECK (meter IN ('rows', 'calls', 'months')),
            max_amount_fen bigint NOT NULL CHECK (max_amount_fen BETWEEN 0 AND 1000000000),
            per bigint NOT NULL CHECK (per BETWEEN 1 AND 1000000),
            stage text NOT NULL CHECK (stage IN ('trial', 'formal')),
            source_document text NOT NULL CHECK (btrim(source_document) <> ''),
            {DECIDED}
        );
        CREATE UNIQUE INDEX ceiling_in_force ON billing.ceiling (resource_id, meter) WHERE state = 'published';
        CREATE INDEX ceiling_resource ON billing.ceiling (resource_id, proposed_at);

        CREATE TABLE billing.rate_card (
            id text PRIMARY KEY,
            resource_id text NOT NULL,
            resource_title text NOT NULL,
            open_attribute text NOT NULL CHECK (open_attribute <> 'unconditional'),
            application_id text UNIQUE,
            use_class text NOT NULL CHECK (use_class IN ('public_interest', 'industry')),
            currency text NOT NULL DEFAULT 'CNY' CHECK (currency = 'CNY'),
            created_at timestamptz NOT NULL
        );
        CREATE UNIQUE INDEX rate_card_standard ON billing.rate_card (resource_id, use_class)
            WHERE application_id IS NULL;

        CREATE TABLE billing.rate_card_version (
            id text PRIMARY KEY,
            rate_card_id text NOT NULL REFERENCES billing.rate_card,
            number int NOT NULL CHECK (number > 0),
            pricing jsonb NOT NULL,
            quota jsonb NOT NULL DEFAULT '{{}}',
            {DECIDED},
            UNIQUE (rate_card_id, number)
        );
        CREATE UNIQUE INDEX rate_card_in_force ON billing.rate_card_version (rate_card_id)
            WHERE state = 'published';
        CREATE UNIQUE INDEX rate_card_waiting ON billing.rate_card_version (rate_card_id)
            WHERE state = 'proposed';

        CREATE TABLE billing.share_rule (
            id text PRIMARY KEY,
            number int NOT NULL UNIQUE,
            holder_bp int NOT NULL CHECK (holder_bp >= 0),
            operator_bp int NOT NULL CHECK (operator_bp >= 0),
            exchange_bp int NOT NULL CHECK (exchange_bp >= 0),
            operator_id text NOT NULL,
            exchange_id text NOT NULL,
            source_document text NOT NULL CHECK (btrim(source_document) <> ''),
            {DECIDED},
            CHECK (holder_bp + operator_bp + exchange_bp = 10000)
        );

        CREATE TABLE billing.tax_rate (
            effective_on date PRIMARY KEY,
            rate_bp int NOT NULL CHECK (rate_bp BETWEEN 0 AND 10000),
            source_note text NOT NULL
        );
        INSERT INTO billing.tax_rate VALUES ('2016-05-01', 600,
            '现代服务—信息技术服务适用税率 6%；由财务人员按现行规定核对');
        """
    )
    op.execute(
        """
        CREATE FUNCTION billing.refuse_price(
            resource text, meter_name text, amount numeric, per_units numeric
        ) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE top record;
        BEGIN
            IF amount IS NULL OR amount <> trunc(amount) OR amount < 0 THEN
                RAISE EXCEPTION 'a price is a whole number of fen' USING ERRCODE = 'check_violation';
            END IF;
            IF per_units IS NULL OR per_units <> trunc(per_units) OR per_units < 1 THEN
                RAISE EXCEPTION 'a price is per a whole number of units' USING ERRCODE = 'check_violation';
            END IF;
            IF amount = 0 THEN RETURN; END IF;
            SELECT max_amount_fen, per INTO top FROM billing.ceiling
                WHERE resource_id = resource AND meter = meter_name AND state = 'published';
            IF NOT FOUND THEN
                RAISE EXCEPTION 'no ceiling for % of % is in force', meter_name, resource
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'rate_under_ceiling';
            END IF;
            IF amount * top.per > top.max_amount_fen * per_units THEN
                RAISE EXCEPTION 'price % per % is above the ceiling % per %',
                    amount, per_units, top.max_amount_fen, top.per
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'rate_under_ceiling';
            END IF;
        END $$;

        CREATE FUNCTION billing.check_pricing(card billing.rate_card, pricing jsonb)
        RETURNS void LANGUAGE plpgsql AS $$
        DECLARE tier jsonb; flat numeric := (pricing->>'flat_fen')::numeric;
        BEGIN
            IF jsonb_typeof(pricing->'tiers') IS DISTINCT FROM 'array' OR flat IS NULL THEN
                RAISE EXCEPTION 'a pricing has flat_fen and tiers' USING ERRCODE = 'check_violation';
            END IF;
            IF card.use_class = 'public_interest' AND (flat <> 0 OR EXISTS (
                SELECT 1 FROM jsonb_array_elements(pricing->'tiers') t WHERE (t->>'amount_fen')::numeric <> 0
            )) THEN
                RAISE EXCEPTION 'public interest is free'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'public_interest_free';
            END IF;
            PERFORM billing.refuse_price(card.resource_id, 'months', flat, 1);
            FOR tier IN SELECT * FROM jsonb_array_elements(pricing->'tiers') LOOP
                PERFORM billing.refuse_price(card.resource_id, pricing->>'meter',
                    (tier->>'amount_fen')::numeric, (tier->>'per')::numeric);
            END LOOP;
        END $$;

        CREATE FUNCTION billing.guard_rate() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE card billing.rate_card;
        BEGIN
            IF TG_OP = 'UPDATE' AND (NEW.pricing IS DISTINCT FROM OLD.pricing
                OR NEW.rate_card_id <> OLD.rate_card_id OR NEW.number <> OLD.number) THEN
                RAISE EXCEPTION 'a rate is changed by a new version' USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.state IN ('rejected', 'retired') THEN RETURN NEW; END IF;
            SELECT * INTO card FROM billing.rate_card WHERE id = NEW.rate_card_id;
            PERFORM pg_advisory_xact_lock(hashtextextended('billing.price ' || card.resource_id, 0));
            PERFORM billing.check_pricing(card, NEW.pricing);
            RETURN NEW;
        END $$;
        CREATE TRIGGER guard_rate BEFORE INSERT OR UPDATE ON billing.rate_card_version
            FOR EACH ROW EXECUTE FUNCTION billing.guard_rate();

        CREATE FUNCTION billing.guard_ceiling_terms() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('billing.price ' || NEW.resource_id, 0));
            IF TG_OP = 'UPDATE' AND (NEW.max_amount_fen, NEW.per, NEW.meter, NEW.resource_id)
                IS DISTINCT FROM (OLD.max_amount_fen, OLD.per, OLD.meter, OLD.resource_id) THEN
                RAISE EXCEPTION 'a ceiling is changed by a new one' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER guard_terms BEFORE INSERT OR UPDATE ON billing.ceiling
            FOR EACH ROW EXECUTE FUNCTION billing.guard_ceiling_terms();

        CREATE FUNCTION billing.guard_ceiling() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE standing record; card billing.rate_card;
        BEGIN
            FOR standing IN
                SELECT v.pricing, c.id FROM billing.rate_card_version v
                    JOIN billing.rate_card c ON c.id = v.rate_card_id
                    WHERE c.resource_id = NEW.resource_id AND v.state IN ('proposed', 'approved', 'published')
            LOOP
                SELECT * INTO card FROM billing.rate_card WHERE id = standing.id;
                PERFORM billing.check_pricing(card, standing.pricing);
            END LOOP;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER guard_ceiling AFTER INSERT OR UPDATE ON billing.ceiling
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing.guard_ceiling();

        CREATE FUNCTION billing.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '%.% is append-only: correct by adding', TG_TABLE_SCHEMA, TG_TABLE_NAME
                USING ERRCODE = 'check_violation', CONSTRAINT = 'append_only';
        END $$;
        """
    )
    for table in ("ceiling", "rate_card", "rate_card_version", "share_rule", "tax_rate"):
        op.execute(
            f"""
            CREATE TRIGGER keep BEFORE DELETE ON billing.{table}
                FOR EACH ROW EXECUTE FUNCTION billing.refuse_change();
            CREATE TRIGGER keep_all BEFORE TRUNCATE ON billing.{table}
                FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_change();
            """
        )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE billing.tax_rate, billing.share_rule, billing.rate_card_version, billing.rate_card,
            billing.ceiling CASCADE;
        DROP FUNCTION billing.guard_rate, billing.guard_ceiling, billing.guard_ceiling_terms,
            billing.check_pricing, billing.refuse_price,
            billing.refuse_change;
        """
    )
