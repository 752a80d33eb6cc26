-- Purpose: features over any range: moments and histograms that merge. Locks: none (new functions).

-- Means are merged as differences from the largest group's mean: at mean 1e9 and spread 1 nothing cancels. Beyond 1e120
-- squares overflow, which PostgreSQL raises as an error: such a feature has no mean here, and the others have theirs. Squares
-- of differences below 1e-130 could underflow, which is an error too: they count as none.
CREATE FUNCTION nadi_store.feature_totals(series int[], features int[], from_time timestamptz, to_time timestamptz)
RETURNS TABLE (
    feature_id int, numeric_count float8, categorical_count float8, null_count float8, wrong_type_count float8,
    mean_value float8, m2 float8, minimum float8, maximum float8
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT t.feature_id, sum(n), sum(t.categorical_count::float8), sum(t.null_count::float8), sum(t.wrong_type_count::float8),
           CASE WHEN sum(n) > 0 THEN nullif(max(pivot) + sum(n * d) / sum(n), 'NaN') END,
           CASE WHEN sum(n) > 0 THEN nullif(greatest(0, sum(m) + sum(n * d * d) - sum(n * d) ^ 2 / sum(n)), 'NaN') END,
           min(t.minimum), max(t.maximum)
    FROM (
        SELECT w.*, w.numeric_count::float8 AS n, CASE WHEN w.numeric_count > 0 AND w.m2 > 1e-290 THEN w.m2 ELSE 0 END AS m,
               CASE WHEN w.numeric_count = 0 THEN 0
                    WHEN NOT (abs(w.mean_high) < 1e120 AND abs(w.pivot) < 1e120) THEN 'NaN'
                    WHEN abs((w.mean_high - w.pivot) + w.mean_low) < 1e-130 THEN 0
                    ELSE (w.mean_high - w.pivot) + w.mean_low END AS d
        FROM (SELECT r.*, first_value(r.mean_high) OVER (PARTITION BY r.feature_id ORDER BY r.numeric_count DESC, r.hour, r.series_id) AS pivot
              FROM nadi_store.feature_rows(series, features, from_time, to_time, NULL) r) w) t
    GROUP BY t.feature_id
$$;
COMMENT ON FUNCTION nadi_store.feature_totals(int[], int[], timestamptz, timestamptz) IS 'Counts and moments of features over a range, merged without cancellation.';

CREATE FUNCTION nadi_store.successful_predictions(series int[], from_time timestamptz, to_time timestamptz) RETURNS float8
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(sum(predictions - failed_predictions), 0)::float8 FROM nadi_store.request_rows(series, from_time, to_time, NULL, false)
$$;
COMMENT ON FUNCTION nadi_store.successful_predictions(int[], timestamptz, timestamptz) IS 'Successful predictions of the whole hours that overlap a range.';

CREATE FUNCTION nadi.feature_statistics(
    model text, from_time timestamptz, to_time timestamptz, features text[] DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    feature_role text, feature_name text, prediction_count bigint, value_count bigint, numeric_count bigint, categorical_count bigint,
    missing_count bigint, null_count bigint, absent_count bigint, missing_rate float8, wrong_type_count bigint,
    mean_value float8, standard_deviation float8, minimum_value float8, maximum_value float8
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    feature_ids int[] := nadi_store.matching_features(model, NULL, features);
    predictions float8 := nadi_store.successful_predictions(ids, from_time, to_time);
BEGIN
    RETURN QUERY
    SELECT f.role, f.feature_name, predictions::bigint, (t.numeric_count + t.categorical_count)::bigint, t.numeric_count::bigint,
           t.categorical_count::bigint, (t.null_count + a.absent)::bigint, t.null_count::bigint, a.absent::bigint,
           (t.null_count + a.absent) / nullif(predictions, 0), t.wrong_type_count::bigint, t.mean_value,
           CASE WHEN t.numeric_count > 1 THEN sqrt(t.m2 / (t.numeric_count - 1)) END, t.minimum, t.maximum
    FROM nadi_store.feature_totals(ids, feature_ids, from_time, to_time) t JOIN nadi_store.feature f USING (feature_id)
    CROSS JOIN LATERAL (SELECT greatest(0, predictions - t.numeric_count - t.categorical_count - t.null_count - t.wrong_type_count) AS absent) a
    ORDER BY f.role DESC, f.feature_name;
END
$$;
COMMENT ON FUNCTION nadi.feature_statistics(text, timestamptz, timestamptz, text[], text[], text[], text[], text, text[]) IS 'Each feature over a range: values, missing (null or absent), mean, sample standard deviation, extremes. features: null takes all. versions, variants, environments, slice_values: null takes all. slice_key: one tag, or all. Counts whole hours that overlap the range.';

CREATE FUNCTION nadi.feature_histogram(
    model text, feature text, from_time timestamptz, to_time timestamptz, bins int DEFAULT 30,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL, feature_role text DEFAULT 'feature'
) RETURNS TABLE (lower_value float8, upper_value float8, value_count bigint, value_share float8)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, 'all', NULL);
    feature_ids int[] := nadi_store.matching_features(model, ARRAY[feature_role], ARRAY[feature]);
BEGIN
    IF bins IS NULL OR bins < 1 OR bins > 1000 THEN
        RAISE EXCEPTION 'bins is %', coalesce(bins::text, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass a number of bars between 1 and 1000.';
    END IF;
    RETURN QUERY
    WITH rows AS MATERIALIZED (
        SELECT r.log_bins, r.log_counts, r.minimum, r.maximum FROM nadi_store.feature_rows(ids, feature_ids, from_time, to_time, NULL) r
    ), ends AS (
        SELECT min(r.minimum) AS least_value, max(r.maximum) AS greatest_value,
               nullif(max(r.maximum) / bins - min(r.minimum) / bins, 0) AS step FROM rows r
    ), cells AS (
        SELECT c.code, sum(c.n) AS n FROM rows r, unnest(r.log_bins, r.log_counts) AS c(code, n) GROUP BY c.code
    ), bars AS (
        SELECT c.code, c.n, coalesce(least(bins - 1, greatest(0, floor((nadi_store.bin_value(c.code) - e.least_value) / e.step))), 0) AS bar
        FROM cells c, ends e
    )
    SELECT greatest(nadi_store.bin_lower(min(b.code)), min(e.least_value)), least(nadi_store.bin_upper(max(b.code)), max(e.greatest_value)),
           sum(b.n)::bigint, (sum(b.n) / sum(sum(b.n)) OVER ())::float8
    FROM bars b, ends e GROUP BY b.bar ORDER BY 1;
END
$$;
COMMENT ON FUNCTION nadi.feature_histogram(text, text, timestamptz, timestamptz, int, text[], text[], text[], text) IS 'A numeric feature''s distribution over a range in about equally wide bars. Counts and edges are exact, empty bars have no row. bins: how many bars between minimum and maximum. feature_role: prediction for a regression''s own numbers. versions, variants, environments: null takes all. Bars cannot be narrower than 2 % of their value.';
