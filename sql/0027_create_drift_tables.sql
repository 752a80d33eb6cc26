-- Purpose: drift per hour and day, kept by whoever changes an hour; references and stored drift as people see them.
-- Locks: none (new functions and views).

-- Hours are replaced whole: rows of features that went are gone. One refresh of a model at a time, or two loaders would write
-- the same rows in two orders.
CREATE FUNCTION nadi_store.refresh_drift(model_id int, hours timestamptz[]) RETURNS bigint
LANGUAGE plpgsql SET timezone = 'UTC' SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    number ALIAS FOR $1;
    touched timestamptz[] := ARRAY(
        SELECT DISTINCT nadi_store.bucket_of(h, interval '1 hour', NULL) FROM unnest(hours) h WHERE h IS NOT NULL ORDER BY 1);
    days timestamptz[] := ARRAY(SELECT DISTINCT nadi_store.bucket_of(h, interval '1 day', NULL) FROM unnest(touched) h ORDER BY 1);
    name text := (SELECT m.model_name FROM nadi_store.model m WHERE m.model_id = number);
    ids int[];
    starts timestamptz[];
    froms timestamptz[];
    tos timestamptz[];
    refs int[];
    written bigint := 0;
    found bigint;
    width interval;
BEGIN
    IF name IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('nadi drift'), number);
    ids := nadi_store.matching_series(name, NULL, NULL, NULL, 'all', NULL);
    DELETE FROM nadi_store.drift_hour d WHERE d.model_id = number AND d.hour = ANY (touched);
    DELETE FROM nadi_store.drift_day d WHERE d.model_id = number AND d.day = ANY (days);
    FOREACH width IN ARRAY ARRAY[interval '1 hour', interval '1 day'] LOOP
        SELECT array_agg(w.at ORDER BY w.at), array_agg(greatest(w.at, w.since) ORDER BY w.at), array_agg(w.at + width ORDER BY w.at),
               array_agg(w.reference_id ORDER BY w.at)
        INTO starts, froms, tos, refs
        FROM (SELECT t AS at, nadi_store.reference_at(number, t + width) AS reference_id,
                     nadi_store.reference_since(number, t + width) AS since
              FROM unnest(CASE WHEN width < interval '1 day' THEN touched ELSE days END) t) w
        WHERE w.reference_id IS NOT NULL;
        CONTINUE WHEN froms IS NULL;
        IF width < interval '1 day' THEN
            INSERT INTO nadi_store.drift_hour (
                model_id, feature_id, hour, reference_id, value_kind, baseline_count, current_count, bin_count, psi, psi_noise, psi_spread,
                ks, ks_p_value, jensen_shannon, wasserstein, l_infinity, chi_square, baseline_missing_rate, current_missing_rate,
                unseen_rate, out_of_range_rate, drift_state, reason, moved_bins)
            SELECT number, d.feature_id, starts[d.pair], d.reference_id, d.value_kind, d.baseline_count, d.current_count, d.bin_count, d.psi,
                   d.psi_noise, d.psi_spread, d.ks, d.ks_p_value, d.jensen_shannon, d.wasserstein, d.l_infinity, d.chi_square,
                   d.baseline_missing_rate, d.current_missing_rate, d.unseen_rate, d.out_of_range_rate, d.drift_state,
                   concat_ws('; ', nullif(d.reason, ''), nadi_store.change_remark(froms[d.pair], starts[d.pair])), d.moved_bins
            FROM nadi_store.drift_rows(name, ids, froms, tos, NULL, ARRAY(SELECT generate_series(1, cardinality(froms))), NULL, refs,
                                       NULL, NULL) d
            WHERE d.has_predictions;
        ELSE
            INSERT INTO nadi_store.drift_day (
                model_id, feature_id, day, reference_id, value_kind, baseline_count, current_count, bin_count, psi, psi_noise, psi_spread,
                ks, ks_p_value, jensen_shannon, wasserstein, l_infinity, chi_square, baseline_missing_rate, current_missing_rate,
                unseen_rate, out_of_range_rate, drift_state, reason, moved_bins)
            SELECT number, d.feature_id, starts[d.pair], d.reference_id, d.value_kind, d.baseline_count, d.current_count, d.bin_count, d.psi,
                   d.psi_noise, d.psi_spread, d.ks, d.ks_p_value, d.jensen_shannon, d.wasserstein, d.l_infinity, d.chi_square,
                   d.baseline_missing_rate, d.current_missing_rate, d.unseen_rate, d.out_of_range_rate, d.drift_state,
                   concat_ws('; ', nullif(d.reason, ''), nadi_store.change_remark(froms[d.pair], starts[d.pair])), d.moved_bins
            FROM nadi_store.drift_rows(name, ids, froms, tos, NULL, ARRAY(SELECT generate_series(1, cardinality(froms))), NULL, refs,
                                       NULL, NULL) d
            WHERE d.has_predictions;
        END IF;
        GET DIAGNOSTICS found = ROW_COUNT;
        written := written + found;
    END LOOP;
    RETURN written;
END
$$;
COMMENT ON FUNCTION nadi_store.refresh_drift(int, timestamptz[]) IS 'Computes drift_hour of these hours of a model and drift_day of their days anew. Against the reference in force at each; returns the rows written. Hours without a reference or predictions get none.';

CREATE VIEW nadi.reference AS
SELECT r.reference_id, m.model_name, r.reference_name, r.source AS reference_source, r.task, r.row_count,
       r.sampled_from AS source_row_count, r.label_count, r.first_time, r.last_time, r.calibration, r.created_at, r.deleted_at,
       (SELECT max(a.effective_from) FROM nadi_store.reference_activation a WHERE a.reference_id = r.reference_id) AS effective_from,
       coalesce(r.reference_id = (SELECT a.reference_id FROM nadi_store.reference_activation a
                                  WHERE a.model_id = r.model_id AND a.effective_from <= now()
                                  ORDER BY a.effective_from DESC LIMIT 1), false) AS is_active
FROM nadi_store.reference r JOIN nadi_store.model m USING (model_id);
COMMENT ON VIEW nadi.reference IS 'References: what a model''s input was when it was trained or last known good. One row a reference; they never change.';

CREATE VIEW nadi.reference_feature AS
SELECT f.reference_id, m.model_name, r.reference_name, f.feature_id, n.role AS feature_role, n.feature_name, f.kind AS value_kind,
       r.row_count,
       CASE WHEN f.kind = 'numeric' THEN f.numeric_count ELSE f.categorical_count END AS value_count, f.missing_count, f.wrong_type_count,
       1 - least(1, CASE WHEN f.kind = 'numeric' THEN f.numeric_count ELSE f.categorical_count END / r.row_count::float8) AS missing_rate,
       CASE WHEN f.numeric_count > 0 THEN f.mean_high + f.mean_low END AS mean_value,
       CASE WHEN f.numeric_count > 1 AND f.m2 < 1e300 THEN sqrt(CASE WHEN f.m2 > 1e-290 THEN f.m2 ELSE 0 END / (f.numeric_count - 1)) END
           AS standard_deviation,
       f.minimum AS minimum_value, f.maximum AS maximum_value,
       CASE WHEN f.kind = 'numeric' THEN cardinality(f.edge_counts) END AS bin_count,
       CASE WHEN f.kind = 'categorical' THEN cardinality(f.category_ids) END AS category_count,
       CASE WHEN f.kind = 'categorical' THEN f.singleton_count END AS single_category_count
FROM nadi_store.reference_feature f JOIN nadi_store.reference r USING (reference_id) JOIN nadi_store.model m USING (model_id)
JOIN nadi_store.feature n ON n.feature_id = f.feature_id;
COMMENT ON VIEW nadi.reference_feature IS 'The features, and the prediction, of each reference.';

-- Stored drift against a reference that is no longer the one of its hour is not shown: a loader will replace it.
CREATE VIEW nadi_store.reference_period AS
SELECT a.model_id, a.reference_id, a.effective_from,
       lead(a.effective_from, 1, 'infinity') OVER (PARTITION BY a.model_id ORDER BY a.effective_from) AS effective_to
FROM nadi_store.reference_activation a;
COMMENT ON VIEW nadi_store.reference_period IS 'From when until when (not included) references are in force.';

CREATE FUNCTION nadi_store.mark_drift(model_id int, from_time timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    number ALIAS FOR $1;
    until_time timestamptz := coalesce((SELECT min(a.effective_from) FROM nadi_store.reference_activation a
                                        WHERE a.model_id = number AND a.effective_from > $2), 'infinity');
    found bigint;
BEGIN
    INSERT INTO nadi_store.drift_mark (model_id, hour)
    SELECT number, h.hour
    FROM (SELECT DISTINCT r.hour FROM nadi_store.request_hour r JOIN nadi_store.series s USING (series_id)
          WHERE s.model_id = number AND s.slice_key = 'all' AND r.hour >= $2 AND r.hour < until_time) h
    ORDER BY h.hour
    ON CONFLICT (model_id, hour) DO UPDATE SET marks = nextval('nadi_store.dirty_mark');
    GET DIAGNOSTICS found = ROW_COUNT;
    RETURN found;
END
$$;
COMMENT ON FUNCTION nadi_store.mark_drift(int, timestamptz) IS 'Marks the loaded hours from an activation to the next one, to have their drift computed anew. By the next loader; returns how many.';

CREATE VIEW nadi.drift_hour AS
SELECT d.hour AS bucket_start, (d.hour AT TIME ZONE 'UTC')::date AS bucket_date, m.model_name, d.reference_id, r.reference_name,
       coalesce(f.role, 'score') AS feature_role, coalesce(f.feature_name, 'score') AS feature_name, d.value_kind, d.baseline_count,
       d.current_count, d.bin_count, d.psi, d.psi_noise, d.psi_spread, d.ks, d.ks_p_value, d.jensen_shannon, d.wasserstein, d.l_infinity,
       d.chi_square, d.baseline_missing_rate, d.current_missing_rate,
       d.current_missing_rate - d.baseline_missing_rate AS missing_rate_change,
       d.unseen_rate, d.out_of_range_rate, d.drift_state, d.reason AS drift_reason, d.moved_bins
FROM nadi_store.drift_hour d JOIN nadi_store.reference_period p ON p.model_id = d.model_id AND p.reference_id = d.reference_id
    AND p.effective_from <= d.hour AND p.effective_to > d.hour
JOIN nadi_store.model m ON m.model_id = d.model_id LEFT JOIN nadi_store.reference r ON r.reference_id = d.reference_id
LEFT JOIN nadi_store.feature f ON f.feature_id = d.feature_id;
COMMENT ON VIEW nadi.drift_hour IS 'Each feature, the prediction and the score of an hour against the reference in force. Over all versions, variants and environments, as the loader last stored it. Hours before the first reference, and those that await another one''s drift, have no rows.';

CREATE VIEW nadi.drift_day AS
SELECT d.day AS bucket_start, (d.day AT TIME ZONE 'UTC')::date AS bucket_date, m.model_name, d.reference_id, r.reference_name,
       coalesce(f.role, 'score') AS feature_role, coalesce(f.feature_name, 'score') AS feature_name, d.value_kind, d.baseline_count,
       d.current_count, d.bin_count, d.psi, d.psi_noise, d.psi_spread, d.ks, d.ks_p_value, d.jensen_shannon, d.wasserstein, d.l_infinity,
       d.chi_square, d.baseline_missing_rate, d.current_missing_rate,
       d.current_missing_rate - d.baseline_missing_rate AS missing_rate_change,
       d.unseen_rate, d.out_of_range_rate, d.drift_state, d.reason AS drift_reason, d.moved_bins
FROM nadi_store.drift_day d JOIN nadi_store.reference_period p ON p.model_id = d.model_id AND p.reference_id = d.reference_id
    AND p.effective_from < d.day + interval '24 hours' AND p.effective_to >= d.day + interval '24 hours'
JOIN nadi_store.model m ON m.model_id = d.model_id LEFT JOIN nadi_store.reference r ON r.reference_id = d.reference_id
LEFT JOIN nadi_store.feature f ON f.feature_id = d.feature_id;
COMMENT ON VIEW nadi.drift_day IS 'Each feature, the prediction and the score of a UTC day against the reference in force at its end. Where that one came after another within the day, of the hours since. Over all versions, variants and environments, as the loader last stored it.';
