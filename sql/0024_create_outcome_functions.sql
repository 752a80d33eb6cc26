-- Purpose: clicks, conversions, revenue, feedback over any range, per prediction. Locks: none (new functions).

-- What the rates of some names are called, of which side they are (yes: of successful predictions; no: of outcomes that came).
CREATE FUNCTION nadi_store.named_rates() RETURNS TABLE (place int, measure text, event_type text, name text, is_negative boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 5 AS $$
    VALUES (20, 'click_through', 'outcome', 'click', false), (21, 'conversion', 'outcome', 'conversion', false),
           (23, 'thumbs_down', 'feedback', 'thumbs', true), (24, 'override_rate', 'outcome', 'override', false),
           (24, 'override_rate', 'feedback', 'override', false)
$$;
COMMENT ON FUNCTION nadi_store.named_rates() IS 'Outcomes and feedback whose rate has a name of its own.';

CREATE FUNCTION nadi_store.named_outcomes(series int[], from_time timestamptz, to_time timestamptz, width interval)
RETURNS TABLE (at timestamptz, event_type text, name text, currency text, n float8, yes float8, no float8, valued float8, total float8,
    squares float8)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 300 AS $$
    SELECT nadi_store.bucket_of(r.hour, width, from_time), r.event_type, r.name, r.currency, sum(r.count)::float8,
           sum(r.positive_count)::float8, sum(r.negative_count)::float8, sum(r.value_count)::float8,
           nadi_store.bounded_total(r.value_sum), nadi_store.bounded_total(r.value_square_sum)
    FROM nadi_store.named_outcome_rows(series, from_time, to_time, width) r GROUP BY 1, 2, 3, 4
$$;
COMMENT ON FUNCTION nadi_store.named_outcomes(int[], timestamptz, timestamptz, interval) IS 'Counts and values of outcomes and feedback by bucket, name and currency.';

-- Values of predictions without one are 0, so that there are as many as successful predictions. Where none came nobody knows how
-- much one may be.
CREATE FUNCTION nadi_store.value_mean(
    predictions float8, valued float8, total float8, squares float8, OUT mean float8, OUT error float8, OUT lower float8, OUT upper float8
) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT m.mean, m.error, m.mean - 1.959963984540054 * m.error, m.mean + 1.959963984540054 * m.error
    FROM (SELECT CASE WHEN predictions > 0 THEN nadi_store.mean_over(total, predictions) END AS mean,
                 CASE WHEN valued > 0 THEN nadi_store.mean_error(predictions, total, squares) END AS error) m
$$;
COMMENT ON FUNCTION nadi_store.value_mean(float8, float8, float8, float8) IS 'The value per prediction, its standard error and 95 % interval. Normal, by the sample''s own variance, zeros included; null where no value came.';

CREATE FUNCTION nadi_store.waiting_since(model text, from_time timestamptz) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT min(d.hour) FROM nadi_store.dirty_hour d JOIN nadi_store.model m USING (model_id)
    WHERE m.model_name = model AND d.hour >= nadi_store.bucket_of(from_time, interval '1 hour', NULL)
      AND NOT EXISTS (SELECT FROM nadi_store.join_hour j WHERE j.model_id = d.model_id AND j.hour = d.hour)
$$;
COMMENT ON FUNCTION nadi_store.waiting_since(text, timestamptz) IS 'The first hour of a range whose outcomes wait for the hour''s first join; null where none does.';

CREATE FUNCTION nadi.outcome_rates(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, event_type text, outcome_name text, prediction_count bigint, outcome_count bigint, outcome_coverage float8,
    positive_count bigint, negative_count bigint, positive_rate float8, positive_lower float8, positive_upper float8,
    negative_rate float8, negative_lower float8, negative_upper float8,
    measure text, sample_count bigint, rate float8, rate_lower float8, rate_upper float8, rate_state text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := nadi_store.row_width(from_time, to_time, bucket);
    waiting timestamptz := CASE WHEN bucket IS NOT NULL THEN nadi_store.waiting_since(model, from_time) END;
BEGIN
    RETURN QUERY
    WITH predicted AS (
        SELECT * FROM nadi_store.predicted(ids, from_time, to_time, width)
    ), counted AS MATERIALIZED (
        SELECT c.at, c.event_type, c.name, sum(c.n) AS n, sum(c.yes) AS yes, sum(c.no) AS no
        FROM nadi_store.named_outcomes(ids, from_time, to_time, width) c GROUP BY 1, 2, 3
    ), filled AS (
        -- A name that the range shows stands in every bucket: nothing is zero, not absent. Of names gathered under other a prediction
        -- may have several, which is no share.
        SELECT b.at, k.event_type, k.name, coalesce(p.n, 0)::float8 AS predictions, coalesce(c.n, 0) AS n, coalesce(c.yes, 0) AS yes,
               coalesce(c.no, 0) AS no, k.name = 'other' AS is_gathered, coalesce(r.is_negative, false) AS is_negative,
               coalesce(r.measure, 'positive_rate') AS measure
        FROM (SELECT at FROM predicted UNION SELECT at FROM counted) b CROSS JOIN (SELECT DISTINCT event_type, name FROM counted) k
        LEFT JOIN predicted p ON p.at = b.at LEFT JOIN counted c ON c.at = b.at AND c.event_type = k.event_type AND c.name = k.name
        LEFT JOIN nadi_store.named_rates() r ON r.event_type = k.event_type AND r.name = k.name
    ), judged AS (
        SELECT f.*, CASE WHEN NOT f.is_gathered THEN f.predictions END AS trials,
               CASE WHEN f.is_negative THEN f.n ELSE f.predictions END AS sample, CASE WHEN f.is_negative THEN f.no ELSE f.yes END AS hits
        FROM filled f
    )
    SELECT f.at, f.event_type, f.name, f.predictions::bigint, f.n::bigint, f.n / nullif(f.predictions, 0), f.yes::bigint, f.no::bigint,
           f.yes / nullif(f.trials, 0), nadi_store.wilson_bound(f.yes, f.trials, -1), nadi_store.wilson_bound(f.yes, f.trials, 1),
           f.no / nullif(f.n, 0), nadi_store.wilson_bound(f.no, f.n, -1), nadi_store.wilson_bound(f.no, f.n, 1),
           f.measure, f.sample::bigint, CASE WHEN NOT f.is_gathered THEN f.hits / nullif(f.sample, 0) END,
           CASE WHEN NOT f.is_gathered THEN nadi_store.wilson_bound(f.hits, f.sample, -1) END,
           CASE WHEN NOT f.is_gathered THEN nadi_store.wilson_bound(f.hits, f.sample, 1) END,
           CASE WHEN f.predictions = 0 THEN 'no_predictions' WHEN f.is_gathered THEN 'gathered' WHEN f.at + width > waiting THEN 'waiting'
                WHEN f.sample < nadi_store.least_count() THEN 'too_few' WHEN f.n = 0 THEN 'no_outcomes' ELSE 'measured' END
    FROM judged f ORDER BY f.at, f.event_type DESC, f.name COLLATE "C";
END
$$;
COMMENT ON FUNCTION nadi.outcome_rates(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'How many predictions got an outcome or feedback of each name, and how many said yes or no. By the prediction''s time; a name has a row in each bucket with predictions; what follows a failed prediction counts nowhere. positive_rate: per successful prediction; negative_rate: per outcome that came; both with Wilson''s 95 % interval. rate: the one of the two that matters of the name, with its n (sample_count) and measure: click_through of outcome click, conversion, override_rate, thumbs_down (negative_rate of feedback thumbs), else positive_rate. outcome_coverage: outcomes per successful prediction. positive and negative: what a label says (true, yes, positive, a number from 0.5, of feedback also up, thumbs_up, like, good, against their opposites), without a label a value or score above 0; a score below 0 is negative, of thumbs also a score or value of 0 or below. rate_state: no_predictions, gathered (name other: several names, no share), waiting (of a bucket: an hour of it waits for its first join), too_few (sample_count under 200), no_outcomes or measured. Newer predictions have had less time for outcomes. bucket: least width of a row''s period, at least an hour, widened to at most 60 periods; null takes the whole range. Null filters take all, shadows too; slice_key: one tag, or all.';

CREATE FUNCTION nadi.outcome_values(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, event_type text, outcome_name text, currency text, prediction_count bigint, value_count bigint,
    value_sum float8, value_per_prediction float8, lower float8, upper float8, value_state text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := nadi_store.row_width(from_time, to_time, bucket);
    waiting timestamptz := CASE WHEN bucket IS NOT NULL THEN nadi_store.waiting_since(model, from_time) END;
BEGIN
    RETURN QUERY
    WITH predicted AS (
        SELECT * FROM nadi_store.predicted(ids, from_time, to_time, width)
    ), valued AS MATERIALIZED (
        SELECT * FROM nadi_store.named_outcomes(ids, from_time, to_time, width) v WHERE v.valued > 0
    ), filled AS (
        SELECT b.at, k.event_type, k.name, k.currency, coalesce(p.n, 0)::float8 AS predictions, coalesce(v.valued, 0) AS n,
               coalesce(v.total, 0) AS total, coalesce(v.squares, 0) AS squares, k.name = 'other' AS is_gathered
        FROM (SELECT at FROM predicted UNION SELECT at FROM valued) b CROSS JOIN (SELECT DISTINCT event_type, name, currency FROM valued) k
        LEFT JOIN predicted p ON p.at = b.at
        LEFT JOIN valued v ON v.at = b.at AND v.event_type = k.event_type AND v.name = k.name AND v.currency = k.currency
    )
    SELECT f.at, f.event_type, f.name, f.currency, f.predictions::bigint, f.n::bigint, f.total, m.mean,
           CASE WHEN NOT f.is_gathered THEN m.lower END, CASE WHEN NOT f.is_gathered THEN m.upper END,
           CASE WHEN f.predictions = 0 THEN 'no_predictions' WHEN f.is_gathered THEN 'gathered' WHEN f.at + width > waiting THEN 'waiting'
                WHEN f.predictions < nadi_store.least_count() THEN 'too_few' WHEN f.n = 0 THEN 'no_outcomes' WHEN f.n < 50 THEN 'too_few'
                ELSE 'measured' END
    FROM filled f CROSS JOIN LATERAL nadi_store.value_mean(f.predictions, f.n, f.total, f.squares) m
    ORDER BY f.at, f.event_type DESC, f.name COLLATE "C", f.currency COLLATE "C";
END
$$;
COMMENT ON FUNCTION nadi.outcome_values(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'What outcomes were worth, by name and currency (empty where none was given), which never add up. value_per_prediction: the sum over all successful predictions, those without a value as 0, with a 95 % interval (normal, by the sample''s own variance, zeros included). By the prediction''s time; a name and currency has a row in each bucket with predictions; what follows a failed prediction counts nowhere. value_state: no_predictions, gathered (name other: several names, without interval), waiting (of a bucket: an hour of it waits for its first join), no_outcomes, too_few (fewer than 200 predictions, or fewer than 50 values: amounts are skewed, and of 20 the interval holds the truth in 87 of 100 draws) or measured. bucket as in nadi.outcome_rates. Null filters take all, shadows too; slice_key: one tag, or all.';
