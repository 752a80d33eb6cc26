"""nadi.performance, calibration, confusion, label_delay, outcome_rates and outcome_values against scikit-learn and SciPy on the same rows."""

import math

import numpy as np
import pytest
from outcomes import Labelled
from scipy import stats
from sklearn import metrics


@pytest.fixture(scope="module")
def labels():
    with Labelled() as made:
        yield made


def scores_of(rng, n, rate, spread=1.0):
    """Calibrated probabilities around a base rate, and labels drawn from them."""
    p = 1 / (1 + np.exp(-(math.log(rate / (1 - rate)) + spread * rng.normal(size=n))))
    return p, rng.random(n) < p


def spell(flags, yes="true", no="false"):
    return [yes if f else no for f in flags]


def ece(p, y, bars=10):
    bar = np.minimum(bars - 1, np.floor(p * bars + 1e-9).astype(int))
    return sum(abs(p[bar == b].sum() - y[bar == b].sum()) for b in range(bars)) / len(p)


def check_binary(row, p, y, said):
    """All measures of a binary task: {measure: row} against scikit-learn."""
    n = len(p)
    truth = {
        "accuracy": metrics.accuracy_score(y, said), "precision": metrics.precision_score(y, said), "recall": metrics.recall_score(y, said),
        "f1": metrics.f1_score(y, said), "precision_macro": metrics.precision_score(y, said, average="macro"),
        "recall_macro": metrics.recall_score(y, said, average="macro"), "f1_macro": metrics.f1_score(y, said, average="macro"),
        "brier_score": metrics.brier_score_loss(y, p), "log_loss": metrics.log_loss(y, p), "calibration_error": ece(p, y)}
    for measure, value in truth.items():
        assert row[measure]["value"] == pytest.approx(value, abs=1e-6), measure
    assert row["roc_auc"]["value"] == pytest.approx(metrics.roc_auc_score(y, p), abs=0.001)
    own = {"precision": said.sum(), "recall": y.sum(), "f1": (said | y).sum()}
    for measure in [*truth, "roc_auc"]:
        assert row[measure]["sample_count"] == own.get(measure, n), measure
    for measure, hits in (("accuracy", (said == y).sum()), ("precision", (said & y).sum()), ("recall", (said & y).sum())):
        found = stats.binomtest(int(hits), int(own.get(measure, n))).proportion_ci(method="wilson")
        assert (row[measure]["lower"], row[measure]["upper"]) == pytest.approx((found.low, found.high), abs=1e-9)
    loss = -np.log(np.clip(np.where(y, p, 1 - p), 1e-15, 1))
    for measure, of in (("brier_score", (p - y) ** 2), ("log_loss", loss)):
        margin = 1.959963985 * of.std(ddof=1) / math.sqrt(n)
        assert row[measure]["upper"] - row[measure]["value"] == pytest.approx(margin, rel=0.02), measure
    yes, no = y.sum(), (~y).sum()
    rarer = min(yes, no)
    a = (rarer * row["roc_auc"]["value"] + 0.5) / (rarer + 1)
    hanley = math.sqrt((a * (1 - a) + (yes - 1) * (a / (2 - a) - a * a) + (no - 1) * (2 * a * a / (1 + a) - a * a)) / (yes * no))
    # One end is wider by what is not known of scores within a bin.
    margins = sorted([row["roc_auc"]["value"] - row["roc_auc"]["lower"], row["roc_auc"]["upper"] - row["roc_auc"]["value"]])
    assert margins[0] == pytest.approx(1.959963985 * hanley, rel=1e-6) and margins[1] - margins[0] < 0.05


@pytest.mark.parametrize("rate, spread, n", [(0.5, 1.5, 20_000), (0.2, 1.0, 30_000), (0.02, 1.5, 50_000), (0.005, 1.0, 200_000), (0.005, 0.5, 200_000),
                                             (0.001, 0.2, 200_000)])
def test_binary_scores_are_scikit_learns(labels, rate, spread, n):
    """Over three hours and a day; the label is spelled otherwise than the prediction."""
    rng = np.random.default_rng(int(1000 * rate + 10 * spread))
    name = f"binary {rate} {spread}"
    series = labels.series(name)
    p, y = scores_of(rng, n, rate, spread)
    said = p > np.quantile(p, 1 - rate)
    parts = np.array_split(np.arange(n), 3)
    labels.request(series, {h: 2 * len(part) for h, part in enumerate(parts)})
    for hour, part in enumerate(parts):
        labels.label(series, hour, predicted=spell(said[part]), labels=spell(y[part], "1", "0"), scores=p[part])
    whole = labels.performance(name, last=3)
    check_binary({m: r for (_, c, m), r in whole.items() if c == "(all)"}, p, y, said)
    for row in whole.values():
        assert row["prediction_count"] == 2 * n and row["labelled_count"] == n and row["label_coverage"] == 0.5
        assert row["performance_state"] == ("too_few" if row["sample_count"] < 200 else "measured")
    for cls, flag in (("positive", True), ("negative", False)):
        row = whole[0, cls, "recall"]
        assert row["value"] == pytest.approx(metrics.recall_score(y, said, pos_label=flag)) and row["sample_count"] == (y == flag).sum()
    for measures in (["accuracy"], ["f1_macro", "f1"], ["log_loss", "roc_auc"]):
        some = labels.performance(name, last=3, measures=measures)
        assert some == {k: r for k, r in whole.items() if k[2] in measures}
    hours = labels.performance(name, 0, 3, "1 hour")
    for hour, part in enumerate(parts):
        check_binary({m: r for (h, c, m), r in hours.items() if c == "(all)" and h == hour}, p[part], y[part], said[part])
    labels.close_days(range(1))
    by_day = labels.performance(name, 0, 24)
    assert {k: (r["value"], r["sample_count"]) for k, r in by_day.items()} == {
        k: (pytest.approx(r["value"], rel=1e-12), r["sample_count"]) for k, r in whole.items()}


def test_intervals_cover_the_truth(labels):
    """600 draws of 1,000 labels, clicks, thumbs and values each: 95 % intervals hold the law's own values in 95 %, give or take
    chance (four deviations), not in more either; Hanley and McNeil's, which is known to be wide, in up to all."""
    rng = np.random.default_rng(5)
    n, draws = 1000, 600
    series = labels.series("coverage")
    big_p, big_y = scores_of(rng, n * draws, 0.3, 1.2)
    said = big_p > 0.4
    tp = (said & big_y).sum()
    fp, fn = said.sum() - tp, big_y.sum() - tp
    no = ((~said) & ~big_y).sum()
    truth = {"accuracy": (said == big_y).mean(), "precision": tp / said.sum(), "recall": tp / big_y.sum(), "f1": 2 * tp / (2 * tp + fp + fn),
             "recall_macro": (tp / (tp + fn) + no / (no + fp)) / 2, "precision_macro": (tp / (tp + fp) + no / (no + fn)) / 2,
             "f1_macro": (2 * tp / (2 * tp + fp + fn) + 2 * no / (2 * no + fp + fn)) / 2, "brier_score": ((big_p - big_y) ** 2).mean(),
             "log_loss": metrics.log_loss(big_y, big_p), "roc_auc": metrics.roc_auc_score(big_y, big_p)}
    with labels.batch():
        labels.request(series, {h: n for h in range(draws)})
        for hour in range(draws):
            p, y = big_p[hour * n : (hour + 1) * n], big_y[hour * n : (hour + 1) * n]
            labels.label(series, hour, predicted=spell(p > 0.4), labels=spell(y), scores=p)
            clicks, down, paid = rng.binomial(n, 0.05), rng.binomial(300, 0.2), rng.binomial(n, 0.2)
            labels.named(series, hour, "click", count=clicks, positive=clicks)
            labels.named(series, hour, "thumbs", count=300, positive=300 - down, negative=down, event_type="feedback")
            labels.named(series, hour, "revenue", count=paid, positive=paid, values=rng.gamma(4, 5, paid), currency="EUR")

    def every(function):
        return [r for first in range(0, draws, 50) for r in labels.call(function, "coverage", first, first + 50, "1 hour")]

    rows = [(r["measure"], r) for r in every("performance") if r["class_name"] == "(all)"]
    rows += [(r["measure"], r | {"lower": r["rate_lower"], "upper": r["rate_upper"]}) for r in every("outcome_rates")]
    rows += [("value", r) for r in every("outcome_values")]
    for measure, value in (truth | {"click_through": 0.05, "thumbs_down": 0.2, "value": 4.0}).items():
        held = [r["lower"] <= value <= r["upper"] for name, r in rows if name == measure]
        assert len(held) == draws
        chance = 4 * math.sqrt(0.95 * 0.05 / draws)
        assert 0.95 - chance <= np.mean(held) <= (1 if measure == "roc_auc" else 0.95 + chance), (measure, np.mean(held))


def test_multiclass_is_scikit_learns(labels):
    rng = np.random.default_rng(7)
    n, names = 30_000, [f"class {k:02}" for k in range(20)]
    series = labels.series("twenty")
    truth = rng.choice(20, n, p=np.arange(1, 21) / 210)
    guess = np.where(rng.random(n) < 0.7, truth, rng.integers(0, 19, n))  # the last class is guessed only where it is right
    confidence = rng.beta(4, 2, n)
    y, said = [names[k] for k in truth], [names[k] for k in guess]
    labels.request(series, {0: n, 1: n})
    labels.label(series, 0, task="multiclass", predicted=said[:20_000], labels=y[:20_000], scores=confidence[:20_000])
    labels.label(series, 1, task="multiclass", predicted=said[20_000:], labels=y[20_000:], scores=confidence[20_000:])
    rows = labels.performance("twenty")
    right = truth == guess
    for measure, value in {
        "accuracy": right.mean(), "precision_macro": metrics.precision_score(y, said, average="macro"),
        "recall_macro": metrics.recall_score(y, said, average="macro"), "f1_macro": metrics.f1_score(y, said, average="macro"),
        "brier_score": ((confidence - right) ** 2).mean(), "calibration_error": ece(confidence, right),
        "log_loss": metrics.log_loss(right, confidence)}.items():
        assert rows[0, "(all)", measure]["value"] == pytest.approx(value, abs=1e-6), measure
    assert {m for _, c, m in rows if c == "(all)"} == {"accuracy", "precision_macro", "recall_macro", "f1_macro", "brier_score", "log_loss",
                                                       "calibration_error"}, "no AUC, precision or recall of a positive class"
    for place, function in (("precision", metrics.precision_score), ("recall", metrics.recall_score), ("f1", metrics.f1_score)):
        for name, value in zip(names, function(y, said, average=None)):
            assert rows[0, name, place]["value"] == pytest.approx(value, abs=1e-9)
            assert rows[0, name, place]["lower"] < value <= rows[0, name, place]["upper"]
    table = {(r["predicted_class"], r["labelled_class"]): r for r in labels.call("confusion", "twenty", 0, 20)}
    expected = metrics.confusion_matrix(y, said, labels=names)
    assert sum(r["outcome_count"] for r in table.values()) == n
    for i, label in enumerate(names):
        for j, cls in enumerate(names):
            if expected[i, j]:
                assert table[cls, label]["outcome_count"] == expected[i, j]
                assert table[cls, label]["share_of_label"] == pytest.approx(expected[i, j] / expected[i].sum())
            else:
                assert (cls, label) not in table


def test_classes_that_only_one_side_knows(labels):
    """Beyond the cap, never predicted, never labelled: macro means as scikit-learn's with zero_division=0."""
    rng = np.random.default_rng(8)
    series = labels.series("odd classes")
    y = list(rng.choice(["a", "b", "only labelled"], 3000))
    said = [v if v != "only labelled" and rng.random() < 0.8 else rng.choice(["a", "only predicted"]) for v in y]
    labels.request(series, {0: 5000, 1: 5000})
    labels.label(series, 0, task="multiclass", predicted=said, labels=y)
    rows = labels.performance("odd classes", last=1)
    for measure, function in (("precision", metrics.precision_score), ("recall", metrics.recall_score), ("f1", metrics.f1_score)):
        assert rows[0, "(all)", measure + "_macro"]["value"] == pytest.approx(function(y, said, average="macro", zero_division=0))
    assert rows[0, "only labelled", "precision"]["value"] is None and rows[0, "only labelled", "precision"]["sample_count"] == 0
    assert rows[0, "only predicted", "recall"]["performance_state"] == "too_few"
    # Both sides beyond the cap: no class of its own, and not right because both are unknown.
    labels.label(series, 1, task="multiclass", predicted=[None] * 300 + ["a"] * 300, labels=[None] * 300 + [None] * 100 + ["a"] * 200)
    rows = labels.performance("odd classes", 1, 2)
    assert rows[1, "(all)", "accuracy"]["value"] == 200 / 600
    assert {c for _, c, _ in rows} == {"(all)", "a"}
    assert rows[1, "a", "precision"]["value"] == 200 / 300 and rows[1, "a", "recall"]["value"] == 1
    assert ("(other)", "(other)") in {(r["predicted_class"], r["labelled_class"]) for r in labels.call("confusion", "odd classes", 1, 2)}


def test_regression_is_scikit_learns(labels):
    rng = np.random.default_rng(9)
    y = rng.normal(40, 12, 5000)
    guess = y + rng.normal(1, 4, 5000)
    series = labels.series("regression")
    labels.request(series, {0: 6000, 1: 6000})
    labels.label(series, 0, task="regression", predicted=guess[:2000], labels=y[:2000])
    labels.label(series, 1, task="regression", predicted=guess[2000:], labels=y[2000:])
    rows = {m: r for (_, _, m), r in labels.performance("regression").items()}
    assert set(rows) == {"mae", "rmse", "bias", "r2"}
    e = guess - y
    for measure, value in {"mae": metrics.mean_absolute_error(y, guess), "rmse": metrics.root_mean_squared_error(y, guess), "bias": e.mean(),
                           "r2": metrics.r2_score(y, guess)}.items():
        assert rows[measure]["value"] == pytest.approx(value, abs=1e-9) and rows[measure]["sample_count"] == 5000
    for measure, of in (("mae", abs(e)), ("bias", e)):
        margin = 1.959963985 * of.std(ddof=1) / math.sqrt(5000)
        assert rows[measure]["upper"] - rows[measure]["value"] == pytest.approx(margin, rel=1e-6)
        assert rows[measure]["value"] - rows[measure]["lower"] == pytest.approx(margin, rel=1e-6)
    assert rows["rmse"]["lower"] is None and rows["r2"]["upper"] is None


@pytest.mark.parametrize("y, guess", [([5.0] * 300, [5.0] * 300), ([1e200] * 300, [-1e200] * 300), ([1e-200] * 300, [0.0] * 300),
                                      ([5e-324] * 250, [5e-324] * 250), ([3.0], [4.0])])
def test_absurd_numbers_stop_nothing(labels, y, guess):
    name = f"absurd {y[0]} {len(y)}"
    series = labels.series(name)
    labels.request(series, {0: 400})
    e = np.array(guess) - np.array(y)
    with np.errstate(over="ignore", under="ignore"):
        row = [len(y), float(e.sum()), float(abs(e).sum()), min(1e308, float((e * e).sum())), float(sum(y)), min(1e308, float((np.array(y) ** 2).sum()))]
    labels.copy("nadi_store.outcome_hour", Labelled.COLUMNS, [
        [series, "2026-01-05T00:00:00Z", len(y), *[0] * 7, *[[]] * 9, 0, 0, *row, 0, 0, [], []]])
    labels.close_days(range(1))
    for last in (1, 24):
        rows = {m: r for (_, _, m), r in labels.performance(name, last=last).items()}
        assert rows["r2"]["value"] is None and rows["r2"]["performance_state"] == ("too_few" if len(y) < 200 else "undefined")
        assert rows["mae"]["value"] == pytest.approx(abs(e[0]))


def test_nothing_there(labels):
    """No predictions, no labels, a version that is empty: said, not guessed."""
    series = labels.series("silent")
    labels.series("silent", version="2")
    nobody = labels.performance("no such model")
    assert [(k, r["performance_state"]) for k, r in nobody.items()] == [((0, "(all)", "mae"), "no_predictions")]
    labels.request(series, {0: 1000, 1: 500})
    labels.category(series, ["yes", "no"])
    hours = labels.performance("silent", 0, 3, "1 hour")
    assert [(k, r["prediction_count"], r["labelled_count"], r["label_coverage"], r["value"], r["performance_state"]) for k, r in hours.items()] == [
        ((0, "(all)", "accuracy"), 1000, 0, 0, None, "no_labels"), ((1, "(all)", "accuracy"), 500, 0, 0, None, "no_labels")]
    assert [k[2] for k in labels.performance("silent", last=3, measures=["roc_auc"])] == ["roc_auc"]
    empty = labels.performance("silent", versions=["2"])[0, "(all)", "accuracy"]
    assert (empty["prediction_count"], empty["performance_state"]) == (0, "no_predictions")
    for function in ("calibration", "confusion", "outcome_rates", "outcome_values"):
        assert labels.call(function, "silent", 0, 3) == []
    delay = labels.call("label_delay", "silent", 0, 3)
    assert [(r["labelled_count"], r["delay_p50_seconds"]) for r in delay] == [(0, None)]


@pytest.mark.parametrize("all_are", [True, False])
def test_labels_of_one_class(labels, all_are):
    rng = np.random.default_rng(10)
    name = f"one class {all_are}"
    series = labels.series(name)
    p = rng.random(1000)
    y = np.full(1000, all_are)
    labels.request(series, {0: 1000})
    labels.label(series, 0, predicted=spell(p > 0.5), labels=spell(y), scores=p)
    rows = {m: r for (_, c, m), r in labels.performance(name).items() if c == "(all)"}
    assert rows["roc_auc"]["value"] is None and rows["roc_auc"]["performance_state"] == "undefined"
    assert rows["brier_score"]["value"] == pytest.approx(((p - y) ** 2).mean())
    assert rows["log_loss"]["value"] == pytest.approx(metrics.log_loss(y, p, labels=[False, True]))
    assert rows["accuracy"]["value"] == ((p > 0.5) == y).mean()
    if all_are:
        assert rows["precision"]["value"] == 1 and rows["recall"]["value"] == (p > 0.5).mean()
    else:
        assert rows["recall"]["value"] is None and rows["precision"]["value"] == 0 and rows["f1"]["value"] == 0


def test_scores_of_every_size(labels):
    """Exact 0 and 1, right and wrong, and scores too small to square."""
    series = labels.series("extreme scores")
    p = np.array([0, 0, 1, 1, 1e-300, 1e-200, 1e-9, 1 - 1e-12, 5e-324] * 50)
    y = np.array([0, 1, 1, 0, 0, 1, 0, 1, 0] * 50).astype(bool)
    labels.request(series, {0: 450})
    with np.errstate(under="ignore"):
        labels.label(series, 0, labels=spell(y), scores=p)
    rows = {m: r for (_, c, m), r in labels.performance("extreme scores").items()}
    assert set(rows) == {"roc_auc", "brier_score", "log_loss", "calibration_error"}, "scores without a predicted class"
    assert rows["brier_score"]["value"] == pytest.approx(((p - y) ** 2).mean())
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    assert rows["log_loss"]["value"] == pytest.approx(-(y * np.log(clipped) + ~y * np.log(1 - clipped)).mean())


def test_a_slice_is_its_own_and_tags_never_add(labels):
    rng = np.random.default_rng(11)
    parts = {}
    for key, value, n in (("all", "all", 3000), ("country", "de", 2000), ("country", "fr", 1000), ("plan", "free", 2500), ("plan", "paid", 500)):
        series = labels.series("sliced", key=key, value=value)
        p, y = scores_of(rng, n, 0.3)
        parts[key, value] = (p, y)
        labels.request(series, {0: n})
        labels.label(series, 0, predicted=spell(p > 0.5), labels=spell(y), scores=p)
        labels.named(series, 0, "click", count=n // 10, positive=n // 10)

    def accuracy(*keys):
        p, y = (np.concatenate([parts[k][i] for k in keys]) for i in (0, 1))
        return ((p > 0.5) == y).mean(), len(p)

    for filters, keys in (({}, [("all", "all")]), ({"slice_key": "country"}, [("country", "de"), ("country", "fr")]),
                          ({"slice_key": "country", "slice_values": ["fr"]}, [("country", "fr")]),
                          ({"slice_key": "plan"}, [("plan", "free"), ("plan", "paid")])):
        row = labels.performance("sliced", **filters)[0, "(all)", "accuracy"]
        assert (row["value"], row["sample_count"]) == (pytest.approx(accuracy(*keys)[0]), accuracy(*keys)[1])
        rate = labels.call("outcome_rates", "sliced", 0, 1, **filters)[0]
        assert (rate["prediction_count"], rate["positive_rate"]) == (accuracy(*keys)[1], 0.1)
    for function in ("performance", "calibration", "confusion", "label_delay", "outcome_rates", "outcome_values", "estimate_and_truth"):
        with pytest.raises(RuntimeError, match="slice_key is null"):
            labels.call(function, "sliced", 0, 1, slice_key=None)


@pytest.mark.parametrize("bins", [1, 5, 10, 20, 50])
def test_calibration_is_the_reliability_table(labels, bins):
    rng = np.random.default_rng(bins)
    name = f"calibration {bins}"
    series = labels.series(name)
    p, y = scores_of(rng, 20_000, 0.3, 1.5)
    y = rng.random(20_000) < p**1.3
    labels.request(series, {0: 20_000})
    labels.label(series, 0, labels=spell(y), scores=p)
    rows = labels.call("calibration", name, 0, 1, bins)
    bar = np.minimum(bins - 1, np.floor(p * bins + 1e-9).astype(int))
    assert [round(r["lower_score"] * bins) for r in rows] == sorted(set(bar))
    for row in rows:
        mine = bar == round(row["lower_score"] * bins)
        assert row["labelled_count"] == mine.sum() and row["score_mean"] == pytest.approx(p[mine].mean())
        assert row["positive_share"] == pytest.approx(y[mine].mean()) and row["gap"] == pytest.approx(y[mine].mean() - p[mine].mean())
        found = stats.binomtest(int(y[mine].sum()), int(mine.sum())).proportion_ci(method="wilson")
        assert (row["lower"], row["upper"]) == pytest.approx((found.low, found.high))
    total = sum(r["labelled_count"] * abs(r["gap"]) for r in rows) / 20_000
    assert total == pytest.approx(ece(p, y, bins))
    if bins == 10:
        assert labels.performance(name)[0, "(all)", "calibration_error"]["value"] == pytest.approx(total)


def test_confusion_of_a_binary_task_is_positive_and_negative(labels):
    series = labels.series("spellings")
    labels.request(series, {0: 100})
    labels.label(series, 0, predicted=["true"] * 60 + ["false"] * 40, labels=["1"] * 50 + ["0"] * 10 + ["yes"] * 5 + ["0"] * 35)
    rows = {(r["predicted_class"], r["labelled_class"]): (r["outcome_count"], r["share_of_label"]) for r in labels.call("confusion", "spellings", 0, 1)}
    assert rows == {("positive", "positive"): (50, pytest.approx(50 / 55)), ("positive", "negative"): (10, pytest.approx(10 / 45)),
                    ("negative", "positive"): (5, pytest.approx(5 / 55)), ("negative", "negative"): (35, pytest.approx(35 / 45))}
    view = labels.query("SELECT predicted_class, labelled_class, outcome_count FROM nadi.confusion_hour WHERE model_name = 'spellings'")
    assert {(r["predicted_class"], r["labelled_class"]): int(r["outcome_count"]) for r in view} == {k: n for k, (n, _) in rows.items()}


def test_label_delay(labels):
    rng = np.random.default_rng(12)
    series = labels.series("delays")
    delays = [rng.lognormal(8, 1.5, 3000), rng.lognormal(11, 0.5, 1000)]
    labels.request(series, {0: 4000, 1: 4000, 2: 4000})
    for hour, of in enumerate(delays):
        labels.label(series, hour, predicted=["true"] * len(of), labels=["true"] * len(of), delays=of)
    rows = labels.call("label_delay", "delays", 0, 3, "1 hour")
    for row, of in zip(rows, [*delays, []]):
        assert row["labelled_count"] == len(of) and row["label_coverage"] == len(of) / 4000
        if len(of):
            assert row["delay_p50_seconds"] == pytest.approx(np.quantile(of, 0.5, method="inverted_cdf"), rel=0.0101)
            assert row["delay_p95_seconds"] == pytest.approx(np.quantile(of, 0.95, method="inverted_cdf"), rel=0.0101)
            assert row["delay_mean_seconds"] == pytest.approx(of.mean())
        else:
            assert row["delay_p95_seconds"] is None
    whole = labels.call("label_delay", "delays", 0, 3)[0]
    assert whole["delay_p95_seconds"] == pytest.approx(np.quantile(np.concatenate(delays), 0.95, method="inverted_cdf"), rel=0.0101)


def test_rates_per_prediction_and_per_outcome(labels):
    series = labels.series("rates")
    labels.request(series, {0: 10_000, 1: 10_000, 2: 50})
    labels.named(series, 0, "click", count=60, positive=42)
    labels.named(series, 1, "click", count=69, positive=69)
    labels.named(series, 1, "thumbs", count=400, positive=300, negative=90, event_type="feedback")
    labels.named(series, 2, "override", count=3, positive=3, event_type="feedback")
    rows = {(r["bucket_start"], r["outcome_name"]): r for r in labels.call("outcome_rates", "rates", 0, 3, "1 hour")}
    assert len(rows) == 9, "a name that the range shows stands in every bucket"
    for key, yes, n in (((0, "click"), 42, 10_000), ((1, "click"), 69, 10_000), ((0, "override"), 0, 10_000), ((2, "override"), 3, 50)):
        row = rows[key]
        found = stats.binomtest(yes, n).proportion_ci(method="wilson")
        assert (row["positive_count"], row["prediction_count"], row["positive_rate"]) == (yes, n, pytest.approx(yes / n))
        assert (row["positive_lower"], row["positive_upper"]) == pytest.approx((found.low, found.high), abs=1e-9)
    down = rows[1, "thumbs"]
    found = stats.binomtest(90, 400).proportion_ci(method="wilson")
    assert (down["negative_rate"], down["negative_lower"], down["negative_upper"]) == pytest.approx((90 / 400, found.low, found.high))
    assert (down["outcome_coverage"], down["positive_rate"]) == (0.04, 0.03)
    assert rows[0, "click"]["outcome_coverage"] == 0.006
    assert {k: r["rate_state"] for k, r in rows.items() if k[1] != "thumbs"} == {
        (0, "click"): "measured", (1, "click"): "measured", (2, "click"): "too_few", (0, "override"): "no_outcomes",
        (1, "override"): "no_outcomes", (2, "override"): "too_few"}
    assert rows[0, "thumbs"]["negative_rate"] is None
    whole = {r["outcome_name"]: r for r in labels.call("outcome_rates", "rates", 0, 3)}
    assert whole["click"]["positive_rate"] == 111 / 20_050
    assert (rows[1, "click"]["measure"], rows[1, "click"]["rate"], rows[1, "click"]["sample_count"]) == ("click_through", 0.0069, 10_000)
    assert (down["measure"], down["rate"], down["rate_lower"], down["sample_count"], down["rate_state"]) == (
        "thumbs_down", 90 / 400, down["negative_lower"], 400, "measured")
    failed = labels.series("all failed")
    labels.request(failed, {0: 10}, errors=10)
    labels.named(failed, 0, "click", count=5, positive=5)
    row = labels.call("outcome_rates", "all failed", 0, 1)[0]
    assert (row["prediction_count"], row["positive_rate"], row["rate_state"]) == (0, None, "no_predictions")


def test_values_per_prediction_by_currency(labels):
    rng = np.random.default_rng(13)
    series = labels.series("values")
    labels.request(series, {0: 5000, 1: 5000})
    euros, dollars = rng.lognormal(3, 1, 400), rng.lognormal(4, 1, 150)
    labels.named(series, 0, "revenue", count=400, positive=400, values=euros, currency="EUR")
    labels.named(series, 1, "revenue", count=150, positive=150, values=dollars, currency="USD")
    labels.named(series, 1, "click", count=200, positive=200)
    rows = {r["currency"]: r for r in labels.call("outcome_values", "values", 0, 2)}
    assert set(rows) == {"EUR", "USD"}
    for currency, of in (("EUR", euros), ("USD", dollars)):
        whole = np.concatenate([of, np.zeros(10_000 - len(of))])
        margin = 1.959963985 * whole.std(ddof=1) / 100
        row = rows[currency]
        assert row["value_count"] == len(of) and row["prediction_count"] == 10_000 and row["value_sum"] == pytest.approx(of.sum())
        assert row["value_per_prediction"] == pytest.approx(whole.mean())
        assert (row["lower"], row["upper"]) == pytest.approx((whole.mean() - margin, whole.mean() + margin))
    hours = labels.call("outcome_values", "values", 0, 2, "1 hour")
    assert [(r["currency"], r["value_count"], r["value_state"]) for r in hours] == [
        ("EUR", 400, "measured"), ("USD", 0, "no_outcomes"), ("EUR", 0, "no_outcomes"), ("USD", 150, "measured")]
    assert hours[1]["value_per_prediction"] == 0


def test_days_say_what_their_hours_say(labels):
    """The same rows from hours (a range that holds no whole day) and from the days that derive_outcome_day makes of them."""
    rng = np.random.default_rng(14)
    both, guesses = labels.series("both"), labels.series("both numbers")
    with labels.batch():
        for series in (both, guesses):
            labels.request(series, {h: 700 for h in range(1, 47, 5)})
        for hour in range(1, 47, 5):
            p, y = scores_of(rng, 500, 0.3)
            labels.label(both, hour, predicted=spell(p > 0.5), labels=spell(y), scores=p, delays=rng.lognormal(8, 1, 500))
            labels.named(both, hour, "revenue", count=30, positive=30, values=rng.lognormal(2, 1, 30), currency="EUR")
            labels.named(both, hour, "thumbs", count=40, positive=25, negative=12, event_type="feedback")
            y = rng.normal(5, 2, 300)
            labels.label(guesses, hour, task="regression", predicted=y + rng.normal(0, 1, 300), labels=y)
    labels.close_days(range(2))
    for model, functions in (("both", ("performance", "calibration", "confusion", "label_delay", "outcome_rates", "outcome_values")),
                             ("both numbers", ("performance",))):
        for function in functions:
            hours, days = labels.call(function, model, 1, 47), labels.call(function, model, 0, 48)
            assert len(hours) == len(days) > 0, function
            for one, other in zip(hours, days):
                for name in one:
                    if not name.startswith("bucket_"):
                        expected = pytest.approx(one[name], rel=1e-9) if isinstance(one[name], float) else one[name]
                        assert other[name] == expected, (function, name)
    assert labels.query("SELECT count(*) FROM nadi_store.named_outcome_day WHERE checksum IS NULL")[0]["count"] == "0"
