-- Purpose: clicks, conversions, revenue, feedback over any range, per prediction. Locks: none (new functions).

CREATE FUNCTION nadi_store.named_outcome_rows(series int[], from_time timestamptz, to_time timestamptz, bucket interval)
RETURNS SETOF nadi_store.named_outcome_hour LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 500 SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    g nadi_store.grains := nadi_store.grains(from_time, to_time, bucket, false);
BEGIN
    RETURN QUERY SELECT * FROM nadi_store.named_outcome_hour r
        WHERE r.series_id = ANY (series) AND r.hour >= g.head_from AND r.hour < g.head_to;
    IF g.day_from IS NOT NULL THEN
        RETURN QUERY SELECT * FROM nadi_store.named_outcome_day r
            WHERE r.series_id = ANY (series) AND r.day >= g.day_from AND r.day < g.day_to;
        RETURN QUERY SELECT * FROM nadi_store.named_outcome_hour r
            WHERE r.series_id = ANY (series) AND r.hour >= g.tail_from AND r.hour < g.tail_to;
    END IF;
END
$$;
COMMENT ON FUNCTION nadi_store.named_outcome_rows(int[], timestamptz, timestamptz, interval) IS 'Rows of named outcomes of a range, each as coarse as allowed; the column hour holds the start of its hour or day.';

CREATE FUNCTION nadi.outcome_rates(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, event_type text, outcome_name text, prediction_count bigint, outcome_count bigint, outcome_coverage float8,
    positive_count bigint, negative_count bigint, positive_rate float8, positive_lower float8, positive_upper float8,
    negative_rate float8, negative_lower float8, negative_upper float8, rate_state text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, greatest(interval '1 hour', bucket)) END;
BEGIN
    RETURN QUERY
    WITH predicted AS (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, sum(r.predictions - r.failed_predictions)::float8 AS n
        FROM nadi_store.request_rows(ids, from_time, to_time, width, false) r GROUP BY 1
    ), counted AS MATERIALIZED (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, r.event_type, r.name, sum(r.count)::float8 AS n,
               sum(r.positive_count)::float8 AS yes, sum(r.negative_count)::float8 AS no
        FROM nadi_store.named_outcome_rows(ids, from_time, to_time, width) r GROUP BY 1, 2, 3
    ), filled AS (
        -- A name that the range shows stands in every bucket: nothing is zero, not absent. A prediction that failed may have an outcome.
        SELECT b.at, k.event_type, k.name, coalesce(p.n, 0) AS predictions, coalesce(c.n, 0) AS n, coalesce(c.yes, 0) AS yes,
            coalesce(c.no, 0) AS no,
               greatest(coalesce(p.n, 0), coalesce(c.yes, 0)) AS trials
        FROM (SELECT at FROM predicted UNION SELECT at FROM counted) b CROSS JOIN (SELECT DISTINCT event_type, name FROM counted) k
        LEFT JOIN predicted p ON p.at = b.at LEFT JOIN counted c ON c.at = b.at AND c.event_type = k.event_type AND c.name = k.name
    )
    SELECT f.at, f.event_type, f.name, f.predictions::bigint, f.n::bigint, f.n / nullif(f.predictions, 0), f.yes::bigint, f.no::bigint,
           f.yes / nullif(f.trials, 0), nadi_store.wilson_bound(f.yes, f.trials, -1), nadi_store.wilson_bound(f.yes, f.trials, 1),
           f.no / nullif(f.n, 0), nadi_store.wilson_bound(f.no, f.n, -1), nadi_store.wilson_bound(f.no, f.n, 1),
           CASE WHEN f.predictions = 0 THEN 'no_predictions' WHEN f.n = 0 THEN 'no_outcomes' WHEN f.predictions < 200 THEN 'too_few'
               ELSE 'measured' END
    FROM filled f ORDER BY f.at, f.event_type DESC, f.name COLLATE "C";
END
$$;
COMMENT ON FUNCTION nadi.outcome_rates(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'How many predictions got an outcome or feedback of each name, and how many said yes or no: click-through is positive_rate of click, the override rate that of override, thumbs-down negative_rate of thumbs. By the prediction''s time; a name has a row in each bucket with predictions. positive_rate: per successful prediction; negative_rate: per outcome that came; both with Wilson''s 95 % interval. outcome_coverage: outcomes per successful prediction. positive and negative: what a label says (true, 1, yes, positive, of feedback also up, thumbs_up, like, good, against their opposites), without a label a value or score above 0; a score below 0, or 0 for thumbs, is negative. rate_state: no_predictions, no_outcomes, too_few (fewer than 200 predictions) or measured. bucket: least width of a row''s period, at least an hour, widened to at most 60 periods; null takes the whole range. Null filters take all; slice_key: one tag, or all.';

CREATE FUNCTION nadi.outcome_values(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, event_type text, outcome_name text, currency text, prediction_count bigint, value_count bigint,
        value_sum float8,
    value_per_prediction float8, lower float8, upper float8, value_state text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, greatest(interval '1 hour', bucket)) END;
BEGIN
    RETURN QUERY
    WITH predicted AS (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, sum(r.predictions - r.failed_predictions)::float8 AS n
        FROM nadi_store.request_rows(ids, from_time, to_time, width, false) r GROUP BY 1
    ), valued AS MATERIALIZED (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, r.event_type, r.name, r.currency, sum(r.value_count)::float8 AS n,
               nadi_store.bounded_total(r.value_sum) AS total, nadi_store.bounded_total(r.value_square_sum) AS squares
        FROM nadi_store.named_outcome_rows(ids, from_time, to_time, width) r WHERE r.value_count > 0 GROUP BY 1, 2, 3, 4
    ), filled AS (
        SELECT b.at, k.event_type, k.name, k.currency, coalesce(p.n, 0) AS predictions, coalesce(v.n, 0) AS n,
            coalesce(v.total, 0) AS total,
               greatest(coalesce(p.n, 0), coalesce(v.n, 0)) AS trials, coalesce(v.squares, 0) AS squares
        FROM (SELECT at FROM predicted UNION SELECT at FROM valued) b CROSS JOIN (SELECT DISTINCT event_type, name, currency FROM valued) k
        LEFT JOIN predicted p ON p.at = b.at
        LEFT JOIN valued v ON v.at = b.at AND v.event_type = k.event_type AND v.name = k.name AND v.currency = k.currency
    ), means AS (
        SELECT f.*, CASE WHEN f.trials > 0 THEN nadi_store.mean_over(f.total, f.trials) END AS mean,
            nadi_store.mean_error(f.trials, f.total, f.squares) AS error FROM filled f
    )
    SELECT m.at, m.event_type, m.name, m.currency, m.predictions::bigint, m.n::bigint, m.total, m.mean,
           m.mean - 1.959963984540054 * m.error, m.mean + 1.959963984540054 * m.error,
           CASE WHEN m.predictions = 0 THEN 'no_predictions' WHEN m.n = 0 THEN 'no_outcomes' WHEN m.predictions < 200 THEN 'too_few'
               ELSE 'measured' END
    FROM means m ORDER BY m.at, m.event_type DESC, m.name COLLATE "C", m.currency COLLATE "C";
END
$$;
COMMENT ON FUNCTION nadi.outcome_values(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'What outcomes were worth, by name and currency (empty where none was given), which never add up. value_per_prediction: the sum over all successful predictions, those without a value as 0, with a 95 % interval (normal, by the sample''s own variance, zeros included). By the prediction''s time; a name and currency has a row in each bucket with predictions. value_state: no_predictions, no_outcomes, too_few (fewer than 200 predictions) or measured. bucket as in nadi.outcome_rates. Null filters take all; slice_key: one tag, or all.';
