-- Purpose: what nadi_reader may do: read schema nadi, nothing else, read-only, 15 seconds a statement, in UTC. Locks: none that matter.
-- The settings hold for sessions that log in as nadi_reader; a login role that is only its member needs its own ALTER ROLE.

-- Days and buckets are UTC's whatever the caller's time zone is: time + interval '1 day' is 23 or 25 hours where clocks change.
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'nadi'::regnamespace AND p.prosecdef LOOP
        EXECUTE format('ALTER FUNCTION %s SET timezone = ''UTC''', f);
    END LOOP;
END
$$;

GRANT SELECT ON ALL TABLES IN SCHEMA nadi TO nadi_reader, nadi_loader;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nadi FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA nadi TO nadi_reader, nadi_loader;
REVOKE ALL ON ALL TABLES IN SCHEMA nadi_store FROM nadi_reader;

-- Views compute these with their caller's rights. Without USAGE on nadi_store readers cannot name them.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nadi_store FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA nadi_store TO nadi_loader;
GRANT EXECUTE ON FUNCTION nadi_store.bin_power(int), nadi_store.bin_lower(int), nadi_store.bin_upper(int), nadi_store.bin_value(int),
    nadi_store.mean_over(float8, float8), nadi_store.binary_pairs(float8, float8, float8, float8),
    nadi_store.audit_equations(text, timestamptz, timestamptz) TO nadi_reader;

DO $$
BEGIN
    EXECUTE format('ALTER ROLE nadi_reader IN DATABASE %I SET default_transaction_read_only = on', current_database());
    EXECUTE format('ALTER ROLE nadi_reader IN DATABASE %I SET statement_timeout = ''15s''', current_database());
    EXECUTE format('ALTER ROLE nadi_reader IN DATABASE %I SET timezone = ''UTC''', current_database());
    EXECUTE format('ALTER ROLE nadi_reader IN DATABASE %I SET jit = off', current_database());
END
$$;
