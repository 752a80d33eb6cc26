"""Writes events until it is killed, and prints the ids of those for which flush() has returned true. Arguments: spool, host."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "python"))
import nadi  # noqa: E402

events = nadi.EventWriter(sys.argv[1], service="kill", host=sys.argv[2], seal_seconds=0.5)
while True:
    ids = [events.prediction("kill", "1", prediction=1.0, features={"x": 1.0}, latency_seconds=0.001) for _ in range(50)]
    if events.flush():
        sys.stdout.write("".join(f"{identity}\n" for identity in ids))
        sys.stdout.flush()
