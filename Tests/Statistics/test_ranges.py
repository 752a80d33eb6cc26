"""Ranges, days and widths: what must not depend on the hour of the day, on the caller's time zone, on how ranges lie."""

from datetime import timedelta

import numpy as np
from warehouse import START, Frozen, Window

HOURS = timedelta(hours=1)
DAY = timedelta(days=1)
#: A Monday long past, so that years of volume are history.
PAST = START - 364 * DAY


def fill(warehouse, series, windows, days=True):
    """{hour: {feature: Window}}: features and predictions of hours, and their days."""
    warehouse.requests(series, {at: max(w.numeric_count + w.categorical_count + w.null_count for w in found.values())
                                for at, found in windows.items()}, days=False)
    warehouse.counts((series, f, at, w) for at, found in windows.items() for f, w in found.items())
    for at in sorted({at.replace(hour=0) for at in windows}) if days else ():
        warehouse.query(f"SELECT nadi_store.derive_feature_day('{at}'), nadi_store.derive_request_day('{at}')")


def spreads(warehouse, reference, features, psi):
    """psi: {hours of a window: (how many the reference has, their largest index)}."""
    warehouse.copy(
        "nadi_store.reference_spread",
        ["reference_id", "feature_id", "window_hours", "window_count", "psi", "share", "missing_low", "missing_high", "unseen",
         "out_of_range"],
        [(reference, f, hours, count, most, 1, 0, 0, 1, 1) for f in features for hours, (count, most) in psi.items()])


def states(rows, name="drift_state"):
    return [row[name] for row in rows]


def test_volume_of_months_is_judged_by_whole_days_or_weeks(warehouse):
    rng = np.random.default_rng(1)
    _, series = warehouse.model("volume")
    warehouse.requests(series, {PAST + d * DAY + 12 * HOURS: int(rng.poisson(24_000 * max(0.1, rng.normal(1, 0.1)))) for d in range(196)})
    last = PAST + 196 * DAY
    for days in (59, 61, 90, 119, 150):
        rows = warehouse.query(f"SELECT * FROM nadi.volume('volume', '{last - days * DAY}', '{last}')")
        assert sum(state in ("low", "high") for state in states(rows, "volume_state")) <= 1, days
        assert len(rows) <= 60 and {row["week_count"] for row in rows if row["volume_state"] != "no_history"} <= {"2", "3", "4"}
    # Days to come are no zeros: what is usual stays what it was. Years are weeks.
    now = warehouse.query("SELECT date_trunc('day', now(), 'UTC') AS day")[0]["day"]
    _, recent = warehouse.model("recent")
    warehouse.query(f"""INSERT INTO nadi_store.request_hour
        SELECT {recent}, '{now}'::timestamptz - n * interval '24 hours', c, c, 0, 0, 0, 0, '{{}}', '{{}}'
        FROM (SELECT n, 20000 + 10 * (n * 7 % 13) AS c FROM generate_series(1, 60) n) s""")
    warehouse.query(f"SELECT nadi_store.derive_request_day('{now}'::timestamptz - n * interval '24 hours') FROM generate_series(1, 60) n")
    upper = [float(warehouse.query(f"""SELECT max(upper_count) AS u FROM nadi.volume('recent', timestamptz '{now}' - interval '20 days',
        timestamptz '{now}' + interval '{days} days', '1 day') WHERE bucket_end <= '{now}'""")[0]["u"]) for days in (0, 25)]
    assert upper[1] < 1.2 * upper[0], "the days to come widen what is usual"
    two_years = warehouse.query(f"SELECT * FROM nadi.volume('recent', timestamptz '{now}' - interval '730 days', '{now}')")
    assert 104 <= len(two_years) <= 106 and not {"low", "high"} & set(states(two_years, "volume_state"))


def test_days_are_utc_whatever_the_session_says(warehouse):
    """Berlin's clocks went forward on 29 March 2026."""
    rng = np.random.default_rng(2)
    model, series = warehouse.model("zone")
    feature = warehouse.features(model, ["f"])["f"]
    frozen = Frozen.numbers(rng.normal(size=20_000))
    reference = warehouse.reference(model, {feature: frozen}, 20_000)
    first = START + 78 * DAY
    fill(warehouse, series, {first + h * HOURS: {feature: Window.numbers(rng.normal(size=300), reference, frozen.edges)}
                             for h in range(12 * 24)})
    days = f"SELECT bucket_start AT TIME ZONE 'UTC' AS at, bucket_end, current_count FROM nadi.drift_over_time('zone', '{first}', '{first + 12 * DAY}', '1 day')"
    previous = f"SELECT baseline_count, current_count FROM nadi.drift('zone', '{first + 5 * DAY}', '{first + 9 * DAY}', 'previous')"
    week = f"SELECT baseline_count FROM nadi.drift('zone', '{first + 8 * DAY}', '{first + 12 * DAY}', 'last_week')"
    volume = f"SELECT request_count FROM nadi.volume('zone', '{first}', '{first + 12 * DAY}', '1 day')"
    for zone in ("UTC", "Europe/Berlin", "America/New_York"):
        rows = warehouse.query(f"SET timezone = '{zone}'; {days}")
        assert [row["current_count"] for row in rows] == ["7200"] * 12, zone
        assert warehouse.query(f"SET timezone = '{zone}'; {previous}") == [{"baseline_count": "28800", "current_count": "28800"}]
        assert warehouse.query(f"SET timezone = '{zone}'; {week}")[0]["baseline_count"] == "28800"
        assert [row["request_count"] for row in warehouse.query(f"SET timezone = '{zone}'; {volume}")] == ["7200"] * 12
        warehouse.query(f"SET timezone = '{zone}'; SELECT nadi_store.refresh_drift({model}, ARRAY['{first + 6 * DAY}'::timestamptz])")
    stored = warehouse.query(f"SELECT current_count FROM nadi_store.drift_day WHERE model_id = {model}")
    assert [row["current_count"] for row in stored] == ["7200"]
    unset = warehouse.query("""SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = 'nadi'::regnamespace AND prosecdef AND NOT 'TimeZone=UTC' = ANY (proconfig)""")
    assert unset == []


def test_a_day_that_is_not_over_is_not_judged_as_a_day(warehouse):
    model, series = warehouse.model("morning")
    hour, steady = map(warehouse.features(model, ["hour", "steady"]).get, ["hour", "steady"])
    rng = np.random.default_rng(3)
    frozen = {hour: Frozen.numbers(np.repeat(np.arange(24.0), 2000)), steady: Frozen.numbers(rng.normal(size=48_000))}
    reference = warehouse.reference(model, frozen, 48_000)
    spreads(warehouse, reference, frozen, {1: (720, 9.0), 24: (30, 0.01)})

    def at(day, count, value=None):
        return {START + day * DAY + h * HOURS: {
            hour: Window.numbers(np.full(500, float(h if value is None else value)), reference, frozen[hour].edges),
            steady: Window.numbers(rng.normal(size=500), reference, frozen[steady].edges)} for h in range(count)}

    fill(warehouse, series, at(0, 24) | at(1, 6) | at(2, 24, value=3))
    found = {d: {row["feature_name"]: row for row in warehouse.query(
        f"SELECT * FROM nadi.drift('morning', '{START + d * DAY}', '{START + (d + 1) * DAY}')")} for d in range(3)}
    assert [found[d]["steady"]["drift_state"] for d in range(3)] == ["stable"] * 3
    assert found[0]["hour"]["drift_state"] == "stable" and float(found[0]["hour"]["psi_spread"]) == 0.01
    assert found[1]["hour"]["drift_state"] == "shifted" and float(found[1]["hour"]["psi_spread"]) == 9
    assert found[2]["hour"]["drift_state"] == "drifted", "a whole day of one hour is"
    warehouse.query(f"SELECT nadi_store.refresh_drift({model}, ARRAY(SELECT hour FROM nadi_store.request_hour WHERE series_id = {series}))")
    stored = warehouse.query("SELECT drift_state FROM nadi.drift_day WHERE model_name = 'morning' AND feature_name = 'hour' ORDER BY bucket_start")
    assert states(stored) == ["stable", "shifted", "drifted"]
    quality = warehouse.query(f"SELECT * FROM nadi.data_quality('morning', '{START + DAY}', '{START + 2 * DAY}')")
    assert len(quality) == 2
    # A small slice of the traffic has whole days too.
    _, small = warehouse.model("small")
    warehouse.requests(small, {START + h * HOURS: 30 for h in range(24)})
    hours = warehouse.query(f"""SELECT nadi_store.spread_hours({reference}, ARRAY[{small}], '{START}', '{START + DAY}') AS whole,
        nadi_store.spread_hours({reference}, ARRAY[{small}], '{START + 8 * HOURS}', '{START + 8 * HOURS + DAY}') AS part""")[0]
    assert hours == {"whole": "24", "part": "1"}


def test_hours_of_another_reference_are_not_held_against_the_new_one(warehouse):
    rng = np.random.default_rng(4)
    model, series = warehouse.model("release")
    feature = warehouse.features(model, ["f"])["f"]
    frozen = [Frozen.numbers(rng.normal(move, 1, 20_000)) for move in (0, 4)]
    first = warehouse.reference(model, {feature: frozen[0]}, 20_000, name="a")
    change = START + 2 * DAY + 23 * HOURS
    second = warehouse.reference(model, {feature: frozen[1]}, 20_000, name="b", effective=change)
    fill(warehouse, series, {
        START + h * HOURS: {feature: Window.numbers(rng.normal(4 if late else 0, 1, 500), second if late else first, frozen[late].edges)}
        for h in range(72) for late in [START + h * HOURS >= change]})
    end = START + 3 * DAY
    row = warehouse.query(f"SELECT * FROM nadi.drift('release', '{START}', '{end}')")[0]
    assert (row["drift_state"], row["current_count"]) == ("stable", "500")
    assert row["reason"] == "the reference changed at 2026-01-07 23:00: hours before are left out"
    for refreshed in (False, True):
        if refreshed:
            warehouse.query(f"SELECT nadi_store.refresh_drift({model}, ARRAY(SELECT hour FROM nadi_store.request_hour WHERE series_id = {series}))")
        days = warehouse.query(f"SELECT * FROM nadi.drift_over_time('release', '{START}', '{end}', '1 day') ORDER BY bucket_start")
        assert [(r["drift_state"], r["current_count"]) for r in days] == [("stable", "12000")] * 2 + [("stable", "500")], refreshed
        assert "the reference changed" in days[2]["reason"] and days[1]["reason"] == ""
    bins = warehouse.query(f"SELECT sum(current_count) AS n FROM nadi.drift_bins('release', 'f', '{START}', '{end}')")[0]
    assert bins["n"] == "500"
    quality = warehouse.query(f"SELECT * FROM nadi.data_quality('release', '{START}', '{end}')")[0]
    assert (quality["quality_state"], quality["value_count"]) == ("usual", "500")
    # Put in force for hours that are loaded: stored drift against the old one is not shown, and marked to be made anew.
    warehouse.activate(model, second, START + DAY)
    marked = warehouse.query(f"SELECT nadi_store.mark_drift({model}, '{START + DAY}') AS n")[0]
    assert marked["n"] == str(47), "up to the next activation"
    assert warehouse.query("SELECT count(*) AS n FROM nadi.drift_hour WHERE model_name = 'release'")[0]["n"] == str(24 + 1)
    assert warehouse.query("SELECT count(*) AS n FROM nadi_store.drift_mark")[0]["n"] == "47"
    warehouse.query(f"SELECT nadi_store.refresh_drift({model}, ARRAY(SELECT hour FROM nadi_store.drift_mark))")
    days = warehouse.query("SELECT drift_state FROM nadi.drift_day WHERE model_name = 'release' ORDER BY bucket_start")
    assert states(days) == ["stable", "drifted", "drifted"]


def test_previous_ranges_share_no_hour(warehouse):
    model, series = warehouse.model("ragged")
    feature = warehouse.features(model, ["f"])["f"]
    fill(warehouse, series, {START + h * HOURS: {feature: Window.numbers(np.full(300 + h, 1.0))} for h in range(48)})
    half = timedelta(minutes=30)
    start, end = START + 24 * HOURS + half, START + 36 * HOURS + half
    row = warehouse.query(f"SELECT * FROM nadi.drift('ragged', '{start}', '{end}', 'previous')")[0]
    expected = [str(sum(300 + h for h in hours)) for hours in (range(11, 24), range(24, 37))]
    assert [row["baseline_count"], row["current_count"]] == expected
    bins = warehouse.query(f"SELECT * FROM nadi.drift_bins('ragged', 'f', '{start}', '{end}', 'previous')")[0]
    assert [bins["baseline_count"], bins["current_count"]] == expected


def test_scores_that_stop_are_missing(warehouse):
    model, series = warehouse.model("silent")
    rng = np.random.default_rng(5)
    columns = ["bins", "counts", "sums", "positive_counts", "positive_sums"]
    bins, zeros, even = list(range(20, 100)), [0] * 80, np.full(80, 1 / 80)
    reference = warehouse.reference(model, {}, 40_000)
    warehouse.copy("nadi_store.reference_score", ["reference_id", "category_id", *columns, "label_counts", "label_sums"],
                   [(reference, 0, bins, rng.multinomial(40_000, even), zeros, zeros, zeros, zeros, zeros)])
    warehouse.requests(series, {START + h * HOURS: 2000 for h in range(3)})
    warehouse.copy("nadi_store.score_hour", ["series_id", "category_id", "hour", *columns],
                   [(series, 0, START + h * HOURS, bins, rng.multinomial(n, even), zeros, zeros, zeros) for h, n in ((0, 2000), (1, 1500))])
    rows = warehouse.query(f"SELECT * FROM nadi.drift_over_time('silent', '{START}', '{START + 3 * HOURS}', '1 hour') ORDER BY bucket_start")
    assert [(r["drift_state"], r["reason"], float(r["current_missing_rate"])) for r in rows] == [
        ("stable", "", 0), ("drifted", "missing rate", 0.25), ("drifted", "missing rate", 1)]
    warehouse.query(f"SELECT nadi_store.refresh_drift({model}, ARRAY['{START + 2 * HOURS}'::timestamptz])")
    stored = warehouse.query("SELECT drift_state FROM nadi.drift_hour WHERE model_name = 'silent'")
    assert states(stored) == ["drifted"]


def test_without_a_reference_what_can_be_counted_is_shown(warehouse):
    model, series = warehouse.model("unreferred")
    features = warehouse.features(model, ["number", "word"])
    word = warehouse.categories(features["word"], ["a"])["a"]
    fill(warehouse, series, {START + h * HOURS: {
        features["number"]: Window.numbers(np.ones(300), nulls=100), features["word"]: Window.words({word: 400})} for h in range(30)})
    for width, count in (("1 hour", 30), ("1 day", 2), ("7 days", 1)):
        rows = warehouse.query(f"SELECT * FROM nadi.drift_over_time('unreferred', '{START}', '{START + 30 * HOURS}', '{width}')")
        assert len(rows) == 2 * count and set(states(rows)) == {"no_reference"}, width
        assert {(r["feature_name"], r["value_kind"], float(r["current_missing_rate"])) for r in rows} == {
            ("number", "numeric", 0.25), ("word", "categorical", 0)}
        whole = warehouse.query(f"SELECT * FROM nadi.drift('unreferred', '{START}', '{START + 24 * HOURS}')")
        if width == "1 day":
            assert [{k: v for k, v in r.items() if not k.startswith("bucket_")} for r in rows[:2]] == whole
    # Over sixty days rows are whole weeks: two days are no like of two days.
    for days, least, baseline, width in ((70, None, "reference", 7), (500, None, "reference", 28), (30, "2 days", "reference", 7),
                                         (40, None, "previous", 7), (30, "28 days", "last_week", 7)):
        rows = warehouse.query(f"""SELECT DISTINCT extract(epoch FROM bucket_end - bucket_start) / 86400 AS days FROM nadi.drift_over_time(
            'unreferred', '{START}', '{START + days * DAY}', {f"'{least}'" if least else "NULL"}, '{baseline}')""")
        assert [float(row["days"]) for row in rows] == [width], (days, least, baseline)
