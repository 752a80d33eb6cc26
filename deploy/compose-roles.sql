-- The login roles of the compose file; the group roles come from sql/.
DO $$
BEGIN
    CREATE ROLE demo_loader LOGIN PASSWORD 'demonstration-only' IN ROLE nadi_loader;
    CREATE ROLE demo_reader LOGIN PASSWORD 'demonstration-only' IN ROLE nadi_reader;
EXCEPTION WHEN duplicate_object THEN
    NULL; -- made by an earlier start
END
$$;
