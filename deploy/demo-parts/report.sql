-- What the demo prints from PostgreSQL, as the role of dashboards. Variables: first, last (the hours of traffic), change
-- (when the petals began to be measured wrongly; empty if never).
\set QUIET on
\pset footer off
\pset null '-'
\pset linestyle unicode
\pset border 1
SET TIME ZONE 'UTC';

\echo
\echo '-- Complete until'
SELECT complete_until, silent_hosts, oldest_waiting FROM nadi.complete_until;

\echo '-- Is it up? Requests, errors and p95 by hour, model iris'
SELECT to_char(r.bucket_start, 'MM-DD HH24:MI') AS hour, r.request_count AS requests, r.error_count AS errors,
       round((100 * r.error_rate)::numeric, 1) AS "errors %", round((1000 * q.p95_seconds)::numeric, 2) AS "p95 ms"
FROM nadi.requests('iris', :'first', :'last', interval '1 hour') AS r
LEFT JOIN nadi.latency_quantiles('iris', :'first', :'last', interval '1 hour') AS q USING (bucket_start)
ORDER BY bucket_start;

\echo '-- The same from a log that knows nothing of Nadi, model fraud'
SELECT to_char(r.bucket_start, 'MM-DD HH24:MI') AS hour, r.request_count AS requests, r.error_count AS errors,
       round((1000 * q.p95_seconds)::numeric, 2) AS "p95 ms"
FROM nadi.requests('fraud', :'first', :'last', interval '1 hour') AS r
LEFT JOIN nadi.latency_quantiles('fraud', :'first', :'last', interval '1 hour') AS q USING (bucket_start)
ORDER BY bucket_start;

\echo '-- Is its input still what it was? Class mix by hour, model iris'
SELECT to_char(bucket_start, 'MM-DD HH24:MI') AS hour,
       sum(prediction_count) FILTER (WHERE class_name = 'setosa') AS setosa,
       sum(prediction_count) FILTER (WHERE class_name = 'versicolor') AS versicolor,
       sum(prediction_count) FILTER (WHERE class_name = 'virginica') AS virginica,
       round((100 * max(class_share) FILTER (WHERE class_name = 'virginica'))::numeric, 1) AS "virginica %"
FROM nadi.class_mix('iris', :'first', :'last', interval '1 hour')
GROUP BY bucket_start ORDER BY bucket_start;

SELECT :'change' <> '' AS changes,
       date_trunc('hour', nullif(:'change', '')::timestamptz) AS before_until,
       date_trunc('hour', nullif(:'change', '')::timestamptz + interval '59 minutes 59.999 seconds') AS after_from \gset
\if :changes
SELECT :'before_until'::timestamptz > :'first'::timestamptz AND :'after_from'::timestamptz < :'last'::timestamptz AS comparable \gset
\else
\set comparable off
\endif
\if :comparable
\echo '-- Petal length before and after the change (whole hours; the hour of the change is in neither)'
SELECT period, to_char(starts, 'HH24:MI') || '-' || to_char(ends, 'HH24:MI') AS hours, s.numeric_count AS n,
       round(s.mean_value::numeric, 3) AS mean, round(s.standard_deviation::numeric, 3) AS std,
       round(s.minimum_value::numeric, 2) AS min, round(s.maximum_value::numeric, 2) AS max, s.missing_count AS missing
FROM (VALUES ('before', :'first'::timestamptz, :'before_until'::timestamptz),
             ('after', :'after_from'::timestamptz, :'last'::timestamptz)) AS p (period, starts, ends)
CROSS JOIN LATERAL nadi.feature_statistics('iris', starts, ends, ARRAY['petal_length']) AS s
ORDER BY starts;

\echo '-- Drift of all features after the change, against the reference'
SELECT feature_name AS feature, baseline_count AS "n reference", current_count AS n, round(psi::numeric, 3) AS psi,
       round(psi_noise::numeric, 3) AS noise, round(ks::numeric, 3) AS ks, drift_state AS state, moved_bins AS moved
FROM nadi.drift('iris', :'after_from', :'last')
ORDER BY psi DESC NULLS LAST;
\else
\echo '-- Petal length: no whole hours on both sides of a change, so nothing is compared'
\echo
\endif

\echo '-- Is it still right? Accuracy by hour, and how many labels have come'
SELECT to_char(bucket_start, 'MM-DD HH24:MI') AS hour, prediction_count AS predictions, labelled_count AS labels,
       round((100 * label_coverage)::numeric, 1) AS "coverage %", round((100 * value)::numeric, 1) AS "accuracy %",
       '[' || round((100 * lower)::numeric, 1) || ', ' || round((100 * upper)::numeric, 1) || ']' AS "95 %",
       performance_state AS state
FROM nadi.performance('iris', :'first', :'last', interval '1 hour')
WHERE measure = 'accuracy'
ORDER BY bucket_start;

\echo '-- What the scores alone promise (CBPE), beside what the labels say: wrong petals fool the model and its scores alike'
SELECT to_char(e.bucket_start, 'MM-DD HH24:MI') AS hour, round((100 * e.estimate)::numeric, 1) AS "estimated %",
       round((100 * e.alert_lower)::numeric, 1) AS "alert below", e.estimate_state AS state, round((100 * t.value)::numeric, 1) AS "measured %",
       t.trust_state AS trust
FROM nadi.estimated_performance('iris', :'first', :'last', interval '1 hour') AS e
LEFT JOIN nadi.estimate_and_truth('iris', :'first', :'last', interval '1 hour') AS t
    ON t.bucket_start = e.bucket_start AND t.measure = e.measure
WHERE e.measure = 'accuracy' AND e.class_name = '(all)'
ORDER BY e.bucket_start;

\echo '-- The versions of the whole range, the second against the first'
SELECT measure, comparison_state AS state, first_count AS "n first", round(first_value::numeric, 4) AS first, second_count AS "n second",
       round(second_value::numeric, 4) AS second, round(difference::numeric, 4) AS difference,
       '[' || round(lower::numeric, 4) || ', ' || round(upper::numeric, 4) || ']' AS "95 %", round(p_value::numeric, 4) AS p
FROM (SELECT (array_agg(version ORDER BY since, version))[1] AS first, (array_agg(version ORDER BY since DESC, version DESC))[1] AS second
      FROM (SELECT model_version AS version, min(bucket_start) AS since FROM nadi.request_hour WHERE model_name = 'iris' GROUP BY 1) AS s) AS v
CROSS JOIN LATERAL nadi.compare_versions('iris', :'first', :'last', v.first, v.second) AS c
WHERE v.first <> v.second;

\echo '-- What users say: thumbs by hour of the prediction'
SELECT to_char(bucket_start, 'MM-DD HH24:MI') AS hour, prediction_count AS predictions, outcome_count AS thumbs, negative_count AS down,
       round((100 * negative_rate)::numeric, 1) AS "down %",
       '[' || round((100 * negative_lower)::numeric, 1) || ', ' || round((100 * negative_upper)::numeric, 1) || ']' AS "95 %"
FROM nadi.outcome_rates('iris', :'first', :'last', interval '1 hour')
WHERE outcome_name = 'thumbs'
ORDER BY bucket_start;
