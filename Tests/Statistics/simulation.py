"""What chance does to drift against a reference, and what a real shift does: the tables of sql/README.md.

    python Tests/Statistics/simulation.py noise [--weeks N]     false alarms a model and week, nothing having moved
    python Tests/Statistics/simulation.py power [--windows N]   how often a real shift is found in 5,000 rows
    python Tests/Statistics/simulation.py rule [--windows N]    why the distribution's test needs PSI and chi-square

Every state of the first two is nadi.drift's own, stored by nadi_store.refresh_drift in a database of NADI_TEST_POSTGRES. Rows are independent.
Counts per bin are drawn as multinomials of the bins' true shares, which is the same as drawing and counting rows.
"""

import argparse
import time
from datetime import timedelta

import numpy as np
from scipy import stats
from warehouse import START, Frozen, Warehouse, Window

ROWS = 50_000  # of a reference
HOURS = [START + timedelta(hours=h) for h in range(168)]


def mixture(zero, law):
    """A share of zeros, else a positive law."""
    return lambda x: zero * (np.asarray(x) >= 0) + (1 - zero) * law.cdf(x), lambda rng, n: np.where(
        rng.random(n) < zero, 0, law.rvs(n, random_state=rng))


def plain(law):
    return law.cdf, lambda rng, n: law.rvs(n, random_state=rng).astype(float)


def numbers():
    """name: (distribution function, draw) of 30 numeric features: continuous, discrete, with ties at one value."""
    laws = {}
    for i, scale in enumerate((1, 1e-3, 40, 1e6)):
        laws[f"normal {i}"] = plain(stats.norm(3 * scale, scale))
        laws[f"lognormal {i}"] = plain(stats.lognorm(0.5 + 0.4 * i, scale=scale))
        laws[f"exponential {i}"] = plain(stats.expon(scale=scale))
        laws[f"heavy {i}"] = plain(stats.t(1.5 + i, loc=scale))
    laws |= {f"uniform {i}": plain(stats.uniform(i, 1 + i)) for i in range(2)}
    laws |= {f"counts {rate}": plain(stats.poisson(rate)) for rate in (0.05, 1, 5, 40, 1000)}
    laws |= {f"flag {share}": plain(stats.bernoulli(share)) for share in (0.003, 0.05, 0.5)}
    laws |= {f"mostly zero {share}": mixture(share, stats.expon(scale=5)) for share in (0.3, 0.7, 0.95)}
    laws["seven"] = (lambda x: (np.asarray(x) >= 7).astype(float), lambda rng, n: np.full(n, 7.0))
    return laws


def words():
    """name: true shares of 20 categorical features, two of them with thousands of values, most never seen in an hour."""
    laws = {}
    for k in (2, 3, 5, 10, 20, 50):
        laws[f"even {k}"] = np.full(k, 1 / k)
        laws[f"harmonic {k}"] = 1 / np.arange(1, k + 1)
        laws[f"steep {k}"] = 0.6 ** np.arange(k)
    laws["long tail"] = 1 / np.arange(1, 1001)
    laws["longer tail"] = 1 / np.arange(1, 2001) ** 0.8
    return {name: law / law.sum() for name, law in laws.items()}


MISSING = (0, 0, 0.0004, 0.02, 0.3)  # in turn


class Model:
    """A model whose features all keep their laws, with a reference drawn from them."""

    def __init__(self, warehouse, name, rng, laws, shares, missing=MISSING):
        self.warehouse, self.name, self.rng = warehouse, name, rng
        self.number, self.series = warehouse.model(name)
        self.laws, self.shares = laws, shares
        self.ids = warehouse.features(self.number, [*laws, *shares])
        self.missing = {f: missing[i % len(missing)] for i, f in enumerate(self.ids)}
        self.frozen, self.words, self.cells = {}, {}, {}
        for f, (distribution, draw) in laws.items():
            lost = rng.binomial(ROWS, self.missing[f])
            self.frozen[f] = Frozen.numbers(draw(rng, ROWS - lost), missing=lost)
            # The share below an edge is that of all doubles less than it: bins are closed below.
            below = distribution(np.nextafter(self.frozen[f].edges, -np.inf))
            self.cells[f] = np.clip(np.diff(np.concatenate([[0], below, [1]])), 0, None)
        for f, share in shares.items():
            lost = rng.binomial(ROWS, self.missing[f])
            self.words[f] = np.array(sorted(warehouse.categories(self.ids[f], [f"v{i}" for i in range(len(share))]).values()))
            drawn = rng.multinomial(ROWS - lost, share)
            kept = drawn > 0
            self.frozen[f] = Frozen.words(dict(zip(self.words[f][kept].tolist(), drawn[kept].tolist())), missing=lost)
        self.reference = warehouse.reference(self.number, {self.ids[f]: z for f, z in self.frozen.items()}, ROWS)

    def window(self, feature, n):
        """A window of n rows of an unchanged feature."""
        lost = self.rng.binomial(n, self.missing[feature])
        z = self.frozen[feature]
        if feature in self.laws:
            cells = self.cells[feature]
            return Window(numeric_count=n - lost, null_count=lost, edge_set_id=self.reference, minimum=z.minimum, maximum=z.maximum,
                          mean_high=z.mean_high, edge_counts=self.rng.multinomial(n - lost, cells / cells.sum()))
        drawn = self.rng.multinomial(n - lost, self.shares[feature])
        kept = drawn > 0
        return Window(categorical_count=n - lost, null_count=lost, edge_set_id=self.reference,
                      category_ids=self.words[feature][kept], category_counts=drawn[kept])

    def store(self, n, windows):
        """Fills hours and lets the loader's function judge them: rows of nadi.drift_hour that are not stable."""
        hours = sorted({at for _, at, _ in windows})
        self.warehouse.copy(
            "nadi_store.request_hour",
            ["series_id", "hour", "requests", "predictions", "errors", "failed_predictions", "latency_count", "latency_sum",
             "latency_bins", "latency_counts"],
            [(self.series, at, n, n, 0, 0, 0, 0, [], []) for at in hours])
        self.warehouse.counts((self.series, self.ids[f], at, w) for f, at, w in windows)
        first, last = hours[0], hours[-1]
        self.warehouse.query(
            f"SELECT nadi_store.refresh_drift({self.number}, ARRAY(SELECT generate_series(timestamptz '{first}', '{last}', '1 hour')))")
        return self.warehouse.query(
            f"""SELECT feature_name, bucket_start, drift_state, drift_reason, psi, psi_noise FROM nadi.drift_hour
                WHERE model_name = '{self.name}'""")


def noise(warehouse, n, weeks, seed=1, hours=HOURS):
    """[(feature, state, reason)] of all rows that are not stable in weeks of n rows an hour, and how many rows were judged."""
    rng = np.random.default_rng([seed, n])
    alarms, judged = [], 0
    for week in range(weeks):
        model = Model(warehouse, f"n{n} week {week}", rng, numbers(), words())
        rows = model.store(n, [(f, at, model.window(f, n)) for at in hours for f in model.ids])
        judged += len(rows)
        alarms += [(r["feature_name"], r["drift_state"], r["drift_reason"]) for r in rows if r["drift_state"] in ("shifted", "drifted")]
        for table in ("feature_hour", "drift_hour"):  # keep the database small
            warehouse.query(f"TRUNCATE nadi_store.{table}")
    return alarms, judged


SIZE = 5_000


def shifts():
    """name: (law before, draw after the shift) of numbers, and (shares before, shares after) of categories."""
    moved, mixed = {}, {}
    for name, law in {"normal": stats.norm(10, 2), "lognormal": stats.lognorm(0.5), "exponential": stats.expon(scale=3),
                      "uniform": stats.uniform(0, 1), "counts (Poisson, 20)": stats.poisson(20)}.items():
        mean, deviation = law.mean(), law.std()
        moved[f"mean + 0.25 std: {name}"] = (
            law, lambda rng, n, law=law, d=deviation: law.rvs(n, random_state=rng) + 0.25 * d)
        moved[f"variance x 1.3: {name}"] = (
            law, lambda rng, n, law=law, m=mean: m + np.sqrt(1.3) * (law.rvs(n, random_state=rng) - m))
    for k in (2, 5, 10, 20):
        mixed[f"share 20 to 25 %: {k} categories"] = (
            np.append(0.2, np.full(k - 1, 0.8 / (k - 1))), np.append(0.25, np.full(k - 1, 0.75 / (k - 1))))
    rest = 1 / np.arange(1, 20)
    rest /= rest.sum()
    mixed["share 20 to 25 %: 20 uneven categories"] = (np.append(0.2, 0.8 * rest), np.append(0.25, 0.75 * rest))
    return moved, mixed


def power(warehouse, windows, seed=1):
    """{shift: share of the windows of 5,000 rows in which it was shifted or drifted}."""
    rng = np.random.default_rng(seed)
    moved, mixed = shifts()
    model = Model(warehouse, "shifts", rng, {name: plain(law) for name, (law, _) in moved.items()},
                  {name: before for name, (before, _) in mixed.items()}, missing=(0,))
    rows = []
    for at in (START + timedelta(hours=i) for i in range(windows)):
        for name, (_, after) in moved.items():
            edges = model.frozen[name].edges
            rows.append((name, at, Window.numbers(after(rng, SIZE), model.reference, edges, logs=False)))
        for name, (_, after) in mixed.items():
            rows.append((name, at, Window.words(dict(zip(model.words[name].tolist(), rng.multinomial(SIZE, after).tolist())))))
    found = model.store(SIZE, rows)
    assert len(found) == windows * (len(moved) + len(mixed))
    return {name: sum(r["drift_state"] in ("shifted", "drifted") for r in found if r["feature_name"] == name) / windows
            for name in [*moved, *mixed]}


def rule(windows, seed=1):
    """[(groups, rows, shares of windows above the limit at 1e-5 by PSI alone, by chi-square alone, by both)]."""
    rng = np.random.default_rng(seed)
    laws = {"ten deciles": np.full(10, 0.1), "5 %": np.array([0.95, 0.05]), "6 %": np.array([0.94, 0.06]), "10 %": np.array([0.9, 0.1]),
            "harmonic, 20": 1 / np.arange(1, 21)}
    for name, law in laws.items():
        law = law / law.sum()
        limit = stats.chi2.isf(1e-5, len(law) - 1)
        for m in (200, 1_000, 5_000):
            above = np.zeros(3)
            for _ in range(max(1, windows // 100_000)):
                a = rng.multinomial(ROWS, law, size=100).repeat(1000, axis=0)
                b = rng.multinomial(m, law, size=len(a))
                p, q = (a + 0.5) / (ROWS + 0.5 * len(law)), (b + 0.5) / (m + 0.5 * len(law))
                by_psi = ((p - q) * np.log(p / q)).sum(1) > (1 / ROWS + 1 / m) * limit
                by_chi = ((a * m - b * ROWS) ** 2 / ((a + b) * float(ROWS) * m)).sum(1) > limit
                above += [by_psi.mean(), by_chi.mean(), (by_psi & by_chi).mean()]
            yield name, m, *(above / max(1, windows // 100_000))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["noise", "power", "rule"])
    parser.add_argument("--weeks", type=int, default=20, help="simulated weeks of 168 hours (noise)")
    parser.add_argument("--windows", type=int, default=400, help="windows of 5,000 rows for each shift (power), or in all (rule)")
    parser.add_argument("--rows", type=int, nargs="*", default=[200, 1_000, 10_000, 100_000], help="rows an hour (noise)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.what == "rule":
        print("| groups | rows | PSI alone | chi-square alone | both |\n|---|---|---|---|---|")
        for name, m, *shares in rule(max(given.windows, 2_000_000), given.seed):
            print(f"| {name} | {m:,} | " + " | ".join(f"{s:.1e}" for s in shares) + " |", flush=True)
        return
    with Warehouse() as warehouse:
        if given.what == "power":
            print("| shift | found |\n|---|---|")
            for name, share in power(warehouse, given.windows, given.seed).items():
                print(f"| {name} | {100 * share:.1f} % |", flush=True)
            return
        print("| rows an hour | weeks | states judged | `shifted` a week | `drifted` a week |\n|---|---|---|---|---|")
        for n in given.rows:
            began = time.monotonic()
            alarms, judged = noise(warehouse, n, given.weeks, given.seed)
            count = {s: sum(a[1] == s for a in alarms) for s in ("shifted", "drifted")}
            print(f"| {n:,} | {given.weeks} | {judged:,} | {count['shifted'] / given.weeks:.2f} | {count['drifted'] / given.weeks:.2f} |"
                  f" <!-- {time.monotonic() - began:.0f} s {sorted(alarms)} -->", flush=True)


if __name__ == "__main__":
    main()
