-- Purpose: features, classes, scores and outcomes as people query them. Locks: none (new views).

CREATE VIEW nadi.feature_hour AS
SELECT r.hour AS bucket_start, (r.hour AT TIME ZONE 'UTC')::date AS bucket_date,
       s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       f.feature_id, f.role AS feature_role, f.feature_name,
       r.predictions - r.failed_predictions AS prediction_count,
       coalesce(h.numeric_count + h.categorical_count, 0) AS value_count,
       coalesce(h.numeric_count, 0) AS numeric_count, coalesce(h.categorical_count, 0) AS categorical_count,
       coalesce(h.null_count, 0) AS null_count, a.absent_count, coalesce(h.null_count, 0) + a.absent_count AS missing_count,
       (coalesce(h.null_count, 0) + a.absent_count) / nullif(r.predictions - r.failed_predictions, 0)::float8 AS missing_rate,
       coalesce(h.wrong_type_count, 0) AS wrong_type_count,
       CASE WHEN h.numeric_count > 0 THEN h.mean_high + h.mean_low END AS mean_value,
       CASE WHEN h.numeric_count > 1 THEN sqrt(CASE WHEN h.m2 > 1e-290 THEN h.m2 ELSE 0 END / (h.numeric_count - 1)) END AS standard_deviation,
       h.minimum AS minimum_value, h.maximum AS maximum_value
FROM nadi_store.request_hour r JOIN nadi.series s USING (series_id) JOIN nadi_store.feature f ON f.model_id = s.model_id
LEFT JOIN nadi_store.feature_hour h ON h.series_id = r.series_id AND h.feature_id = f.feature_id AND h.hour = r.hour
CROSS JOIN LATERAL (SELECT greatest(0, r.predictions - r.failed_predictions - coalesce(
    h.numeric_count + h.categorical_count + h.null_count + h.wrong_type_count, 0)) AS absent_count) a;
COMMENT ON VIEW nadi.feature_hour IS 'Each feature of the successful predictions of an hour: how many values, how many missing, mean and spread. One row a series, hour with predictions and feature of the model, also where the feature never came.';

CREATE VIEW nadi.feature_day AS
SELECT r.day AS bucket_start, (r.day AT TIME ZONE 'UTC')::date AS bucket_date,
       s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       f.feature_id, f.role AS feature_role, f.feature_name,
       r.predictions - r.failed_predictions AS prediction_count,
       coalesce(h.numeric_count + h.categorical_count, 0) AS value_count,
       coalesce(h.numeric_count, 0) AS numeric_count, coalesce(h.categorical_count, 0) AS categorical_count,
       coalesce(h.null_count, 0) AS null_count, a.absent_count, coalesce(h.null_count, 0) + a.absent_count AS missing_count,
       (coalesce(h.null_count, 0) + a.absent_count) / nullif(r.predictions - r.failed_predictions, 0)::float8 AS missing_rate,
       coalesce(h.wrong_type_count, 0) AS wrong_type_count,
       CASE WHEN h.numeric_count > 0 THEN h.mean_high + h.mean_low END AS mean_value,
       CASE WHEN h.numeric_count > 1 THEN sqrt(CASE WHEN h.m2 > 1e-290 THEN h.m2 ELSE 0 END / (h.numeric_count - 1)) END AS standard_deviation,
       h.minimum AS minimum_value, h.maximum AS maximum_value
FROM nadi_store.request_day r JOIN nadi.series s USING (series_id) JOIN nadi_store.feature f ON f.model_id = s.model_id
LEFT JOIN nadi_store.feature_day h ON h.series_id = r.series_id AND h.feature_id = f.feature_id AND h.day = r.day
CROSS JOIN LATERAL (SELECT greatest(0, r.predictions - r.failed_predictions - coalesce(
    h.numeric_count + h.categorical_count + h.null_count + h.wrong_type_count, 0)) AS absent_count) a;
COMMENT ON VIEW nadi.feature_day IS 'Each feature of the successful predictions of a UTC day: how many values, how many missing, mean and spread. One row a series, day with predictions and feature of the model, also where the feature never came.';

CREATE VIEW nadi.feature_histogram_hour AS
SELECT h.hour AS bucket_start, s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       f.feature_id, f.role AS feature_role, f.feature_name,
       nadi_store.bin_lower(c.code) AS lower_value, nadi_store.bin_upper(c.code) AS upper_value, c.n AS value_count
FROM nadi_store.feature_hour h JOIN nadi.series s USING (series_id) JOIN nadi_store.feature f USING (feature_id)
CROSS JOIN LATERAL unnest(h.log_bins, h.log_counts) AS c(code, n);
COMMENT ON VIEW nadi.feature_histogram_hour IS 'Numeric features by hour, one row a filled bin; bins grow by 2 %, zero has its own. Kept for the slice_key all only.';

CREATE VIEW nadi.category_hour AS
SELECT h.hour AS bucket_start, s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       f.feature_id, f.role AS feature_role, f.feature_name, coalesce(k.value, '(other)') AS category, c.n AS category_count
FROM nadi_store.feature_hour h JOIN nadi.series s USING (series_id) JOIN nadi_store.feature f USING (feature_id)
CROSS JOIN LATERAL (
    SELECT * FROM unnest(h.category_ids, h.category_counts) AS u(id, n)
    UNION ALL SELECT 0, h.other_count WHERE h.other_count > 0) c
LEFT JOIN nadi_store.category k ON k.category_id = c.id;
COMMENT ON VIEW nadi.category_hour IS 'Text and boolean features by hour, one row a category.';

CREATE VIEW nadi.class_hour AS
SELECT c.bucket_start, c.series_id, c.model_name, c.model_version, c.model_variant, c.environment, c.slice_key, c.slice_value,
       c.category AS class_name, c.category_count AS prediction_count, c.category_count / nullif(h.categorical_count, 0)::float8 AS class_share
FROM nadi.category_hour c
JOIN nadi_store.feature_hour h ON h.series_id = c.series_id AND h.feature_id = c.feature_id AND h.hour = c.bucket_start
WHERE c.feature_role = 'prediction';
COMMENT ON VIEW nadi.class_hour IS 'Predicted classes by hour and their share. One row a class; regressions have none.';

CREATE VIEW nadi.score_histogram_hour AS
SELECT h.hour AS bucket_start, s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       CASE WHEN h.category_id = 0 THEN '(score)' ELSE coalesce(k.value, '(other)') END AS class_name,
       e.lower AS lower_score, e.upper AS upper_score, c.n AS prediction_count, c.total AS score_sum,
       c.positive AS positive_count, c.positive_total AS positive_score_sum
FROM nadi_store.score_hour h JOIN nadi.series s USING (series_id)
CROSS JOIN LATERAL unnest(h.bins, h.counts, h.sums, h.positive_counts, h.positive_sums) AS c(bin, n, total, positive, positive_total)
JOIN nadi_store.score_edge e ON e.bin = c.bin
LEFT JOIN nadi_store.category k ON k.category_id = h.category_id;
COMMENT ON VIEW nadi.score_histogram_hour IS 'Scores of successful predictions by hour, one row a filled bin. class_name (score) is the event''s field score; other rows are classes of its field scores.';

CREATE VIEW nadi.outcome_hour AS
SELECT r.hour AS bucket_start, (r.hour AT TIME ZONE 'UTC')::date AS bucket_date,
       s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       r.predictions - r.failed_predictions AS prediction_count, coalesce(o.labelled, 0) AS labelled_count,
       coalesce(o.labelled, 0) / nullif(r.predictions - r.failed_predictions, 0)::float8 AS label_coverage,
       coalesce(o.classified, 0) AS classified_count, coalesce(o.correct, 0) AS correct_count,
       o.correct / nullif(o.classified, 0)::float8 AS accuracy,
       coalesce(o.binary_count, 0) AS binary_count, coalesce(o.label_positive_count, 0) AS label_positive_count,
       coalesce(o.predicted_positive_count, 0) AS predicted_positive_count, coalesce(o.true_positive_count, 0) AS true_positive_count,
       coalesce(o.log_loss_count, 0) AS log_loss_count, nadi_store.mean_over(o.log_loss_sum, nullif(o.log_loss_count, 0)) AS log_loss_mean,
       coalesce(o.error_count, 0) AS regression_count, nadi_store.mean_over(o.error_sum, nullif(o.error_count, 0)) AS error_mean,
       nadi_store.mean_over(o.error_abs_sum, nullif(o.error_count, 0)) AS absolute_error_mean,
       sqrt(nadi_store.mean_over(o.error_square_sum, nullif(o.error_count, 0))) AS root_mean_square_error,
       coalesce(o.delay_count, 0) AS delay_count, nadi_store.mean_over(o.delay_sum, nullif(o.delay_count, 0)) AS delay_mean_seconds
FROM nadi_store.request_hour r JOIN nadi.series s USING (series_id)
LEFT JOIN nadi_store.outcome_hour o ON o.series_id = r.series_id AND o.hour = r.hour;
COMMENT ON VIEW nadi.outcome_hour IS 'Labels that have arrived for the predictions of an hour: how many, how right, how late. By the prediction''s hour; rows change as labels come.';

CREATE VIEW nadi.outcome_day AS
SELECT r.day AS bucket_start, (r.day AT TIME ZONE 'UTC')::date AS bucket_date,
       s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       r.predictions - r.failed_predictions AS prediction_count, coalesce(o.labelled, 0) AS labelled_count,
       coalesce(o.labelled, 0) / nullif(r.predictions - r.failed_predictions, 0)::float8 AS label_coverage,
       coalesce(o.classified, 0) AS classified_count, coalesce(o.correct, 0) AS correct_count,
       o.correct / nullif(o.classified, 0)::float8 AS accuracy,
       coalesce(o.binary_count, 0) AS binary_count, coalesce(o.label_positive_count, 0) AS label_positive_count,
       coalesce(o.predicted_positive_count, 0) AS predicted_positive_count, coalesce(o.true_positive_count, 0) AS true_positive_count,
       coalesce(o.log_loss_count, 0) AS log_loss_count, nadi_store.mean_over(o.log_loss_sum, nullif(o.log_loss_count, 0)) AS log_loss_mean,
       coalesce(o.error_count, 0) AS regression_count, nadi_store.mean_over(o.error_sum, nullif(o.error_count, 0)) AS error_mean,
       nadi_store.mean_over(o.error_abs_sum, nullif(o.error_count, 0)) AS absolute_error_mean,
       sqrt(nadi_store.mean_over(o.error_square_sum, nullif(o.error_count, 0))) AS root_mean_square_error,
       coalesce(o.delay_count, 0) AS delay_count, nadi_store.mean_over(o.delay_sum, nullif(o.delay_count, 0)) AS delay_mean_seconds
FROM nadi_store.request_day r JOIN nadi.series s USING (series_id)
LEFT JOIN nadi_store.outcome_day o ON o.series_id = r.series_id AND o.day = r.day;
COMMENT ON VIEW nadi.outcome_day IS 'Labels that have arrived for the predictions of a UTC day: how many, how right, how late. By the prediction''s day; rows change as labels come.';

CREATE VIEW nadi.confusion_hour AS
SELECT o.hour AS bucket_start, s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       CASE c.predicted WHEN -1 THEN 'positive' WHEN -2 THEN 'negative' ELSE coalesce(p.value, '(other)') END AS predicted_class,
       CASE c.label WHEN -1 THEN 'positive' WHEN -2 THEN 'negative' ELSE coalesce(l.value, '(other)') END AS labelled_class,
       c.n AS outcome_count
FROM nadi_store.outcome_hour o JOIN nadi.series s USING (series_id)
CROSS JOIN LATERAL (
    SELECT * FROM unnest(o.confusion_predicted, o.confusion_labels, o.confusion_counts) AS u(predicted, label, n)
    UNION ALL
    SELECT b.predicted, b.label, b.n::bigint
    FROM nadi_store.binary_pairs(o.binary_count, o.label_positive_count, o.predicted_positive_count, o.true_positive_count) b) c
LEFT JOIN nadi_store.category p ON p.category_id = c.predicted
LEFT JOIN nadi_store.category l ON l.category_id = c.label;
COMMENT ON VIEW nadi.confusion_hour IS 'Predicted against labelled classes by the prediction''s hour. One row a pair that occurred; positive and negative in binary tasks, whatever the spelling.';

CREATE VIEW nadi.named_outcome_hour AS
SELECT o.hour AS bucket_start, (o.hour AT TIME ZONE 'UTC')::date AS bucket_date,
       s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       o.event_type, o.name AS outcome_name, o.currency, o.count AS outcome_count,
       o.positive_count, o.negative_count, o.value_count, o.value_sum, o.score_count, o.score_sum
FROM nadi_store.named_outcome_hour o JOIN nadi.series s USING (series_id);
COMMENT ON VIEW nadi.named_outcome_hour IS 'Outcomes and feedback that came for the successful predictions of an hour, by name and currency. A name without outcomes has no row: rates need nadi.outcome_hour for the predictions, or nadi.outcome_rates and nadi.outcome_values, with intervals. Rows change as outcomes come.';

CREATE VIEW nadi.named_outcome_day AS
SELECT o.day AS bucket_start, (o.day AT TIME ZONE 'UTC')::date AS bucket_date,
       s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       o.event_type, o.name AS outcome_name, o.currency, o.count AS outcome_count,
       o.positive_count, o.negative_count, o.value_count, o.value_sum, o.score_count, o.score_sum
FROM nadi_store.named_outcome_day o JOIN nadi.series s USING (series_id);
COMMENT ON VIEW nadi.named_outcome_day IS 'Outcomes and feedback that came for the successful predictions of a UTC day, by name and currency. A name without outcomes has no row: rates need nadi.outcome_day for the predictions, or nadi.outcome_rates and nadi.outcome_values, with intervals. Rows change as outcomes come.';
