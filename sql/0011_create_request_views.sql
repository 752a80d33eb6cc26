-- Purpose: dictionaries, requests, latency, resources and deployments as people query them. Locks: none (new views).
-- Comments on all columns follow in 0028.

CREATE VIEW nadi.model AS
SELECT model_id, model_name FROM nadi_store.model;
COMMENT ON VIEW nadi.model IS 'Models that have sent predictions. One row a model.';

CREATE VIEW nadi.series AS
SELECT s.series_id, s.model_id, m.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value
FROM nadi_store.series s JOIN nadi_store.model m USING (model_id);
COMMENT ON VIEW nadi.series IS 'Model, version, variant, environment and one slice: what every count is kept for. Values of one slice_key add up to the whole; rows of different slice_keys count the same requests again, so never add across them.';

CREATE VIEW nadi.feature AS
SELECT f.feature_id, f.model_id, m.model_name, f.role AS feature_role, f.feature_name
FROM nadi_store.feature f JOIN nadi_store.model m USING (model_id);
COMMENT ON VIEW nadi.feature IS 'Input features of each model, and its prediction (feature_role prediction).';

CREATE VIEW nadi.request_minute AS
SELECT r.minute AS bucket_start, s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       r.requests AS request_count, r.predictions AS prediction_count, r.errors AS error_count,
       r.failed_predictions AS failed_prediction_count, r.errors / nullif(r.requests, 0)::float8 AS error_rate,
       r.latency_count, r.latency_sum AS latency_sum_seconds, r.latency_sum / nullif(r.latency_count, 0) AS latency_mean_seconds
FROM nadi_store.request_minute r JOIN nadi.series s USING (series_id);
COMMENT ON VIEW nadi.request_minute IS 'Requests, predictions and errors by minute, kept 35 days. Filter on one slice_key.';

CREATE VIEW nadi.request_hour AS
SELECT r.hour AS bucket_start, (r.hour AT TIME ZONE 'UTC')::date AS bucket_date,
       s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       r.requests AS request_count, r.predictions AS prediction_count, r.errors AS error_count,
       r.failed_predictions AS failed_prediction_count, r.errors / nullif(r.requests, 0)::float8 AS error_rate,
       r.latency_count, r.latency_sum AS latency_sum_seconds, r.latency_sum / nullif(r.latency_count, 0) AS latency_mean_seconds
FROM nadi_store.request_hour r JOIN nadi.series s USING (series_id);
COMMENT ON VIEW nadi.request_hour IS 'Requests, predictions and errors by hour. Filter on one slice_key.';

CREATE VIEW nadi.request_day AS
SELECT r.day AS bucket_start, (r.day AT TIME ZONE 'UTC')::date AS bucket_date,
       s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       r.requests AS request_count, r.predictions AS prediction_count, r.errors AS error_count,
       r.failed_predictions AS failed_prediction_count, r.errors / nullif(r.requests, 0)::float8 AS error_rate,
       r.latency_count, r.latency_sum AS latency_sum_seconds, r.latency_sum / nullif(r.latency_count, 0) AS latency_mean_seconds
FROM nadi_store.request_day r JOIN nadi.series s USING (series_id);
COMMENT ON VIEW nadi.request_day IS 'Requests, predictions and errors by UTC day. Filter on one slice_key.';

CREATE VIEW nadi.latency_histogram AS
SELECT r.hour AS bucket_start, s.series_id, s.model_name, s.model_version, s.model_variant, s.environment, s.slice_key, s.slice_value,
       nadi_store.bin_lower(c.code) AS lower_seconds, nadi_store.bin_upper(c.code) AS upper_seconds, c.n AS request_count
FROM nadi_store.request_hour r JOIN nadi.series s USING (series_id)
CROSS JOIN LATERAL unnest(r.latency_bins, r.latency_counts) AS c(code, n);
COMMENT ON VIEW nadi.latency_histogram IS 'Latency by hour, one row a filled bucket; buckets grow by 2 %. For percentiles use nadi.latency_quantile.';

CREATE VIEW nadi.resource_minute AS
SELECT r.minute AS bucket_start, d.resource_id, d.service, d.instance, d.environment, d.device, r.measure,
       r.count AS sample_count, r.sum AS sum_value, r.sum / nullif(r.count, 0) AS mean_value, r.maximum AS maximum_value
FROM nadi_store.resource_minute r JOIN nadi_store.resource d USING (resource_id);
COMMENT ON VIEW nadi.resource_minute IS 'CPU, memory, GPU and the other resource measures by minute, kept 35 days. One row an instance, device and measure.';

CREATE VIEW nadi.resource_hour AS
SELECT r.hour AS bucket_start, (r.hour AT TIME ZONE 'UTC')::date AS bucket_date,
       d.resource_id, d.service, d.instance, d.environment, d.device, r.measure,
       r.count AS sample_count, r.sum AS sum_value, r.sum / nullif(r.count, 0) AS mean_value, r.maximum AS maximum_value
FROM nadi_store.resource_hour r JOIN nadi_store.resource d USING (resource_id);
COMMENT ON VIEW nadi.resource_hour IS 'CPU, memory, GPU and the other resource measures by hour. One row an instance, device and measure.';

CREATE VIEW nadi.deployment AS
SELECT d.deployed_at, m.model_name, d.model_version, d.previous_version, d.action, d.actor, d.environment
FROM nadi_store.deployment d JOIN nadi_store.model m USING (model_id);
COMMENT ON VIEW nadi.deployment IS 'Deployments, rollbacks and promotions as services reported them. One row an event.';
