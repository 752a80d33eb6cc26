"""Counts the benchmark's numbers on a reference's edges anew, from the objects alone, in every slice, and compares with the
day's rows in PostgreSQL. Exits with 1 and shows the first differences where they differ."""

import collections
import json
import subprocess
import sys

import numpy

uri, reference, *objects = sys.argv[1:]
edges = {}
for line in open(reference):
    name, array = line.rstrip("\n").split("\t")
    edges[name] = numpy.array([float(edge) for edge in array.strip("{}").split(",")])

values = collections.defaultdict(list)
for path in objects:
    raw = subprocess.run(["zstd", "-q", "-dc", path], check=True, capture_output=True).stdout
    for line in raw.splitlines():
        event = json.loads(line)
        if event["type"] != "prediction":
            continue
        key = (event["model_version"], event["time"][:10], event["tags"]["region"], event["tags"]["tier"])
        values[key].append([event["features"][name] for name in edges])

expected = {}
for (version, day, region, tier), rows in values.items():
    columns = numpy.array(rows, dtype=float).T
    for name, column in zip(edges, columns):
        counts = numpy.bincount(numpy.searchsorted(edges[name], column, side="right"), minlength=len(edges[name]) + 1)
        for slice_of in (("all", "all"), ("region", region), ("tier", tier)):
            key = (version, *slice_of, name, day)
            expected[key] = expected.get(key, 0) + counts

found = {}
query = """SELECT s.model_version, s.slice_key, s.slice_value, f.feature_name, (t.day AT TIME ZONE 'UTC')::date, t.edge_counts
FROM nadi_store.feature_day AS t JOIN nadi_store.series AS s USING (series_id) JOIN nadi_store.feature AS f USING (feature_id)
WHERE t.edge_counts IS NOT NULL"""
for line in subprocess.run(["psql", "-X", "-At", uri, "-c", query], check=True, capture_output=True, text=True).stdout.splitlines():
    *key, array = line.split("|")
    found[tuple(key)] = numpy.array([int(count) for count in array.strip("{}").split(",")])

wrong = [key for key in expected.keys() | found.keys()
         if key not in expected or key not in found or not numpy.array_equal(expected[key], found[key])]
if wrong or not expected:
    print(f"{len(wrong)} of {len(expected)} rows differ")
    for key in sorted(wrong)[:5]:
        print("   ", key, expected.get(key), found.get(key))
    sys.exit(1)
print(f"edge counts: {len(expected)} rows equal")
