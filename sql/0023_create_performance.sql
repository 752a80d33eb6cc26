-- Purpose: how right predictions were, from the labels that came: measures, calibration, confusion, delay. Locks: none (new functions).
-- One truth: whatever says how right a model was adds up what nadi_store.measured_performance says.

CREATE FUNCTION nadi_store.mean_error(n float8, total float8, squares float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN n < 2 OR abs(total) > 1e150 OR squares > 1e300 THEN NULL
            ELSE sqrt(nadi_store.mean_over(greatest(0, nadi_store.mean_over(squares, n)
                - nadi_store.square(nadi_store.mean_over(total, n))), n - 1))
       END;
COMMENT ON FUNCTION nadi_store.mean_error(float8, float8, float8) IS 'The standard error of a mean from n, sum and sum of squares: the sample''s standard deviation over the root of n. Null under two values, and where squares do not fit a double.';

CREATE FUNCTION nadi_store.performance_measures() RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['accuracy', 'precision', 'recall', 'f1', 'precision_macro', 'recall_macro', 'f1_macro', 'roc_auc', 'brier_score', 'log_loss',
    'calibration_error', 'mae', 'rmse', 'bias', 'r2'];
COMMENT ON FUNCTION nadi_store.performance_measures() IS 'The measures of nadi.performance, in the order in which they are shown.';

-- hits: the successes of a share (of f1, of Jaccard's J = f1 / (2 - f1), whose trials are n); error: the standard error of a mean.
-- AUC: of two scores of one bin the positive one is ahead with a chance of 1/2 + cov(S, F(S)) (m1 - m0) / s^2, by the bin's means
-- m1, m0 of positives and negatives and its deviation s (likelihood ratio linear within a bin; cov(S, F(S)) = s / sqrt(12) where
-- scores are even, 2 % less where they are normal); half a pair alone is 0.007 off where all scores lie in ten bins. It is the most
-- that cov(S, F(S)) can be (Cauchy and Schwarz): where a bin holds two or three values, which moments cannot tell, the truth lies
-- between half a pair and this. slack is what the bins' insides add in all, by which the interval is wider on that side.
-- Its error is Hanley and McNeil's (1982) at the AUC with half a hit and half a miss more of the rarer class, of which there
-- are rarer: taken at 1 it would be 0. The errors of Brier score and log loss take a bin's positive and negative rows at their mean scores.
-- Those of macro means are linearised over the multinomial confusion counts, with a right and a wrong prediction more of each class.
-- Classes -1 and -2 are positive and negative of binary tasks, 0 (other) is no class. Score bins below 0 are -1 less the bin, of
-- tasks that are not binary: they have no AUC.
CREATE FUNCTION nadi_store.measured_performance(
    series int[], from_time timestamptz, to_time timestamptz, width interval, measures text[] DEFAULT NULL
) RETURNS TABLE (
    at timestamptz, class_id int, measure text, n float8, hits float8, value float8, error float8, slack float8, rarer float8
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 500 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    with_scores boolean := measures IS NULL OR measures && ARRAY['roc_auc', 'brier_score', 'log_loss', 'calibration_error'];
    with_classes boolean := measures IS NULL
        OR measures && ARRAY['precision', 'recall', 'f1', 'precision_macro', 'recall_macro', 'f1_macro'];
BEGIN
    RETURN QUERY
    WITH rows AS MATERIALIZED (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, r.*
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
        SELECT r.at, s.bin, sum(s.n::float8) AS n, sum(s.y) AS y, sum(s.p) AS p, sum(s.p2) AS p2, sum(s.py) AS py
        FROM rows r, unnest(r.score_bins, r.score_counts, r.score_sum_y, r.score_sum_p, r.score_sum_p2, r.score_sum_py)
            AS s(bin, n, y, p, p2, py)
        WHERE with_scores
        GROUP BY r.at, s.bin HAVING sum(s.n::float8) > 0
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
            SELECT c.at, sum(c.p) AS p, sum(c.y) AS y FROM cells c JOIN nadi_store.score_edge e ON e.bin = greatest(c.bin, -1 - c.bin)
            GROUP BY c.at, least(9, floor(e.lower * 10 + 1e-9))) b
        GROUP BY b.at
    ), area AS (
        SELECT r.at, sum(r.n) AS n, sum(r.y) AS yes, sum(r.n - r.y) AS no, sum(r.y * (r.below + (r.n - r.y) * r.ahead)) AS pairs,
               sum(r.y * (r.n - r.y) * (r.ahead - 0.5)) AS inside
        FROM (SELECT c.at, c.n, c.y, sum(c.n - c.y) OVER (PARTITION BY c.at ORDER BY c.bin) - (c.n - c.y) AS below,
                     CASE WHEN c.y > 0 AND c.n > c.y AND c.p2 > 1e-100 AND v.variance > 1e-9 * c.p2 / c.n
                          THEN least(1, greatest(0, 0.5 + 0.28867513459481287 * (c.py / c.y - (c.p - c.py) / (c.n - c.y))
                              / sqrt(v.variance)))
                          ELSE 0.5 END AS ahead
              FROM cells c
              CROSS JOIN LATERAL (SELECT CASE WHEN c.p2 > 1e-100 THEN c.p2 / c.n - (c.p / c.n) ^ 2 ELSE 0 END AS variance) v
              WHERE c.bin >= 0) r
        GROUP BY r.at
    ), pairs AS (
        SELECT r.at, c.predicted, c.label, sum(c.n)::float8 AS n
        FROM rows r, unnest(r.confusion_predicted, r.confusion_labels, r.confusion_counts) AS c(predicted, label, n)
        WHERE with_classes GROUP BY r.at, c.predicted, c.label HAVING sum(c.n) > 0
        UNION ALL
        SELECT s.at, v.predicted, v.label, v.n
        FROM sums s CROSS JOIN LATERAL nadi_store.binary_pairs(s.two, s.yes, s.said, s.hit) v WHERE with_classes
    ), classes AS (
        SELECT c.at, c.id, sum(c.said) AS said, sum(c.yes) AS yes, sum(c.hit) AS hit
        FROM (SELECT p.at, p.predicted AS id, p.n AS said, 0::float8 AS yes, CASE WHEN p.predicted = p.label THEN p.n ELSE 0 END AS hit
            FROM pairs p
              UNION ALL SELECT p.at, p.label, 0, p.n, 0 FROM pairs p) c
        WHERE c.id <> 0 GROUP BY c.at, c.id
    ), macro AS (
        -- spare: what a right and a wrong prediction more of each class add to the variance.
        SELECT c.at, count(*) AS k, avg(coalesce(c.precision, 0)) AS precision, avg(coalesce(c.recall, 0)) AS recall, avg(c.f1) AS f1,
               sum(coalesce(((1 - c.precision) ^ 2 + c.precision ^ 2) / (c.said + 2) ^ 2, 0)) AS precision_spare,
               sum(coalesce(((1 - c.recall) ^ 2 + c.recall ^ 2) / (c.yes + 2) ^ 2, 0)) AS recall_spare,
               sum((4 * (1 - c.f1) ^ 2 + 2 * c.f1 ^ 2) / (c.said + c.yes + 2) ^ 2) AS f1_spare
        FROM (SELECT x.*, x.hit / nullif(x.said, 0) AS precision, x.hit / nullif(x.yes, 0) AS recall, 2 * x.hit / (x.said + x.yes) AS f1
              FROM classes x OFFSET 0) c
        GROUP BY c.at
    ), macro_errors AS (
        SELECT p.at, sum(p.n) AS n,
               sum(p.n * (((p.predicted = p.label)::int - a.hit / nullif(a.said, 0)) / nullif(a.said, 0)) ^ 2) AS precision,
               sum(p.n * (((p.predicted = p.label)::int - b.hit / nullif(b.yes, 0)) / nullif(b.yes, 0)) ^ 2) AS recall,
               sum(p.n * (coalesce((2 * (p.predicted = p.label)::int - 2 * a.hit / (a.said + a.yes)) / (a.said + a.yes), 0)
                          - coalesce(2 * b.hit / (b.said + b.yes) ^ 2, 0)) ^ 2) AS f1
        FROM pairs p LEFT JOIN classes a ON a.at = p.at AND a.id = p.predicted LEFT JOIN classes b ON b.at = p.at AND b.id = p.label
        GROUP BY p.at
    )
    SELECT s.at, 0, v.measure, v.n, v.hits, v.value, v.error, CASE WHEN v.measure = 'roc_auc' THEN a.inside / (a.yes * a.no) END,
           CASE WHEN v.measure = 'roc_auc' THEN a.rarer END
    FROM sums s
    LEFT JOIN scored d ON d.at = s.at LEFT JOIN bars b ON b.at = s.at LEFT JOIN macro m ON m.at = s.at
        LEFT JOIN macro_errors e ON e.at = s.at
    LEFT JOIN LATERAL (
        SELECT y.*, y.near / (2 - y.near) AS q1, 2 * y.near ^ 2 / (1 + y.near) AS q2
        FROM (SELECT x.*, (x.rarer * x.auc + 0.5) / (x.rarer + 1) AS near
              FROM (SELECT a.n, a.yes, a.no, least(a.yes, a.no) AS rarer, CASE WHEN a.yes > 0 AND a.no > 0 THEN a.inside END AS inside,
                           CASE WHEN a.yes > 0 AND a.no > 0 THEN a.pairs / (a.yes * a.no) END AS auc
                    FROM area a WHERE a.at = s.at) x) y) a ON true
    CROSS JOIN LATERAL (SELECT CASE WHEN abs(s.label_sum) < 1e150 AND s.errors > 0
                                    THEN s.label_square_sum - nadi_store.mean_over(nadi_store.square(s.label_sum), s.errors) END
                                        AS spread) t
    CROSS JOIN LATERAL (VALUES
        ('accuracy', s.classified > 0, s.classified, s.correct, s.correct / nullif(s.classified, 0), NULL::float8),
        ('precision', s.two > 0, s.said, s.hit, s.hit / nullif(s.said, 0), NULL),
        ('recall', s.two > 0, s.yes, s.hit, s.hit / nullif(s.yes, 0), NULL),
        ('f1', s.two > 0, s.said + s.yes - s.hit, s.hit, 2 * s.hit / nullif(s.said + s.yes, 0), NULL),
        ('precision_macro', m.k > 0, e.n, NULL, m.precision, sqrt(e.precision + m.precision_spare) / m.k),
        ('recall_macro', m.k > 0, e.n, NULL, m.recall, sqrt(e.recall + m.recall_spare) / m.k),
        ('f1_macro', m.k > 0, e.n, NULL, m.f1, sqrt(e.f1 + m.f1_spare) / m.k),
        ('roc_auc', a.n > 0, a.n, NULL, a.auc,
            sqrt(greatest(0, a.near * (1 - a.near) + (a.yes - 1) * (a.q1 - a.near ^ 2) + (a.no - 1) * (a.q2 - a.near ^ 2))
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
    WHERE v.wanted AND (measures IS NULL OR v.measure = ANY (measures))
    UNION ALL
    SELECT c.at, c.id, v.measure, v.n, v.hits, v.value, NULL, NULL, NULL
    FROM classes c
    CROSS JOIN LATERAL (VALUES
        ('precision', c.said, c.hit, c.hit / nullif(c.said, 0)), ('recall', c.yes, c.hit, c.hit / nullif(c.yes, 0)),
        ('f1', c.said + c.yes - c.hit, c.hit, 2 * c.hit / (c.said + c.yes))) AS v(measure, n, hits, value)
    WHERE measures IS NULL OR v.measure = ANY (measures);
END
$$;
COMMENT ON FUNCTION nadi_store.measured_performance(int[], timestamptz, timestamptz, interval, text[]) IS 'What the labels of some series say, by bucket. Each measure''s own n, the successes of shares, the standard errors of means, slack and rarer of AUC. class_id 0 is the whole, -1 and -2 positive and negative of binary tasks, others categories. measures: those wanted, which costs less than all; null takes all.';

CREATE FUNCTION nadi_store.measure_bound(measure text, n float8, hits float8, value float8, error float8, slack float8, direction int)
RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN value IS NULL THEN NULL
    WHEN measure = 'f1' THEN 2 * nadi_store.wilson_bound(hits, n, direction) / (1 + nadi_store.wilson_bound(hits, n, direction))
    WHEN hits IS NOT NULL THEN nadi_store.wilson_bound(hits, n, direction)
    WHEN error IS NULL THEN NULL
    ELSE greatest(CASE WHEN measure <> 'bias' THEN 0 ELSE '-infinity'::float8 END,
                  least(CASE WHEN measure ~ '^(roc_auc|brier_score)$|_macro$' THEN 1 ELSE 'infinity'::float8 END,
                        value + direction * 1.959963984540054 * error
                            - CASE WHEN direction * coalesce(slack, 0) < 0 THEN slack ELSE 0 END)) END;
COMMENT ON FUNCTION nadi_store.measure_bound(text, float8, float8, float8, float8, float8, int) IS 'An end of a measure''s 95 % interval. Wilson''s of shares (of f1 by way of Jaccard''s share, which it grows with), else normal, of AUC on one side wider by slack; null where the error is not known.';

CREATE FUNCTION nadi.performance(
    model text, from_time timestamptz, to_time timestamptz, bucket interval DEFAULT NULL,
    versions text[] DEFAULT NULL, variants text[] DEFAULT NULL, environments text[] DEFAULT NULL,
    slice_key text DEFAULT 'all', slice_values text[] DEFAULT NULL, measures text[] DEFAULT NULL
) RETURNS TABLE (
    bucket_start timestamptz, bucket_end timestamptz, class_name text, measure text, sample_count bigint, prediction_count bigint,
    labelled_count bigint, label_coverage float8, value float8, lower float8, upper float8, performance_state text
) LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    ids int[] := nadi_store.matching_series(model, versions, variants, environments, slice_key, slice_values);
    width interval := nadi_store.row_width(from_time, to_time, bucket);
    expected text := CASE WHEN EXISTS (SELECT FROM nadi_store.category k
        WHERE k.feature_id = ANY (nadi_store.matching_features(model, ARRAY['prediction'], NULL)))
                            OR EXISTS (SELECT FROM nadi_store.score_hour s WHERE s.series_id = ANY (ids)) THEN 'accuracy' ELSE 'mae' END;
BEGIN
    IF NOT measures <@ nadi_store.performance_measures() OR cardinality(measures) = 0 THEN
        RAISE EXCEPTION 'measures are %, not all of which there are', measures
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name some of ' || array_to_string(nadi_store.performance_measures(), ', ') || '.';
    END IF;
    RETURN QUERY
    WITH predicted AS (
        SELECT * FROM nadi_store.predicted(ids, from_time, to_time, width)
    ), labelled AS (
        SELECT nadi_store.bucket_of(r.hour, width, from_time) AS at, sum(r.labelled)::bigint AS n
        FROM nadi_store.outcome_rows(ids, from_time, to_time, width) r GROUP BY 1
    ), measured AS MATERIALIZED (
        SELECT * FROM nadi_store.measured_performance(ids, from_time, to_time, width, measures)
    ), buckets AS (
        SELECT b.at, coalesce(p.n, 0) AS predictions, coalesce(l.n, 0) AS labels
        FROM (SELECT at FROM predicted UNION SELECT at FROM labelled UNION SELECT from_time WHERE width IS NULL) b
        LEFT JOIN predicted p ON p.at = b.at LEFT JOIN labelled l ON l.at = b.at
    ), wanted AS (
        SELECT b.*, 0 AS class_id, w.measure, EXISTS (SELECT FROM measured m WHERE m.class_id = 0 AND m.measure = w.measure) AS is_measured
        FROM buckets b CROSS JOIN (SELECT measure FROM measured WHERE class_id = 0 UNION SELECT unnest(measures)
                                   UNION SELECT expected WHERE measures IS NULL AND NOT EXISTS (SELECT FROM measured WHERE class_id = 0)) w
        UNION ALL
        SELECT b.*, m.class_id, m.measure, true FROM buckets b JOIN measured m ON m.at = b.at WHERE m.class_id <> 0
    )
    SELECT w.at, coalesce(w.at + width, to_time),
           CASE w.class_id WHEN 0 THEN '(all)' WHEN -1 THEN 'positive' WHEN -2 THEN 'negative' ELSE k.value END, w.measure,
           coalesce(m.n, 0)::bigint, w.predictions, w.labels, w.labels / nullif(w.predictions, 0)::float8, m.value,
           nadi_store.measure_bound(w.measure, m.n, m.hits, m.value, m.error, m.slack, -1),
               nadi_store.measure_bound(w.measure, m.n, m.hits, m.value, m.error, m.slack, 1),
           CASE WHEN w.predictions = 0 AND w.labels = 0 THEN 'no_predictions' WHEN w.labels = 0 THEN 'no_labels'
                WHEN NOT w.is_measured THEN 'not_measured' WHEN coalesce(m.n, 0) < nadi_store.least_count() THEN 'too_few'
                WHEN m.value IS NULL THEN 'undefined' WHEN m.rarer < 10 THEN 'too_few' ELSE 'measured' END
    FROM wanted w LEFT JOIN measured m ON m.at = w.at AND m.class_id = w.class_id AND m.measure = w.measure
    LEFT JOIN nadi_store.category k ON k.category_id = w.class_id
    ORDER BY w.at, w.class_id <> 0, k.value COLLATE "C", w.class_id DESC,
        array_position(nadi_store.performance_measures(), w.measure);
END
$$;
COMMENT ON FUNCTION nadi.performance(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[], text[]) IS 'How right predictions were, as far as labels have come, one row a bucket, class and measure. By the prediction''s time; labels of failed predictions count nowhere. class_name: (all), or a class with its precision, recall and f1 (positive and negative in binary tasks). measure: accuracy; of binary tasks precision, recall, f1 of the positive class and roc_auc; precision_macro, recall_macro, f1_macro (means over classes, an undefined one as 0, the gathered rest left out); brier_score, log_loss, calibration_error (ECE, ten equally wide bins) of the score, which in multiclass tasks is the chance that the predicted class is right; mae, rmse, bias (prediction less label), r2. A pair is binary where task is, and prediction and label both say yes or no in whatever spelling; names of classes are compared as text, and have neither scores nor precision of a positive class. sample_count: the measure''s own n (precision: predicted positives, recall: positive labels, f1: either). label_coverage: labelled_count over successful predictions. lower, upper: 95 %, Wilson''s of shares, Hanley and McNeil''s of roc_auc (drawn in from 0 and 1 where the rarer class is small; wider by what is not known of scores within one of 200 bins), else normal by the sample''s own variance; null for calibration_error, rmse and r2. performance_state: no_predictions, no_labels, not_measured (labels came, this measure is not theirs), too_few (sample_count under 200, of roc_auc also under 10 of the rarer class), undefined (labels of one class, or all alike: r2 also where their mean is more than 300,000 times their deviation) or measured. bucket: least width of a row''s period, at least an hour, widened to at most 60 periods; null takes the whole range. measures: those wanted, which costs less than all. Null filters take all; slice_key: one tag, or all.';

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
          JOIN nadi_store.score_edge e ON e.bin = greatest(s.bin, -1 - s.bin)
          GROUP BY 1 HAVING sum(s.n) > 0) b
    ORDER BY b.bar;
END
$$;
COMMENT ON FUNCTION nadi.calibration(text, timestamptz, timestamptz, int, text[], text[], text[], text, text[]) IS 'The reliability table: labelled predictions by score, in equally wide bars. Each with its mean score, the share that came true (multiclass: whose predicted class was right) with Wilson''s 95 % interval, and gap, that share less the mean score. The sum of |gap| weighted with labelled_count is calibration_error of nadi.performance (at 10 bins). Empty bars have no row. bins: a divisor of 100. Null filters take all; slice_key: one tag, or all.';

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
    WITH rows AS MATERIALIZED (
        SELECT * FROM nadi_store.outcome_rows(ids, from_time, to_time, NULL)
    ), pairs AS (
        SELECT coalesce(p.value, '(other)') AS predicted, coalesce(l.value, '(other)') AS label, c.n
        FROM (SELECT u.predicted, u.label, sum(u.n)::float8 AS n
              FROM rows r, unnest(r.confusion_predicted, r.confusion_labels, r.confusion_counts) AS u(predicted, label, n) GROUP BY 1, 2) c
        LEFT JOIN nadi_store.category p ON p.category_id = c.predicted LEFT JOIN nadi_store.category l ON l.category_id = c.label
        UNION ALL
        SELECT CASE v.predicted WHEN -1 THEN 'positive' ELSE 'negative' END, CASE v.label WHEN -1 THEN 'positive' ELSE 'negative' END, v.n
        FROM (SELECT sum(r.binary_count)::float8 AS two, sum(r.label_positive_count)::float8 AS yes,
                     sum(r.predicted_positive_count)::float8 AS said, sum(r.true_positive_count)::float8 AS hit FROM rows r) s
        CROSS JOIN LATERAL nadi_store.binary_pairs(s.two, s.yes, s.said, s.hit) v
    ), named AS (
        SELECT x.predicted, x.label, sum(x.n) AS n FROM pairs x GROUP BY 1, 2
    )
    SELECT n.predicted, n.label, n.n::bigint, n.n / nullif(sum(n.n) OVER (PARTITION BY n.label), 0)
    FROM named n WHERE n.n > 0 ORDER BY n.label COLLATE "C", n.predicted COLLATE "C";
END
$$;
COMMENT ON FUNCTION nadi.confusion(text, timestamptz, timestamptz, text[], text[], text[], text, text[]) IS 'Predicted against labelled classes over a range, one row a pair that occurred. Its count and its share of the label''s (on the diagonal the class''s recall). What says yes or no in binary tasks, whatever the spelling, is positive or negative. Null filters take all; slice_key: one tag, or all.';

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
    width interval := nadi_store.row_width(from_time, to_time, bucket);
BEGIN
    RETURN QUERY
    WITH predicted AS (
        SELECT * FROM nadi_store.predicted(ids, from_time, to_time, width)
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
COMMENT ON FUNCTION nadi.label_delay(text, timestamptz, timestamptz, interval, text[], text[], text[], text, text[]) IS 'How long labels take, bucket by bucket, by the prediction''s time. From prediction to the label''s own time, percentiles within 1 %. The newest buckets hold only labels that came quickly. bucket as in nadi.performance. Null filters take all; slice_key: one tag, or all.';
