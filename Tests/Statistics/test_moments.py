"""Moments that merge in any order: counts, means and sums of squares of parts against those of the whole, in SQL."""

import itertools
from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest
from warehouse import START, Window


def exact(values):
    """Mean and sum of squared deviations without rounding."""
    numbers = [Fraction(float(v)) for v in values]
    mean = sum(numbers) / len(numbers)
    return mean, sum((v - mean) ** 2 for v in numbers)


def moments(values):
    """A part as the loader has it: the mean as an unevaluated sum of two doubles."""
    if len(values) == 0:
        return 0, 0.0, 0.0, 0.0
    mean, m2 = exact(values)
    high = float(mean)
    return len(values), high, float(mean - Fraction(high)), float(m2)


def call(a, b):
    return f"nadi_store.merge_moments({a}, {b})"


@pytest.mark.parametrize("mean, deviation", [(1e9, 1), (0, 1), (-1e9, 1e-3), (1e15, 1)])
def test_merging_is_the_whole_in_any_order(warehouse, mean, deviation):
    rng = np.random.default_rng(int(abs(mean) % 1000) + 9)
    values = mean + deviation * rng.normal(size=2000)
    true_mean, true_m2 = exact(values)
    cuts = np.sort(rng.integers(0, len(values), 7))
    parts = np.split(values, cuts)  # of very different sizes, perhaps empty
    rows = [moments(p) for p in parts]
    orders = [list(range(8)), list(reversed(range(8)))] + [rng.permutation(8).tolist() for _ in range(60)]
    # One statement: each order folded from the left, and the same parts as a balanced tree.
    listed = ", ".join(f"({o}, {i}, {n}, {h!r}::float8, {lo!r}::float8, {m!r}::float8)"
                       for o, order in enumerate(orders) for i, (n, h, lo, m) in enumerate(rows[p] for p in order))
    found = warehouse.query(f"""
        WITH RECURSIVE part (o, i, n, h, l, m) AS (VALUES {listed}), fold AS (
            SELECT o, i, n::bigint, h, l, m FROM part WHERE i = 0
            UNION ALL
            SELECT p.o, p.i, f.n + p.n, x.mean_high, x.mean_low, x.m2
            FROM fold f JOIN part p ON p.o = f.o AND p.i = f.i + 1
            CROSS JOIN LATERAL nadi_store.merge_moments(f.n, f.h, f.l, f.m, p.n, p.h, p.l, p.m) x
        ), pair AS (
            SELECT a.o, a.i / 2 AS i, a.n + b.n::bigint AS n, x.mean_high AS h, x.mean_low AS l, x.m2 AS m
            FROM part a JOIN part b ON b.o = a.o AND b.i = a.i + 1 AND a.i % 2 = 0
            CROSS JOIN LATERAL nadi_store.merge_moments(a.n, a.h, a.l, a.m, b.n, b.h, b.l, b.m) x
        ), four AS (
            SELECT a.o, a.i / 2 AS i, a.n + b.n AS n, x.mean_high AS h, x.mean_low AS l, x.m2 AS m
            FROM pair a JOIN pair b ON b.o = a.o AND b.i = a.i + 1 AND a.i % 2 = 0
            CROSS JOIN LATERAL nadi_store.merge_moments(a.n, a.h, a.l, a.m, b.n, b.h, b.l, b.m) x
        )
        SELECT n, h, l, m FROM fold WHERE i = 7
        UNION ALL
        SELECT a.n + b.n, x.mean_high, x.mean_low, x.m2 FROM four a JOIN four b ON b.o = a.o AND a.i = 0 AND b.i = 1
        CROSS JOIN LATERAL nadi_store.merge_moments(a.n, a.h, a.l, a.m, b.n, b.h, b.l, b.m) x""")
    assert len(found) == 2 * len(orders)
    spread = float(true_m2 / (len(values) - 1)) ** 0.5
    for row in found:
        assert int(row["n"]) == len(values)
        off = Fraction(float(row["h"])) + Fraction(float(row["l"])) - true_mean
        assert abs(off) <= 1e-9 * spread, f"the mean is off by {float(off)}"
        assert abs(float(row["m"]) / float(true_m2) - 1) <= 1e-9, f"sum of squares {row['m']}, exactly {float(true_m2)}"


def test_merging_two_is_commutative(warehouse):
    rng = np.random.default_rng(3)
    pairs = [(moments(1e9 + rng.normal(size=a)), moments(1e9 + rng.normal(size=b))) for a, b in itertools.product((0, 1, 7, 400), repeat=2)]

    def arguments(part):
        return f"{part[0]}, {part[1]!r}::float8, {part[2]!r}::float8, {part[3]!r}::float8"

    for a, b in pairs:
        row = warehouse.query(
            f"""SELECT x.mean_high AS xh, x.mean_low AS xl, x.m2 AS xm, y.mean_high AS yh, y.mean_low AS yl, y.m2 AS ym
                FROM {call(arguments(a), arguments(b))} x, {call(arguments(b), arguments(a))} y""")[0]
        one, other = (Fraction(float(row[s + "h"])) + Fraction(float(row[s + "l"])) for s in "xy")
        assert abs(one - other) <= 1e-12
        assert abs(float(row["xm"]) - float(row["ym"])) <= 1e-9 * max(1e-300, float(row["xm"]))


def test_a_range_has_the_moments_of_its_values(warehouse):
    rng = np.random.default_rng(11)
    model, series = warehouse.model("m")
    feature = warehouse.features(model, ["f"])["f"]
    hours = [START + timedelta(hours=h) for h in range(20)]
    sizes = rng.integers(0, 400, 20)
    values = [1e9 + rng.normal(size=n) for n in sizes]
    warehouse.requests(series, {at: int(n) + 1 for at, n in zip(hours, sizes)})

    def window(v):
        n, high, low, m2 = moments(v)
        made = Window.numbers(v)
        made.mean_high, made.mean_low, made.m2 = high, low, m2
        return made

    warehouse.counts((series, feature, at, window(v)) for at, v in zip(hours, values))
    warehouse.query(f"SELECT nadi_store.derive_feature_day('{START}')")
    whole = np.concatenate(values)
    mean, m2 = exact(whole)
    deviation = float(m2 / (len(whole) - 1)) ** 0.5
    for first, last in ((hours[0], START + timedelta(days=1)), (hours[0], hours[-1] + timedelta(hours=1))):  # by the day, by the hours
        row = warehouse.query(f"SELECT * FROM nadi.feature_statistics('m', '{first}', '{last}')")[0]
        assert int(row["numeric_count"]) == len(whole)
        # The mean is one double here: half its last digit at 1e9 is 6e-8.
        assert abs(Fraction(float(row["mean_value"])) - mean) <= 1.2e-7
        assert abs(float(row["standard_deviation"]) / deviation - 1) <= 1e-9
