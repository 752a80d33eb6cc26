"""NannyML's published drift of its car_loan data (0.13.1, chunks of 5,000 rows), out of nadi.drift with NannyML's edges."""

import csv
from datetime import timedelta

import numpy as np
import pytest
from warehouse import ROOT, START, Frozen, Window

DATA = ROOT / ".build" / "data" / "nannyml"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="Tests/Statistics/fetch has not fetched NannyML's data")

PUBLISHED = {
    ("debt_to_income_ratio", "ks"): [
        0.01576, 0.01268, 0.01734, 0.0128, 0.01918, 0.00824, 0.01058, 0.01002, 0.01068, 0.0068],
    ("debt_to_income_ratio", "jensen_shannon"): [
        0.0316611, 0.0300113, 0.0311286, 0.0294644, 0.0308095, 0.0286811, 0.0436276, 0.0292533, 0.0306280, 0.0283300],
    ("car_value", "ks"): [0.01308, 0.01106, 0.01662, 0.01434, 0.01116, 0.4353, 0.43028, 0.43772, 0.43602, 0.43838],
    ("car_value", "jensen_shannon"): [
        0.026193, 0.020178, 0.021018, 0.036355, 0.028712, 0.464759, 0.460057, 0.466777, 0.466199, 0.467827],
    ("salary_range", "chi_square"): {0: 1.033683, 5: 455.622094},
    ("salary_range", "jensen_shannon"): {0: 0.006397, 5: 0.183143},
    ("salary_range", "l_infinity"): {0: 0.00616, 5: 0.09156},
}
NUMBERS = ["car_value", "debt_to_income_ratio"]


def table(part):
    with open(DATA / f"synthetic_car_loan_{part}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(r[name]) for r in rows]) for name in NUMBERS} | {
        "salary_range": np.array([r["salary_range"] for r in rows])}


def equal_width(values, count):
    edges = np.linspace(values.min(), values.max(), count) if isinstance(count, int) else np.histogram_bin_edges(values, bins=count)
    edges[-1] = np.nextafter(values.max(), np.inf)  # their last bin holds the maximum, ours end before their upper edge
    return edges


def test_published_numbers(warehouse):
    reference, analysis = table("reference"), table("analysis")
    chunks = [slice(5000 * i, 5000 * (i + 1)) for i in range(10)]
    found = {}
    for model, edges in (("ks", 10_001), ("jensen_shannon", "doane"), ("own", None)):
        number, series = warehouse.model(model)
        ids = warehouse.features(number, [*NUMBERS, "salary_range"])
        frozen = {n: Frozen.numbers(reference[n], edges=None if edges is None else equal_width(reference[n], edges)) for n in NUMBERS}
        words, counts = np.unique(reference["salary_range"], return_counts=True)
        known = warehouse.categories(ids["salary_range"], [str(w) for w in words])
        frozen["salary_range"] = Frozen.words({known[w]: int(c) for w, c in zip(words, counts)})
        made = warehouse.reference(number, {ids[n]: f for n, f in frozen.items()}, len(reference["car_value"]))
        hours = [START + timedelta(hours=i) for i in range(10)]
        warehouse.requests(series, {at: 5000 for at in hours})
        rows = []
        for at, chunk in zip(hours, chunks):
            rows += [(series, ids[n], at, Window.numbers(analysis[n][chunk], made, frozen[n].edges, logs=False)) for n in NUMBERS]
            words, counts = np.unique(analysis["salary_range"][chunk], return_counts=True)
            rows.append((series, ids["salary_range"], at, Window.words({known[w]: int(c) for w, c in zip(words, counts)})))
        warehouse.counts(rows)
        warehouse.query(f"SELECT nadi_store.refresh_drift({number}, ARRAY(SELECT generate_series(timestamptz '{hours[0]}', '{hours[9]}', '1 hour')))")
        for r in warehouse.query(f"SELECT * FROM nadi.drift_hour WHERE model_name = '{model}' ORDER BY bucket_start"):
            found.setdefault((model, r["feature_name"]), []).append(r)
    for (feature, measure), values in PUBLISHED.items():
        model = measure if feature in NUMBERS else "own"
        numbers = [float(r[measure]) for r in found[model, feature]]
        assert len(numbers) == 10
        for chunk, value in values.items() if isinstance(values, dict) else enumerate(values):
            assert abs(numbers[chunk] - value) <= 1e-6, f"{feature}: {measure} of chunk {chunk} is {numbers[chunk]}, published {value}"
    # On edges of our own, 50 bins instead of 10,000.
    for feature in NUMBERS:
        for chunk, value in enumerate(PUBLISHED[feature, "ks"]):
            assert abs(float(found["own", feature][chunk]["ks"]) - value) <= 0.02
    states = [r["drift_state"] for r in found["own", "car_value"]]
    assert states == ["stable"] * 5 + ["drifted"] * 5
    assert {r["drift_state"] for r in found["own", "debt_to_income_ratio"]} == {"stable"}
    assert [r["drift_state"] for r in found["own", "salary_range"]][:5] == ["stable"] * 5
