-- Purpose: the pipeline about itself: hosts, objects, rejects, the audit's equations, how far the numbers are complete. Locks: none.

-- Silence and lag are judged against the newest load, not now: a loader that stands still says nothing about hosts.
CREATE VIEW nadi.pipeline_host AS
WITH newest AS (
    SELECT coalesce((SELECT max(started_at) FROM nadi_store.load_run), now()) AS load_at
), unloaded AS (
    SELECT host_id, count(*) AS objects, min(sealed_at) AS oldest
    FROM nadi_store.object WHERE state IN ('claimed', 'pending', 'poisoned') GROUP BY host_id
)
SELECT h.host, coalesce(h.state, 'unknown') AS host_status, h.reported_at,
       coalesce(h.state <> 'ended', true) AND coalesce(h.reported_at < n.load_at - interval '15 minutes', true) AS is_silent,
       extract(epoch FROM greatest(interval '0', n.load_at - least(h.reported_at, h.oldest_unshipped_at, u.oldest)))::float8 AS behind_seconds,
       coalesce(h.unshipped_segments, 0) AS unshipped_segment_count, coalesce(h.unshipped_lines, 0) AS unshipped_line_count,
       coalesce(h.unshipped_bytes, 0) AS unshipped_bytes, h.oldest_unshipped_at, h.last_upload_at,
       coalesce(u.objects, 0) AS unloaded_object_count, u.oldest AS oldest_unloaded_at, h.shipper_version, h.last_error
FROM nadi_store.host h CROSS JOIN newest n LEFT JOIN unloaded u USING (host_id);
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

CREATE VIEW nadi.audit_balance AS
WITH typed AS (
    SELECT event_type, sum(lines)::bigint AS lines FROM nadi_store.ledger_hour GROUP BY 1
), request AS (
    SELECT s.model_id, s.slice_key, r.hour, sum(r.predictions) AS predictions
    FROM nadi_store.request_hour r JOIN nadi_store.series s USING (series_id) GROUP BY 1, 2, 3
), loads AS (
    SELECT hour, min(first) AS first, max(last) AS last FROM (
        SELECT h.hour, o.loaded_at AS first, o.loaded_at AS last
        FROM nadi_store.segment_hour h JOIN nadi_store.segment g USING (segment_id) JOIN nadi_store.object o USING (object_id)
        WHERE h.event_type = 'prediction' AND g.state = 'loaded'
        UNION ALL SELECT hour, first_loaded_at, last_loaded_at FROM nadi_store.expired_hour WHERE event_type = 'prediction') l
    GROUP BY 1
), mixed AS (
    SELECT substr(b.name, 7) AS slice_key, l.hour
    FROM nadi_store.loader_state b LEFT JOIN nadi_store.loader_state e ON e.name = 'slice_end:' || substr(b.name, 7)
    JOIN loads l ON l.first < b.at OR l.last >= e.at
    WHERE b.name ^@ 'slice:'
), arrival AS (
    SELECT event_type, sum(lines) AS lines, sum(superseded + too_late + aged_out) AS gone FROM nadi_store.outcome_arrival GROUP BY 1
), kept AS (
    SELECT event_type, count(*) AS rows FROM nadi_store.outcome GROUP BY 1
), sides AS (
    SELECT 10 AS place, 'writers' AS equation, 'appended' AS left_name,
           (SELECT sum(appended) FROM nadi_store.writer WHERE format = 'native') AS left_count, 'written + dropped' AS right_name,
           (SELECT sum(written + dropped_buffer_full + dropped_disk_full + dropped_io_error + dropped_too_large + dropped_invalid)
            FROM nadi_store.writer WHERE format = 'native') AS right_count,
           'For writers that did not close, appended is a lower bound.' AS note
    UNION ALL
    SELECT 20, 'storage', 'written', (SELECT sum(written) FROM nadi_store.writer WHERE format = 'native'), 'stored + unshipped',
           (SELECT sum(lines) FROM (SELECT DISTINCT ON (g.writer_id, g.seq) g.lines FROM nadi_store.segment g JOIN nadi_store.writer w USING (writer_id)
                WHERE w.format = 'native' ORDER BY g.writer_id, g.seq, g.state DESC) d)
               + coalesce((SELECT sum(expired_lines) FROM nadi_store.writer WHERE format = 'native'), 0)
               + coalesce((SELECT sum(unshipped_lines) FROM nadi_store.host), 0),
           'While writers run the sides are read at different moments and differ a little.'
    UNION ALL
    SELECT 30, 'ledger', 'objects'' lines', (SELECT sum(lines) FROM nadi_store.object),
           'loaded + rejected + duplicate + conflict + pending + unread',
           coalesce((SELECT sum(CASE WHEN state = 'loaded' THEN loaded_lines + rejected_lines ELSE lines END) FROM nadi_store.segment), 0)
               + coalesce((SELECT sum(o.lines) FROM nadi_store.object o
                           WHERE NOT EXISTS (SELECT FROM nadi_store.segment g WHERE g.object_id = o.object_id)), 0),
           'Unread: objects that are claimed, pending, poisoned, expired or lost.'
    UNION ALL
    SELECT 40, 'types', 'loaded', coalesce((SELECT sum(loaded_lines) FROM nadi_store.segment WHERE state = 'loaded'), 0)
               + coalesce((SELECT sum(loaded_lines) FROM nadi_store.expired_ledger), 0), 'lines by hour and type',
           (SELECT sum(lines) FROM typed), ''
    UNION ALL
    SELECT 50, 'predictions by hour', 'prediction lines', (SELECT lines FROM typed WHERE event_type = 'prediction'), 'hours',
           (SELECT sum(predictions) FROM request WHERE slice_key = 'all'), ''
    UNION ALL
    SELECT 51, 'predictions by day', 'prediction lines', (SELECT lines FROM typed WHERE event_type = 'prediction'), 'days',
           (SELECT sum(r.predictions) FROM nadi_store.request_day r JOIN nadi_store.series s USING (series_id) WHERE s.slice_key = 'all'), ''
    UNION ALL
    SELECT 52, 'predictions by tag ' || t.slice_key, 'predictions of those hours',
           (SELECT sum(a.predictions) FROM request a WHERE a.slice_key = 'all'
                AND EXISTS (SELECT FROM request b WHERE b.slice_key = t.slice_key AND b.model_id = a.model_id AND b.hour = a.hour)
                AND NOT EXISTS (SELECT FROM mixed x WHERE x.slice_key = t.slice_key AND x.hour = a.hour)),
           'slices', t.predictions, 'Over the hours loaded since the tag was configured.'
    FROM (SELECT slice_key, sum(predictions) FILTER (WHERE NOT EXISTS (
              SELECT FROM mixed x WHERE x.slice_key = r.slice_key AND x.hour = r.hour)) AS predictions
          FROM request r WHERE slice_key <> 'all' GROUP BY 1) t
    UNION ALL
    SELECT 60, 'resources', 'resource lines', (SELECT lines FROM typed WHERE event_type = 'resource'), 'samples by hour',
           (SELECT sum(r.count) FROM nadi_store.resource_hour r JOIN nadi_store.resource d USING (resource_id)
            WHERE r.measure = 'samples' AND d.device = ''), ''
    UNION ALL
    SELECT 70, 'deployments', 'deployment lines', (SELECT lines FROM typed WHERE event_type = 'deployment'), 'rows',
           (SELECT count(*) FROM nadi_store.deployment), ''
    UNION ALL
    SELECT 80, e.name || ' lines', e.name || ' lines', (SELECT lines FROM typed WHERE event_type = e.name), 'arrivals',
           (SELECT lines FROM arrival WHERE event_type = e.name), '' FROM (VALUES ('outcome'), ('feedback')) AS e(name)
    UNION ALL
    SELECT 81, e.name || ' rows', 'arrivals', (SELECT lines FROM arrival WHERE event_type = e.name),
           'rows + superseded + too late + aged out',
           coalesce((SELECT rows FROM kept WHERE event_type = e.name), 0) + coalesce((SELECT gone FROM arrival WHERE event_type = e.name), 0), ''
    FROM (VALUES ('outcome'), ('feedback')) AS e(name)
)
SELECT place::int AS equation_order, equation, left_name, coalesce(left_count, 0)::bigint AS left_count, right_name,
       coalesce(right_count, 0)::bigint AS right_count, (coalesce(left_count, 0) - coalesce(right_count, 0))::bigint AS difference_count,
       coalesce(left_count, 0) = coalesce(right_count, 0) AS is_balanced, note
FROM sides;
COMMENT ON VIEW nadi.audit_balance IS 'The audit''s equations, both sides: what was written, stored, loaded and counted. One row an equation; the sides come from different programs'' records. nadi audit says more, host by host.';
