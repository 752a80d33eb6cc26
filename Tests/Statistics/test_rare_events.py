"""Rare events: one positive in 200, through the whole way (client, shipper, bucket, loaders). What SQL says of the scores' AUC
against scikit-learn, and whether scores that are all a quarter too high are found.

Two models, both calibrated: one whose scores lie close together (Beta(6, 1194): a standard deviation of 0.43 in logarithms), and
one whose scores spread over three decades. With NADI_TEST_FULL_SIZES=1 twice as many labels.
"""

import sys

import numpy
import pytest
from whole_path import FULL, ROOT

sys.path.insert(0, str(ROOT / "examples"))
import borrowed  # noqa: E402
import whole_way  # noqa: E402

REASON = borrowed.missing(ROOT)
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

BASE_RATE = 0.005
ROWS, RAISED_ROWS, REFERENCE_ROWS = (40_000, 30_000, 40_000) if FULL else (20_000, 20_000, 40_000)
FACTOR = 1.25
DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")
MIDNIGHT = 1_767_571_200  # of DAYS[0], in seconds


def narrow(draw, n):
    return draw.beta(6, 1194, n)


def wide(draw, n):
    """Logits with a standard deviation of 1.4; their centre makes the mean score the base rate."""
    return 1 / (1 + numpy.exp(-(-6.25 + 1.4 * draw.standard_normal(n))))


MODELS = {"narrow": narrow, "wide": wide}


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """The way, and by model the scores and labels of the first day."""
    truth = {}
    with borrowed.way("rare") as way:
        for name, scores_of in MODELS.items():
            draw = numpy.random.default_rng(list(name.encode()))
            sample = scores_of(draw, REFERENCE_ROWS)
            path = tmp_path_factory.mktemp("rare") / f"{name}.csv"
            numpy.savetxt(path, numpy.column_stack([sample, draw.random(len(sample)) < sample]), delimiter=",", fmt=["%.17g", "%d"],
                          header="score,label", comments="")
            way.nadi("reference", "create", "--model", name, "--name", "before", "--from-file", path, "--task", "binary", "--activate",
                     "--effective-from", "2026-01-01T00:00:00Z")
            scores = scores_of(draw, ROWS)
            labels = draw.random(ROWS) < scores
            truth[name] = scores, labels
            with way.writer("rare-scores") as predictions, way.writer("rare-labels") as outcomes:
                for k, (score, label) in enumerate(zip(scores.tolist(), labels.tolist())):
                    when = MIDNIGHT + k * 86_400 // ROWS
                    identity = whole_way.uuid7(when * 1000, f"{name}/{k}")
                    predictions.prediction(name, "1", prediction=False, score=score, prediction_id=identity, time=when, task="binary")
                    outcomes.outcome(identity, name, label=label, time=when + 3600)
                raised = numpy.minimum(1, FACTOR * scores_of(draw, RAISED_ROWS))
                for k, score in enumerate(raised.tolist()):
                    predictions.prediction(
                        name, "1", prediction=False, score=score, time=MIDNIGHT + 86_400 + k * 86_400 // RAISED_ROWS, task="binary")
        way.ship()
        way.load(2)
        way.load(1, "--all", "--join-now")
        way.audit()
        yield way, truth


@pytest.mark.parametrize("name", MODELS)
def test_auc_and_calibration_are_scikit_learns(rare, name):
    from sklearn import metrics

    way, truth = rare
    scores, labels = truth[name]
    assert labels.mean() == pytest.approx(BASE_RATE, rel=0.2), "one positive in 200, about"
    found = {row["measure"]: row for row in way.query(
        f"SELECT * FROM nadi.performance('{name}', '{DAYS[0]}Z', '{DAYS[1]}Z') WHERE class_name = '(all)'")}
    assert {(int(row["labelled_count"]), int(row["prediction_count"])) for row in found.values()} == {(ROWS, ROWS)}
    auc = metrics.roc_auc_score(labels, scores)
    print(name, "AUC", auc, "by SQL", found["roc_auc"]["value"])
    assert auc > 0.58 and float(found["roc_auc"]["value"]) == pytest.approx(auc, abs=0.005)
    assert float(found["roc_auc"]["lower"]) < auc < float(found["roc_auc"]["upper"])
    assert float(found["brier_score"]["value"]) == pytest.approx(metrics.brier_score_loss(labels, scores), abs=1e-6)
    assert float(found["log_loss"]["value"]) == pytest.approx(metrics.log_loss(labels, scores), abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_scores_that_are_a_quarter_too_high_are_found(rare, name):
    way, _ = rare

    def score_drift(first, last):
        row, = way.query(f"SELECT * FROM nadi.drift('{name}', '{first}Z', '{last}Z', roles => ARRAY['score'])")
        print(name, first, row["drift_state"], "PSI", row["psi"], "noise", row["psi_noise"])
        return row

    assert score_drift(DAYS[0], DAYS[1])["drift_state"] == "stable"
    raised = score_drift(DAYS[1], DAYS[2])
    # PSI grows with the square of the shift in standard deviations. Where scores lie within a factor of three of each other, a
    # quarter is half a deviation and much; spread over three decades, it is more than chance and still little.
    assert raised["drift_state"] == ("drifted" if name == "narrow" else "shifted")
    assert float(raised["psi"]) > 3 * float(raised["psi_noise"])
