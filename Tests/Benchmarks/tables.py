"""Nadi's full set of tables for the benchmark's objects, computed by DuckDB from the objects alone. Prints the seconds."""

import argparse
import pathlib
import time

import duckdb

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("objects", type=pathlib.Path)
parser.add_argument("database", type=pathlib.Path, help="the DuckDB database to make")
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--memory", default="4GB")
arguments = parser.parse_args()

arguments.database.unlink(missing_ok=True)
began = time.monotonic()
database = duckdb.connect(str(arguments.database), config={"threads": arguments.threads, "memory_limit": arguments.memory})
database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")

# Parsed once. DuckDB may assume the fields of this data set; Nadi may not.
database.execute("""
CREATE TEMP TABLE event AS
SELECT model_version, coalesce(status, 'ok') = 'ok' AS ok, time_bucket(INTERVAL 1 minute, time) AS minute,
       prediction, score, latency_seconds AS latency, tags.region AS region,
       features.amount AS amount, features.age AS age, features.balance AS balance, features.ratio AS ratio,
       features.country AS country
FROM read_json($files, format = 'newline_delimited', compression = 'zstd', columns = {
    schema: 'INTEGER', type: 'VARCHAR', id: 'VARCHAR', time: 'TIMESTAMP', service: 'VARCHAR', model_name: 'VARCHAR',
    model_version: 'VARCHAR', task: 'VARCHAR', prediction: 'BOOLEAN', score: 'DOUBLE', latency_seconds: 'DOUBLE',
    status: 'VARCHAR', tags: 'STRUCT(region VARCHAR)',
    features: 'STRUCT(amount DOUBLE, age DOUBLE, balance DOUBLE, ratio DOUBLE, country VARCHAR)'})
WHERE type = 'prediction' AND schema = 1
""", {"files": str(arguments.objects / "events/**/*.jsonl.zst")})

# Bin b covers [2^(b/35), 2^((b+1)/35)); codes as in nadi_store.
database.execute("""
CREATE MACRO log_bin(x) AS CASE WHEN x = 0 THEN 0
    WHEN x > 0 THEN floor(35 * log2(x))::INTEGER + 40000 ELSE -(floor(35 * log2(-x))::INTEGER + 40000) END;
CREATE TEMP TABLE edge AS
WITH equal AS (SELECT k / 100.0::DOUBLE AS edge FROM range(101) AS r (k)),
logit AS (SELECT 1 / (1 + exp(-(ln(1e-6 / (1 - 1e-6)) * (1 - k / 50.0::DOUBLE)))) AS edge FROM range(101) AS r (k)),
united AS (SELECT edge FROM equal UNION ALL SELECT edge FROM logit
           WHERE NOT EXISTS (SELECT 1 FROM equal AS e WHERE abs(e.edge - logit.edge) <= 1e-12))
SELECT list(edge ORDER BY edge) AS edges FROM united;
""")

# Both slices of an event, (all, all) and its region, are made after grouping by minute and region: as cheap as it gets.
for unit, source in (("minute", None), ("hour", "minute"), ("day", "hour")):
    if source is None:
        database.execute("""
        CREATE TABLE request_minute_region AS
        SELECT model_version, region, minute, count(*) AS requests, count(*) FILTER (NOT ok) AS errors,
               count(latency) AS latency_count, sum(latency) AS latency_sum, histogram(log_bin(latency)) AS latency_bins
        FROM event GROUP BY ALL""")
        database.execute("""
        CREATE TABLE request_minute AS
        WITH slice AS (SELECT *, 'all' AS slice_key, 'all' AS slice_value FROM request_minute_region
                       UNION ALL SELECT *, 'region', region FROM request_minute_region),
        bins AS (SELECT model_version, slice_key, slice_value, minute, map(list(bin ORDER BY bin), list(n ORDER BY bin)) AS latency_bins
                 FROM (SELECT model_version, slice_key, slice_value, minute, b.key AS bin, sum(b.value)::BIGINT AS n
                       FROM slice, unnest(map_entries(latency_bins)) AS u (b) GROUP BY ALL) GROUP BY ALL)
        SELECT model_version, slice_key, slice_value, minute, sum(requests)::BIGINT AS requests,
               sum(errors)::BIGINT AS errors, sum(latency_count)::BIGINT AS latency_count, sum(latency_sum) AS latency_sum,
               any_value(bins.latency_bins) AS latency_bins
        FROM slice JOIN bins USING (model_version, slice_key, slice_value, minute) GROUP BY ALL""")
        database.execute("DROP TABLE request_minute_region")
    else:
        database.execute(f"""
        CREATE TABLE request_{unit} AS
        WITH source AS (SELECT * REPLACE (date_trunc('{unit}', {source}) AS {source}) FROM request_{source}),
        bins AS (SELECT model_version, slice_key, slice_value, {source}, map(list(bin ORDER BY bin), list(n ORDER BY bin)) AS latency_bins
                 FROM (SELECT model_version, slice_key, slice_value, {source}, b.key AS bin, sum(b.value)::BIGINT AS n
                       FROM source, unnest(map_entries(latency_bins)) AS u (b) GROUP BY ALL) GROUP BY ALL)
        SELECT model_version, slice_key, slice_value, {source} AS {unit}, sum(requests)::BIGINT AS requests,
               sum(errors)::BIGINT AS errors, sum(latency_count)::BIGINT AS latency_count, sum(latency_sum) AS latency_sum,
               any_value(bins.latency_bins) AS latency_bins
        FROM source JOIN bins USING (model_version, slice_key, slice_value, {source}) GROUP BY ALL""")

# Features: moments, log bins (slice all), categories.
database.execute("CREATE TEMP VIEW good AS SELECT * REPLACE (date_trunc('hour', minute) AS minute) FROM event WHERE ok")
numbers = ["amount", "age", "balance", "ratio"]
for unit, group in (("hour", "minute"), ("day", "date_trunc('day', minute)")):
    parts = []
    for name in numbers:
        for key, value in (("'all'", "'all'"), ("'region'", "region")):
            parts.append(f"""
            SELECT model_version, {key} AS slice_key, {value} AS slice_value, '{name}' AS feature, {group} AS {unit},
                   count({name}) AS numeric_count, avg({name}) AS mean, var_pop({name}) * count({name}) AS m2,
                   min({name}) AS minimum, max({name}) AS maximum,
                   {f"histogram(log_bin({name}))" if key == "'all'" else "MAP {}::MAP(INTEGER, UBIGINT)"} AS bins,
                   MAP {{}}::MAP(VARCHAR, UBIGINT) AS categories
            FROM good GROUP BY ALL""")
    for name, text in (("country", "country"), ("prediction", "prediction::VARCHAR")):
        for key, value in (("'all'", "'all'"), ("'region'", "region")):
            parts.append(f"""
            SELECT model_version, {key}, {value}, '{name}', {group}, 0, 0.0, 0.0, NULL, NULL,
                   MAP {{}}::MAP(INTEGER, UBIGINT), histogram({text})
            FROM good GROUP BY ALL""")
    database.execute(f"CREATE TABLE feature_{unit} AS {' UNION ALL '.join(parts)}")

# Scores: per bin n, sum p, n predicted positive, sum p where predicted positive.
database.execute("""
CREATE TABLE score_hour AS
WITH bin AS (SELECT unnest(edges[:-2]) AS lower, generate_subscripts(edges[:-2], 1) - 1 AS bin FROM edge),
binned AS (SELECT g.model_version, g.region, g.minute AS hour, bin.bin, g.score, g.prediction
           FROM good AS g ASOF JOIN bin ON g.score >= bin.lower),
grouped AS (SELECT model_version, region, hour, bin, count(*) AS n, sum(score) AS s, count(*) FILTER (prediction) AS pn,
                   coalesce(sum(score) FILTER (prediction), 0) AS ps FROM binned GROUP BY ALL)
SELECT model_version, 'region' AS slice_key, region AS slice_value, hour, bin, n, s, pn, ps FROM grouped
UNION ALL
SELECT model_version, 'all', 'all', hour, bin, sum(n)::BIGINT, sum(s), sum(pn)::BIGINT, sum(ps) FROM grouped GROUP BY ALL
""")
database.execute("""
CREATE TABLE score_day AS
SELECT model_version, slice_key, slice_value, date_trunc('day', hour) AS day, bin, sum(n)::BIGINT AS n, sum(s) AS s,
       sum(pn)::BIGINT AS pn, sum(ps) AS ps
FROM score_hour GROUP BY ALL
""")
database.close()
print(f"{time.monotonic() - began:.2f}")
