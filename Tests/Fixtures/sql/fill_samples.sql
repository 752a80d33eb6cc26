-- Raw samples into nadi_store, by plain SQL: insert rows into test.request, test.value and test.score, then SELECT test.fill().
CREATE SCHEMA test;
CREATE TABLE test.request (model text NOT NULL, version text NOT NULL DEFAULT 'v1', slice_key text NOT NULL DEFAULT 'all',
    slice_value text NOT NULL DEFAULT 'all', hour timestamptz NOT NULL, latency float8, failed boolean NOT NULL DEFAULT false);
-- number and word null: a null value. No row: absent.
CREATE TABLE test.value (model text NOT NULL, role text NOT NULL DEFAULT 'feature', feature text NOT NULL, hour timestamptz NOT NULL,
    number float8, word text);
CREATE TABLE test.score (model text NOT NULL, hour timestamptz NOT NULL, p float8 NOT NULL);

CREATE FUNCTION test.fill() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO nadi_store.model (model_name) SELECT DISTINCT model FROM test.request ORDER BY 1;
    INSERT INTO nadi_store.series (model_id, model_version, model_variant, environment, slice_key, slice_value)
        SELECT DISTINCT m.model_id, r.version, 'champion', 'default', r.slice_key, r.slice_value
        FROM test.request r JOIN nadi_store.model m ON m.model_name = r.model;
    INSERT INTO nadi_store.feature (model_id, role, feature_name)
        SELECT DISTINCT m.model_id, v.role, v.feature FROM test.value v JOIN nadi_store.model m ON m.model_name = v.model;
    INSERT INTO nadi_store.category (feature_id, value)
        SELECT DISTINCT f.feature_id, v.word FROM test.value v JOIN nadi_store.model m ON m.model_name = v.model
        JOIN nadi_store.feature f ON f.model_id = m.model_id AND f.role = v.role AND f.feature_name = v.feature WHERE v.word IS NOT NULL;

    INSERT INTO nadi_store.request_hour
    WITH sample AS (
        SELECT s.series_id, r.hour, r.latency, r.failed FROM test.request r JOIN nadi_store.model m ON m.model_name = r.model
        JOIN nadi_store.series s ON s.model_id = m.model_id AND s.model_version = r.version AND s.slice_key = r.slice_key AND s.slice_value = r.slice_value
    ), bins AS (
        SELECT series_id, hour, array_agg(code ORDER BY code) AS codes, array_agg(n ORDER BY code) AS counts
        FROM (SELECT series_id, hour, nadi_store.test_bin_code(latency) AS code, count(*) AS n FROM sample WHERE latency IS NOT NULL GROUP BY 1, 2, 3) b
        GROUP BY 1, 2
    )
    SELECT s.series_id, s.hour, count(*), count(*), count(*) FILTER (WHERE s.failed), count(*) FILTER (WHERE s.failed),
           count(s.latency), coalesce(sum(s.latency), 0), coalesce(b.codes, '{}'), coalesce(b.counts, '{}')
    FROM sample s LEFT JOIN bins b USING (series_id, hour) GROUP BY s.series_id, s.hour, b.codes, b.counts;

    INSERT INTO nadi_store.feature_hour
    WITH sample AS (
        SELECT s.series_id, f.feature_id, v.hour, v.number, v.word FROM test.value v JOIN nadi_store.model m ON m.model_name = v.model
        JOIN nadi_store.series s ON s.model_id = m.model_id AND s.model_version = 'v1' AND s.slice_key = 'all'
        JOIN nadi_store.feature f ON f.model_id = m.model_id AND f.role = v.role AND f.feature_name = v.feature
    ), bins AS (
        SELECT series_id, feature_id, hour, array_agg(code ORDER BY code) AS codes, array_agg(n ORDER BY code) AS counts
        FROM (SELECT series_id, feature_id, hour, nadi_store.test_bin_code(number) AS code, count(*) AS n FROM sample WHERE number IS NOT NULL GROUP BY 1, 2, 3, 4) b
        GROUP BY 1, 2, 3
    ), words AS (
        SELECT series_id, feature_id, hour, array_agg(category_id ORDER BY category_id) AS ids, array_agg(n ORDER BY category_id) AS counts
        FROM (SELECT s.series_id, s.feature_id, s.hour, c.category_id, count(*) AS n FROM sample s
              JOIN nadi_store.category c ON c.feature_id = s.feature_id AND c.value = s.word GROUP BY 1, 2, 3, 4) b
        GROUP BY 1, 2, 3
    ), moments AS (
        -- Differences from one of the values: a cast to numeric keeps 15 digits only.
        SELECT series_id, feature_id, hour, count(number) AS numbers, count(word) AS words, count(*) - count(number) - count(word) AS nulls,
               coalesce(min(origin), 0) AS origin, coalesce(avg(number - origin), 0) AS shift, coalesce(var_pop(number - origin), 0) * count(number) AS m2,
               min(number) AS low, max(number) AS high
        FROM (SELECT s.*, min(number) OVER (PARTITION BY series_id, feature_id, hour) AS origin FROM sample s) c GROUP BY 1, 2, 3
    )
    SELECT m.series_id, m.feature_id, m.hour, 0, m.numbers, m.words, m.nulls, 0,
           m.origin + m.shift, m.shift - ((m.origin + m.shift) - m.origin), m.m2, m.low, m.high,
           coalesce(b.codes, '{}'), coalesce(b.counts, '{}'), coalesce(w.ids, '{}'), coalesce(w.counts, '{}'), 0, NULL
    FROM moments m LEFT JOIN bins b USING (series_id, feature_id, hour) LEFT JOIN words w USING (series_id, feature_id, hour);

    INSERT INTO nadi_store.score_hour
    SELECT series_id, 0, hour, array_agg(bin ORDER BY bin), array_agg(n ORDER BY bin), array_agg(total ORDER BY bin),
           array_agg(positive ORDER BY bin), array_agg(positive_total ORDER BY bin)
    FROM (SELECT s.series_id, x.hour, e.bin, count(*) AS n, sum(x.p) AS total, count(*) FILTER (WHERE x.p >= 0.5) AS positive,
                 coalesce(sum(x.p) FILTER (WHERE x.p >= 0.5), 0) AS positive_total
          FROM test.score x JOIN nadi_store.model m ON m.model_name = x.model
          JOIN nadi_store.series s ON s.model_id = m.model_id AND s.model_version = 'v1' AND s.slice_key = 'all'
          JOIN nadi_store.score_edge e ON x.p >= e.lower AND (x.p < e.upper OR e.upper = 1 AND x.p = 1) GROUP BY 1, 2, 3) b
    GROUP BY 1, 3;

    PERFORM nadi_store.derive_request_day(d), nadi_store.derive_feature_day(d), nadi_store.derive_score_day(d)
    FROM (SELECT DISTINCT date_trunc('day', hour, 'UTC') AS d FROM nadi_store.request_hour) days;
    ANALYZE;
END
$$;
