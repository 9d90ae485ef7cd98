-- Versions of the DataStore's tables, exact and transactional: a reader sees the new version with the new rows, never
-- before and never after. Run by a superuser in the DataStore's database; safe to repeat.
--
-- Every table of schema public gets a trigger at its creation (and now, if it has none): the first statement of a
-- transaction that changes rows counts the table's version up. Changes of the table itself count as well. Rows that
-- are changed while triggers are off (session_replication_role = replica) are not seen: count up by hand afterwards,
-- SELECT govopen.note_change('"<table>"'::regclass).

CREATE SCHEMA IF NOT EXISTS govopen;

CREATE TABLE IF NOT EXISTS govopen.table_version (
    table_oid oid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT USAGE ON SCHEMA govopen TO PUBLIC;
GRANT SELECT ON govopen.table_version TO PUBLIC;

CREATE OR REPLACE FUNCTION govopen.note_change(changed oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    noted text := 'govopen.noted_' || changed;
BEGIN
    IF current_setting(noted, true) IS NOT DISTINCT FROM pg_current_xact_id()::text THEN
        RETURN;
    END IF;
    INSERT INTO govopen.table_version AS v (table_oid) VALUES (changed)
    ON CONFLICT (table_oid) DO UPDATE SET version = v.version + 1, changed_at = clock_timestamp();
    PERFORM set_config(noted, pg_current_xact_id()::text, true);
END $$;
REVOKE ALL ON FUNCTION govopen.note_change(oid) FROM PUBLIC;

CREATE OR REPLACE FUNCTION govopen.on_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM govopen.note_change(TG_RELID);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION govopen.watch(watched regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = watched AND tgname = 'govopen_version') THEN
        EXECUTE format(
            'CREATE TRIGGER govopen_version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION govopen.on_rows()', watched
        );
    END IF;
    PERFORM govopen.note_change(watched);
END $$;
REVOKE ALL ON FUNCTION govopen.watch(regclass) FROM PUBLIC;

CREATE OR REPLACE FUNCTION govopen.on_tables() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM govopen.watch(c.oid) FROM pg_event_trigger_ddl_commands() AS d JOIN pg_class AS c ON c.oid = d.objid
    WHERE d.classid = 'pg_class'::regclass AND d.schema_name = 'public' AND c.relkind IN ('r', 'p');
END $$;

CREATE OR REPLACE FUNCTION govopen.on_drops() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    DELETE FROM govopen.table_version AS v USING pg_event_trigger_dropped_objects() AS d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = v.table_oid;
END $$;

DROP EVENT TRIGGER IF EXISTS govopen_tables;
CREATE EVENT TRIGGER govopen_tables ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE')
    EXECUTE FUNCTION govopen.on_tables();
DROP EVENT TRIGGER IF EXISTS govopen_drops;
CREATE EVENT TRIGGER govopen_drops ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION govopen.on_drops();

SELECT govopen.watch(c.oid) FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND NOT EXISTS (
        SELECT 1 FROM pg_trigger AS t JOIN govopen.table_version AS v ON v.table_oid = t.tgrelid
        WHERE t.tgrelid = c.oid AND t.tgname = 'govopen_version'
    );
