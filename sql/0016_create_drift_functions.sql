-- Purpose: is the input still what it was: one range against another, feature by feature. Locks: none (new functions).

-- Compares window i with window i - 1 for each i > 1. Numbers: log bins, grouped by the deciles of the earlier window
-- (a bin goes where its middle rank falls). Text and classes: categories. Scores: score bins, grouped likewise.
CREATE FUNCTION nadi_store.drift_windows(
    model text, series int[], window_from timestamptz[], window_to timestamptz[], width interval, roles text[], features text[]
) RETURNS TABLE (
    window_number int, feature_role text, feature_name text, value_kind text, first_count float8, second_count float8, bin_count int,
    psi float8, psi_noise float8, ks float8, ks_p_value float8, first_missing_rate float8, second_missing_rate float8,
    drift_state text, reason text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    feature_ids int[] := nadi_store.matching_features(model, roles, features);
    windows int := cardinality(window_from);
BEGIN
    RETURN QUERY
    WITH windows AS (
        SELECT u.place::int AS w, u.first, u.last FROM unnest(window_from, window_to) WITH ORDINALITY AS u(first, last, place)
    ), predictions AS (
        SELECT w.w, sum(r.predictions - r.failed_predictions)::float8 AS n
        FROM windows w CROSS JOIN LATERAL nadi_store.request_rows(series, w.first, w.last, NULL, false) r WHERE width IS NULL GROUP BY w.w
        UNION ALL
        SELECT w.w, sum(r.predictions - r.failed_predictions)::float8
        FROM nadi_store.request_rows(series, window_from[1], window_to[windows], width, false) r
        JOIN windows w ON w.first = nadi_store.bucket_of(r.hour, width, NULL) WHERE width IS NOT NULL GROUP BY w.w
    ), feature_rows AS MATERIALIZED (
        SELECT w.w, r.*
        FROM windows w CROSS JOIN LATERAL nadi_store.feature_rows(series, feature_ids, w.first, w.last, NULL) r WHERE width IS NULL
        UNION ALL
        SELECT w.w, r.*
        FROM nadi_store.feature_rows(series, feature_ids, window_from[1], window_to[windows], width) r
        JOIN windows w ON w.first = nadi_store.bucket_of(r.hour, width, NULL) WHERE width IS NOT NULL
    ), score_rows AS (
        SELECT w.w, r.bins, r.counts
        FROM windows w CROSS JOIN LATERAL nadi_store.score_rows(series, w.first, w.last, NULL) r WHERE width IS NULL AND r.category_id = 0
        UNION ALL
        SELECT w.w, r.bins, r.counts
        FROM nadi_store.score_rows(series, window_from[1], window_to[windows], width) r
        JOIN windows w ON w.first = nadi_store.bucket_of(r.hour, width, NULL) WHERE width IS NOT NULL AND r.category_id = 0
    ), cells AS (
        SELECT r.w, r.feature_id, 'numeric' AS kind, c.code, sum(c.n::float8) AS n
        FROM feature_rows r, unnest(r.log_bins, r.log_counts) AS c(code, n) GROUP BY 1, 2, 4
        UNION ALL
        SELECT r.w, r.feature_id, 'categorical', c.code, sum(c.n::float8)
        FROM feature_rows r CROSS JOIN LATERAL (
            SELECT * FROM unnest(r.category_ids, r.category_counts) AS u(code, n)
            UNION ALL SELECT 0, r.other_count WHERE r.other_count > 0) c
        GROUP BY 1, 2, 4
        UNION ALL
        SELECT r.w, 0, 'score', c.code, sum(c.n::float8)
        FROM score_rows r, unnest(r.bins, r.counts) AS c(code, n)
        WHERE (roles IS NULL OR 'score' = ANY (roles)) AND (features IS NULL OR 'score' = ANY (features))
        GROUP BY 1, 4
    ), totals AS (
        -- Deviations as in feature_totals: differences from the largest group's mean.
        SELECT t.w, t.feature_id, sum(t.n) AS numeric_count, sum(t.categorical_count::float8) AS categorical_count,
               CASE WHEN sum(t.n) > 1 THEN coalesce(nullif(sqrt(greatest(0, sum(t.m) + sum(t.n * t.d * t.d) - sum(t.n * t.d) ^ 2 / sum(t.n))
                   / (sum(t.n) - 1)), 'NaN'), 0) ELSE 0 END AS deviation, min(t.minimum) AS minimum, max(t.maximum) AS maximum
        FROM (
            SELECT p.*, p.numeric_count::float8 AS n, CASE WHEN p.numeric_count > 0 THEN p.m2 ELSE 0 END AS m,
                   CASE WHEN p.numeric_count = 0 THEN 0
                        WHEN abs(p.mean_high) < 1e120 AND abs(p.pivot) < 1e120 THEN (p.mean_high - p.pivot) + p.mean_low
                        ELSE 'NaN' END AS d
            FROM (SELECT r.*, first_value(r.mean_high) OVER (
                      PARTITION BY r.w, r.feature_id ORDER BY r.numeric_count DESC, r.hour, r.series_id) AS pivot
                  FROM feature_rows r) p) t
        GROUP BY t.w, t.feature_id
        UNION ALL
        SELECT c.w, 0, sum(c.n), 0, NULL, NULL, NULL FROM cells c WHERE c.kind = 'score' GROUP BY c.w
    ), pairs AS (
        SELECT p.w, p.feature_id, coalesce(a.deviation, 0) AS deviation_a, coalesce(b.deviation, 0) AS deviation_b,
               least(a.minimum, b.minimum) AS minimum, greatest(a.maximum, b.maximum) AS maximum,
               k.kind, CASE WHEN k.kind = 'categorical' THEN a.categorical_count ELSE a.numeric_count END AS n_a,
               CASE WHEN k.kind = 'categorical' THEN b.categorical_count ELSE b.numeric_count END AS n_b,
               coalesce(first.n, 0) AS predictions_a, coalesce(second.n, 0) AS predictions_b
        FROM (SELECT t.w, t.feature_id FROM totals t WHERE t.w > 1
              UNION SELECT t.w + 1, t.feature_id FROM totals t WHERE t.w < windows) p
        LEFT JOIN predictions first ON first.w = p.w - 1 LEFT JOIN predictions second ON second.w = p.w
        LEFT JOIN totals a ON a.w = p.w - 1 AND a.feature_id = p.feature_id
        LEFT JOIN totals b ON b.w = p.w AND b.feature_id = p.feature_id
        CROSS JOIN LATERAL (SELECT CASE
            WHEN p.feature_id = 0 THEN 'score'
            WHEN coalesce(a.numeric_count + a.categorical_count, 0) > 0
                THEN CASE WHEN a.categorical_count > a.numeric_count THEN 'categorical' ELSE 'numeric' END
            WHEN coalesce(b.categorical_count, 0) > coalesce(b.numeric_count, 0) THEN 'categorical' ELSE 'numeric' END AS kind) k
    ), both_sides AS (
        SELECT u.w, u.feature_id, u.kind, u.code, sum(u.a) AS a, sum(u.b) AS b
        FROM (SELECT c.w, c.feature_id, c.kind, c.code, 0::float8 AS a, c.n AS b FROM cells c WHERE c.w > 1
              UNION ALL SELECT c.w + 1, c.feature_id, c.kind, c.code, c.n, 0 FROM cells c WHERE c.w < windows) u
        GROUP BY u.w, u.feature_id, u.kind, u.code
    ), ranked AS (
        SELECT s.*, sum(s.a) OVER up AS cum_a, sum(s.b) OVER up AS cum_b, sum(s.a) OVER whole AS all_a, sum(s.b) OVER whole AS all_b
        FROM both_sides s
        WINDOW up AS (PARTITION BY s.w, s.feature_id, s.kind ORDER BY s.code), whole AS (PARTITION BY s.w, s.feature_id, s.kind)
    ), grouped AS (
        SELECT r.w, r.feature_id, g.bin, sum(r.a) AS a, sum(r.b) AS b, max(r.all_a) AS all_a, max(r.all_b) AS all_b,
               max(abs(r.cum_a / nullif(r.all_a, 0) - r.cum_b / nullif(r.all_b, 0))) AS gap,
               bool_or(p.kind = 'numeric' AND r.code <> 0 AND CASE
                   WHEN r.a > 0.2 * r.all_a OR r.b > 0.2 * r.all_b
                   THEN least(p.maximum, nadi_store.bin_upper(r.code)) - greatest(p.minimum, nadi_store.bin_lower(r.code))
                        > 0.2 * CASE WHEN r.a > 0.2 * r.all_a AND r.b > 0.2 * r.all_b THEN least(p.deviation_a, p.deviation_b)
                                     WHEN r.a > 0.2 * r.all_a THEN p.deviation_a ELSE p.deviation_b END
                   ELSE false END) AS blind
        FROM ranked r JOIN pairs p ON p.w = r.w AND p.feature_id = r.feature_id AND p.kind = r.kind
        CROSS JOIN LATERAL (SELECT CASE WHEN r.kind = 'categorical' OR r.all_a = 0 THEN r.code
            ELSE least(9, floor(10 * (r.cum_a - r.a / 2) / r.all_a))::int END AS bin) g
        GROUP BY r.w, r.feature_id, g.bin
    ), shares AS (
        SELECT g.*, count(*) OVER pair AS bins,
               (g.a + 0.5) / (g.all_a + 0.5 * count(*) OVER pair) AS p, (g.b + 0.5) / (g.all_b + 0.5 * count(*) OVER pair) AS q
        FROM grouped g WINDOW pair AS (PARTITION BY g.w, g.feature_id)
    ), measured AS (
        SELECT s.w, s.feature_id, max(s.bins)::int AS bins, max(s.all_a) AS all_a, max(s.all_b) AS all_b,
               sum((s.p - s.q) * ln(s.p / s.q)) AS psi, max(s.gap) AS gap, bool_or(s.blind) AS blind
        FROM shares s GROUP BY s.w, s.feature_id
    ), tested AS (
        SELECT p.*, m.bins, m.blind, m.all_a, m.all_b,
               CASE WHEN m.all_a > 0 AND m.all_b > 0 THEN greatest(0, m.psi) END AS psi,
               CASE WHEN m.all_a > 0 AND m.all_b > 0 THEN (1 / m.all_a + 1 / m.all_b) * nadi_store.chi_square_limit(m.bins - 1) END AS noise,
               CASE WHEN p.kind <> 'categorical' THEN m.gap END AS gap,
               CASE WHEN p.feature_id > 0 THEN greatest(0, 1 - coalesce(p.n_a, 0) / nullif(p.predictions_a, 0)) END AS missing_a,
               CASE WHEN p.feature_id > 0 THEN greatest(0, 1 - coalesce(p.n_b, 0) / nullif(p.predictions_b, 0)) END AS missing_b
        FROM pairs p LEFT JOIN measured m ON m.w = p.w AND m.feature_id = p.feature_id
    ), judged AS (
        SELECT t.*, coalesce(t.n_a, 0) < 200 OR coalesce(t.n_b, 0) < 200 AS few, coalesce(t.psi > t.noise, false) AS moved,
               coalesce(t.predictions_a >= 200 AND t.predictions_b >= 200 AND abs(t.missing_b - t.missing_a) > 4.417173413469023 * sqrt(
                   x.rate * (1 - x.rate) * (1 / nullif(t.predictions_a, 0) + 1 / nullif(t.predictions_b, 0))), false) AS missing_moved
        FROM tested t CROSS JOIN LATERAL (SELECT (t.missing_a * t.predictions_a + t.missing_b * t.predictions_b)
            / nullif(t.predictions_a + t.predictions_b, 0) AS rate) x
    )
    SELECT j.w, CASE WHEN j.feature_id = 0 THEN 'score' ELSE f.role END, CASE WHEN j.feature_id = 0 THEN 'score' ELSE f.feature_name END,
           j.kind, coalesce(j.n_a, 0), coalesce(j.n_b, 0), coalesce(j.bins, 0), j.psi, j.noise, j.gap,
           nadi_store.kolmogorov_p(j.gap * sqrt(j.all_a * j.all_b / nullif(j.all_a + j.all_b, 0))), j.missing_a, j.missing_b,
           CASE WHEN j.missing_moved AND abs(j.missing_b - j.missing_a) >= 0.1 THEN 'drifted'
                WHEN j.few THEN CASE WHEN j.missing_moved THEN 'shifted' ELSE 'too_few' END
                WHEN j.moved AND j.psi >= 0.2 THEN 'drifted'
                WHEN j.moved OR j.missing_moved THEN 'shifted'
                WHEN j.psi IS NULL OR j.blind THEN 'too_coarse'
                ELSE 'stable' END,
           CASE WHEN j.missing_moved AND abs(j.missing_b - j.missing_a) >= 0.1 THEN 'missing rate'
                WHEN j.few THEN CASE WHEN j.missing_moved THEN 'missing rate' ELSE 'fewer than 200 values on a side' END
                WHEN j.moved THEN 'distribution'
                WHEN j.missing_moved THEN 'missing rate'
                WHEN j.psi IS NULL THEN 'bins are kept for the slice_key all only'
                WHEN j.blind THEN 'values vary less than the bins are wide'
                ELSE '' END
    FROM judged j LEFT JOIN nadi_store.feature f ON f.feature_id = j.feature_id;
END
$$;
COMMENT ON FUNCTION nadi_store.drift_windows(text, int[], timestamptz[], timestamptz[], interval, text[], text[]) IS 'Each window against the one before it, feature by feature: what drift_between and drift_over_time show. width: set where the windows are consecutive buckets of that width, which are then read at once.';

CREATE FUNCTION nadi.drift_between(
    model text, first_from timestamptz, first_to timestamptz, second_from timestamptz, second_to timestamptz,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL, roles text[] DEFAULT NULL, features text[] DEFAULT NULL
) RETURNS TABLE (
    feature_role text, feature_name text, value_kind text, first_count bigint, second_count bigint, bin_count int,
    psi float8, psi_noise float8, ks float8, ks_p_value float8, first_missing_rate float8, second_missing_rate float8,
    missing_rate_change float8, drift_state text, reason text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
BEGIN
    RETURN QUERY
    SELECT d.feature_role, d.feature_name, d.value_kind, d.first_count::bigint, d.second_count::bigint, d.bin_count, d.psi, d.psi_noise,
           d.ks, d.ks_p_value, d.first_missing_rate, d.second_missing_rate, d.second_missing_rate - d.first_missing_rate,
           d.drift_state, d.reason
    FROM nadi_store.drift_windows(model, ids, ARRAY[first_from, second_from], ARRAY[first_to, second_to], NULL, roles, features) d
    ORDER BY array_position(ARRAY['score', 'prediction', 'feature'], d.feature_role), d.feature_name;
END
$$;
COMMENT ON FUNCTION nadi.drift_between(text, timestamptz, timestamptz, timestamptz, timestamptz, text[], text[], text[], text, text[], text[], text[]) IS 'Each feature, the prediction and the score: the second range against the first. psi on deciles of the first range (categories: on them) with shares (n + 0.5) / (N + 0.5 B); psi_noise what chance alone exceeds once in 100,000; ks the largest gap of the distributions and its asymptotic p. A missing rate is the share of successful predictions without a usable value. drift_state: too_few (fewer than 200 values on a side), too_coarse (nothing seen, but over 20 % of the values share a bin that, within the extremes seen, is wider than a fifth of their standard deviation), stable, shifted (psi above its noise, or missing rates apart at 1e-5), drifted (psi also at least 0.2, or missing rates at least 0.1 apart). roles: feature, prediction, score. Null filters take all; slice_key: one tag, or all.';

CREATE FUNCTION nadi.drift_over_time(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL, roles text[] DEFAULT NULL, features text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, bucket_end timestamptz, feature_role text, feature_name text, value_kind text,
    previous_count bigint, current_count bigint, psi float8, psi_noise float8, ks float8,
    previous_missing_rate float8, current_missing_rate float8, drift_state text, reason text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := nadi.bucket_width(from_time, to_time, greatest(interval '1 hour', bucket), 24);
    starts timestamptz[];
BEGIN
    PERFORM nadi_store.grains(from_time, to_time, NULL, false);
    SELECT array_agg(s ORDER BY s) INTO starts
    FROM generate_series(nadi_store.bucket_of(from_time, width, NULL) - width, least(to_time, now() + width), width) s WHERE s < to_time;
    RETURN QUERY
    SELECT starts[d.window_number], starts[d.window_number] + width, d.feature_role, d.feature_name, d.value_kind,
           d.first_count::bigint, d.second_count::bigint, d.psi, d.psi_noise, d.ks, d.first_missing_rate, d.second_missing_rate,
           d.drift_state, d.reason
    FROM nadi_store.drift_windows(model, ids, starts, (SELECT array_agg(s + width ORDER BY s) FROM unnest(starts) s), width,
                                  roles, features) d
    ORDER BY 1, array_position(ARRAY['score', 'prediction', 'feature'], d.feature_role), d.feature_name;
END
$$;
COMMENT ON FUNCTION nadi.drift_over_time(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[], text[], text[]) IS 'Drift bucket by bucket, each against the bucket before it; measures and states as in nadi.drift_between. bucket: least width, at least an hour, widened to fewer than 24 windows (nadi.bucket_width). Other arguments as in nadi.drift_between.';
