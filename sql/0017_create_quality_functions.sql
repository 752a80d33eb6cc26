-- Purpose: classes and scores over any range. Locks: none (new functions).

CREATE FUNCTION nadi.class_mix(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (bucket_start timestamptz, class_name text, prediction_count bigint, class_share float8)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    feature_ids int[] := nadi_store.matching_features(model, ARRAY['prediction'], NULL);
    width interval := nadi_store.row_width(from_time, to_time, bucket);
BEGIN
    RETURN QUERY
    SELECT x.at, coalesce(k.value, '(other)'), sum(x.n)::bigint, (sum(x.n) / nullif(sum(sum(x.n)) OVER (PARTITION BY x.at), 0))::float8
    FROM (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, c.id, c.n
        FROM nadi_store.feature_rows(ids, feature_ids, from_time, to_time, width) r
        CROSS JOIN LATERAL (
            SELECT * FROM unnest(r.category_ids, r.category_counts) AS u(id, n)
            UNION ALL SELECT 0, r.other_count WHERE r.other_count > 0) c) x
    LEFT JOIN nadi_store.category k ON k.category_id = x.id
    GROUP BY x.at, k.value ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION nadi.class_mix(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'Predicted classes and their shares, bucket by bucket. bucket: least width of a row''s period, at least an hour, widened to at most 60 periods; null takes the whole range. Null filters take all; slice_key: one tag, or all. Regressions have no rows.';

CREATE FUNCTION nadi.score_histogram(
    model text, from_time timestamptz, to_time timestamptz, bins int DEFAULT 20,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL, class_name text DEFAULT NULL
) RETURNS TABLE (lower_score float8, upper_score float8, prediction_count bigint, prediction_share float8, score_mean float8, positive_count bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    bars int := bins;
    classes int[] := CASE WHEN class_name IS NULL THEN ARRAY[0] ELSE coalesce((
        SELECT array_agg(k.category_id) FROM nadi_store.category k
        WHERE k.value = score_histogram.class_name AND k.feature_id = ANY (nadi_store.matching_features(model, ARRAY['prediction'], NULL))), '{}') END;
BEGIN
    IF bins IS NULL OR bins < 1 OR 100 % bins <> 0 THEN
        RAISE EXCEPTION 'bins is %, which does not divide 100', coalesce(bins::text, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass 1, 2, 4, 5, 10, 20, 25, 50 or 100.';
    END IF;
    RETURN QUERY
    SELECT x.bar / bars::float8, (x.bar + 1) / bars::float8, sum(x.n)::bigint, (sum(x.n) / nullif(sum(sum(x.n)) OVER (), 0))::float8,
           sum(x.total) / nullif(sum(x.n), 0)::float8, sum(x.positive)::bigint
    FROM (
        SELECT least(bars - 1, floor(e.lower * bars + 1e-9))::int AS bar, c.n, c.total, c.positive
        FROM nadi_store.score_rows(ids, from_time, to_time, NULL) r,
             unnest(r.bins, r.counts, r.sums, r.positive_counts) AS c(bin, n, total, positive)
        JOIN nadi_store.score_edge e ON e.bin = c.bin
        WHERE r.category_id = ANY (classes)) x
    GROUP BY x.bar ORDER BY 1;
END
$$;
COMMENT ON FUNCTION nadi.score_histogram(text, timestamptz, timestamptz, int, text[], text[], text[], text, text[], text) IS 'Scores over a range in equally wide bars; counts are exact, empty bars have no row. bins: a divisor of 100. class_name: a class of the event''s field scores; null takes its field score. Null filters take all; slice_key: one tag, or all.';
