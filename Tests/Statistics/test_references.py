"""References that nadi makes from a file against the same made by NumPy after DESIGN's words: edges, groups, log bins, words."""

import csv
import os
import pathlib
import subprocess

import numpy as np
import pytest
from warehouse import ROOT, Frozen, Warehouse

BINARIES = pathlib.Path(os.environ.get("NADI_TEST_BINARIES", ROOT / ".build" / "debug"))
ROWS = 20_000


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("references")
    with Warehouse(schema=False) as made:
        (folder / "loader.yaml").write_text(f"database: {made.uri}\nstore: {{url: file://{folder}/store}}\n")
        made.nadi = lambda *arguments: subprocess.run(
            [BINARIES / "nadi", *arguments, "--config", folder / "loader.yaml", "--sql-directory", ROOT / "sql"],
            check=True, capture_output=True, text=True).stdout
        made.nadi("migrate")
        made.folder = folder
        yield made


def columns(rng):
    """name: values, None where missing."""
    numbers = {
        "normal": rng.normal(size=ROWS), "lognormal": rng.lognormal(8, 2, ROWS), "heavy": rng.standard_t(1.2, ROWS),
        "few values": rng.integers(0, 12, ROWS) * 0.1, "fifty": rng.integers(0, 50, ROWS), "fifty-one": rng.integers(0, 51, ROWS),
        "many counts": rng.poisson(4000, ROWS), "mostly zero": np.where(rng.random(ROWS) < 0.7, 0, rng.exponential(2, ROWS)),
        "rounded": np.round(rng.normal(size=ROWS), 2), "seven": np.full(ROWS, 7.0), "large": 1e9 + rng.normal(size=ROWS),
        "negative": -rng.exponential(1e-6, ROWS), "two frequent": np.where(rng.random(ROWS) < 0.03, 4.5, rng.normal(5, 1, ROWS)),
    }
    found = {name: [float(v) for v in values] for name, values in numbers.items()}
    for i in rng.integers(0, ROWS, 300):
        found["normal"][i] = None
    found["word"] = [f"w{v}" for v in rng.geometric(0.2, ROWS)]
    return found


def array(text, kind=float):
    return [kind(v) for v in text.strip("{}").split(",")] if text != "{}" else []


def test_a_reference_from_a_file_is_numpys(migrated):
    data = columns(np.random.default_rng(8))
    path = migrated.folder / "train.csv"
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(data)
        rows.writerows(["" if v is None else repr(v) if isinstance(v, float) else v for v in row] for row in zip(*data.values()))
    migrated.nadi("reference", "create", "--model", "m", "--name", "train", "--from-file", str(path))
    found = {r["feature_name"]: r for r in migrated.query(
        """SELECT n.feature_name, f.* FROM nadi_store.reference_feature f JOIN nadi_store.feature n USING (feature_id)""")}
    assert set(found) == set(data)
    words = {r["category_id"]: r["value"] for r in migrated.query("SELECT category_id, value FROM nadi_store.category")}
    for name, values in data.items():
        row = found[name]
        missing = sum(v is None for v in values)
        assert int(row["missing_count"]) == missing, name
        if name == "word":
            drawn, counts = np.unique(values, return_counts=True)
            stored = {words[i]: int(n) for i, n in zip(array(row["category_ids"], str), array(row["category_counts"], int))}
            assert row["kind"] == "categorical" and stored == dict(zip(drawn.tolist(), counts.tolist()))
            assert int(row["singleton_count"]) == (counts == 1).sum()
            continue
        expected = Frozen.numbers([v for v in values if v is not None])
        assert row["kind"] == "numeric" and int(row["numeric_count"]) == ROWS - missing, name
        assert array(row["edges"]) == expected.edges.tolist(), name
        assert array(row["edge_counts"], int) == expected.edge_counts.tolist(), name
        # A bin without values belongs to either neighbour's group.
        deciles, filled = np.array(array(row["deciles"], int)), np.array(expected.edge_counts) > 0
        assert deciles[filled].tolist() == np.array(expected.deciles)[filled].tolist(), name
        assert (np.diff(deciles) >= 0).all() and deciles[0] == 0 and deciles[-1] == deciles[filled][-1], name
        assert array(row["log_bins"], int) == expected.log_bins.tolist(), name
        assert array(row["log_counts"], int) == expected.log_counts.tolist(), name
        assert (float(row["minimum"]), float(row["maximum"])) == (expected.minimum, expected.maximum), name
        deviation = np.sqrt(expected.m2 / expected.numeric_count)
        assert abs(float(row["mean_high"]) + float(row["mean_low"]) - expected.mean_high) <= 1e-9 * max(deviation, abs(expected.mean_high))
        assert abs(float(row["m2"]) - expected.m2) <= 1e-7 * max(1e-300, expected.m2), name
