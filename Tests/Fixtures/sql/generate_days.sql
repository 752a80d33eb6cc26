-- Thirty days (UTC, ending with today) of 10 models x 20 features, written straight into nadi_store: for tests and timing.
-- For a freshly migrated, empty database only: model numbers are taken for keys.
-- Repeatable: every random number is a hash of what it stands for. model-3 drifts halfway, model-5 has an empty version,
-- model-7 a quote in its name, model-10 is a regression; the others are multiclass (odd) and binary (even).

CREATE FUNCTION pg_temp.noise(key text) RETURNS float8 LANGUAGE sql IMMUTABLE
RETURN (hashtextextended(key, 20261123) & 1048575) / 1048575.0::float8;

CREATE TEMPORARY TABLE span AS
SELECT date_trunc('day', now(), 'UTC') - interval '29 days' AS first, date_trunc('hour', now(), 'UTC') AS last;

INSERT INTO nadi_store.model (model_name)
SELECT CASE WHEN m = 7 THEN 'model-7 o''clock' ELSE 'model-' || m END FROM generate_series(1, 10) m ORDER BY m;
INSERT INTO nadi_store.series (model_id, model_version, model_variant, environment, slice_key, slice_value)
SELECT m.model_id, 'v1', 'champion', 'production', 'all', 'all' FROM nadi_store.model m ORDER BY 1;
INSERT INTO nadi_store.series (model_id, model_version, model_variant, environment, slice_key, slice_value)
SELECT m.model_id, v.version, v.variant, v.environment, 'all', 'all'
FROM nadi_store.model m, (VALUES ('v2', 'champion', 'production'), ('v2', 'shadow', 'staging')) AS v(version, variant, environment)
WHERE m.model_name IN ('model-1', 'model-5') ORDER BY 1, 2, 3;
INSERT INTO nadi_store.series (model_id, model_version, model_variant, environment, slice_key, slice_value)
SELECT m.model_id, 'v1', 'champion', 'production', 'country', c
FROM nadi_store.model m, unnest(ARRAY['de', 'fr', 'missing']) c WHERE m.model_name IN ('model-1', 'model-2') ORDER BY 1, 6;

INSERT INTO nadi_store.feature (model_id, role, feature_name)
SELECT m.model_id, 'feature', 'feature_' || lpad(f::text, 2, '0') FROM nadi_store.model m, generate_series(1, 20) f ORDER BY 1, 3;
INSERT INTO nadi_store.feature (model_id, role, feature_name) SELECT model_id, 'prediction', 'prediction' FROM nadi_store.model ORDER BY 1;
INSERT INTO nadi_store.category (feature_id, value)
SELECT feature_id, 'value ' || c FROM nadi_store.feature, generate_series(1, 6) c WHERE role = 'feature' AND right(feature_name, 2)::int > 16 ORDER BY 1, 2;
INSERT INTO nadi_store.category (feature_id, value)
SELECT f.feature_id, CASE WHEN f.model_id % 2 = 1 THEN 'class ' || c ELSE CASE c WHEN 1 THEN 'false' ELSE 'true' END END
FROM nadi_store.feature f, generate_series(1, 3) c
WHERE f.role = 'prediction' AND f.feature_id NOT IN (SELECT max(feature_id) FROM nadi_store.feature WHERE role = 'prediction')
  AND (f.model_id % 2 = 1 OR c < 3) ORDER BY 1, 2;

-- Shapes: for each feature number and each of 8 variants log bins around a centre, with bell-shaped weights.
CREATE TEMPORARY TABLE shape AS
SELECT f, v, 40000 + 35 * (f % 7) + s.shift AS centre,
       array_agg(40000 + 35 * (f % 7) + s.shift + k ORDER BY k) AS bins,
       array_agg(greatest(1, round(400 * exp(-k * k / 200.0::float8) * (0.8 + 0.4 * pg_temp.noise(f || ' ' || v || ' ' || k))))::bigint ORDER BY k) AS counts
FROM generate_series(1, 20) f, generate_series(0, 8) v, generate_series(-30, 30) k,
     LATERAL (SELECT CASE WHEN v = 8 THEN 12 ELSE 0 END AS shift) s
GROUP BY 1, 2, 3;
CREATE TEMPORARY TABLE shape_total AS
SELECT f, v, centre, bins, counts, (SELECT sum(c) FROM unnest(counts) c)::bigint AS n FROM shape;

-- Requests: a daily wave, a few errors, latency around 20 ms.
CREATE TEMPORARY TABLE traffic AS
SELECT s.series_id, s.model_id, s.slice_key, s.slice_value, s.environment, h.hour, (extract(epoch FROM h.hour) / 3600)::bigint AS number,
       CASE s.slice_value WHEN 'de' THEN 0.5 WHEN 'fr' THEN 0.3 WHEN 'missing' THEN 0.2 ELSE 1 END AS part
FROM nadi_store.series s CROSS JOIN span CROSS JOIN LATERAL generate_series(span.first, span.last, interval '1 hour') AS h(hour)
WHERE NOT (s.model_version = 'v2' AND s.model_id = 5 AND s.model_variant = 'champion');

INSERT INTO nadi_store.request_hour
SELECT t.series_id, t.hour, t.requests, t.requests, e.errors, e.errors, x.n, x.n * 0.02, x.bins, x.counts
FROM (SELECT t.*, round(t.part * 9000 * (1 + 0.4 * sin(2 * pi() * (t.number % 24) / 24)))::bigint AS requests FROM traffic t) t
CROSS JOIN LATERAL (SELECT round(t.requests * (0.002 + CASE WHEN t.model_id = 2 AND t.number % 100 = 0 THEN 0.1 ELSE 0 END))::bigint AS errors) e
CROSS JOIN LATERAL (
    SELECT array_agg(b - 198 - 35 * (s.f % 7) ORDER BY b) AS bins, array_agg(c ORDER BY b) AS counts, sum(c)::bigint AS n
    FROM shape_total s, unnest(s.bins, s.counts) AS u(b, c) WHERE s.f = t.model_id AND s.v = t.number % 8) x;
INSERT INTO nadi_store.request_day
SELECT b.series_id, b.day, sum(b.requests), sum(b.predictions), sum(b.errors), sum(b.failed), sum(b.timed), sum(b.latency), x.bins, x.counts
FROM (SELECT series_id, date_trunc('day', hour, 'UTC') AS day, sum(requests) AS requests, sum(predictions) AS predictions, sum(errors) AS errors,
             sum(failed_predictions) AS failed, sum(latency_count) AS timed, sum(latency_sum) AS latency
      FROM nadi_store.request_hour GROUP BY 1, 2) b
CROSS JOIN LATERAL (
    SELECT array_agg(y.code ORDER BY y.code) AS bins, array_agg(y.n ORDER BY y.code) AS counts
    FROM (SELECT u.code, sum(u.n)::bigint AS n FROM nadi_store.request_hour h, unnest(h.latency_bins, h.latency_counts) AS u(code, n)
          WHERE h.series_id = b.series_id AND h.hour >= b.day AND h.hour < b.day + interval '1 day' GROUP BY 1) y) x
GROUP BY b.series_id, b.day, x.bins, x.counts;

SELECT nadi_store.ensure_partition('request_minute', d::date) FROM span, generate_series(span.last - interval '1 day', span.last, interval '1 day') d;
SELECT nadi_store.ensure_partition('resource_minute', d::date) FROM span, generate_series(span.last - interval '1 day', span.last, interval '1 day') d;
INSERT INTO nadi_store.request_minute
SELECT r.series_id, r.hour + m * interval '1 minute', r.requests / 60, r.predictions / 60, r.errors / 60, r.failed_predictions / 60,
       r.latency_count, r.latency_sum, r.latency_bins, r.latency_counts
FROM nadi_store.request_hour r, span, generate_series(0, 59) m
WHERE r.hour >= date_trunc('day', span.last, 'UTC') AND r.hour + m * interval '1 minute' <= now();

-- References of all models but the ninth: the first eight variants together. Edges lie on log bins' ends, so that the
-- shapes' counts on them are exact. All but the regression have labels, whose rate the scores tell.
INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task, calibration)
SELECT m.model_id, 'spring', 'a file', 60000, 60000, CASE WHEN m.model_id < 10 THEN 60000 ELSE 0 END,
       CASE WHEN m.model_id = 10 THEN 'regression' WHEN m.model_id % 2 = 0 THEN 'binary' ELSE 'multiclass' END,
       CASE WHEN m.model_id < 10 THEN 'identity' ELSE 'none' END
FROM nadi_store.model m WHERE m.model_id <> 9 ORDER BY 1;
INSERT INTO nadi_store.edge_set SELECT reference_id, 'spring' FROM nadi_store.reference;
INSERT INTO nadi_store.reference_activation SELECT r.model_id, span.first, r.reference_id FROM nadi_store.reference r, span;
CREATE TEMPORARY TABLE shape_edges AS
SELECT s.f, s.v, s.counts, e.codes, ARRAY(SELECT nadi_store.bin_lower(c) FROM unnest(e.codes) c ORDER BY 1) AS edges,
       ARRAY(SELECT coalesce(sum(u.n), 0)::bigint FROM generate_series(0, 31) i
             LEFT JOIN unnest(s.bins, s.counts) AS u(code, n) ON width_bucket(u.code, e.codes) = i GROUP BY i ORDER BY i) AS edge_counts
FROM shape_total s CROSS JOIN LATERAL (
    SELECT array_agg(40000 + 35 * (s.f % 7) - 30 + 2 * j + (j = 30)::int ORDER BY j) AS codes FROM generate_series(0, 30) j) e;
INSERT INTO nadi_store.reference_feature
SELECT r.reference_id, f.feature_id, k.kind, x.n, 0, 600, 0, x.middle, 0, x.n * (0.2 * x.middle) ^ 2, x.edges[1], x.edges[31], x.edges, x.counts,
       ARRAY(SELECT least(9, floor(10 * (sum(c) OVER (ORDER BY i) - c / 2.0) / x.n))::int FROM unnest(x.counts) WITH ORDINALITY AS u(c, i) ORDER BY i),
       x.bins, x.bin_counts, '{}', '{}', 0, 0
FROM nadi_store.reference r JOIN nadi_store.feature f USING (model_id)
CROSS JOIN LATERAL (SELECT CASE WHEN f.role = 'prediction' THEN 20 ELSE right(f.feature_name, 2)::int END AS f, 'numeric' AS kind) k
CROSS JOIN LATERAL (
    SELECT e.edges, nadi_store.bin_value(s.centre) AS middle, sum(s.n) OVER () AS n, s.bins,
           ARRAY(SELECT sum(u.n)::bigint FROM shape_edges o, unnest(o.edge_counts) WITH ORDINALITY AS u(n, i) WHERE o.f = k.f AND o.v < 8 GROUP BY i ORDER BY i) AS counts,
           ARRAY(SELECT sum(u.n)::bigint FROM shape_total o, unnest(o.counts) WITH ORDINALITY AS u(n, i) WHERE o.f = k.f AND o.v < 8 GROUP BY i ORDER BY i) AS bin_counts
    FROM shape_total s JOIN shape_edges e USING (f, v) WHERE s.f = k.f AND s.v < 8 ORDER BY s.v LIMIT 1) x
WHERE f.role = 'feature' AND k.f <= 16 OR f.role = 'prediction' AND r.model_id = 10;
INSERT INTO nadi_store.reference_feature
SELECT r.reference_id, f.feature_id, 'categorical', 0, sum(u.n), 600, 0, 0, 0, 0, NULL, NULL, '{}', '{}', '{}', '{}', '{}',
       array_agg(u.id ORDER BY u.id), array_agg(u.n ORDER BY u.id), 0, 0
FROM nadi_store.reference r JOIN nadi_store.feature f USING (model_id)
CROSS JOIN LATERAL (
    SELECT c.category_id AS id, (ARRAY[33000, 19500, 8000, 4000, 2400, 800])[row_number() OVER (ORDER BY c.category_id)]::bigint AS n
    FROM nadi_store.category c WHERE c.feature_id = f.feature_id) u
GROUP BY r.reference_id, f.feature_id;
INSERT INTO nadi_store.reference_score
SELECT r.reference_id, 0, x.bins, x.counts, x.sums, x.said, x.said_sums, x.counts, x.sums, NULL
FROM nadi_store.reference r CROSS JOIN (
    SELECT array_agg(e.bin ORDER BY e.bin) AS bins, array_agg((200 + 40 * (e.bin % 10))::bigint ORDER BY e.bin) AS counts,
           array_agg((200 + 40 * (e.bin % 10)) * (e.lower + e.upper) / 2 ORDER BY e.bin) AS sums,
           array_agg(CASE WHEN e.lower >= 0.5 THEN 200 + 40 * (e.bin % 10) ELSE 0 END::bigint ORDER BY e.bin) AS said,
           array_agg(CASE WHEN e.lower >= 0.5 THEN (200 + 40 * (e.bin % 10)) * (e.lower + e.upper) / 2 ELSE 0 END ORDER BY e.bin) AS said_sums
    FROM nadi_store.score_edge e WHERE e.bin % 3 = 0) x
WHERE r.model_id <> 10;

-- Features: 1 to 16 numbers, 17 to 20 categories, then the prediction. Slices of a tag have no log bins.
CREATE TEMPORARY TABLE plan AS
SELECT t.series_id, f.feature_id, f.role, t.slice_key, t.hour, t.number, r.predictions - r.failed_predictions AS n,
       CASE WHEN f.role = 'prediction' THEN 20 ELSE right(f.feature_name, 2)::int END AS f,
       CASE WHEN t.model_id = 3 AND right(f.feature_name, 2) IN ('01', '17') AND t.hour >= span.first + interval '15 days' THEN 8
            ELSE (t.number + f.feature_id) % 8 END AS v,
       f.role = 'feature' AND right(f.feature_name, 2)::int <= 16 OR f.role = 'prediction' AND t.model_id = 10 AS is_number
FROM traffic t JOIN nadi_store.request_hour r USING (series_id, hour) JOIN nadi_store.feature f ON f.model_id = t.model_id CROSS JOIN span;

CREATE TEMPORARY TABLE categories AS
SELECT feature_id, array_agg(category_id ORDER BY category_id) AS ids FROM nadi_store.category GROUP BY 1;

INSERT INTO nadi_store.feature_hour
SELECT p.series_id, p.feature_id, p.hour, coalesce(r.reference_id, 0), CASE WHEN p.is_number THEN s.n ELSE 0 END,
       CASE WHEN p.is_number THEN 0 ELSE (SELECT sum(c) FROM unnest(k.counts) c) END, round(p.n * 0.01), 0,
       CASE WHEN p.is_number THEN nadi_store.bin_value(s.centre) * (1 + 0.001 * (s.v - 4)) ELSE 0 END, 0,
       CASE WHEN p.is_number THEN s.n * (0.2 * nadi_store.bin_value(s.centre)) ^ 2 ELSE 0 END,
       CASE WHEN p.is_number THEN nadi_store.bin_lower(s.bins[1]) END, CASE WHEN p.is_number THEN nadi_store.bin_upper(s.bins[61]) END,
       CASE WHEN p.is_number AND p.slice_key = 'all' THEN s.bins ELSE '{}' END,
       CASE WHEN p.is_number AND p.slice_key = 'all' THEN s.counts ELSE '{}' END,
       CASE WHEN p.is_number THEN '{}' ELSE c.ids END, CASE WHEN p.is_number THEN '{}' ELSE k.counts END, 0,
       CASE WHEN p.is_number AND r.reference_id IS NOT NULL THEN e.edge_counts END
FROM plan p JOIN shape_total s ON s.f = p.f AND s.v = p.v JOIN shape_edges e ON e.f = s.f AND e.v = s.v
JOIN nadi_store.feature n ON n.feature_id = p.feature_id LEFT JOIN nadi_store.reference r ON r.model_id = n.model_id
LEFT JOIN categories c ON c.feature_id = p.feature_id
LEFT JOIN LATERAL (
    SELECT (ARRAY[4000 + 40 * p.v, 2500 - 20 * p.v, 1000, 500, 300, CASE WHEN p.v = 8 THEN 3000 ELSE 100 END])[1:cardinality(c.ids)]::bigint[] AS counts) k ON true;

-- Days: the variant of a day's middle hour, twenty-four times as many, which is plausible, not equal to the sum of hours.
INSERT INTO nadi_store.feature_day
SELECT h.series_id, h.feature_id, date_trunc('day', h.hour, 'UTC'), h.edge_set_id, h.numeric_count * 24, h.categorical_count * 24, h.null_count * 24, 0,
       h.mean_high, h.mean_low, h.m2 * 24, h.minimum, h.maximum, h.log_bins, (SELECT coalesce(array_agg(c * 24), '{}') FROM unnest(h.log_counts) c),
       h.category_ids, (SELECT coalesce(array_agg(c * 24), '{}') FROM unnest(h.category_counts) c), 0,
       (SELECT array_agg(c * 24) FROM unnest(h.edge_counts) c)
FROM nadi_store.feature_hour h WHERE extract(hour FROM h.hour AT TIME ZONE 'UTC') = 0;

-- Scores and outcomes; labels take about three days to come in.
INSERT INTO nadi_store.score_hour
SELECT t.series_id, 0, t.hour, x.bins, x.counts, x.sums, x.said, x.said_sums
FROM traffic t CROSS JOIN LATERAL (
    SELECT array_agg(e.bin ORDER BY e.bin) AS bins, array_agg((20 + 4 * (e.bin % 10))::bigint ORDER BY e.bin) AS counts,
           array_agg((20 + 4 * (e.bin % 10)) * (e.lower + e.upper) / 2 ORDER BY e.bin) AS sums,
           array_agg(CASE WHEN e.lower >= 0.5 THEN 20 + 4 * (e.bin % 10) ELSE 0 END::bigint ORDER BY e.bin) AS said,
           array_agg(CASE WHEN e.lower >= 0.5 THEN (20 + 4 * (e.bin % 10)) * (e.lower + e.upper) / 2 ELSE 0 END ORDER BY e.bin) AS said_sums
    FROM nadi_store.score_edge e WHERE e.bin % 3 = 0) x
WHERE t.model_id <> 10;
INSERT INTO nadi_store.score_day
SELECT series_id, 0, date_trunc('day', hour, 'UTC'), bins, counts, sums, positive_counts, positive_sums
FROM nadi_store.score_hour WHERE extract(hour FROM hour AT TIME ZONE 'UTC') = 0;

CREATE TEMPORARY TABLE labels AS
SELECT r.series_id, r.hour, r.predictions - r.failed_predictions AS n, t.model_id,
       least(0.9, extract(epoch FROM now() - r.hour) / 86400 / 4) AS coverage, t.number
FROM nadi_store.request_hour r JOIN traffic t USING (series_id, hour);
INSERT INTO nadi_store.outcome_hour
SELECT l.series_id, l.hour, x.labelled, x.labelled / 500, CASE WHEN l.model_id = 10 THEN 0 ELSE x.labelled END,
       CASE WHEN l.model_id = 10 THEN 0 ELSE p.correct END, p.two, p.two * 3 / 10, p.two * 3 / 10,
       (p.correct - p.two + 2 * (p.two * 3 / 10)) / 2 * (p.two > 0)::int,
       CASE WHEN l.model_id = 10 OR p.two > 0 THEN '{}' ELSE ARRAY[c.ids[1], c.ids[2], c.ids[1], c.ids[2]] END,
       CASE WHEN l.model_id = 10 OR p.two > 0 THEN '{}' ELSE ARRAY[c.ids[1], c.ids[1], c.ids[2], c.ids[2]] END,
       CASE WHEN l.model_id = 10 OR p.two > 0 THEN '{}' ELSE ARRAY[x.labelled / 2, x.labelled / 20, x.labelled / 20, x.labelled / 4] END,
       s.bins, s.counts, s.y, s.p, s.p2, s.py, s.n, s.n * 0.3, CASE WHEN l.model_id = 10 THEN x.labelled ELSE 0 END, x.labelled * 0.1, x.labelled * 0.5, x.labelled * 0.6,
       x.labelled * 3, x.labelled * 11,
       x.labelled, x.labelled * 90000, '{40560,40577,40600}', ARRAY[x.labelled / 3, x.labelled / 3, x.labelled / 3]
FROM labels l LEFT JOIN nadi_store.feature f ON f.model_id = l.model_id AND f.role = 'prediction' LEFT JOIN categories c USING (feature_id)
CROSS JOIN LATERAL (SELECT round(l.n * l.coverage)::bigint AS labelled) x
CROSS JOIN LATERAL (SELECT round(x.labelled * (0.93 - 0.01 * (l.number % 5)))::bigint AS correct,
                           CASE WHEN l.model_id % 2 = 0 AND l.model_id < 10 THEN x.labelled ELSE 0 END AS two) p
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(CASE WHEN p.two > 0 THEN b.bin ELSE -1 - b.bin END ORDER BY b.bin), '{}') AS bins,
           coalesce(array_agg(b.n ORDER BY b.bin), '{}') AS counts,
           coalesce(array_agg(round(b.n * b.p) ORDER BY b.bin), '{}') AS y, coalesce(array_agg(b.n * b.p ORDER BY b.bin), '{}') AS p,
           coalesce(array_agg(b.n * b.p ^ 2 ORDER BY b.bin), '{}') AS p2, coalesce(array_agg(round(b.n * b.p) * b.p ORDER BY b.bin), '{}') AS py,
           coalesce(sum(b.n), 0)::bigint AS n
    FROM (SELECT e.bin, x.labelled * (20 + 4 * (e.bin % 10)) / 2600 AS n, (e.lower + e.upper) / 2 AS p FROM nadi_store.score_edge e
          WHERE e.bin % 3 = 0 AND l.model_id <> 10) b WHERE b.n > 0) s
WHERE x.labelled > 0;
INSERT INTO nadi_store.outcome_day
SELECT series_id, date_trunc('day', hour, 'UTC'), labelled * 24, failed_labelled * 24, classified * 24, correct * 24, binary_count * 24,
       label_positive_count * 24, predicted_positive_count * 24, true_positive_count * 24, confusion_predicted, confusion_labels,
       (SELECT coalesce(array_agg(c * 24), '{}') FROM unnest(confusion_counts) c), score_bins,
       (SELECT coalesce(array_agg(c * 24), '{}') FROM unnest(score_counts) c), (SELECT coalesce(array_agg(c * 24), '{}') FROM unnest(score_sum_y) c),
       (SELECT coalesce(array_agg(c * 24), '{}') FROM unnest(score_sum_p) c), (SELECT coalesce(array_agg(c * 24), '{}') FROM unnest(score_sum_p2) c),
       (SELECT coalesce(array_agg(c * 24), '{}') FROM unnest(score_sum_py) c),
       log_loss_count * 24, log_loss_sum * 24, error_count * 24, error_sum * 24, error_abs_sum * 24, error_square_sum * 24,
       error_label_sum * 24, error_label_square_sum * 24,
       delay_count * 24, delay_sum * 24, delay_bins, (SELECT array_agg(c * 24) FROM unnest(delay_counts) c)
FROM nadi_store.outcome_hour WHERE extract(hour FROM hour AT TIME ZONE 'UTC') = 0;

-- Clicks, purchases in two currencies, thumbs and overrides, labels too: joined within a day.
INSERT INTO nadi_store.named_outcome_hour
SELECT l.series_id, l.hour, k.event_type, k.name, k.currency, x.n, round(x.n * k.positive), round(x.n * k.negative),
       x.valued, x.valued * k.mean, x.valued * (k.mean ^ 2 + k.spread ^ 2), 0, 0, 0
FROM labels l CROSS JOIN (VALUES
    ('outcome', 'label', '', 0.9::float8, 0.3::float8, 0.7::float8, 0::float8, 0::float8), ('outcome', 'click', '', 0.06, 1, 0, 0, 0),
    ('outcome', 'conversion', '', 0.01, 1, 0, 0, 0), ('outcome', 'revenue', 'EUR', 0.007, 1, 0, 25, 10),
    ('outcome', 'revenue', 'USD', 0.003, 1, 0, 30, 12), ('feedback', 'thumbs', '', 0.02, 0.8, 0.2, 0, 0),
    ('feedback', 'override', '', 0.004, 1, 0, 0, 0)) AS k(event_type, name, currency, rate, positive, negative, mean, spread)
CROSS JOIN LATERAL (SELECT round(l.n * k.rate * least(1, 2 * l.coverage) * (0.9 + 0.2 * pg_temp.noise(l.series_id || k.name || l.number)))::bigint AS n) y
CROSS JOIN LATERAL (SELECT y.n, CASE WHEN k.mean > 0 THEN y.n ELSE 0 END AS valued) x
WHERE x.n > 0;
SELECT nadi_store.derive_named_outcome_day(d) FROM span, generate_series(span.first, span.last, interval '1 day') d;

-- Resources, deployments, and the pipeline itself: a running host, one that ended, one gone silent.
INSERT INTO nadi_store.resource (service, instance, environment, device)
SELECT 'service-' || s, 'host-' || s || '-1', 'production', d FROM generate_series(1, 3) s, unnest(ARRAY['', 'gpu0']) d ORDER BY 1, 4;
INSERT INTO nadi_store.resource_hour
SELECT r.resource_id, m.measure, h, 240, 240 * m.level * (0.8 + 0.2 * sin(extract(epoch FROM h) / 10000)), m.level * 1.3
FROM nadi_store.resource r, span, generate_series(span.first, span.last, interval '1 hour') h,
     (VALUES ('cpu_utilization_ratio', 0.4::float8, ''), ('memory_rss_bytes', 6e8, ''), ('samples', 1, ''),
             ('utilization_ratio', 0.7, 'gpu0'), ('memory_used_bytes', 9e9, 'gpu0')) AS m(measure, level, device)
WHERE m.device = r.device;
INSERT INTO nadi_store.resource_minute
SELECT h.resource_id, h.measure, h.hour + k * interval '1 minute', 4, h.sum / 60, h.maximum
FROM nadi_store.resource_hour h, span, generate_series(0, 59) k
WHERE h.hour >= date_trunc('day', span.last, 'UTC') AND h.hour + k * interval '1 minute' <= now();

INSERT INTO nadi_store.host (host, reported_at, state, shipper_version, unshipped_segments, unshipped_lines, unshipped_bytes, oldest_unshipped_at, last_upload_at) VALUES
    ('host-1', now() - interval '20 s', 'running', '0.1.0', 1, 812, 300000, now() - interval '35 s', now() - interval '30 s'),
    ('host-2', now() - interval '3 days', 'ended', '0.1.0', 0, 0, 0, NULL, now() - interval '3 days'),
    ('host-3', now() - interval '5 hours', 'running', '0.1.0', 4, 9000, 4000000, now() - interval '5 hours', now() - interval '5 hours');
INSERT INTO nadi_store.writer (writer, host_id, appended, written, reported_at)
SELECT h.host || '-' || md5(h.host || w), h.host_id, 100000, 99990, h.reported_at FROM nadi_store.host h, generate_series(1, 4) w;
SELECT nadi_store.ensure_ledger(m) FROM span, generate_series(span.first - interval '1 month', now() + interval '1 month', interval '1 month') AS m;
INSERT INTO nadi_store.object (object_key, host_id, sealed_at, size_bytes, etag, state, lines, loaded_at)
SELECT 'prefix/events/' || h.host || '/' || k, h.host_id, span.first + k * interval '30 minutes', 8000000, md5(k::text),
       CASE WHEN h.host = 'host-1' AND span.first + k * interval '30 minutes' > now() THEN 'claimed' ELSE 'loaded' END, 30000,
       span.first + k * interval '30 minutes' + interval '40 s'
FROM nadi_store.host h, span, generate_series(1, 1200) k WHERE span.first + k * interval '30 minutes' < now();
INSERT INTO nadi_store.segment (object_id, writer_id, seq, sealed_at, lines, raw_bytes, raw_sha256, state, loaded_lines, rejected_lines, object_sealed_at)
SELECT o.object_id, w.writer_id, o.object_id, o.sealed_at, o.lines, o.lines * 330, sha256(o.object_key::bytea), 'loaded', o.lines - 3, 3, o.sealed_at
FROM nadi_store.object o JOIN LATERAL (SELECT min(writer_id) AS writer_id FROM nadi_store.writer w WHERE w.host_id = o.host_id) w ON true;
INSERT INTO nadi_store.segment_hour SELECT segment_id, date_trunc('hour', sealed_at, 'UTC'), 'prediction', loaded_lines, object_sealed_at FROM nadi_store.segment;
INSERT INTO nadi_store.segment_reject SELECT segment_id, (ARRAY['invalid_json', 'missing_field', 'wrong_type'])[1 + segment_id % 3], 3, object_sealed_at FROM nadi_store.segment;
INSERT INTO nadi_store.load_run (owner, version, started_at, finished_at, state, objects, lines)
SELECT 'warehouse', '0.1.0', now() - k * interval '15 s', now() - k * interval '15 s' + interval '3 s', 'succeeded', 2, 60000 FROM generate_series(1, 200) k;
INSERT INTO nadi_store.deployment
SELECT s.segment_id, 1, s.sealed_at, m.model_id, 'v2', 'v1', 'deploy', 'ci', 'production'
FROM nadi_store.model m JOIN nadi_store.segment s ON s.segment_id = m.model_id * 100;
UPDATE nadi_store.writer SET dropped_buffer_full = 7, dropped_disk_full = 3 WHERE host_id = (SELECT host_id FROM nadi_store.host WHERE host = 'host-3');
INSERT INTO nadi_store.object (object_key, host_id, sealed_at, size_bytes, state, lines, attempts, last_error, next_attempt_at)
SELECT 'prefix/events/host-1/' || s, host_id, now() - interval '2 hours', 1000, s, 120, 3, 'the manifest cannot be read', now() + interval '1 hour'
FROM nadi_store.host, unnest(ARRAY['poisoned', 'pending']) AS s WHERE host = 'host-1';
INSERT INTO nadi_store.audit_run (audited_at, seconds, failures, accepted, notes)
SELECT now() - k * interval '1 day', 2.5, CASE k WHEN 0 THEN 2 ELSE 0 END, 1, 4 FROM generate_series(0, 29) k;
INSERT INTO nadi_store.audit_finding
SELECT 'silent:host-3', 'silent', 'host-3', 'host host-3 is silent', 'See whether the host is up', NULL, true, false, now() - interval '5 hours', now()
UNION ALL SELECT 'gap:host-3-1-7', 'gap', 'host-3', 'segment 7 is neither stored nor in the spool', 'Look for it on the host', 120, true, true, now() - interval '9 days', now();
ANALYZE;
-- Drift as loaders store it: all days, and the hours of the last three.
SELECT nadi_store.refresh_drift(m.model_id, ARRAY(
    SELECT h FROM span, generate_series(span.first, span.last, interval '1 hour') h
    WHERE h >= span.last - interval '3 days' OR h = date_trunc('day', h, 'UTC')))
FROM nadi_store.model m ORDER BY m.model_id;
ANALYZE nadi_store.drift_hour;
ANALYZE nadi_store.drift_day;
