-- How right the model of examples/flights was, month by month of New York, as the role of dashboards.
-- Variables: first, last (days), digits (3). One row a month, and one for all of them: counts and sums merge over any range,
-- so the last row is no average of the others.
\set QUIET on
\pset footer off
\pset null '-'
\pset linestyle unicode
\pset border 1
\if :{?digits}
\else
\set digits 3
\endif

WITH month AS (
    SELECT to_char(m, 'FMMonth') AS name, greatest(m, :'first'::timestamp) AS starts,
           least(m + interval '1 month', :'last'::timestamp + interval '1 day') AS ends
    FROM generate_series(date_trunc('month', :'first'::timestamp), :'last'::timestamp, interval '1 month') AS m
    UNION ALL
    SELECT 'all', :'first'::timestamp, :'last'::timestamp + interval '1 day'
), span AS (
    -- Midnight in New York is a whole hour of UTC, so that no hour is cut.
    SELECT name, starts AT TIME ZONE 'America/New_York' AS starts, ends AT TIME ZONE 'America/New_York' AS ends FROM month
)
SELECT s.name AS month, p.n, p.labels, round(p.coverage::numeric, :digits) AS coverage, round(p.auc::numeric, :digits) AS "AUC",
       round(p.brier::numeric, :digits) AS "Brier", round(p.loss::numeric, :digits) AS "log loss",
       round(p.ece::numeric, :digits) AS "ECE", round(p.accuracy::numeric, :digits) AS accuracy,
       round(e.estimate::numeric, :digits) AS "estimated", e.state AS "labels say", round(d.score::numeric, 3) AS "PSI score",
       d.score_state AS "score is", round(d.temp::numeric, 3) AS "PSI temp", d.temp_state AS "temp is"
FROM span AS s
CROSS JOIN LATERAL (
    SELECT max(prediction_count) AS n, max(labelled_count) AS labels, max(label_coverage) AS coverage,
           max(value) FILTER (WHERE measure = 'roc_auc') AS auc, max(value) FILTER (WHERE measure = 'brier_score') AS brier,
           max(value) FILTER (WHERE measure = 'log_loss') AS loss, max(value) FILTER (WHERE measure = 'calibration_error') AS ece,
           max(value) FILTER (WHERE measure = 'accuracy') AS accuracy
    FROM nadi.performance('flights', s.starts, s.ends) WHERE class_name = '(all)'
) AS p
CROSS JOIN LATERAL (
    SELECT max(estimate) AS estimate, max(trust_state) AS state
    FROM nadi.estimate_and_truth('flights', s.starts, s.ends) WHERE measure = 'accuracy'
) AS e
CROSS JOIN LATERAL (
    SELECT max(psi) FILTER (WHERE feature_role = 'score') AS score, max(drift_state) FILTER (WHERE feature_role = 'score') AS score_state,
           max(psi) FILTER (WHERE feature_name = 'temp') AS temp, max(drift_state) FILTER (WHERE feature_name = 'temp') AS temp_state
    FROM nadi.drift('flights', s.starts, s.ends) WHERE feature_role = 'score' OR feature_name = 'temp'
) AS d
ORDER BY s.name = 'all', s.starts;
