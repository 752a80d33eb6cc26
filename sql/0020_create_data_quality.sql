-- Purpose: is the data itself sound: missing, wrong types, out of range, new categories, constants. Locks: none (new functions).

-- Both tails together hold k of M new values where N values set the extremes: each tail geometric with ratio M / (N + M).
CREATE FUNCTION nadi_store.outside_is_significant(outside float8, current_count float8, baseline_count float8) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(outside > 0 AND baseline_count > 0 AND current_count > 0
    AND outside * ln(current_count / (baseline_count + current_count))
        + ln(outside + 1 - outside * current_count / (baseline_count + current_count)) < -11.512925464970229, false);
COMMENT ON FUNCTION nadi_store.outside_is_significant(float8, float8, float8) IS 'Whether so many values outside the extremes of the baseline come by chance less than once in 100,000. By rho^k ((k + 1) - k rho) with rho = M / (N + M).';

CREATE FUNCTION nadi_store.outside_count(
    row_edge_set int, reference int, reference_minimum float8, reference_maximum float8,
    numeric_count bigint, minimum float8, maximum float8, edge_counts bigint[], log_bins int[], log_counts bigint[]
) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN numeric_count = 0 OR minimum >= reference_minimum AND maximum <= reference_maximum THEN 0
        WHEN row_edge_set = reference AND edge_counts IS NOT NULL
            THEN CASE WHEN cardinality(edge_counts) > 1 THEN edge_counts[1] + edge_counts[cardinality(edge_counts)] ELSE 0 END
        WHEN cardinality(log_bins) > 0 THEN (
            SELECT coalesce(sum(c.n), 0)::float8 FROM unnest(log_bins, log_counts) AS c(code, n)
            WHERE nadi_store.bin_lower(c.code) > reference_maximum OR nadi_store.bin_upper(c.code) < reference_minimum)
    END
$$;
COMMENT ON FUNCTION nadi_store.outside_count(int, int, float8, float8, bigint, float8, float8, bigint[], int[], bigint[]) IS 'Values of a row outside the extremes of a reference. Exact where the row is on its edges, else those whose 2 % bin lies wholly outside; null where the row has neither.';

CREATE FUNCTION nadi.data_quality(
    model text, from_time timestamptz, to_time timestamptz,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL, roles text[] DEFAULT NULL, features text[] DEFAULT NULL
) RETURNS TABLE (
    feature_role text, feature_name text, value_kind text, prediction_count bigint, value_count bigint,
    missing_rate float8, baseline_missing_rate float8, wrong_type_rate float8, baseline_wrong_type_rate float8,
    out_of_range_rate float8, new_category_count bigint, new_category_rate float8, category_count bigint, is_constant boolean,
    minimum_value float8, maximum_value float8, baseline_minimum_value float8, baseline_maximum_value float8,
    quality_state text, reason text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    feature_ids int[] := nadi_store.matching_features(model, roles, features);
    number int := (SELECT m.model_id FROM nadi_store.model m WHERE m.model_name = model);
    baseline int := nadi_store.reference_at(number, to_time);
    -- Hours before the reference came after another one were right for that one.
    first timestamptz := greatest(from_time, nadi_store.reference_since(number, to_time));
    remark text := nadi_store.change_remark(first, from_time);
    predictions float8 := nadi_store.successful_predictions(ids, first, to_time);
    longest int := nadi_store.spread_hours(baseline, ids, nadi_store.bucket_of(first, interval '1 hour', NULL), to_time);
    baseline_rows float8 := (SELECT r.row_count FROM nadi_store.reference r WHERE r.reference_id = baseline);
    significant CONSTANT float8 := 4.417173413469024;
    grave CONSTANT float8 := 0.1;
BEGIN
    RETURN QUERY
    WITH rows AS MATERIALIZED (
        SELECT r.*, nadi_store.outside_count(r.edge_set_id, baseline, b.minimum, b.maximum, r.numeric_count, r.minimum, r.maximum,
                                             r.edge_counts, r.log_bins, r.log_counts) AS outside
        FROM nadi_store.feature_rows(ids, feature_ids, first, to_time, NULL) r
        LEFT JOIN nadi_store.reference_feature b ON b.reference_id = baseline AND b.feature_id = r.feature_id
    ), totals AS (
        SELECT r.feature_id, sum(r.numeric_count)::float8 AS numbers, sum(r.categorical_count)::float8 AS words,
               sum(r.null_count)::float8 AS nulls, sum(r.wrong_type_count)::float8 AS neither, sum(r.other_count)::float8 AS others,
               min(r.minimum) AS minimum, max(r.maximum) AS maximum,
               CASE WHEN bool_and(r.outside IS NOT NULL) THEN sum(r.outside) END AS outside
        FROM rows r GROUP BY r.feature_id
    ), cells AS (
        SELECT r.feature_id, c.id, sum(c.n)::float8 AS n FROM rows r, unnest(r.category_ids, r.category_counts) AS c(id, n) GROUP BY 1, 2
    ), known AS (
        SELECT b.feature_id, c.id FROM nadi_store.reference_feature b, unnest(b.category_ids) AS c(id)
        WHERE b.reference_id = baseline AND b.feature_id = ANY (feature_ids)
    ), categories AS (
        SELECT c.feature_id, count(*) AS seen, count(*) FILTER (WHERE k.id IS NULL) AS fresh,
               coalesce(sum(c.n) FILTER (WHERE k.id IS NULL), 0) AS unseen
        FROM cells c LEFT JOIN known k USING (feature_id, id) GROUP BY c.feature_id
    ), measured AS (
        SELECT f.feature_id, f.role, f.feature_name, b.reference_id, k.kind, b.minimum AS low, b.maximum AS high,
               b.singleton_count::float8 AS singletons,
               CASE k.kind WHEN 'categorical' THEN b.categorical_count ELSE b.numeric_count END::float8 AS baseline_values,
               b.missing_count::float8 AS baseline_missing, b.wrong_type_count::float8 AS baseline_wrong,
               CASE k.kind WHEN 'categorical' THEN t.words ELSE t.numbers END AS n,
               CASE k.kind WHEN 'categorical' THEN t.numbers ELSE t.words END + t.neither AS wrong,
               t.nulls + greatest(0, predictions - t.numbers - t.words - t.nulls - t.neither) AS missing,
               CASE WHEN k.kind = 'numeric' AND b.kind = 'numeric' AND b.numeric_count > 0 THEN t.outside END AS outside,
               CASE WHEN k.kind = 'categorical' THEN coalesce(c.seen, 0) + (t.others > 0)::int END AS seen,
               CASE WHEN k.kind = 'categorical' AND b.reference_id IS NOT NULL
                    THEN coalesce(c.fresh, 0) + (t.others > 0 AND b.other_count = 0)::int END AS fresh,
               CASE WHEN k.kind = 'categorical' AND b.reference_id IS NOT NULL THEN coalesce(c.unseen, 0)
                   + greatest(0, t.others - t.words * b.other_count / greatest(1, b.categorical_count)) END AS unseen,
               CASE WHEN k.kind = 'numeric' THEN t.minimum END AS minimum, CASE WHEN k.kind = 'numeric' THEN t.maximum END AS maximum,
               CASE WHEN k.kind = 'categorical' AND t.words > 0 THEN coalesce(c.seen, 0) = 1 AND t.others = 0
                    WHEN k.kind = 'numeric' AND t.numbers > 0 THEN t.minimum = t.maximum END AS constant,
               (SELECT max(x.n)::float8
                FROM unnest(CASE k.kind WHEN 'categorical' THEN b.category_counts ELSE b.edge_counts END) AS x(n)) AS mode
        FROM nadi_store.feature f
        LEFT JOIN (SELECT t.* FROM totals t UNION ALL
                   SELECT u.id, 0, 0, 0, 0, 0, NULL, NULL, 0 FROM unnest(feature_ids) AS u(id)
                   WHERE u.id NOT IN (SELECT t.feature_id FROM totals t)) t
            USING (feature_id)
        LEFT JOIN nadi_store.reference_feature b ON b.reference_id = baseline AND b.feature_id = f.feature_id
        LEFT JOIN categories c ON c.feature_id = f.feature_id
        CROSS JOIN LATERAL (SELECT coalesce(b.kind, CASE WHEN t.words > t.numbers THEN 'categorical' ELSE 'numeric' END) AS kind) k
        WHERE f.feature_id = ANY (feature_ids)
    ), spread AS (
        SELECT DISTINCT ON (s.feature_id) s.feature_id, s.missing_high, s.missing_low, s.unseen, s.out_of_range
        FROM nadi_store.reference_spread s
        WHERE s.reference_id = baseline AND s.window_hours <= longest
        ORDER BY s.feature_id, s.window_hours DESC
    )
    SELECT m.role, m.feature_name, m.kind, predictions::bigint, m.n::bigint,
           m.missing / nullif(predictions, 0), m.baseline_missing / baseline_rows,
           m.wrong / nullif(predictions, 0), m.baseline_wrong / baseline_rows,
           m.outside / nullif(m.n, 0), m.fresh, m.unseen / nullif(m.n, 0), m.seen, m.constant, m.minimum, m.maximum, m.low, m.high,
           CASE WHEN predictions = 0 THEN 'no_predictions' WHEN predictions < 200 THEN 'too_few'
                WHEN m.reference_id IS NULL THEN 'no_reference' WHEN p.bad THEN 'bad' WHEN p.reason IS NOT NULL THEN 'changed' ELSE 'usual' END,
           CASE WHEN predictions = 0 THEN '' WHEN predictions < 200 THEN 'fewer than 200 predictions'
                WHEN baseline IS NULL THEN 'no reference is in force' WHEN m.reference_id IS NULL THEN 'the reference has no such feature'
                ELSE concat_ws('; ', p.reason, remark) END
    FROM measured m LEFT JOIN spread s USING (feature_id)
    CROSS JOIN LATERAL (
        SELECT string_agg(found.words, '; ' ORDER BY found.is_grave DESC, found.place) AS reason, bool_or(found.is_grave) AS bad
        FROM (
            SELECT 1 AS place, nadi_store.short_share(m.missing / predictions) || ' missing, in the reference '
                       || nadi_store.short_share(m.baseline_missing / baseline_rows) AS words,
                   m.missing / predictions - m.baseline_missing / baseline_rows >= grave
                       AND m.missing / predictions > coalesce(s.missing_high, 0) AS is_grave
            WHERE abs(nadi_store.share_root(m.baseline_missing, baseline_rows, m.missing, predictions)) > significant
            UNION ALL
            SELECT 2, nadi_store.short_share(m.wrong / predictions) || ' of another type, in the reference '
                       || nadi_store.short_share(m.baseline_wrong / baseline_rows),
                   m.wrong / predictions - m.baseline_wrong / baseline_rows >= grave
            WHERE abs(nadi_store.share_root(m.baseline_wrong, baseline_rows, m.wrong, predictions)) > significant
            UNION ALL
            SELECT 3, nadi_store.short_share(m.outside / m.n) || ' outside ' || nadi_store.short_number(m.low) || ' to '
                       || nadi_store.short_number(m.high),
                   m.outside / m.n >= grave AND m.outside / m.n > coalesce(s.out_of_range, 0)
            WHERE nadi_store.outside_is_significant(m.outside, m.n, m.baseline_values)
            UNION ALL
            SELECT 4, nadi_store.short_share(m.unseen / m.n) || ' in '
                       || CASE m.fresh WHEN 1 THEN 'a new category' ELSE m.fresh || ' new categories' END,
                   m.unseen / m.n >= grave AND m.unseen / m.n > coalesce(s.unseen, 0)
            WHERE nadi_store.share_root(m.singletons, m.baseline_values, m.unseen, m.n) > significant
            UNION ALL
            SELECT 5, 'one value alone', true
            WHERE m.constant AND NOT nadi_store.is_sliced_by(m.role, m.feature_name, slice_key, slice_values) AND m.n >= 200 AND m.baseline_values > 0
              AND m.n * ln(greatest(m.mode, 0.5) / m.baseline_values) < -11.512925464970229) found
        WHERE predictions >= 200 AND m.reference_id IS NOT NULL) p
    ORDER BY m.role DESC, m.feature_name;
END
$$;
COMMENT ON FUNCTION nadi.data_quality(text, timestamptz, timestamptz, text[], text[], text[], text, text[], text[], text[]) IS 'Each feature of a range, and the prediction, beside the reference in force at its end. For the hours since that one came after another. value_kind: numeric or categorical, the reference''s, else what most values are. missing_rate and wrong_type_rate (values of the other kind or of no kind) are shares of the successful predictions; out_of_range_rate (outside the reference''s extremes; from 2 % bins, and then at least, where the hours are not on its edges) and new_category_rate (values in categories that the reference lacks) of value_count. is_constant: one value alone. quality_state: no_predictions, too_few (fewer than 200), no_reference, usual, changed (a rate differs at 1e-5), bad (also at least 0.1 worse, and worse than the reference''s own windows of that length; or constant where it was not, unless slice_values chose that value). reason says what. Null filters take all; slice_key: one tag, or all.';
