-- Purpose: how far apart two sets of counts in the same bins are, and what of it chance explains. Locks: none (new functions).

-- The bins of one pair of counts that hold anything. a, b: counts per bin, in the bins' order; bin_groups: PSI's group of each,
-- null: deciles of a (a bin goes where its middle rank falls); lowers, uppers: the bins' ends, null for categories.
-- Categories are groups of their own, but those with fewer than 5 values to be expected on the smaller side are group 0
-- together, and so is what the baseline does not list (bin_groups 0): new categories are rare ones that it did not draw, so
-- that the shares of all rare ones together are the same, and those of the listed ones alone are not.
-- This and the next are set-returning and without settings, so that PostgreSQL plans them into the query that calls them.
CREATE FUNCTION nadi_store.drift_cells(
    value_kind text, a float8[], b float8[], bin_groups int[], lowers float8[], uppers float8[], n_a float8, n_b float8
) RETURNS TABLE (
    place int, count_a float8, count_b float8, up_a float8, up_b float8, bin_group int, lower float8, upper float8, middle float8,
    next_middle float8
) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60 AS $$
    SELECT u.place::int, u.a, u.b, sum(u.a) OVER up, sum(u.b) OVER up,
           coalesce(u.bin_group, CASE
               WHEN value_kind <> 'categorical' THEN least(9, floor(10 * (sum(u.a) OVER up - u.a / 2) / n_a))::int
               WHEN (u.a + u.b) * (least(n_a, n_b) / (n_a + n_b)) < 5 THEN 0 ELSE u.place::int END),
           u.lower, u.upper, u.middle, lead(u.middle) OVER (ORDER BY u.place)
    FROM (SELECT r.*, nadi_store.middle(r.lower, r.upper) AS middle
          FROM unnest(a, b, bin_groups, lowers, uppers) WITH ORDINALITY AS r(a, b, bin_group, lower, upper, place)
          WHERE r.a + r.b > 0) u
    WINDOW up AS (ORDER BY u.place ROWS UNBOUNDED PRECEDING)
$$;
COMMENT ON FUNCTION nadi_store.drift_cells(text, float8[], float8[], int[], float8[], float8[], float8, float8) IS 'Bins that hold anything, with the counts up to each, PSI''s group, and the middle.';

-- Whatever the counts came from: the one formula behind drift against a reference and of any two ranges.
-- open_ended: the first and the last bin are what lies out of range.
CREATE FUNCTION nadi_store.drift_measures(
    value_kind text, a float8[], b float8[], bin_groups int[], lowers float8[], uppers float8[], open_ended boolean,
    n_a float8, n_b float8, deviation_a float8, deviation_b float8
) RETURNS TABLE (
    bin_count int, psi float8, psi_noise float8, group_chi_square float8, ks float8, jensen_shannon float8, wasserstein float8,
    l_infinity float8, chi_square float8, largest_root float8, cell_count int, is_blind boolean
) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1 AS $$
    SELECT max(g.bins)::int,
           CASE WHEN n_a > 0 AND n_b > 0 THEN greatest(0, sum((g.p - g.q) * ln(g.p / g.q))) END,
           (1 / n_a + 1 / n_b) * nadi_store.chi_square_limit(max(g.bins)::int - 1),
           sum(g.d * g.d / g.scale),
           CASE WHEN value_kind <> 'categorical' THEN max(g.gap) END,
           CASE WHEN n_a > 0 AND n_b > 0
                THEN sqrt(greatest(0, sum(g.divergence) + nadi_store.divergence(sum(g.tail_p), sum(g.tail_q)))) END,
           -- Not where what is out of range lies in so wide a bin that its middle says little.
           CASE WHEN value_kind <> 'categorical' AND deviation_a BETWEEN 1e-100 AND 1e120 AND bool_and(g.placed) AND n_b > 0
                     AND sum(g.doubt) <= greatest(0.1 * deviation_a, 0.5 * sum(g.work))
                THEN sum(g.work) / deviation_a END,
           CASE WHEN value_kind = 'categorical' THEN max(g.change) END,
           -- Yates' correction where there are two classes only.
           CASE WHEN value_kind <> 'categorical' AND max(g.bins) = 2 THEN sum(greatest(0, g.d - 0.5) ^ 2 / g.scale)
                WHEN value_kind <> 'categorical' THEN sum(g.d * g.d / g.scale)
                WHEN sum(g.filled) = 2 THEN sum(g.cell_yates)
                ELSE sum(g.cell_chi) END,
           max(g.root), sum(g.filled)::int, bool_or(g.blind)
               OR (value_kind = 'categorical' AND coalesce(bool_or(g.bin_group = 0 AND (g.sum_a > 0.5 * n_a OR g.sum_b > 0.5 * n_b)), false))
    FROM (
        SELECT count(*) OVER () AS bins, c.bin_group, sum(c.a) AS sum_a, sum(c.b) AS sum_b,
               (sum(c.a) + 0.5) / (n_a + 0.5 * count(*) OVER ()) AS p, (sum(c.b) + 0.5) / (n_b + 0.5 * count(*) OVER ()) AS q,
               abs(sum(c.a) * (n_b / (n_a + n_b)) - sum(c.b) * (n_a / (n_a + n_b))) AS d,
               (sum(c.a) + sum(c.b)) * (n_a / (n_a + n_b)) * (n_b / (n_a + n_b)) AS scale,
               max(abs(c.up_a / n_a - c.up_b / n_b)) AS gap,
               sum(CASE WHEN c.is_tail THEN 0 ELSE nadi_store.divergence(c.a / n_a, c.b / n_b) END) AS divergence,
               sum(CASE WHEN c.is_tail THEN c.a / n_a ELSE 0 END) AS tail_p, sum(CASE WHEN c.is_tail THEN c.b / n_b ELSE 0 END) AS tail_q,
               sum(CASE WHEN c.next_middle - c.middle >= 1e-150
                        THEN abs(c.up_a / n_a - c.up_b / n_b) * (c.next_middle - c.middle) ELSE 0 END) AS work,
               sum(CASE WHEN c.is_tail AND c.middle IS NOT NULL AND c.upper - c.lower > 1e-150
                        THEN abs(c.a / n_a - c.b / n_b) * ((c.upper - c.lower) / 2) ELSE 0 END) AS doubt,
               bool_and(c.middle IS NOT NULL) AS placed,
               max(abs(c.a / n_a - c.b / n_b)) AS change,
               count(*) AS filled,
               sum(c.d * c.d / c.scale) AS cell_chi,
               sum(greatest(0, c.d - 0.5) ^ 2 / c.scale) AS cell_yates,
               max(CASE WHEN c.is_listed THEN abs(nadi_store.share_root(c.a, n_a, c.b, n_b)) END) AS root,
               bool_or(c.blind) AS blind
        FROM (
            SELECT u.count_a AS a, u.count_b AS b, u.up_a, u.up_b, u.lower, u.upper, u.middle, u.next_middle, u.bin_group,
                   open_ended AND (u.place = 1 OR u.place = cardinality(lowers)) AS is_tail,
                   value_kind = 'categorical' AND bin_groups[u.place] IS NULL AS is_listed,
                   abs(u.count_a * (n_b / (n_a + n_b)) - u.count_b * (n_a / (n_a + n_b))) AS d,
                   (u.count_a + u.count_b) * (n_a / (n_a + n_b)) * (n_b / (n_a + n_b)) AS scale,
                   -- Over a fifth of the values in a bin wider than a fifth of their deviation: what moves in it is not seen.
                   CASE WHEN value_kind <> 'numeric' OR NOT (u.count_a > 0.2 * n_a OR u.count_b > 0.2 * n_b) THEN false
                        WHEN greatest(abs(u.lower), abs(u.upper)) > 1e300 THEN true
                        WHEN u.upper - u.lower <= greatest(1e-150, 1e-15 * greatest(1e-130, abs(u.lower))) THEN false
                        ELSE u.upper - u.lower > 0.2 * CASE
                            WHEN u.count_a > 0.2 * n_a AND u.count_b > 0.2 * n_b THEN least(deviation_a, deviation_b)
                            WHEN u.count_a > 0.2 * n_a THEN deviation_a ELSE deviation_b END END AS blind
            FROM nadi_store.drift_cells(value_kind, a, b, bin_groups, lowers, uppers, n_a, n_b) u
        ) c
        GROUP BY c.bin_group
    ) g
$$;
COMMENT ON FUNCTION nadi_store.drift_measures(text, float8[], float8[], int[], float8[], float8[], boolean, float8, float8, float8, float8) IS 'Counts a against b in the same bins. PSI over groups with shares (n + 0.5) / (N + 0.5 B), psi_noise (1/N + 1/M) chi2(1 - 1e-5, B - 1), group_chi_square Pearson''s over the same groups; KS the largest gap at bins'' ends; Jensen-Shannon the root of the divergence in base 2 over bins, the two out of range joined; Wasserstein over bins'' middles, in deviations of a (null beyond 1e120, and where half the width of what is out of range, times its share, is over a tenth of a deviation and over half of the distance); categories: largest change of a share, chi-square over categories, largest signed root of G; is_blind: bins too wide, or over half of a side in categories too rare to be compared. n_a and n_b: the sums, null for none.';

CREATE FUNCTION nadi_store.moved_bins(
    value_kind text, a float8[], b float8[], codes int[], bin_groups int[], lowers float8[], uppers float8[], open_ended boolean,
    n_a float8, n_b float8
) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    -- What lies outside is as wide as it likes: its end has the digits of what lies inside.
    digits int := nadi_store.range_digits(lowers[2], uppers[cardinality(uppers) - 1]);
BEGIN
    RETURN (SELECT coalesce(string_agg(m.bin || ': ' || nadi_store.short_share(m.p) || ' to ' || nadi_store.short_share(m.q), '; '
                               ORDER BY abs(m.q - m.p) DESC, m.bin), '')
    FROM (
        SELECT g.p, g.q,
               CASE WHEN value_kind = 'categorical' THEN CASE WHEN codes[g.first] = 0 THEN '(other or new)' ELSE coalesce(
                        (SELECT left(k.value, 60) FROM nadi_store.category k WHERE k.category_id = codes[g.first]), '(other or new)') END
                    WHEN open_ended AND g.first = 1 AND g.last = cardinality(lowers) THEN 'all values'
                    WHEN open_ended AND g.first = 1 THEN 'below ' || nadi_store.short_number(g.upper, digits)
                    WHEN open_ended AND g.last = cardinality(lowers) THEN 'above ' || nadi_store.short_number(g.lower, digits)
                    ELSE nadi_store.short_range(g.lower, g.upper) END AS bin
        FROM (
            SELECT min(c.place) AS first, max(c.place) AS last, min(c.lower) AS lower, max(c.upper) AS upper,
                   sum(c.count_a) / n_a AS p, sum(c.count_b) / n_b AS q
            FROM nadi_store.drift_cells(value_kind, a, b, bin_groups, lowers, uppers, n_a, n_b) c
            GROUP BY CASE WHEN value_kind = 'categorical' THEN c.place ELSE c.bin_group END
        ) g
        WHERE g.p <> g.q
        ORDER BY abs(g.q - g.p) DESC, g.first LIMIT 3
    ) m);
END
$$;
COMMENT ON FUNCTION nadi_store.moved_bins(text, float8[], float8[], int[], int[], float8[], float8[], boolean, float8, float8) IS 'The three of PSI''s groups, or categories, whose shares changed most, in words.';
