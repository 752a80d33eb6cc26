-- Purpose: the two schemas and the three roles. Locks: none that matter. Duration: milliseconds.
-- Roles belong to the cluster, not the database: another database's migration may make them at the same moment.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['nadi_owner', 'nadi_loader', 'nadi_reader'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

CREATE SCHEMA nadi_store;
COMMENT ON SCHEMA nadi_store IS 'Nadi''s tables: counts, sums, moments and histograms that merge. The loader''s own; query schema nadi instead.';
CREATE SCHEMA nadi;
COMMENT ON SCHEMA nadi IS 'Nadi''s views and functions: what dashboards and people query.';

CREATE TABLE nadi_store.schema_migration (
    version    int PRIMARY KEY,
    name       text NOT NULL,
    sha256     bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE nadi_store.schema_migration IS 'The migrations applied, with the SHA-256 of their files.';

GRANT USAGE ON SCHEMA nadi_store TO nadi_loader;
GRANT USAGE ON SCHEMA nadi TO nadi_loader, nadi_reader;
