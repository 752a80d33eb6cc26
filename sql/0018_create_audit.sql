-- Purpose: the audit: its equations, which nadi audit and the views share, what it found last, what a person accepted. Locks: none.

CREATE TABLE nadi_store.accepted_loss (
    acceptance_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    finding       text NOT NULL,
    host          text NOT NULL DEFAULT '',
    writer        text NOT NULL DEFAULT '',
    lines         bigint,
    evidence      text NOT NULL DEFAULT '',
    reason        text NOT NULL,
    accepted_by   text NOT NULL DEFAULT session_user,
    accepted_at   timestamptz NOT NULL DEFAULT now(),
    withdrawn_by  text,
    withdrawn_at  timestamptz
);
CREATE UNIQUE INDEX accepted_loss_finding ON nadi_store.accepted_loss (finding) WHERE withdrawn_at IS NULL;
CREATE INDEX accepted_loss_writer ON nadi_store.accepted_loss (writer) WHERE withdrawn_at IS NULL;
COMMENT ON TABLE nadi_store.accepted_loss IS 'Audit findings that a person accepted with audit --accept-lost: no longer failures, still listed, until audit --withdraw. Nothing is deleted.';

CREATE TABLE nadi_store.audit_run (
    audit_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    audited_at     timestamptz NOT NULL,
    seconds        float8 NOT NULL,
    failures       bigint NOT NULL,
    accepted       bigint NOT NULL,
    notes          bigint NOT NULL,
    complete_until timestamptz
);
CREATE INDEX audit_run_audited_at ON nadi_store.audit_run (audited_at);
COMMENT ON TABLE nadi_store.audit_run IS 'One row per audit of everything, kept 400 days.';

CREATE TABLE nadi_store.audit_finding (
    finding       text PRIMARY KEY,
    kind          text NOT NULL,
    host          text NOT NULL,
    evidence      text NOT NULL,
    remedy        text NOT NULL,
    lines         bigint,
    is_failure    boolean NOT NULL,
    is_accepted   boolean NOT NULL,
    first_seen_at timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL
);
INSERT INTO nadi_store.retention (table_name, setting, days, how) VALUES
    ('audit_run',     NULL, NULL, 'one row an audit, 400 days'),
    ('audit_finding', NULL, NULL, 'what the newest audit found');
COMMENT ON TABLE nadi_store.audit_finding IS 'What the newest audit of everything found; first_seen_at is when the first of its unbroken line of audits saw it.';

-- A writer's account: its own counts (its writer lines, its host's reports) beside the segments that the ledger has of it.
-- A killed writer's counts are up to a second old, so they are raised to what is stored of it: a lower bound. gaps holds,
-- for each run of numbers that are not stored, its first, its last and the seal times around it in milliseconds.
CREATE VIEW nadi_store.writer_account AS
SELECT w.writer_id, w.writer, w.host_id, h.host, w.format, w.adopted,
       CASE WHEN w.adopted THEN greatest(w.appended, greatest(w.written, s.lines) + d.dropped) ELSE w.appended END AS appended,
       CASE WHEN w.adopted THEN greatest(w.written, s.lines) ELSE w.written END AS written, d.dropped,
       w.dropped_buffer_full, w.dropped_disk_full, w.dropped_io_error, w.dropped_too_large, w.dropped_invalid,
       w.end_seq, w.reported_at, w.reported_segments, h.reported_at AS host_reported_at, h.state AS host_state,
       s.lines, s.segments, s.last_seq, s.gaps, s.newest_at, a.accepted,
       CASE WHEN a.accepted > 0 AND w.end_seq IS NOT NULL THEN greatest(0, w.written - s.lines) ELSE 0 END AS lost_lines
FROM nadi_store.writer AS w JOIN nadi_store.host AS h USING (host_id)
CROSS JOIN LATERAL (
    SELECT w.dropped_buffer_full + w.dropped_disk_full + w.dropped_io_error + w.dropped_too_large + w.dropped_invalid AS dropped) AS d
CROSS JOIN LATERAL (
    SELECT coalesce(sum(g.lines), 0)::bigint + w.expired_lines AS lines, count(*) AS segments, greatest(max(g.seq), w.expired_seq, -1) AS last_seq,
           max(g.sealed_at) AS newest_at,
           coalesce(array_agg(ARRAY[g.previous + 1, g.seq - 1, g.previous_ms, (extract(epoch FROM g.sealed_at) * 1000)::bigint])
               FILTER (WHERE g.seq > g.previous + 1), '{}') AS gaps
    FROM (SELECT seq, lines, sealed_at, greatest(lag(seq) OVER (ORDER BY seq), w.expired_seq, -1) AS previous,
                 coalesce((extract(epoch FROM lag(sealed_at) OVER (ORDER BY seq)) * 1000)::bigint, 0) AS previous_ms
          FROM nadi_store.segment WHERE writer_id = w.writer_id AND state = 'loaded') AS g) AS s
CROSS JOIN LATERAL (
    SELECT count(*) AS accepted FROM nadi_store.accepted_loss AS l WHERE l.writer = w.writer AND l.withdrawn_at IS NULL) AS a;
COMMENT ON VIEW nadi_store.writer_account IS 'Each writer''s own counts beside what the ledger has of it: what the audit and nadi.pipeline_writer say of writers.';

CREATE VIEW nadi.pipeline_writer AS
SELECT a.writer, a.host, a.format AS log_format,
       CASE WHEN a.format <> 'native' THEN 'file' WHEN a.end_seq IS NOT NULL AND a.adopted THEN 'killed'
            WHEN a.end_seq IS NOT NULL THEN 'closed' WHEN a.reported_at >= a.host_reported_at THEN 'open' ELSE 'unended' END AS writer_status,
       a.appended AS appended_line_count, a.adopted AS is_lower_bound, a.written AS written_line_count, a.dropped AS dropped_line_count,
       a.lines AS stored_line_count, a.segments AS stored_segment_count, cardinality(a.reported_segments)::bigint AS unshipped_segment_count,
       a.lost_lines AS accepted_lost_line_count, cardinality(a.gaps) / 4::bigint AS gap_count, a.newest_at AS newest_sealed_at, a.reported_at
FROM nadi_store.writer_account AS a;
COMMENT ON VIEW nadi.pipeline_writer IS 'Writing processes and foreign files: what each counted, and what of it is stored. open: in its host''s newest report; unended: not there, and no end has come.';

CREATE VIEW nadi.pipeline_drop AS
SELECT h.host, d.reason AS drop_reason, w.reported_at, w.writer, d.n AS dropped_line_count
FROM nadi_store.writer AS w JOIN nadi_store.host AS h USING (host_id)
CROSS JOIN LATERAL (VALUES ('buffer_full', w.dropped_buffer_full), ('disk_full', w.dropped_disk_full), ('io_error', w.dropped_io_error),
                           ('too_large', w.dropped_too_large), ('invalid', w.dropped_invalid)) AS d (reason, n)
WHERE d.n > 0;
COMMENT ON VIEW nadi.pipeline_drop IS 'Lines that writers could not write, by writer and reason, over the writer''s whole life.';

-- Lines recorded by the ledger against lines counted by the tables, by hour; outcomes and feedback by UTC day of arrival.
CREATE FUNCTION nadi.audit_periods(from_time timestamptz, to_time timestamptz)
RETURNS TABLE (bucket_start timestamptz, period_length text, event_type text, ledger_line_count bigint, counted_line_count bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH ledger AS MATERIALIZED (
        SELECT h.hour, h.event_type, sum(h.lines)::bigint AS lines FROM nadi_store.ledger_hour AS h
        WHERE h.hour >= from_time AND h.hour < to_time AND h.event_type IN ('prediction', 'resource', 'deployment') GROUP BY 1, 2
    ), counted AS (
        SELECT r.hour, 'prediction' AS event_type, sum(r.predictions)::bigint AS lines
        FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id)
        WHERE s.slice_key = 'all' AND r.hour >= from_time AND r.hour < to_time GROUP BY 1
        UNION ALL
        SELECT r.hour, 'resource', sum(r.count)::bigint
        FROM nadi_store.resource_hour AS r JOIN nadi_store.resource AS d USING (resource_id)
        WHERE r.measure = 'samples' AND d.device = '' AND r.hour >= from_time AND r.hour < to_time GROUP BY 1
        UNION ALL
        SELECT date_trunc('hour', d.deployed_at, 'UTC'), 'deployment', count(*)
        FROM nadi_store.deployment AS d WHERE d.deployed_at >= from_time AND d.deployed_at < to_time GROUP BY 1
    ), arrived AS (
        SELECT l.arrival_day AS day, l.event_type, sum(l.lines)::bigint AS lines FROM nadi_store.ledger_arrival AS l GROUP BY 1, 2
    ), arrival AS (
        SELECT a.arrival_day AS day, a.event_type, sum(a.lines)::bigint AS lines FROM nadi_store.outcome_arrival AS a GROUP BY 1, 2
    )
    SELECT hour, 'hour', event_type, coalesce(l.lines, 0), coalesce(c.lines, 0)
    FROM ledger AS l FULL JOIN counted AS c USING (hour, event_type)
    UNION ALL
    SELECT day::timestamp AT TIME ZONE 'UTC', 'day', event_type, coalesce(l.lines, 0), coalesce(a.lines, 0)
    FROM arrived AS l FULL JOIN arrival AS a USING (day, event_type)
    WHERE day::timestamp AT TIME ZONE 'UTC' >= from_time AND day::timestamp AT TIME ZONE 'UTC' < to_time;
END
$$;
COMMENT ON FUNCTION nadi.audit_periods(timestamptz, timestamptz) IS 'Lines by the ledger and by the tables for each hour, or day of arrival. Predictions, resources and deployments by hour, outcomes and feedback by arrival. The two are equal, or nadi audit names the hour.';

-- The equations: both sides, each from another program's record. Those of writers and objects can be had for one host.
-- A range takes writers heard of in it, objects sealed in it, events of its hours, labels that arrived in it.
CREATE FUNCTION nadi_store.audit_equations(the_host text, from_time timestamptz, to_time timestamptz)
RETURNS TABLE (place int, equation text, left_name text, left_count bigint, right_name text, right_count bigint, is_exact boolean, note text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH account AS MATERIALIZED (
        SELECT * FROM nadi_store.writer_account AS a
        WHERE a.format = 'native' AND (the_host IS NULL OR a.host = the_host)
          AND coalesce(greatest(a.newest_at, a.reported_at) >= from_time, true)
    ), closed AS (
        SELECT coalesce(sum(appended), 0)::bigint AS appended, coalesce(sum(written), 0)::bigint AS written,
               coalesce(sum(dropped), 0)::bigint AS dropped FROM account WHERE NOT adopted
    ), killed AS (
        SELECT count(*) AS writers, coalesce(sum(appended), 0)::bigint AS appended, coalesce(sum(written + dropped), 0)::bigint AS accounted
        FROM account WHERE adopted
    ), ended AS (
        SELECT coalesce(sum(written), 0)::bigint AS written, coalesce(sum(lines), 0)::bigint AS lines,
               coalesce(sum(lost_lines), 0)::bigint AS lost FROM account WHERE end_seq IS NOT NULL
    ), running AS (
        SELECT count(*) AS writers, coalesce(sum(written), 0)::bigint AS written, coalesce(sum(lines), 0)::bigint AS lines
        FROM account WHERE end_seq IS NULL
    ), spool AS (
        SELECT coalesce(sum(unshipped_lines), 0)::bigint AS lines FROM nadi_store.host AS h WHERE the_host IS NULL OR h.host = the_host
    ), object AS MATERIALIZED (
        SELECT o.object_id, o.state, o.lines, o.loaded_at IS NOT NULL AS is_counted
        FROM nadi_store.object AS o LEFT JOIN nadi_store.host AS h USING (host_id)
        WHERE o.sealed_at >= from_time AND o.sealed_at < to_time AND (the_host IS NULL OR h.host = the_host)
    ), segment AS MATERIALIZED (
        SELECT s.segment_id, s.writer_id, s.state, s.lines, s.loaded_lines, s.rejected_lines
        FROM nadi_store.segment AS s JOIN object AS o USING (object_id)
    ), parts AS (
        SELECT coalesce(sum(loaded_lines) FILTER (WHERE state = 'loaded'), 0)::bigint AS loaded,
               coalesce(sum(rejected_lines) FILTER (WHERE state = 'loaded'), 0)::bigint AS rejected,
               coalesce(sum(lines) FILTER (WHERE state = 'duplicate'), 0)::bigint AS duplicate,
               coalesce(sum(lines) FILTER (WHERE state = 'conflict'), 0)::bigint AS conflict FROM segment
    ), unread AS (
        SELECT coalesce(sum(lines) FILTER (WHERE state = 'claimed'), 0)::bigint AS claimed,
               coalesce(sum(lines) FILTER (WHERE state = 'pending'), 0)::bigint AS pending,
               coalesce(sum(lines) FILTER (WHERE state = 'poisoned'), 0)::bigint AS poisoned,
               coalesce(sum(lines) FILTER (WHERE state IN ('expired', 'lost')), 0)::bigint AS gone
        FROM object WHERE NOT is_counted
    ), typed AS (
        SELECT h.event_type, sum(h.lines)::bigint AS lines
        FROM nadi_store.segment_hour AS h WHERE h.segment_id IN (SELECT segment_id FROM segment WHERE state = 'loaded') GROUP BY 1
    ), ends AS (
        -- Each segment of a writer that closed ends with its writer line.
        SELECT count(*) AS segments,
               coalesce(sum((SELECT sum(h.lines) FROM nadi_store.segment_hour AS h
                             WHERE h.segment_id = s.segment_id AND h.event_type = 'writer')), 0)::bigint AS lines
        FROM segment AS s JOIN account AS a USING (writer_id) WHERE s.state = 'loaded' AND a.end_seq IS NOT NULL AND NOT a.adopted
    ), period AS MATERIALIZED (
        SELECT p.event_type, sum(p.ledger_line_count)::bigint AS ledger, sum(p.counted_line_count)::bigint AS counted
        FROM nadi.audit_periods(from_time, to_time) AS p WHERE the_host IS NULL GROUP BY 1
    ), request AS MATERIALIZED (
        SELECT s.model_id, s.slice_key, r.hour, sum(r.predictions) AS predictions
        FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id)
        WHERE the_host IS NULL AND r.hour >= from_time AND r.hour < to_time GROUP BY 1, 2, 3
    ), mixed AS MATERIALIZED (
        -- Hours with objects that were loaded while a tag was not configured.
        SELECT DISTINCT substr(b.name, 7) AS slice_key, h.hour
        FROM nadi_store.loader_state AS b LEFT JOIN nadi_store.loader_state AS e ON e.name = 'slice_end:' || substr(b.name, 7)
        JOIN nadi_store.object AS o ON o.loaded_at < b.at OR o.loaded_at >= e.at
        JOIN nadi_store.segment AS g ON g.object_id = o.object_id AND g.state = 'loaded'
        JOIN nadi_store.segment_hour AS h ON h.segment_id = g.segment_id AND h.event_type = 'prediction'
        WHERE b.name ^@ 'slice:'
        UNION
        SELECT substr(b.name, 7), x.hour
        FROM nadi_store.loader_state AS b LEFT JOIN nadi_store.loader_state AS e ON e.name = 'slice_end:' || substr(b.name, 7)
        JOIN nadi_store.expired_hour AS x ON x.event_type = 'prediction' AND (x.first_loaded_at < b.at OR x.last_loaded_at >= e.at)
        WHERE b.name ^@ 'slice:'
    ), arrival AS (
        SELECT a.event_type, sum(a.lines)::bigint AS lines, sum(a.superseded)::bigint AS superseded,
               sum(a.too_late)::bigint AS too_late, sum(a.aged_out)::bigint AS aged_out
        FROM nadi_store.outcome_arrival AS a
        WHERE the_host IS NULL AND a.arrival_day::timestamp AT TIME ZONE 'UTC' >= from_time AND a.arrival_day::timestamp AT TIME ZONE 'UTC' < to_time
        GROUP BY 1
    ), kept AS (
        SELECT o.event_type, count(*) FILTER (WHERE o.is_joined) AS joined, count(*) AS rows
        FROM nadi_store.outcome_state AS o
        WHERE the_host IS NULL AND o.arrival_day::timestamp AT TIME ZONE 'UTC' >= from_time AND o.arrival_day::timestamp AT TIME ZONE 'UTC' < to_time
        GROUP BY 1
    )
    SELECT 10, 'writers', 'appended', c.appended, format('written %s + dropped %s', c.written, c.dropped), c.written + c.dropped, true,
           'By the writers'' own counts.' FROM closed AS c
    UNION ALL
    SELECT 11, 'killed writers', 'appended at least', k.appended, 'written + dropped', k.accounted, false,
           format('%s writers did not close: what they held in memory is not known, appended is a lower bound.', k.writers)
    FROM killed AS k WHERE k.writers > 0
    UNION ALL
    SELECT 20, 'storage', 'written by writers that ended', e.written,
           format('stored %s + accepted losses %s', e.lines, e.lost), e.lines + e.lost, true, 'Writers'' counts against the objects'' manifests.'
    FROM ended AS e
    UNION ALL
    SELECT 21, 'storage, open writers', 'written so far', r.written, format('stored %s + unshipped %s', r.lines, s.lines), r.lines + s.lines, false,
           format('%s writers have not ended: the sides are read at different moments.', r.writers)
    FROM running AS r, spool AS s WHERE r.writers > 0
    UNION ALL
    SELECT 30, 'objects', 'lines by the objects'' keys', (SELECT coalesce(sum(lines), 0)::bigint FROM object),
           format('loaded %s + rejected %s + duplicate %s + conflict %s + claimed %s + pending %s + poisoned %s + expired or lost unread %s',
                  p.loaded, p.rejected, p.duplicate, p.conflict, u.claimed, u.pending, u.poisoned, u.gone),
           p.loaded + p.rejected + p.duplicate + p.conflict + u.claimed + u.pending + u.poisoned + u.gone, true, ''
    FROM parts AS p, unread AS u
    UNION ALL
    SELECT 40, 'types', 'lines loaded', p.loaded, 'lines by hour and type', (SELECT coalesce(sum(lines), 0)::bigint FROM typed), true, ''
    FROM parts AS p
    UNION ALL
    SELECT 41, 'writer lines', 'segments of closed writers', e.segments, 'writer lines', e.lines, true, '' FROM ends AS e
    UNION ALL
    SELECT CASE t.name WHEN 'prediction' THEN 50 WHEN 'resource' THEN 60 WHEN 'deployment' THEN 70 ELSE 80 END, t.title,
           t.name || ' lines (ledger)', coalesce(p.ledger, 0), t.counted, coalesce(p.counted, 0), true, ''
    FROM (VALUES ('prediction', 'predictions by hour', 'predictions in the tables'), ('resource', 'resources', 'samples by hour'),
                 ('deployment', 'deployments', 'rows'), ('outcome', 'outcome lines', 'arrivals'), ('feedback', 'feedback lines', 'arrivals'))
         AS t (name, title, counted)
    LEFT JOIN period AS p ON p.event_type = t.name WHERE the_host IS NULL
    UNION ALL
    SELECT 51, 'predictions by day', 'predictions of hours',
           (SELECT coalesce(sum(r.predictions), 0)::bigint FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id)
            WHERE s.slice_key = 'all' AND r.hour >= date_trunc('day', from_time, 'UTC') AND r.hour < date_trunc('day', to_time, 'UTC')), 'predictions of days',
           (SELECT coalesce(sum(r.predictions), 0)::bigint FROM nadi_store.request_day AS r JOIN nadi_store.series AS s USING (series_id)
            WHERE s.slice_key = 'all' AND r.day >= date_trunc('day', from_time, 'UTC') AND r.day < date_trunc('day', to_time, 'UTC')), true, ''
    WHERE the_host IS NULL
    UNION ALL
    SELECT 52, 'predictions by tag ' || t.slice_key, 'predictions of those hours',
           (SELECT coalesce(sum(a.predictions), 0)::bigint FROM request AS a WHERE a.slice_key = 'all'
                AND EXISTS (SELECT FROM request AS b WHERE b.slice_key = t.slice_key AND b.model_id = a.model_id AND b.hour = a.hour)
                AND NOT EXISTS (SELECT FROM mixed AS x WHERE x.slice_key = t.slice_key AND x.hour = a.hour)),
           'predictions of its slices', coalesce(t.predictions, 0)::bigint, true, 'Over the hours loaded while the tag was configured.'
    FROM (SELECT r.slice_key, sum(r.predictions) FILTER (WHERE NOT EXISTS (
              SELECT FROM mixed AS x WHERE x.slice_key = r.slice_key AND x.hour = r.hour)) AS predictions
          FROM request AS r WHERE r.slice_key <> 'all' GROUP BY 1) AS t
    UNION ALL
    SELECT 81, e.name || ' rows', 'arrivals', coalesce(a.lines, 0),
           format('joined %s + waiting %s + superseded %s + too late %s + aged out %s', coalesce(k.joined, 0), coalesce(k.rows - k.joined, 0),
                  coalesce(a.superseded, 0), coalesce(a.too_late, 0), coalesce(a.aged_out, 0)),
           coalesce(k.rows, 0) + coalesce(a.superseded, 0) + coalesce(a.too_late, 0) + coalesce(a.aged_out, 0), true, ''
    FROM (VALUES ('outcome'), ('feedback')) AS e (name) LEFT JOIN arrival AS a ON a.event_type = e.name LEFT JOIN kept AS k ON k.event_type = e.name
    WHERE the_host IS NULL
    ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION nadi_store.audit_equations(text, timestamptz, timestamptz) IS 'Both sides of each of the audit''s equations, for nadi audit and nadi.audit_balance.';

CREATE VIEW nadi.audit_balance AS
SELECT e.place AS equation_order, e.equation, e.left_name, e.left_count, e.right_name, e.right_count,
       e.left_count - e.right_count AS difference_count, e.is_exact, NOT e.is_exact OR e.left_count = e.right_count AS is_balanced, e.note
FROM nadi_store.audit_equations(NULL, '-infinity', 'infinity') AS e;
COMMENT ON VIEW nadi.audit_balance IS 'The audit''s equations over everything, both sides: what was written, stored, loaded and counted. One row an equation; the sides come from different programs'' records. Scans whole tables. nadi audit says more, host by host.';

CREATE VIEW nadi.audit_run AS
SELECT r.audit_id, r.audited_at, r.seconds AS duration_seconds, r.failures = 0 AS is_clean, r.failures AS failure_count,
       r.accepted AS accepted_count, r.notes AS note_count, r.complete_until
FROM nadi_store.audit_run AS r;
COMMENT ON VIEW nadi.audit_run IS 'Audits of everything: when, and whether every line was accounted for.';

CREATE VIEW nadi.audit_finding AS
SELECT f.finding, f.kind AS finding_kind, f.host, f.evidence, f.remedy, f.lines AS line_count, f.is_failure, f.is_accepted,
       f.first_seen_at, f.seen_at
FROM nadi_store.audit_finding AS f;
COMMENT ON VIEW nadi.audit_finding IS 'What the newest audit of everything found.';

CREATE VIEW nadi.accepted_loss AS
SELECT a.finding, a.host, a.writer, a.lines AS line_count, a.evidence, a.reason, a.accepted_by, a.accepted_at, a.withdrawn_by, a.withdrawn_at
FROM nadi_store.accepted_loss AS a;
COMMENT ON VIEW nadi.accepted_loss IS 'Findings that a person accepted, and acceptances that were withdrawn again: who, when and why.';
