-- Purpose: what the views and functions of schema nadi are built from: bins, tests, series filters, row sources. Locks: none.
-- These stay in nadi_store: readers reach them only through schema nadi.

-- Log bins: 35 per octave, code = bin + 40000 for positive numbers, its negation for negative ones, 0 for zero.
CREATE FUNCTION nadi_store.bin_power(bin int) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN bin >= 35840 THEN 1.7976931348623157e308 ELSE power(2::float8, bin / 35::float8) END;
COMMENT ON FUNCTION nadi_store.bin_power(int) IS 'The lower edge 2^(bin/35) of a log bin of positive numbers; the greatest float8 above the last.';

CREATE FUNCTION nadi_store.bin_lower(code int) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN code > 0 THEN nadi_store.bin_power(code - 40000)
            WHEN code < 0 THEN -nadi_store.bin_power(-code - 39999)
            ELSE 0 END;
COMMENT ON FUNCTION nadi_store.bin_lower(int) IS 'The least value of a log bin.';

CREATE FUNCTION nadi_store.bin_upper(code int) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN code > 0 THEN nadi_store.bin_power(code - 39999)
            WHEN code < 0 THEN -nadi_store.bin_power(-code - 40000)
            ELSE 0 END;
COMMENT ON FUNCTION nadi_store.bin_upper(int) IS 'The upper end of a log bin.';

CREATE FUNCTION nadi_store.bin_value(code int) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN code = 0 THEN 0
            ELSE sign(code) * nadi_store.bin_power(abs(code) - 40000) * (2 * 2 ^ (1 / 35::float8) / (1 + 2 ^ (1 / 35::float8))) END;
COMMENT ON FUNCTION nadi_store.bin_value(int) IS 'The answer for a log bin: 2 lo hi / (lo + hi), within 1 % of every value in it.';

CREATE FUNCTION nadi_store.chi_square_limit(freedom int) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN freedom < 1 THEN 0
    WHEN freedom <= 49 THEN (ARRAY[
        19.5114, 23.0259, 25.9017, 28.4733, 30.8562, 33.1071, 35.2585, 37.3316, 39.3407, 41.2962, 43.2060, 45.0761,
        46.9116, 48.7161, 50.4930, 52.2450, 53.9743, 55.6829, 57.3725, 59.0446, 60.7003, 62.3410, 63.9675, 65.5808,
        67.1818, 68.7710, 70.3492, 71.9170, 73.4749, 75.0234, 76.5631, 78.0942, 79.6172, 81.1325, 82.6404, 84.1412,
        85.6353, 87.1227, 88.6039, 90.0791, 91.5484, 93.0122, 94.4705, 95.9236, 97.3717, 98.8148, 100.2533, 101.6871,
        103.1166]::float8[])[freedom]
    ELSE freedom * (1 - 2 / (9::float8 * freedom) + 4.264890793922825 * sqrt(2 / (9::float8 * freedom))) ^ 3
END;
COMMENT ON FUNCTION nadi_store.chi_square_limit(int) IS 'The 1 - 1e-5 quantile of chi-square. Up to 49 degrees of freedom a table (scipy.stats.chi2.isf, 1e-5 * 10); beyond it Wilson and Hilferty (1931), at most 0.28 % too high.';

CREATE FUNCTION nadi_store.kolmogorov_p(lambda float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN lambda IS NULL THEN NULL
    WHEN lambda < 0.04 THEN 1
    WHEN lambda < 1.18 THEN greatest(0, 1 - 2.5066282746310002 / lambda * (
        SELECT sum(exp(greatest(-700, -9.869604401089358 * (2 * j - 1) ^ 2 / (8 * lambda ^ 2)))) FROM generate_series(1, 4) AS j))
    WHEN lambda > 18 THEN 0
    ELSE 2 * (SELECT sum((CASE WHEN j % 2 = 1 THEN 1 ELSE -1 END) * exp(greatest(-700, -2 * j ^ 2 * lambda ^ 2))) FROM generate_series(1, 4) AS j)
END;
COMMENT ON FUNCTION nadi_store.kolmogorov_p(float8) IS 'Probability that Kolmogorov''s statistic exceeds lambda, by the two classical series (Marsaglia, Tsang and Wang 2003, eq. 3), 1e-12.';

CREATE FUNCTION nadi_store.deviance(observed float8, expected float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN observed > 0 AND expected > 0 THEN observed * ln(observed / expected) ELSE 0 END;
COMMENT ON FUNCTION nadi_store.deviance(float8, float8) IS 'observed ln(observed / expected), 0 for nothing observed.';

CREATE FUNCTION nadi_store.divergence(p float8, q float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE WHEN p > 0 THEN p * ln(2 * p / (p + q)) ELSE 0 END + CASE WHEN q > 0 THEN q * ln(2 * q / (p + q)) ELSE 0 END)
    / 1.3862943611198906;
COMMENT ON FUNCTION nadi_store.divergence(float8, float8) IS 'A bin''s part of the Jensen-Shannon divergence of two distributions, in bits.';

CREATE FUNCTION nadi_store.middle(lower float8, upper float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN greatest(abs(lower), abs(upper)) > 1e120 THEN NULL
            WHEN abs(lower + upper) < 1e-150 THEN 0
            ELSE (lower + upper) / 2 END;
COMMENT ON FUNCTION nadi_store.middle(float8, float8) IS 'The middle of a bin. Null beyond 1e120, where sums and squares could overflow, which PostgreSQL refuses; 0 below 1e-150, where halves could underflow.';

-- Functions that functions call for each row are plpgsql: SQL's bodies are read and planned anew at each call there.
CREATE FUNCTION nadi_store.short_number(x float8, digits int DEFAULT 4) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE
        WHEN x IS NULL THEN ''
        WHEN abs(x) < 1e-300 THEN '0'
        WHEN abs(x) >= 1e7 OR abs(x) < 1e-4 THEN ltrim(to_char(x, '9.' || repeat('9', digits - 1) || 'EEEE'))
        ELSE trim_scale(round(x::numeric, digits - ceil(log(abs(x)))::int))::text
    END;
END
$$;
COMMENT ON FUNCTION nadi_store.short_number(float8, int) IS 'A number in words for people: four digits, or as many as told, an exponent where it is very large or small.';

CREATE FUNCTION nadi_store.range_digits(lower float8, upper float8) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN lower IS NULL OR upper IS NULL OR upper <= lower OR greatest(abs(lower), abs(upper)) NOT BETWEEN 1e-290 AND 1e300 THEN 4
            WHEN upper - lower <= greatest(abs(lower), abs(upper)) * 1e-15 THEN 15
            ELSE least(15, greatest(4, 2 + ceil(log(greatest(abs(lower), abs(upper))) - log(upper - lower))::int)) END;
COMMENT ON FUNCTION nadi_store.range_digits(float8, float8) IS 'How many digits tell the ends of a range apart, 4 to 15.';

CREATE FUNCTION nadi_store.short_range(lower float8, upper float8) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    digits int := nadi_store.range_digits(lower, upper);
    from_text text := nadi_store.short_number(lower, digits);
    to_text text := nadi_store.short_number(upper, digits);
BEGIN
    RETURN CASE WHEN from_text = to_text THEN from_text ELSE from_text || ' to ' || to_text END;
END
$$;
COMMENT ON FUNCTION nadi_store.short_range(float8, float8) IS 'A range in words for people, with as many digits as tell its ends apart; one number where it is one.';

CREATE FUNCTION nadi_store.short_share(share float8) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN share > 0 AND share < 0.001 THEN '<0.1'
            ELSE trim_scale(round((100 * share)::numeric, CASE WHEN share < 0.0995 THEN 1 ELSE 0 END))::text END || ' %';
COMMENT ON FUNCTION nadi_store.short_share(float8) IS 'A share in per cent, for people.';

CREATE FUNCTION nadi_store.normal_limit(tail float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t float8 := sqrt(-2 * ln(tail));
BEGIN
    RETURN t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t);
END
$$;
COMMENT ON FUNCTION nadi_store.normal_limit(float8) IS 'What a standard normal exceeds with a probability of tail (at most 0.5), within 4.5e-4 (Abramowitz and Stegun 26.2.23).';

-- Two shares: x of n against y of m. Pearson's z claims 1e-5 for one value in 1,000 against none in 50,000; G does not.
CREATE FUNCTION nadi_store.share_root(x float8, n float8, y float8, m float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    expected_x float8;
    expected_y float8;
    d          float8;
    g          float8;
BEGIN
    IF n IS NULL OR m IS NULL OR x IS NULL OR y IS NULL OR n <= 0 OR m <= 0 OR x + y <= 0 OR x + y >= n + m THEN
        RETURN 0;
    END IF;
    expected_x := (x + y) * (n / (n + m));
    expected_y := (x + y) * (m / (n + m));
    d := abs(y - expected_y) - 0.5;
    IF d <= 0 THEN
        RETURN 0;
    END IF;
    IF y < expected_y THEN
        d := -d;
    END IF;
    g := 2 * (nadi_store.deviance(expected_x - d, expected_x) + nadi_store.deviance(expected_y + d, expected_y)
        + nadi_store.deviance(n - expected_x + d, n - expected_x) + nadi_store.deviance(m - expected_y - d, m - expected_y));
    RETURN sign(d) * sqrt(greatest(0, g));
END
$$;
COMMENT ON FUNCTION nadi_store.share_root(float8, float8, float8, float8) IS 'y of m against x of n, as a normal deviate. The signed root of the likelihood ratio statistic G of the 2 x 2 table with Yates'' correction (observed counts half a count nearer to the expected), about standard normal where the shares are one; positive where the second is larger; 0 where nothing can be said.';

CREATE FUNCTION nadi_store.wilson_bound(successes float8, trials float8, direction int) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN trials > 0 THEN least(1, greatest(0,
    (successes / trials + 3.841458820694124 / (2 * trials) + direction * 1.959963984540054
        * sqrt(successes / trials * (1 - successes / trials) / trials + 3.841458820694124 / (4 * trials * trials)))
    / (1 + 3.841458820694124 / trials))) END;
COMMENT ON FUNCTION nadi_store.wilson_bound(float8, float8, int) IS 'Wilson''s 95 % interval of a share: direction -1 its lower end, 1 its upper.';

CREATE FUNCTION nadi_store.matching_series(
    model text, versions text[], variants text[], environments text[], slice_key text, slice_values text[]
) RETURNS int[] LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF model IS NULL THEN
        RAISE EXCEPTION 'model is null' USING ERRCODE = 'null_value_not_allowed', HINT = 'Name one model of nadi.model.';
    END IF;
    IF slice_key IS NULL THEN
        RAISE EXCEPTION 'slice_key is null, and values of different tags do not add up'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name one slice_key of nadi.series, or leave it out for the whole.';
    END IF;
    RETURN coalesce((
        SELECT array_agg(s.series_id ORDER BY s.series_id)
        FROM nadi_store.series s JOIN nadi_store.model m USING (model_id)
        WHERE m.model_name = model
          AND (versions IS NULL OR s.model_version = ANY (versions))
          AND (variants IS NULL OR s.model_variant = ANY (variants) OR '(served)' = ANY (variants) AND s.model_variant <> 'shadow')
          AND (environments IS NULL OR s.environment = ANY (environments))
          AND s.slice_key = matching_series.slice_key
          AND (slice_values IS NULL OR s.slice_value = ANY (slice_values))), '{}');
END
$$;
COMMENT ON FUNCTION nadi_store.matching_series(text, text[], text[], text[], text, text[]) IS 'The series of one model and one slice key that a function adds up; null filters take all. The variant (served) stands for all but shadow. Refuses a null slice_key.';

CREATE FUNCTION nadi_store.matching_features(model text, roles text[], features text[]) RETURNS int[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(f.feature_id ORDER BY f.feature_id), '{}')
    FROM nadi_store.feature f JOIN nadi_store.model m USING (model_id)
    WHERE m.model_name = model AND (roles IS NULL OR f.role = ANY (roles)) AND (features IS NULL OR f.feature_name = ANY (features))
$$;
COMMENT ON FUNCTION nadi_store.matching_features(text, text[], text[]) IS 'The features of a model, by role and name; null filters take all.';

-- Which table answers for which part of a range: whole UTC days from the day table where rows may be as coarse as a
-- day, the ragged ends from the hour table, short buckets from the minute table.
CREATE TYPE nadi_store.grains AS (
    minute_from timestamptz, minute_to timestamptz,
    head_from timestamptz, head_to timestamptz,
    day_from timestamptz, day_to timestamptz,
    tail_from timestamptz, tail_to timestamptz
);
CREATE FUNCTION nadi_store.grains(from_time timestamptz, to_time timestamptz, bucket interval, minutes boolean)
RETURNS nadi_store.grains LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    origin CONSTANT timestamptz := '2001-01-01 00:00:00+00';
    result nadi_store.grains;
    day_first timestamptz;
    day_last timestamptz;
BEGIN
    IF from_time IS NULL OR to_time IS NULL OR NOT isfinite(from_time) OR NOT isfinite(to_time) OR from_time > to_time THEN
        RAISE EXCEPTION 'the range from % to % is not one', coalesce(from_time::text, 'null'), coalesce(to_time::text, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass two times, the earlier one first.';
    END IF;
    IF minutes AND from_time >= coalesce((SELECT at FROM nadi_store.loader_state WHERE name = 'minutes_kept'), now() - interval '35 days') AND (
        bucket < interval '1 hour' OR (bucket IS NULL AND to_time - from_time <= interval '6 hours'
            AND (from_time <> date_bin('1 hour', from_time, origin) OR to_time <> date_bin('1 hour', to_time, origin)))
    ) THEN
        result.minute_from := date_bin('1 minute', from_time, origin);
        result.minute_to := to_time;
        RETURN result;
    END IF;
    result.head_from := date_bin('1 hour', from_time, origin);
    result.head_to := to_time;
    IF bucket IS NULL OR extract(epoch FROM bucket)::bigint % 86400 = 0 THEN
        day_first := date_bin('1 day', from_time + interval '24 hours' - interval '1 microsecond', origin);
        day_last := date_bin('1 day', to_time, origin);
        IF day_first < day_last THEN
            result.head_to := day_first;
            result.day_from := day_first;
            result.day_to := day_last;
            result.tail_from := day_last;
            result.tail_to := to_time;
        END IF;
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION nadi_store.grains(timestamptz, timestamptz, interval, boolean) IS 'Splits a range over the minute, hour and day tables. Refuses ranges that are null, infinite or backwards.';

CREATE FUNCTION nadi_store.request_rows(series int[], from_time timestamptz, to_time timestamptz, bucket interval, minutes boolean)
RETURNS SETOF nadi_store.request_hour LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 500 SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    g nadi_store.grains := nadi_store.grains(from_time, to_time, bucket, minutes);
BEGIN
    IF g.minute_from IS NOT NULL THEN
        RETURN QUERY SELECT * FROM nadi_store.request_minute r
            WHERE r.series_id = ANY (series) AND r.minute >= g.minute_from AND r.minute < g.minute_to;
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM nadi_store.request_hour r
        WHERE r.series_id = ANY (series) AND r.hour >= g.head_from AND r.hour < g.head_to;
    IF g.day_from IS NOT NULL THEN
        RETURN QUERY SELECT * FROM nadi_store.request_day r
            WHERE r.series_id = ANY (series) AND r.day >= g.day_from AND r.day < g.day_to;
        RETURN QUERY SELECT * FROM nadi_store.request_hour r
            WHERE r.series_id = ANY (series) AND r.hour >= g.tail_from AND r.hour < g.tail_to;
    END IF;
END
$$;
COMMENT ON FUNCTION nadi_store.request_rows(int[], timestamptz, timestamptz, interval, boolean) IS 'Request rows of a range, each as coarse as allowed; the column hour holds the start of its minute, hour or day.';

CREATE FUNCTION nadi_store.feature_rows(series int[], features int[], from_time timestamptz, to_time timestamptz, bucket interval)
RETURNS SETOF nadi_store.feature_hour LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 500 SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    g nadi_store.grains := nadi_store.grains(from_time, to_time, bucket, false);
BEGIN
    RETURN QUERY SELECT * FROM nadi_store.feature_hour r
        WHERE r.series_id = ANY (series) AND r.feature_id = ANY (features) AND r.hour >= g.head_from AND r.hour < g.head_to;
    IF g.day_from IS NOT NULL THEN
        RETURN QUERY SELECT * FROM nadi_store.feature_day r
            WHERE r.series_id = ANY (series) AND r.feature_id = ANY (features) AND r.day >= g.day_from AND r.day < g.day_to;
        RETURN QUERY SELECT * FROM nadi_store.feature_hour r
            WHERE r.series_id = ANY (series) AND r.feature_id = ANY (features) AND r.hour >= g.tail_from AND r.hour < g.tail_to;
    END IF;
END
$$;
COMMENT ON FUNCTION nadi_store.feature_rows(int[], int[], timestamptz, timestamptz, interval) IS 'Feature rows of a range, each as coarse as allowed; the column hour holds the start of its hour or day.';

-- kind: a null of the hour table's row type, whose name says the day table's.
CREATE FUNCTION nadi_store.grained_rows(kind anyelement, series int[], from_time timestamptz, to_time timestamptz, bucket interval)
RETURNS SETOF anyelement LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 500 AS $$
DECLARE
    g      nadi_store.grains := nadi_store.grains(from_time, to_time, bucket, false);
    hours  text := format('SELECT * FROM %s WHERE series_id = ANY ($1) AND hour >= $2 AND hour < $3', pg_typeof(kind));
BEGIN
    RETURN QUERY EXECUTE hours USING series, g.head_from, g.head_to;
    IF g.day_from IS NOT NULL THEN
        RETURN QUERY EXECUTE format('SELECT * FROM %s WHERE series_id = ANY ($1) AND day >= $2 AND day < $3',
            replace(pg_typeof(kind)::text, '_hour', '_day')) USING series, g.day_from, g.day_to;
        RETURN QUERY EXECUTE hours USING series, g.tail_from, g.tail_to;
    END IF;
END
$$;
COMMENT ON FUNCTION nadi_store.grained_rows(anyelement, int[], timestamptz, timestamptz, interval) IS 'Rows of a range from an hour table and its day table, each as coarse as allowed. The column hour holds the start of its hour or day.';

CREATE FUNCTION nadi_store.score_rows(series int[], from_time timestamptz, to_time timestamptz, bucket interval)
RETURNS SETOF nadi_store.score_hour LANGUAGE sql STABLE PARALLEL SAFE ROWS 500 AS $$
    SELECT * FROM nadi_store.grained_rows(NULL::nadi_store.score_hour, series, from_time, to_time, bucket)
$$;
COMMENT ON FUNCTION nadi_store.score_rows(int[], timestamptz, timestamptz, interval) IS 'Score rows of a range, each as coarse as allowed; the column hour holds the start of its hour or day.';

CREATE FUNCTION nadi_store.outcome_rows(series int[], from_time timestamptz, to_time timestamptz, bucket interval)
RETURNS SETOF nadi_store.outcome_hour LANGUAGE sql STABLE PARALLEL SAFE ROWS 500 AS $$
    SELECT * FROM nadi_store.grained_rows(NULL::nadi_store.outcome_hour, series, from_time, to_time, bucket)
$$;
COMMENT ON FUNCTION nadi_store.outcome_rows(int[], timestamptz, timestamptz, interval) IS 'Outcome rows of a range, each as coarse as allowed; the column hour holds the start of its hour or day.';

CREATE FUNCTION nadi_store.named_outcome_rows(series int[], from_time timestamptz, to_time timestamptz, bucket interval)
RETURNS SETOF nadi_store.named_outcome_hour LANGUAGE sql STABLE PARALLEL SAFE ROWS 500 AS $$
    SELECT * FROM nadi_store.grained_rows(NULL::nadi_store.named_outcome_hour, series, from_time, to_time, bucket)
$$;
COMMENT ON FUNCTION nadi_store.named_outcome_rows(int[], timestamptz, timestamptz, interval) IS 'Named outcome rows of a range, each as coarse as allowed; the column hour holds the start of its hour or day.';

CREATE FUNCTION nadi.bucket_width(from_time timestamptz, to_time timestamptz, requested interval DEFAULT NULL, max_points int DEFAULT 60)
RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    (SELECT min(w) FROM unnest(ARRAY['1 minute', '2 minutes', '5 minutes', '10 minutes', '30 minutes', '1 hour', '3 hours',
        '6 hours', '1 day', '2 days', '7 days', '28 days']::interval[]) AS w
     WHERE w >= coalesce(requested, w) AND extract(epoch FROM to_time - from_time) / extract(epoch FROM w) < max_points),
    interval '28 days' * greatest(
        ceil(extract(epoch FROM to_time - from_time) / 2419200 / max_points),
        ceil(extract(epoch FROM coalesce(requested, interval '0')) / 2419200))::int);
COMMENT ON FUNCTION nadi.bucket_width(timestamptz, timestamptz, interval, int) IS 'The narrowest width that cuts a range into fewer than max_points buckets. One of 1, 2, 5, 10, 30 minutes, 1, 3, 6 hours, 1, 2, 7, 28 days. requested: a width that the answer must not fall below. Buckets start at Monday 2001-01-01 UTC plus multiples of the width.';

CREATE FUNCTION nadi_store.bucket_of(at timestamptz, bucket interval, from_time timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN bucket IS NULL THEN from_time ELSE date_bin(bucket, at, '2001-01-01 00:00:00+00') END;
COMMENT ON FUNCTION nadi_store.bucket_of(timestamptz, interval, timestamptz) IS 'The start of the bucket that holds a time; without a bucket the start of the range.';

CREATE FUNCTION nadi_store.row_width(from_time timestamptz, to_time timestamptz, bucket interval) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, greatest(interval '1 hour', bucket)) END;
COMMENT ON FUNCTION nadi_store.row_width(timestamptz, timestamptz, interval) IS 'The width of the rows that are asked for by bucket, at least an hour; null for the whole range.';

CREATE FUNCTION nadi_store.predicted(series int[], from_time timestamptz, to_time timestamptz, width interval)
RETURNS TABLE (at timestamptz, n bigint) LANGUAGE sql STABLE PARALLEL SAFE ROWS 60 AS $$
    SELECT nadi_store.bucket_of(r.hour, width, from_time), sum(r.predictions - r.failed_predictions)::bigint
    FROM nadi_store.request_rows(series, from_time, to_time, width, false) r GROUP BY 1
$$;
COMMENT ON FUNCTION nadi_store.predicted(int[], timestamptz, timestamptz, interval) IS 'Successful predictions by bucket: what shares of labels, clicks and values are of. Outcomes of failed ones count nowhere.';

CREATE FUNCTION nadi_store.least_count() RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 200;
COMMENT ON FUNCTION nadi_store.least_count() IS 'Of how many something must be for its state not to be too_few.';

CREATE FUNCTION nadi_store.binary_pairs(two float8, yes float8, said float8, hit float8)
RETURNS TABLE (predicted int, label int, n float8) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 4 AS $$
    SELECT * FROM (VALUES (-1, -1, hit), (-1, -2, said - hit), (-2, -1, yes - hit), (-2, -2, two - said - yes + hit)) AS v(predicted, label, n)
    WHERE v.n > 0
$$;
COMMENT ON FUNCTION nadi_store.binary_pairs(float8, float8, float8, float8) IS 'Pairs of a binary task, -1 positive and -2 negative, from its four numbers. All, positive labels, positive predictions, both.';
