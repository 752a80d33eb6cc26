-- Purpose: what the loader's role may do: rows of every table, no DDL. Locks: brief, on the catalogue.

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA nadi_store TO nadi_loader;
REVOKE INSERT, UPDATE, DELETE ON nadi_store.schema_migration, nadi_store.score_edge FROM nadi_loader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA nadi_store TO nadi_loader;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA nadi_store FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA nadi_store TO nadi_loader;
ALTER DEFAULT PRIVILEGES IN SCHEMA nadi_store GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO nadi_loader;
ALTER DEFAULT PRIVILEGES IN SCHEMA nadi_store GRANT USAGE ON SEQUENCES TO nadi_loader;
