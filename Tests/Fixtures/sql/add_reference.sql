-- A reference from raw samples of fill_samples.sql: those of the hours [first, last), in force from the hour effective_from.
-- Its edges are few (least, tenths, greatest), which is all that these tests ask of it; hours from effective_from on are put on them.
CREATE FUNCTION test.add_reference(the_model text, first timestamptz, last timestamptz, effective timestamptz) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    reference int;
BEGIN
    INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task, calibration)
        SELECT m.model_id, 'test', 'samples', n.n, n.n, 0, 'other', 'none'
        FROM nadi_store.model m, (SELECT count(*) AS n FROM test.request r WHERE r.model = the_model AND r.hour >= first AND r.hour < last
                                  AND NOT r.failed AND r.slice_key = 'all') n
        WHERE m.model_name = the_model RETURNING reference_id INTO reference;
    INSERT INTO nadi_store.edge_set VALUES (reference, 'test');
    INSERT INTO nadi_store.reference_activation (model_id, effective_from, reference_id)
        SELECT model_id, effective, reference FROM nadi_store.model WHERE model_name = the_model;

    INSERT INTO nadi_store.reference_feature
    WITH sample AS (
        SELECT f.feature_id, v.number, v.word FROM test.value v JOIN nadi_store.model m ON m.model_name = v.model
        JOIN nadi_store.feature f ON f.model_id = m.model_id AND f.role = v.role AND f.feature_name = v.feature
        WHERE v.model = the_model AND v.hour >= first AND v.hour < last
    ), counted AS (
        SELECT feature_id, count(number) AS numbers, count(word) AS words, min(number) AS low, max(number) AS high,
               coalesce(avg(number), 0) AS mean, coalesce(var_pop(number) * count(number), 0) AS m2,
               percentile_disc(ARRAY[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) WITHIN GROUP (ORDER BY number) AS tenths
        FROM sample GROUP BY feature_id
    ), edged AS (
        -- The next double above the greatest value, near enough.
        SELECT c.*, CASE WHEN c.numbers > 0 THEN ARRAY(SELECT DISTINCT e FROM unnest(c.tenths || c.low || (c.high + greatest(abs(c.high), 1e-300) * 2.3e-16)) e ORDER BY 1)
                         ELSE '{}' END AS edges
        FROM counted c
    )
    SELECT reference, e.feature_id, CASE WHEN e.words > e.numbers THEN 'categorical' ELSE 'numeric' END, e.numbers, e.words,
           r.row_count - e.numbers - e.words, least(e.numbers, e.words), e.mean, 0, e.m2, e.low, e.high, e.edges,
           CASE WHEN cardinality(e.edges) > 0 THEN
               ARRAY(SELECT (SELECT count(*) FROM sample s WHERE s.feature_id = e.feature_id AND width_bucket(s.number, e.edges) = i)
                     FROM generate_series(0, cardinality(e.edges)) i ORDER BY i) ELSE '{}' END,
           ARRAY(SELECT least(9, greatest(0, i - 1)) FROM generate_series(0, cardinality(e.edges)) i WHERE cardinality(e.edges) > 0 ORDER BY i),
           coalesce(b.codes, '{}'), coalesce(b.counts, '{}'), coalesce(w.ids, '{}'), coalesce(w.counts, '{}'), 0, coalesce(w.singles, 0)
    FROM edged e CROSS JOIN nadi_store.reference r
    LEFT JOIN (SELECT feature_id, array_agg(code ORDER BY code) AS codes, array_agg(n ORDER BY code) AS counts
               FROM (SELECT feature_id, nadi_store.test_bin_code(number) AS code, count(*) AS n FROM sample WHERE number IS NOT NULL GROUP BY 1, 2) x
               GROUP BY 1) b USING (feature_id)
    LEFT JOIN (SELECT feature_id, array_agg(category_id ORDER BY category_id) AS ids, array_agg(n ORDER BY category_id) AS counts,
                      count(*) FILTER (WHERE n = 1) AS singles
               FROM (SELECT s.feature_id, k.category_id, count(*) AS n FROM sample s
                     JOIN nadi_store.category k ON k.feature_id = s.feature_id AND k.value = s.word GROUP BY 1, 2) x
               GROUP BY 1) w USING (feature_id)
    WHERE r.reference_id = reference;

    UPDATE nadi_store.feature_hour h SET edge_set_id = reference, edge_counts = CASE WHEN b.kind = 'numeric' AND cardinality(b.edges) > 0 THEN
            ARRAY(SELECT (SELECT count(*) FROM test.value v JOIN nadi_store.feature f ON f.feature_id = h.feature_id AND f.role = v.role AND f.feature_name = v.feature
                          WHERE v.model = the_model AND v.hour = h.hour AND width_bucket(v.number, b.edges) = i)
                  FROM generate_series(0, cardinality(b.edges)) i ORDER BY i) END
    FROM nadi_store.reference_feature b
    WHERE b.reference_id = reference AND b.feature_id = h.feature_id AND h.hour >= effective;
    PERFORM nadi_store.derive_feature_day(d)
    FROM (SELECT DISTINCT date_trunc('day', hour, 'UTC') AS d FROM nadi_store.feature_hour WHERE hour >= effective) days;
    RETURN reference;
END
$$;
