-- Purpose: is as much coming in as usual: each bucket against the same time of the last four weeks. Locks: none (new function).

-- Requests of one hour of the week vary more than Poisson's law allows. Between two weeks x and y of one bucket,
-- E (x - y)^2 / 2 = mu + alpha mu^2 (negative binomial, NB2), which gives alpha by moments from all pairs of adjacent weeks.
-- Bounds by Anscombe's (1948) variance-stabilising root: arsinh(sqrt((x + 3/8) alpha)) has standard deviation sqrt(alpha) / 2.
CREATE FUNCTION nadi_store.volume_bound(expected float8, dispersion float8, weeks float8, direction int) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN dispersion > 1e-9
    THEN greatest(0, sinh(greatest(0, asinh(sqrt((expected + 0.375) * dispersion))
             + direction * 4.417173413469024 / 2 * sqrt(dispersion * (1 + 1.2 / weeks)))) ^ 2 / dispersion - 0.375)
    ELSE greatest(0, greatest(0, sqrt(expected + 0.375) + direction * 4.417173413469024 / 2 * sqrt(1 + 1.2 / weeks)) ^ 2 - 0.375) END;
COMMENT ON FUNCTION nadi_store.volume_bound(float8, float8, float8, int) IS 'What a count of negative binomial law (variance mu + dispersion mu^2) exceeds by chance about once in 100,000. Its mean is only known from the median of so many weeks. direction: -1 lower, 1 upper.';

CREATE FUNCTION nadi.volume(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT '1 hour',
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, bucket_end timestamptz, request_count bigint, expected_count float8, lower_count float8, upper_count float8,
    week_count int, volume_state text, reason text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := nadi.bucket_width(from_time, to_time, greatest(interval '1 hour', coalesce(bucket, '1 hour')));
    history_end timestamptz;
    first_start timestamptz;
    history_start timestamptz;
    known_from timestamptz;
    complete timestamptz := least(now(), (SELECT c.complete_until FROM nadi.complete_until c));
BEGIN
    PERFORM nadi_store.grains(from_time, to_time, NULL, false);
    IF to_time - from_time > interval '7000 days' THEN
        RAISE EXCEPTION 'the range from % to % is too long to be compared week by week', from_time, to_time
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass a range of at most 1000 weeks.';
    END IF;
    -- A week is a whole number of buckets.
    IF width > interval '1 day' THEN
        width := interval '7 days';
    END IF;
    first_start := nadi_store.bucket_of(from_time, width, NULL);
    history_start := first_start - interval '28 days';
    -- What is not complete, or to come, has no part in what is usual.
    history_end := least(complete, greatest(first_start, least(to_time, complete) - interval '7 days'));
    -- The model's first hour: before it there was nothing to expect.
    SELECT min(o.hour) INTO known_from FROM unnest(ids) AS u(id)
    CROSS JOIN LATERAL (SELECT r.hour FROM nadi_store.request_hour r WHERE r.series_id = u.id ORDER BY r.hour LIMIT 1) o;
    RETURN QUERY
    WITH counted AS MATERIALIZED (
        SELECT r.hour, sum(r.requests)::float8 AS n
        FROM nadi_store.request_rows(ids, history_start, to_time + width, width, false) r GROUP BY r.hour
    ), shifted AS (
        -- What a bucket had so many weeks before it.
        SELECT nadi_store.bucket_of(c.hour + w.back * interval '7 days', width, NULL) AS at, w.back, sum(c.n) AS n
        FROM counted c CROSS JOIN generate_series(0, 4) AS w(back) GROUP BY 1, 2
    ), past AS (
        SELECT b.at, w.back, coalesce(p.n, 0) AS n
        FROM generate_series(first_start, to_time - interval '1 microsecond', width) AS b(at)
        CROSS JOIN generate_series(1, 4) AS w(back) LEFT JOIN shifted p USING (at, back)
        WHERE b.at - w.back * interval '7 days' >= greatest(coalesce(known_from, 'infinity'), history_start)
          AND b.at - w.back * interval '7 days' + width <= complete
    ), dispersion AS (
        -- Pairs of adjacent weeks up to the range, or to a week before its end: nothing is measured by itself.
        SELECT greatest(0, coalesce(sum((x.n - y.n) ^ 2 / 2 - (x.n + y.n) / 2) / nullif(sum(((x.n + y.n) / 2) ^ 2), 0), 0)) AS alpha
        FROM generate_series(history_start + interval '7 days', history_end - interval '1 microsecond', width) AS b(at)
        LEFT JOIN (SELECT s.at, s.n FROM shifted s WHERE s.back = 0) here USING (at)
        LEFT JOIN (SELECT s.at, s.n FROM shifted s WHERE s.back = 1) before USING (at)
        CROSS JOIN LATERAL (SELECT coalesce(here.n, 0) AS n) x CROSS JOIN LATERAL (SELECT coalesce(before.n, 0) AS n) y
        WHERE b.at - interval '7 days' >= known_from AND b.at + width <= complete
    ), current AS (
        SELECT g AS at, coalesce(s.n, 0) AS n
        FROM generate_series(first_start, to_time - interval '1 microsecond', width) g LEFT JOIN shifted s ON s.at = g AND s.back = 0
    ), history AS (
        SELECT p.at, count(*)::float8 AS weeks, percentile_cont(0.5) WITHIN GROUP (ORDER BY p.n) AS expected
        FROM past p GROUP BY p.at
    )
    SELECT c.at, c.at + width, c.n::bigint, e.expected, e.low, e.high, coalesce(h.weeks, 0)::int,
           CASE WHEN e.expected IS NULL THEN 'no_history' WHEN c.n > e.high THEN 'high' WHEN c.at + width > complete THEN 'incomplete'
                WHEN c.n < e.low THEN 'low' ELSE 'usual' END,
           CASE WHEN e.expected IS NULL THEN 'fewer than two weeks before it are known'
                WHEN c.n > e.high OR c.n < e.low AND c.at + width <= complete
                    THEN c.n::bigint || ' requests; the same time of the last weeks had ' || round(e.expected::numeric)
                ELSE '' END
    FROM current c LEFT JOIN history h USING (at) CROSS JOIN dispersion d
    CROSS JOIN LATERAL (
        SELECT CASE WHEN h.weeks >= 2 THEN h.expected END AS expected,
               CASE WHEN h.weeks >= 2 THEN nadi_store.volume_bound(h.expected, d.alpha, h.weeks, -1) END AS low,
               CASE WHEN h.weeks >= 2 THEN nadi_store.volume_bound(h.expected, d.alpha, h.weeks, 1) END AS high) e
    ORDER BY c.at;
END
$$;
COMMENT ON FUNCTION nadi.volume(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'Requests, bucket by bucket, against the same time of the last four weeks. expected_count is their median, lower_count and upper_count what chance alone leaves once in 100,000, with the over-dispersion that the weeks show (negative binomial). week_count: weeks since the model''s first request that are known. volume_state: no_history (fewer than two weeks), low, high, usual, or incomplete (not all events of the bucket are counted yet, so that few says nothing). bucket: least width, at least an hour, widened to at most 60 rows, or to rows of 7 days; rows divide a week. Weeks are UTC''s: for up to four weeks after clocks change, an hour is compared with those of an hour earlier or later by the clock. Null filters take all; slice_key: one tag, or all.';
