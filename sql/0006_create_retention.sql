-- Purpose: how long each table's rows are kept, and the ledger's months: made, dropped, and what is left of them.
-- Locks: none (new objects). Duration: milliseconds.

CREATE TABLE nadi_store.retention (
    table_name text PRIMARY KEY,
    setting    text CHECK (setting IN ('minute_days', 'label_days', 'archive_days')),
    days       int CHECK (days >= 0),
    how        text NOT NULL,
    CHECK ((setting IS NULL) = (days IS NULL))
);
COMMENT ON TABLE nadi_store.retention IS 'How long each table keeps its rows, in days (null: for ever), under which key of loader.yaml, and how rows go. The loader writes here what is in force.';
INSERT INTO nadi_store.retention (table_name, setting, days, how) VALUES
    ('request_minute',   'minute_days',   35, 'daily partitions are dropped'),
    ('resource_minute',  'minute_days',   35, 'daily partitions are dropped'),
    ('reject_line',      'minute_days',   35, 'daily partitions are dropped'),
    ('load_run',         'minute_days',   35, 'a few rows each run'),
    ('outcome',          'label_days',   100, 'daily partitions (of the prediction) are dropped, rows without an hour deleted by their arrival; counted in outcome_arrival'),
    ('object',           'archive_days', 400, 'monthly partitions are dropped; sums stay in expired_ledger'),
    ('segment',          'archive_days', 400, 'monthly partitions are dropped; sums stay in writer'),
    ('segment_hour',     'archive_days', 400, 'monthly partitions are dropped; sums stay in expired_hour and expired_arrival'),
    ('segment_reject',   'archive_days', 400, 'monthly partitions are dropped'),
    ('writer',           'archive_days', 400, 'rows without a segment, when a month of the ledger is dropped'),
    ('host',             'archive_days', 400, 'rows without a writer or object, when a month of the ledger is dropped'),
    ('accepted_loss',    NULL, NULL, 'what persons decided'),
    ('category',         NULL, NULL, 'a dictionary, under a cap'),
    ('deployment',       NULL, NULL, 'one row a deployment'),
    ('dirty_hour',       NULL, NULL, 'rows go with their join'),
    ('drift_day',        NULL, NULL, 'one row a day, model and feature'),
    ('drift_hour',       NULL, NULL, 'one row an hour, model and feature'),
    ('drift_mark',       NULL, NULL, 'rows go with the refresh'),
    ('edge_set',         NULL, NULL, 'a dictionary'),
    ('expired_arrival',  NULL, NULL, 'one row a day and type'),
    ('expired_hour',     NULL, NULL, 'one row an hour and type'),
    ('expired_ledger',   NULL, NULL, 'one row a month'),
    ('feature',          NULL, NULL, 'a dictionary, under a cap'),
    ('feature_day',      NULL, NULL, 'one row a day, series and feature'),
    ('feature_hour',     NULL, NULL, 'one row an hour, series and feature'),
    ('hour_edge_set',    NULL, NULL, 'one row an hour and model'),
    ('join_hour',        NULL, NULL, 'one row an hour and model'),
    ('loader_state',     NULL, NULL, 'a few rows'),
    ('mapping',          NULL, NULL, 'one row a mapping and change'),
    ('model',            NULL, NULL, 'a dictionary, under a cap'),
    ('named_outcome_day',  NULL, NULL, 'one row a day, series, name and currency'),
    ('named_outcome_hour', NULL, NULL, 'one row an hour, series, name and currency'),
    ('outcome_arrival',  NULL, NULL, 'one row a day, type and model'),
    ('outcome_day',      NULL, NULL, 'one row a day and series'),
    ('outcome_hour',     NULL, NULL, 'one row an hour and series'),
    ('reference',             NULL, NULL, 'one row a reference; deleted ones are marked'),
    ('reference_activation',  NULL, NULL, 'one row an activation'),
    ('reference_feature',     NULL, NULL, 'rows go with nadi reference delete'),
    ('reference_performance', NULL, NULL, 'rows go with nadi reference delete'),
    ('reference_score',       NULL, NULL, 'rows go with nadi reference delete'),
    ('reference_spread',      NULL, NULL, 'rows go with nadi reference delete'),
    ('request_day',      NULL, NULL, 'one row a day and series'),
    ('request_hour',     NULL, NULL, 'one row an hour and series'),
    ('resource',         NULL, NULL, 'a dictionary'),
    ('resource_hour',    NULL, NULL, 'one row an hour, resource and measure'),
    ('retention',        NULL, NULL, 'this table'),
    ('schema_migration', NULL, NULL, 'one row a migration'),
    ('score_day',        NULL, NULL, 'one row a day, series and class'),
    ('score_edge',       NULL, NULL, 'constant'),
    ('score_hour',       NULL, NULL, 'one row an hour, series and class'),
    ('series',           NULL, NULL, 'a dictionary, under a cap'),
    ('sweep',            NULL, NULL, 'one row while a sweep is under way'),
    ('swept_hour',       NULL, NULL, 'one row an hour that a sweep has read');

CREATE TABLE nadi_store.expired_hour (
    hour            timestamptz NOT NULL,
    event_type      text NOT NULL,
    lines           bigint NOT NULL,
    first_loaded_at timestamptz,
    last_loaded_at  timestamptz,
    PRIMARY KEY (hour, event_type)
);
COMMENT ON TABLE nadi_store.expired_hour IS 'Lines per hour and type of segments whose ledger rows are past retention. An hour that stands here is closed: it can no longer be derived from the bucket.';
CREATE TABLE nadi_store.expired_arrival (
    arrival_day date NOT NULL,
    event_type  text NOT NULL,
    lines       bigint NOT NULL,
    PRIMARY KEY (arrival_day, event_type)
);
COMMENT ON TABLE nadi_store.expired_arrival IS 'Outcome and feedback lines per day of arrival of segments whose ledger rows are past retention.';
CREATE TABLE nadi_store.expired_ledger (
    month           date PRIMARY KEY,
    objects         bigint NOT NULL,
    lines           bigint NOT NULL,
    loaded_lines    bigint NOT NULL,
    rejected_lines  bigint NOT NULL,
    duplicate_lines bigint NOT NULL,
    conflict_lines  bigint NOT NULL,
    unread_lines    bigint NOT NULL,
    dropped_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE nadi_store.expired_ledger IS 'What became of the lines of each month of objects whose ledger rows are past retention: lines = loaded + rejected + duplicate + conflict + unread.';

CREATE VIEW nadi_store.ledger_hour AS
SELECT hour, event_type, lines FROM nadi_store.segment_hour
UNION ALL SELECT hour, event_type, lines FROM nadi_store.expired_hour;
COMMENT ON VIEW nadi_store.ledger_hour IS 'Lines by hour and type of all that was ever loaded, also where the ledger is past retention. Sum it.';
CREATE VIEW nadi_store.ledger_arrival AS
SELECT (s.sealed_at AT TIME ZONE 'UTC')::date AS arrival_day, h.event_type, h.lines
FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS s USING (segment_id, object_sealed_at)
WHERE h.event_type IN ('outcome', 'feedback')
UNION ALL SELECT arrival_day, event_type, lines FROM nadi_store.expired_arrival;
COMMENT ON VIEW nadi_store.ledger_arrival IS 'Outcome and feedback lines by day of arrival of all that was ever loaded, also where the ledger is past retention. Sum it.';

-- The begin of what the ledger holds: objects and segments sealed before are not looked at again.
CREATE FUNCTION nadi_store.ledger_begin() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT at FROM nadi_store.loader_state WHERE name = 'ledger_kept'), '-infinity')
$$;
COMMENT ON FUNCTION nadi_store.ledger_begin() IS 'When the ledger begins: months before were dropped, and objects sealed before are never loaded again.';

CREATE FUNCTION nadi_store.ensure_ledger(sealed timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first  date := date_trunc('month', sealed AT TIME ZONE 'UTC');
    month  text := to_char(first, 'YYYYMM');
    parent text;
    child  text;
BEGIN
    IF to_regclass(format('nadi_store.segment_reject_%s', month)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('nadi partition'), hashtext(month));
    -- Under the lock: what is dropped does not come back.
    IF sealed < nadi_store.ledger_begin() THEN
        RETURN;
    END IF;
    FOREACH parent IN ARRAY ARRAY['object', 'segment', 'segment_hour', 'segment_reject'] LOOP
        child := format('%s_%s', parent, month);
        CONTINUE WHEN to_regclass(format('nadi_store.%I', child)) IS NOT NULL;
        EXECUTE format('CREATE TABLE nadi_store.%I (LIKE nadi_store.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor = %s)',
                       child, parent, CASE parent WHEN 'object' THEN 80 ELSE 100 END);
        EXECUTE format('ALTER TABLE nadi_store.%I ATTACH PARTITION nadi_store.%I FOR VALUES FROM (%L) TO (%L)', parent, child,
                       first::timestamp AT TIME ZONE 'UTC', (first + interval '1 month')::timestamp AT TIME ZONE 'UTC');
    END LOOP;
END
$$;
COMMENT ON FUNCTION nadi_store.ensure_ledger(timestamptz) IS 'Makes the ledger''s partitions of the month (UTC) in which an object was sealed, unless they exist or were dropped.';

-- Drops the ledger's oldest month if it ends before `first_kept` and none of its objects was claimed or loaded since
-- `untouched_since` (an old archive that is loaded anew is given that long); the sums stay. Returns how many were dropped,
-- 0 or 1. A month's rows are read once; readers wait only for the drop itself.
CREATE FUNCTION nadi_store.drop_ledger(first_kept timestamptz, untouched_since timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    month    text;
    end_at   timestamptz;
    touched  boolean;
    parent   text;
BEGIN
    SELECT min(substr(c.relname, 8)) INTO month
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'nadi_store.object'::regclass;
    end_at := (to_date(month, 'YYYYMM') + interval '1 month')::timestamp AT TIME ZONE 'UTC';
    IF month IS NULL OR end_at > first_kept OR NOT pg_try_advisory_xact_lock(1851876457, 3) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('nadi partition'), hashtext(month));
    FOREACH parent IN ARRAY ARRAY['object', 'segment', 'segment_hour', 'segment_reject'] LOOP
        IF to_regclass(format('nadi_store.%I', parent || '_' || month)) IS NULL THEN
            RETURN 0;
        END IF;
        EXECUTE format('LOCK TABLE nadi_store.%I IN SHARE ROW EXCLUSIVE MODE', parent || '_' || month);
    END LOOP;
    EXECUTE format('SELECT EXISTS (SELECT FROM nadi_store.%I WHERE greatest(claimed_at, loaded_at) >= $1)', 'object_' || month)
    INTO touched USING untouched_since;
    IF touched THEN
        RETURN 0;
    END IF;

    EXECUTE format($sql$
        INSERT INTO nadi_store.expired_hour AS e (hour, event_type, lines, first_loaded_at, last_loaded_at)
        SELECT h.hour, h.event_type, sum(h.lines), min(o.loaded_at), max(o.loaded_at)
        FROM nadi_store.%1$I AS h JOIN nadi_store.%2$I AS s USING (segment_id) JOIN nadi_store.%3$I AS o USING (object_id)
        GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (hour, event_type) DO UPDATE SET lines = e.lines + EXCLUDED.lines,
            first_loaded_at = least(e.first_loaded_at, EXCLUDED.first_loaded_at),
            last_loaded_at = greatest(e.last_loaded_at, EXCLUDED.last_loaded_at)
        $sql$, 'segment_hour_' || month, 'segment_' || month, 'object_' || month);
    EXECUTE format($sql$
        INSERT INTO nadi_store.expired_arrival AS e (arrival_day, event_type, lines)
        SELECT (s.sealed_at AT TIME ZONE 'UTC')::date, h.event_type, sum(h.lines)
        FROM nadi_store.%1$I AS h JOIN nadi_store.%2$I AS s USING (segment_id)
        WHERE h.event_type IN ('outcome', 'feedback') GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (arrival_day, event_type) DO UPDATE SET lines = e.lines + EXCLUDED.lines
        $sql$, 'segment_hour_' || month, 'segment_' || month);
    EXECUTE format($sql$
        INSERT INTO nadi_store.expired_ledger (month, objects, lines, loaded_lines, rejected_lines, duplicate_lines, conflict_lines, unread_lines)
        SELECT to_date($1, 'YYYYMM'), count(*), coalesce(sum(o.lines), 0), coalesce(sum(s.loaded), 0), coalesce(sum(s.rejected), 0),
               coalesce(sum(s.duplicate), 0), coalesce(sum(s.conflict), 0), coalesce(sum(o.lines) FILTER (WHERE s.object_id IS NULL), 0)
        FROM nadi_store.%1$I AS o LEFT JOIN (
            SELECT object_id, sum(loaded_lines) AS loaded, sum(rejected_lines) AS rejected,
                   sum(lines) FILTER (WHERE state = 'duplicate') AS duplicate, sum(lines) FILTER (WHERE state = 'conflict') AS conflict
            FROM nadi_store.%2$I GROUP BY 1) AS s USING (object_id)
        $sql$, 'object_' || month, 'segment_' || month) USING month;
    -- Rows of writers in the order in which loaders lock them.
    EXECUTE format($sql$
        WITH gone AS MATERIALIZED (
            SELECT writer_id, sum(lines) AS lines, max(seq) AS seq FROM nadi_store.%1$I WHERE state = 'loaded' GROUP BY 1
        ), locked AS MATERIALIZED (
            SELECT w.writer_id FROM nadi_store.writer AS w WHERE w.writer_id IN (SELECT writer_id FROM gone)
            ORDER BY w.writer COLLATE "C" FOR NO KEY UPDATE
        )
        UPDATE nadi_store.writer AS w
        SET expired_lines = w.expired_lines + g.lines, expired_seq = greatest(w.expired_seq, g.seq)
        FROM gone AS g JOIN locked USING (writer_id) WHERE w.writer_id = g.writer_id
        $sql$, 'segment_' || month);

    FOREACH parent IN ARRAY ARRAY['segment_reject', 'segment_hour', 'segment', 'object'] LOOP
        EXECUTE format('DROP TABLE nadi_store.%I', parent || '_' || month);
    END LOOP;
    INSERT INTO nadi_store.loader_state AS s (name, at) VALUES ('ledger_kept', end_at)
    ON CONFLICT (name) DO UPDATE SET at = greatest(s.at, EXCLUDED.at);

    -- Writers and hosts of which nothing is left and nothing was heard since.
    DELETE FROM nadi_store.writer AS w
    WHERE coalesce(w.reported_at, '-infinity') < end_at
      AND NOT EXISTS (SELECT FROM nadi_store.segment AS s WHERE s.writer_id = w.writer_id AND s.state = 'loaded')
      AND NOT EXISTS (SELECT FROM nadi_store.segment AS s WHERE s.writer_id = w.writer_id AND s.state <> 'loaded');
    DELETE FROM nadi_store.host AS h
    WHERE coalesce(h.reported_at, '-infinity') < end_at
      AND NOT EXISTS (SELECT FROM nadi_store.writer AS w WHERE w.host_id = h.host_id)
      AND h.host_id NOT IN (SELECT o.host_id FROM nadi_store.object AS o WHERE o.host_id IS NOT NULL);
    RETURN 1;
END
$$;
COMMENT ON FUNCTION nadi_store.drop_ledger(timestamptz, timestamptz) IS 'Drops the ledger''s oldest month once it is past retention. Its sums stay in expired_hour, expired_arrival, expired_ledger and writer.';
