"""What is rare, wide or narrow: estimates where hardly anybody is predicted positive, categories that come once in an hour, tails,
bins narrower than four digits; and the dashboard's bars."""

import json
import re
from datetime import timedelta

import numpy as np
import pytest
from warehouse import ROOT, START, Frozen, Window

HOURS = timedelta(hours=1)
DAY = timedelta(days=1)
COLUMNS = ["bins", "counts", "sums", "positive_counts", "positive_sums"]


@pytest.fixture(scope="module")
def edges(warehouse):
    return np.array([float(row["lower"]) for row in warehouse.query("SELECT lower FROM nadi_store.score_edge ORDER BY bin")])


def binned(edges, scores, said):
    """A score row's columns."""
    place = np.searchsorted(edges, scores, side="right") - 1
    bins = np.unique(place)
    pick = [place == b for b in bins]
    return [bins, [int(p.sum()) for p in pick], [scores[p].sum() for p in pick], [int((p & said).sum()) for p in pick],
            [scores[p & said].sum() for p in pick]]


def promise(warehouse, edges, model, classes, task="binary", effective=START - DAY, name="training"):
    """A reference of scores that are as good as they are: {category: (scores, predicted positive)}."""
    n = len(next(iter(classes.values()))[0])
    number = warehouse.query(
        f"""INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task, calibration)
            VALUES ({model}, '{name}', 'test', {n}, {n}, {n}, '{task}', 'identity') RETURNING reference_id""")[0]["reference_id"]
    rows = [(category, *binned(edges, *found)) for category, found in classes.items()]
    warehouse.copy("nadi_store.reference_score", ["reference_id", "category_id", *COLUMNS, "label_counts", "label_sums"],
                   [(number, *row, row[2], row[3]) for row in rows])
    warehouse.activate(model, number, effective)
    return number


def scored(warehouse, edges, series, hours):
    """{hour: {category: (scores, predicted positive)}}."""
    warehouse.copy("nadi_store.score_hour", ["series_id", "category_id", "hour", *COLUMNS],
                   [(series, category, at, *binned(edges, *found)) for at, classes in hours.items() for category, found in classes.items()])


def estimates(warehouse, model, first, last, bucket="1 hour"):
    return warehouse.query(f"SELECT * FROM nadi.estimated_performance('{model}', '{first}', '{last}', '{bucket}')")


def test_where_hardly_anybody_is_predicted_positive_nothing_is_low(warehouse, edges):
    rng = np.random.default_rng(1)

    def draw(n, top=0.0015):
        """A share of top is predicted positive; most of those that are positive are not."""
        score = np.where(rng.random(n) < top, rng.uniform(0.5, 0.9, n), rng.beta(1, 60, n).clip(0, 0.49))
        return score, score >= 0.5

    model, series = warehouse.model("rare")
    promise(warehouse, edges, model, {0: draw(200_000)})
    scored(warehouse, edges, series, {START + h * HOURS: {0: draw(1000)} for h in range(168)})
    rows = sum((estimates(warehouse, "rare", START + h * HOURS, START + min(h + 56, 168) * HOURS) for h in (0, 56, 112)), [])
    states = {m: [r["estimate_state"] for r in rows if r["measure"] == m] for m in ("accuracy", "recall", "f1")}
    assert len(states["recall"]) == 168 and sum(s in ("low", "high") for s in states["recall"] + states["f1"]) == 0
    assert sum(s != "usual" for s in states["accuracy"]) <= 3
    assert set(states["recall"]) == {"too_few"}, "1.5 predicted positives an hour say nothing"
    # A day has enough, and one whose positives are predicted no more is low.
    scored(warehouse, edges, series, {START + 200 * HOURS: {0: draw(24_000)}, START + 201 * HOURS: {0: draw(24_000, top=0.0001)}})
    two = {(r["bucket_start"][:13], r["measure"]): r["estimate_state"] for r in estimates(warehouse, "rare", START + 200 * HOURS, START + 202 * HOURS)}
    assert [state for (_, measure), state in sorted(two.items()) if measure == "recall"] == ["usual", "low"]


def test_a_class_that_is_not_predicted_has_no_precision(warehouse, edges):
    rng = np.random.default_rng(2)
    model, series = warehouse.model("classes")
    feature = warehouse.features(model, ["prediction"], role="prediction")["prediction"]
    ids = sorted(warehouse.categories(feature, ["a", "b", "c"]).values())

    def draw(n, silenced):
        share = rng.dirichlet([3, 3, 1], n)
        top = share.argmax(axis=1)
        top = np.where(silenced & (top == 2), 0, top)
        return {0: (share.max(axis=1), np.ones(n, bool))} | {c: (share[:, k], top == k) for k, c in enumerate(ids)}

    promise(warehouse, edges, model, draw(20_000, False), task="multiclass")
    scored(warehouse, edges, series, {START + h * HOURS: draw(5000, h == 1) for h in range(2)})
    rows = estimates(warehouse, "classes", START, START + 2 * HOURS)
    for h, count in ((0, 3), (1, 2)):
        mine = [r for r in rows if r["measure"] == "precision" and (r["bucket_start"] == rows[0]["bucket_start"]) == (h == 0)]
        one = [float(r["estimate"]) for r in mine if r["class_name"] != "(all)"]
        mean = next(r for r in mine if r["class_name"] == "(all)")
        assert len(one) == count and float(mean["estimate"]) == pytest.approx(sum(one) / 3)
        assert mean["estimate_state"] == ("usual" if h == 0 else "low")


def test_each_bucket_is_estimated_by_its_own_reference(warehouse, edges):
    rng = np.random.default_rng(3)

    def draw(n, top):
        score = rng.beta(*top, n)
        return {0: (score, score >= 0.5)}

    model, series = warehouse.model("moved on")
    before, after = (1, 9), (4, 4)
    promise(warehouse, edges, model, draw(20_000, before), name="a")
    promise(warehouse, edges, model, draw(20_000, after), name="b", effective=START + 5 * HOURS)
    scored(warehouse, edges, series, {START + h * HOURS: draw(2000, before if h < 5 else after) for h in range(10)})
    rows = [r for r in estimates(warehouse, "moved on", START, START + 10 * HOURS) if r["measure"] == "accuracy"]
    assert [r["estimate_state"] for r in rows] == ["usual"] * 10
    whole = warehouse.query(f"SELECT * FROM nadi.estimated_performance('moved on', '{START}', '{START + 10 * HOURS}') WHERE measure = 'accuracy'")[0]
    assert (whole["estimate_state"], whole["prediction_count"]) == ("usual", "10000") and "the reference changed" in whole["reason"]


def drift(warehouse, model, at, **filters):
    given = "".join(f", {name} => {value}" for name, value in filters.items())
    return {r["feature_name"]: r for r in warehouse.query(f"SELECT * FROM nadi.drift('{model}', '{at}', '{at + HOURS}'{given})")}


def test_what_cannot_be_seen_is_not_called_stable(warehouse):
    rng = np.random.default_rng(4)
    model, series = warehouse.model("ids")
    many, some, wide, tiny = map(warehouse.features(model, ["many", "some", "wide", "tiny"]).get, ["many", "some", "wide", "tiny"])
    ids = np.array(list(warehouse.categories(many, [f"v{i}" for i in range(2000)]).values()))
    few = np.array(list(warehouse.categories(some, [f"v{i}" for i in range(20)]).values()))
    values = np.append(rng.normal(size=19_999), 0)
    frozen = {many: Frozen.words(dict.fromkeys(ids.tolist(), 25)), some: Frozen.words(dict.fromkeys(few.tolist(), 2500)),
              wide: Frozen.numbers(values, missing=30_000), tiny: Frozen.numbers(values * 1e-3, missing=30_000)}
    frozen[tiny].m2 = 1e-320
    reference = warehouse.reference(model, frozen, 50_000)
    warehouse.requests(series, {START: 5000}, days=False)
    far = np.where(rng.random(5000) < 0.1, 6.0, rng.normal(size=5000))
    far[0] = 1e6
    warehouse.counts([
        (series, many, START, Window.words(dict(zip(ids[:1000].tolist(), rng.multinomial(5000, np.full(1000, 1e-3)))))),
        (series, some, START, Window.words(dict(zip(few.tolist(), rng.multinomial(5000, np.full(20, 0.05)))))),
        (series, wide, START, Window.numbers(far[:2000], reference, frozen[wide].edges, nulls=3000)),
        (series, tiny, START, Window.numbers(rng.normal(size=2000) * 1e-3, reference, frozen[tiny].edges, nulls=3000))])
    rows = drift(warehouse, "ids", START)
    assert rows["many"]["drift_state"] == "too_coarse" and "too rare to be compared" in rows["many"]["reason"]
    assert rows["some"]["drift_state"] == "stable" and rows["tiny"]["drift_state"] == "stable"
    assert rows["wide"]["wasserstein"] == "" and float(rows["wide"]["psi"]) > 0


def test_ends_of_bins_are_told_apart(warehouse):
    rng = np.random.default_rng(5)
    model, series = warehouse.model("digits")
    feature = warehouse.features(model, ["year"])["year"]
    frozen = Frozen.numbers(rng.normal(1e6, 1, 20_000))
    reference = warehouse.reference(model, {feature: frozen}, 20_000)
    warehouse.requests(series, {START: 5000}, days=False)
    warehouse.counts([(series, feature, START, Window.numbers(rng.normal(1e6 + 2, 1, 5000), reference, frozen.edges))])
    moved = drift(warehouse, "digits", START)["year"]["moved_bins"].split("; ")
    assert len({m.split(": ")[0] for m in moved}) == 3, moved
    names = [r["bin_name"] for r in warehouse.query(f"SELECT * FROM nadi.drift_bins('digits', 'year', '{START}', '{START + HOURS}')")]
    assert len(set(names)) == len(names) and names[0].startswith("below 99999")
    said = warehouse.query("""SELECT nadi_store.short_range(0.1, 0.1 + 1.4e-17) AS one, nadi_store.short_range(5e-324, 1e-323) AS least,
        nadi_store.short_range(12.34, 56.78) AS plain, nadi_store.short_range(-1.7e308, 1.7e308) AS all""")[0]
    assert said == {"one": "0.1", "least": "0", "plain": "12.34 to 56.78", "all": "-1.700e+308 to 1.700e+308"}


def test_a_slice_is_not_blamed_for_what_it_was_cut_by(warehouse):
    rng = np.random.default_rng(6)
    model, _ = warehouse.model("sliced")
    series = int(warehouse.query(
        f"""INSERT INTO nadi_store.series (model_id, model_version, model_variant, environment, slice_key, slice_value)
            VALUES ({model}, '1', 'champion', 'production', 'country', 'de') RETURNING series_id""")[0]["series_id"])
    country, colour = map(warehouse.features(model, ["country", "colour"]).get, ["country", "colour"])
    ids = {f: list(map(warehouse.categories(f, names).get, names)) for f, names in ((country, ["de", "fr"]), (colour, ["red", "blue"]))}
    warehouse.reference(model, {f: Frozen.words(dict.fromkeys(ids[f], 10_000)) for f in ids}, 20_000)
    warehouse.requests(series, {START: 1000}, days=False)
    warehouse.counts([(series, country, START, Window.words({ids[country][0]: 1000})),
                      (series, colour, START, Window.words(dict(zip(ids[colour], rng.multinomial(1000, [0.5, 0.5])))))])
    cut = {"slice_key": "'country'", "slice_values": "ARRAY['de']"}
    assert {name: r["drift_state"] for name, r in drift(warehouse, "sliced", START, **cut).items()} == {"colour": "stable"}
    rows = warehouse.query(f"""SELECT feature_name, quality_state FROM nadi.data_quality('sliced', '{START}', '{START + HOURS}',
        slice_key => 'country', slice_values => ARRAY['de'])""")
    assert {r["feature_name"]: r["quality_state"] for r in rows} == {"colour": "usual", "country": "usual"}
    over = warehouse.query(f"""SELECT DISTINCT feature_name FROM nadi.drift_over_time('sliced', '{START}', '{START + HOURS}',
        slice_key => 'country', slice_values => ARRAY['de'])""")
    assert over == [{"feature_name": "colour"}]


def panel(title):
    document = json.loads((ROOT / "deploy/grafana/dashboards/nadi-overview.json").read_text())
    return next(p for p in document["panels"] if p["title"] == title)["targets"][0]["rawSql"]


def test_bars_hold_all_values(warehouse):
    rng = np.random.default_rng(7)
    model, series = warehouse.model("bars")
    number, word, plain = map(warehouse.features(model, ["number", "word", "plain"]).get, ["number", "word", "plain"])
    ids = np.array(list(map(warehouse.categories(word, [f"v{i}" for i in range(150)]).get, [f"v{i}" for i in range(150)])))
    few = list(map(warehouse.categories(plain, ["small", "large"]).get, ["small", "large"]))
    share = np.arange(1, 151) / np.arange(1, 151).sum()
    warehouse.requests(series, {START + h * HOURS: 5000 for h in range(2)}, days=False)
    warehouse.counts([(series, f, START + h * HOURS, w) for h in range(2) for f, w in (
        (number, Window.numbers(rng.lognormal(0, 2, 5000))), (word, Window.words(dict(zip(ids.tolist(), rng.multinomial(5000, share))))),
        (plain, Window.words(dict(zip(few, (1000, 4000))))))])
    values = {"model": "'bars'", "baseline": "'previous'", "version": "'1'", "environment": "'production'", "slice_key": "'all'",
              "slice_value": "'all'"}
    for feature in ("number", "word", "plain"):
        sql = panel("Distribution of one feature")
        sql = sql.replace("$__timeFrom()", f"'{START + HOURS}'").replace("$__timeTo()", f"'{START + 2 * HOURS}'")
        rows = warehouse.query(re.sub(r"\$\{(\w+):sqlstring\}", lambda m: f"'{feature}'" if m[1] == "feature" else values[m[1]], sql))
        assert len(rows) == 2 if feature == "plain" else 50 <= len(rows) <= 60, (feature, len(rows))
        assert len({r["bin"] for r in rows}) == len(rows)
        for side in ("before", "now"):
            assert sum(float(r[side]) for r in rows) == pytest.approx(1), (feature, side)
        if feature != "number":
            assert max(float(r[side]) for r in rows[1:60 - 1] for side in ("before", "now")) <= max(map(float, (rows[0]["before"], rows[0]["now"])))
            assert feature == "plain" or re.fullmatch(r"\(\d+ others\)", rows[-1]["bin"])
