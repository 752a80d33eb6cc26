-- Purpose: classes, scores and correctness over any range. Locks: none (new functions).

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
    width interval := CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, greatest(interval '1 hour', bucket)) END;
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

CREATE FUNCTION nadi.accuracy(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, prediction_count bigint, labelled_count bigint, label_coverage float8,
    classified_count bigint, correct_count bigint, accuracy float8, accuracy_lower float8, accuracy_upper float8,
    log_loss_mean float8, brier_score float8, absolute_error_mean float8, root_mean_square_error float8,
    delay_mean_seconds float8, delay_p50_seconds float8, quality_state text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, greatest(interval '1 hour', bucket)) END;
BEGIN
    RETURN QUERY
    WITH predicted AS (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, sum(r.predictions - r.failed_predictions)::float8 AS n
        FROM nadi_store.request_rows(ids, from_time, to_time, width, false) r GROUP BY 1
    ), rows AS MATERIALIZED (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, r.* FROM nadi_store.outcome_rows(ids, from_time, to_time, width) r
    ), labelled AS (
        SELECT r.at, sum(r.labelled)::float8 AS labelled, sum(r.classified)::float8 AS classified, sum(r.correct)::float8 AS correct,
               sum(r.log_loss_sum) / nullif(sum(r.log_loss_count), 0)::float8 AS log_loss,
               sum(r.error_abs_sum) / nullif(sum(r.error_count), 0)::float8 AS absolute_error,
               sqrt(sum(r.error_square_sum) / nullif(sum(r.error_count), 0)::float8) AS square_error,
               sum(r.delay_sum) / nullif(sum(r.delay_count), 0)::float8 AS delay
        FROM rows r GROUP BY r.at
    ), scored AS (
        SELECT r.at, sum(s.p2 - 2 * s.py + s.y) / nullif(sum(s.n), 0)::float8 AS brier
        FROM rows r, unnest(r.score_counts, r.score_sum_y, r.score_sum_p2, r.score_sum_py) AS s(n, y, p2, py) GROUP BY r.at
    ), delays AS (
        SELECT d.at, nadi_store.bin_value(min(d.code) FILTER (WHERE d.below >= ceil(0.5::float8 * d.total))) AS median
        FROM (SELECT x.at, x.code, sum(x.n) OVER (PARTITION BY x.at ORDER BY x.code) AS below, sum(x.n) OVER (PARTITION BY x.at) AS total
              FROM (SELECT r.at, c.code, sum(c.n::float8) AS n FROM rows r, unnest(r.delay_bins, r.delay_counts) AS c(code, n) GROUP BY 1, 2) x) d
        GROUP BY d.at
    )
    SELECT b.at, coalesce(p.n, 0)::bigint, coalesce(l.labelled, 0)::bigint, coalesce(l.labelled, 0) / nullif(p.n, 0),
           coalesce(l.classified, 0)::bigint, coalesce(l.correct, 0)::bigint, l.correct / nullif(l.classified, 0),
           nadi_store.wilson_bound(l.correct, l.classified, -1), nadi_store.wilson_bound(l.correct, l.classified, 1),
           l.log_loss, s.brier, l.absolute_error, l.square_error, l.delay, d.median,
           CASE WHEN coalesce(p.n, 0) = 0 THEN 'no_predictions' WHEN coalesce(l.labelled, 0) = 0 THEN 'no_labels'
                WHEN l.labelled < 200 THEN 'too_few' ELSE 'measured' END
    FROM (SELECT at FROM predicted UNION SELECT from_time WHERE width IS NULL) b
    LEFT JOIN predicted p USING (at) LEFT JOIN labelled l USING (at) LEFT JOIN scored s USING (at) LEFT JOIN delays d USING (at)
    ORDER BY 1;
END
$$;
COMMENT ON FUNCTION nadi.accuracy(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'How right the predictions of a range were, as far as labels have come: accuracy with Wilson''s 95 % interval, log loss, Brier score, regression errors, label coverage and delay. bucket as in nadi.class_mix; by the prediction''s time. quality_state: no_predictions, no_labels, too_few (fewer than 200 labels) or measured. Null filters take all; slice_key: one tag, or all.';
