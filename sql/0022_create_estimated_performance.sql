-- Purpose: how right the predictions are while no labels are there, from their scores alone. Locks: none (new functions).

-- Confidence-based performance estimation (CBPE): a calibrated probability c is an expected label. Per score bin, c is the label
-- rate that the reference's isotonic regression expects there, or the mean score where the reference's scores are good as they are.
-- Predicted positives add c to the true positives and 1 - c to the false ones; AUC is the trapezoid over bins. Errors
-- are those of ratios by linearisation; the AUC's are DeLong, DeLong and Clarke-Pearson's (1988), with bins for rows.
CREATE FUNCTION nadi_store.expected_measures(
    bins int[], counts float8[], sums float8[], positive_counts float8[], positive_sums float8[], calibrated float8[],
    accuracy_alone boolean
) RETURNS TABLE (measure text, estimate float8, estimate_deviation float8, label_deviation float8, least_count float8)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- n, said (predicted positive) and the expected labels y of a bin's rows, of those predicted positive, of the others. Scores
    -- under 1e-100 are 0: PostgreSQL refuses products that underflow.
    WITH cells AS (
        SELECT c.bin, c.n, x.said, CASE WHEN y.y > 1e-100 THEN y.y ELSE 0 END AS y,
               CASE WHEN y.said_y > 1e-100 THEN y.said_y ELSE 0 END AS said_y,
               CASE WHEN y.other_y > 1e-100 THEN y.other_y ELSE 0 END AS other_y
        FROM unnest(bins, counts, sums, positive_counts, positive_sums) AS c(bin, n, total, positive, positive_total)
        CROSS JOIN LATERAL (SELECT CASE WHEN accuracy_alone THEN c.n ELSE c.positive END AS said) x
        CROSS JOIN LATERAL (SELECT coalesce(calibrated[c.bin + 1], c.total / nullif(c.n, 0)) AS y,
                                   coalesce(calibrated[c.bin + 1], c.positive_total / nullif(x.said, 0)) AS said_y,
                                   coalesce(calibrated[c.bin + 1], (c.total - c.positive_total) / nullif(c.n - x.said, 0)) AS other_y) y
        WHERE c.n > 0
    ), expected AS (
        SELECT sum(n) AS n, sum(n * y) AS p, sum(n) - sum(n * y) AS q, sum(said) AS said, sum(said * said_y) AS tp FROM cells
    ), shares AS (
        SELECT e.*, (e.tp + e.q - (e.said - e.tp)) / e.n AS accuracy, e.tp / nullif(e.said, 0) AS precision,
               e.tp / nullif(e.p, 0) AS recall, 2 * e.tp / nullif(e.said + e.p, 0) AS f1, e.tp / nullif(e.said + e.p - e.tp, 0) AS jaccard
        FROM expected e
    ), errors AS (
        SELECT s.n, s.p, s.q, s.said, s.tp, s.accuracy, s.precision, s.recall, s.f1, s.jaccard,
               sum(c.said * (c.said_y - s.accuracy) ^ 2 + (c.n - c.said) * (1 - c.other_y - s.accuracy) ^ 2) / s.n ^ 2 AS accuracy_error,
               sum(c.said * (c.said_y - s.precision) ^ 2) / nullif(s.said, 0) ^ 2 AS precision_error,
               sum(c.said * (c.said_y * (1 - s.recall)) ^ 2 + (c.n - c.said) * (c.other_y * s.recall) ^ 2) / nullif(s.p, 0) ^ 2 AS recall_error,
               sum(c.said * (2 * c.said_y - s.f1 * (1 + c.said_y)) ^ 2 + (c.n - c.said) * (s.f1 * c.other_y) ^ 2)
                   / nullif(s.said + s.p, 0) ^ 2 AS f1_error
        FROM cells c CROSS JOIN shares s GROUP BY s.n, s.p, s.q, s.said, s.tp, s.accuracy, s.precision, s.recall, s.f1, s.jaccard
    ), ranked AS (
        -- Shares of the negatives below a bin's rows and of the positives above them.
        SELECT c.n, c.y, e.p, e.q, (sum(c.n * (1 - c.y)) OVER w - c.n * (1 - c.y) / 2) / e.q AS below,
               1 - (sum(c.n * c.y) OVER w - c.n * c.y / 2) / e.p AS above
        FROM cells c CROSS JOIN expected e WHERE NOT accuracy_alone AND e.p > 1e-9 * e.n AND e.q > 1e-9 * e.n
        WINDOW w AS (ORDER BY c.bin)
    ), area AS (
        SELECT x.auc, sum(r.n * (r.y / r.p * (r.below - x.auc) + (1 - r.y) / r.q * (r.above - x.auc)) ^ 2) AS estimate_error,
               sum(r.n * (r.y / r.p ^ 2 * (r.below - x.auc) ^ 2 + (1 - r.y) / r.q ^ 2 * (r.above - x.auc) ^ 2)) AS label_error
        FROM ranked r CROSS JOIN (SELECT sum(n * y * below) / max(p) AS auc FROM ranked) x GROUP BY x.auc
    )
    SELECT m.measure, m.estimate, sqrt(greatest(0, m.estimate_error)), sqrt(greatest(0, m.label_error)), m.least_count
    FROM errors e LEFT JOIN area a ON true
    CROSS JOIN LATERAL (VALUES
        ('accuracy', true, e.accuracy, e.accuracy_error, e.accuracy * (1 - e.accuracy) / e.n, e.n),
        ('precision', NOT accuracy_alone, e.precision, e.precision_error, e.precision * (1 - e.precision) / nullif(e.said, 0),
         least(e.said, e.p)),
        ('recall', NOT accuracy_alone, e.recall, e.recall_error, e.recall * (1 - e.recall) / nullif(e.p, 0), least(e.said, e.p)),
        -- F1 = 2 J / (1 + J), J a share of the rows that are positive or were said to be.
        ('f1', NOT accuracy_alone, e.f1, e.f1_error, (2 / (1 + e.jaccard) ^ 2) ^ 2 * e.jaccard * (1 - e.jaccard) / nullif(e.said + e.p - e.tp, 0),
         least(e.said, e.p)),
        ('roc_auc', NOT accuracy_alone, a.auc, a.estimate_error, a.label_error, least(e.p, e.q)))
        AS m(measure, wanted, estimate, estimate_error, label_error, least_count)
    WHERE m.wanted AND m.estimate IS NOT NULL
$$;
COMMENT ON FUNCTION nadi_store.expected_measures(int[], float8[], float8[], float8[], float8[], float8[], boolean) IS 'What performance the scores of some predictions promise: accuracy, precision, recall, f1, roc_auc. estimate_deviation: how far another draw of so many scores would move the estimate; label_deviation: how far labels of so many predictions lie from their expectation; least_count: of how many predictions the rarer kind is that it rests on (predicted positive, expected positive, expected negative). calibrated: dense label rates by bin; null takes mean scores. accuracy_alone: the score is the chance to be right, not of a class.';

CREATE FUNCTION nadi_store.regression_drift(
    model text, from_time timestamptz, to_time timestamptz, width interval,
    versions text[], variants text[], environments text[], slice_key text, slice_values text[]
) RETURNS TABLE (
    bucket_start timestamptz, bucket_end timestamptz, class_name text, measure text, prediction_count bigint,
    estimate float8, lower float8, upper float8, reference_value float8, alert_lower float8, alert_upper float8,
    estimate_state text, reason text
) LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH moved AS (
        SELECT from_time AS at, to_time AS ends, d.current_count, d.psi, d.psi_noise, d.psi_spread, d.drift_state, d.reason
        FROM nadi.drift(model, from_time, to_time, versions => versions, variants => variants, environments => environments,
                        slice_key => slice_key, slice_values => slice_values, roles => ARRAY['prediction']) d
        WHERE width IS NULL
        UNION ALL
        SELECT d.bucket_start, d.bucket_end, d.current_count, d.psi, d.psi_noise, d.psi_spread, d.drift_state, d.reason
        FROM nadi.drift_over_time(model, from_time, to_time, width, versions => versions, variants => variants,
                                  environments => environments, slice_key => slice_key, slice_values => slice_values, roles => ARRAY['prediction']) d
        WHERE width IS NOT NULL
    )
    SELECT m.at, m.ends, '(all)', 'prediction_psi', m.current_count, m.psi, NULL::float8, NULL::float8, NULL::float8, NULL::float8,
           greatest(0.2, m.psi_noise, m.psi_spread),
           CASE m.drift_state WHEN 'drifted' THEN 'high' WHEN 'stable' THEN 'usual' WHEN 'shifted' THEN 'usual' ELSE m.drift_state END,
           'a regression has no probabilities: the drift of its predictions, ' || m.drift_state
               || CASE WHEN m.reason <> '' THEN ', ' || m.reason ELSE '' END
    FROM moved m ORDER BY m.at;
END
$$;
COMMENT ON FUNCTION nadi_store.regression_drift(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'What estimated_performance can say of a regression: how far its predictions moved from the reference''s.';

CREATE FUNCTION nadi.estimated_performance(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, bucket_end timestamptz, class_name text, measure text, prediction_count bigint,
    estimate float8, lower float8, upper float8, reference_value float8, alert_lower float8, alert_upper float8,
    estimate_state text, reason text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := nadi_store.row_width(from_time, to_time, bucket);
    number int := (SELECT m.model_id FROM nadi_store.model m WHERE m.model_name = model);
    since timestamptz := nadi_store.reference_since(number, to_time);
    grain interval := width;
BEGIN
    PERFORM nadi_store.grains(from_time, to_time, NULL, false);
    IF (SELECT r.task FROM nadi_store.reference r WHERE r.reference_id = nadi_store.reference_at(number, to_time)) = 'regression' THEN
        RETURN QUERY SELECT * FROM nadi_store.regression_drift(
            model, from_time, to_time, width, versions, variants, environments, slice_key, slice_values);
        RETURN;
    END IF;
    -- A day's row holds what came before a new reference and after it: where that was within the day, hours tell them apart.
    IF width >= interval '1 day' AND EXISTS (
        SELECT FROM nadi_store.reference_activation a WHERE a.model_id = number AND a.effective_from > from_time
            AND a.effective_from < to_time AND nadi_store.bucket_of(a.effective_from, width, NULL) <> a.effective_from) THEN
        grain := interval '1 hour';
    END IF;
    RETURN QUERY
    WITH bases AS MATERIALIZED (
        -- Each bucket is judged by the reference in force at its end, and by what came since that one was.
        SELECT b.at, greatest(b.at, b.since) AS first, r.reference_id, r.reference_name, r.task, r.calibration, r.label_count,
               nadi_store.spread_hours(r.reference_id, ids, nadi_store.bucket_of(greatest(b.at, b.since), interval '1 hour', NULL), b.ends)
                   AS hours
        FROM (SELECT w.at, w.ends, nadi_store.reference_since(number, w.ends) AS since
              FROM (SELECT from_time AS at, to_time AS ends WHERE width IS NULL
                    UNION ALL
                    SELECT g, g + width
                    FROM generate_series(nadi_store.bucket_of(from_time, width, NULL), to_time - interval '1 microsecond', width) g) w) b
        LEFT JOIN nadi_store.reference r ON r.reference_id = nadi_store.reference_at(number, b.ends)
    ), cells AS MATERIALIZED (
        SELECT b.at, r.category_id, c.bin, sum(c.n)::float8 AS n, sum(c.total) AS total,
               sum(c.positive)::float8 AS positive, sum(c.positive_total) AS positive_total
        FROM nadi_store.score_rows(ids, CASE WHEN width IS NULL THEN greatest(from_time, since) ELSE from_time END, to_time, grain) r
        JOIN bases b ON b.at = nadi_store.bucket_of(r.hour, width, from_time)
             AND (b.first <= b.at OR r.hour >= nadi_store.bucket_of(b.first, interval '1 hour', NULL))
        CROSS JOIN unnest(r.bins, r.counts, r.sums, r.positive_counts, r.positive_sums) AS c(bin, n, total, positive, positive_total)
        WHERE r.category_id = 0 OR b.task = 'multiclass'
        GROUP BY 1, 2, 3
    ), rows AS (
        SELECT c.at, b.reference_id, b.calibration, b.task, c.category_id, sum(c.n) AS n, array_agg(c.bin ORDER BY c.bin) AS bins,
               array_agg(c.n ORDER BY c.bin) AS counts, array_agg(c.total ORDER BY c.bin) AS sums,
               array_agg(c.positive ORDER BY c.bin) AS positive_counts, array_agg(c.positive_total ORDER BY c.bin) AS positive_sums
        FROM cells c JOIN bases b ON b.at = c.at GROUP BY 1, 2, 3, 4, 5
    ), reference_scores AS MATERIALIZED (
        SELECT s.reference_id, s.category_id, s.bins, s.counts::float8[] AS counts, s.sums, s.positive_counts::float8[] AS positive_counts,
               s.positive_sums, CASE WHEN b.calibration = 'isotonic' THEN s.calibrated END AS calibrated,
               b.task = 'multiclass' AND s.category_id = 0 AS accuracy_alone,
               (SELECT sum(c.n) FROM unnest(s.counts) AS c(n))::float8 AS n
        FROM (SELECT DISTINCT x.reference_id, x.calibration, x.task FROM bases x) b
        JOIN nadi_store.reference_score s ON s.reference_id = b.reference_id AND b.calibration <> 'none'
    ), promised AS MATERIALIZED (
        -- What the reference's own scores promise: the value to compare with where its labels were not measured, as of one class;
        -- and how far chance moves it, for one row. Taken at the estimate, the deviation of a recall of 0 would be 0.
        SELECT s.reference_id, s.category_id, e.measure, e.estimate, e.estimate_deviation * sqrt(s.n) AS estimate_unit,
               e.label_deviation * sqrt(s.n) AS label_unit, e.least_count / s.n AS least_share
        FROM reference_scores s
        CROSS JOIN LATERAL nadi_store.expected_measures(s.bins, s.counts, s.sums, s.positive_counts, s.positive_sums, s.calibrated,
                                                        s.accuracy_alone) e
    ), measured AS (
        SELECT DISTINCT ON (b.at, p.measure) b.at, p.measure, p.value,
               CASE WHEN p.window_hours > 0 THEN p.deviation ELSE 0 END AS deviation,
               CASE WHEN p.window_hours > 0 THEN p.window_count ELSE 0 END AS windows
        FROM bases b JOIN nadi_store.reference_performance p ON p.reference_id = b.reference_id AND p.window_hours <= b.hours
        ORDER BY b.at, p.measure, p.window_hours DESC
    ), estimates AS MATERIALIZED (
        SELECT r.at, r.reference_id, r.category_id, r.n, e.measure, e.estimate, e.label_deviation,
               coalesce(p.estimate_unit / sqrt(r.n), e.estimate_deviation) AS estimate_chance,
               coalesce(p.label_unit / sqrt(r.n), e.label_deviation) AS label_chance,
               coalesce(p.least_share * r.n, e.least_count) AS least_count, p.estimate AS promise
        FROM rows r JOIN reference_scores s ON s.reference_id = r.reference_id AND s.category_id = r.category_id
        CROSS JOIN LATERAL nadi_store.expected_measures(r.bins, r.counts, r.sums, r.positive_counts, r.positive_sums, s.calibrated,
                                                        s.accuracy_alone) e
        LEFT JOIN promised p ON p.reference_id = r.reference_id AND p.category_id = r.category_id AND p.measure = e.measure
    ), shown AS (
        -- The classes that are predicted or expected; their scores.
        SELECT e.at, e.reference_id, max(e.n) AS n, count(*) FILTER (WHERE e.measure = 'f1') AS classes FROM estimates e
        WHERE e.category_id <> 0 GROUP BY 1, 2
    ), promised_means AS (
        -- The mean over classes. Their errors are not independent: the bound is that of errors wholly alike; of a class that comes
        -- less than ten times it is what a share can have.
        SELECT k.at, p.measure,
               sum(p.estimate) / CASE WHEN p.measure = 'roc_auc' THEN count(*)
                                      ELSE (SELECT count(*) FROM promised f WHERE f.reference_id = k.reference_id AND f.category_id <> 0
                                                AND f.measure = 'f1') END AS estimate,
               avg(CASE WHEN p.least_share * k.n < 10 THEN greatest(0.5, p.estimate_unit / sqrt(k.n)) ELSE p.estimate_unit / sqrt(k.n) END)
                   AS estimate_chance,
               avg(p.label_unit / sqrt(k.n)) AS label_chance
        FROM shown k JOIN promised p ON p.reference_id = k.reference_id AND p.category_id <> 0 GROUP BY k.at, k.reference_id, p.measure
    ), named AS (
        SELECT e.at, 1 AS part, '(all)' AS class_name, e.measure, e.n, e.estimate, e.label_deviation, e.estimate_chance, e.label_chance,
               e.least_count, coalesce(m.value, e.promise) AS value, m.deviation AS window_deviation, m.windows
        FROM estimates e LEFT JOIN measured m ON m.at = e.at AND m.measure = e.measure
        WHERE e.category_id = 0
        UNION ALL
        -- A class that was not predicted has a precision of 0, as in the reference.
        SELECT e.at, 1, '(all)', e.measure, max(e.n), sum(e.estimate) / CASE WHEN e.measure = 'roc_auc' THEN count(*) ELSE max(k.classes) END,
               avg(e.label_deviation), coalesce(max(p.estimate_chance), avg(e.estimate_chance)),
               coalesce(max(p.label_chance), avg(e.label_chance)), NULL, coalesce(max(m.value), max(p.estimate)),
               max(m.deviation), max(m.windows)
        FROM estimates e JOIN shown k ON k.at = e.at
        LEFT JOIN promised_means p ON p.at = e.at AND p.measure = e.measure
        LEFT JOIN measured m ON m.at = e.at AND m.measure = e.measure
        WHERE e.category_id <> 0 AND e.measure <> 'accuracy' GROUP BY e.at, e.measure
        UNION ALL
        SELECT e.at, 2, k.value, e.measure, e.n, e.estimate, e.label_deviation, e.estimate_chance, e.label_chance, e.least_count, e.promise,
               NULL, NULL
        FROM estimates e JOIN nadi_store.category k ON k.category_id = e.category_id
        WHERE e.measure <> 'accuracy'
    ), bounded AS (
        SELECT n.*, n.n < 200 OR coalesce(n.least_count < 10, false) AS few, 3 * sqrt(
            -- Between the reference's windows, beyond what their size explains; the error of the reference's labels; that of the estimate.
            greatest(0, coalesce(n.window_deviation, 0) ^ 2 - n.label_chance ^ 2 * n.n * coalesce(n.windows, 0) / nullif(b.label_count, 0))
            + n.label_chance ^ 2 * n.n / nullif(b.label_count, 0) + n.estimate_chance ^ 2) AS margin
        FROM named n JOIN bases b ON b.at = n.at
    ), judged AS (
        SELECT b.at, b.part, b.class_name, b.measure, b.n, b.estimate,
               greatest(0, b.estimate - 3 * b.label_deviation) AS lower, least(1, b.estimate + 3 * b.label_deviation) AS upper, b.value,
               greatest(0, b.value - b.margin) AS alert_lower, least(1, b.value + b.margin) AS alert_upper,
               CASE WHEN b.few THEN 'too_few' WHEN b.estimate < b.value - b.margin THEN 'low'
                    WHEN b.estimate > b.value + b.margin THEN 'high' ELSE 'usual' END AS estimate_state,
               CASE WHEN b.n < 200 THEN 'fewer than 200 scores'
                    WHEN b.few THEN 'fewer than 10 predictions of the rarer kind are to be expected'
                    WHEN b.estimate < b.value - b.margin OR b.estimate > b.value + b.margin
                        THEN round(b.estimate::numeric, 3) || ' instead of ' || round(b.value::numeric, 3)
                    ELSE '' END AS reason
        FROM bounded b
        UNION ALL
        SELECT c.at, 1, '(all)', NULL, sum(c.n), NULL, NULL, NULL, NULL, NULL, NULL,
               CASE WHEN b.reference_id IS NULL THEN 'no_reference' ELSE 'no_labels_in_reference' END,
               CASE WHEN b.reference_id IS NULL THEN 'no reference is in force'
                    ELSE 'the reference ' || b.reference_name || ' has scores and labels together nowhere' END
        FROM cells c JOIN bases b ON b.at = c.at
        WHERE c.category_id = 0 AND (b.reference_id IS NULL OR b.calibration = 'none')
        GROUP BY c.at, b.reference_id, b.reference_name
    )
    SELECT j.at, coalesce(j.at + width, to_time), j.class_name, j.measure, j.n::bigint, j.estimate, j.lower, j.upper, j.value,
           j.alert_lower, j.alert_upper, j.estimate_state,
           concat_ws('; ', nullif(j.reason, ''), nadi_store.change_remark(b.first, j.at))
    FROM judged j JOIN bases b ON b.at = j.at
    ORDER BY j.at, j.part, j.class_name, array_position(ARRAY['accuracy', 'precision', 'recall', 'f1', 'roc_auc'], j.measure);
END
$$;
COMMENT ON FUNCTION nadi.estimated_performance(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'How right predictions are while labels are missing, from their scores alone (CBPE). By the reference in force at the end of each bucket, or of the range; right while calibration holds, blind where the same input gets other labels than before. measure: accuracy, precision, recall, f1, roc_auc; class_name (all) for the whole, in multiclass tasks the accuracy by score and the means over classes, and a row each class where scores of classes come. lower, upper: where three standard deviations of so many labels would lie. reference_value: what the reference''s labels said, of one class what its scores promise. alert_lower, alert_upper: three deviations around it, of the reference''s own windows of that length (beyond their sampling error), of its labels, and of an estimate from so many scores like the reference''s. Of a regression the drift of its predictions: measure prediction_psi. estimate_state: too_few (fewer than 200 scores, or fewer than 10 predictions to be expected of a kind that the measure rests on: predicted positive, positive, for roc_auc negative), no_reference, no_labels_in_reference, usual, low, high; for regressions also those of drift. bucket: least width of a row''s period, at least an hour, widened to at most 60 periods; null takes the whole range. Null filters take all; slice_key: one tag, or all.';
