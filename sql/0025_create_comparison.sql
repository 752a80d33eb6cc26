-- Purpose: estimate beside truth, and two versions side by side. Locks: none (new functions).

CREATE FUNCTION nadi.estimate_and_truth(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, bucket_end timestamptz, measure text, prediction_count bigint, estimate float8, estimate_lower float8,
    estimate_upper float8, sample_count bigint, label_coverage float8, value float8, lower float8, upper float8, trust_state text,
        reason text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    earlier timestamptz := from_time - (to_time - from_time);
BEGIN
    RETURN QUERY
    -- The range and as much before it, for the last window whose labels suffice.
    WITH estimated AS (
        SELECT s.part, e.* FROM (VALUES (0, earlier, from_time), (1, from_time, to_time)) AS s(part, at, ends)
        CROSS JOIN LATERAL nadi.estimated_performance(model, s.at, s.ends, bucket, versions, variants, environments, slice_key,
            slice_values) e
        WHERE e.class_name = '(all)'
    ), realised AS (
        -- In multiclass tasks the estimates of precision, recall and f1 are means over classes.
        SELECT DISTINCT ON (s.part, p.bucket_start, split_part(p.measure, '_macro', 1)) s.part,
            split_part(p.measure, '_macro', 1) AS measure, p.bucket_start,
               p.sample_count, p.labelled_count, p.label_coverage, p.value, p.lower, p.upper, p.performance_state
        FROM (VALUES (0, earlier, from_time), (1, from_time, to_time)) AS s(part, at, ends)
        CROSS JOIN LATERAL nadi.performance(model, s.at, s.ends, bucket, versions, variants, environments, slice_key, slice_values) p
        WHERE p.class_name = '(all)'
        ORDER BY s.part, p.bucket_start, split_part(p.measure, '_macro', 1), p.measure
    ), pairs AS (
        -- The band of as many labels as came, not of as many predictions as there are.
        SELECT e.part, e.bucket_start AS at, e.bucket_end AS ends, e.measure, e.prediction_count AS n, e.estimate, e.estimate_state,
            e.reason,
               greatest(e.upper - e.estimate, e.estimate - e.lower)
                   * sqrt(greatest(1, e.prediction_count / nullif(r.labelled_count, 0)::float8)) AS margin,
               coalesce(r.sample_count, 0) AS labels, coalesce(r.label_coverage, 0) AS coverage, r.value, r.lower, r.upper,
                   r.performance_state
        FROM estimated e LEFT JOIN realised r ON r.part = e.part AND r.bucket_start = e.bucket_start AND r.measure = e.measure
    ), judged AS (
        SELECT p.*, greatest(0, p.estimate - p.margin) AS estimate_lower, least(1, p.estimate + p.margin) AS estimate_upper,
               CASE WHEN p.performance_state = 'measured' AND p.n >= 200 AND p.lower IS NOT NULL AND p.margin IS NOT NULL
                    THEN p.lower > p.estimate + p.margin OR p.upper < p.estimate - p.margin END AS disagrees
        FROM pairs p
    ), carried AS (
        SELECT j.*, max(CASE WHEN j.disagrees IS NOT NULL THEN j.at END) OVER w AS judged_at,
               (array_agg(j.disagrees) FILTER (WHERE j.disagrees IS NOT NULL) OVER w) AS verdicts
        FROM judged j WINDOW w AS (PARTITION BY j.measure ORDER BY j.at)
    )
    SELECT c.at, c.ends, c.measure, c.n, c.estimate, c.estimate_lower, c.estimate_upper, c.labels, c.coverage, c.value, c.lower, c.upper,
           CASE WHEN c.estimate IS NULL OR c.measure = 'prediction_psi' THEN 'no_estimate'
                WHEN c.verdicts[cardinality(c.verdicts)] THEN 'disagrees'
                WHEN c.disagrees IS NOT NULL THEN 'agrees'
                WHEN c.labels = 0 THEN 'no_labels' ELSE 'too_few' END,
           CASE WHEN c.estimate IS NULL OR c.measure = 'prediction_psi' THEN c.reason
                WHEN c.disagrees THEN 'the labels say ' || round(c.value::numeric, 3) || ', the scores promise '
                    || round(c.estimate::numeric, 3)
                WHEN c.disagrees IS NOT NULL THEN ''
                WHEN c.verdicts[cardinality(c.verdicts)] THEN 'too few labels yet; those of the window from '
                    || to_char(c.judged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC disagreed'
                WHEN c.labels = 0 THEN 'no labels yet' WHEN c.n < 200 THEN 'fewer than 200 scores' WHEN c.labels < 200
                    THEN 'fewer than 200 labels'
                ELSE 'the labels allow no value' END
    FROM carried c WHERE c.part = 1
    ORDER BY c.at, array_position(ARRAY['accuracy', 'precision', 'recall', 'f1', 'roc_auc'], c.measure);
END
$$;
COMMENT ON FUNCTION nadi.estimate_and_truth(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'What nadi.estimated_performance promised beside what the labels said, and whether the promise can be trusted. measure: as there, for the whole. estimate_lower, estimate_upper: where three standard deviations of as many labels as came would lie. sample_count, label_coverage, value, lower, upper: as in nadi.performance (precision, recall and f1 of multiclass tasks are means over classes). trust_state: disagrees where the two intervals do not meet in this window, or, while this one has under 200 labels or scores, in the last that had enough (looked for in the range and in as much time before it); agrees, too_few, no_labels, or no_estimate (no reference, one without labels, or a regression). bucket as in nadi.performance. Null filters take all; slice_key: one tag, or all.';

CREATE FUNCTION nadi_store.normal_p(z float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    x float8 := abs(z) / 1.4142135623730951;
    t float8 := 1 / (1 + x / 2);
BEGIN
    RETURN CASE WHEN x > 26 THEN 0 ELSE t * exp(-x * x - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
        + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))))) END;
END
$$;
COMMENT ON FUNCTION nadi_store.normal_p(float8) IS 'The two-sided p of a standard normal z, to 1.2e-7 of itself (the Chebyshev fit of erfc in Numerical Recipes, 6.2); 0 beyond 36.';

CREATE FUNCTION nadi_store.student_p(t float8, freedom float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN nadi_store.normal_p(sqrt(freedom * ln(1 + nadi_store.square(t) / freedom)) * (8 * freedom + 1) / (8 * freedom + 3));
COMMENT ON FUNCTION nadi_store.student_p(float8, float8) IS 'The two-sided p of Student''s t by Wallace''s normal approximation (1959): 1e-4 from 30 degrees of freedom on.';

CREATE FUNCTION nadi_store.student_limit(freedom float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1.959963984540054 + 2.372271 / freedom + 2.822499 / freedom ^ 2 + 2.555852 / freedom ^ 3;
COMMENT ON FUNCTION nadi_store.student_limit(float8) IS 'The 0.975 quantile of Student''s t (Abramowitz and Stegun 26.7.5): 1e-4 from 10 degrees of freedom on.';

-- One side of a comparison. hits: successes of a share; error: the standard error of what is none; all_series: those
-- of both sides, whose outcomes say which names there are.
CREATE FUNCTION nadi_store.version_measures(series int[], all_series int[], from_time timestamptz, to_time timestamptz)
RETURNS TABLE (place int, measure text, outcome_name text, currency text, n float8, hits float8, value float8, error float8, lower float8,
    upper float8)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 30 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH requested AS (
        SELECT coalesce(sum(r.requests), 0)::float8 AS requests, coalesce(sum(r.errors), 0)::float8 AS errors,
               coalesce(sum(r.predictions - r.failed_predictions), 0)::float8 AS predictions
        FROM nadi_store.request_rows(series, from_time, to_time, NULL, false) r
    ), latency AS (
        SELECT c.code, sum(c.n) OVER (ORDER BY c.code) AS below, sum(c.n) OVER () AS total
        FROM nadi_store.latency_cells(series, from_time, to_time, NULL) c WHERE c.n > 0
    ), quantile AS (
        -- Ranks that hold the 0.95 quantile in 95 of 100 samples, whatever the distribution.
        SELECT max(l.total) AS n, nadi_store.bin_value(min(l.code) FILTER (WHERE l.below >= ceil(0.95 * l.total))) AS value,
               nadi_store.bin_value(min(l.code) FILTER (WHERE l.below >= greatest(1, floor(0.95 * l.total - 0.4271634 * sqrt(l.total)))))
                   AS lower,
               nadi_store.bin_value(min(l.code) FILTER (WHERE l.below >= least(l.total,
                   ceil(0.95 * l.total + 0.4271634 * sqrt(l.total)) + 1))) AS upper
        FROM latency l
    ), everyone AS MATERIALIZED (
        SELECT r.event_type, r.name, r.currency, r.series_id = ANY (series) AS mine, r.count, r.positive_count, r.negative_count,
            r.value_count, r.value_sum,
               r.value_square_sum
        FROM nadi_store.named_outcome_rows(all_series, from_time, to_time, NULL) r
    ), rates AS (
        SELECT k.place, k.measure, k.name, CASE WHEN k.negative THEN sum(e.count) ELSE (SELECT predictions FROM requested) END::float8 AS n,
               CASE WHEN k.negative THEN sum(e.negative_count) ELSE sum(e.positive_count) END::float8 AS hits
        FROM (VALUES (20, 'click_through', 'click', false), (21, 'conversion', 'conversion', false), (23, 'thumbs_down', 'thumbs', true),
                     (24, 'override_rate', 'override', false)) AS k(place, measure, name, negative)
        JOIN (SELECT e.name, CASE WHEN e.mine THEN e.count ELSE 0 END AS count, CASE WHEN e.mine THEN e.positive_count
            ELSE 0 END AS positive_count,
                     CASE WHEN e.mine THEN e.negative_count ELSE 0 END AS negative_count FROM everyone e) e ON e.name = k.name
        GROUP BY k.place, k.measure, k.name, k.negative
    ), valued AS (
        SELECT e.name, e.currency, r.predictions AS n, nadi_store.bounded_total(CASE WHEN e.mine THEN e.value_sum ELSE 0 END) AS total,
               nadi_store.bounded_total(CASE WHEN e.mine THEN e.value_square_sum ELSE 0 END) AS squares
        FROM everyone e CROSS JOIN requested r WHERE e.value_count > 0 GROUP BY e.name, e.currency, r.predictions
    ), shares AS (
        SELECT 1 AS place, 'error_rate' AS measure, '' AS name, q.requests AS n, q.errors AS hits FROM requested q WHERE q.requests > 0
        UNION ALL SELECT r.place, r.measure, r.name, greatest(r.n, r.hits), r.hits FROM rates r
    )
    SELECT s.place, s.measure, s.name, '', s.n, s.hits, s.hits / nullif(s.n, 0), NULL::float8, nadi_store.wilson_bound(s.hits, s.n, -1),
           nadi_store.wilson_bound(s.hits, s.n, 1) FROM shares s
    UNION ALL
    SELECT 2, 'latency_p95_seconds', '', '', q.n, NULL, q.value, NULL, q.lower, q.upper FROM quantile q WHERE q.n > 0
    UNION ALL
    SELECT 2 + array_position(o.wanted, p.measure), p.measure, '', '', p.n, CASE WHEN p.measure <> 'f1' THEN p.hits END, p.value,
           -- F1 = 2 J / (1 + J), J a share.
           CASE WHEN p.measure = 'f1' AND p.n > 0 THEN 2 / (1 + p.hits / p.n) ^ 2 * sqrt(p.hits / p.n * (1 - p.hits / p.n) / p.n)
               ELSE p.error END,
           nadi_store.measure_bound(p.measure, p.n, p.hits, p.value, p.error, -1),
               nadi_store.measure_bound(p.measure, p.n, p.hits, p.value, p.error, 1)
    FROM nadi_store.measured_performance(series, from_time, to_time, NULL) p
    CROSS JOIN (SELECT ARRAY['accuracy', 'precision', 'recall', 'f1', 'precision_macro', 'recall_macro', 'f1_macro', 'roc_auc',
        'brier_score',
                             'log_loss', 'mae'] AS wanted) o
    WHERE p.class_id = 0 AND p.measure = ANY (o.wanted)
    UNION ALL
    SELECT 22, 'value_per_prediction', v.name, v.currency, v.n, NULL, x.mean, x.error, x.mean - 1.959963984540054 * x.error,
           x.mean + 1.959963984540054 * x.error
    FROM valued v CROSS JOIN LATERAL (SELECT CASE WHEN v.n > 0 THEN nadi_store.mean_over(v.total, v.n) END AS mean,
                                             nadi_store.mean_error(v.n, v.total, v.squares) AS error) x;
END
$$;
COMMENT ON FUNCTION nadi_store.version_measures(int[], int[], timestamptz, timestamptz) IS 'One side of nadi.compare_versions: each measure''s n, value, error and interval.';

CREATE FUNCTION nadi.compare_versions(
    model text, from_time timestamptz, to_time timestamptz, first_version text DEFAULT NULL, second_version text DEFAULT NULL,
    first_variant text DEFAULT NULL, second_variant text DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    measure text, outcome_name text, currency text, first_count bigint, first_value float8, second_count bigint, second_value float8,
    difference float8, lower float8, upper float8, p_value float8, comparison_state text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    first int[] := nadi_store.matching_series(model, CASE WHEN first_version IS NOT NULL THEN ARRAY[first_version] END,
        CASE WHEN first_variant IS NOT NULL THEN ARRAY[first_variant] END, environments, slice_key, slice_values);
    second int[] := nadi_store.matching_series(model, CASE WHEN second_version IS NOT NULL THEN ARRAY[second_version] END,
        CASE WHEN second_variant IS NOT NULL THEN ARRAY[second_variant] END, environments, slice_key, slice_values);
BEGIN
    IF first && second OR (first_version IS NOT DISTINCT FROM second_version AND first_variant IS NOT DISTINCT FROM second_variant) THEN
        RAISE EXCEPTION 'the two sides have predictions in common'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name two versions, or two variants, so that no prediction is on both sides.';
    END IF;
    RETURN QUERY
    WITH sides AS (
        SELECT coalesce(a.place, b.place) AS place, coalesce(a.measure, b.measure) AS measure,
            coalesce(a.outcome_name, b.outcome_name) AS outcome_name,
               coalesce(a.currency, b.currency) AS currency, coalesce(a.n, 0) AS n1, coalesce(b.n, 0) AS n2, a.hits AS x1, b.hits AS x2,
               a.value AS v1, b.value AS v2, a.error AS e1, b.error AS e2, a.lower AS l1, b.lower AS l2, a.upper AS u1, b.upper AS u2
        FROM nadi_store.version_measures(first, first || second, from_time, to_time) a
        FULL JOIN nadi_store.version_measures(second, first || second, from_time, to_time) b
            ON b.measure = a.measure AND b.outcome_name = a.outcome_name AND b.currency = a.currency
    ), tested AS (
        SELECT s.*, s.v2 - s.v1 AS d, sqrt(nadi_store.square(s.e1) + nadi_store.square(s.e2)) AS error,
               (s.x1 + s.x2) / nullif(s.n1 + s.n2, 0) AS pooled,
               s.x1 IS NOT NULL OR s.x2 IS NOT NULL OR s.measure IN ('f1', 'latency_p95_seconds') AS is_hybrid
        FROM sides s
        WHERE s.measure !~ '_macro$' OR NOT EXISTS (SELECT FROM sides o WHERE o.measure = 'precision')
    ), freed AS (
        SELECT t.*, CASE WHEN t.error > 0 AND t.n1 > 1 AND t.n2 > 1
            THEN least(1e9, 1 / (nadi_store.square(nadi_store.square(t.e1 / t.error)) / (t.n1 - 1)
                                                               + nadi_store.square(nadi_store.square(t.e2 / t.error)) / (t.n2 - 1))) END
                                                                   AS freedom
        FROM tested t
    ), bounded AS (
        SELECT f.*, CASE WHEN f.is_hybrid THEN f.d - sqrt(nadi_store.square(f.v2 - f.l2) + nadi_store.square(f.u1 - f.v1))
                         ELSE f.d - nadi_store.student_limit(f.freedom) * f.error END AS low,
               CASE WHEN f.is_hybrid THEN f.d + sqrt(nadi_store.square(f.u2 - f.v2) + nadi_store.square(f.v1 - f.l1))
                    ELSE f.d + nadi_store.student_limit(f.freedom) * f.error END AS high,
               CASE WHEN f.measure = 'latency_p95_seconds' OR f.d IS NULL THEN NULL
                    WHEN f.pooled IS NOT NULL THEN CASE WHEN f.d = 0 THEN 1
                        ELSE nadi_store.normal_p(f.d / sqrt(f.pooled * (1 - f.pooled) * (1 / f.n1 + 1 / f.n2))) END
                    WHEN f.d = 0 THEN 1
                    WHEN f.freedom > 0 THEN nadi_store.student_p(f.d / f.error, f.freedom) END AS p
        FROM freed f
    )
    SELECT b.measure, b.outcome_name, b.currency, b.n1::bigint, b.v1, b.n2::bigint, b.v2, b.d, b.low, b.high, b.p,
           CASE WHEN b.n1 < 200 OR b.n2 < 200 THEN 'too_few'
                WHEN b.d IS NULL THEN 'undefined'
                -- Latencies are known to 2 %.
                WHEN b.measure = 'latency_p95_seconds' AND abs(b.d) <= 0.0201 * least(b.v1, b.v2) THEN 'no_difference'
                WHEN b.low > 0 OR b.high < 0 THEN
                    CASE WHEN (b.d < 0) = (b.measure IN ('error_rate', 'latency_p95_seconds', 'brier_score', 'log_loss', 'mae',
                        'thumbs_down', 'override_rate'))
                         THEN 'better' ELSE 'worse' END
                ELSE 'no_difference' END
    FROM bounded b ORDER BY b.place, b.outcome_name COLLATE "C", b.currency COLLATE "C";
END
$$;
COMMENT ON FUNCTION nadi.compare_versions(text, timestamptz, timestamptz, text, text, text, text, text[], text, text[]) IS 'Two versions, or two variants (canary against champion), over the same range: one row a measure, with each side''s own n. A null version or variant takes all of them; no series may be on both sides. measure: error_rate, latency_p95_seconds, those of nadi.performance (in multiclass tasks means over classes), click_through (click), conversion, value_per_prediction by name and currency, thumbs_down (negative thumbs per thumb), override_rate. difference: second less first, with a 95 % interval: of shares Newcombe''s (1998, method 10), of f1 and the percentile the same from their own intervals, of means Welch''s. p_value: two-sided, of shares by the pooled z test, of means by Welch''s t; none of the percentile. comparison_state: too_few (under 200 on a side), undefined, no_difference (the interval holds 0; percentiles no more than a bin''s 2 % apart), better or worse: the second side, where less is better of errors, latency, losses, thumbs-down and overrides. Of twenty measures that do not differ, one is expected outside its interval: look at p_value. slice_key: one tag, or all.';
