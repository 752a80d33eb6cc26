-- Purpose: estimate beside truth, and two versions side by side. Locks: none (new functions).

CREATE FUNCTION nadi_store.judged_estimates(
    model text, from_time timestamptz, to_time timestamptz, bucket interval,
    versions text[], variants text[], environments text[], slice_key text, slice_values text[]
) RETURNS TABLE (
    at timestamptz, ends timestamptz, measure text, n bigint, estimate float8, estimate_lower float8, estimate_upper float8, reason text,
    labels bigint, any_labels bigint, coverage float8, value float8, lower float8, upper float8, performance_state text, disagrees boolean
) LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH performed AS MATERIALIZED (
        -- In multiclass tasks the estimates of precision, recall and f1 are means over classes.
        SELECT split_part(p.measure, '_macro', 1) AS named, p.*
        FROM nadi.performance(model, from_time, to_time, bucket, versions, variants, environments, slice_key, slice_values) p
        WHERE p.class_name = '(all)'
    ), realised AS (
        SELECT DISTINCT ON (p.bucket_start, p.named) p.* FROM performed p ORDER BY p.bucket_start, p.named, p.measure
    ), counted AS (
        SELECT p.bucket_start, max(p.labelled_count) AS labels, max(p.label_coverage) AS coverage FROM performed p GROUP BY 1
    ), pairs AS (
        -- The band of as many labels as came, not of as many predictions as there are.
        SELECT e.bucket_start AS at, e.bucket_end AS ends, e.measure, e.prediction_count AS n, e.estimate, e.reason,
               greatest(e.upper - e.estimate, e.estimate - e.lower)
                   * sqrt(greatest(1, e.prediction_count / nullif(c.labels, 0)::float8)) AS margin,
               coalesce(r.sample_count, 0) AS labels, coalesce(c.coverage, 0) AS coverage, coalesce(c.labels, 0) AS any_labels,
               r.value, r.lower, r.upper, r.performance_state
        FROM nadi.estimated_performance(model, from_time, to_time, bucket, versions, variants, environments, slice_key, slice_values) e
        LEFT JOIN counted c ON c.bucket_start = e.bucket_start
        LEFT JOIN realised r ON r.bucket_start = e.bucket_start AND r.named = e.measure
        WHERE e.class_name = '(all)'
    )
    SELECT p.at, p.ends, p.measure, p.n, p.estimate, greatest(0, p.estimate - p.margin), least(1, p.estimate + p.margin), p.reason,
           p.labels, p.any_labels, p.coverage, p.value, p.lower, p.upper, p.performance_state,
           CASE WHEN p.performance_state = 'measured' AND p.n >= nadi_store.least_count() AND p.lower IS NOT NULL AND p.margin IS NOT NULL
                THEN p.lower > p.estimate + p.margin OR p.upper < p.estimate - p.margin END
    FROM pairs p;
END
$$;
COMMENT ON FUNCTION nadi_store.judged_estimates(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'Estimates beside what labels say, and whether the two intervals do not meet: null where there is too little to judge.';

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
BEGIN
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT 1 AS part, j.*
        FROM nadi_store.judged_estimates(model, from_time, to_time, bucket, versions, variants, environments, slice_key, slice_values) j
    ), known AS (
        -- As much time before, for the last window whose labels suffice: read only if the first window's own do not.
        SELECT * FROM asked
        UNION ALL
        SELECT 0, j.*
        FROM nadi_store.judged_estimates(model, from_time - (to_time - from_time), from_time, bucket, versions, variants, environments,
            slice_key, slice_values) j
        WHERE EXISTS (SELECT FROM asked a WHERE a.at = (SELECT min(at) FROM asked) AND a.disagrees IS NULL AND a.estimate IS NOT NULL
                          AND a.measure <> 'prediction_psi' AND (a.any_labels = 0 OR a.performance_state <> 'not_measured'))
    ), carried AS (
        SELECT k.*, max(CASE WHEN k.disagrees IS NOT NULL THEN k.at END) OVER w AS judged_at,
               (array_agg(k.disagrees) FILTER (WHERE k.disagrees IS NOT NULL) OVER w) AS verdicts
        FROM known k WINDOW w AS (PARTITION BY k.measure ORDER BY k.part, k.at)
    )
    SELECT c.at, c.ends, c.measure, c.n, c.estimate, c.estimate_lower, c.estimate_upper, c.labels, c.coverage, c.value, c.lower, c.upper,
           CASE WHEN c.estimate IS NULL OR c.measure = 'prediction_psi' THEN 'no_estimate'
                WHEN c.verdicts[cardinality(c.verdicts)] THEN 'disagrees'
                WHEN c.disagrees IS NOT NULL THEN 'agrees'
                WHEN c.any_labels = 0 THEN 'no_labels' WHEN coalesce(c.performance_state, 'not_measured') = 'not_measured' THEN 'not_measured' ELSE 'too_few' END,
           CASE WHEN c.estimate IS NULL OR c.measure = 'prediction_psi' THEN c.reason
                WHEN c.disagrees THEN 'the labels say ' || round(c.value::numeric, 3) || ', the scores promise '
                    || round(c.estimate::numeric, 3)
                WHEN c.disagrees IS NOT NULL THEN ''
                WHEN c.verdicts[cardinality(c.verdicts)] THEN 'too few labels yet; those of the window from '
                    || to_char(c.judged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC disagreed'
                WHEN c.any_labels = 0 THEN 'no labels yet' WHEN coalesce(c.performance_state, 'not_measured') = 'not_measured' THEN 'labels do not say it'
                WHEN c.n < 200 THEN 'fewer than 200 scores' WHEN c.labels < 200 THEN 'fewer than 200 labels'
                WHEN c.performance_state = 'too_few' THEN 'fewer than 10 labels of the rarer class'
                ELSE 'the labels allow no value' END
    FROM carried c WHERE c.part = 1
    ORDER BY c.at, array_position(ARRAY['accuracy', 'precision', 'recall', 'f1', 'roc_auc'], c.measure);
END
$$;
COMMENT ON FUNCTION nadi.estimate_and_truth(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'What nadi.estimated_performance promised beside what labels said, and whether the promise can be trusted. measure: as there, for the whole. estimate_lower, estimate_upper: where three standard deviations of as many labels as came would lie. sample_count, label_coverage, value, lower, upper: as in nadi.performance (precision, recall and f1 of multiclass tasks are means over classes). trust_state: disagrees where the two intervals do not meet in this window, or, while this one has under 200 labels or scores, in the last that had enough (looked for in the range and in as much time before it); agrees, too_few, no_labels, not_measured (what labels do not say: AUC of several classes), or no_estimate (no reference, one without labels, or a regression). bucket as in nadi.performance. Null filters take all; slice_key: one tag, or all.';

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
COMMENT ON FUNCTION nadi_store.student_p(float8, float8) IS 'The two-sided p of Student''s t by Wallace''s normal approximation (1959). To 1e-4, absolutely, from 30 degrees of freedom on.';

CREATE FUNCTION nadi_store.student_limit(freedom float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN freedom >= 5 THEN 1.959963984540054 + 2.372271 / freedom + 2.822499 / freedom ^ 2 + 2.555852 / freedom ^ 3 END;
COMMENT ON FUNCTION nadi_store.student_limit(float8) IS 'The 0.975 quantile of Student''s t (Abramowitz and Stegun 26.7.5): to 2e-4 from 10 degrees of freedom on, null under 5.';

-- One side of a comparison. hits: successes of a share; error: the standard error of what is none, freedom its degrees (of AUC those
-- of the rarer class); few: how many values it rests on, or of AUC how many of the rarer class. until: the end of the predictions
-- whose outcomes count, predictions how many; all_series: those of both sides, whose outcomes say which names there are.
CREATE FUNCTION nadi_store.version_measures(series int[], all_series int[], from_time timestamptz, to_time timestamptz, until timestamptz)
RETURNS TABLE (place int, measure text, event_type text, outcome_name text, currency text, n float8, hits float8, value float8,
    error float8, lower float8, upper float8, freedom float8, few float8, coverage float8, predictions float8)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 30 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH requested AS (
        SELECT coalesce(sum(r.requests), 0)::float8 AS requests, coalesce(sum(r.errors), 0)::float8 AS errors,
               coalesce(sum(r.predictions - r.failed_predictions), 0)::float8 AS predictions
        FROM nadi_store.request_rows(series, from_time, to_time, NULL, false) r
    ), predicted AS (
        SELECT q.predictions AS every, CASE WHEN until >= to_time THEN q.predictions
            ELSE coalesce((SELECT sum(p.n) FROM nadi_store.predicted(series, from_time, until, NULL) p), 0)::float8 END AS n
        FROM requested q
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
    ), mine AS MATERIALIZED (
        SELECT * FROM nadi_store.named_outcomes(series, from_time, until, NULL)
    ), names AS (
        -- A name that the other side alone has is nothing here, not unknown.
        SELECT DISTINCT r.event_type, r.name, r.currency, r.value_count > 0 AS is_valued
        FROM nadi_store.named_outcome_rows(all_series, from_time, until, NULL) r
    ), rates AS (
        SELECT k.place, k.measure, k.event_type, k.name, CASE WHEN k.is_negative THEN coalesce(sum(m.n), 0) ELSE p.n END AS n,
               coalesce(CASE WHEN k.is_negative THEN sum(m.no) ELSE sum(m.yes) END, 0) AS hits
        FROM nadi_store.named_rates() k CROSS JOIN predicted p LEFT JOIN mine m ON m.event_type = k.event_type AND m.name = k.name
        WHERE EXISTS (SELECT FROM names a WHERE a.event_type = k.event_type AND a.name = k.name)
        GROUP BY k.place, k.measure, k.event_type, k.name, k.is_negative, p.n
    ), labelled AS (
        SELECT sum(r.labelled)::float8 AS n FROM nadi_store.outcome_rows(series, from_time, until, NULL) r
    )
    SELECT 1, 'error_rate', '', '', '', q.requests, q.errors, q.errors / q.requests, NULL::float8,
           nadi_store.wilson_bound(q.errors, q.requests, -1), nadi_store.wilson_bound(q.errors, q.requests, 1), NULL::float8, NULL::float8,
           NULL::float8, NULL::float8
    FROM requested q WHERE q.requests > 0
    UNION ALL
    SELECT 2, 'latency_p95_seconds', '', '', '', q.n, NULL, q.value, NULL, q.lower, q.upper, NULL, NULL, NULL, NULL FROM quantile q WHERE q.n > 0
    UNION ALL
    SELECT 2 + array_position(nadi_store.performance_measures(), m.measure), m.measure, '', '', '', m.n, m.hits, m.value, m.error, m.lower,
           m.upper, coalesce(m.rarer, m.n) - 1, m.rarer, l.n / nullif(p.n, 0), p.n
    FROM (SELECT x.measure, x.n, CASE WHEN x.measure <> 'f1' THEN x.hits END AS hits, x.value, x.rarer,
                 -- F1 = 2 J / (1 + J), J a share. What AUC does not know of its bins counts as error.
                 CASE WHEN x.measure = 'f1' AND x.n > 0 THEN 2 / (1 + x.hits / x.n) ^ 2 * sqrt(x.hits / x.n * (1 - x.hits / x.n) / x.n)
                      ELSE x.error + coalesce(abs(x.slack), 0) / 1.959963984540054 END AS error,
                 nadi_store.measure_bound(x.measure, x.n, x.hits, x.value, x.error, x.slack, -1) AS lower,
                 nadi_store.measure_bound(x.measure, x.n, x.hits, x.value, x.error, x.slack, 1) AS upper
          FROM nadi_store.measured_performance(series, from_time, until, NULL, ARRAY['accuracy', 'precision', 'recall', 'f1',
                  'precision_macro', 'recall_macro', 'f1_macro', 'roc_auc', 'brier_score', 'log_loss', 'mae']) x
          WHERE x.class_id = 0) m
    CROSS JOIN labelled l CROSS JOIN predicted p
    UNION ALL
    SELECT r.place, r.measure, r.event_type, r.name, '', r.n, r.hits, r.hits / nullif(r.n, 0), NULL, nadi_store.wilson_bound(r.hits, r.n, -1),
           nadi_store.wilson_bound(r.hits, r.n, 1), NULL, NULL, p.n / nullif(p.every, 0), p.n
    FROM rates r CROSS JOIN predicted p
    UNION ALL
    SELECT 22, 'value_per_prediction', a.event_type, a.name, a.currency, p.n, NULL, v.mean,
           CASE WHEN m.valued > 0 THEN v.error WHEN p.n > 0 THEN 0 END, v.lower, v.upper, p.n - 1, coalesce(m.valued, 0),
           p.n / nullif(p.every, 0), p.n
    FROM names a CROSS JOIN predicted p
    LEFT JOIN mine m ON m.event_type = a.event_type AND m.name = a.name AND m.currency = a.currency
    CROSS JOIN LATERAL nadi_store.value_mean(p.n, m.valued, coalesce(m.total, 0), coalesce(m.squares, 0)) v
    WHERE a.is_valued AND a.name <> 'other';
END
$$;
COMMENT ON FUNCTION nadi_store.version_measures(int[], int[], timestamptz, timestamptz, timestamptz) IS 'One side of nadi.compare_versions: each measure''s n, value, error and interval.';

CREATE FUNCTION nadi_store.shares_differ(x1 float8, n1 float8, x2 float8, n2 float8, least_difference float8) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN n1 > 0 AND n2 > 0 THEN abs(x2 / n2 - x1 / n1) > least_difference + 3.29 * sqrt(greatest(0, (x1 + x2) / (n1 + n2)
    * (1 - (x1 + x2) / (n1 + n2)) * (1 / n1 + 1 / n2))) ELSE false END;
COMMENT ON FUNCTION nadi_store.shares_differ(float8, float8, float8, float8, float8) IS 'Whether two shares differ by more than this and what chance leaves once in a thousand.';

CREATE FUNCTION nadi_store.known_until() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce((SELECT c.complete_until FROM nadi.complete_until c), (SELECT max(r.hour) + interval '1 hour' FROM nadi_store.request_hour r))
$$;
COMMENT ON FUNCTION nadi_store.known_until() IS 'Until when events are counted, against which predictions are young or old. The end of the newest hour while no host reports.';

-- Young predictions have fewer outcomes than they will have; how many fewer depends on the outcome, so that only sides of one age
-- can be compared. After thirty days all are old.
CREATE FUNCTION nadi_store.ages_differ(first int[], second int[], from_time timestamptz, to_time timestamptz, known timestamptz)
RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH whole AS (
        SELECT nullif((SELECT sum(p.n) FROM nadi_store.predicted(first, from_time, to_time, NULL) p), 0)::float8 AS one,
               nullif((SELECT sum(p.n) FROM nadi_store.predicted(second, from_time, to_time, NULL) p), 0)::float8 AS two
    ), hours AS (
        SELECT r.hour, r.series_id = ANY (second) AS is_second, (r.predictions - r.failed_predictions)::float8 AS n
        FROM nadi_store.request_hour r
        WHERE r.series_id = ANY (first || second) AND r.hour < to_time
          AND r.hour >= greatest(nadi_store.bucket_of(from_time, interval '1 hour', NULL), known - interval '30 days')
    ), young AS (
        SELECT k.age, coalesce(sum(h.n) FILTER (WHERE NOT h.is_second), 0) AS one, coalesce(sum(h.n) FILTER (WHERE h.is_second), 0) AS two
        FROM unnest(ARRAY['1 hour', '6 hours', '1 day', '3 days', '7 days', '30 days']::interval[]) AS k(age)
        JOIN hours h ON h.hour > known - k.age GROUP BY k.age
    )
    SELECT coalesce(bool_or(nadi_store.shares_differ(y.one, w.one, y.two, w.two, 0.05)), false) FROM young y CROSS JOIN whole w
$$;
COMMENT ON FUNCTION nadi_store.ages_differ(int[], int[], timestamptz, timestamptz, timestamptz) IS 'Whether of one side at least a twentieth more is younger than an hour, six hours, 1, 3, 7 or 30 days, beyond chance.';

CREATE FUNCTION nadi.compare_versions(
    model text, from_time timestamptz, to_time timestamptz, first_version text DEFAULT NULL, second_version text DEFAULT NULL,
    first_variant text DEFAULT NULL, second_variant text DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL, variants text[] DEFAULT NULL, matured interval DEFAULT NULL
) RETURNS TABLE (
    measure text, event_type text, outcome_name text, currency text, first_count bigint, first_value float8, first_coverage float8,
    second_count bigint, second_value float8, second_coverage float8, difference float8, lower float8, upper float8, p_value float8,
    comparison_state text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    served CONSTANT text[] := coalesce(variants, ARRAY['(served)']);
    first int[] := nadi_store.matching_series(model, CASE WHEN first_version IS NOT NULL THEN ARRAY[first_version] END,
        CASE WHEN first_variant IS NOT NULL THEN ARRAY[first_variant] ELSE served END, environments, slice_key, slice_values);
    second int[] := nadi_store.matching_series(model, CASE WHEN second_version IS NOT NULL THEN ARRAY[second_version] END,
        CASE WHEN second_variant IS NOT NULL THEN ARRAY[second_variant] ELSE served END, environments, slice_key, slice_values);
    known timestamptz := nadi_store.known_until();
    until timestamptz := to_time;
    -- Predictions of each side that are too young to count.
    late1 bigint := 0;
    late2 bigint := 0;
    ages_differ boolean := false;
BEGIN
    IF first && second OR (first_version IS NOT DISTINCT FROM second_version AND first_variant IS NOT DISTINCT FROM second_variant) THEN
        RAISE EXCEPTION 'the two sides have predictions in common'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name two versions, or two variants, so that no prediction is on both sides.';
    END IF;
    IF matured IS NULL THEN
        ages_differ := nadi_store.ages_differ(first, second, from_time, to_time, known);
    ELSE
        until := greatest(from_time, least(to_time, nadi_store.bucket_of(known - matured, interval '1 hour', NULL)));
        late1 := (SELECT coalesce(sum(p.n), 0) FROM nadi_store.predicted(first, until, to_time, NULL) p);
        late2 := (SELECT coalesce(sum(p.n), 0) FROM nadi_store.predicted(second, until, to_time, NULL) p);
    END IF;
    RETURN QUERY
    WITH sides AS (
        SELECT coalesce(a.place, b.place) AS place, coalesce(a.measure, b.measure) AS measure, coalesce(a.event_type, b.event_type) AS event_type,
               coalesce(a.outcome_name, b.outcome_name) AS outcome_name, coalesce(a.currency, b.currency) AS currency,
               coalesce(a.n, 0) AS n1, coalesce(b.n, 0) AS n2, a.hits AS x1, b.hits AS x2, a.value AS v1, b.value AS v2,
               a.error AS e1, b.error AS e2, a.lower AS l1, b.lower AS l2, a.upper AS u1, b.upper AS u2, a.freedom AS f1, b.freedom AS f2,
               a.few AS few1, b.few AS few2, a.coverage AS c1, b.coverage AS c2, a.predictions AS p1, b.predictions AS p2
        FROM nadi_store.version_measures(first, first || second, from_time, to_time, until) a
        FULL JOIN nadi_store.version_measures(second, first || second, from_time, to_time, until) b
            ON b.measure = a.measure AND b.event_type = a.event_type AND b.outcome_name = a.outcome_name AND b.currency = a.currency
    ), tested AS (
        SELECT s.*, s.v2 - s.v1 AS d, sqrt(nadi_store.square(s.e1) + nadi_store.square(s.e2)) AS error,
               (s.x1 + s.x2) / nullif(s.n1 + s.n2, 0) AS pooled,
               s.x1 IS NOT NULL OR s.x2 IS NOT NULL OR s.measure IN ('f1', 'latency_p95_seconds') AS is_hybrid,
               CASE WHEN s.place <= 2 THEN false WHEN matured IS NOT NULL
                    THEN s.n1 < nadi_store.least_count() AND s.n1 + late1 >= nadi_store.least_count()
                         OR s.n2 < nadi_store.least_count() AND s.n2 + late2 >= nadi_store.least_count()
                    WHEN s.place >= 20 THEN ages_differ
                    ELSE nadi_store.shares_differ(s.c1 * s.p1, s.p1, s.c2 * s.p2, s.p2, 0.05 * greatest(s.c1, s.c2)) END AS is_early
        FROM sides s
        WHERE s.measure !~ '_macro$' OR NOT EXISTS (SELECT FROM sides o WHERE o.measure = 'precision')
    ), freed AS (
        SELECT t.*, CASE WHEN t.error > 0 AND t.f1 > 0 AND t.f2 > 0
            THEN least(1e9, 1 / (nadi_store.square(nadi_store.square(t.e1 / t.error)) / t.f1
                                 + nadi_store.square(nadi_store.square(t.e2 / t.error)) / t.f2)) END AS freedom
        FROM tested t
    ), bounded AS (
        SELECT f.*, CASE WHEN f.is_hybrid THEN f.d - sqrt(nadi_store.square(f.v2 - f.l2) + nadi_store.square(f.u1 - f.v1))
                         ELSE f.d - nadi_store.student_limit(f.freedom) * f.error END AS low,
               CASE WHEN f.is_hybrid THEN f.d + sqrt(nadi_store.square(f.u2 - f.v2) + nadi_store.square(f.v1 - f.l1))
                    ELSE f.d + nadi_store.student_limit(f.freedom) * f.error END AS high,
               CASE WHEN f.measure = 'latency_p95_seconds' OR f.d IS NULL THEN NULL
                    WHEN f.pooled IS NOT NULL THEN CASE WHEN f.d = 0 THEN 1
                        ELSE nadi_store.normal_p(f.d / sqrt(f.pooled * (1 - f.pooled) * (1 / f.n1 + 1 / f.n2))) END
                    WHEN f.freedom > 0 THEN CASE WHEN f.d = 0 THEN 1 ELSE nadi_store.student_p(f.d / f.error, f.freedom) END END AS p
        FROM freed f
    )
    SELECT b.measure, b.event_type, b.outcome_name, b.currency, b.n1::bigint, b.v1, b.c1, b.n2::bigint, b.v2, b.c2, b.d, b.low, b.high, b.p,
           CASE WHEN b.is_early THEN 'too_early'
                WHEN b.n1 < nadi_store.least_count() OR b.n2 < nadi_store.least_count() THEN 'too_few'
                WHEN b.d IS NULL THEN 'undefined'
                WHEN b.measure = 'roc_auc' AND least(b.few1, b.few2) < 10 THEN 'too_few'
                -- As many values as are to be expected of the smaller side, were both alike.
                WHEN b.measure = 'value_per_prediction' AND (b.few1 + b.few2) * least(b.n1, b.n2) / (b.n1 + b.n2) < 50 THEN 'too_few'
                WHEN b.low IS NULL THEN 'undefined'
                -- Latencies are known to 2 %.
                WHEN b.measure = 'latency_p95_seconds' AND abs(b.d) <= 0.0201 * least(b.v1, b.v2) THEN 'no_difference'
                WHEN b.low <= 0 AND b.high >= 0 THEN 'no_difference'
                -- More revenue is better. Of refunds, costs and stars nobody has said what is.
                WHEN b.measure = 'value_per_prediction' AND b.outcome_name <> 'revenue' THEN CASE WHEN b.d > 0 THEN 'higher' ELSE 'lower' END
                WHEN (b.d < 0) = (b.measure IN ('error_rate', 'latency_p95_seconds', 'brier_score', 'log_loss', 'mae', 'thumbs_down',
                    'override_rate')) THEN 'better' ELSE 'worse' END
    FROM bounded b ORDER BY b.place, b.outcome_name COLLATE "C", b.event_type DESC, b.currency COLLATE "C";
END
$$;
COMMENT ON FUNCTION nadi.compare_versions(text, timestamptz, timestamptz, text, text, text, text, text[], text, text[], text[], interval) IS 'Two versions, or two variants (canary against champion), over the same range, one row a measure. A null version takes all; a null variant takes those of variants, where that is null all but shadow, whose predictions nobody acts on. No series may be on both sides. measure: error_rate, latency_p95_seconds; accuracy, precision, recall, f1, roc_auc, brier_score, log_loss, mae of nadi.performance (in multiclass tasks means over classes); click_through, conversion, override_rate, thumbs_down of nadi.outcome_rates; value_per_prediction by name and currency. first_count, second_count: the side''s own n. difference: second less first, with a 95 % interval: of shares Newcombe''s (1998, method 10), of f1 and the percentile the same from their own intervals, of means Welch''s. p_value: two-sided, of shares by the pooled z test, of means by Welch''s t; none of the percentile. A version that came later is younger, and its outcomes are still on their way. matured: how old predictions must be for their outcomes to count (against nadi.complete_until). first_coverage, second_coverage: of what counts the share whose label has come; of rates and values the share of the side''s predictions that is old enough to count. comparison_state: too_early (without matured: label coverages differ, or for rates and values the ages of the sides do, beyond chance and by a twentieth; with it: what is old enough is under 200), too_few (under 200 on a side, for roc_auc under 10 of the rarer class, for values under 50 to be expected), undefined (no value, or no interval), no_difference (the interval holds 0; percentiles no more than a bin''s 2 % apart), better or worse: the second side, where less is better of errors, latency, losses, thumbs-down and overrides; higher or lower of values other than revenue. Of twenty measures that do not differ, one is expected outside its interval: look at p_value. slice_key: one tag, or all.';
