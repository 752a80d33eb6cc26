-- Purpose: the counts of windows of time, side by side with a reference's or with another window's. Locks: none (new functions).

CREATE FUNCTION nadi_store.reference_at(model int, before timestamptz) RETURNS int
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT a.reference_id FROM nadi_store.reference_activation a
    WHERE a.model_id = model AND a.effective_from < before ORDER BY a.effective_from DESC LIMIT 1
$$;
COMMENT ON FUNCTION nadi_store.reference_at(int, timestamptz) IS 'The reference in force just before a time, null if none is.';

-- Hours before it were judged by another reference, whose data was right for it: they say nothing about this one.
CREATE FUNCTION nadi_store.reference_since(model int, before timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce((
        SELECT min(a.effective_from) FROM nadi_store.reference_activation a
        WHERE a.model_id = model AND a.effective_from < before AND a.effective_from > (
            SELECT max(o.effective_from) FROM nadi_store.reference_activation o
            WHERE o.model_id = model AND o.effective_from < before AND o.reference_id <> nadi_store.reference_at(model, before))),
        '-infinity')
$$;
COMMENT ON FUNCTION nadi_store.reference_since(int, timestamptz) IS 'Since when the reference in force just before a time has been; minus infinity where no other one was in force before it.';

CREATE FUNCTION nadi_store.busy_windows(series int[], from_time timestamptz, to_time timestamptz, hours int) RETURNS float8
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT count(*) FILTER (WHERE b.n >= least(200, b.mean / 4))::float8
    FROM (SELECT sum(r.predictions - r.failed_predictions) AS n, avg(sum(r.predictions - r.failed_predictions)) OVER () AS mean
          FROM nadi_store.request_hour r
          WHERE hours = 1 AND r.series_id = ANY (series) AND r.hour >= from_time AND r.hour < to_time
          GROUP BY r.hour HAVING sum(r.predictions - r.failed_predictions) > 0
          UNION ALL
          SELECT sum(r.predictions - r.failed_predictions), avg(sum(r.predictions - r.failed_predictions)) OVER ()
          FROM nadi_store.request_day r
          WHERE hours = 24 AND r.series_id = ANY (series) AND r.day >= from_time AND r.day < to_time
          GROUP BY r.day HAVING sum(r.predictions - r.failed_predictions) > 0) b
$$;
COMMENT ON FUNCTION nadi_store.busy_windows(int[], timestamptz, timestamptz, int) IS 'How many hours or days (hours 1 or 24) that begin in a range have enough successful predictions. At least 200, or a quarter of the mean where that is less.';

-- Over the reference's spread of days a morning is red every day. A range holds as much as a window of W hours if it has nine
-- tenths of the busy hours (at least 200 predictions) that the reference's windows had, and that the same window had a week ago.
-- References with too few rows an hour know days and weeks: of them busy days.
CREATE FUNCTION nadi_store.spread_hours(reference int, series int[], from_time timestamptz, to_time timestamptz) RETURNS int
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    span  float8 := extract(epoch FROM to_time - from_time) / 3600;
    unit  int;
    units float8;
    known record;
    busy  float8;
BEGIN
    IF span >= 24 THEN
        SELECT s.window_hours, max(s.window_count) INTO unit, units FROM nadi_store.reference_spread s
        WHERE s.reference_id = reference GROUP BY s.window_hours ORDER BY s.window_hours LIMIT 1;
    END IF;
    IF unit IS NULL OR unit = 168 THEN
        RETURN greatest(1, floor(span));
    END IF;
    busy := nadi_store.busy_windows(series, from_time, to_time, unit);
    FOR known IN
        SELECT s.window_hours, greatest(
                   units / max(s.window_count),
                   units * s.window_hours / nullif(extract(epoch FROM r.last_time - r.first_time) / 3600, 0)) AS usual
        FROM nadi_store.reference_spread s JOIN nadi_store.reference r USING (reference_id)
        WHERE s.reference_id = reference AND s.window_hours > unit AND s.window_hours <= span
        GROUP BY s.window_hours, r.first_time, r.last_time ORDER BY s.window_hours DESC
    LOOP
        IF busy >= 0.9 * greatest(known.usual, nadi_store.busy_windows(
               series, to_time - (known.window_hours + 168) * interval '1 hour', to_time - interval '168 hours', unit)) THEN
            RETURN known.window_hours;
        END IF;
    END LOOP;
    RETURN unit;
END
$$;
COMMENT ON FUNCTION nadi_store.spread_hours(int, int[], timestamptz, timestamptz) IS 'The longest of a reference''s own windows (hours) that a range can be compared with. No longer than it is, and none that it is but the unfinished begin of. Null without a range.';

-- Windows are numbered as they stand in froms and tos. width: set where they are buckets of that width in order, which are
-- then read at once; null: each is read by itself.
-- Pair i is window currents[i] against reference refs[i], or, where baselines is given, against window baselines[i].
-- Arrays of one pair are parallel: counts a (baseline) and b per bin. codes: log bins, categories or score bins; null: edges.
CREATE FUNCTION nadi_store.drift_pairs(
    model text, series int[], froms timestamptz[], tos timestamptz[], width interval,
    currents int[], baselines int[], refs int[], roles text[], features text[]
) RETURNS TABLE (
    pair int, feature_id int, value_kind text, reference_id int, a float8[], b float8[], codes int[], bin_groups int[],
    lowers float8[], uppers float8[], open_ended boolean, n_a float8, n_b float8, deviation_a float8, deviation_b float8,
    rows_a float8, rows_b float8, usable_a float8, usable_b float8, singletons float8, unseen_a float8, unseen_b float8, outside_b float8
) LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
-- The planner cannot know how many rows a step has, and loops over thousands of thousands where it guesses one.
SET plan_cache_mode = force_generic_plan SET enable_nestloop = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    feature_ids int[] := nadi_store.matching_features(model, roles, features);
    scores boolean := (roles IS NULL OR 'score' = ANY (roles)) AND (features IS NULL OR 'score' = ANY (features));
BEGIN
    RETURN QUERY
    WITH windows AS (
        SELECT u.place::int AS w, u.first, u.last FROM unnest(froms, tos) WITH ORDINALITY AS u(first, last, place)
    ), predictions AS (
        SELECT w.w, sum(r.predictions - r.failed_predictions)::float8 AS n
        FROM windows w CROSS JOIN LATERAL nadi_store.request_rows(series, w.first, w.last, NULL, false) r WHERE width IS NULL GROUP BY w.w
        UNION ALL
        SELECT w.w, sum(r.predictions - r.failed_predictions)::float8
        FROM nadi_store.request_rows(series, froms[1], tos[cardinality(tos)], width, false) r
        JOIN windows w ON w.first = nadi_store.bucket_of(r.hour, width, NULL) WHERE width IS NOT NULL GROUP BY w.w
    ), feature_rows AS MATERIALIZED (
        SELECT w.w, r.*
        FROM windows w CROSS JOIN LATERAL nadi_store.feature_rows(series, feature_ids, w.first, w.last, NULL) r WHERE width IS NULL
        UNION ALL
        SELECT w.w, r.*
        FROM nadi_store.feature_rows(series, feature_ids, froms[1], tos[cardinality(tos)], width) r
        JOIN windows w ON w.first = nadi_store.bucket_of(r.hour, width, NULL) WHERE width IS NOT NULL
    ), sides AS MATERIALIZED (
        -- Deviations as in feature_totals: differences from the largest group's mean. edge_set_id: the edge set of all the numbers.
        SELECT t.w, t.feature_id, sum(t.n) AS numeric_count, sum(t.categorical_count::float8) AS categorical_count,
               CASE WHEN sum(t.n) > 1 THEN coalesce(nullif(sqrt(greatest(0, sum(t.m) + sum(t.n * t.d * t.d) - sum(t.n * t.d) ^ 2 / sum(t.n))
                   / (sum(t.n) - 1)), 'NaN'), 0) ELSE 0 END AS deviation, min(t.minimum) AS minimum, max(t.maximum) AS maximum,
               CASE WHEN count(*) FILTER (WHERE t.n > 0 AND (t.edge_set_id <= 0 OR t.edge_counts IS NULL)) = 0
                    AND min(t.edge_set_id) FILTER (WHERE t.n > 0) = max(t.edge_set_id) FILTER (WHERE t.n > 0)
                    THEN min(t.edge_set_id) FILTER (WHERE t.n > 0) END AS edge_set_id
        FROM (
            SELECT p.*, p.numeric_count::float8 AS n, CASE WHEN p.numeric_count > 0 AND p.m2 > 1e-290 THEN p.m2 ELSE 0 END AS m,
                   CASE WHEN p.numeric_count = 0 THEN 0
                        WHEN NOT (p.m2 < 1e300 AND abs(p.mean_high) < 1e120 AND abs(p.pivot) < 1e120) THEN 'NaN'
                        WHEN abs((p.mean_high - p.pivot) + p.mean_low) < 1e-130 THEN 0
                        ELSE (p.mean_high - p.pivot) + p.mean_low END AS d
            FROM (SELECT r.*, first_value(r.mean_high) OVER (
                      PARTITION BY r.w, r.feature_id ORDER BY r.numeric_count DESC, r.hour, r.series_id) AS pivot
                  FROM feature_rows r) p) t
        GROUP BY t.w, t.feature_id
    ), wanted AS (
        SELECT u.place::int AS pair, u.c AS w_b, u.base AS w_a, u.ref AS reference_id
        FROM unnest(currents, baselines, refs) WITH ORDINALITY AS u(c, base, ref, place)
    ), named AS (
        SELECT w.pair, w.w_a, w.w_b, w.reference_id, s.feature_id FROM wanted w JOIN sides s ON s.w = w.w_b
        UNION SELECT w.pair, w.w_a, w.w_b, w.reference_id, s.feature_id FROM wanted w JOIN sides s ON s.w = w.w_a
        UNION SELECT w.pair, w.w_a, w.w_b, w.reference_id, f.feature_id
              FROM wanted w JOIN nadi_store.reference_feature f ON f.reference_id = w.reference_id AND f.feature_id = ANY (feature_ids)
    ), pairs AS MATERIALIZED (
        SELECT n.pair, n.w_a, n.w_b, n.reference_id, n.feature_id, f.reference_id IS NOT NULL AS referred,
               CASE WHEN f.reference_id IS NOT NULL THEN f.kind
                    WHEN coalesce(sa.numeric_count + sa.categorical_count, 0) > 0
                    THEN CASE WHEN sa.categorical_count > sa.numeric_count THEN 'categorical' ELSE 'numeric' END
                    WHEN coalesce(sb.categorical_count, 0) > coalesce(sb.numeric_count, 0) THEN 'categorical'
                    ELSE 'numeric' END AS value_kind,
               coalesce(f.numeric_count, sa.numeric_count, 0) AS numeric_a, coalesce(sb.numeric_count, 0) AS numeric_b,
               coalesce(f.categorical_count, sa.categorical_count, 0) AS categorical_a, coalesce(sb.categorical_count, 0) AS categorical_b,
               CASE WHEN f.reference_id IS NULL THEN coalesce(sa.deviation, 0)
                    WHEN f.numeric_count > 1 AND f.m2 > 1e-290 AND f.m2 < 1e300 THEN sqrt(f.m2 / (f.numeric_count - 1)) ELSE 0 END AS deviation_a,
               coalesce(sb.deviation, 0) AS deviation_b,
               least(f.minimum, sa.minimum, sb.minimum) AS minimum, greatest(f.maximum, sa.maximum, sb.maximum) AS maximum,
               CASE WHEN n.reference_id IS NOT NULL THEN r.row_count ELSE coalesce(pa.n, 0) END::float8 AS rows_a,
               coalesce(pb.n, 0) AS rows_b, f.singleton_count::float8 AS singletons,
               -- The reference's own edges where all is counted on them; for two windows those that both are counted on.
               CASE WHEN f.reference_id IS NOT NULL AND (sb.edge_set_id = n.reference_id OR coalesce(sb.numeric_count, 0) = 0)
                         AND cardinality(f.edges) > 0 THEN n.reference_id
                    WHEN f.reference_id IS NULL AND sa.edge_set_id = sb.edge_set_id THEN sb.edge_set_id END AS edge_set_id
        FROM named n
        LEFT JOIN nadi_store.reference r ON r.reference_id = n.reference_id
        LEFT JOIN nadi_store.reference_feature f ON f.reference_id = n.reference_id AND f.feature_id = n.feature_id
        LEFT JOIN sides sa ON sa.w = n.w_a AND sa.feature_id = n.feature_id
        LEFT JOIN sides sb ON sb.w = n.w_b AND sb.feature_id = n.feature_id
        LEFT JOIN predictions pa ON pa.w = n.w_a LEFT JOIN predictions pb ON pb.w = n.w_b
    ), edge_sums AS MATERIALIZED (
        SELECT s.w, s.feature_id, array_agg(s.n ORDER BY s.place) AS counts
        FROM (
            SELECT r.w, r.feature_id, u.place, sum(u.n::float8) AS n
            FROM (SELECT p.w_b AS w, p.feature_id FROM pairs p WHERE p.edge_set_id > 0 AND p.value_kind = 'numeric'
                  UNION SELECT p.w_a, p.feature_id FROM pairs p WHERE p.edge_set_id > 0 AND p.value_kind = 'numeric' AND NOT p.referred) k
            JOIN feature_rows r ON r.w = k.w AND r.feature_id = k.feature_id AND r.numeric_count > 0,
            unnest(r.edge_counts) WITH ORDINALITY AS u(n, place)
            GROUP BY 1, 2, 3) s
        GROUP BY 1, 2
    ), dense AS MATERIALIZED (
        SELECT p.*, CASE WHEN p.referred THEN f.edge_counts::float8[] ELSE ea.counts END AS a,
               coalesce(eb.counts, array_fill(0::float8, ARRAY[cardinality(f.edges) + 1])) AS b,
               CASE WHEN p.referred THEN f.deciles END AS bin_groups, f.edges
        FROM pairs p JOIN nadi_store.reference_feature f ON f.reference_id = p.edge_set_id AND f.feature_id = p.feature_id
        LEFT JOIN edge_sums ea ON ea.w = p.w_a AND ea.feature_id = p.feature_id AND NOT p.referred
        LEFT JOIN edge_sums eb ON eb.w = p.w_b AND eb.feature_id = p.feature_id
        WHERE p.value_kind = 'numeric'
          -- Two windows far outside the edges share two bins: log bins see more.
          AND (p.referred OR (ea.counts[1] + ea.counts[cardinality(ea.counts)] <= 0.2 * p.numeric_a
                              AND eb.counts[1] + eb.counts[cardinality(eb.counts)] <= 0.2 * p.numeric_b))
    ), loose AS MATERIALIZED (
        SELECT p.* FROM pairs p
        WHERE NOT EXISTS (SELECT FROM dense d WHERE d.pair = p.pair AND d.feature_id = p.feature_id)
    ), cells AS (
        SELECT u.pair, u.feature_id, u.code, sum(u.a) AS a, sum(u.b) AS b, bool_or(u.a > 0) AS listed
        FROM (
            SELECT p.pair, p.feature_id, c.code, c.n::float8 AS a, 0::float8 AS b
            FROM loose p JOIN nadi_store.reference_feature f ON f.reference_id = p.reference_id AND f.feature_id = p.feature_id
            CROSS JOIN LATERAL (
                SELECT * FROM unnest(f.log_bins, f.log_counts) AS l(code, n) WHERE p.value_kind = 'numeric'
                UNION ALL SELECT * FROM unnest(f.category_ids, f.category_counts) AS l(code, n) WHERE p.value_kind = 'categorical'
                UNION ALL SELECT 0, f.other_count WHERE p.value_kind = 'categorical' AND f.other_count > 0) c
            UNION ALL
            SELECT p.pair, p.feature_id, c.code, CASE WHEN p.is_a THEN c.n ELSE 0 END, CASE WHEN p.is_a THEN 0 ELSE c.n END
            FROM (SELECT l.pair, l.feature_id, l.value_kind, l.w_b AS w, false AS is_a FROM loose l
                  UNION ALL SELECT l.pair, l.feature_id, l.value_kind, l.w_a, true FROM loose l WHERE l.w_a IS NOT NULL) p
            JOIN feature_rows r ON r.w = p.w AND r.feature_id = p.feature_id
            CROSS JOIN LATERAL (
                SELECT * FROM unnest(r.log_bins, r.log_counts) AS l(code, n) WHERE p.value_kind = 'numeric'
                UNION ALL SELECT * FROM unnest(r.category_ids, r.category_counts) AS l(code, n) WHERE p.value_kind = 'categorical'
                UNION ALL SELECT 0, r.other_count WHERE p.value_kind = 'categorical' AND r.other_count > 0) c
        ) u
        GROUP BY u.pair, u.feature_id, u.code
    ), sparse AS (
        -- What the baseline does not list joins the cell of what it lumps: code 0.
        SELECT g.pair, g.feature_id, array_agg(g.a ORDER BY g.code) AS a, array_agg(g.b ORDER BY g.code) AS b,
               array_agg(g.code ORDER BY g.code) AS codes,
               array_agg(CASE WHEN g.code = 0 AND NOT g.is_number THEN 0 END ORDER BY g.code) AS bin_groups,
               array_agg(CASE WHEN g.is_number THEN greatest(g.minimum, nadi_store.bin_lower(g.code)) END ORDER BY g.code) AS lowers,
               array_agg(CASE WHEN g.is_number THEN least(g.maximum, nadi_store.bin_upper(g.code)) END ORDER BY g.code) AS uppers,
               sum(g.a) AS n_a, sum(g.b) AS n_b, sum(g.singletons)::float8 AS singletons,
               sum(g.a) FILTER (WHERE g.code = 0) AS unseen_a, sum(g.b) FILTER (WHERE g.code = 0) AS unseen_b
        FROM (
            SELECT c.pair, c.feature_id, p.minimum, p.maximum, p.value_kind = 'numeric' AS is_number,
                   CASE WHEN p.value_kind = 'categorical' AND NOT c.listed THEN 0 ELSE c.code END AS code,
                   sum(c.a) AS a, sum(c.b) AS b, count(*) FILTER (WHERE c.a = 1 AND c.code <> 0) AS singletons
            FROM cells c JOIN loose p ON p.pair = c.pair AND p.feature_id = c.feature_id
            GROUP BY 1, 2, 3, 4, 5, 6) g
        GROUP BY g.pair, g.feature_id
    ), score_rows AS (
        SELECT w.w, r.bins, r.counts
        FROM windows w CROSS JOIN LATERAL nadi_store.score_rows(series, w.first, w.last, NULL) r
        WHERE scores AND width IS NULL AND r.category_id = 0
        UNION ALL
        SELECT w.w, r.bins, r.counts
        FROM nadi_store.score_rows(series, froms[1], tos[cardinality(tos)], width) r
        JOIN windows w ON w.first = nadi_store.bucket_of(r.hour, width, NULL) WHERE scores AND width IS NOT NULL AND r.category_id = 0
    ), score_sums AS (
        SELECT r.w, c.bin, sum(c.n::float8) AS n FROM score_rows r, unnest(r.bins, r.counts) AS c(bin, n) GROUP BY 1, 2
    ), score_cells AS (
        SELECT u.pair, u.reference_id, u.w_a, u.w_b, u.bin, sum(u.a) AS a, sum(u.b) AS b
        FROM (SELECT w.*, s.bin, 0::float8 AS a, s.n AS b FROM wanted w JOIN score_sums s ON s.w = w.w_b
              UNION ALL SELECT w.*, s.bin, s.n, 0 FROM wanted w JOIN score_sums s ON s.w = w.w_a
              UNION ALL SELECT w.*, c.bin, c.n, 0
                        FROM wanted w JOIN nadi_store.reference_score r ON r.reference_id = w.reference_id AND r.category_id = 0,
                             unnest(r.bins, r.counts) AS c(bin, n) WHERE scores) u
        GROUP BY 1, 2, 3, 4, 5
    ), score_sides AS (
        SELECT c.pair, c.reference_id, c.w_a, c.w_b, array_agg(c.a ORDER BY c.bin) AS a, array_agg(c.b ORDER BY c.bin) AS b,
               array_agg(c.bin ORDER BY c.bin) AS codes, array_agg(e.lower ORDER BY c.bin) AS lowers,
               array_agg(e.upper ORDER BY c.bin) AS uppers,
               sum(c.a) AS n_a, sum(c.b) AS n_b,
               sqrt(greatest(0, sum(c.a * ((e.lower + e.upper) / 2) ^ 2) - sum(c.a * ((e.lower + e.upper) / 2)) ^ 2 / nullif(sum(c.a), 0))
                   / nullif(sum(c.a) - 1, 0)) AS deviation
        FROM score_cells c JOIN nadi_store.score_edge e ON e.bin = c.bin GROUP BY 1, 2, 3, 4
    )
    SELECT d.pair, d.feature_id, d.value_kind, d.reference_id, d.a, d.b, NULL::int[], d.bin_groups,
           least(d.minimum, d.edges[1]) || d.edges, d.edges || greatest(d.maximum, d.edges[cardinality(d.edges)]), true,
           d.numeric_a, d.numeric_b, d.deviation_a, d.deviation_b, d.rows_a, d.rows_b, d.numeric_a, d.numeric_b,
           NULL::float8, NULL::float8, NULL::float8,
           CASE WHEN d.referred THEN d.b[1] + d.b[cardinality(d.b)] END
    FROM dense d
    UNION ALL
    SELECT l.pair, l.feature_id, l.value_kind, l.reference_id, s.a, s.b, s.codes, s.bin_groups, s.lowers, s.uppers, false,
           s.n_a, s.n_b, l.deviation_a, l.deviation_b, l.rows_a, l.rows_b,
           CASE WHEN baselines IS NULL AND NOT l.referred THEN NULL
                WHEN l.value_kind = 'categorical' THEN l.categorical_a ELSE l.numeric_a END,
           CASE WHEN l.value_kind = 'categorical' THEN l.categorical_b ELSE l.numeric_b END,
           coalesce(l.singletons, s.singletons),
           CASE WHEN l.value_kind = 'categorical' THEN coalesce(s.unseen_a, 0) END,
           CASE WHEN l.value_kind = 'categorical' THEN coalesce(s.unseen_b, 0) END, NULL
    FROM loose l LEFT JOIN sparse s ON s.pair = l.pair AND s.feature_id = l.feature_id
    UNION ALL
    SELECT s.pair, 0, 'score', s.reference_id, s.a, s.b, s.codes, NULL, s.lowers, s.uppers, false,
           s.n_a, s.n_b, s.deviation, 0, CASE WHEN s.reference_id IS NOT NULL THEN r.row_count ELSE coalesce(pa.n, 0) END::float8,
           coalesce(pb.n, 0), s.n_a, s.n_b, NULL, NULL, NULL, NULL
    FROM score_sides s LEFT JOIN nadi_store.reference r ON r.reference_id = s.reference_id
    LEFT JOIN predictions pa ON pa.w = s.w_a LEFT JOIN predictions pb ON pb.w = s.w_b;
END
$$;
COMMENT ON FUNCTION nadi_store.drift_pairs(text, int[], timestamptz[], timestamptz[], interval, int[], int[], int[], text[], text[]) IS 'Counts of windows beside a reference''s or another window''s, feature by feature. In the finest bins that both have: the reference''s edges, else fixed log bins; categories; score bins. usable values of rows; unseen: what the baseline does not list; outside: below its least and above its greatest value.';

-- States and reasons.
CREATE FUNCTION nadi_store.drift_rows(
    model text, series int[], froms timestamptz[], tos timestamptz[], width interval,
    currents int[], baselines int[], refs int[], roles text[], features text[]
) RETURNS TABLE (
    pair int, feature_id int, reference_id int, value_kind text, baseline_count bigint, current_count bigint, bin_count int,
    psi float8, psi_noise float8, psi_spread float8, ks float8, ks_p_value float8, jensen_shannon float8, wasserstein float8,
    l_infinity float8, chi_square float8, baseline_missing_rate float8, current_missing_rate float8, unseen_rate float8,
    out_of_range_rate float8, drift_state text, reason text, moved_bins text, has_predictions boolean
) LANGUAGE sql STABLE PARALLEL SAFE ROWS 100 AS $$
    WITH lengths AS MATERIALIZED (
        SELECT u.place::int AS pair, nadi_store.spread_hours(refs[u.place], series, froms[u.c], tos[u.c]) AS hours
        FROM unnest(currents) WITH ORDINALITY AS u(c, place) WHERE baselines IS NULL
    ), measured AS (
        SELECT p.*, m.*, p.usable_a IS NULL OR (baselines IS NULL AND p.value_kind = 'score' AND p.n_a IS NOT DISTINCT FROM 0) AS unknown,
               s.psi AS psi_spread, s.missing_low, s.missing_high, s.unseen AS unseen_spread, s.out_of_range AS outside_spread,
               CASE WHEN p.rows_a > 0 AND p.usable_a IS NOT NULL THEN 1 - least(1, p.usable_a / p.rows_a) END AS missing_a,
               CASE WHEN p.rows_b > 0 THEN 1 - least(1, p.usable_b / p.rows_b) END AS missing_b,
               CASE WHEN p.unseen_b IS NOT NULL AND p.usable_a > 0 AND p.usable_b > 0
                    THEN greatest(0, p.unseen_b / p.usable_b - p.unseen_a / p.usable_a) END AS unseen_rate,
               p.outside_b / nullif(p.usable_b, 0) AS outside_rate, p.n_b / (p.n_a + p.n_b) AS rho
        FROM (SELECT p.*, nullif(p.n_a, 0) AS known_n_a, nullif(p.n_b, 0) AS known_n_b
              FROM nadi_store.drift_pairs(model, series, froms, tos, width, currents, baselines, refs, roles, features) p) p
        CROSS JOIN LATERAL nadi_store.drift_measures(p.value_kind, p.a, p.b, p.bin_groups, p.lowers, p.uppers, p.open_ended,
            p.known_n_a, p.known_n_b, p.deviation_a, p.deviation_b) m
        LEFT JOIN lengths l ON l.pair = p.pair
        LEFT JOIN LATERAL (
            SELECT * FROM nadi_store.reference_spread r
            WHERE r.reference_id = p.reference_id AND r.feature_id = p.feature_id AND r.window_hours <= l.hours
            ORDER BY r.window_hours DESC LIMIT 1) s ON true
    ), tested AS (
        -- PSI's law is chi-square's only where bins are well filled. Where one holds 5 to 20 values PSI exceeds its noise up to
        -- six times too often, on bins that lost values, and Pearson's statistic on bins that won: both must.
        SELECT m.*, coalesce(m.usable_a, 0) < 200 OR coalesce(m.usable_b, 0) < 200 AS few,
               coalesce(m.psi > m.psi_noise AND m.group_chi_square > nadi_store.chi_square_limit(m.bin_count - 1), false)
                   OR (m.value_kind = 'categorical' AND coalesce(
                       m.largest_root > nadi_store.normal_limit(1e-5 / (2 * greatest(1, m.cell_count))), false)) AS moved,
               coalesce(m.rows_a >= 200 AND m.rows_b >= 200 AND abs(nadi_store.share_root(
                   m.missing_a * m.rows_a, m.rows_a, m.missing_b * m.rows_b, m.rows_b)) > 4.417173413469023, false) AS missing_moved,
               -- Good and Turing: the share of values to come that a sample lacks is about its share of values seen once.
               coalesce(m.unseen_b > 0 AND m.usable_a >= 200 AND m.usable_b >= 200 AND nadi_store.share_root(
                   m.unseen_a + m.singletons, m.usable_a, m.unseen_b, m.usable_b) > 4.264890793922825, false) AS unseen_moved,
               -- How many of M values lie beyond the extremes of N others: rho^k ((k + 1) - k rho) for k or more, rho = M / (N + M).
               coalesce(m.outside_b > 0 AND m.usable_a >= 200 AND m.usable_b >= 200
                   AND m.outside_b * ln(m.rho) + ln(1 + m.outside_b * (1 - m.rho)) < -11.512925464970229, false) AS outside_moved
        FROM measured m
    ), judged AS (
        SELECT t.*,
               t.moved AND NOT t.few AND t.psi >= 0.2 AND t.psi > coalesce(t.psi_spread, 0) AS distribution_drifted,
               t.missing_moved AND abs(t.missing_b - t.missing_a) >= 0.1
                   AND coalesce(t.missing_b > t.missing_high OR t.missing_b < t.missing_low, true) AS missing_drifted,
               t.unseen_moved AND t.unseen_rate - t.singletons / t.usable_a >= 0.1
                   AND t.unseen_rate > coalesce(t.unseen_spread, 0) AS unseen_drifted,
               t.outside_moved AND t.outside_rate >= 0.1 AND t.outside_rate > coalesce(t.outside_spread, 0) AS outside_drifted
        FROM tested t
    )
    SELECT j.pair, j.feature_id, j.reference_id, j.value_kind, coalesce(j.usable_a, 0)::bigint, coalesce(j.usable_b, 0)::bigint,
           CASE WHEN j.psi IS NULL THEN 0 ELSE j.bin_count END, j.psi, CASE WHEN j.psi IS NOT NULL THEN j.psi_noise END, j.psi_spread,
           j.ks, nadi_store.kolmogorov_p(j.ks * sqrt(j.n_a * (j.n_b / (j.n_a + j.n_b)))), j.jensen_shannon, j.wasserstein,
           j.l_infinity, j.chi_square, j.missing_a, j.missing_b, CASE WHEN NOT j.unknown THEN j.unseen_rate END, j.outside_rate,
           CASE WHEN baselines IS NULL AND j.unknown THEN 'no_reference'
                WHEN j.distribution_drifted OR j.missing_drifted OR j.unseen_drifted OR j.outside_drifted THEN 'drifted'
                WHEN j.missing_moved OR j.unseen_moved OR j.outside_moved OR (j.moved AND NOT j.few) THEN 'shifted'
                WHEN j.few THEN 'too_few'
                WHEN j.psi IS NULL OR j.is_blind THEN 'too_coarse'
                ELSE 'stable' END,
           CASE WHEN baselines IS NULL AND j.reference_id IS NULL THEN 'no reference is in force'
                WHEN baselines IS NULL AND j.unknown THEN 'not in the reference'
                WHEN j.missing_moved OR j.unseen_moved OR j.outside_moved OR (j.moved AND NOT j.few)
                THEN concat_ws(', ', CASE WHEN j.moved AND NOT j.few THEN 'distribution' END,
                               CASE WHEN j.missing_moved THEN 'missing rate' END,
                               CASE WHEN j.unseen_moved THEN 'new categories' END, CASE WHEN j.outside_moved THEN 'out of range' END)
                WHEN j.few THEN 'fewer than 200 values on a side'
                WHEN j.psi IS NULL THEN 'no bins in common: slices have those of the reference only'
                WHEN j.is_blind AND j.value_kind = 'categorical' THEN 'over half of the values are in categories too rare to be compared'
                WHEN j.is_blind THEN 'values vary less than the bins are wide'
                ELSE '' END,
           CASE WHEN NOT j.unknown AND (j.outside_moved OR j.unseen_moved OR (j.moved AND NOT j.few))
                THEN nadi_store.moved_bins(j.value_kind, j.a, j.b, j.codes, j.bin_groups, j.lowers, j.uppers, j.open_ended, j.n_a, j.n_b)
                ELSE '' END,
           coalesce(j.rows_b, j.n_b, 0) > 0
    FROM judged j
$$;
COMMENT ON FUNCTION nadi_store.drift_rows(text, int[], timestamptz[], timestamptz[], interval, int[], int[], int[], text[], text[]) IS 'Each pair of drift_pairs, measured and judged: what nadi.drift and its kin show and what is stored per hour and day. baselines null: against references, with the spread of their windows that spread_hours picks.';
