# SPDX-License-Identifier: Apache-2.0
"""How long one append takes: 10 numbers, 3 strings, 2 tags. Prints microseconds: median, p99, and the mean over all.

    python benchmarks/append.py [--json] [--events 200000] [--directory DIR]

``--json`` measures without orjson. Appends run at full speed with the writing thread beside them, so the p99 shows the
interpreter's lock going to and fro; at full speed the buffer may fill, and the drops are shown.
"""

import argparse
import os
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--json", action="store_true")
parser.add_argument("--events", type=int, default=200_000)
parser.add_argument("--pause", type=float, default=0.0, help="seconds to sleep after every 100 appends")
parser.add_argument("--directory")
options = parser.parse_args()
if options.json:
    sys.modules["orjson"] = None  # type: ignore[assignment]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import nadi  # noqa: E402

with tempfile.TemporaryDirectory(dir=options.directory) as spool:
    writer = nadi.EventWriter(spool, service="benchmark", environment="test")
    features = {f"number_{index}": index * 1.37 for index in range(10)}
    features.update(country="DE", device="phone", plan="gold")
    tags = {"region": "eu", "tier": "a"}
    took = []
    begin = time.perf_counter()
    for index in range(options.events):
        start = time.perf_counter_ns()
        writer.prediction(
            "fraud", "7", prediction=True, score=0.93, features=features, latency_seconds=0.0042, tags=tags
        )
        took.append(time.perf_counter_ns() - start)
        if options.pause and index % 100 == 99:
            time.sleep(options.pause)
    total = time.perf_counter() - begin
    writer.close()
    took.sort()
    print(
        f"encoder {'json' if options.json else 'orjson' if sys.modules.get('orjson') else 'json'}"
        f"  median {took[len(took) // 2] / 1000:.2f}  p99 {took[len(took) * 99 // 100] / 1000:.2f}"
        f"  mean {total / options.events * 1e6:.2f}  counts {writer.counts}"
    )
