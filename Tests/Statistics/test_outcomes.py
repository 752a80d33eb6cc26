"""Predictions, labels, clicks, revenue and feedback as events, `nadi load`, SQL: every quantity against scikit-learn and SciPy on
the same rows. Outcomes come late, shuffled, twice, corrected, in several loads, some before their prediction, some never."""

import math
import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from whole_path import Path, program, stamp

pytestmark = pytest.mark.skipif(program() is None, reason="nadi is not built")

HOUR_MS = 3_600_000
START_MS = int(time.time() * 1000) // (24 * HOUR_MS) * 24 * HOUR_MS - 240 * HOUR_MS  # a midnight ten days ago: labels are kept for a hundred
N, HOURS = 8_000, 30


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two versions of a binary model over thirty hours; what is true of each prediction, and the database."""
    rng = np.random.default_rng(2026)
    p = 1 / (1 + np.exp(-rng.normal(-1, 1.3, N)))
    truth = {
        "at": np.sort(rng.integers(0, HOURS * HOUR_MS, N)), "p": p, "said": p > 0.4, "y": rng.random(N) < p, "version": rng.random(N) < 0.3,
        "labelled": rng.random(N) < 0.9, "click": rng.random(N) < 0.06, "euros": np.where(rng.random(N) < 0.02, rng.lognormal(3, 1, N), 0).round(2),
        "thumb": np.where(rng.random(N) < 0.05, np.where(rng.random(N) < 0.7, 1, -1), 0), "override": rng.random(N) < 0.01,
        "country": rng.choice(["de", "fr"], N), "delay": rng.lognormal(8, 1.2, N)}

    def at(k, seconds=0.0):
        return stamp(START_MS + int(truth["at"][k]) + int(1000 * seconds))

    predictions = [
        {"id": f"p-{k}", "time": at(k), "model_name": "shop", "model_version": "2" if truth["version"][k] else "1", "task": "binary",
         "prediction": bool(truth["said"][k]), "score": float(p[k]), "status": "ok", "tags": {"country": str(truth["country"][k])}}
        for k in range(N)]

    def outcome(k, name, suffix="", **fields):
        return {"type": "outcome", "id": f"{name}-{k}{suffix}", "time": at(k, truth["delay"][k]), "prediction_time": at(k),
                "model_name": "shop", "prediction_id": f"p-{k}", "name": name, **fields}

    outcomes = []
    for k in range(N):
        if truth["labelled"][k]:
            wrong = rng.random() < 0.05  # corrected later
            outcomes.append(outcome(k, "label", label="1" if truth["y"][k] != wrong else "0", revision=0))
            if wrong:
                outcomes.append(outcome(k, "label", "-corrected", label="1" if truth["y"][k] else "0", revision=1))
            if rng.random() < 0.05:
                outcomes.append(dict(outcomes[-1]))  # the very same once more
        if truth["click"][k]:
            outcomes.append(outcome(k, "click", value=1))
        if truth["euros"][k]:
            outcomes.append(outcome(k, "revenue", value=float(truth["euros"][k]), value_currency="EUR"))
        if truth["thumb"][k]:
            outcomes.append(outcome(k, "thumbs", score=int(truth["thumb"][k])) | {"type": "feedback"})
        if truth["override"][k]:
            outcomes.append(outcome(k, "override", label="true") | {"type": "feedback"})
    outcomes += [outcome(0, "label", "-stray", label="1") | {"prediction_id": "nobody"}]
    rng.shuffle(outcomes)
    with Path(tmp_path_factory.mktemp("outcomes")) as path:
        path.configuration.write_text(path.configuration.read_text() + "slices: [country]\n")
        first, rest = len(outcomes) // 5, len(outcomes) * 3 // 5
        path.write(outcomes[:first])  # before their predictions
        path.nadi("load", "--all", "--join-now")
        path.write(predictions)
        path.nadi("load", "--all", "--join-now")
        for part in (outcomes[first:rest], outcomes[rest:]):
            path.write(part)
            path.nadi("load", "--all", "--join-now")
        yield path, truth


def ask(path, function, *given, **filters):
    """Rows of a function over all thirty hours and 18 more, so that days answer too."""
    filters = "".join(f", {k} => {v}" for k, v in filters.items())
    extra = "".join(f", {g}" for g in given)
    return path.query(f"SELECT * FROM nadi.{function}('shop', '{stamp(START_MS)}', '{stamp(START_MS + 48 * HOUR_MS)}'{extra}{filters})")


@pytest.mark.parametrize("filters, rows", [
    ({}, lambda t: np.ones(N, bool)), ({"versions": "ARRAY['2']"}, lambda t: t["version"]),
    ({"slice_key": "'country'", "slice_values": "ARRAY['fr']"}, lambda t: t["country"] == "fr")], ids=["all", "a version", "a slice"])
def test_measures(world, filters, rows):
    path, t = world
    mine = rows(t)
    both = mine & t["labelled"]
    y, said, p = t["y"][both], t["said"][both], t["p"][both]
    found = {r["measure"]: r for r in ask(path, "performance", **filters) if r["class_name"] == "(all)"}
    bar = np.minimum(9, np.floor(p * 10 + 1e-9).astype(int))
    for measure, value in {
        "accuracy": metrics.accuracy_score(y, said), "precision": metrics.precision_score(y, said), "recall": metrics.recall_score(y, said),
        "f1": metrics.f1_score(y, said), "f1_macro": metrics.f1_score(y, said, average="macro"),
        "brier_score": metrics.brier_score_loss(y, p), "log_loss": metrics.log_loss(y, p),
        "calibration_error": sum(abs(p[bar == b].sum() - y[bar == b].sum()) for b in range(10)) / len(p)}.items():
        assert float(found[measure]["value"]) == pytest.approx(value, abs=1e-6), measure
    assert float(found["roc_auc"]["value"]) == pytest.approx(metrics.roc_auc_score(y, p), abs=0.001)
    for row in found.values():
        assert (int(row["prediction_count"]), int(row["labelled_count"])) == (mine.sum(), both.sum())
        assert float(row["label_coverage"]) == pytest.approx(both.sum() / mine.sum())
    assert int(found["accuracy"]["sample_count"]) == both.sum()
    pairs = {(r["predicted_class"], r["labelled_class"]): int(r["outcome_count"]) for r in ask(path, "confusion", **filters)}
    table = metrics.confusion_matrix(y, said)
    said = ("negative", "positive")
    assert pairs == {(said[j], said[i]): table[i, j] for i in (0, 1) for j in (0, 1)}


def test_clicks_revenue_and_feedback(world):
    path, t = world
    rates = {r["outcome_name"]: r for r in ask(path, "outcome_rates")}
    assert set(rates) == {"label", "click", "revenue", "thumbs", "override"}
    for name, yes in (("click", t["click"]), ("override", t["override"])):
        low, high = stats.binomtest(int(yes.sum()), N).proportion_ci(method="wilson")
        row = rates[name]
        assert (int(row["prediction_count"]), int(row["outcome_count"]), int(row["positive_count"])) == (N, yes.sum(), yes.sum())
        assert [float(row[c]) for c in ("positive_rate", "positive_lower", "positive_upper")] == pytest.approx([yes.mean(), low, high])
    down, thumbs = (t["thumb"] < 0).sum(), (t["thumb"] != 0).sum()
    low, high = stats.binomtest(int(down), int(thumbs)).proportion_ci(method="wilson")
    assert [float(rates["thumbs"][c]) for c in ("negative_rate", "negative_lower", "negative_upper")] == pytest.approx([down / thumbs, low, high])
    assert (int(rates["label"]["outcome_count"]), int(rates["label"]["positive_count"]), int(rates["label"]["negative_count"])) == (
        t["labelled"].sum(), (t["y"] & t["labelled"]).sum(), (~t["y"] & t["labelled"]).sum())
    value = [r for r in ask(path, "outcome_values") if r["currency"] == "EUR"]
    margin = 1.959963985 * t["euros"].std(ddof=1) / math.sqrt(N)
    assert [float(value[0][c]) for c in ("value_sum", "value_per_prediction", "lower", "upper")] == pytest.approx(
        [t["euros"].sum(), t["euros"].mean(), t["euros"].mean() - margin, t["euros"].mean() + margin])
    assert int(value[0]["value_count"]) == (t["euros"] > 0).sum()


def test_delays(world):
    path, t = world
    row = ask(path, "label_delay")[0]
    of = t["delay"][t["labelled"]]
    for name, q in (("delay_p50_seconds", 0.5), ("delay_p95_seconds", 0.95)):
        assert float(row[name]) == pytest.approx(np.quantile(of, q, method="inverted_cdf"), rel=0.0102)
    assert float(row["delay_mean_seconds"]) == pytest.approx(of.mean(), rel=1e-6)


def test_versions(world):
    path, t = world
    rows = {(r["measure"], r["currency"]): r for r in ask(path, "compare_versions", "'1'", "'2'")}
    one, two = ~t["version"], t["version"]
    for (measure, currency), value in {
        ("accuracy", ""): lambda of: (t["said"] == t["y"])[of & t["labelled"]].mean(), ("click_through", ""): lambda of: t["click"][of].mean(),
        ("override_rate", ""): lambda of: t["override"][of].mean(), ("value_per_prediction", "EUR"): lambda of: t["euros"][of].mean(),
        ("brier_score", ""): lambda of: ((t["p"] - t["y"]) ** 2)[of & t["labelled"]].mean()}.items():
        row = rows[measure, currency]
        assert [float(row["first_value"]), float(row["second_value"])] == pytest.approx([value(one), value(two)]), measure
    found = stats.ttest_ind(t["euros"][two], t["euros"][one], equal_var=False)
    assert float(rows["value_per_prediction", "EUR"]["p_value"]) == pytest.approx(found.pvalue, rel=2e-3)


def test_the_books_balance(world):
    path, t = world
    assert path.query("SELECT * FROM nadi.audit_balance WHERE NOT is_balanced") == []
    assert len(path.query("SELECT * FROM nadi.audit_balance WHERE equation IN ('outcome rows', 'feedback rows')")) == 2
