"""A writer that is killed. Arguments: spool, host, and "waiting" or "busy".

waiting: writes a sealed segment and an open one, both known to the lock file, prints "ready", then waits. busy: writes and
flushes all the time.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "python"))
import nadi  # noqa: E402


def write(events):
    for _ in range(50):
        events.prediction("stop", "1", prediction=1.0, features={"x": 1.0}, latency_seconds=0.001)
    assert events.flush()


if sys.argv[3] == "busy":
    busy = nadi.EventWriter(sys.argv[1], service="stop", host=sys.argv[2], seal_seconds=0.5)
    while True:
        write(busy)
        time.sleep(0.01)
waiting = nadi.EventWriter(sys.argv[1], service="stop", host=sys.argv[2], seal_seconds=5)
for pause in (6.0, 1.5):
    write(waiting)
    time.sleep(pause)
print("ready", flush=True)
time.sleep(600)
