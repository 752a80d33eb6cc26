"""NannyML's published estimates of its car_loan data (0.13.1, CBPE, chunks of 5,000 rows), by the whole path: the file of the
reference, events, `nadi load`, nadi.estimated_performance on our own score bins.

A chunk's 30 days keep their days; a day's rows are written into one hour, so that 310 hours are made and not 7,300.
"""

import csv
import datetime

import pytest
from whole_path import ROOT, Path, program

DATA = ROOT / ".build" / "data" / "nannyml"
pytestmark = [
    pytest.mark.skipif(not DATA.exists(), reason="Tests/Statistics/fetch has not fetched NannyML's data"),
    pytest.mark.skipif(program() is None, reason="nadi is not built"),
]

PUBLISHED = {
    "roc_auc": [0.970744, 0.971011, 0.971407, 0.971091, 0.971123, 0.961090, 0.961825, 0.961073, 0.962533, 0.961316],
    "f1": [0.943030, 0.941324, 0.943574, 0.943159, 0.944204, 0.911753, 0.911766, 0.911661, 0.913763, 0.914751],
}
#: AUC of the labels that came later.
REALISED = [0.970962, 0.970248, 0.976282, 0.967721, 0.969886, 0.960050, 0.958530, 0.959041, 0.963094, 0.957556]
#: NannyML's lower threshold of accuracy, and the chunks that it alerts on.
ACCURACY_THRESHOLD = 0.935859
ALERTS = [5, 6, 7, 8, 9]
START = datetime.datetime(2019, 1, 1, tzinfo=datetime.timezone.utc)


def chunk_start(number):
    return START + datetime.timedelta(days=31 * number)


@pytest.fixture(scope="module")
def estimates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("performance")
    with open(DATA / "synthetic_car_loan_analysis.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    events = []
    for number, row in enumerate(rows):
        first = datetime.datetime.fromisoformat(rows[number // 5000 * 5000]["timestamp"])
        day = (datetime.datetime.fromisoformat(row["timestamp"]) - first).days
        at = chunk_start(number // 5000) + datetime.timedelta(days=day, hours=6, milliseconds=number % 5000)
        events.append({
            "id": f"loan-{row['id']}", "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "model_name": "car_loan",
            "model_version": "1", "task": "binary", "features": {"car_value": float(row["car_value"])},
            "prediction": row["y_pred"] == "1", "score": float(row["y_pred_proba"]), "status": "ok"})
    with Path(folder) as path:
        path.nadi(
            "reference", "create", "--model", "car_loan", "--name", "train", "--from-file",
            DATA / "synthetic_car_loan_reference.csv", "--time", "timestamp", "--prediction", "y_pred", "--score", "y_pred_proba",
            "--label", "repaid", "--ignore", "id", "--task", "binary", "--activate", "--effective-from", "2018-01-01T00:00:00Z")
        path.write(events)
        path.nadi("load", "--all")
        yield path.query("".join(
            f"""{'UNION ALL' if k else ''} SELECT {k} AS chunk, p.* FROM nadi.estimated_performance(
                'car_loan', '{chunk_start(k).isoformat()}', '{chunk_start(k + 1).isoformat()}') p """ for k in range(10)))


def column(estimates, measure, name):
    return [row[name] for row in sorted(estimates, key=lambda row: int(row["chunk"])) if row["measure"] == measure]


@pytest.mark.parametrize("measure", sorted(PUBLISHED))
def test_estimates_are_those_published(estimates, measure):
    found = [float(value) for value in column(estimates, measure, "estimate")]
    assert len(found) == 10 and set(column(estimates, measure, "prediction_count")) == {"5000"}
    print(measure, "farthest from the published:", max(abs(a - b) for a, b in zip(found, PUBLISHED[measure])))
    assert found == pytest.approx(PUBLISHED[measure], abs=0.005)


def test_accuracy_falls_below_their_threshold_in_the_same_chunks(estimates):
    found = [float(value) for value in column(estimates, "accuracy", "estimate")]
    assert [k for k, value in enumerate(found) if value < ACCURACY_THRESHOLD] == ALERTS


@pytest.mark.parametrize("measure", ["roc_auc", "f1", "accuracy"])
def test_alerts_are_raised_in_the_same_chunks(estimates, measure):
    states = column(estimates, measure, "estimate_state")
    assert [k for k, state in enumerate(states) if state == "low"] == ALERTS
    assert set(states) == {"low", "usual"}


def test_labels_that_came_later_lie_in_the_band(estimates):
    lower, upper = (column(estimates, "roc_auc", name) for name in ("lower", "upper"))
    for k, value in enumerate(REALISED):
        assert float(lower[k]) <= value <= float(upper[k]), k
