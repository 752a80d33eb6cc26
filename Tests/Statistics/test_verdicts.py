"""Verdicts that must not be: versions whose outcomes are still on their way, shadows, mixed hours, few of a kind, costs, names that
are several, tied scores; and the spellings of yes and no through the whole path."""

import math
import time

import numpy as np
import pytest
from outcomes import Labelled
from sklearn import metrics
from test_quantities import scores_of, spell
from whole_path import Path, program, stamp


@pytest.fixture(scope="module")
def labels():
    with Labelled() as made:
        yield made


def comparison(labels, model, last=20, first_version="1", second_version="2", **filters):
    rows = labels.call("compare_versions", model, 0, last, first_version=first_version, second_version=second_version, **filters)
    return {(r["measure"], r["outcome_name"] + r["currency"]): r for r in rows}


# Versions of unlike ages.

def conversions(labels, name, now, delay_hours=24):
    """Version 1 in hours 0 to 95, version 2 from 96 on; one in ten converts, after a day in the middle. What has come by now."""
    rng = np.random.default_rng(now)
    with labels.batch():
        for version, hours in (("1", range(96)), ("2", range(96, min(now, 144)))):
            series = labels.series(name, version=version)
            labels.request(series, {h: 1000 for h in hours})
            for hour in hours:
                came = (rng.lognormal(math.log(delay_hours), 1, rng.binomial(1000, 0.1)) + hour < now).sum()
                labels.named(series, hour, "conversion", count=came, positive=came)
        # The clock of the warehouse: other predictions of that hour.
        labels.request(labels.series(name, version="clock"), {now - 1: 10})
    labels.close_days(range(7))


def test_a_younger_version_is_not_judged_by_what_has_not_come(labels):
    conversions(labels, "young", 120)
    row = comparison(labels, "young", 120)["conversion", "conversion"]
    assert row["upper"] < 0 and row["p_value"] < 1e-20, "as it looks"
    assert row["comparison_state"] == "too_early"
    assert comparison(labels, "young", 120)["error_rate", ""]["comparison_state"] == "no_difference", "errors have no delay"


def test_matured_leaves_out_what_is_too_young(labels):
    conversions(labels, "grown", 120 + 24 * 20)
    rows = comparison(labels, "grown", 144, matured="15 days")
    row = rows["conversion", "conversion"]
    assert (row["first_count"], row["first_coverage"], row["second_coverage"]) == (96_000, 1, 1)
    assert row["comparison_state"] == "no_difference" and abs(row["difference"]) < 0.004
    # Half of version 2 is younger than 19.5 days.
    half = comparison(labels, "grown", 144, matured="468 hours")["conversion", "conversion"]
    assert (half["first_count"], half["second_count"], half["second_coverage"]) == (96_000, 36_000, 0.75)
    none = comparison(labels, "grown", 144, matured="488 hours")["conversion", "conversion"]
    assert (none["first_count"], none["second_count"], none["second_coverage"], none["comparison_state"]) == (96_000, 16_000, 1 / 3, "no_difference")
    none = comparison(labels, "grown", 144, matured="504 hours")["conversion", "conversion"]
    assert (none["first_count"], none["second_count"], none["second_coverage"], none["comparison_state"]) == (96_000, 0, 0, "too_early")


def test_unlike_label_coverage_is_too_early(labels):
    rng = np.random.default_rng(1)
    for version, labelled in (("1", 2000), ("2", 800), ("3", 1960)):
        series = labels.series("coverage", version=version)
        labels.request(series, {0: 2000})
        y = rng.random(labelled) < 0.5
        labels.label(series, 0, predicted=spell(np.where(rng.random(labelled) < (0.8 if version == "2" else 0.9), y, ~y)), labels=spell(y))
    row = comparison(labels, "coverage")["accuracy", ""]
    assert (row["first_coverage"], row["second_coverage"], row["comparison_state"]) == (1, 0.4, "too_early")
    assert comparison(labels, "coverage", matured="0 hours")["accuracy", ""]["comparison_state"] == "worse", "whoever says so"
    assert comparison(labels, "coverage", second_version="3")["accuracy", ""]["comparison_state"] == "no_difference"


def test_a_shadow_is_not_compared_unless_it_is_asked_for(labels):
    for version, variant, hour, clicks in (("1", "champion", 0, 500), ("2", "shadow", 0, 0), ("2", "champion", 0, 550)):
        series = labels.series("rollout", version=version, variant=variant)
        labels.request(series, {hour: 10_000})
        if clicks:
            labels.named(series, hour, "click", count=clicks, positive=clicks)
    row = comparison(labels, "rollout")["click_through", "click"]
    assert (row["first_value"], row["second_value"], row["second_count"]) == (0.05, 0.055, 10_000)
    everything = comparison(labels, "rollout", variants=["champion", "shadow"])["click_through", "click"]
    assert everything["second_value"] == 0.0275
    by_variant = labels.call("compare_versions", "rollout", 0, 20, first_variant="champion", second_variant="shadow")
    assert {r["measure"]: r["second_count"] for r in by_variant}["click_through"] == 10_000
    served, = labels.call("outcome_rates", "rollout", 0, 20, variants=["(served)"])
    both, = labels.call("outcome_rates", "rollout", 0, 20)
    assert (served["positive_rate"], both["positive_rate"]) == (0.0525, 0.035)


# Hours that hold more than one kind of pair.

def test_a_class_among_yes_and_no(labels):
    """One prediction sent as a text without task, in an hour and in a day of binary ones."""
    rng = np.random.default_rng(2)
    mixed, plain = labels.series("mixed"), labels.series("plain")
    whole = [scores_of(rng, 1000, 0.3) for _ in range(2)]
    for series in (mixed, plain):
        labels.request(series, {1: 1500, 5: 1500})
        for place, (hour, (p, y)) in enumerate(zip((1, 5), whole)):
            odd = (["true"], ["1"]) if series == mixed and place == 0 else ((), ())
            labels.label(series, hour, predicted=spell(p > 0.4), labels=spell(y, "1", "0"), scores=p, binary_and=odd)
    labels.close_days(range(1))
    for first, last in ((1, 2), (1, 6), (0, 24)):
        a, b = (labels.performance(name, first, last) for name in ("mixed", "plain"))
        for measure in ("precision", "recall", "f1", "roc_auc", "brier_score", "log_loss"):
            assert a[first, "(all)", measure]["value"] == b[first, "(all)", measure]["value"], (measure, first, last)
        # Two classes more, each with one prediction or one label, none of them right.
        for measure in ("precision_macro", "recall_macro", "f1_macro"):
            assert a[first, "(all)", measure]["value"] == pytest.approx(b[first, "(all)", measure]["value"] / 2)
        n = b[first, "(all)", "accuracy"]["sample_count"]
        assert a[first, "(all)", "accuracy"]["value"] == pytest.approx(b[first, "(all)", "accuracy"]["value"] * n / (n + 1))
    pairs = {(r["predicted_class"], r["labelled_class"]): r["outcome_count"] for r in labels.call("confusion", "mixed", 0, 24)}
    assert len(pairs) == 5 and pairs["true", "1"] == 1 and sum(pairs.values()) == 2001
    hours, days = labels.performance("mixed", 1, 6), labels.performance("mixed", 0, 24)
    assert {k[1:]: r["value"] for k, r in hours.items()} == {
        k[1:]: r["value"] and pytest.approx(r["value"], rel=1e-9) for k, r in days.items()}


def test_scores_of_several_classes_have_no_auc_beside_binary_ones(labels):
    rng = np.random.default_rng(3)
    series = labels.series("both tasks")
    labels.request(series, {0: 1000, 1: 1000})
    p, y = scores_of(rng, 1000, 0.3)
    labels.label(series, 0, predicted=spell(p > 0.4), labels=spell(y), scores=p)
    q = rng.beta(4, 2, 1000)
    labels.label(series, 1, task="multiclass", predicted=["a"] * 1000, labels=list(np.where(rng.random(1000) < q, "a", "b")), scores=q)
    labels.close_days(range(1))
    for last in (2, 24):
        rows = labels.performance("both tasks", 0, last)
        assert rows[0, "(all)", "roc_auc"]["sample_count"] == 1000
        assert rows[0, "(all)", "roc_auc"]["value"] == pytest.approx(metrics.roc_auc_score(y, p), abs=0.001)
        assert rows[0, "(all)", "brier_score"]["sample_count"] == 2000
    assert sum(r["labelled_count"] for r in labels.call("calibration", "both tasks", 0, 2)) == 2000


# Few of a kind.

@pytest.mark.parametrize("positives", [1, 5, 50])
def test_an_auc_of_one_is_not_certain(labels, positives):
    name = f"perfect {positives}"
    series = labels.series(name)
    labels.request(series, {0: 1000})
    y = np.arange(1000) < positives
    labels.label(series, 0, predicted=spell(y), labels=spell(y), scores=np.where(y, 0.95, 0.05))
    row = labels.performance(name)[0, "(all)", "roc_auc"]
    assert row["value"] == 1 and row["lower"] < 1 - 0.5 / positives / 2
    assert row["performance_state"] == ("too_few" if positives < 10 else "measured")


def test_aucs_near_one_hold_the_truth(labels):
    """Fifteen positives of 500, an AUC of 0.95: over 400 draws."""
    rng = np.random.default_rng(4)
    series, draws = labels.series("near one"), 400
    with labels.batch():
        labels.request(series, {h: 500 for h in range(draws)})
        for hour in range(draws):
            y = np.arange(500) < 15
            z = rng.normal(size=500) + 2.3262 * y  # an AUC of Phi(2.3262 / sqrt(2)) = 0.95
            labels.label(series, hour, labels=spell(y), scores=1 / (1 + np.exp(3 - z)))
    rows = [r for first in range(0, draws, 50) for r in labels.call("performance", "near one", first, first + 50, "1 hour", measures=["roc_auc"])]
    held = [r["lower"] <= 0.95 <= r["upper"] for r in rows]
    assert len(held) == draws and np.mean(held) >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / draws), np.mean(held)


def test_one_positive_refutes_and_betters_nothing(labels):
    rng = np.random.default_rng(5)
    for version, n in (("1", 100_000), ("2", 1000)):
        series = labels.series("one positive", version=version)
        p, y = scores_of(rng, n, 0.2, 1.5)
        if version == "2":
            y = p == p.max()
        labels.request(series, {0: n})
        labels.label(series, 0, predicted=spell(p > 0.4), labels=spell(y), scores=p)
    row = comparison(labels, "one positive")["roc_auc", ""]
    assert row["second_value"] > 0.999 and row["comparison_state"] == "too_few"


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_means_over_classes_of_one_are_not_certain(labels, task):
    series = labels.series(f"all right {task}")
    labels.request(series, {0: 300})
    labels.label(series, 0, task=task, predicted=["true", "false"] * 125, labels=["true", "false"] * 125)
    rows = labels.performance(f"all right {task}")
    for measure in ("precision_macro", "recall_macro", "f1_macro"):
        row = rows[0, "(all)", measure]
        assert (row["value"], row["upper"]) == (1, 1) and 0.98 < row["lower"] < 0.995, (measure, row["lower"])


@pytest.mark.parametrize("values, rate, high, low", [((0.501, 0.509), 0.3, 0.4, 0.08), ((0.001, 0.00125), 0.3, 0.3, 0.1), ((0.001, 0.00125), 0.005, 0.5, 0.45)])
def test_tied_scores_are_in_the_interval(labels, values, rate, high, low):
    """Two values in one bin, which moments cannot tell from many."""
    rng = np.random.default_rng(6)
    name = f"tied {values} {rate}"
    series, n = labels.series(name), 100_000
    y = rng.random(n) < rate
    p = np.where(rng.random(n) < np.where(y, high, low), values[1], values[0])
    labels.request(series, {0: n})
    labels.label(series, 0, labels=spell(y), scores=p)
    row = labels.performance(name, measures=["roc_auc"])[0, "(all)", "roc_auc"]
    assert row["lower"] <= metrics.roc_auc_score(y, p) <= row["upper"], row


def test_few_thumbs_and_few_values_are_too_few(labels):
    series = labels.series("few")
    labels.request(series, {0: 10_000})
    labels.named(series, 0, "thumbs", count=3, positive=2, negative=1, event_type="feedback")
    labels.named(series, 0, "revenue", count=20, positive=20, values=[5] * 20, currency="EUR")
    labels.named(series, 0, "revenue", count=60, positive=60, values=[5] * 60, currency="JPY")
    rows = {r["outcome_name"]: r for r in labels.call("outcome_rates", "few", 0, 1)}
    assert (rows["thumbs"]["rate"], rows["thumbs"]["sample_count"], rows["thumbs"]["rate_state"]) == (1 / 3, 3, "too_few")
    assert rows["revenue"]["rate_state"] == "measured"
    assert {r["currency"]: r["value_state"] for r in labels.call("outcome_values", "few", 0, 1)} == {"EUR": "too_few", "JPY": "measured"}


# What is better.

def valued(labels, model, *sides, name="revenue", event_type="outcome"):
    for version, values in zip("12", sides):
        series = labels.series(model, version=version)
        labels.request(series, {0: 2000})
        if len(values):
            labels.named(series, 0, name, count=len(values), positive=len(values), values=values, currency="EUR", event_type=event_type)


def test_more_refunds_are_higher_not_better(labels):
    rng = np.random.default_rng(7)
    for name, states in (("refund", ("higher", "lower")), ("revenue", ("better", "worse"))):
        valued(labels, f"of {name}", rng.gamma(4, 5, 200), rng.gamma(4, 5, 500), name=name)
        key = ("value_per_prediction", name + "EUR")
        assert comparison(labels, f"of {name}")[key]["comparison_state"] == states[0]
        assert comparison(labels, f"of {name}", first_version="2", second_version="1")[key]["comparison_state"] == states[1]


def test_a_side_without_values_and_one_without_spread(labels):
    valued(labels, "nothing", np.random.default_rng(8).gamma(4, 5, 400), [])
    row = comparison(labels, "nothing")["value_per_prediction", "revenueEUR"]
    assert (row["second_value"], row["comparison_state"]) == (0, "worse")
    valued(labels, "few of both", [5.0] * 40, [5.0] * 30)
    assert comparison(labels, "few of both")["value_per_prediction", "revenueEUR"]["comparison_state"] == "too_few"
    valued(labels, "flat", [5.0] * 2000, [10.0] * 2000)
    row = comparison(labels, "flat")["value_per_prediction", "revenueEUR"]
    assert (row["difference"], row["lower"], row["p_value"], row["comparison_state"]) == (5, None, None, "undefined")


def test_an_outcome_and_a_feedback_of_one_name_are_two(labels):
    for version in "12":
        series = labels.series("one name", version=version)
        labels.request(series, {0: 1000})
        for event_type in ("outcome", "feedback"):
            labels.named(series, 0, "click", count=100, positive=100, values=[1] * 100, event_type=event_type)
            labels.named(series, 0, "override", count=50, positive=50, event_type=event_type)
            labels.named(series, 0, "thumbs", count=300, negative=30, event_type=event_type)
    rows = {(r["measure"], r["event_type"]): r for r in labels.call("compare_versions", "one name", 0, 20, first_version="1", second_version="2")}
    assert {k: r["first_value"] for k, r in rows.items() if k[0] not in ("error_rate",)} == {
        ("click_through", "outcome"): 0.1, ("override_rate", "outcome"): 0.05, ("override_rate", "feedback"): 0.05,
        ("thumbs_down", "feedback"): 0.1, ("value_per_prediction", "outcome"): 0.1, ("value_per_prediction", "feedback"): 0.1}


def test_gathered_names_have_no_share(labels):
    series = labels.series("gathered")
    labels.request(series, {0: 1000})
    labels.named(series, 0, "other", count=1500, positive=1500, values=[1] * 1500)
    row, = labels.call("outcome_rates", "gathered", 0, 1)
    assert (row["positive_rate"], row["rate"], row["rate_state"]) == (None, None, "gathered")
    row, = labels.call("outcome_values", "gathered", 0, 1)
    assert (row["value_per_prediction"], row["lower"], row["value_state"]) == (1.5, None, "gathered")


def test_an_hour_that_waits_for_its_join_says_so(labels):
    series = labels.series("joining")
    labels.request(series, {0: 1000, 1: 1000, 2: 1000})
    labels.named(series, 0, "click", count=50, positive=50)
    model = labels.query("SELECT model_id FROM nadi_store.model WHERE model_name = 'joining'")[0]["model_id"]
    labels.copy("nadi_store.dirty_hour", ["model_id", "hour", "waiting"], [[model, f"2026-01-05T0{h}:00:00Z", 1] for h in (0, 2)])
    labels.query(f"INSERT INTO nadi_store.join_hour VALUES ({model}, '2026-01-05T00:00:00Z', 1, 1000, 50, 0)")
    assert [r["rate_state"] for r in labels.call("outcome_rates", "joining", 0, 3, "1 hour")] == ["measured", "no_outcomes", "waiting"]
    assert [r["rate_state"] for r in labels.call("outcome_rates", "joining", 0, 3)] == ["measured"], "a range is measured as far as it is"


# States and names.

def test_a_measure_that_is_not_the_models(labels):
    series = labels.series("classifier")
    labels.request(series, {0: 300})
    labels.label(series, 0, predicted=["true"] * 300, labels=["true"] * 300)
    assert {k[2]: r["performance_state"] for k, r in labels.performance("classifier", measures=["mae", "accuracy"]).items()} == {
        "mae": "not_measured", "accuracy": "measured"}
    for wrong in (["F1"], []):
        with pytest.raises(RuntimeError, match="not all of which there are"):
            labels.query(f"SELECT * FROM nadi.performance('classifier', now(), now(), measures => ARRAY{wrong}::text[])")


def test_sums_too_small_to_divide_stop_no_view(labels):
    series = labels.series("tiny")
    labels.request(series, {0: 3})
    e = np.array([5e-324, 0, 0])
    labels.label(series, 0, task="regression", predicted=e, labels=np.zeros(3))
    labels.close_days(range(1))
    for view in ("outcome_hour", "outcome_day"):
        row, = labels.query(f"SELECT error_mean, absolute_error_mean, root_mean_square_error FROM nadi.{view} WHERE model_name = 'tiny'")
        assert set(row.values()) == {"0"}


def test_views_of_names_do_not_repeat_predictions(labels):
    columns = labels.query("SELECT column_name FROM information_schema.columns WHERE table_schema = 'nadi' AND table_name LIKE 'named_outcome_%'")
    assert "outcome_count" in {r["column_name"] for r in columns} and "prediction_count" not in {r["column_name"] for r in columns}


# The whole path.

@pytest.mark.skipif(program() is None, reason="nadi is not built")
def test_spellings_through_the_whole_path(tmp_path):
    """Each spelling as prediction and as label, of yes and no; a class's name; a prediction that failed."""
    yes, no = ["true", "YES", "positive", "1", "1.0", "+1", "0.7", 1, 0.5, True], ["false", "No", "negative", "0", "0.0", "-1", "0.49", 0, -1, False]
    start = int(time.time() * 1000) // 86_400_000 * 86_400_000 - 240 * 3_600_000
    said = [(a, b) for a in (*yes, *no) for b in (*yes, *no)]
    with Path(tmp_path) as path:
        def events(model, pairs, first=0, **fields):
            for k, (answer, label) in enumerate(pairs, first):
                at = stamp(start + k * 1000)
                yield {"id": f"{model}-{k}", "time": at, "model_name": model, "model_version": "1", "task": "binary", "prediction": answer,
                       "status": "ok", **fields}
                yield {"type": "outcome", "id": f"label-{model}-{k}", "time": at, "prediction_time": at, "model_name": model,
                       "prediction_id": f"{model}-{k}", "name": "label", "label": label}

        lines = [*events("spelled", said), *events("named", [("ham", "ham"), ("ham", "spam"), ("spam", "true")] * 100, score=0.9),
                 *events("failing", [(True, True)] * 300), *events("failing", [(True, True)] * 400, 300, status="error")]
        path.write([line for line in lines if line.get("type") != "outcome"])
        path.write([line for line in lines if line.get("type") == "outcome"])
        path.nadi("load", "--all", "--join-now")
        until = stamp(start + 3_600_000)

        def ask(function, model):
            return path.query(f"SELECT * FROM nadi.{function}('{model}', '{stamp(start)}', '{until}')")

        pairs = {(r["predicted_class"], r["labelled_class"]): int(r["outcome_count"]) for r in ask("confusion", "spelled")}
        assert pairs == {(a, b): 100 for a in ("positive", "negative") for b in ("positive", "negative")}
        found = {r["measure"]: float(r["value"]) for r in ask("performance", "spelled") if r["class_name"] == "(all)"}
        assert {m: found[m] for m in ("accuracy", "precision", "recall", "f1")} == dict.fromkeys(("accuracy", "precision", "recall", "f1"), 0.5)
        row, = ask("outcome_rates", "spelled")
        assert (int(row["positive_count"]), int(row["negative_count"])) == (200, 200)
        measured = {r["measure"]: r["value"] for r in ask("performance", "named") if r["class_name"] == "(all)"}
        assert float(measured["accuracy"]) == pytest.approx(1 / 3) and not {"precision", "roc_auc", "brier_score"} & set(measured)
        row, = (r for r in ask("performance", "failing") if r["measure"] == "accuracy")
        assert (int(row["prediction_count"]), int(row["labelled_count"]), float(row["label_coverage"])) == (300, 300, 1)
        row, = ask("outcome_rates", "failing")
        assert (int(row["outcome_count"]), float(row["positive_rate"])) == (300, 1)
        assert path.query("SELECT * FROM nadi.audit_balance WHERE NOT is_balanced") == []
