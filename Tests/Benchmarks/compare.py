"""Compares Nadi's tables in PostgreSQL with DuckDB's, row by row: counts exactly, sums and moments to 1e-9. Exits with 1 and
shows the first differences where they differ."""

import sys

from comparison import FROM, SERIES, Comparison

uri, database_path = sys.argv[1:]
compare = Comparison(uri, database_path).compare

equal = True
series = {"model_version": "VARCHAR", "slice_key": "VARCHAR", "slice_value": "VARCHAR"}
for unit in ("minute", "hour", "day"):
    equal &= compare(
        f"request_{unit}", {**series, unit: "TIMESTAMP"}, ["requests", "errors", "latency_count"], ["latency_sum"],
        f"SELECT * EXCLUDE (latency_bins) FROM request_{unit}",
        f"SELECT {SERIES}, {unit} AT TIME ZONE 'UTC' AS {unit}, requests, errors, latency_count, latency_sum "
        f"FROM nadi_store.request_{unit} {FROM}")
    equal &= compare(
        f"request_{unit} latency", {**series, unit: "TIMESTAMP", "bin": "INTEGER"}, ["n"], [],
        f"SELECT model_version, slice_key, slice_value, {unit}, b.key AS bin, b.value AS n "
        f"FROM request_{unit}, unnest(map_entries(latency_bins)) AS u (b)",
        f"SELECT {SERIES}, {unit} AT TIME ZONE 'UTC' AS {unit}, u.bin, u.n "
        f"FROM nadi_store.request_{unit} {FROM}, unnest(latency_bins, latency_counts) AS u (bin, n)")
for unit in ("hour", "day"):
    feature = {**series, "feature": "VARCHAR", unit: "TIMESTAMP"}
    rows = f"nadi_store.feature_{unit} {FROM} JOIN nadi_store.feature f USING (feature_id)"
    head = f"{SERIES}, f.feature_name AS feature, {unit} AT TIME ZONE 'UTC' AS {unit}"
    equal &= compare(
        f"feature_{unit}", feature, ["numeric_count"], ["mean", "m2", "minimum", "maximum"],
        f"SELECT * EXCLUDE (bins, categories) FROM feature_{unit}",
        f"SELECT {head}, numeric_count, mean_high + mean_low AS mean, m2, minimum, maximum FROM {rows}")
    equal &= compare(
        f"feature_{unit} log bins", {**feature, "bin": "INTEGER"}, ["n"], [],
        f"SELECT * EXCLUDE (bins, categories, numeric_count, mean, m2, minimum, maximum, b), b.key AS bin, b.value AS n "
        f"FROM feature_{unit}, unnest(map_entries(bins)) AS u (b)",
        f"SELECT {head}, u.bin, u.n FROM {rows}, unnest(log_bins, log_counts) AS u (bin, n)")
    equal &= compare(
        f"feature_{unit} categories", {**feature, "category": "VARCHAR"}, ["n"], [],
        f"SELECT * EXCLUDE (bins, categories, numeric_count, mean, m2, minimum, maximum, b), b.key AS category, b.value AS n "
        f"FROM feature_{unit}, unnest(map_entries(categories)) AS u (b)",
        f"SELECT {head}, c.value AS category, u.n FROM {rows}, unnest(category_ids, category_counts) AS u (id, n) "
        f"JOIN nadi_store.category c ON c.category_id = u.id")
    equal &= compare(
        f"score_{unit}", {**series, unit: "TIMESTAMP", "bin": "INTEGER"}, ["n", "pn"], ["s", "ps"],
        f"SELECT * FROM score_{unit}",
        f"SELECT {SERIES}, {unit} AT TIME ZONE 'UTC' AS {unit}, u.* "
        f"FROM nadi_store.score_{unit} {FROM}, unnest(bins, counts, sums, positive_counts, positive_sums) AS u (bin, n, s, pn, ps)")
sys.exit(0 if equal else 1)
