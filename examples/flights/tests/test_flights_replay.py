# SPDX-License-Identifier: Apache-2.0
"""The monthly table by SQL against scikit-learn on the same flights, after labels came before and after their predictions,
shuffled, several times, one in twenty wrong at first, in several loads by two loaders.

Eight days of two months by default; the whole year with NADI_TEST_FULL_SIZES=1, where exactly 9,430 flights stay without a label.
"""

import csv
import datetime
import pathlib
import subprocess
import sys

import pytest

FLIGHTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(FLIGHTS), str(FLIGHTS.parent)]
import borrowed  # noqa: E402
import model  # noqa: E402
import replay  # noqa: E402
import whole_way  # noqa: E402

REASON = borrowed.missing(model.DATA)
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

FIRST, LAST = (replay.FIRST, replay.LAST) if borrowed.FULL else (datetime.date(2013, 4, 24), datetime.date(2013, 5, 1))
SEED, LOADS = 7, 12 if borrowed.FULL else 2
#: What is known of the file from outside: rows, and rows without an arrival delay.
YEAR, NEVER_LABELLED = 336_776, 9_430


@pytest.fixture(scope="module")
def flown():
    """The database after the command, and what the command said."""
    with borrowed.database() as uri:
        options = ["--from", str(FIRST), "--to", str(LAST), "--disorder", str(SEED), "--loads", str(LOADS)]
        yield uri, borrowed.replayed(FLIGHTS / "replay.py", uri, *options)


def table(uri, *arguments):
    return borrowed.ask(uri, *arguments, "-v", f"first={FIRST}", "-v", f"last={LAST}", "-f", str(FLIGHTS / "table.sql"))


@pytest.fixture(scope="module")
def year():
    return model.read()


@pytest.fixture(scope="module")
def truth(year):
    """By month, and for all of them: scores of all flights, and labels and scores of those that have one, from the file alone."""
    scores = dict(zip((flight.id for flight in year), model.Model(year).scores(year)))
    found = {}
    with open(model.DATA / "flights.csv", newline="") as file:
        for row in csv.DictReader(file):
            day = datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
            if FIRST <= day <= LAST:
                departs = datetime.datetime.fromisoformat(row["time_hour"].replace("Z", "+00:00"))
                departs += datetime.timedelta(minutes=int(row["minute"]))
                key = f"{row['time_hour']}/{row['carrier']}/{row['flight']}/{row['origin']}"
                score = scores[whole_way.uuid7(int(departs.timestamp() * 1000), key)]
                label = None if row["arr_delay"] in ("", "NA") else float(row["arr_delay"]) > 15
                for month in (day.strftime("%B"), "all"):
                    found.setdefault(month, []).append((score, label))
    return found


def expected(rows):
    """scikit-learn's numbers. It has no expected calibration error: ours is the mean, over ten bins of equal width, of the gap
    between its calibration_curve's two sides, weighted by the bins' labels."""
    import numpy
    from sklearn import calibration, metrics

    score, label = (numpy.array(side) for side in zip(*[(s, y) for s, y in rows if y is not None]))
    true, said = calibration.calibration_curve(label, score, n_bins=10, strategy="uniform")
    weight = numpy.histogram(score, bins=numpy.linspace(0, 1, 11))[0]
    return {
        "n": len(rows), "labels": len(label), "coverage": len(label) / len(rows),
        "AUC": metrics.roc_auc_score(label, score), "Brier": metrics.brier_score_loss(label, score),
        "log loss": metrics.log_loss(label, score), "accuracy": metrics.accuracy_score(label, score >= 0.5),
        "ECE": float(numpy.sum(weight[weight > 0] * abs(true - said)) / len(label)),
    }  # fmt: skip


def test_the_table_is_scikit_learns(flown, truth):
    rows = table(flown[0], "-v", "digits=12")
    days = [FIRST + datetime.timedelta(days=k) for k in range((LAST - FIRST).days + 1)]
    assert [row["month"] for row in rows] == [*dict.fromkeys(day.strftime("%B") for day in days), "all"]
    for row in rows:
        wanted = expected(truth[row["month"]])
        print(row["month"], {name: float(row[name]) - value for name, value in wanted.items()})
        assert (int(row["n"]), int(row["labels"])) == (wanted["n"], wanted["labels"]), row["month"]
        assert float(row["AUC"]) == pytest.approx(wanted["AUC"], abs=0.005), row["month"]
        for name in ("coverage", "Brier", "log loss", "ECE", "accuracy"):
            assert float(row[name]) == pytest.approx(wanted[name], abs=1e-6), (row["month"], name)
    never = sum(label is None for _, label in truth["all"])
    assert int(rows[-1]["n"]) - int(rows[-1]["labels"]) == never
    if borrowed.FULL:
        assert (int(rows[-1]["n"]), never) == (YEAR, NEVER_LABELLED)


def test_each_label_counts_once_and_every_line_is_accounted_for(flown, year):
    uri, done = flown
    chosen = [flight for flight in year if FIRST <= flight.day <= LAST]
    sent = replay.labels_in_disorder(chosen, LOADS, SEED)
    lines, landed = sum(map(len, sent)), sum(flight.lands is not None for flight in chosen)
    first = {flight.id: part for flight, part in zip(chosen, replay.parts(chosen, LOADS))}
    early = sum(part < first[label.flight.id] for part, labels in enumerate(sent) for label in labels)
    wrong = sum(label.late != label.flight.late for labels in sent for label in labels)
    assert lines > 1.2 * landed and early > 0.2 * lines and 0.04 < wrong / landed < 0.06, "the labels are in disorder"
    arrived = borrowed.ask(uri, script="""
           SELECT sum(line_count) AS lines, sum(joined_count) AS joined, sum(superseded_count) AS superseded,
                  sum(waiting_count + unmatched_count + too_late_count + aged_out_count) AS others
           FROM nadi.outcome_arrival WHERE model_name = 'flights' AND event_type = 'outcome'""")[0]
    assert {name: int(value) for name, value in arrived.items()} == {
        "lines": lines, "joined": landed, "superseded": lines - landed, "others": 0}
    runs = borrowed.ask(uri, script="SELECT count(*) AS n FROM nadi.load_run WHERE run_status = 'succeeded'")
    assert int(runs[0]["n"]) >= 2 * LOADS + 1
    assert "CLEAN: every line is accounted for." in done.stderr


def test_the_estimate_and_the_drift_stand_beside_the_truth(flown):
    for row in table(flown[0]):
        assert 0.5 < float(row["estimated"]) < 1 and row["labels say"] in ("agrees", "disagrees"), row
        assert row["temp is"] in ("stable", "shifted", "drifted") and row["score is"] in ("stable", "shifted", "drifted"), row
        if row["month"] == "April":
            # Weather that January and February never saw: scores say few are late, and many are.
            assert (row["temp is"], row["score is"], row["labels say"]) == ("drifted", "drifted", "disagrees"), row
            assert float(row["PSI temp"]) > 1 and float(row["estimated"]) - float(row["accuracy"]) > 0.05, row


def test_the_command_prints_the_table_and_teaches(flown):
    uri, done = flown
    printed = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines()]
    for row in table(uri):
        assert [value or "-" for value in row.values()] in printed, row
    help_text = subprocess.run([FLIGHTS / "replay", "--help"], capture_output=True, text=True, check=True).stdout
    assert "examples/flights/replay --from 2013-03-01 --to 2013-06-30" in help_text
    wrong = subprocess.run([sys.executable, FLIGHTS / "replay.py", "--from", "2014-03-02"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "the flights are those of 2013" in wrong.stderr
