"""Writes with the Python client until it is killed or has done its batches, and tells what became of them, as
Tests/Programs/event-writer-probe/JudgedWork.swift does. Arguments: spool, batches, host, hour, seal age, forks."""

import os
import pathlib
import random
import sys
import time
from datetime import datetime, timezone

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "python"))
import nadi  # noqa: E402

CLASSES = ("a", "b", "c")


def say(text: str) -> None:
    """One write, so that lines of processes do not mix."""
    os.write(1, (text + "\n").encode())


def moment(ms: int) -> datetime:
    """Exactly; seconds as a float would lose a millisecond now and then."""
    return datetime.fromtimestamp(ms // 1000, timezone.utc).replace(microsecond=ms % 1000 * 1000)


def batch(events: nadi.EventWriter, hour_ms: int) -> None:
    pid = os.getpid()
    told = []
    for _ in range(random.randint(1, 12)):
        answer, eighths = random.randrange(3), random.randint(-4000, 4000)
        time_ms = hour_ms + random.randrange(3_600_000)
        identity = events.prediction(
            "oracle", "1", prediction=CLASSES[answer], score=0.75, features={"x": eighths / 8}, latency_seconds=0.001,
            time=moment(time_ms))
        told.append(f"p {pid} {identity} {CLASSES[answer]} {eighths} {time_ms}")
        if random.random() < 0.5:
            truth = CLASSES[(answer + 1) % 3] if random.random() < 0.2 else CLASSES[answer]
            hint = {"prediction_time": moment(time_ms)} if random.random() < 0.5 else {}
            outcome = events.outcome(identity, "oracle", label=truth, **hint)
            told.append(f"o {pid} {outcome} {identity} {truth}")
    say("\n".join(told))
    say(f"{'ok' if events.flush() else 'no'} {pid}")
    time.sleep(random.uniform(0, 0.1))


def main() -> None:
    spool, batches, host, hour_ms, seal, forks = sys.argv[1:]
    events = nadi.EventWriter(spool, service="oracle", host=host, seal_seconds=float(seal))
    middle = int(batches) // 3 if forks == "1" else -1
    child = 0
    for number in range(int(batches)):
        if number == middle:
            child = os.fork()
        batch(events, int(hour_ms))
    events.close()
    if middle >= 0 and child == 0:
        os._exit(0)
    if child > 0:
        os.waitpid(child, 0)


main()
