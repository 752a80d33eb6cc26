#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second service that has logged JSON lines long before Nadi: its own field names, Python's RotatingFileHandler.

    python examples/iris/foreign.py --directory /var/log/fraud --seed 7 --lines 600 --hours 10

A line: {"ts": ..., "ver": "3.1", "input": {...}, "out": {"class": ..., "p": ...}, "ms": ..., "rid": ...}. ``ms`` is the
latency in milliseconds, ``p`` the probability of fraud. The log is rotated at least three times, the last time at the
end, so that all lines stand in finished files. Then (``--stage late``, or in the same run) a late line goes into a file
that was rotated already, and the oldest file is compressed, as logrotate does. A JSON summary ends the standard output.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import logging.handlers
import math
import os
import pathlib
import random
import shutil
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterator, List, Optional, Tuple

from load import parse_time, rfc3339

COUNTRIES = (("DE", 0.4), ("FR", 0.3), ("PL", 0.2), ("US", 0.1))


def lines(options: argparse.Namespace) -> Iterator[Tuple[datetime, Dict[str, Any]]]:
    """The whole log in order; the line after the last is the late one."""
    draw = random.Random(f"fraud log {options.seed}")
    start = options.end_time - timedelta(hours=options.hours)
    span = options.hours * 3600
    for index in range(options.lines + 1):
        late = index == options.lines
        place = 0.5 if late else (index + draw.random() * 0.999) / options.lines
        when = start + timedelta(milliseconds=int(span * 1000 * place))
        amount = round(draw.lognormvariate(math.log(60), 1.1), 2)
        age = round(draw.gauss(41, 13)) if draw.random() < 0.97 else None
        country = draw.choices([name for name, _ in COUNTRIES], [weight for _, weight in COUNTRIES])[0]
        logit = -2.2 + 0.9 * math.log(amount / 60) + (1.2 if country == "US" else 0) + draw.gauss(0, 0.8)
        probability = round(1 / (1 + math.exp(-logit)), 6)
        yield (
            when,
            {
                "ts": rfc3339(when),
                "ver": "3.1" if place < 0.6 else "3.2",
                "input": {"amount": amount, "country": country, "age": age, "weekend": when.weekday() >= 5},
                "out": {"class": "fraud" if probability >= 0.5 else "legit", "p": probability},
                "ms": round(draw.lognormvariate(math.log(8), 0.5), 3),
                "rid": f"f{options.seed}-{index}",
            },
        )


def text(line: Dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":"))


def write(options: argparse.Namespace) -> None:
    """The service's life: its lines through a rotating handler, rotated once more at the end."""
    log = options.directory / options.name
    content = [text(line) for _, line in lines(options)][:-1]
    size = sum(len(line) + 1 for line in content)
    handler = logging.handlers.RotatingFileHandler(
        log, maxBytes=size // options.rotations + 1024, backupCount=options.rotations + 5, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    for line in content:
        handler.emit(logging.LogRecord("fraud", logging.INFO, __file__, 0, line, None, None))
    if log.stat().st_size:
        handler.doRollover()
    handler.close()


def rotated(options: argparse.Namespace) -> List[pathlib.Path]:
    """Rotated files, newest first."""
    found = []
    for path in options.directory.glob(options.name + ".*"):
        number = path.name[len(options.name) + 1 :].split(".")[0]
        if number.isdigit():
            found.append((int(number), path))
    return [path for _, path in sorted(found)]


def late(options: argparse.Namespace) -> None:
    """A late line into a rotated file, and the oldest file compressed."""
    files = [path for path in rotated(options) if path.suffix != ".gz"]
    if len(files) < 3:
        raise SystemExit(f"foreign.py: {options.directory} has {len(files)} rotated files; run --stage write first")
    *_, (_, line) = lines(options)
    with open(files[1], "a", encoding="utf-8") as file:
        file.write(text(line) + "\n")
    oldest = files[-1]
    times = oldest.stat()
    packed = oldest.with_name(oldest.name + ".gz")
    with open(oldest, "rb") as source, open(packed, "wb") as target:
        with gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as file:
            shutil.copyfileobj(source, file)
    os.utime(packed, ns=(times.st_atime_ns, times.st_mtime_ns))
    oldest.unlink()


def summary(options: argparse.Namespace, with_late: bool) -> Dict[str, Any]:
    hours: Counter = Counter()
    classes: Counter = Counter()
    versions: Counter = Counter()
    everything = list(lines(options))
    everything = everything if with_late else everything[:-1]
    for when, line in everything:
        hours[when.strftime("%Y-%m-%dT%H:00:00Z")] += 1
        classes[line["out"]["class"]] += 1
        versions[line["ver"]] += 1
    files = {}
    for path in rotated(options):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            files[path.name] = sum(1 for _ in file)
    return {
        "seed": options.seed,
        "lines": len(everything),
        "files": files,
        "hours": dict(sorted(hours.items())),
        "classes": dict(sorted(classes.items())),
        "versions": dict(sorted(versions.items())),
        "amount_sum": round(math.fsum(line["input"]["amount"] for _, line in everything), 2),
        "late_line": everything[-1][1]["rid"] if with_late else None,
    }


def parse(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A service's own rotating JSON log.")
    parser.add_argument("--directory", type=pathlib.Path, required=True)
    parser.add_argument("--name", default="fraud.log", help="the live file's name")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--lines", type=int, default=600, help="lines, the late one not counted")
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--end-time", type=parse_time, help="RFC 3339; default: the last full hour")
    parser.add_argument("--rotations", type=int, default=4, help="files to rotate into, about; at least 3")
    parser.add_argument("--stage", choices=("all", "write", "late"), default="all", help="late: give the same options")
    options = parser.parse_args(arguments)
    if options.lines < 100 or options.rotations < 3 or options.hours <= 0:
        parser.error("--lines is at least 100, --rotations at least 3, --hours above 0")
    if options.end_time is None:
        options.end_time = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    return options


def main() -> int:
    options = parse()
    options.directory.mkdir(parents=True, exist_ok=True)
    if options.stage in ("all", "write"):
        if rotated(options) or (options.directory / options.name).exists():
            print(f"foreign.py: {options.directory} has a log already; give an empty folder", file=sys.stderr)
            return 1
        write(options)
    if options.stage in ("all", "late"):
        late(options)
    print(json.dumps(summary(options, options.stage != "write"), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
