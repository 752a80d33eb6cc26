-- Purpose: how right predictions were, from the labels that came: measures, calibration, confusion, delay. Locks: none (new functions).
-- One truth: whatever says how right a model was adds up what nadi_store.measured_performance says.

CREATE FUNCTION nadi_store.mean_error(n float8, total float8, squares float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN n < 2 OR abs(total) > 1e150 OR squares > 1e300 THEN NULL
            ELSE sqrt(nadi_store.mean_over(greatest(0, nadi_store.mean_over(squares, n)
                - nadi_store.square(nadi_store.mean_over(total, n))), n - 1))
       END;
COMMENT ON FUNCTION nadi_store.mean_error(float8, float8, float8) IS 'The standard error of a mean from n, sum and sum of squares: the sample''s standard deviation over the root of n. Null under two values, and where squares do not fit a double.';

CREATE FUNCTION nadi_store.is_positive_class(class_name text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN lower(class_name) IN ('1', 'true', 'yes', 'positive')
        OR (class_name ~ '^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?$' AND length(class_name) < 40
            AND class_name::numeric >= 0.5);
END
$$;
COMMENT ON FUNCTION nadi_store.is_positive_class(text) IS 'Whether a class of a binary task says yes: true, 1, yes, positive, or a number of at least 0.5.';

-- hits: the successes of a share (of f1, of Jaccard's J = f1 / (2 - f1), whose trials are n); error: the standard error of a mean.
-- AUC: of two scores of one bin the positive one is ahead with a chance of 1/2 + cov(S, F(S)) (m1 - m0) / s^2, by the bin's means
-- m1, m0 of positives and negatives and its deviation s (likelihood ratio linear within a bin; cov(S, F(S)) = s / sqrt(12) where
-- scores are even, 2 % less where they are normal); half a pair alone is 0.007 off where all scores lie in ten bins. Its error is
-- Hanley and McNeil's (1982). The errors of Brier score and
-- log loss take a bin's positive and negative rows at their mean scores. Those of macro means are linearised over the
-- multinomial confusion counts. Classes -1 and -2 are positive and negative of binary tasks, 0 (other) is no class.
CREATE FUNCTION nadi_store.measured_performance(series int[], from_time timestamptz, to_time timestamptz, width interval)
RETURNS TABLE (at timestamptz, class_id int, measure text, n float8, hits float8, value float8, error float8)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 500 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH rows AS MATERIALIZED (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, r.classified = r.binary_count AS is_binary, r.*
        FROM nadi_store.outcome_rows(series, from_time, to_time, width) r
    ), sums AS (
        SELECT r.at, sum(r.classified)::float8 AS classified, sum(r.correct)::float8 AS correct, sum(r.binary_count)::float8 AS two,
               sum(r.label_positive_count)::float8 AS yes, sum(r.predicted_positive_count)::float8 AS said,
               sum(r.true_positive_count)::float8 AS hit,
               sum(r.log_loss_count)::float8 AS log_count, nadi_store.bounded_total(r.log_loss_sum) AS log_sum,
               sum(r.error_count)::float8 AS errors, nadi_store.bounded_total(r.error_sum) AS error_sum,
               nadi_store.bounded_total(r.error_abs_sum) AS error_abs_sum, nadi_store.bounded_total(r.error_square_sum) AS error_square_sum,
               nadi_store.bounded_total(r.error_label_sum) AS label_sum,
                   nadi_store.bounded_total(r.error_label_square_sum) AS label_square_sum
        FROM rows r GROUP BY r.at
    ), cells AS (
        SELECT r.at, r.is_binary, s.bin, sum(s.n)::float8 AS n, sum(s.y) AS y, sum(s.p) AS p, sum(s.p2) AS p2, sum(s.py) AS py
        FROM rows r, unnest(r.score_bins, r.score_counts, r.score_sum_y, r.score_sum_p, r.score_sum_p2, r.score_sum_py)
            AS s(bin, n, y, p, p2, py)
        GROUP BY r.at, r.is_binary, s.bin HAVING sum(s.n) > 0
    ), scored AS (
        -- OFFSET 0: what is used several times is computed once.
        SELECT l.at, sum(l.n) AS n, sum(l.p2 - 2 * l.py + l.y) AS brier,
               sum(l.y * (1 - l.hit) ^ 2 + (l.n - l.y) * l.miss ^ 2) AS brier_sum,
                   sum(l.y * (1 - l.hit) ^ 4 + (l.n - l.y) * l.miss ^ 4) AS brier_squares,
               sum(-l.y * l.log_hit - (l.n - l.y) * l.log_miss) AS log_sum,
                   sum(l.y * l.log_hit ^ 2 + (l.n - l.y) * l.log_miss ^ 2) AS log_squares
        FROM (SELECT m.*, ln(greatest(1e-15, m.hit)) AS log_hit, ln(greatest(1e-15, 1 - m.miss)) AS log_miss
              FROM (SELECT c.*, CASE WHEN c.y > 0 AND c.py > 1e-60 THEN least(1, c.py / c.y) ELSE 0 END AS hit,
                           CASE WHEN c.n > c.y AND c.p - c.py > 1e-60 THEN least(1, (c.p - c.py) / (c.n - c.y)) ELSE 0 END AS miss
                    FROM cells c OFFSET 0) m OFFSET 0) l
        GROUP BY l.at
    ), bars AS (
        SELECT b.at, sum(abs(b.p - b.y)) AS gap FROM (
            SELECT c.at, sum(c.p) AS p, sum(c.y) AS y FROM cells c JOIN nadi_store.score_edge e ON e.bin = c.bin
            GROUP BY c.at, least(9, floor(e.lower * 10 + 1e-9))) b
        GROUP BY b.at
    ), area AS (
        SELECT r.at, sum(r.n) AS n, sum(r.y) AS yes, sum(r.n - r.y) AS no, sum(r.y * (r.below + (r.n - r.y) * r.ahead)) AS pairs
        FROM (SELECT c.at, c.n, c.y, sum(c.n - c.y) OVER (PARTITION BY c.at ORDER BY c.bin) - (c.n - c.y) AS below,
                     CASE WHEN c.y > 0 AND c.n > c.y AND c.p2 > 1e-100 AND v.variance > 1e-9 * c.p2 / c.n
                          THEN least(1, greatest(0, 0.5 + 0.28867513459481287 * (c.py / c.y - (c.p - c.py) / (c.n - c.y))
                              / sqrt(v.variance)))
                          ELSE 0.5 END AS ahead
              FROM cells c
              CROSS JOIN LATERAL (SELECT CASE WHEN c.p2 > 1e-100 THEN c.p2 / c.n - (c.p / c.n) ^ 2 ELSE 0 END AS variance) v
              WHERE c.is_binary) r
        GROUP BY r.at
    ), pairs AS (
        SELECT r.at, c.predicted, c.label, sum(c.n)::float8 AS n
        FROM rows r, unnest(r.confusion_predicted, r.confusion_labels, r.confusion_counts) AS c(predicted, label, n)
        WHERE NOT r.is_binary GROUP BY r.at, c.predicted, c.label HAVING sum(c.n) > 0
        UNION ALL
        SELECT s.at, v.predicted, v.label, v.n
        FROM (SELECT r.at, sum(r.binary_count)::float8 AS two, sum(r.label_positive_count)::float8 AS yes,
                     sum(r.predicted_positive_count)::float8 AS said, sum(r.true_positive_count)::float8 AS hit
              FROM rows r WHERE r.is_binary GROUP BY r.at) s
        CROSS JOIN LATERAL (VALUES (-1, -1, s.hit), (-1, -2, s.said - s.hit), (-2, -1, s.yes - s.hit),
            (-2, -2, s.two - s.said - s.yes + s.hit))
            AS v(predicted, label, n)
        WHERE v.n > 0
    ), classes AS (
        SELECT c.at, c.id, sum(c.said) AS said, sum(c.yes) AS yes, sum(c.hit) AS hit
        FROM (SELECT p.at, p.predicted AS id, p.n AS said, 0::float8 AS yes, CASE WHEN p.predicted = p.label THEN p.n ELSE 0 END AS hit
            FROM pairs p
              UNION ALL SELECT p.at, p.label, 0, p.n, 0 FROM pairs p) c
        WHERE c.id <> 0 GROUP BY c.at, c.id
    ), macro AS (
        SELECT c.at, count(*) AS k, avg(coalesce(c.hit / nullif(c.said, 0), 0)) AS precision,
            avg(coalesce(c.hit / nullif(c.yes, 0), 0)) AS recall,
               avg(2 * c.hit / (c.said + c.yes)) AS f1
        FROM classes c GROUP BY c.at
    ), macro_errors AS (
        SELECT p.at, sum(p.n) AS n,
               sqrt(sum(p.n * (((p.predicted = p.label)::int - a.hit / nullif(a.said, 0)) / nullif(a.said, 0)) ^ 2)) AS precision,
               sqrt(sum(p.n * (((p.predicted = p.label)::int - b.hit / nullif(b.yes, 0)) / nullif(b.yes, 0)) ^ 2)) AS recall,
               sqrt(sum(p.n * (coalesce((2 * (p.predicted = p.label)::int - 2 * a.hit / (a.said + a.yes)) / (a.said + a.yes), 0)
                               - coalesce(2 * b.hit / (b.said + b.yes) ^ 2, 0)) ^ 2)) AS f1
        FROM pairs p LEFT JOIN classes a ON a.at = p.at AND a.id = p.predicted LEFT JOIN classes b ON b.at = p.at AND b.id = p.label
        GROUP BY p.at
    )
    SELECT s.at, 0, v.measure, v.n, v.hits, v.value, v.error
    FROM sums s
    LEFT JOIN scored d ON d.at = s.at LEFT JOIN bars b ON b.at = s.at LEFT JOIN macro m ON m.at = s.at
        LEFT JOIN macro_errors e ON e.at = s.at
    LEFT JOIN LATERAL (
        SELECT x.*, x.auc / (2 - x.auc) AS q1, 2 * x.auc ^ 2 / (1 + x.auc) AS q2
        FROM (SELECT a.n, a.yes, a.no, CASE WHEN a.yes > 0 AND a.no > 0 THEN a.pairs / (a.yes * a.no) END AS auc FROM area a
            WHERE a.at = s.at) x) a ON true
    CROSS JOIN LATERAL (SELECT CASE WHEN abs(s.label_sum) < 1e150 AND s.errors > 0
                                    THEN s.label_square_sum - nadi_store.mean_over(nadi_store.square(s.label_sum), s.errors) END
                                        AS spread) t
    CROSS JOIN LATERAL (VALUES
        ('accuracy', s.classified > 0, s.classified, s.correct, s.correct / nullif(s.classified, 0), NULL::float8),
        ('precision', s.two > 0, s.said, s.hit, s.hit / nullif(s.said, 0), NULL),
        ('recall', s.two > 0, s.yes, s.hit, s.hit / nullif(s.yes, 0), NULL),
        ('f1', s.two > 0, s.said + s.yes - s.hit, s.hit, 2 * s.hit / nullif(s.said + s.yes, 0), NULL),
        ('precision_macro', m.k > 0, e.n, NULL, m.precision, e.precision / m.k),
        ('recall_macro', m.k > 0, e.n, NULL, m.recall, e.recall / m.k),
        ('f1_macro', m.k > 0, e.n, NULL, m.f1, e.f1 / m.k),
        ('roc_auc', a.n > 0, a.n, NULL, a.auc,
            sqrt(greatest(0, a.auc * (1 - a.auc) + (a.yes - 1) * (a.q1 - a.auc ^ 2) + (a.no - 1) * (a.q2 - a.auc ^ 2))
                / nullif(a.yes * a.no, 0))),
        ('brier_score', d.n > 0, d.n, NULL, d.brier / d.n, nadi_store.mean_error(d.n, d.brier_sum, d.brier_squares)),
        ('log_loss', s.log_count > 0, s.log_count, NULL, s.log_sum / nullif(s.log_count, 0),
            nadi_store.mean_error(d.n, d.log_sum, d.log_squares)),
        ('calibration_error', d.n > 0, d.n, NULL, b.gap / d.n, NULL),
        ('mae', s.errors > 0, s.errors, NULL, nadi_store.mean_over(s.error_abs_sum, nullif(s.errors, 0)),
            nadi_store.mean_error(s.errors, s.error_abs_sum, s.error_square_sum)),
        ('rmse', s.errors > 0, s.errors, NULL, sqrt(nadi_store.mean_over(s.error_square_sum, nullif(s.errors, 0))), NULL),
        ('bias', s.errors > 0, s.errors, NULL, nadi_store.mean_over(s.error_sum, nullif(s.errors, 0)),
            nadi_store.mean_error(s.errors, s.error_sum, s.error_square_sum)),
        -- The sums hold the labels' spread to some 1e-15 of their mean square; what is not above that is none.
        ('r2', s.errors > 0, s.errors, NULL,
            CASE WHEN t.spread > 1e-11 * s.label_square_sum AND t.spread > 1e-200 AND s.error_square_sum < 1e100 * t.spread
                 THEN 1 - s.error_square_sum / t.spread END, NULL)) AS v(measure, wanted, n, hits, value, error)
    WHERE v.wanted
    UNION ALL
    SELECT c.at, c.id, v.measure, v.n, v.hits, v.value, NULL
    FROM classes c
    CROSS JOIN LATERAL (VALUES
        ('precision', c.said, c.hit, c.hit / nullif(c.said, 0)), ('recall', c.yes, c.hit, c.hit / nullif(c.yes, 0)),
        ('f1', c.said + c.yes - c.hit, c.hit, 2 * c.hit / (c.said + c.yes))) AS v(measure, n, hits, value);
END
$$;
COMMENT ON FUNCTION nadi_store.measured_performance(int[], timestamptz, timestamptz, interval) IS 'What the labels of some series say, by bucket: measure, its own n, the successes of shares, the standard errors of means. class_id 0 is the whole, -1 and -2 positive and negative of binary tasks, others categories.';

CREATE FUNCTION nadi_store.measure_bound(measure text, n float8, hits float8, value float8, error float8, direction int) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN value IS NULL THEN NULL
    WHEN hits IS NULL AND measure ~ '^(roc_auc|brier_score)$|_macro$'
        THEN least(1, greatest(0, value + direction * 1.959963984540054 * error))
    WHEN hits IS NULL AND measure IN ('log_loss', 'mae') THEN greatest(0, value + direction * 1.959963984540054 * error)
    WHEN hits IS NULL THEN value + direction * 1.959963984540054 * error
    WHEN measure = 'f1' THEN 2 * nadi_store.wilson_bound(hits, n, direction) / (1 + nadi_store.wilson_bound(hits, n, direction))
    ELSE nadi_store.wilson_bound(hits, n, direction) END;
COMMENT ON FUNCTION nadi_store.measure_bound(text, float8, float8, float8, float8, int) IS 'An end of a measure''s 95 % interval: Wilson''s of shares (of f1 by way of Jaccard''s share, which it grows with), else normal; null where the error is not known.';

CREATE FUNCTION nadi.performance(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, bucket_end timestamptz, class_name text, measure text, sample_count bigint, prediction_count bigint,
    labelled_count bigint, label_coverage float8, value float8, lower float8, upper float8, performance_state text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, greatest(interval '1 hour', bucket)) END;
    expected text := CASE WHEN EXISTS (SELECT FROM nadi_store.category k
        WHERE k.feature_id = ANY (nadi_store.matching_features(model, ARRAY['prediction'], NULL)))
                            OR EXISTS (SELECT FROM nadi_store.score_hour s WHERE s.series_id = ANY (ids)) THEN 'accuracy' ELSE 'mae' END;
BEGIN
    RETURN QUERY
    WITH predicted AS (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, sum(r.predictions - r.failed_predictions)::bigint AS n
        FROM nadi_store.request_rows(ids, from_time, to_time, width, false) r GROUP BY 1
    ), labelled AS (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, sum(r.labelled)::bigint AS n
        FROM nadi_store.outcome_rows(ids, from_time, to_time, width) r GROUP BY 1
    ), measured AS MATERIALIZED (
        SELECT * FROM nadi_store.measured_performance(ids, from_time, to_time, width)
    ), buckets AS (
        SELECT b.at, coalesce(p.n, 0) AS predictions, coalesce(l.n, 0) AS labels
        FROM (SELECT at FROM predicted UNION SELECT at FROM labelled UNION SELECT from_time WHERE width IS NULL) b
        LEFT JOIN predicted p ON p.at = b.at LEFT JOIN labelled l ON l.at = b.at
    ), wanted AS (
        SELECT b.*, w.class_id, w.measure
        FROM buckets b CROSS JOIN (SELECT DISTINCT 0 AS class_id, measure FROM measured WHERE class_id = 0
                                   UNION SELECT 0, expected WHERE NOT EXISTS (SELECT FROM measured WHERE class_id = 0)) w
        UNION ALL
        SELECT b.*, m.class_id, m.measure FROM buckets b JOIN measured m ON m.at = b.at WHERE m.class_id <> 0
    )
    SELECT w.at, coalesce(w.at + width, to_time),
           CASE w.class_id WHEN 0 THEN '(all)' WHEN -1 THEN 'positive' WHEN -2 THEN 'negative' ELSE k.value END, w.measure,
           coalesce(m.n, 0)::bigint, w.predictions, w.labels, w.labels / nullif(w.predictions, 0)::float8, m.value,
           nadi_store.measure_bound(w.measure, m.n, m.hits, m.value, m.error, -1),
               nadi_store.measure_bound(w.measure, m.n, m.hits, m.value, m.error, 1),
           CASE WHEN w.predictions = 0 AND w.labels = 0 THEN 'no_predictions' WHEN w.labels = 0 THEN 'no_labels'
                WHEN coalesce(m.n, 0) < 200 THEN 'too_few' WHEN m.value IS NULL THEN 'undefined' ELSE 'measured' END
    FROM wanted w LEFT JOIN measured m ON m.at = w.at AND m.class_id = w.class_id AND m.measure = w.measure
    LEFT JOIN nadi_store.category k ON k.category_id = w.class_id
    ORDER BY w.at, w.class_id <> 0, k.value COLLATE "C", w.class_id DESC,
        array_position(ARRAY['accuracy', 'precision', 'recall', 'f1', 'precision_macro', 'recall_macro', 'f1_macro',
        'roc_auc', 'brier_score', 'log_loss', 'calibration_error', 'mae', 'rmse', 'bias', 'r2'], w.measure);
END
$$;
COMMENT ON FUNCTION nadi.performance(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'How right the predictions of a range were, as far as labels have come; by the prediction''s time, one row a bucket, class and measure. class_name: (all), or a class with its precision, recall and f1 (positive and negative in binary tasks). measure: accuracy; of binary tasks precision, recall, f1 of the positive class and roc_auc; precision_macro, recall_macro, f1_macro (means over classes, an undefined one as 0, the gathered rest left out); brier_score, log_loss, calibration_error (ECE, ten equally wide bins) of the score, which in multiclass tasks is the chance that the predicted class is right; mae, rmse, bias (prediction less label), r2. sample_count: the measure''s own n (precision: predicted positives, recall: positive labels, f1: either). label_coverage: labelled_count over successful predictions. lower, upper: 95 %, Wilson''s of shares, Hanley and McNeil''s of roc_auc, else normal by the sample''s own variance; null for calibration_error, rmse and r2. performance_state: no_predictions, no_labels, too_few (sample_count under 200), undefined (labels of one class, or all alike) or measured. bucket: least width of a row''s period, at least an hour, widened to at most 60 periods; null takes the whole range. Null filters take all; slice_key: one tag, or all.';

CREATE FUNCTION nadi.calibration(
    model text, from_time timestamptz, to_time timestamptz, bins int DEFAULT 10,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    lower_score float8, upper_score float8, labelled_count bigint, score_mean float8, positive_share float8, lower float8, upper float8,
        gap float8
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    bars int := bins;
BEGIN
    IF bins IS NULL OR bins < 1 OR 100 % bins <> 0 THEN
        RAISE EXCEPTION 'bins is %, which does not divide 100', coalesce(bins::text, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass 1, 2, 4, 5, 10, 20, 25, 50 or 100.';
    END IF;
    RETURN QUERY
    SELECT b.bar / bars::float8, (b.bar + 1) / bars::float8, b.n::bigint, b.p / b.n, b.y / b.n,
           nadi_store.wilson_bound(b.y, b.n, -1), nadi_store.wilson_bound(b.y, b.n, 1), (b.y - b.p) / b.n
    FROM (SELECT least(bars - 1, floor(e.lower * bars + 1e-9))::int AS bar, sum(s.n)::float8 AS n, sum(s.y) AS y, sum(s.p) AS p
          FROM nadi_store.outcome_rows(ids, from_time, to_time, NULL) r,
               unnest(r.score_bins, r.score_counts, r.score_sum_y, r.score_sum_p) AS s(bin, n, y, p)
          JOIN nadi_store.score_edge e ON e.bin = s.bin
          GROUP BY 1 HAVING sum(s.n) > 0) b
    ORDER BY b.bar;
END
$$;
COMMENT ON FUNCTION nadi.calibration(text, timestamptz, timestamptz, int, text[], text[], text[], text, text[]) IS 'The reliability table: labelled predictions by score in equally wide bars, each with its mean score, the share that came true (multiclass: whose predicted class was right) with Wilson''s 95 % interval, and gap, that share less the mean score. The sum of |gap| weighted with labelled_count is calibration_error of nadi.performance (at 10 bins). Empty bars have no row. bins: a divisor of 100. Null filters take all; slice_key: one tag, or all.';

CREATE FUNCTION nadi.confusion(
    model text, from_time timestamptz, to_time timestamptz,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (predicted_class text, labelled_class text, outcome_count bigint, share_of_label float8)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
BEGIN
    RETURN QUERY
    WITH pairs AS MATERIALIZED (
        SELECT r.classified = r.binary_count AS is_binary, coalesce(p.value, '(other)') AS predicted,
            coalesce(l.value, '(other)') AS label, sum(c.n) AS n
        FROM nadi_store.outcome_rows(ids, from_time, to_time, NULL) r,
             unnest(r.confusion_predicted, r.confusion_labels, r.confusion_counts) AS c(predicted, label, n)
        LEFT JOIN nadi_store.category p ON p.category_id = c.predicted LEFT JOIN nadi_store.category l ON l.category_id = c.label
        GROUP BY 1, 2, 3
    ), spelling AS (
        -- A binary task's label may be spelled otherwise than its prediction (1 and true): the predictions' commonest spelling names both.
        SELECT DISTINCT ON (s.positive) s.positive, s.value
        FROM (SELECT nadi_store.is_positive_class(predicted) AS positive, predicted AS value, n, 0 AS part FROM pairs WHERE is_binary
            AND predicted <> '(other)'
              UNION ALL SELECT nadi_store.is_positive_class(label), label, n, 1 FROM pairs WHERE is_binary AND label <> '(other)') s
        GROUP BY s.positive, s.value, s.part ORDER BY s.positive, s.part, sum(s.n) DESC, s.value COLLATE "C"
    ), named AS (
        SELECT coalesce(p.value, x.predicted) AS predicted, coalesce(l.value, x.label) AS label, sum(x.n) AS n
        FROM pairs x
        LEFT JOIN spelling p ON x.is_binary AND x.predicted <> '(other)' AND p.positive = nadi_store.is_positive_class(x.predicted)
        LEFT JOIN spelling l ON x.is_binary AND x.label <> '(other)' AND l.positive = nadi_store.is_positive_class(x.label)
        GROUP BY 1, 2
    )
    SELECT n.predicted, n.label, n.n::bigint, (n.n / nullif(sum(n.n) OVER (PARTITION BY n.label), 0))::float8
    FROM named n WHERE n.n > 0 ORDER BY n.label COLLATE "C", n.predicted COLLATE "C";
END
$$;
COMMENT ON FUNCTION nadi.confusion(text, timestamptz, timestamptz, text[], text[], text[], text, text[]) IS 'Predicted against labelled classes over a range: one row a pair that occurred, its count and its share of the label''s (on the diagonal the class''s recall). In binary tasks labels that are spelled otherwise (1 for true) stand under the predictions'' spelling. Null filters take all; slice_key: one tag, or all.';

CREATE FUNCTION nadi.label_delay(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, prediction_count bigint, labelled_count bigint, label_coverage float8, delay_p50_seconds float8,
        delay_p95_seconds float8,
    delay_mean_seconds float8
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := CASE WHEN bucket IS NOT NULL THEN nadi.bucket_width(from_time, to_time, greatest(interval '1 hour', bucket)) END;
BEGIN
    RETURN QUERY
    WITH predicted AS (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, sum(r.predictions - r.failed_predictions)::bigint AS n
        FROM nadi_store.request_rows(ids, from_time, to_time, width, false) r GROUP BY 1
    ), rows AS MATERIALIZED (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, r.labelled, r.delay_count, r.delay_sum, r.delay_bins, r.delay_counts
        FROM nadi_store.outcome_rows(ids, from_time, to_time, width) r
    ), labelled AS (
        SELECT r.at, sum(r.labelled)::bigint AS n, nadi_store.bounded_total(r.delay_sum) / nullif(sum(r.delay_count), 0)::float8 AS mean
            FROM rows r GROUP BY r.at
    ), quantiles AS (
        SELECT d.at, nadi_store.bin_value(min(d.code) FILTER (WHERE d.below >= ceil(0.5::float8 * d.total))) AS median,
               nadi_store.bin_value(min(d.code) FILTER (WHERE d.below >= ceil(0.95::float8 * d.total))) AS p95
        FROM (SELECT x.at, x.code, sum(x.n) OVER (PARTITION BY x.at ORDER BY x.code) AS below, sum(x.n) OVER (PARTITION BY x.at) AS total
              FROM (SELECT r.at, c.code, sum(c.n::float8) AS n FROM rows r, unnest(r.delay_bins, r.delay_counts) AS c(code, n) GROUP BY 1,
                  2) x
              WHERE x.n > 0) d
        GROUP BY d.at
    )
    SELECT b.at, coalesce(p.n, 0), coalesce(l.n, 0), coalesce(l.n, 0) / nullif(p.n, 0)::float8, q.median, q.p95, l.mean
    FROM (SELECT at FROM predicted UNION SELECT at FROM labelled UNION SELECT from_time WHERE width IS NULL) b
    LEFT JOIN predicted p USING (at) LEFT JOIN labelled l USING (at) LEFT JOIN quantiles q USING (at)
    ORDER BY 1;
END
$$;
COMMENT ON FUNCTION nadi.label_delay(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'How long labels take, bucket by bucket, by the prediction''s time: from prediction to the label''s own time, percentiles within 1 %. The newest buckets hold only labels that came quickly. bucket as in nadi.performance. Null filters take all; slice_key: one tag, or all.';
