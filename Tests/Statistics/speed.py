"""How long drift takes on thirty days of models with fifty features and a score, 5,000 rows an hour.

    python Tests/Statistics/speed.py [--models 10]

Fills a database of NADI_TEST_POSTGRES, lets the loader's function store drift, and prints for each query the least and the
median of nine runs inside the server, as EXPLAIN ANALYZE has it.
"""

import argparse
import re
import statistics
import time
from datetime import timedelta

import numpy as np
from warehouse import START, Frozen, Warehouse, Window

ROWS, HOURLY, DAYS = 50_000, 5_000, 31
LAWS = [
    lambda rng, n: rng.normal(50, 10, n), lambda rng, n: rng.lognormal(0, 1, n), lambda rng, n: rng.poisson(5, n) * 1.0,
    lambda rng, n: np.where(rng.random(n) < 0.4, 0, rng.exponential(3, n)),
]
SHARES = 1 / np.arange(1, 21) / (1 / np.arange(1, 21)).sum()


def fill(warehouse, name, rng, days=DAYS):
    """One day of a model drawn, and copied to the others."""
    model, series = warehouse.model(name)
    numbers = warehouse.features(model, [f"n{i}" for i in range(40)])
    texts = warehouse.features(model, [f"c{i}" for i in range(9)]) | warehouse.features(model, ["prediction"], role="prediction")
    law = {f: LAWS[i % len(LAWS)] for i, f in enumerate(numbers.values())}
    words = {f: sorted(warehouse.categories(f, [f"v{i}" for i in range(20)]).values()) for f in texts.values()}
    frozen = {f: Frozen.numbers(draw(rng, ROWS)) for f, draw in law.items()}
    frozen |= {f: Frozen.words(dict(zip(ids, rng.multinomial(ROWS, SHARES)))) for f, ids in words.items()}
    reference = warehouse.reference(model, frozen, ROWS)

    def rows(at, n):
        for f, draw in law.items():
            yield series, f, at, Window.numbers(draw(rng, n), reference, frozen[f].edges)
        for f, ids in words.items():
            yield series, f, at, Window.words(dict(zip(ids, rng.multinomial(n, SHARES))), reference=reference)

    hours = [START + timedelta(hours=h) for h in range(24)]
    warehouse.requests(series, {START + timedelta(hours=h): HOURLY for h in range(24 * days)})
    warehouse.counts(row for at in hours for row in rows(at, HOURLY))
    warehouse.counts(rows(START, 24 * HOURLY), "feature_day", "day")
    bins, zeros = list(range(20, 100)), [0] * 80
    score = ["series_id", "category_id", "hour", "bins", "counts", "sums", "positive_counts", "positive_sums"]
    even = np.full(80, 1 / 80)
    warehouse.copy("nadi_store.score_hour", score, (
        (series, 0, at, bins, rng.multinomial(HOURLY, even), zeros, zeros, zeros) for at in hours))
    warehouse.copy("nadi_store.score_day", [c.replace("hour", "day") for c in score], [
        (series, 0, START, bins, rng.multinomial(24 * HOURLY, even), zeros, zeros, zeros)])
    warehouse.copy(
        "nadi_store.reference_score",
        ["reference_id", "category_id", "bins", "counts", "sums", "positive_counts", "positive_sums", "label_counts", "label_sums"],
        [(reference, 0, bins, rng.multinomial(ROWS, even), zeros, zeros, zeros, zeros, zeros)])
    features = ", ".join(["series_id", "feature_id", *Window.columns])
    scores = ", ".join(c for c in score if c != "hour")
    for grain in ("hour", "day"):
        for table, columns in (("feature", features), ("score", scores)):
            warehouse.query(f"""INSERT INTO nadi_store.{table}_{grain} ({columns}, {grain})
                SELECT {columns}, {grain} + d * interval '1 day' FROM nadi_store.{table}_{grain}, generate_series(1, {days - 1}) d
                WHERE series_id = {series}""")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=10)
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    month = f"'{START}', '{START + timedelta(days=30)}'"
    ragged = f"'{START + timedelta(hours=1)}', '{START + timedelta(days=30, hours=-1)}'"
    over = lambda days, rest="": f"SELECT * FROM nadi.drift_over_time('unstored', '{START}', '{START + timedelta(days=days)}'{rest})"
    all_models = "(SELECT * FROM nadi.model WHERE model_name <> 'unstored') m CROSS JOIN LATERAL nadi.{}(m.model_name, " + month + "{}) d"
    queries = {
        "one model, 30 days, drift": f"SELECT * FROM nadi.drift('m0', {month})",
        "one model, 30 days less two hours, drift": f"SELECT * FROM nadi.drift('m0', {ragged})",
        "one model, 15 days against the 15 before": f"SELECT * FROM nadi.drift('m0', '{START + timedelta(days=15)}', "
                                                    f"'{START + timedelta(days=30)}', 'previous')",
        "one model, day by day, stored": f"SELECT * FROM nadi.drift_over_time('m0', {month}, '1 day')",
        "one model, hour by hour, stored": f"SELECT * FROM nadi.drift_over_time('m0', {month}, '1 hour')",
        "all models, day by day, stored": f"SELECT * FROM {all_models.format('drift_over_time', '')}",
        "all models, 30 days, drift of predictions and scores":
            f"SELECT * FROM {all_models.format('drift', ', roles => ARRAY[$$prediction$$, $$score$$]')}",
        "one model, 30 days by day, computed": over(30),
        "one model, 2 days by hour, computed": over(2),
        "one model, 90 days by week (never stored)": over(90),
        "one model, 30 days by week, each against the week before": over(30, ", baseline => 'previous'"),
        "one model, 30 days by day, each against the day a week before": over(30, ", baseline => 'last_week'"),
    }
    with Warehouse() as warehouse:
        for i in range(given.models):
            fill(warehouse, f"m{i}", rng)
        fill(warehouse, "unstored", rng, 92)
        warehouse.query("VACUUM ANALYZE")
        began = time.monotonic()
        stored = warehouse.query(f"""SELECT sum(nadi_store.refresh_drift(model_id, ARRAY(
            SELECT generate_series(timestamptz '{START}', timestamptz '{START}' + interval '{24 * DAYS - 1} hours', '1 hour'))))
            FROM nadi_store.model WHERE model_name <> 'unstored'""")
        print(f"{int(stored[0]['sum']):,} rows of drift stored in {time.monotonic() - began:.0f} s\n")
        print(f"| {given.models} models in all | least | median |\n|---|---|---|")
        for name, query in queries.items():
            # One session, as a dashboard's; the first call plans.
            said = warehouse.query("; ".join(["SET jit = off", *[f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, FORMAT TEXT) {query}"] * 10]))
            times = [float(t) for t in re.findall(r"Execution Time: ([\d.]+) ms", str(said))][1:]
            print(f"| {name} | {min(times):.0f} ms | {statistics.median(times):.0f} ms |", flush=True)


if __name__ == "__main__":
    main()
