"""nadi.compare_versions and nadi.estimate_and_truth: intervals and p against SciPy, states on known worlds."""

import math
from datetime import timedelta

import numpy as np
import pytest
from outcomes import Labelled
from scipy import stats
from test_quantities import scores_of, spell
from warehouse import START


@pytest.fixture(scope="module")
def labels():
    with Labelled() as made:
        yield made


def compared(labels, model, first="1", second="2", **filters):
    return {(r["measure"], r["outcome_name"], r["currency"]): r
            for r in labels.call("compare_versions", model, 0, 20, first_version=first, second_version=second, **filters)}


def newcombe(x1, n1, x2, n2):
    """Method 10 of Newcombe (1998), second less first."""
    a, b = (stats.binomtest(int(x), int(n)).proportion_ci(method="wilson") for x, n in ((x1, n1), (x2, n2)))
    p1, p2 = x1 / n1, x2 / n2
    return p2 - p1 - math.hypot(p2 - b.low, a.high - p1), p2 - p1 + math.hypot(b.high - p2, p1 - a.low)


def test_newcombes_own_example(labels):
    """Newcombe (1998), table II (a), method 10: 56/70 against 48/80 gives 0.0524 to 0.3339."""
    assert newcombe(48, 80, 56, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def two_versions(labels, name, seed, sizes=(9000, 1500), rates=(0.30, 0.36), error=(12, 9), shift=(0.0, 0.5), slower=0.3,
                 clicks=(0.05, 0.06), down=None, versions="12"):
    """Two versions with labels, scores, latencies, clicks, values and thumbs; returns their raw rows."""
    rng, raw = np.random.default_rng(seed), []
    for place, version in enumerate(versions):
        n = sizes[place]
        p, y = scores_of(rng, n, rates[place])
        p = np.clip(p * (1 + shift[place]), 0, 0.999)
        said = p > 0.4
        latencies = rng.lognormal(-4 + slower * place, 0.4, n)
        euros = rng.gamma(4, 5, rng.binomial(n, 0.1)) if down else rng.lognormal(3, 0.8, n // 25)
        series = labels.series(name, version=version)
        if down:
            error = (*error[:place], rng.binomial(n, error[place] / n), *error[place + 1:])
        labels.request(series, {0: n + error[place]}, errors=error[place], latencies=latencies)
        labels.label(series, 1, predicted=spell(said), labels=spell(y), scores=p)
        clicked, errors = rng.binomial(n, clicks[place]), error[place]
        labels.named(series, 0, "click", count=clicked, positive=clicked)
        labels.named(series, 0, "revenue", count=len(euros), positive=len(euros), values=euros, currency="EUR")
        thumbs = rng.binomial(400, down[place]) if down else 40 * (place + 1)
        labels.named(series, 0, "thumbs", count=400, positive=400 - thumbs, negative=thumbs, event_type="feedback")
        raw.append({"n": n, "p": p, "y": y, "said": said, "latencies": latencies, "euros": np.concatenate([euros, np.zeros(n - len(euros))]),
                    "clicks": clicked, "errors": errors})
    return raw


def test_differences_are_those_of_scipy(labels):
    one, two = two_versions(labels, "pair", 1)
    rows = compared(labels, "pair")

    def share(measure, x1, n1, x2, n2, name="", p=True):
        row = rows[measure, name, ""]
        assert (row["first_count"], row["second_count"]) == (n1, n2), measure
        assert (row["first_value"], row["second_value"]) == (pytest.approx(x1 / n1), pytest.approx(x2 / n2))
        assert row["difference"] == pytest.approx(x2 / n2 - x1 / n1)
        assert (row["lower"], row["upper"]) == pytest.approx(newcombe(x1, n1, x2, n2), abs=1e-9), measure
        # The pooled z test is Pearson's chi-square of the table.
        expected = stats.chi2_contingency([[x1, n1 - x1], [x2, n2 - x2]], correction=False).pvalue
        assert row["p_value"] == pytest.approx(expected, rel=1e-6), measure

    right = [(v["said"] == v["y"]).sum() for v in (one, two)]
    share("accuracy", right[0], one["n"], right[1], two["n"])
    share("precision", *[x for v in (one, two) for x in ((v["said"] & v["y"]).sum(), v["said"].sum())])
    share("recall", *[x for v in (one, two) for x in ((v["said"] & v["y"]).sum(), v["y"].sum())])
    share("error_rate", *[x for v in (one, two) for x in (v["errors"], v["n"] + v["errors"])])
    share("click_through", one["clicks"], one["n"], two["clicks"], two["n"], "click")
    share("thumbs_down", 40, 400, 80, 400, "thumbs")

    def mean(measure, a, b, key=("", ""), rel=1e-4):
        row = rows[measure, *key]
        found = stats.ttest_ind(b, a, equal_var=False)
        low, high = found.confidence_interval()
        assert row["difference"] == pytest.approx(b.mean() - a.mean(), abs=1e-9)
        assert (row["lower"], row["upper"]) == (pytest.approx(low, rel=rel), pytest.approx(high, rel=rel)), measure
        assert row["p_value"] == pytest.approx(found.pvalue, rel=max(rel, 2e-3), abs=1e-9), measure

    mean("value_per_prediction", one["euros"], two["euros"], ("revenue", "EUR"))
    mean("brier_score", *((v["p"] - v["y"]) ** 2 for v in (one, two)), rel=0.01)
    mean("log_loss", *(-np.log(np.clip(np.where(v["y"], v["p"], 1 - v["p"]), 1e-15, 1)) for v in (one, two)), rel=0.01)

    latency = rows["latency_p95_seconds", "", ""]
    for side, v in (("first", one), ("second", two)):
        assert latency[f"{side}_value"] == pytest.approx(np.quantile(v["latencies"], 0.95, method="inverted_cdf"), rel=0.0101)
    assert latency["p_value"] is None and latency["lower"] < latency["difference"] < latency["upper"]
    assert [r["comparison_state"] for r in (latency, rows["thumbs_down", "thumbs", ""], rows["brier_score", "", ""])] == ["worse"] * 3
    back = compared(labels, "pair", "2", "1")
    assert list(back) == list(rows)
    for key, row in rows.items():
        assert back[key]["difference"] == -row["difference"] and back[key]["p_value"] == pytest.approx(row["p_value"]) and key
        assert (back[key]["lower"], back[key]["upper"]) == (pytest.approx(-row["upper"]), pytest.approx(-row["lower"]))
        assert back[key]["comparison_state"] == {"worse": "better", "better": "worse"}.get(row["comparison_state"], row["comparison_state"])


def test_equal_versions_differ_by_chance_only(labels):
    """Three hundred pairs of one law: each measure's interval leaves 0 out in 5 %, give or take chance (four deviations)."""
    outside, pairs = {}, 300
    labels.versions("equal", [f"{side}{seed}" for side in "ab" for seed in range(pairs)])
    with labels.batch():
        for seed in range(pairs):
            two_versions(labels, "equal", seed + 100, sizes=(1500, 700), rates=(0.3, 0.3), shift=(0, 0), error=(30, 14), slower=0,
                         clicks=(0.05, 0.05), down=(0.2, 0.2), versions=(f"a{seed}", f"b{seed}"))
    labels.query("ANALYZE")
    for row in labels.query(
            f"""SELECT c.measure, c.lower <= 0 AND 0 <= c.upper AS holds FROM generate_series(0, {pairs - 1}) s CROSS JOIN LATERAL
                nadi.compare_versions('equal', '{START}', '{START + timedelta(hours=20)}', 'a' || s, 'b' || s) c"""):
        outside.setdefault(row["measure"], []).append(row["holds"] == "f")
    assert set(outside) == {"error_rate", "latency_p95_seconds", "accuracy", "precision", "recall", "f1", "brier_score", "log_loss", "roc_auc",
                            "click_through", "thumbs_down", "value_per_prediction"}
    for measure, found in outside.items():
        assert len(found) == pairs and np.mean(found) <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / pairs), (measure, np.mean(found))
        # Ranks of a percentile are whole and AUC's error is known to be wide; nothing else may never be outside.
        assert sum(found) > 0 or measure in ("latency_p95_seconds", "roc_auc", "error_rate"), measure


def test_a_clear_change_is_found_and_named(labels):
    rng = np.random.default_rng(3)
    for version, right, clicks, value in (("1", 0.9, 300, 20), ("2", 0.8, 420, 20)):
        series = labels.series("clear", version=version)
        labels.request(series, {0: 5000})
        y = rng.random(5000) < 0.5
        labels.label(series, 0, predicted=spell(np.where(rng.random(5000) < right, y, ~y)), labels=spell(y))
        labels.named(series, 0, "click", count=clicks, positive=clicks)
    states = {k[0]: r["comparison_state"] for k, r in compared(labels, "clear").items()}
    assert states == {"error_rate": "no_difference", "accuracy": "worse", "precision": "worse", "recall": "worse", "f1": "worse",
                      "click_through": "better"}


def test_a_canary_against_the_champion(labels):
    """By variant, whatever the versions; a side without clicks has none, not nothing."""
    for variant, version, n in (("champion", "7", 4000), ("champion", "8", 4000), ("canary", "9", 300), ("shadow", "9", 100)):
        series = labels.series("canary", version=version, variant=variant)
        labels.request(series, {0: n})
        if variant == "champion":
            labels.named(series, 0, "click", count=400, positive=400)
    rows = {r["measure"]: r for r in labels.call("compare_versions", "canary", 0, 20, first_variant="champion", second_variant="canary")}
    assert (rows["click_through"]["first_count"], rows["click_through"]["second_count"]) == (8000, 300)
    assert (rows["click_through"]["first_value"], rows["click_through"]["second_value"]) == (0.1, 0)
    assert rows["click_through"]["comparison_state"] == "worse"
    few = labels.call("compare_versions", "canary", 0, 20, first_variant="champion", second_variant="shadow")
    assert {r["comparison_state"] for r in few} == {"too_few"}
    same = labels.call("compare_versions", "canary", 0, 20, first_version="7", second_version="8")
    assert {r["measure"]: (r["comparison_state"], r["p_value"]) for r in same} == {
        "error_rate": ("no_difference", 1), "click_through": ("no_difference", 1)}


def test_one_version_is_empty(labels):
    series = labels.series("half", version="1")
    labels.series("half", version="2")
    labels.request(series, {0: 1000}, latencies=[0.1] * 1000)
    labels.label(series, 0, predicted=["true"] * 1000, labels=["true"] * 1000, scores=[0.9] * 1000)
    labels.named(series, 0, "revenue", count=10, positive=10, values=[5] * 10, currency="EUR")
    rows = compared(labels, "half")
    assert len(rows) > 8
    for row in rows.values():
        assert row["second_count"] == 0 and row["second_value"] is None and row["difference"] is None
        assert (row["comparison_state"], row["p_value"]) == ("too_few", None)
    assert compared(labels, "half", "no", "such") == {}


@pytest.mark.parametrize("filters", [{}, {"first_version": "1", "second_version": "1"}, {"first_version": "1"},
                                     {"first_version": "1", "second_variant": "champion"}])
def test_no_prediction_stands_on_both_sides(labels, filters):
    name = "both " + " ".join(sorted(filters))
    labels.series(name, version="1")
    with pytest.raises(RuntimeError, match="in common"):
        labels.call("compare_versions", name, 0, 20, **filters)


def test_multiclass_compares_means_over_classes(labels):
    rng = np.random.default_rng(4)
    for version in "12":
        series = labels.series("many classes", version=version)
        y = rng.choice(["a", "b", "c"], 2000)
        labels.request(series, {0: 2000})
        labels.label(series, 0, task="multiclass", predicted=list(np.where(rng.random(2000) < 0.8, y, "a")), labels=list(y))
    assert {k[0] for k in compared(labels, "many classes")} == {"error_rate", "accuracy", "precision_macro", "recall_macro", "f1_macro"}


def test_regressions_compare_their_errors(labels):
    rng, sides = np.random.default_rng(6), []
    for version, spread in (("1", 3.0), ("2", 4.0)):
        series = labels.series("regression", version=version)
        y = rng.normal(40, 12, 800)
        guess = y + rng.normal(0, spread, 800)
        sides.append(abs(guess - y))
        labels.request(series, {0: 800})
        labels.label(series, 0, task="regression", predicted=guess, labels=y)
    row = compared(labels, "regression")["mae", "", ""]
    found = stats.ttest_ind(sides[1], sides[0], equal_var=False)
    assert (row["lower"], row["upper"]) == pytest.approx(tuple(found.confidence_interval()), rel=1e-5)
    assert row["p_value"] == pytest.approx(found.pvalue, rel=2e-3) and row["comparison_state"] == "worse"


@pytest.mark.parametrize("t, freedom", [(0.0, 50), (0.7, 40), (2.0, 10), (1.96, 398), (2.5, 200), (4.0, 1000), (6.0, 300), (30.0, 500)])
def test_students_p_and_limit(labels, t, freedom):
    row = labels.query(f"SELECT nadi_store.student_p({t}, {freedom}) p, nadi_store.student_limit({freedom}) l, nadi_store.normal_p({t}) z")[0]
    assert float(row["p"]) == pytest.approx(2 * stats.t.sf(t, freedom), rel=2e-3, abs=1e-12 if freedom > 30 else 1e-3)
    assert float(row["l"]) == pytest.approx(stats.t.isf(0.025, freedom), abs=1e-5 if freedom > 30 else 2e-4)
    assert float(row["z"]) == pytest.approx(2 * stats.norm.sf(t), rel=3e-7)


# Estimate beside truth.

def scored(labels, series, hour, p, said):
    """What loaders store of the scores of an hour, labelled or not."""
    bins = np.searchsorted(labels.edges, p, side="right") - 1
    used = np.unique(bins)

    def sums(weights):
        return np.bincount(bins, weights, minlength=len(labels.edges))[used]

    counts, yes = sums(np.ones(len(p))).astype(int), sums(said.astype(float)).astype(int)
    labels.copy("nadi_store.score_hour", ["series_id", "category_id", "hour", "bins", "counts", "sums", "positive_counts", "positive_sums"],
                [[series, 0, f"{START.isoformat()[:11]}{hour:02}:00:00Z", used, counts, sums(p), yes, sums(p * said)]])


def world(labels, name, hours):
    """A model with a reference of 50,000 calibrated scores; hours: (predictions, labels that came, share of labels flipped)."""
    rng = np.random.default_rng(len(name))
    series = labels.series(name)
    model = int(labels.query(f"SELECT model_id FROM nadi_store.series WHERE series_id = {series}")[0]["model_id"])
    p, y = scores_of(rng, 50_000, 0.3, 1.5)
    bins = np.searchsorted(labels.edges, p, side="right") - 1
    used = np.unique(bins)
    n, total = np.bincount(bins)[used], np.bincount(bins, p)[used]
    said, said_total = np.bincount(bins, p > 0.5)[used].astype(int), np.bincount(bins, p * (p > 0.5))[used]
    number = int(labels.query(
        f"""INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task, calibration)
            VALUES ({model}, 'training', 'test', 50000, 50000, 50000, 'binary', 'identity') RETURNING reference_id""")[0]["reference_id"])
    labels.query(f"INSERT INTO nadi_store.edge_set VALUES ({number}, 'test')")
    labels.copy("nadi_store.reference_score", ["reference_id", "category_id", "bins", "counts", "sums", "positive_counts", "positive_sums",
                                               "label_counts", "label_sums"],
                [[number, 0, used, n, total, said, said_total, n, np.bincount(bins, y)[used]]])
    labels.copy("nadi_store.reference_activation", ["model_id", "effective_from", "reference_id"], [[model, "2020-01-01T00:00:00Z", number]])
    with labels.batch():
        for hour, (count, labelled, flipped) in enumerate(hours):
            p, y = scores_of(rng, count, 0.3, 1.5)
            labels.request(series, {hour: count})
            scored(labels, series, hour, p, p > 0.5)
            if labelled:
                y = np.where(rng.random(count) < flipped, ~y, y)[:labelled]
                labels.label(series, hour, predicted=spell(p[:labelled] > 0.5), labels=spell(y), scores=p[:labelled])


def trust(labels, name, first, last, measure="accuracy", bucket="1 hour"):
    return [r for r in labels.call("estimate_and_truth", name, first, last, bucket) if r["measure"] == measure]


def test_estimates_agree_while_scores_stay_calibrated(labels):
    """Hours with few and with all labels."""
    world(labels, "trusty", [(4000, n, 0) for n in (4000, 1000, 400, 250) * 5])
    for measure in ("accuracy", "precision", "recall", "f1", "roc_auc"):
        rows = trust(labels, "trusty", 0, 20, measure)
        assert len(rows) == 20 and {r["trust_state"] for r in rows} <= {"agrees", "too_few"}, measure
    rows = trust(labels, "trusty", 0, 20)
    assert {r["trust_state"] for r in rows} == {"agrees"} and {r["reason"] for r in rows} == {""}
    assert [r["sample_count"] for r in rows[:4]] == [4000, 1000, 400, 250] and rows[1]["label_coverage"] == 0.25
    # The band is that of the labels that came.
    wide, narrow = (rows[i]["estimate_upper"] - rows[i]["estimate_lower"] for i in (1, 0))
    assert wide == pytest.approx(2 * narrow, rel=0.1)


def test_an_estimate_that_labels_refute_is_not_trusted_until_they_say_otherwise(labels):
    """Another world from hour 3 on (a third of the labels turn); at hour 5 labels are few, at 6 and 7 there are none, at 8 the old world is back."""
    world(labels, "concept", [(3000, 3000, 0)] * 3 + [(3000, 1500, 0.35)] * 2 + [(3000, 100, 0.35), (3000, 0, 0), (3000, 0, 0), (3000, 3000, 0)])
    rows = trust(labels, "concept", 0, 9)
    assert [r["trust_state"] for r in rows] == ["agrees"] * 3 + ["disagrees"] * 5 + ["agrees"]
    assert rows[3]["reason"].startswith("the labels say 0.") and rows[5]["reason"].endswith("04:00 UTC disagreed")
    assert rows[6]["value"] is None and rows[6]["estimate"] > 0.7
    assert rows[3]["upper"] < rows[3]["estimate_lower"]
    # Asked for the hours without labels alone: what came before them still speaks.
    assert [r["trust_state"] for r in trust(labels, "concept", 6, 8)] == ["disagrees"] * 2
    whole = trust(labels, "concept", 3, 5, bucket=None)
    assert [r["trust_state"] for r in whole] == ["disagrees"] and whole[0]["sample_count"] == 3000


def test_multiclass_estimates_beside_means_over_classes(labels):
    """Two classes with scores of their own: accuracy, precision, recall and F1 agree, and no label says what their mean AUC is."""
    rng = np.random.default_rng(77)
    series = labels.series("classes")
    names = labels.category(series, ["a", "b"])
    model = int(labels.query(f"SELECT model_id FROM nadi_store.series WHERE series_id = {series}")[0]["model_id"])
    number = int(labels.query(
        f"""INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task, calibration)
            VALUES ({model}, 'training', 'test', 50000, 50000, 50000, 'multiclass', 'identity') RETURNING reference_id""")[0]["reference_id"])
    labels.query(f"INSERT INTO nadi_store.edge_set VALUES ({number}, 'test')")
    labels.copy("nadi_store.reference_activation", ["model_id", "effective_from", "reference_id"], [[model, "2020-01-01T00:00:00Z", number]])
    columns = ["bins", "counts", "sums", "positive_counts", "positive_sums"]

    def rows(p):
        """Of each class, 0 the predicted one, what scores say."""
        for category, score, said in ((0, np.maximum(p, 1 - p), np.ones(len(p))), (names["a"], p, p > 0.5), (names["b"], 1 - p, p <= 0.5)):
            bins = np.searchsorted(labels.edges, score, side="right") - 1
            used = np.unique(bins)
            yield category, [used, *(np.bincount(bins, w, minlength=200)[used] for w in (np.ones(len(p)), score, said, score * said))]

    def whole(cells):
        return [cells[0], cells[1].astype(int), cells[2], cells[3].astype(int), cells[4]]

    p, y = scores_of(rng, 50_000, 0.4, 1.5)
    labels.copy("nadi_store.reference_score", ["reference_id", "category_id", *columns, "label_counts", "label_sums"],
                [[number, c, *whole(cells), whole(cells)[1], cells[2]] for c, cells in rows(p)])
    p, y = scores_of(rng, 5000, 0.4, 1.5)
    labels.request(series, {0: 5000})
    labels.copy("nadi_store.score_hour", ["series_id", "category_id", "hour", *columns],
                [[series, c, "2026-01-05T00:00:00Z", *whole(cells)] for c, cells in rows(p)])
    labels.label(series, 0, task="multiclass", predicted=spell(p > 0.5, "a", "b"), labels=spell(y, "a", "b"), scores=np.maximum(p, 1 - p))
    found = {r["measure"]: r for r in labels.call("estimate_and_truth", "classes", 0, 1)}
    assert {m: r["trust_state"] for m, r in found.items()} == {
        "accuracy": "agrees", "precision": "agrees", "recall": "agrees", "f1": "agrees", "roc_auc": "not_measured"}
    means = labels.performance("classes", 0, 1)
    for measure in ("precision", "recall", "f1"):
        assert found[measure]["value"] == means[0, "(all)", measure + "_macro"]["value"]
        assert found[measure]["estimate"] == pytest.approx(found[measure]["value"], abs=0.02)
    assert found["roc_auc"]["reason"] == "labels do not say it" and found["roc_auc"]["label_coverage"] == 1


def test_nothing_to_trust(labels):
    series = labels.series("no reference")
    labels.request(series, {0: 1000})
    p = np.random.default_rng(1).random(1000)
    scored(labels, series, 0, p, p > 0.5)
    row = labels.call("estimate_and_truth", "no reference", 0, 1)[0]
    assert (row["trust_state"], row["reason"]) == ("no_estimate", "no reference is in force")
    world(labels, "unlabelled", [(3000, 0, 0), (3000, 150, 0)])
    assert [(r["trust_state"], r["reason"]) for r in trust(labels, "unlabelled", 0, 2)] == [
        ("no_labels", "no labels yet"), ("too_few", "fewer than 200 labels")]
    assert labels.call("estimate_and_truth", "no such model", 0, 1) == []


def test_one_positive_label_refutes_no_estimate(labels):
    """An AUC of 1 whose interval of one positive would not meet the estimate's."""
    world(labels, "rare truth", [(3000, 0, 0)])
    series = int(labels.query("SELECT series_id FROM nadi.series WHERE model_name = 'rare truth'")[0]["series_id"])
    p = np.linspace(0.05, 0.6, 250)
    labels.label(series, 0, predicted=spell(p > 0.5), labels=spell(p == p.max()), scores=p)
    row, = trust(labels, "rare truth", 0, 1, "roc_auc", None)
    assert row["value"] == 1 and (row["trust_state"], row["reason"]) == ("too_few", "fewer than 10 labels of the rarer class")
