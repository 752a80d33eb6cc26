-- Purpose: is the input still what it was: against the reference, the range before, last week or any range. Locks: none (new functions).

CREATE FUNCTION nadi_store.role_order(feature_role text) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE feature_role WHEN 'score' THEN 1 WHEN 'prediction' THEN 2 ELSE 3 END;
COMMENT ON FUNCTION nadi_store.role_order(text) IS 'Score, prediction, features.';

CREATE FUNCTION nadi_store.check_baseline(baseline text) RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF baseline IS NULL OR baseline NOT IN ('reference', 'previous', 'last_week') THEN
        RAISE EXCEPTION 'the baseline is %', coalesce(baseline, 'null') USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Pass reference, previous (the range of the same length before) or last_week (the same hours seven days earlier).';
    END IF;
END
$$;
COMMENT ON FUNCTION nadi_store.check_baseline(text) IS 'Refuses a baseline that is not one.';

CREATE FUNCTION nadi_store.is_sliced_by(feature_role text, feature_name text, slice_key text, slice_values text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN feature_role = 'feature' AND slice_key <> 'all' AND slice_values IS NOT NULL AND feature_name = slice_key;
COMMENT ON FUNCTION nadi_store.is_sliced_by(text, text, text, text[]) IS 'Whether a feature is what some values of a tag were chosen by, so that it cannot be as in the whole.';

CREATE FUNCTION nadi_store.change_remark(since timestamptz, from_time timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN since > from_time
            THEN 'the reference changed at ' || to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ': hours before are left out' END;
COMMENT ON FUNCTION nadi_store.change_remark(timestamptz, timestamptz) IS 'That a range is judged in part, in words; null where it is not.';

-- One range and what it is compared with, as drift_pairs takes them.
CREATE TYPE nadi_store.drift_range AS (froms timestamptz[], tos timestamptz[], baselines int[], refs int[], remark text);
CREATE FUNCTION nadi_store.drift_range(model text, from_time timestamptz, to_time timestamptz, baseline text) RETURNS nadi_store.drift_range
LANGUAGE plpgsql STABLE PARALLEL SAFE SET timezone = 'UTC' AS $$
DECLARE
    number int := (SELECT m.model_id FROM nadi_store.model m WHERE m.model_name = model);
    -- Whole hours are counted: an hour that both ranges overlap would be counted in both.
    first timestamptz;
    last timestamptz;
    shift interval;
    since timestamptz;
    result nadi_store.drift_range;
BEGIN
    PERFORM nadi_store.check_baseline(baseline);
    PERFORM nadi_store.grains(from_time, to_time, NULL, false);
    first := nadi_store.bucket_of(from_time, interval '1 hour', NULL);
    last := nadi_store.bucket_of(to_time + interval '1 hour' - interval '1 microsecond', interval '1 hour', NULL);
    IF baseline = 'reference' THEN
        since := nadi_store.reference_since(number, last);
        result.froms := ARRAY[greatest(first, since)];
        result.tos := ARRAY[last];
        result.refs := ARRAY[nadi_store.reference_at(number, last)];
        result.remark := nadi_store.change_remark(since, first);
        RETURN result;
    END IF;
    shift := CASE baseline WHEN 'previous' THEN last - first ELSE interval '7 days' END;
    result.froms := ARRAY[first, first - shift];
    result.tos := ARRAY[last, last - shift];
    result.baselines := ARRAY[2];
    RETURN result;
END
$$;
COMMENT ON FUNCTION nadi_store.drift_range(text, timestamptz, timestamptz, text) IS 'The whole hours of a range, those since the reference in force at its end came after another, and its baseline. That reference, or a second range.';

CREATE FUNCTION nadi.drift_between(
    model text, first_from timestamptz, first_to timestamptz, second_from timestamptz, second_to timestamptz,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL, roles text[] DEFAULT NULL, features text[] DEFAULT NULL
) RETURNS TABLE (
    feature_role text, feature_name text, value_kind text, baseline_count bigint, current_count bigint, bin_count int,
    psi float8, psi_noise float8, psi_spread float8, ks float8, ks_p_value float8, jensen_shannon float8, wasserstein float8,
    l_infinity float8, chi_square float8, baseline_missing_rate float8, current_missing_rate float8, missing_rate_change float8,
    unseen_rate float8, out_of_range_rate float8, drift_state text, reason text, moved_bins text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
BEGIN
    RETURN QUERY
    SELECT n.role, n.name, d.value_kind, d.baseline_count, d.current_count, d.bin_count, d.psi, d.psi_noise, d.psi_spread, d.ks,
           d.ks_p_value, d.jensen_shannon, d.wasserstein, d.l_infinity, d.chi_square, d.baseline_missing_rate, d.current_missing_rate,
           d.current_missing_rate - d.baseline_missing_rate, d.unseen_rate, d.out_of_range_rate, d.drift_state, d.reason, d.moved_bins
    FROM nadi_store.drift_rows(model, ids, ARRAY[first_from, second_from], ARRAY[first_to, second_to], NULL, ARRAY[2], ARRAY[1], NULL,
                               roles, features) d
    LEFT JOIN nadi_store.feature f ON f.feature_id = d.feature_id
    CROSS JOIN LATERAL (SELECT coalesce(f.role, 'score') AS role, coalesce(f.feature_name, 'score') AS name) n
    ORDER BY nadi_store.role_order(n.role), n.name;
END
$$;
COMMENT ON FUNCTION nadi.drift_between(text, timestamptz, timestamptz, timestamptz, timestamptz, text[], text[], text[], text, text[], text[], text[]) IS 'Each feature, the prediction and the score: the second range against the first. Columns, measures, states and other arguments as in nadi.drift; no spread, no out_of_range_rate.';

CREATE FUNCTION nadi.drift(
    model text, from_time timestamptz, to_time timestamptz, baseline text DEFAULT 'reference',
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL, roles text[] DEFAULT NULL, features text[] DEFAULT NULL
) RETURNS TABLE (
    feature_role text, feature_name text, value_kind text, baseline_count bigint, current_count bigint, bin_count int,
    psi float8, psi_noise float8, psi_spread float8, ks float8, ks_p_value float8, jensen_shannon float8, wasserstein float8,
    l_infinity float8, chi_square float8, baseline_missing_rate float8, current_missing_rate float8, missing_rate_change float8,
    unseen_rate float8, out_of_range_rate float8, drift_state text, reason text, moved_bins text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    w nadi_store.drift_range;
BEGIN
    w := nadi_store.drift_range(model, from_time, to_time, baseline);
    RETURN QUERY
    SELECT n.role, n.name, d.value_kind, d.baseline_count, d.current_count, d.bin_count, d.psi, d.psi_noise, d.psi_spread, d.ks,
           d.ks_p_value, d.jensen_shannon, d.wasserstein, d.l_infinity, d.chi_square, d.baseline_missing_rate, d.current_missing_rate,
           d.current_missing_rate - d.baseline_missing_rate, d.unseen_rate, d.out_of_range_rate, d.drift_state,
           concat_ws('; ', nullif(d.reason, ''), w.remark), d.moved_bins
    FROM nadi_store.drift_rows(model, ids, w.froms, w.tos, NULL, ARRAY[1], w.baselines, w.refs, roles, features) d
    LEFT JOIN nadi_store.feature f ON f.feature_id = d.feature_id
    CROSS JOIN LATERAL (SELECT coalesce(f.role, 'score') AS role, coalesce(f.feature_name, 'score') AS name) n
    WHERE NOT nadi_store.is_sliced_by(n.role, n.name, slice_key, slice_values) OR baseline <> 'reference'
    ORDER BY nadi_store.role_order(n.role), n.name;
END
$$;
COMMENT ON FUNCTION nadi.drift(text, timestamptz, timestamptz, text, text[], text[], text[], text, text[], text[], text[]) IS 'Each feature, the prediction and the score of a range against a baseline. baseline: reference (the one in force at to_time, for the hours since it came after another one), previous (the whole hours of the same number before) or last_week (the same hours seven days earlier). Counts are usable values. psi: on the baseline''s deciles (categories: on them) with shares (n + 0.5) / (N + 0.5 B); psi_noise: what chance alone exceeds once in 100,000; psi_spread: the largest psi of the reference''s own windows of about that length (shorter ones where the range is the unfinished begin of one), null where it has none. ks: largest gap of the distributions at bins'' ends, ks_p_value asymptotic; jensen_shannon: distance, base 2; wasserstein: in standard deviations of the baseline, null where what is out of range lies in too wide a bin; l_infinity: largest change of a category''s share; chi_square: Pearson''s. A missing rate is the share of successful predictions without a usable value; unseen_rate: share of categories that the baseline does not list; out_of_range_rate: outside the reference''s least and greatest value. drift_state: too_few, no_reference, too_coarse (bins too wide, or over half of the values in categories too rare to be compared), stable, shifted (above chance), drifted (also psi at least 0.2, or a rate at least 0.1 apart, and above the reference''s own spread). moved_bins: where most of it moved. Counts whole hours that overlap the range. Null filters take all; slice_key: one tag, or all (some values of a tag are not compared with a reference by the feature of that name); roles: feature, prediction, score.';

-- The buckets that nadi_store.drift_hour or drift_day should have and lacks: not refreshed yet, or the reference changed since.
CREATE FUNCTION nadi_store.drift_gaps(model int, ids int[], starts timestamptz[], width interval) RETURNS timestamptz[]
LANGUAGE sql STABLE PARALLEL SAFE SET timezone = 'UTC' AS $$
    SELECT array_agg(w.at ORDER BY w.at)
    FROM (SELECT s.at, nadi_store.reference_at(model, s.at + width) AS reference_id FROM unnest(starts) AS s(at)) w
    WHERE CASE WHEN width < interval '1 day'
               THEN EXISTS (SELECT FROM nadi_store.request_hour r WHERE r.series_id = ANY (ids) AND r.hour = w.at)
                    AND NOT EXISTS (SELECT FROM nadi_store.drift_hour d
                                    WHERE d.model_id = model AND d.hour = w.at AND d.reference_id = w.reference_id)
               ELSE EXISTS (SELECT FROM nadi_store.request_day r WHERE r.series_id = ANY (ids) AND r.day = w.at)
                    AND NOT EXISTS (SELECT FROM nadi_store.drift_day d
                                    WHERE d.model_id = model AND d.day = w.at AND d.reference_id = w.reference_id) END
$$;
COMMENT ON FUNCTION nadi_store.drift_gaps(int, int[], timestamptz[], interval) IS 'Hours or days with requests whose drift against the reference in force is not stored, or without a reference.';

CREATE FUNCTION nadi_store.drift_of_buckets(
    model text, number int, ids int[], begins timestamptz[], width interval, sliced_by text, roles text[], features text[]
) RETURNS TABLE (
    bucket_start timestamptz, bucket_end timestamptz,
    feature_role text, feature_name text, value_kind text, baseline_count bigint, current_count bigint, bin_count int,
    psi float8, psi_noise float8, psi_spread float8, ks float8, ks_p_value float8, jensen_shannon float8, wasserstein float8,
    l_infinity float8, chi_square float8, baseline_missing_rate float8, current_missing_rate float8, missing_rate_change float8,
    unseen_rate float8, out_of_range_rate float8, drift_state text, reason text, moved_bins text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SET timezone = 'UTC' SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    -- Buckets of one reference are read at once; those in which it came after another, from that hour on, one by one.
    RETURN QUERY
    SELECT w.starts[d.pair], w.starts[d.pair] + width, n.role, n.name, d.value_kind, d.baseline_count, d.current_count,
           d.bin_count, d.psi, d.psi_noise, d.psi_spread, d.ks, d.ks_p_value, d.jensen_shannon, d.wasserstein, d.l_infinity, d.chi_square,
           d.baseline_missing_rate, d.current_missing_rate, d.current_missing_rate - d.baseline_missing_rate,
           d.unseen_rate, d.out_of_range_rate, d.drift_state,
           concat_ws('; ', nullif(d.reason, ''), nadi_store.change_remark(w.froms[d.pair], w.starts[d.pair])), d.moved_bins
    FROM (SELECT array_agg(r.at ORDER BY r.at) AS starts, array_agg(greatest(r.at, r.since) ORDER BY r.at) AS froms,
                 array_agg(r.at + width ORDER BY r.at) AS tos, array_agg(r.reference_id ORDER BY r.at) AS refs, r.since > r.at AS is_cut
          FROM (SELECT b.at, nadi_store.reference_at(number, b.at + width) AS reference_id,
                       nadi_store.reference_since(number, b.at + width) AS since FROM unnest(begins) AS b(at)) r
          WHERE r.reference_id IS NOT NULL GROUP BY r.since > r.at) w
    CROSS JOIN LATERAL nadi_store.drift_rows(
        model, ids, w.froms, w.tos, CASE WHEN NOT w.is_cut THEN width END, ARRAY(SELECT generate_series(1, cardinality(w.froms))), NULL,
        w.refs, roles, features) d
    LEFT JOIN nadi_store.feature f ON f.feature_id = d.feature_id
    CROSS JOIN LATERAL (SELECT coalesce(f.role, 'score') AS role, coalesce(f.feature_name, 'score') AS name) n
    WHERE d.has_predictions AND NOT (n.role = 'feature' AND n.name IS NOT DISTINCT FROM sliced_by)
    ORDER BY 1, nadi_store.role_order(n.role), n.name;
    -- Where no reference is in force, values are counted and nothing is compared.
    RETURN QUERY
    WITH bare AS MATERIALIZED (
        SELECT b.at FROM unnest(begins) AS b(at) WHERE nadi_store.reference_at(number, b.at + width) IS NULL
    ), ends AS MATERIALIZED (
        SELECT min(b.at) AS first, max(b.at) + width AS last FROM bare b HAVING count(*) > 0
    ), predictions AS (
        SELECT nadi_store.bucket_of(r.hour, width, NULL) AS at, sum(r.predictions - r.failed_predictions)::float8 AS n
        FROM ends e CROSS JOIN LATERAL nadi_store.request_rows(ids, e.first, e.last, width, false) r GROUP BY 1
    ), counted AS (
        SELECT nadi_store.bucket_of(r.hour, width, NULL) AS at, r.feature_id, sum(r.numeric_count)::float8 AS numbers,
               sum(r.categorical_count)::float8 AS words
        FROM ends e CROSS JOIN LATERAL nadi_store.feature_rows(
            ids, nadi_store.matching_features(model, roles, features), e.first, e.last, width) r GROUP BY 1, 2
        UNION ALL
        SELECT nadi_store.bucket_of(r.hour, width, NULL), 0, sum(c.n)::float8, NULL
        FROM ends e CROSS JOIN LATERAL nadi_store.score_rows(ids, e.first, e.last, width) r CROSS JOIN unnest(r.counts) AS c(n)
        WHERE r.category_id = 0 AND (roles IS NULL OR 'score' = ANY (roles)) AND (features IS NULL OR 'score' = ANY (features))
        GROUP BY 1
    )
    SELECT c.at, c.at + width, n.role, n.name,
           CASE WHEN c.words IS NULL THEN 'score' WHEN c.words > c.numbers THEN 'categorical' ELSE 'numeric' END, 0::bigint, n.usable::bigint, 0,
           NULL::float8, NULL::float8, NULL::float8, NULL::float8, NULL::float8, NULL::float8, NULL::float8, NULL::float8, NULL::float8,
           NULL::float8, 1 - least(1, n.usable / p.n), NULL::float8, NULL::float8, NULL::float8, 'no_reference', 'no reference is in force', ''
    FROM counted c JOIN bare b USING (at) JOIN predictions p USING (at)
    LEFT JOIN nadi_store.feature f USING (feature_id)
    CROSS JOIN LATERAL (SELECT coalesce(f.role, 'score') AS role, coalesce(f.feature_name, 'score') AS name,
                               CASE WHEN c.words > c.numbers THEN c.words ELSE c.numbers END AS usable) n
    WHERE p.n > 0 ORDER BY 1, nadi_store.role_order(n.role), n.name;
END
$$;
COMMENT ON FUNCTION nadi_store.drift_of_buckets(text, int, int[], timestamptz[], interval, text, text[], text[]) IS 'Buckets against the reference in force at each one''s end, computed: those with predictions. Columns as in nadi.drift_over_time. sliced_by: a tag whose feature is left out.';

CREATE FUNCTION nadi.drift_over_time(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL, baseline text DEFAULT 'reference',
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL, roles text[] DEFAULT NULL, features text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, bucket_end timestamptz,
    feature_role text, feature_name text, value_kind text, baseline_count bigint, current_count bigint, bin_count int,
    psi float8, psi_noise float8, psi_spread float8, ks float8, ks_p_value float8, jensen_shannon float8, wasserstein float8,
    l_infinity float8, chi_square float8, baseline_missing_rate float8, current_missing_rate float8, missing_rate_change float8,
    unseen_rate float8, out_of_range_rate float8, drift_state text, reason text, moved_bins text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
-- Stored rows are thousands, whatever the planner takes tables for that were filled just now.
SET enable_nestloop = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    number int := (SELECT m.model_id FROM nadi_store.model m WHERE m.model_name = model);
    requested interval := greatest(interval '1 hour', bucket);
    width interval;
    lag interval;
    begins timestamptz[];
    stored boolean;
BEGIN
    PERFORM nadi_store.check_baseline(baseline);
    PERFORM nadi_store.grains(from_time, to_time, NULL, false);
    width := CASE
        WHEN baseline = 'reference' AND bucket IS NULL THEN CASE
            WHEN to_time - from_time < interval '60 hours' THEN interval '1 hour'
            ELSE nadi.bucket_width(from_time, to_time, interval '1 day', 60) END
        WHEN baseline = 'reference' THEN nadi.bucket_width(from_time, to_time, requested, 1000)
        -- A week is a whole number of buckets.
        WHEN baseline = 'last_week' THEN coalesce(
            (SELECT min(w) FROM unnest(ARRAY['1 hour', '3 hours', '6 hours', '1 day']::interval[]) AS w
             WHERE w >= requested AND (to_time - from_time) <= 60 * w), interval '7 days')
        ELSE nadi.bucket_width(from_time, to_time, requested, 24) END;
    -- Two days are no like of two days.
    width := CASE width WHEN interval '2 days' THEN interval '7 days' ELSE width END;
    lag := CASE baseline WHEN 'previous' THEN width WHEN 'last_week' THEN interval '7 days' ELSE interval '0' END;
    SELECT array_agg(s ORDER BY s) INTO begins
    FROM generate_series(nadi_store.bucket_of(from_time, width, NULL) - lag, least(to_time, now() + width), width) s WHERE s < to_time;
    stored := baseline = 'reference' AND width IN (interval '1 hour', interval '1 day')
        AND ids = nadi_store.matching_series(model, NULL, NULL, NULL, 'all', NULL);
    IF stored THEN
        RETURN QUERY
        WITH w AS MATERIALIZED (
            SELECT u.at, nadi_store.reference_at(number, u.at + width) AS in_force FROM unnest(begins) AS u(at)
        )
        SELECT d.at, d.at + width, n.role, n.name, d.value_kind, d.baseline_count, d.current_count, d.bin_count, d.psi, d.psi_noise,
               d.psi_spread, d.ks, d.ks_p_value, d.jensen_shannon, d.wasserstein, d.l_infinity, d.chi_square, d.baseline_missing_rate,
               d.current_missing_rate, d.current_missing_rate - d.baseline_missing_rate, d.unseen_rate, d.out_of_range_rate,
               d.drift_state, d.reason, d.moved_bins
        FROM w
        JOIN (SELECT h.hour AS at, h.* FROM nadi_store.drift_hour h
              WHERE width < interval '1 day' AND h.model_id = number AND h.hour >= begins[1] AND h.hour < to_time
              UNION ALL SELECT h.day, h.* FROM nadi_store.drift_day h
              WHERE width = interval '1 day' AND h.model_id = number AND h.day >= begins[1] AND h.day < to_time) d
            ON d.at = w.at AND d.reference_id = w.in_force
        LEFT JOIN nadi_store.feature f ON f.feature_id = d.feature_id
        CROSS JOIN LATERAL (SELECT coalesce(f.role, 'score') AS role, coalesce(f.feature_name, 'score') AS name) n
        WHERE (roles IS NULL OR n.role = ANY (roles)) AND (features IS NULL OR n.name = ANY (features))
        ORDER BY d.at, nadi_store.role_order(n.role), n.name;
        begins := nadi_store.drift_gaps(number, ids, begins, width);
        IF begins IS NULL THEN
            RETURN;
        END IF;
    END IF;
    IF baseline = 'reference' THEN
        RETURN QUERY SELECT * FROM nadi_store.drift_of_buckets(
            model, number, ids, begins, width, CASE WHEN slice_values IS NOT NULL THEN slice_key END, roles, features);
        RETURN;
    END IF;
    RETURN QUERY
    SELECT w.starts[d.pair], w.starts[d.pair] + width, n.role, n.name, d.value_kind, d.baseline_count, d.current_count,
           d.bin_count, d.psi, d.psi_noise, d.psi_spread, d.ks, d.ks_p_value, d.jensen_shannon, d.wasserstein, d.l_infinity, d.chi_square,
           d.baseline_missing_rate, d.current_missing_rate, d.current_missing_rate - d.baseline_missing_rate,
           d.unseen_rate, d.out_of_range_rate, d.drift_state, d.reason, d.moved_bins
    FROM (SELECT array_agg(s.at ORDER BY s.at) FILTER (WHERE s.at >= begins[1] + lag) AS starts,
                 array_agg(s.place ORDER BY s.at) FILTER (WHERE s.at >= begins[1] + lag) AS currents,
                 array_agg(s.at + width ORDER BY s.at) AS tos,
                 (extract(epoch FROM lag) / extract(epoch FROM width))::int AS distance
          FROM (SELECT u.at, u.place::int FROM unnest(begins) WITH ORDINALITY AS u(at, place)) s) w
    CROSS JOIN LATERAL nadi_store.drift_rows(
        model, ids, begins, w.tos, width, w.currents, (SELECT array_agg(c - w.distance ORDER BY c) FROM unnest(w.currents) c), NULL,
        roles, features) d
    LEFT JOIN nadi_store.feature f ON f.feature_id = d.feature_id
    CROSS JOIN LATERAL (SELECT coalesce(f.role, 'score') AS role, coalesce(f.feature_name, 'score') AS name) n
    ORDER BY 1, nadi_store.role_order(n.role), n.name;
END
$$;
COMMENT ON FUNCTION nadi.drift_over_time(text, timestamptz, timestamptz, interval, text, text[], text[], text[], text, text[], text[], text[]) IS 'Drift bucket by bucket; columns, states and other arguments as in nadi.drift. baseline: reference (the one in force at a bucket''s end), previous (each bucket against the one before it), last_week (against the same hours seven days earlier). bucket: least width, at least an hour, never two days; null: hours below 60 hours, days below 60 days, else weeks or more. For last_week at most seven days. Without a reference in force values are counted: no_reference, with their missing rates. Against the reference, hours and days of the whole model are read as the loader stored them; what it has not stored yet, filtered ones and other widths are computed. For previous the width grows to fewer than 24 buckets.';

CREATE FUNCTION nadi.drift_bins(
    model text, feature text, from_time timestamptz, to_time timestamptz, baseline text DEFAULT 'reference',
    feature_role text DEFAULT 'feature', versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bin_number int, bin_name text, lower_value float8, upper_value float8, category text, baseline_count bigint, current_count bigint,
    baseline_share float8, current_share float8, share_change float8, standardised_change float8
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    w nadi_store.drift_range;
BEGIN
    w := nadi_store.drift_range(model, from_time, to_time, baseline);
    RETURN QUERY
    SELECT c.place::int,
           CASE WHEN p.value_kind = 'categorical' THEN k.name
                WHEN t.is_first THEN 'below ' || nadi_store.short_number(c.upper, t.digits)
                WHEN t.is_last THEN 'above ' || nadi_store.short_number(c.lower, t.digits)
                ELSE nadi_store.short_range(c.lower, c.upper) END,
           CASE WHEN NOT t.is_first THEN c.lower END, CASE WHEN NOT t.is_last THEN c.upper END,
           CASE WHEN p.value_kind = 'categorical' THEN k.name END, c.a::bigint, c.b::bigint, c.a / nullif(p.n_a, 0), c.b / nullif(p.n_b, 0),
           c.b / nullif(p.n_b, 0) - c.a / nullif(p.n_a, 0), nadi_store.share_root(c.a, p.n_a, c.b, p.n_b)
    FROM nadi_store.drift_pairs(
        model, ids, w.froms, w.tos, NULL, ARRAY[1], w.baselines, w.refs, ARRAY[feature_role], ARRAY[feature]) p
    CROSS JOIN LATERAL unnest(p.a, p.b, p.codes, p.lowers, p.uppers) WITH ORDINALITY AS c(a, b, code, lower, upper, place)
    CROSS JOIN LATERAL (SELECT nadi_store.range_digits(p.lowers[2], p.uppers[cardinality(p.uppers) - 1]) AS digits,
                               coalesce(p.open_ended AND c.place = 1, false) AS is_first,
                               coalesce(p.open_ended AND c.place = cardinality(p.a), false) AS is_last) t
    CROSS JOIN LATERAL (SELECT coalesce((SELECT k.value FROM nadi_store.category k WHERE k.category_id = c.code AND c.code <> 0),
                                        '(other or new)') AS name) k
    ORDER BY c.place;
END
$$;
COMMENT ON FUNCTION nadi.drift_bins(text, text, timestamptz, timestamptz, text, text, text[], text[], text[], text, text[]) IS 'A feature''s baseline against its current distribution, one row a bin. Numbers on the reference''s edges (null: open end; the first and last bin are out of range), else in fixed bins; categories, with all that the baseline does not list as one; scores in score bins (feature and feature_role score). Shares are of usable values; standardised_change: the change of the share in standard errors. baseline and other arguments as in nadi.drift.';
