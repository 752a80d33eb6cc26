"""Compares Nadi's tables in PostgreSQL with DuckDB's, row by row: counts exactly, sums and moments to 1e-9. Exits with 1 and
shows the first differences where they differ."""

import pathlib
import subprocess
import sys
import tempfile

import duckdb

uri, database_path = sys.argv[1:]
database = duckdb.connect(database_path, read_only=True)
database.execute("SET TimeZone = 'UTC'")
scratch = tempfile.TemporaryDirectory()

SERIES = "s.model_version, s.slice_key, s.slice_value"
FROM = "JOIN nadi_store.series s USING (series_id)"


def from_postgres(name, query):
    """The rows of a query as a table of DuckDB, by way of a CSV file."""
    path = pathlib.Path(scratch.name) / f"{name}.csv"
    with path.open("wb") as file:
        subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", uri, "-c", f"COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)"],
            check=True, stdout=file, env={"PGTZ": "UTC", "PATH": "/usr/bin:/bin"})
    return f"read_csv('{path}', header = true, all_varchar = true)"


def compare(name, keys, counts, sums, theirs, ours):
    """Full join on the keys; every count equal, every sum within 1e-9."""
    table = from_postgres(name, ours)
    typed_keys = ", ".join(f"CAST({key} AS {kind}) AS {key}" for key, kind in keys.items())
    typed = ", ".join([typed_keys] + [f"CAST({c} AS BIGINT) AS {c}" for c in counts] + [f"CAST({c} AS DOUBLE) AS {c}" for c in sums])
    # Sums of rounded terms differ in their last digits by the order of adding: relative to the terms' size.
    unequal = [f"a.{c} IS DISTINCT FROM b.{c}" for c in counts] + [
        f"(a.{c} IS NULL) <> (b.{c} IS NULL) OR abs(a.{c} - b.{c}) > 1e-9 * greatest(1, abs(a.{c}))" for c in sums]
    query = f"""
    WITH a AS (SELECT {typed} FROM ({theirs})), b AS (SELECT {typed} FROM {table})
    SELECT {', '.join(keys)}, a.* EXCLUDE ({', '.join(keys)}), b.* EXCLUDE ({', '.join(keys)})
    FROM a FULL JOIN b USING ({', '.join(keys)})
    WHERE {' OR '.join(unequal)}"""
    rows = database.execute(f"SELECT count(*) FROM ({theirs})").fetchone()[0]
    wrong = database.execute(query).fetchall()
    if wrong or rows == 0:
        print(f"{name}: {len(wrong)} of {rows} rows differ (keys, DuckDB's values, Nadi's values)")
        for row in wrong[:5]:
            print("   ", *row)
        return False
    print(f"{name}: {rows} rows equal")
    return True


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
