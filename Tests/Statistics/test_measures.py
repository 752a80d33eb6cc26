"""Every measure of nadi.drift against SciPy and NumPy on random pairs, and columns that must not break the rest."""

from datetime import timedelta

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial.distance import jensenshannon
from warehouse import START, Frozen, Window, code, groups

HOUR = START + timedelta(hours=5)
RANGE = f"'{HOUR}', '{HOUR + timedelta(hours=1)}'"


def real(row, name):
    return float(row[name]) if row[name] != "" else None


def draw_pair(family, rng):
    """Reference and current values of one random pair: alike, moved, wider or narrower."""
    n, m = 50 * int(rng.integers(8, 240)), int(rng.integers(200, 9000))
    move, scale = rng.choice([0, 0, 0.1, 0.5, 3]), rng.choice([1, 1, 1.2, 0.5])
    if family == "normal":
        a, b = rng.normal(size=n), move + scale * rng.normal(size=m)
    elif family == "lognormal":
        a, b = rng.lognormal(0, 1, n), scale * rng.lognormal(move, 1, m)
    elif family == "heavy":
        a, b = rng.standard_t(1.5, n), move + scale * rng.standard_t(1.5, m)
    elif family == "discrete":
        rate = rng.choice([1, 4, 900])
        a, b = rng.poisson(rate, n), rng.poisson(rate * (1 + move / 5), m)
    elif family == "zeros":
        a = np.where(rng.random(n) < 0.6, 0, rng.exponential(2, n))
        b = np.where(rng.random(m) < 0.6 - move / 10, 0, scale * rng.exponential(2, m))
    elif family == "constant":
        a, b = np.full(n, 7.0), rng.choice([7.0, 7.0, 8.0, np.nextafter(7, 8)], m)
    else:  # ties: rounded values, the current ones on the reference's values or half a step beside
        a = np.round(rng.normal(size=n), 1)
        b = np.round(rng.normal(size=m) + move, 1) + rng.choice([0, 0.05])
    offset = rng.choice([0, 0, 1e6, -40])
    return np.asarray(a, float) * 1.0 + offset, np.asarray(b, float) + offset


FAMILIES = ["normal", "lognormal", "heavy", "discrete", "zeros", "constant", "ties"]


def close(found, expected, what):
    assert found is not None and abs(found - expected) <= 1e-9 * max(1, abs(expected)), f"{what}: {found}, expected {expected}"


def expected_numbers(frozen, a, b):
    """The measures of two samples on a reference's edges, by SciPy."""
    edges = frozen.edges
    counts_a = np.asarray(frozen.edge_counts, float)
    counts_b = np.bincount(np.searchsorted(edges, b, side="right"), minlength=len(edges) + 1).astype(float)
    lower = np.concatenate([[min(a.min(), b.min(), edges[0])], edges])
    upper = np.concatenate([edges, [max(a.max(), b.max(), edges[-1])]])
    n, m = counts_a.sum(), counts_b.sum()
    decile = np.array(groups(counts_a))
    g_a, g_b = (np.bincount(decile, weights=c) for c in (counts_a, counts_b))
    k = len(g_a)
    p, q = (g_a + 0.5) / (n + 0.5 * k), (g_b + 0.5) / (m + 0.5 * k)
    joined = [np.concatenate([c[1:-1], [c[0] + c[-1]]]) for c in (counts_a, counts_b)]
    middle = lower + (upper - lower) / 2
    spread = a.std(ddof=1)
    distance = stats.wasserstein_distance(middle, middle, counts_a, counts_b)
    # What lies out of range may be anywhere in its bin: no answer where that may be half of it.
    doubt = sum(abs(counts_a[i] / n - counts_b[i] / m) * (upper[i] - lower[i]) / 2 for i in (0, -1))
    return {
        "psi": ((p - q) * np.log(p / q)).sum(),
        "psi_noise": (1 / n + 1 / m) * stats.chi2.isf(1e-5, k - 1) if k > 1 else 0,
        "jensen_shannon": np.nan_to_num(jensenshannon(joined[0], joined[1], base=2)),
        "wasserstein": distance / spread if spread > 0 and doubt <= max(0.1 * spread, 0.5 * distance) else None,
        "chi_square": stats.chi2_contingency(np.array([g_a, g_b]))[0] if k > 1 else 0,
        "out_of_range_rate": (counts_b[0] + counts_b[-1]) / m,
    }, np.abs(np.cumsum(counts_a) / n - np.cumsum(counts_b) / m).max()


def test_numbers_are_what_scipy_says(warehouse):
    rng = np.random.default_rng(4)
    model, series = warehouse.model("numbers")
    names = [f"{FAMILIES[i % len(FAMILIES)]}_{i}" for i in range(300)]
    features = warehouse.features(model, names)
    pairs = {name: draw_pair(name.split("_")[0], rng) for name in names}
    total = 12_000
    frozen = {name: Frozen.numbers(a, missing=total - len(a)) for name, (a, _) in pairs.items()}
    number = warehouse.reference(model, {features[n]: f for n, f in frozen.items()}, total)
    warehouse.requests(series, {HOUR: total})
    warehouse.counts(
        (series, features[name], HOUR, Window.numbers(b, number, frozen[name].edges, nulls=total - len(b)))
        for name, (_, b) in pairs.items()
    )
    rows = warehouse.query(f"SELECT * FROM nadi.drift('numbers', {RANGE})")
    assert len(rows) == 300
    assert sum(row["wasserstein"] == "" for row in rows if not row["feature_name"].startswith("constant")) < 15, "seldom in doubt"
    for row in rows:
        name = row["feature_name"]
        a, b = pairs[name]
        expected, gap = expected_numbers(frozen[name], a, b)
        exact = stats.ks_2samp(a, b, method="asymp").statistic
        ks = real(row, "ks")
        assert exact - 0.02 - 1e-12 <= ks <= exact + 1e-12, f"{name}: KS {ks} on frozen edges, {exact} exactly"
        close(ks, gap, f"{name}: KS")
        close(real(row, "ks_p_value"), special.kolmogorov(gap * np.sqrt(len(a) * len(b) / (len(a) + len(b)))), f"{name}: p")
        for measure, value in expected.items():
            if value is None:
                assert real(row, measure) is None, f"{name}: {measure}"
            elif measure == "psi_noise":
                assert abs(real(row, measure) - value) <= 3e-6 * value, f"{name}: noise"
            else:
                close(real(row, measure), value, f"{name}: {measure}")
        assert (int(row["baseline_count"]), int(row["current_count"])) == (len(a), len(b))
        close(real(row, "current_missing_rate"), 1 - len(b) / total, f"{name}: missing")
    stored = warehouse.query(f"SELECT nadi_store.refresh_drift({model}, ARRAY[timestamptz '{HOUR}'])")
    assert int(stored[0]["refresh_drift"]) == 600  # the hour and its day
    kept = warehouse.query(f"SELECT * FROM nadi.drift_over_time('numbers', {RANGE}, '1 hour')")
    assert [{k: v for k, v in row.items() if not k.startswith("bucket_")} for row in kept] == rows


def test_categories_are_what_scipy_says(warehouse):
    rng = np.random.default_rng(5)
    model, series = warehouse.model("words")
    names = [f"f{i}" for i in range(60)]
    features = warehouse.features(model, names)
    pairs, frozen, current = {}, {}, []
    total = 9000
    for i, name in enumerate(names):
        size = int(rng.integers(2, 18))
        ids = list(warehouse.categories(features[name], [f"v{j}" for j in range(size + 2)]).values())
        share = rng.dirichlet(np.full(size, 3.0)) * 0.9 + 0.1 / size
        n, m = int(rng.integers(2000, total)), int(rng.integers(1000, total))
        a = rng.multinomial(n, share)
        new = int(rng.integers(0, m // 4)) if i % 3 == 0 else 0
        b = rng.multinomial(m - new, share if i % 2 else np.roll(share, 1))
        pairs[name] = (np.append(a, 0), np.append(b, new))
        frozen[features[name]] = Frozen.words(dict(zip(ids, a)), missing=total - n)
        words = dict(zip(ids, b)) | {ids[-1]: new // 2, ids[-2]: new - new // 2}  # two new values are one cell
        current.append((series, features[name], HOUR, Window.words(words, nulls=total - m)))
    warehouse.reference(model, frozen, total)
    warehouse.requests(series, {HOUR: total})
    warehouse.counts(current)
    for row in warehouse.query(f"SELECT * FROM nadi.drift('words', {RANGE})"):
        name = row["feature_name"]
        a, b = (c[pairs[name][0] + pairs[name][1] > 0].astype(float) for c in pairs[name])
        n, m, k = a.sum(), b.sum(), len(a)
        p, q = (a + 0.5) / (n + 0.5 * k), (b + 0.5) / (m + 0.5 * k)
        assert int(row["bin_count"]) == k
        close(real(row, "psi"), ((p - q) * np.log(p / q)).sum(), f"{name}: PSI")
        close(real(row, "jensen_shannon"), jensenshannon(a, b, base=2), f"{name}: JS")
        close(real(row, "l_infinity"), np.abs(a / n - b / m).max(), f"{name}: L-infinity")
        close(real(row, "chi_square"), stats.chi2_contingency(np.array([a, b]))[0], f"{name}: chi-square")
        close(real(row, "unseen_rate"), pairs[name][1][-1] / m, f"{name}: unseen")
        assert row["ks"] == "" and row["wasserstein"] == "" and row["out_of_range_rate"] == ""


def test_ranges_are_compared_on_shared_edges_else_on_log_bins(warehouse):
    rng = np.random.default_rng(6)
    model, series = warehouse.model("ranges")
    features = warehouse.features(model, ["year", "far"])
    trained = {name: 2013 + rng.normal(size=20_000) for name in features}
    frozen = {name: Frozen.numbers(v) for name, v in trained.items()}
    number = warehouse.reference(model, {features[n]: f for n, f in frozen.items()}, 20_000)
    hours = [HOUR, HOUR + timedelta(hours=1)]
    warehouse.requests(series, {at: 4000 for at in hours})
    values = {"year": [2013 + rng.normal(size=4000), 2013.4 + rng.normal(size=4000)],
              "far": [rng.lognormal(10, 1, 4000), rng.lognormal(11, 1, 4000)]}
    warehouse.counts((series, features[n], at, Window.numbers(v[i], number, frozen[n].edges)) for n, v in values.items()
                     for i, at in enumerate(hours))
    rows = {r["feature_name"]: r for r in warehouse.query(
        f"SELECT * FROM nadi.drift('ranges', '{hours[1]}', '{hours[1] + timedelta(hours=1)}', 'previous')")}
    # Log bins are wider than the values vary: only the edges see it.
    assert rows["year"]["drift_state"] in ("shifted", "drifted")
    a, b = (np.cumsum(np.bincount(np.searchsorted(frozen["year"].edges, v, side="right"), minlength=53)) for v in values["year"])
    close(real(rows["year"], "ks"), np.abs(a - b).max() / 4000, "KS on the edges")
    # All of both hours lies beyond the reference's maximum: one bin of the edges, many of the others.
    assert rows["far"]["drift_state"] == "drifted"
    bins = np.unique(np.concatenate([code(v) for v in values["far"]]))
    a, b = (np.searchsorted(np.sort(code(v)), bins, side="right") / 4000 for v in values["far"])
    close(real(rows["far"], "ks"), np.abs(a - b).max(), "KS on log bins")
    # Hours of other edges are compared with the reference in log bins.
    warehouse.query(f"UPDATE nadi_store.feature_hour SET edge_set_id = 0, edge_counts = NULL WHERE hour = '{hours[1]}'")
    row = warehouse.query(f"SELECT * FROM nadi.drift('ranges', '{hours[1]}', '{hours[1] + timedelta(hours=1)}', features => '{{far}}')")[0]
    bins = np.unique(np.concatenate([code(values["far"][1]), code(trained["far"])]))
    a, b = (np.searchsorted(np.sort(code(v)), bins, side="right") / len(v) for v in (trained["far"], values["far"][1]))
    close(real(row, "ks"), np.abs(a - b).max(), "KS against the reference in log bins")
    year = warehouse.query(f"SELECT * FROM nadi.drift('ranges', '{hours[1]}', '{hours[1] + timedelta(hours=1)}', features => '{{year}}')")[0]
    assert year["drift_state"] == "too_coarse" and year["reason"] == "values vary less than the bins are wide"


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_no_column_breaks_the_rest(warehouse):
    rng = np.random.default_rng(7)
    n, total = 3000, 20_000
    normal = rng.normal(size=total)
    # name: (reference, current, state)
    columns = {
        "plain": (normal, rng.normal(size=n), "stable"),
        "constant": (np.full(total, 7.0), np.full(n, 7.0), "stable"),
        "replaced": (np.full(total, 7.0), np.full(n, 9.0), "drifted"),
        "emptied": (normal, [], "drifted"),
        "never": ([], [], "too_few"),
        "filled": ([], rng.normal(size=n), "drifted"),
        "huge": (normal * 1e300, rng.normal(size=n) * 1e300, "stable"),
        "one huge": (np.append(normal[1:], 1e308), np.append(rng.normal(size=n - 2), [1.7e308, -1.7e308]), "stable"),
        "tiny": (normal * 1e-200, rng.normal(size=n) * 1e-200, "stable"),
        "denormal": (rng.integers(0, 3, total) * 5e-324, rng.integers(0, 3, n) * 5e-324, "stable"),
        "zero or not": (rng.random(total) < 0.1, rng.random(n) < 0.1, "stable"),
        "shrunk": (normal, normal[:150], "drifted"),
    }
    model, series = warehouse.model("odd")
    features = warehouse.features(model, [*columns, "new type", "new", "word", "words lost", "rare words"])
    frozen = {features[name]: Frozen.numbers(np.asarray(a, float), missing=total - len(a)) for name, (a, _, _) in columns.items()}
    frozen[features["new type"]] = Frozen.numbers(normal)
    ids = warehouse.categories(features["word"], ["a", "b"])
    frozen[features["word"]] = Frozen.words({ids["a"]: total - 100, ids["b"]: 100})
    lost = warehouse.categories(features["words lost"], ["c"])
    frozen[features["words lost"]] = Frozen.words({lost["c"]: total})
    rare = list(warehouse.categories(features["rare words"], [f"r{i}" for i in range(4000)]).values())
    share = 1 / np.arange(1, 4001)
    share /= share.sum()
    frozen[features["rare words"]] = Frozen.words({i: c for i, c in zip(rare, rng.multinomial(total, share)) if c})
    for f in frozen.values():  # as Moments has it: beyond 1e120 there is no variance
        if not f.m2 < 1e300:
            f.mean_high, f.m2 = 0, 1e300
    number = warehouse.reference(model, frozen, total)
    warehouse.requests(series, {HOUR: n})
    rows = []
    for name, (_, b, _) in columns.items():
        if name != "emptied":
            edges = frozen[features[name]].edges
            made = Window.numbers(np.asarray(b, float), number, edges if len(edges) else None, nulls=n - len(b))
            if not made.m2 < 1e300:
                made.mean_high, made.m2 = 0, 1e300
            rows.append((series, features[name], HOUR, made))
    rows.append((series, features["new type"], HOUR, Window.words({ids["a"]: n})))
    rows.append((series, features["new"], HOUR, Window.numbers(normal[:n])))
    rows.append((series, features["word"], HOUR, Window.words({ids["a"]: n - 20, ids["b"]: 20})))
    rows.append((series, features["rare words"], HOUR, Window.words(dict(zip(rare, rng.multinomial(n, share))))))
    # The hour before, so that two hours have moments to merge: means that differ by less than has a square.
    before = HOUR - timedelta(hours=1)
    warehouse.requests(series, {before: n}, days=False)
    for name in ("tiny", "denormal", "plain"):
        values = np.asarray(columns[name][1]) * 1.5
        rows.append((series, features[name], before, Window.numbers(values, number, frozen[features[name]].edges)))
    warehouse.counts(rows)
    expected = {name: state for name, (_, _, state) in columns.items()}
    expected |= {"new type": "drifted", "new": "no_reference", "word": "stable", "words lost": "drifted", "rare words": "stable"}
    found = warehouse.query(f"SELECT * FROM nadi.drift('odd', {RANGE})")
    assert {r["feature_name"]: r["drift_state"] for r in found} == expected
    reasons = {r["feature_name"]: r["reason"] for r in found}
    assert reasons["replaced"] == "out of range" and reasons["emptied"] == "missing rate" and reasons["new"] == "not in the reference"
    assert reasons["new type"] == "missing rate" and reasons["words lost"] == "missing rate"
    stored = warehouse.query(f"SELECT nadi_store.refresh_drift({model}, ARRAY[timestamptz '{HOUR}'])")
    assert int(stored[0]["refresh_drift"]) == 2 * len(expected) - 1  # the day lacks the new feature
    warehouse.query("; ".join(f"SELECT * FROM nadi.drift_bins('odd', '{name}', {RANGE})" for name in expected))
    both = f"'{before}', '{HOUR + timedelta(hours=1)}'"
    assert len(warehouse.query(f"SELECT * FROM nadi.drift('odd', {both})")) == len(expected)
    statistics = warehouse.query(f"SELECT * FROM nadi.feature_statistics('odd', {both})")
    assert len(warehouse.query("SELECT * FROM nadi.feature_hour WHERE model_name = 'odd'")) > len(statistics) > 10
    warehouse.query(f"UPDATE nadi_store.reference_activation SET reference_id = NULL WHERE model_id = {model}")
    states = {r["drift_state"] for r in warehouse.query(f"SELECT * FROM nadi.drift('odd', {RANGE})")}
    assert states == {"no_reference"}
    between = warehouse.query(f"SELECT * FROM nadi.drift_between('odd', {RANGE}, {RANGE})")
    assert {r["drift_state"] for r in between} <= {"stable", "too_few", "too_coarse"} and all(float(r["psi"] or 0) == 0 for r in between)
