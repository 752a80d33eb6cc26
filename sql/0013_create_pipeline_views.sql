-- Purpose: the pipeline about itself: hosts, objects, rejects, runs, how far the numbers are complete. Locks: none.

-- Silence and lag are judged against the newest load, not now: a loader that stands still says nothing about hosts.
CREATE VIEW nadi.pipeline_host AS
WITH newest AS (
    SELECT coalesce((SELECT max(started_at) FROM nadi_store.load_run), now()) AS load_at
), unloaded AS (
    SELECT host_id, count(*) AS objects, count(*) FILTER (WHERE state = 'poisoned') AS poisoned,
           sum(lines)::bigint AS lines, min(sealed_at) AS oldest
    FROM nadi_store.object WHERE state IN ('claimed', 'pending', 'poisoned') GROUP BY host_id
), writers AS (
    SELECT host_id, count(*) FILTER (WHERE end_seq IS NULL AND format = 'native') AS running,
           sum(dropped_buffer_full + dropped_disk_full + dropped_io_error + dropped_too_large + dropped_invalid)::bigint AS dropped
    FROM nadi_store.writer GROUP BY host_id
)
SELECT h.host, coalesce(h.state, 'unknown') AS host_status, h.reported_at,
       coalesce(h.state <> 'ended', true) AND coalesce(h.reported_at < n.load_at - interval '15 minutes', true) AS is_silent,
       extract(epoch FROM greatest(interval '0', n.load_at - least(h.reported_at, h.oldest_unshipped_at, u.oldest)))::float8 AS behind_seconds,
       coalesce(h.unshipped_segments, 0) AS unshipped_segment_count, coalesce(h.unshipped_lines, 0) AS unshipped_line_count,
       coalesce(h.unshipped_bytes, 0) AS unshipped_bytes, h.oldest_unshipped_at, h.last_upload_at,
       coalesce(u.objects, 0) AS unloaded_object_count, u.oldest AS oldest_unloaded_at, h.shipper_version, h.last_error,
       coalesce(u.poisoned, 0) AS poisoned_object_count, coalesce(u.lines, 0) AS unloaded_line_count,
       coalesce(w.running, 0) AS open_writer_count, coalesce(w.dropped, 0) AS dropped_line_count
FROM nadi_store.host h CROSS JOIN newest n LEFT JOIN unloaded u USING (host_id) LEFT JOIN writers w USING (host_id);
COMMENT ON VIEW nadi.pipeline_host IS 'Hosts that ship events: when they last reported, what they still hold, whether they went silent. Silent: neither ended nor heard of in the 15 minutes before the newest load began.';

CREATE VIEW nadi.pipeline_object AS
SELECT o.object_id, o.object_key, h.host, o.sealed_at, o.size_bytes, o.state AS object_status, o.lines AS line_count,
       coalesce(s.segments, 0) AS segment_count, coalesce(s.loaded, 0) AS loaded_line_count, coalesce(s.rejected, 0) AS rejected_line_count,
       coalesce(s.duplicate, 0) AS duplicate_line_count, coalesce(s.conflict, 0) AS conflict_line_count,
       coalesce(s.pending, 0) AS pending_line_count, o.attempts AS attempt_count, o.next_attempt_at, o.loaded_at,
       extract(epoch FROM o.loaded_at - o.sealed_at)::float8 AS load_delay_seconds, o.last_error
FROM nadi_store.object o LEFT JOIN nadi_store.host h USING (host_id)
LEFT JOIN LATERAL (
    SELECT count(*) AS segments, sum(g.loaded_lines)::bigint AS loaded, sum(g.rejected_lines)::bigint AS rejected,
           (sum(g.lines) FILTER (WHERE g.state = 'duplicate'))::bigint AS duplicate,
           (sum(g.lines) FILTER (WHERE g.state = 'conflict'))::bigint AS conflict,
           (sum(g.lines) FILTER (WHERE g.state = 'pending'))::bigint AS pending
    FROM nadi_store.segment g WHERE g.object_id = o.object_id) s ON true;
COMMENT ON VIEW nadi.pipeline_object IS 'The ledger: one row an object of the bucket, and what became of its lines.';

CREATE VIEW nadi.reject AS
SELECT date_trunc('hour', g.sealed_at, 'UTC') AS bucket_start, h.host, w.writer, r.reason AS reject_reason, sum(r.lines)::bigint AS reject_count
FROM nadi_store.segment_reject r JOIN nadi_store.segment g USING (segment_id) JOIN nadi_store.writer w USING (writer_id)
JOIN nadi_store.host h USING (host_id)
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW nadi.reject IS 'Rejected lines by the hour their segment was sealed, writer and reason. Their text stays in nadi_store.reject_line, which the readers'' role cannot see.';

CREATE VIEW nadi.load_run AS
SELECT r.run_id, r.started_at, r.finished_at, r.state AS run_status, extract(epoch FROM r.finished_at - r.started_at)::float8 AS duration_seconds,
       r.objects AS object_count, r.lines AS line_count, r.rejected_lines AS rejected_line_count, r.owner AS loader, r.version AS loader_version, r.error AS error_text
FROM nadi_store.load_run r;
COMMENT ON VIEW nadi.load_run IS 'Runs of nadi load, kept 35 days.';

-- What a host had shipped when it reported is known only after the bucket was listed again: covered_at is the newest such
-- report. A host that has none yet is known no further than the start of the newest run that succeeded.
CREATE VIEW nadi.complete_until AS
WITH run AS (
    SELECT (SELECT started_at FROM nadi_store.load_run WHERE state = 'succeeded' ORDER BY finished_at DESC LIMIT 1) AS started_at
), hosts AS (
    SELECT p.host, p.host_status, p.is_silent,
           CASE WHEN h.covered_at IS NOT NULL THEN h.covered_at
                WHEN run.started_at IS NOT NULL AND h.reported_at IS NOT NULL THEN least(h.reported_at, run.started_at) END AS known_at,
           CASE WHEN h.covered_at IS NOT NULL THEN h.covered_oldest_at ELSE h.oldest_unshipped_at END AS oldest_held_at
    FROM nadi.pipeline_host p JOIN nadi_store.host h USING (host) CROSS JOIN run
), object AS (
    SELECT object_key, state, sealed_at FROM nadi_store.object
    WHERE state IN ('claimed', 'pending', 'poisoned') ORDER BY sealed_at, object_id LIMIT 1
), holds AS (
    SELECT host, oldest_held_at FROM hosts WHERE NOT is_silent AND oldest_held_at IS NOT NULL ORDER BY oldest_held_at, host LIMIT 1
), reports AS (
    SELECT CASE WHEN count(*) FILTER (WHERE NOT is_silent AND host_status <> 'ended') > 0
                THEN CASE WHEN bool_and(known_at IS NOT NULL) FILTER (WHERE NOT is_silent AND host_status <> 'ended')
                          THEN min(known_at) FILTER (WHERE NOT is_silent AND host_status <> 'ended') END
                ELSE max(known_at) FILTER (WHERE host_status = 'ended') END AS known_at
    FROM hosts
)
SELECT CASE WHEN r.known_at IS NOT NULL THEN least(r.known_at, h.oldest_held_at, o.sealed_at) END AS complete_until,
       coalesce((SELECT string_agg(host, ', ' ORDER BY host) FROM hosts WHERE is_silent), '') AS silent_hosts,
       (SELECT count(*) FROM hosts WHERE is_silent) AS silent_host_count,
       CASE WHEN h.oldest_held_at IS NOT NULL AND h.oldest_held_at <= coalesce(o.sealed_at, 'infinity')
            THEN 'host ' || h.host || ' holds unshipped lines'
            WHEN o.sealed_at IS NOT NULL THEN o.state || ' object ' || o.object_key
            ELSE '' END AS oldest_waiting,
       least(h.oldest_held_at, o.sealed_at) AS oldest_waiting_at,
       (SELECT max(started_at) FROM nadi_store.load_run) AS last_load_at
FROM reports r LEFT JOIN holds h ON true LEFT JOIN object o ON true;
COMMENT ON VIEW nadi.complete_until IS 'How far all numbers are complete: every event before complete_until is counted. One row always. Silent hosts are left out and named; complete_until is null while no host reports and no run has followed its report.';

CREATE VIEW nadi.retention AS
SELECT table_name, days AS kept_day_count, setting AS setting_name, how AS removal_note FROM nadi_store.retention;
COMMENT ON VIEW nadi.retention IS 'How long each of the loader''s tables keeps its rows, under which key of loader.yaml, and how they go.';

-- Waiting and unmatched outcomes are found by index, as many as there are; what is neither, nor counted away, has joined. The
-- audit counts the joined rows themselves.
CREATE VIEW nadi.outcome_arrival AS
WITH swept AS (
    SELECT coalesce((SELECT nullif(value, '')::bigint FROM nadi_store.loader_state WHERE name = 'swept'), 0) AS number,
           -- Models beyond the cap: no sweep looks for their predictions, which bear their own model's name.
           coalesce((SELECT model_id FROM nadi_store.model WHERE model_name = 'other'), -1) AS other_id
), open AS (
    SELECT o.arrival_day, o.event_type, o.model_id, o.hour_is_exact OR o.outcome_no <= w.number OR o.model_id = w.other_id AS is_unmatched
    FROM nadi_store.outcome AS o CROSS JOIN swept AS w WHERE o.unmatched
    UNION ALL
    SELECT o.arrival_day, o.event_type, o.model_id, o.outcome_no <= w.number OR o.model_id = w.other_id
    FROM nadi_store.outcome AS o CROSS JOIN swept AS w WHERE o.prediction_day = DATE '0001-01-01'
    UNION ALL
    SELECT o.arrival_day, o.event_type, o.model_id, false
    FROM nadi_store.dirty_hour AS d LEFT JOIN nadi_store.join_hour AS j USING (model_id, hour)
    JOIN nadi_store.outcome AS o ON o.model_id = d.model_id AND o.prediction_hour = d.hour
        AND o.prediction_day = (d.hour AT TIME ZONE 'UTC')::date AND o.outcome_no > coalesce(j.joined_to, 0)
    WHERE NOT o.unmatched
), waiting AS (
    SELECT arrival_day, event_type, model_id, count(*) FILTER (WHERE NOT is_unmatched) AS waiting,
           count(*) FILTER (WHERE is_unmatched) AS unmatched FROM open GROUP BY 1, 2, 3
)
SELECT a.arrival_day AS arrival_date, m.model_name, a.event_type, a.lines AS line_count,
       a.lines - a.superseded - a.too_late - a.aged_out - coalesce(w.waiting, 0) - coalesce(w.unmatched, 0) AS joined_count,
       coalesce(w.waiting, 0) AS waiting_count, coalesce(w.unmatched, 0) AS unmatched_count, a.superseded AS superseded_count,
       a.too_late AS too_late_count, a.aged_out AS aged_out_count, a.untimed AS untimed_count
FROM nadi_store.outcome_arrival AS a JOIN nadi_store.model AS m USING (model_id)
LEFT JOIN waiting AS w ON w.arrival_day = a.arrival_day AND w.event_type = a.event_type AND w.model_id = a.model_id;
COMMENT ON VIEW nadi.outcome_arrival IS 'What became of outcome and feedback lines, by UTC day of arrival. Joined with their prediction, waiting for their hour''s join or the sweep, unmatched, superseded by a newer one or repeated, too late, or aged out after their join. line_count is the sum of the others but untimed_count. Costs as much as outcomes wait.';

CREATE VIEW nadi.join_state AS
SELECT m.model_name, hour AS bucket_start, coalesce(j.predictions, 0) AS prediction_count, coalesce(j.outcomes, 0) AS outcome_count,
       coalesce(j.repeated_ids, 0) AS repeated_id_count, coalesce(w.waiting, 0) AS waiting_count, coalesce(u.unmatched, 0) AS unmatched_count,
       j.joined_at, d.since AS dirty_since, d.next_attempt_at, coalesce(j.is_final, false) AS is_final, d.last_error
FROM nadi_store.join_hour AS j FULL JOIN nadi_store.dirty_hour AS d USING (model_id, hour)
JOIN nadi_store.model AS m USING (model_id)
LEFT JOIN LATERAL (
    SELECT count(*) AS waiting FROM nadi_store.outcome AS o
    WHERE d.model_id IS NOT NULL AND o.model_id = d.model_id AND o.prediction_hour = d.hour
      AND o.prediction_day = (d.hour AT TIME ZONE 'UTC')::date AND o.outcome_no > coalesce(j.joined_to, 0) AND NOT o.unmatched) AS w ON true
LEFT JOIN (SELECT o.model_id, o.prediction_hour AS hour, count(*) AS unmatched FROM nadi_store.outcome AS o WHERE o.unmatched GROUP BY 1, 2) AS u
    USING (model_id, hour);
COMMENT ON VIEW nadi.join_state IS 'How far the outcomes of a model and hour of predictions are joined. One row for each hour that was joined or waits for it. Hours that cannot be joined say why.';
