# SPDX-License-Identifier: Apache-2.0
"""Replays Open Bandit's impressions and clicks through Nadi, and compares the two policies by SQL."""

from __future__ import annotations

import argparse
import csv
import datetime
import pathlib
import sys
from typing import Dict, List, NamedTuple, Optional, Sequence

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import whole_way  # noqa: E402

DATA = whole_way.ROOT / ".build" / "data" / "obd"
MODEL = "recommender"
POLICIES, CAMPAIGNS = ("random", "bts"), ("all", "men", "women")
#: All impressions lie in these seven days.
FIRST, LAST = "2019-11-24T00:00:00Z", "2019-12-01T00:00:00Z"

DESCRIPTION = """\
Replays a week of an online shop's recommendations (Open Bandit Data, as far as obp 0.4.1 ships it) and compares by SQL the
two policies that ran side by side: `random` shows anything, `bts` (Bernoulli Thompson sampling) what was clicked.

Each of 60,000 impressions is a prediction: the model `recommender`, the policy as its version, the item as the answer, the
policy's probability of showing it as the score, the campaign (all, men, women) as a tag. A click is an outcome named `click`;
no outcome, no click. Events go into files (the Python client), the shipper takes these to a bucket, two loaders count them;
tables.sql asks nadi.outcome_rates and nadi.compare_versions.

The servers are private ones in a folder of their own and gone at the end, unless you give yours.
"""


def parse(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="examples/bandit/replay", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--campaign", action="append", choices=CAMPAIGNS, help="only this one, 20,000 impressions; may be given twice (all of them)")
    parser.add_argument("--loaders", type=int, default=2, metavar="N", help="loaders at once (2)")
    whole_way.add_options(parser)
    options = parser.parse_args(arguments)
    if options.loaders < 1:
        parser.error("--loaders is at least 1")
    whole_way.check_options(parser, options)
    return options


class Impression(NamedTuple):
    """An item shown to somebody."""

    id: str
    #: Milliseconds since the epoch.
    time: int
    policy: str
    campaign: str
    item: str
    propensity: float
    features: Dict[str, object]
    clicked: bool


def read(campaigns: Sequence[str] = CAMPAIGNS, folder: pathlib.Path = DATA) -> List[Impression]:
    """All impressions of both policies in some campaigns, by time."""
    found = []
    for policy in POLICIES:
        for campaign in campaigns:
            path = folder / policy / f"{campaign}.csv"
            if not path.exists():
                raise whole_way.Failure(f"{path} is missing; Tests/Statistics/fetch obd fetches it from PyPI")
            with open(path, newline="") as file:
                table = csv.reader(file)
                place = {name: index for index, name in enumerate(next(table))}
                for row in table:
                    time = int(datetime.datetime.fromisoformat(row[place["timestamp"]]).timestamp() * 1000)
                    features: Dict[str, object] = {"position": int(row[place["position"]])}
                    features.update((f"user_feature_{k}", row[place[f"user_feature_{k}"]]) for k in range(4))
                    found.append(Impression(
                        whole_way.uuid7(time, f"{policy}/{campaign}/{row[0]}"), time, policy, campaign,
                        f"{campaign}/{row[place['item_id']]}", float(row[place["propensity_score"]]), features,
                        row[place["click"]] == "1"))  # fmt: skip
    found.sort(key=lambda impression: (impression.time, impression.id))
    return found


def replay(options: argparse.Namespace, way: whole_way.WholeWay) -> None:
    """Everything up to the tables."""
    progress = way.progress
    progress.step("reading the impressions")
    impressions = read(options.campaign or CAMPAIGNS)
    progress.step(f"writing {len(impressions):,} impressions")
    with way.writer("shop") as shop, way.writer("clicks") as clicks:
        for shown in impressions:
            shop.prediction(
                MODEL, shown.policy, prediction=shown.item, score=shown.propensity, features=shown.features, task="multiclass",
                prediction_id=shown.id, time=shown.time / 1000, tags={"campaign": shown.campaign})
            if shown.clicked:
                # The data do not say when; the id says when it was shown, which is what the join needs.
                clicks.outcome(shown.id, MODEL, name="click", value=1, time=shown.time / 1000 + 1)
    clicked = sum(shown.clicked for shown in impressions)
    progress.step("shipping")
    way.ship()
    progress.step("loading")
    way.load(options.loaders)
    progress.say(f"{len(impressions):,} impressions and {clicked} clicks written, shipped and loaded")
    progress.step("joining clicks with their impressions")
    way.load(1, "--all", "--join-now")
    progress.say("all clicks are joined")


def tables(way: whole_way.WholeWay) -> str:
    return way.psql("-v", f"first={FIRST}", "-v", f"last={LAST}", "-f", str(HERE / "tables.sql"))


def main() -> int:
    options = parse()
    progress = whole_way.Progress()
    programs = options.programs
    if programs is None:
        progress.step("building nadi and nadi-shipper for release")
        programs = whole_way.built_programs()
    with whole_way.WholeWay(
        "bandit", programs, ["campaign"], options.database, options.store, options.endpoint, progress
    ) as way:
        replay(options, way)
        progress.say(way.audit())
        print(tables(way), end="", flush=True)
        if options.keep:
            print(way.keep())
    return 0


if __name__ == "__main__":
    whole_way.run(main)
