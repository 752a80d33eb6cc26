-- Purpose: how two rows of counts, sums, moments and histograms become one, and how a day follows from its hours.
-- Locks: none (new functions). All are associative and commutative: exactly in counts, to 1e-9 in sums and moments.

-- Two sparse histograms: parallel arrays, sorted by bin.
CREATE FUNCTION nadi_store.merge_counts(
    bins_a int[], counts_a bigint[], bins_b int[], counts_b bigint[], OUT bins int[], OUT counts bigint[]
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF cardinality(bins_b) = 0 THEN
        bins := bins_a; counts := counts_a;
    ELSIF cardinality(bins_a) = 0 THEN
        bins := bins_b; counts := counts_b;
    ELSE
        SELECT array_agg(m.bin ORDER BY m.bin), array_agg(m.n ORDER BY m.bin) INTO bins, counts
        FROM (SELECT u.bin, sum(u.n)::bigint AS n
              FROM (SELECT * FROM unnest(bins_a, counts_a) AS a (bin, n)
                    UNION ALL SELECT * FROM unnest(bins_b, counts_b) AS b (bin, n)) AS u
              GROUP BY u.bin) AS m;
    END IF;
END
$$;

-- Moments (n, mean as an unevaluated sum of two doubles, sum of squared deviations): Chan, Golub and LeVeque 1979,
-- with Knuth's two-sum so that a mean of 1e9 keeps the digits of a deviation of 1.
-- PostgreSQL refuses a statement whose double overflows or underflows, and one absurd number must not block a batch for
-- ever. So, here as in Moments.swift: a number beyond 1e120 makes m2 1e300 for good, which says that there is no variance;
-- the mean goes on. Differences below 1e-150 have no square.
CREATE FUNCTION nadi_store.merge_moments(
    n_a bigint, high_a float8, low_a float8, m2_a float8, n_b bigint, high_b float8, low_b float8, m2_b float8,
    OUT mean_high float8, OUT mean_low float8, OUT m2 float8
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    delta float8;
    shift float8;
    total float8;
    rest  float8;
BEGIN
    IF n_b = 0 THEN
        mean_high := high_a; mean_low := low_a; m2 := m2_a;
    ELSIF n_a = 0 THEN
        mean_high := high_b; mean_low := low_b; m2 := m2_b;
    ELSIF m2_a >= 1e300 OR m2_b >= 1e300 OR abs(high_a) > 1e120 OR abs(high_b) > 1e120 THEN
        mean_high := nadi_store.bounded_mean(nadi_store.share_of_mean(high_a, n_a::float8 / (n_a + n_b))
                                             + nadi_store.share_of_mean(high_b, n_b::float8 / (n_a + n_b)));
        mean_low := 0;
        m2 := 1e300;
    ELSE
        delta := (high_b - high_a) + (low_b - low_a);
        shift := CASE WHEN abs(delta) < 1e-290 THEN 0 ELSE delta * (n_b::float8 / (n_a + n_b)) END;
        total := high_a + shift;
        rest := total - high_a;
        rest := (high_a - (total - rest)) + (shift - rest) + low_a;
        mean_high := total + rest;
        mean_low := rest - (mean_high - total);
        m2 := m2_a + m2_b
            + CASE WHEN abs(delta) < 1e-150 THEN 0 ELSE delta * delta * (n_a::float8 * n_b / (n_a + n_b)) END;
    END IF;
END
$$;

-- A quarter of what a group's mean adds to the mean of several, and the mean of such parts: no sum leaves a double's range.
CREATE FUNCTION nadi_store.share_of_mean(mean float8, weight float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN abs(mean) < 1e-290 THEN 0 ELSE mean / 4 * weight END
$$;
CREATE FUNCTION nadi_store.square(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN abs(x) < 1e-150 THEN 0 ELSE x * x END
$$;
CREATE FUNCTION nadi_store.mean_over(x float8, n float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN abs(x) < 1e-290 THEN 0 ELSE x / n END
$$;
CREATE FUNCTION nadi_store.bounded_mean(parts float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 4 * greatest(-4.494e307, least(4.494e307, parts))
$$;

-- A sum that stays finite: PostgreSQL refuses a statement whose double overflows, and one absurd value must not block
-- a batch for ever.
CREATE FUNCTION nadi_store.bounded_sum(a float8, b float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN abs(a) < 8e307 AND abs(b) < 8e307 THEN a + b
                WHEN abs(a) >= abs(b) THEN a ELSE b END
$$;
CREATE AGGREGATE nadi_store.bounded_total(float8) (
    SFUNC = nadi_store.bounded_sum, STYPE = float8, INITCOND = '0', PARALLEL = SAFE
);

-- Counts on frozen edges: added on the same edges. On different ones there is nothing to add: edge set -1, and it stays so.
CREATE FUNCTION nadi_store.merge_edges(
    set_a int, counts_a bigint[], set_b int, counts_b bigint[], OUT edge_set_id int, OUT edge_counts bigint[]
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF set_a <> set_b OR cardinality(counts_a) <> cardinality(counts_b) THEN
        edge_set_id := -1;
    ELSE
        edge_set_id := set_a;
        IF counts_a IS NULL OR counts_b IS NULL THEN
            edge_counts := coalesce(counts_a, counts_b);
        ELSE
            SELECT array_agg(u.a + u.b ORDER BY u.place) INTO edge_counts
            FROM unnest(counts_a, counts_b) WITH ORDINALITY AS u (a, b, place);
        END IF;
    END IF;
END
$$;

-- Score histograms: n, sum p, n predicted positive, sum p where predicted positive, per bin.
CREATE FUNCTION nadi_store.merge_scores(
    bins_a int[], counts_a bigint[], sums_a float8[], positive_counts_a bigint[], positive_sums_a float8[],
    bins_b int[], counts_b bigint[], sums_b float8[], positive_counts_b bigint[], positive_sums_b float8[],
    OUT bins int[], OUT counts bigint[], OUT sums float8[], OUT positive_counts bigint[], OUT positive_sums float8[]
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF cardinality(bins_b) = 0 THEN
        bins := bins_a; counts := counts_a; sums := sums_a;
        positive_counts := positive_counts_a; positive_sums := positive_sums_a;
    ELSIF cardinality(bins_a) = 0 THEN
        bins := bins_b; counts := counts_b; sums := sums_b;
        positive_counts := positive_counts_b; positive_sums := positive_sums_b;
    ELSE
        SELECT array_agg(m.bin ORDER BY m.bin), array_agg(m.n ORDER BY m.bin), array_agg(m.s ORDER BY m.bin),
               array_agg(m.pn ORDER BY m.bin), array_agg(m.ps ORDER BY m.bin)
        INTO bins, counts, sums, positive_counts, positive_sums
        FROM (SELECT u.bin, sum(u.n)::bigint AS n, sum(u.s) AS s, sum(u.pn)::bigint AS pn, sum(u.ps) AS ps
              FROM (SELECT * FROM unnest(bins_a, counts_a, sums_a, positive_counts_a, positive_sums_a)
                        AS a (bin, n, s, pn, ps)
                    UNION ALL
                    SELECT * FROM unnest(bins_b, counts_b, sums_b, positive_counts_b, positive_sums_b)
                        AS b (bin, n, s, pn, ps)) AS u
              GROUP BY u.bin) AS m;
    END IF;
END
$$;

-- Days from their hours. The callers hold the day's exclusive lock.
CREATE FUNCTION nadi_store.derive_request_day(the_day timestamptz) RETURNS void LANGUAGE sql AS $$
    DELETE FROM nadi_store.request_day WHERE day = the_day;
    INSERT INTO nadi_store.request_day
    SELECT d.*, hash_record_extended(ROW(d.*), 0) FROM (
    SELECT h.series_id, the_day, sum(h.requests)::bigint, sum(h.predictions)::bigint, sum(h.errors)::bigint,
           sum(h.failed_predictions)::bigint, sum(h.latency_count)::bigint, nadi_store.bounded_total(h.latency_sum), coalesce(b.bins, '{}'), coalesce(b.counts, '{}')
    FROM nadi_store.request_hour AS h
    LEFT JOIN (SELECT s.series_id, array_agg(s.bin ORDER BY s.bin) AS bins, array_agg(s.n ORDER BY s.bin) AS counts
               FROM (SELECT r.series_id, u.bin, sum(u.n)::bigint AS n
                     FROM nadi_store.request_hour AS r, unnest(r.latency_bins, r.latency_counts) AS u (bin, n)
                     WHERE r.hour >= the_day AND r.hour < the_day + interval '24 hours'
                     GROUP BY r.series_id, u.bin) AS s
               GROUP BY s.series_id) AS b ON b.series_id = h.series_id
    WHERE h.hour >= the_day AND h.hour < the_day + interval '24 hours'
    GROUP BY h.series_id, b.bins, b.counts
    ) AS d ORDER BY d.series_id;
$$;

CREATE FUNCTION nadi_store.derive_feature_day(the_day timestamptz) RETURNS void LANGUAGE sql AS $$
    DELETE FROM nadi_store.feature_day WHERE day = the_day;
    INSERT INTO nadi_store.feature_day
    WITH hours AS MATERIALIZED (
        SELECT series_id, feature_id, edge_set_id, numeric_count, categorical_count, null_count, wrong_type_count,
               mean_high, mean_low, m2, minimum, maximum, log_bins, log_counts, category_ids, category_counts, other_count, edge_counts
        FROM nadi_store.feature_hour WHERE hour >= the_day AND hour < the_day + interval '24 hours'
    ), centre AS (
        -- Beyond 1e120 as merge_moments does.
        SELECT series_id, feature_id, min(mean_high) AS origin, sum(numeric_count)::float8 AS total,
               bool_or(m2 >= 1e300 OR abs(mean_high) > 1e120) AS is_extreme
        FROM hours WHERE numeric_count > 0 GROUP BY 1, 2
    ), deviations AS (
        SELECT h.series_id, h.feature_id, c.is_extreme, c.origin, nadi_store.mean_over(
                   sum(CASE WHEN c.is_extreme THEN 0 ELSE h.numeric_count * ((h.mean_high - c.origin) + h.mean_low) END),
                   c.total) AS shift,
               nadi_store.bounded_mean(sum(CASE WHEN c.is_extreme
                   THEN nadi_store.share_of_mean(h.mean_high, h.numeric_count / c.total) ELSE 0 END)) AS extreme_mean
        FROM hours AS h JOIN centre AS c USING (series_id, feature_id)
        WHERE h.numeric_count > 0
        GROUP BY 1, 2, 3, 4, c.total
    ), bins AS (
        SELECT series_id, feature_id, array_agg(bin ORDER BY bin) AS bins, array_agg(n ORDER BY bin) AS counts
        FROM (SELECT h.series_id, h.feature_id, u.bin, sum(u.n)::bigint AS n
              FROM hours AS h, unnest(h.log_bins, h.log_counts) AS u (bin, n) GROUP BY 1, 2, 3) AS s GROUP BY 1, 2
    ), categories AS (
        SELECT series_id, feature_id, array_agg(id ORDER BY id) AS ids, array_agg(n ORDER BY id) AS counts
        FROM (SELECT h.series_id, h.feature_id, u.id, sum(u.n)::bigint AS n
              FROM hours AS h, unnest(h.category_ids, h.category_counts) AS u (id, n) GROUP BY 1, 2, 3) AS s GROUP BY 1, 2
    ), edges AS (
        -- As merge_edges does.
        SELECT series_id, feature_id, array_agg(n ORDER BY place) AS counts
        FROM (SELECT h.series_id, h.feature_id, u.place, sum(u.n)::bigint AS n
              FROM hours AS h, unnest(h.edge_counts) WITH ORDINALITY AS u (n, place)
              WHERE (h.series_id, h.feature_id) IN (
                  SELECT series_id, feature_id FROM hours GROUP BY 1, 2
                  HAVING min(edge_set_id) = max(edge_set_id) AND min(edge_set_id) > 0)
              GROUP BY 1, 2, 3) AS s GROUP BY 1, 2
    )
    SELECT d.*, hash_record_extended(ROW(d.*), 0) FROM (
    SELECT h.series_id, h.feature_id, the_day,
           CASE WHEN min(h.edge_set_id) = max(h.edge_set_id) THEN min(h.edge_set_id) ELSE -1 END, sum(h.numeric_count)::bigint,
           sum(h.categorical_count)::bigint, sum(h.null_count)::bigint, sum(h.wrong_type_count)::bigint,
           coalesce(CASE WHEN d.is_extreme THEN d.extreme_mean ELSE d.origin + d.shift END, 0),
           coalesce(CASE WHEN d.is_extreme THEN 0 ELSE d.shift - ((d.origin + d.shift) - d.origin) END, 0),
           coalesce(CASE WHEN d.is_extreme THEN 1e300 ELSE
               sum(CASE WHEN d.is_extreme THEN 0 ELSE h.m2 + h.numeric_count * nadi_store.square(
                   ((h.mean_high - d.origin) + h.mean_low) - d.shift) END) FILTER (WHERE h.numeric_count > 0) END, 0),
           min(h.minimum), max(h.maximum), coalesce(b.bins, '{}'), coalesce(b.counts, '{}'),
           coalesce(c.ids, '{}'), coalesce(c.counts, '{}'), sum(h.other_count)::bigint, e.counts
    FROM hours AS h
    LEFT JOIN deviations AS d USING (series_id, feature_id)
    LEFT JOIN bins AS b USING (series_id, feature_id)
    LEFT JOIN categories AS c USING (series_id, feature_id)
    LEFT JOIN edges AS e USING (series_id, feature_id)
    GROUP BY h.series_id, h.feature_id, d.is_extreme, d.extreme_mean, d.origin, d.shift, b.bins, b.counts, c.ids, c.counts,
             e.counts
    ) AS d ORDER BY d.series_id, d.feature_id;
$$;

CREATE FUNCTION nadi_store.derive_score_day(the_day timestamptz) RETURNS void LANGUAGE sql AS $$
    DELETE FROM nadi_store.score_day WHERE day = the_day;
    INSERT INTO nadi_store.score_day
    SELECT d.*, hash_record_extended(ROW(d.*), 0) FROM (
    SELECT series_id, category_id, the_day, array_agg(bin ORDER BY bin), array_agg(n ORDER BY bin),
           array_agg(s ORDER BY bin), array_agg(pn ORDER BY bin), array_agg(ps ORDER BY bin)
    FROM (SELECT h.series_id, h.category_id, u.bin, sum(u.n)::bigint AS n, sum(u.s) AS s, sum(u.pn)::bigint AS pn,
                 sum(u.ps) AS ps
          FROM nadi_store.score_hour AS h,
               unnest(h.bins, h.counts, h.sums, h.positive_counts, h.positive_sums) AS u (bin, n, s, pn, ps)
          WHERE h.hour >= the_day AND h.hour < the_day + interval '24 hours'
          GROUP BY 1, 2, 3) AS b
    GROUP BY series_id, category_id
    ) AS d ORDER BY d.series_id, d.category_id;
$$;

CREATE FUNCTION nadi_store.derive_named_outcome_day(the_day timestamptz) RETURNS void LANGUAGE sql AS $$
    DELETE FROM nadi_store.named_outcome_day WHERE day = the_day;
    INSERT INTO nadi_store.named_outcome_day
    SELECT d.*, hash_record_extended(ROW(d.*), 0) FROM (
    SELECT series_id, the_day, event_type, name, currency, sum(count)::bigint, sum(positive_count)::bigint, sum(negative_count)::bigint,
           sum(value_count)::bigint, nadi_store.bounded_total(value_sum ORDER BY hour),
           nadi_store.bounded_total(value_square_sum ORDER BY hour),
           sum(score_count)::bigint, nadi_store.bounded_total(score_sum ORDER BY hour),
           nadi_store.bounded_total(score_square_sum ORDER BY hour)
    FROM nadi_store.named_outcome_hour WHERE hour >= the_day AND hour < the_day + interval '24 hours'
    GROUP BY series_id, event_type, name, currency
    ) AS d ORDER BY d.series_id, d.event_type, d.name, d.currency;
$$;

-- A join replaces an hour of both tables, so both days follow from it. Sums in the order of the hours, so that they come out alike
-- to the last bit wherever the rows lie. unnest stands in lists of columns, where it costs a third.
CREATE FUNCTION nadi_store.derive_outcome_day(the_day timestamptz) RETURNS void LANGUAGE sql AS $$
    DELETE FROM nadi_store.outcome_day WHERE day = the_day;
    INSERT INTO nadi_store.outcome_day
    WITH hours AS MATERIALIZED (
        SELECT * FROM nadi_store.outcome_hour WHERE hour >= the_day AND hour < the_day + interval '24 hours' ORDER BY hour
    ), confusion AS (
        SELECT series_id, array_agg(p ORDER BY p, l) AS predicted, array_agg(l ORDER BY p, l) AS labels,
               array_agg(n ORDER BY p, l) AS counts
        FROM (SELECT series_id, p, l, sum(n)::bigint AS n
              FROM (SELECT series_id, unnest(confusion_predicted) AS p, unnest(confusion_labels) AS l,
                           unnest(confusion_counts) AS n FROM hours) AS u GROUP BY 1, 2, 3) AS s GROUP BY 1
    ), scores AS (
        SELECT series_id, array_agg(bin ORDER BY bin) AS bins, array_agg(n ORDER BY bin) AS counts,
               array_agg(y ORDER BY bin) AS y, array_agg(p ORDER BY bin) AS p, array_agg(p2 ORDER BY bin) AS p2,
               array_agg(py ORDER BY bin) AS py
        FROM (SELECT series_id, bin, sum(n)::bigint AS n, sum(y) AS y, sum(p) AS p, sum(p2) AS p2, sum(py) AS py
              FROM (SELECT series_id, unnest(score_bins) AS bin, unnest(score_counts) AS n, unnest(score_sum_y) AS y,
                           unnest(score_sum_p) AS p, unnest(score_sum_p2) AS p2, unnest(score_sum_py) AS py FROM hours) AS u
              GROUP BY 1, 2) AS s GROUP BY 1
    ), delays AS (
        SELECT series_id, array_agg(bin ORDER BY bin) AS bins, array_agg(n ORDER BY bin) AS counts
        FROM (SELECT series_id, bin, sum(n)::bigint AS n
              FROM (SELECT series_id, unnest(delay_bins) AS bin, unnest(delay_counts) AS n FROM hours) AS u
              GROUP BY 1, 2) AS s GROUP BY 1
    )
    SELECT d.*, hash_record_extended(ROW(d.*), 0) FROM (
    SELECT h.series_id, the_day, sum(h.labelled)::bigint, sum(h.failed_labelled)::bigint, sum(h.classified)::bigint, sum(h.correct)::bigint,
           sum(h.binary_count)::bigint, sum(h.label_positive_count)::bigint, sum(h.predicted_positive_count)::bigint,
           sum(h.true_positive_count)::bigint,
           coalesce(c.predicted, '{}'), coalesce(c.labels, '{}'), coalesce(c.counts, '{}'),
           coalesce(s.bins, '{}'), coalesce(s.counts, '{}'), coalesce(s.y, '{}'), coalesce(s.p, '{}'),
           coalesce(s.p2, '{}'), coalesce(s.py, '{}'),
           sum(h.log_loss_count)::bigint, nadi_store.bounded_total(h.log_loss_sum ORDER BY h.hour), sum(h.error_count)::bigint,
           nadi_store.bounded_total(h.error_sum ORDER BY h.hour), nadi_store.bounded_total(h.error_abs_sum ORDER BY h.hour),
           nadi_store.bounded_total(h.error_square_sum ORDER BY h.hour), nadi_store.bounded_total(h.error_label_sum ORDER BY h.hour),
           nadi_store.bounded_total(h.error_label_square_sum ORDER BY h.hour), sum(h.delay_count)::bigint,
           nadi_store.bounded_total(h.delay_sum ORDER BY h.hour),
           coalesce(d.bins, '{}'), coalesce(d.counts, '{}')
    FROM hours AS h
    LEFT JOIN confusion AS c USING (series_id)
    LEFT JOIN scores AS s USING (series_id)
    LEFT JOIN delays AS d USING (series_id)
    GROUP BY h.series_id, c.predicted, c.labels, c.counts, s.bins, s.counts, s.y, s.p, s.p2, s.py, d.bins, d.counts
    ) AS d ORDER BY d.series_id;
    SELECT nadi_store.derive_named_outcome_day(the_day);
$$;

-- Drops the oldest day of outcomes before `first_kept` that can go, counts its rows as aged_out and closes its hours to joins;
-- returns the rows, null where no day can go. The caller holds the outcome locks of all models.
-- A day stays while an hour of it or beside it waits for its join (but not for one that has failed for 30 days); while a loader
-- has claimed an object sealed within label_days after it; and a week after rows were loaded that found no prediction: an
-- archive older than label_days that is loaded anew is joined first. Whether anybody reads the day is asked before its rows are
-- read: a long reader (pg_dump) would have them read in vain in each run.
CREATE FUNCTION nadi_store.age_out_day(first_kept date, label_days int, the_now timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    child    text;
    day      date;
    begin_at timestamptz;
    end_at   timestamptz;
    kept     boolean;
    deleted  bigint;
BEGIN
    FOR child IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'nadi_store.outcome'::regclass AND c.relname < 'outcome_' || to_char(first_kept, 'YYYYMMDD')
        ORDER BY c.relname
    LOOP
        day := to_date(substr(child, 9), 'YYYYMMDD');
        begin_at := day::timestamp AT TIME ZONE 'UTC';
        end_at := begin_at + interval '24 hours';
        CONTINUE WHEN EXISTS (SELECT FROM nadi_store.dirty_hour AS d
                              WHERE d.hour >= begin_at - interval '1 hour' AND d.hour < end_at + interval '1 hour'
                                AND NOT (d.failures > 0 AND d.since < the_now - interval '30 days'));
        CONTINUE WHEN EXISTS (SELECT FROM nadi_store.object AS o WHERE o.state = 'claimed' AND o.lease_until > the_now
                              AND o.sealed_at < end_at + label_days * interval '24 hours');
        EXECUTE format($sql$
            SELECT EXISTS (SELECT FROM nadi_store.%I AS t JOIN nadi_store.segment AS s USING (segment_id)
                           JOIN nadi_store.object AS b ON b.object_id = s.object_id AND b.sealed_at = s.object_sealed_at
                           WHERE t.unmatched AND b.loaded_at > $1 - interval '7 days')
            $sql$, child) INTO kept USING the_now;
        CONTINUE WHEN kept;
        -- In a block of its own, whose end gives the locks back: they are not held while rows are counted.
        BEGIN
            EXECUTE format('LOCK TABLE ONLY nadi_store.outcome, ONLY nadi_store.%I IN ACCESS EXCLUSIVE MODE', child);
            RAISE EXCEPTION 'nobody reads it' USING ERRCODE = 'ND001';
        EXCEPTION WHEN SQLSTATE 'ND001' THEN
            NULL;
        END;
        EXECUTE format($sql$
            WITH gone AS (
                SELECT arrival_day, event_type, model_id, count(*) AS n FROM nadi_store.%I GROUP BY 1, 2, 3
            ), added AS (
                UPDATE nadi_store.outcome_arrival AS a SET aged_out = a.aged_out + g.n FROM gone AS g
                WHERE a.arrival_day = g.arrival_day AND a.event_type = g.event_type AND a.model_id = g.model_id
                RETURNING g.n
            )
            SELECT coalesce(sum(n), 0)::bigint FROM added
            $sql$, child) INTO deleted;
        EXECUTE format($sql$
            INSERT INTO nadi_store.join_hour AS j (model_id, hour, joined_to, predictions, outcomes, repeated_ids, is_final)
            SELECT DISTINCT t.model_id, t.prediction_hour, 0, 0, 0, 0, true FROM nadi_store.%I AS t
            ON CONFLICT (model_id, hour) DO UPDATE SET is_final = true
            $sql$, child);
        UPDATE nadi_store.join_hour SET is_final = true WHERE hour >= begin_at AND hour < end_at AND NOT is_final;
        DELETE FROM nadi_store.dirty_hour WHERE hour >= begin_at AND hour < end_at;
        EXECUTE format('DROP TABLE nadi_store.%I', child);
        RETURN deleted;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION nadi_store.age_out_day(date, int, timestamptz) IS 'Drops one day of outcomes past label_days, counts its rows as aged_out and closes its hours. No join comes after; null where none can go.';

-- Outcomes whose prediction was never found go by their arrival, a week after they were loaded, so that several sweeps have
-- looked for them. At most `most` rows: the caller goes on until fewer go. It holds the outcome locks of all models.
CREATE FUNCTION nadi_store.age_out_unplaced(first_kept date, the_now timestamptz, most bigint) RETURNS bigint LANGUAGE sql AS $$
    WITH chosen AS (
        SELECT o.ctid AS place FROM nadi_store.outcome_unplaced AS o
        WHERE o.arrival_day < first_kept
          AND NOT EXISTS (SELECT FROM nadi_store.segment AS s JOIN nadi_store.object AS b ON b.object_id = s.object_id
                              AND b.sealed_at = s.object_sealed_at
                          WHERE s.segment_id = o.segment_id AND b.loaded_at > the_now - interval '7 days')
        LIMIT most
    ), gone AS (
        DELETE FROM nadi_store.outcome_unplaced AS o USING chosen AS c WHERE o.ctid = c.place
        RETURNING o.arrival_day, o.event_type, o.model_id
    ), counted AS (
        SELECT arrival_day, event_type, model_id, count(*) AS n FROM gone GROUP BY 1, 2, 3
    ), added AS (
        UPDATE nadi_store.outcome_arrival AS a SET aged_out = a.aged_out + c.n FROM counted AS c
        WHERE a.arrival_day = c.arrival_day AND a.event_type = c.event_type AND a.model_id = c.model_id
        RETURNING c.n
    )
    SELECT coalesce(sum(n), 0)::bigint FROM added
$$;
COMMENT ON FUNCTION nadi_store.age_out_unplaced(date, timestamptz, bigint) IS 'Deletes outcomes past label_days whose prediction''s hour never became known, a bounded number at a time. They count as aged_out.';
