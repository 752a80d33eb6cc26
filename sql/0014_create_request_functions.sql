-- Purpose: requests and latency over any range. Locks: none (new functions).
-- All functions of schema nadi read nadi_store with their owner's rights; what a caller passes is only ever a value.

CREATE FUNCTION nadi.requests(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, request_count bigint, prediction_count bigint, error_count bigint, failed_prediction_count bigint,
    error_rate float8, requests_per_second float8, latency_mean_seconds float8
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, bucket) END;
BEGIN
    RETURN QUERY
    WITH counted AS (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, sum(r.requests) AS requests, sum(r.predictions) AS predictions,
               sum(r.errors) AS errors, sum(r.failed_predictions) AS failed, sum(r.latency_sum) AS latency, sum(r.latency_count) AS timed
        FROM nadi_store.request_rows(ids, from_time, to_time, width, true) r GROUP BY 1
    ), buckets AS (
        SELECT from_time AS at WHERE width IS NULL
        UNION ALL
        SELECT g FROM generate_series(nadi_store.bucket_of(from_time, width, NULL), least(to_time, now()), width) g
        WHERE width IS NOT NULL AND g < to_time
        UNION
        SELECT at FROM counted
    ), spans AS (
        SELECT at, greatest(at, from_time) AS first, least(CASE WHEN width IS NULL THEN to_time ELSE at + width END, to_time, now()) AS last
        FROM buckets
    )
    SELECT s.at, coalesce(c.requests, 0)::bigint, coalesce(c.predictions, 0)::bigint, coalesce(c.errors, 0)::bigint,
           coalesce(c.failed, 0)::bigint, (c.errors / nullif(c.requests, 0))::float8,
           coalesce(c.requests, 0)::float8 / nullif(greatest(1, extract(epoch FROM s.last - CASE
               WHEN width < interval '1 hour' THEN date_trunc('minute', s.first) ELSE date_trunc('hour', s.first, 'UTC') END))::float8, 0),
           c.latency / nullif(c.timed, 0)
    FROM spans s LEFT JOIN counted c USING (at) ORDER BY 1;
END
$$;
COMMENT ON FUNCTION nadi.requests(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'Requests of a model over a range, bucket by bucket, zeros included. bucket: least width of a row''s period, widened to at most 60 rows (nadi.bucket_width); null gives one row. versions, variants, environments, slice_values: null takes all. slice_key: one tag, or all. Counts whole minutes (buckets under an hour, last 35 days) or whole hours that overlap the range.';

CREATE FUNCTION nadi_store.latency_cells(series int[], from_time timestamptz, to_time timestamptz, bucket interval)
RETURNS TABLE (bucket_start timestamptz, code int, n float8) LANGUAGE sql STABLE PARALLEL SAFE ROWS 5000 AS $$
    SELECT nadi_store.bucket_of(r.hour, bucket, from_time), c.code, sum(c.n::float8)
    FROM nadi_store.request_rows(series, from_time, to_time, bucket, true) r, unnest(r.latency_bins, r.latency_counts) AS c(code, n)
    GROUP BY 1, 2
$$;
COMMENT ON FUNCTION nadi_store.latency_cells(int[], timestamptz, timestamptz, interval) IS 'Latency log bins of a range, merged by bucket.';

CREATE FUNCTION nadi.latency_quantile(
    q float8, model text, from_time timestamptz, to_time timestamptz,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS float8 LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
BEGIN
    IF q IS NULL OR q < 0 OR q > 1 THEN
        RAISE EXCEPTION 'the quantile % is not between 0 and 1', coalesce(q::text, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The 99th percentile is 0.99.';
    END IF;
    RETURN (
        SELECT nadi_store.bin_value(min(w.code)) FROM (
            SELECT c.code, sum(c.n) OVER (ORDER BY c.code) AS below, sum(c.n) OVER () AS total
            FROM nadi_store.latency_cells(ids, from_time, to_time, NULL) c) w
        WHERE w.below >= greatest(1, ceil(q * w.total)));
END
$$;
COMMENT ON FUNCTION nadi.latency_quantile(float8, text, timestamptz, timestamptz, text[], text[], text[], text, text[]) IS 'A latency percentile in seconds over any range, within 1 % of percentile_disc over the requests. q between 0 and 1. versions, variants, environments, slice_values: null takes all. slice_key: one tag, or all. Null where nothing was timed. Counts whole hours that overlap the range, whole minutes where it is at most 6 hours and recent.';

CREATE FUNCTION nadi.latency_quantiles(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, latency_count bigint, p50_seconds float8, p90_seconds float8, p95_seconds float8, p99_seconds float8
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, bucket) END;
BEGIN
    RETURN QUERY
    SELECT w.at, max(w.total)::bigint,
           nadi_store.bin_value(min(w.code) FILTER (WHERE w.below >= ceil(0.5::float8 * w.total))),
           nadi_store.bin_value(min(w.code) FILTER (WHERE w.below >= ceil(0.9::float8 * w.total))),
           nadi_store.bin_value(min(w.code) FILTER (WHERE w.below >= ceil(0.95::float8 * w.total))),
           nadi_store.bin_value(min(w.code) FILTER (WHERE w.below >= ceil(0.99::float8 * w.total)))
    FROM (
        SELECT c.bucket_start AS at, c.code, sum(c.n) OVER (PARTITION BY c.bucket_start ORDER BY c.code) AS below,
               sum(c.n) OVER (PARTITION BY c.bucket_start) AS total
        FROM nadi_store.latency_cells(ids, from_time, to_time, width) c WHERE c.n > 0) w
    GROUP BY w.at ORDER BY w.at;
END
$$;
COMMENT ON FUNCTION nadi.latency_quantiles(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'Latency percentiles in seconds, bucket by bucket, each within 1 % of percentile_disc. Arguments as in nadi.requests. Buckets without a timed request have no row.';

CREATE FUNCTION nadi.latency_heatmap(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL, bars_per_octave int DEFAULT 5,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (bucket_start timestamptz, lower_seconds float8, upper_seconds float8, request_count bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, bucket) END;
    step int;
BEGIN
    IF bars_per_octave IS NULL OR bars_per_octave NOT IN (1, 5, 7, 35) THEN
        RAISE EXCEPTION 'bars_per_octave is %, which does not divide the 35 bins of an octave', coalesce(bars_per_octave::text, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass 1, 5, 7 or 35.';
    END IF;
    step := 35 / bars_per_octave;
    RETURN QUERY
    SELECT c.bucket_start, CASE WHEN b.bar IS NULL THEN 0 ELSE nadi_store.bin_power(b.bar * step) END,
           CASE WHEN b.bar IS NULL THEN 0 ELSE nadi_store.bin_power((b.bar + 1) * step) END, sum(c.n)::bigint
    FROM nadi_store.latency_cells(ids, from_time, to_time, width) c
    CROSS JOIN LATERAL (SELECT CASE WHEN c.code > 0 THEN floor((c.code - 40000)::float8 / step)::int END AS bar) b
    GROUP BY c.bucket_start, b.bar ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION nadi.latency_heatmap(text, timestamptz, timestamptz, interval, int, text[], text[], text[], text, text[]) IS 'Latency bars, bucket by bucket, for heatmaps: one row a bar that holds requests. bars_per_octave: 1, 5, 7 or 35 bars for each doubling. Other arguments as in nadi.requests.';
