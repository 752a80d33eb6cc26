-- Purpose: what the loader remembers between runs, and retention. Locks: none (new objects).

CREATE TABLE nadi_store.loader_state (
    name       text PRIMARY KEY,
    at         timestamptz NOT NULL,
    value      text NOT NULL DEFAULT ''
);
COMMENT ON TABLE nadi_store.loader_state IS 'When the wider listings and sweeps last ran (listed_week, listed_all, swept, which is when the last sweep that ended began, and its value the outcome number up to which it looked), since when a tag is configured (slice:<tag>) or was no longer (slice_end:<tag>), the first day whose minute rows are whole (minutes_kept), when the ledger begins (ledger_kept), and how many outcomes arrived, joined, wait and are unmatched, for metrics (outcomes_counted).';

CREATE TABLE nadi_store.mapping (
    name       text NOT NULL,
    sha256     bytea NOT NULL,
    first_used timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, sha256)
);
COMMENT ON TABLE nadi_store.mapping IS 'Mappings of foreign logs that were applied, by the hash of their definition.';

-- Drops the daily partitions of `parent` that end before `first_kept`; returns how many. A drop waits for whoever reads the
-- table, and others wait behind it: after two seconds it gives up, and the next run tries again.
CREATE FUNCTION nadi_store.drop_partitions(parent text, first_kept date) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    child   text;
    dropped int := 0;
BEGIN
    IF parent NOT IN ('request_minute', 'resource_minute', 'reject_line') THEN
        RAISE EXCEPTION '% is not partitioned by day', parent;
    END IF;
    FOR child IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = format('nadi_store.%I', parent)::regclass
          AND c.relname < format('%s_%s', parent, to_char(first_kept, 'YYYYMMDD'))
        ORDER BY c.relname
    LOOP
        -- Another loader may be dropping the same one.
        PERFORM pg_advisory_xact_lock(hashtext('nadi partition'), hashtext(child));
        EXECUTE format('DROP TABLE IF EXISTS nadi_store.%I', child);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION nadi_store.drop_partitions(text, date) IS 'Drops daily partitions of request_minute, resource_minute or reject_line older than a day.';
