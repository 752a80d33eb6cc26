"""The demo's cross-check: DuckDB reads the bucket's objects, and nothing else, and must find what PostgreSQL's views say:
requests, errors, classes, labels, thumbs, and each numeric feature's mean and standard deviation, by model and hour. Then what `nadi drift`
says of the iris model, against PSI and the exact KS distance of the raw values and the reference's file."""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import botocore.config
import botocore.session
import duckdb

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--endpoint", required=True)
parser.add_argument("--bucket", required=True)
parser.add_argument("--prefix", default="")
parser.add_argument("--postgres", required=True, help="URI of a reader; the credentials for S3 come from AWS_... variables")
parser.add_argument("--drift", required=True, help="what nadi drift --json said")
parser.add_argument("--reference", required=True, help="the reference's CSV file")
parser.add_argument("--load", required=True, help="what load.py said")
arguments = parser.parse_args()

scratch = tempfile.TemporaryDirectory()
objects = pathlib.Path(scratch.name) / "objects"
client = botocore.session.get_session().create_client(
    "s3", endpoint_url=arguments.endpoint, region_name=os.environ.get("AWS_REGION", "us-east-1"),
    config=botocore.config.Config(s3={"addressing_style": "path"}))
prefix = f"{arguments.prefix}/events/" if arguments.prefix else "events/"
count = 0
for page in client.get_paginator("list_objects_v2").paginate(Bucket=arguments.bucket, Prefix=prefix):
    for entry in page.get("Contents", []):
        path = objects / entry["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.get_object(Bucket=arguments.bucket, Key=entry["Key"])["Body"].read())
        count += 1
if count == 0:
    sys.exit(f"check: the bucket {arguments.bucket} has no objects under {prefix}")

database = duckdb.connect()
database.execute("SET TimeZone = 'UTC'")
# One object holds lines of both services: each line as JSON, told apart by its fields. A line that is no JSON object, or
# no prediction, is none here.
database.execute(
    "CREATE TABLE line AS SELECT json FROM read_ndjson_objects($files, compression = 'zstd', ignore_errors = true)",
    {"files": str(objects / "**/*.jsonl.zst")})
database.execute("""
CREATE TABLE prediction AS
SELECT coalesce(json->>'prediction_id', json->>'id') AS id, json->>'model_name' AS model, date_trunc('hour', (json->>'time')::TIMESTAMP) AS hour,
       coalesce(json->>'status', 'ok') <> 'ok' AS failed, json->>'prediction' AS class, json->'features' AS features
FROM line WHERE json->>'type' = 'prediction' AND (json->>'schema')::INTEGER = 1
UNION ALL
SELECT NULL, 'fraud', date_trunc('hour', (json->>'ts')::TIMESTAMP), false, json->'out'->>'class', json->'input'
FROM line WHERE json->>'type' IS NULL AND json->>'ver' IS NOT NULL;

-- What came true and what users said, by the prediction's hour (of failed ones nothing counts): the newest of each prediction, type and name.
CREATE TABLE outcome AS
SELECT p.model, p.hour, o.type, o.name, p.failed, p.class, o.label, o.score
FROM prediction AS p JOIN (
    SELECT json->>'type' AS type, coalesce(json->>'name', 'label') AS name, json->>'model_name' AS model, json->>'prediction_id' AS prediction,
           json->>'label' AS label, (json->>'score')::DOUBLE AS score,
           row_number() OVER (PARTITION BY json->>'type', json->>'model_name', coalesce(json->>'name', 'label'), json->>'prediction_id'
                              ORDER BY coalesce((json->>'revision')::BIGINT, 0) DESC, (json->>'time')::TIMESTAMP DESC, json->>'id' DESC) AS place
    FROM line WHERE json->>'type' IN ('outcome', 'feedback')) AS o ON o.model = p.model AND o.prediction = p.id AND o.place = 1;

CREATE VIEW feature AS
SELECT model, hour, name, count(value) AS n, avg(value) AS mean, stddev_samp(value) AS std
FROM (SELECT model, hour, unnest(json_keys(features)) AS name,
             CASE WHEN json_type(features, '$.' || name) IN ('DOUBLE', 'BIGINT', 'UBIGINT')
                  THEN (features->>name)::DOUBLE END AS value
      FROM prediction WHERE NOT failed)
WHERE value IS NOT NULL GROUP BY ALL;
""")


def postgres(query):
    """The rows of a query."""
    command = f"SET TIME ZONE 'UTC'; COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)"
    path = pathlib.Path(scratch.name) / "answer.csv"
    with path.open("wb") as file:
        subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", arguments.postgres, "-c", command], check=True, stdout=file)
    return database.execute(f"SELECT * FROM read_csv('{path}', header = true, auto_detect = true)").fetchall()


def compare(what, theirs, ours):
    """Both sides as dictionaries by model, hour and name; counts equal, numbers to 1e-9 of their size."""
    left = {tuple(map(str, row[:3])): row[3:] for row in database.execute(theirs).fetchall()}
    right = {tuple(map(str, row[:3])): row[3:] for row in postgres(ours)}
    wrong = []
    for key in sorted(left.keys() | right.keys()):
        a, b = left.get(key), right.get(key)
        if a is None or b is None or any(not same(x, y) for x, y in zip(a, b)):
            wrong.append(f"    {' '.join(key)}: DuckDB {a}, PostgreSQL {b}")
    if wrong or not left:
        print(f"check: {what} differ in {len(wrong)} of {len(left)} places", *wrong[:10], sep="\n")
        return False
    print(f"check: {what} are the same in all {len(left)} places")
    return True


def same(a, b):
    if a is None or b is None:
        return a is None and b is None
    return a == b or abs(float(a) - float(b)) <= 1e-9 * max(1.0, abs(float(a)))


HOUR = "bucket_start AT TIME ZONE 'UTC'"
agree = compare(
    "requests and errors",
    "SELECT model, hour, '-', count(*), count(*) FILTER (WHERE failed) FROM prediction GROUP BY ALL",
    f"SELECT model_name, {HOUR}, '-', sum(request_count), sum(error_count) FROM nadi.request_hour "
    "WHERE slice_key = 'all' GROUP BY 1, 2")
agree &= compare(
    "classes",
    "SELECT model, hour, class, count(*) FROM prediction WHERE NOT failed AND class IS NOT NULL GROUP BY ALL",
    f"SELECT model_name, {HOUR}, class_name, sum(prediction_count) FROM nadi.class_hour "
    "WHERE slice_key = 'all' GROUP BY 1, 2, 3")
# Versions are added up as a pooled mean and deviation: the views give each series' own.
agree &= compare(
    "features' counts, means and standard deviations",
    "SELECT model, hour, name, n, mean, std FROM feature",
    f"""SELECT model_name, hour, feature_name, sum(n)::bigint, sum(n * mean) / sum(n),
               CASE WHEN sum(n) > 1 THEN sqrt((sum((n - 1) * coalesce(std, 0) ^ 2) + sum(n * (mean - centre) ^ 2)) / (sum(n) - 1)) END
        FROM (SELECT model_name, {HOUR} AS hour, feature_name, numeric_count AS n, mean_value AS mean,
                     standard_deviation AS std,
                     sum(numeric_count * mean_value) OVER w / sum(numeric_count) OVER w AS centre
              FROM nadi.feature_hour
              WHERE slice_key = 'all' AND feature_role = 'feature' AND numeric_count > 0
              WINDOW w AS (PARTITION BY model_name, bucket_start, feature_name)) AS s
        GROUP BY 1, 2, 3""")

agree &= compare(
    "labels and correct predictions",
    """SELECT model, hour, '-', count(*), count(*) FILTER (WHERE class = label)
       FROM outcome WHERE type = 'outcome' AND name = 'label' AND NOT failed GROUP BY ALL""",
    f"SELECT model_name, {HOUR}, '-', sum(labelled_count), sum(correct_count) FROM nadi.outcome_hour "
    "WHERE slice_key = 'all' AND labelled_count > 0 GROUP BY 1, 2")
agree &= compare(
    "thumbs and thumbs-down",
    """SELECT model, hour, name, count(*), count(*) FILTER (WHERE score <= 0)
       FROM outcome WHERE type = 'feedback' AND NOT failed GROUP BY ALL""",
    f"SELECT model_name, {HOUR}, outcome_name, sum(outcome_count), sum(negative_count) FROM nadi.named_outcome_hour "
    "WHERE slice_key = 'all' AND event_type = 'feedback' GROUP BY 1, 2, 3")


# --- drift: from the raw values of the bucket and of the reference's file, with formulas of its own ---------------------

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
said = json.loads(pathlib.Path(arguments.drift).read_text())
loaded = json.loads(pathlib.Path(arguments.load).read_text())
rows = {row["name"]: row for row in said["features"] if row["role"] == "feature"}


def values(feature, first, last):
    """The feature's values of [first, last), sorted."""
    return [v for v, in database.execute(
        f"""SELECT (features->>'{feature}')::DOUBLE AS v FROM prediction
            WHERE model = 'iris' AND NOT failed AND hour >= $first::TIMESTAMP AND hour < $last::TIMESTAMP ORDER BY v""",
        {"first": first.rstrip("Z"), "last": last.rstrip("Z")}).fetchall()]


def reference(feature):
    return [v for v, in database.execute(
        f"SELECT {feature}::DOUBLE AS v FROM read_csv('{arguments.reference}', header = true) ORDER BY v").fetchall()]


def psi(a, b):
    """PSI of sorted samples on the deciles of the first, half a count in every cell."""
    edges = sorted({a[len(a) * k // 10] for k in range(1, 10)})
    cells = [[0] * (len(edges) + 1) for _ in (a, b)]
    for cell, sample in zip(cells, (a, b)):
        for v in sample:
            cell[sum(v >= edge for edge in edges)] += 1
    half = 0.5 * len(cells[0])
    pairs = [((x + 0.5) / (len(a) + half), (y + 0.5) / (len(b) + half)) for x, y in zip(*cells)]
    return sum((p - q) * math.log(p / q) for p, q in pairs)


def gap(a, b):
    """The exact KS distance."""
    return max(abs(sum(v <= x for v in a) / len(a) - sum(v <= x for v in b) / len(b)) for x in sorted({*a, *b}))


def check_drift():
    faults = []
    for name in FEATURES:
        row, base, now = rows[name], reference(name), values(name, said["from"], said["to"])
        exact, other = gap(base, now), psi(base, now)
        if (row["baseline_count"], row["current_count"]) != (len(base), len(now)):
            faults.append(f"{name}: counts {row['baseline_count']}, {row['current_count']}; the raw data have {len(base)}, {len(now)}")
        if not exact - 0.02 <= row["ks"] <= exact + 1e-9:
            faults.append(f"{name}: KS {row['ks']}, exact {exact}")
        expected = "drifted" if loaded["drift_last"] and name == "petal_length" else "stable"
        if row["state"] != expected:
            faults.append(f"{name} is {row['state']}, not {expected}")
        if expected == "drifted" and not (row["psi"] > row["psi_noise"] > 0 and 0.5 * other < row["psi"] < 2 * other):
            faults.append(f"{name}: PSI {row['psi']}, noise {row['psi_noise']}; on plain deciles {other}")
    if loaded["drift_last"]:
        faults += check_since(rows["petal_length"].get("since"))
    for fault in faults:
        print(f"check: {fault}")
    if not faults:
        print(f"check: nadi drift is right: petal_length since {rows['petal_length'].get('since')}, the other features stable"
              if loaded["drift_last"] else "check: nadi drift is right: all features stable")
    return not faults


def check_since(since):
    """The hour from which on PSI of the raw values stays high, give or take what its bins differ from plain deciles."""
    if not since:
        return ["petal_length: no hour from which on it is drifted"]
    base, hours = reference("petal_length"), sorted(loaded["hours"])
    by_hour = {hour: psi(base, values("petal_length", hour, following)) for hour, following in zip(hours, [*hours[1:], loaded["to"]])}
    start = since[:19] + "Z"
    before = [hour for hour in hours if hour < start]
    faults = [f"petal_length: PSI {by_hour[hour]} at {hour}, after {since}" for hour in hours if hour >= start and by_hour[hour] < 0.15]
    if before and by_hour[before[-1]] > 0.27:
        faults.append(f"petal_length: PSI {by_hour[before[-1]]} at {before[-1]}, before {since}")
    return faults


agree &= check_drift()
if not agree:
    sys.exit("check: DuckDB and PostgreSQL do not agree")
print(f"DuckDB agrees, from the {count} objects of the bucket alone")
