"""Nadi's tables of outcomes for the benchmark's objects, computed by DuckDB: predictions from the objects, outcomes from
theirs or from a table of a DuckDB database. Prints the seconds and the peak of memory in MiB."""

import argparse
import pathlib
import resource
import time

import duckdb

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("objects", type=pathlib.Path)
parser.add_argument("labels", type=pathlib.Path, nargs="*", help="folders of outcomes' objects")
parser.add_argument("--outcomes", type=pathlib.Path, help="a DuckDB database with the outcomes, made where it is missing")
parser.add_argument("--database", type=pathlib.Path, required=True, help="the DuckDB database to make")
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--memory", default="8GB")
arguments = parser.parse_args()

arguments.database.unlink(missing_ok=True)
files = [str(folder / "events/**/*.jsonl.zst") for folder in arguments.labels]
outcomes = f"""
SELECT prediction_id, time, label FROM read_json({files}, format = 'newline_delimited', compression = 'zstd', columns = {{
    schema: 'INTEGER', type: 'VARCHAR', time: 'TIMESTAMP', prediction_id: 'VARCHAR', label: 'BOOLEAN'}})
WHERE type = 'outcome' AND schema = 1"""
settings = {"threads": arguments.threads, "memory_limit": arguments.memory}
if arguments.outcomes is not None and not arguments.outcomes.exists():
    made = duckdb.connect(str(arguments.outcomes), config=settings)
    made.execute(f"SET TimeZone = 'UTC'; CREATE TABLE outcome AS {outcomes}")
    made.close()

began = time.monotonic()
database = duckdb.connect(str(arguments.database), config=settings)
database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
if arguments.outcomes is not None:
    database.execute(f"ATTACH '{arguments.outcomes}' AS held (READ_ONLY)")
    outcomes = "SELECT * FROM held.outcome"

# DuckDB may assume the fields of this data set, and that no id comes twice; Nadi may not. Outcomes of failed predictions are
# not judged.
database.execute(f"""
CREATE TEMP TABLE joined AS
SELECT p.model_version, p.tags.region AS region, date_trunc('hour', p.time) AS hour,
       p.prediction, p.score, o.label,
       greatest(epoch_ms(o.time) - epoch_ms(p.time), 0) AS delay_ms
FROM read_json($files, format = 'newline_delimited', compression = 'zstd', columns = {{
    schema: 'INTEGER', type: 'VARCHAR', id: 'VARCHAR', time: 'TIMESTAMP', model_version: 'VARCHAR', prediction: 'BOOLEAN',
    score: 'DOUBLE', status: 'VARCHAR', tags: 'STRUCT(region VARCHAR)'}}) AS p
JOIN ({outcomes}) AS o ON o.prediction_id = p.id
WHERE p.type = 'prediction' AND p.schema = 1 AND coalesce(p.status, 'ok') = 'ok'
""", {"files": str(arguments.objects / "events/**/*.jsonl.zst")})

# Bin b covers [2^(b/35), 2^((b+1)/35)); codes as in nadi_store.
database.execute("""
CREATE MACRO log_bin(x) AS CASE WHEN x = 0 THEN 0 ELSE floor(35 * log2(x))::INTEGER + 40000 END;
CREATE TEMP TABLE bin AS
WITH equal AS (SELECT k / 100.0::DOUBLE AS edge FROM range(101) AS r (k)),
logit AS (SELECT 1 / (1 + exp(-(ln(1e-6 / (1 - 1e-6)) * (1 - k / 50.0::DOUBLE)))) AS edge FROM range(101) AS r (k)),
united AS (SELECT edge FROM equal UNION ALL SELECT edge FROM logit
           WHERE NOT EXISTS (SELECT 1 FROM equal AS e WHERE abs(e.edge - logit.edge) <= 1e-12))
SELECT edge AS lower, row_number() OVER (ORDER BY edge) - 1 AS bin FROM united QUALIFY row_number() OVER (ORDER BY edge DESC) > 1;
""")

# Both slices of an event are made after grouping by region, days after grouping by hour: as cheap as it gets.
PARTS = {
    "outcome": ("", """
        count(*) AS labelled, count(prediction) AS classified, count(*) FILTER (prediction = label) AS correct,
        count(prediction) AS binary_count, count(*) FILTER (label AND prediction IS NOT NULL) AS label_positive_count,
        count(*) FILTER (prediction) AS predicted_positive_count, count(*) FILTER (prediction AND label) AS true_positive_count,
        count(score) AS log_loss_count,
        coalesce(sum(-ln(CASE WHEN label THEN greatest(score, 1e-15) ELSE greatest(1 - score, 1e-15) END))
                 FILTER (score IS NOT NULL), 0) AS log_loss_sum,
        count(*) AS delay_count, sum(delay_ms)::DOUBLE / 1000 AS delay_sum"""),
    "score": ("bin", "count(*) AS n, sum(label::INTEGER)::DOUBLE AS y, sum(score) AS p, sum(score * score) AS p2, "
              "sum(CASE WHEN label THEN score ELSE 0 END) AS py"),
    "delay": ("log_bin(delay_ms::DOUBLE / 1000) AS delay_bin", "count(*) AS n"),
    "named": ("", "count(*) AS n, count(*) FILTER (label) AS positive, count(*) FILTER (NOT label) AS negative"),
}
SOURCES = {
    "score": "(SELECT * FROM joined ASOF JOIN bin ON joined.score >= bin.lower WHERE score IS NOT NULL)",
}
for name, (keys, sums) in PARTS.items():
    key = f", {keys}" if keys else ""
    names = "".join(f", {part.split(' AS ')[-1].strip()}" for part in keys.split(", ")) if keys else ""
    database.execute(f"""
    CREATE TEMP TABLE {name}_region AS
    SELECT model_version, region, hour{key}, {sums} FROM {SOURCES.get(name, 'joined')} GROUP BY ALL""")
    columns = [column[0] for column in database.execute(f"SELECT * FROM {name}_region LIMIT 0").description][
        3 + names.count(","):]
    added = ", ".join(f"sum({column}) AS {column}" for column in columns)
    plain = ", ".join(columns)
    database.execute(f"""
    CREATE TABLE {name}_hour AS
    SELECT model_version, 'region' AS slice_key, region AS slice_value, hour{names}, {plain} FROM {name}_region
    UNION ALL SELECT model_version, 'all', 'all', hour{names}, {added} FROM {name}_region GROUP BY ALL""")
    database.execute(f"""
    CREATE TABLE {name}_day AS
    SELECT model_version, slice_key, slice_value, date_trunc('day', hour) AS day{names}, {added} FROM {name}_hour GROUP BY ALL""")
database.close()
print(f"{time.monotonic() - began:.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")
