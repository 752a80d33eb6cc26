# SPDX-License-Identifier: Apache-2.0
"""The golden segment that the Swift library's tests keep, written again here: same name, same lines."""

import itertools
import json
import os

from conftest import SCHEMA, Segment, Spool, lock_record

import nadi
from nadi import _files, _writer

GOLDEN = SCHEMA.parents[1] / "Tests" / "Fixtures" / "segments"
TIME_MS = 1795428930123
IDENTITY = "019ab0c65e9b7c3a8f1d2e3f4a5b6c7d"


def hold_still(monkeypatch):
    """Fixes clock, process and identity to the golden ones."""
    for module in (_files, _writer):
        monkeypatch.setattr(module, "now_ms", lambda: TIME_MS)
    monkeypatch.setattr(_files, "uuid7_hex", lambda ms, bits: IDENTITY)
    monkeypatch.setattr(os, "getpid", lambda: 4242)


def test_the_golden_segment(spool, monkeypatch):
    (golden,) = map(Segment, GOLDEN.iterdir())
    hold_still(monkeypatch)
    writer = nadi.EventWriter(spool, service="iris-api", environment="prod", host="web1")
    numbers = itertools.count(1)
    monkeypatch.setattr(_writer, "uuid7_hex", lambda ms, bits: f"019ab0c65e9b70008000{next(numbers):012x}")
    identity = writer.prediction(
        "iris", "1.2.0", prediction="setosa", score=0.98, latency_seconds=0.0031, tags={"region": "eu"},
        features={"petal_length": 1.4, "petal_width": 0.2, "garden": 'Zürich "A"', "age": None},
    )  # fmt: skip
    writer.outcome(identity, "iris", label="setosa", prediction_time=TIME_MS / 1000)
    writer.close()

    (own,) = Spool(spool).segments
    assert own.path.name == golden.path.name
    assert own.events == golden.events and len(golden.events) == 3
    assert own.raw[-1] == golden.raw[-1], "the writer line, byte for byte"
    for mine, theirs in zip(own.raw[:-1], golden.raw[:-1]):
        # The common fields come first and in one order; the order of the event's own is free.
        head = theirs[: theirs.index(b'"environment":"prod",')]
        assert mine.startswith(head) and b", " not in head
        assert "Zürich".encode() in mine or b"outcome" in mine  # UTF-8, no escapes


def test_the_lock_file_of_the_readme(spool, monkeypatch):
    text = (SCHEMA / "README.md").read_text(encoding="utf-8")
    (sample,) = [line for line in text.splitlines() if line.startswith('{"version":1,"writer"')]
    hold_still(monkeypatch)
    wanted = json.loads(sample)
    monkeypatch.setattr(_files, "now_ms", lambda: wanted["started_ms"])
    settings = _files.Settings(str(spool), "web1", "iris-api", False)
    files = _files.WriterFiles(settings, _files.Counts())
    monkeypatch.setattr(_files, "now_ms", lambda: wanted["updated_ms"])
    files.sequence = wanted["seq"]
    files.counts.written = wanted["written"]
    files.counts.dropped.update(wanted["dropped"])
    files.record_counts()
    (path,) = spool.glob("*.lock")
    assert path.read_bytes() == sample.encode().ljust(4095) + b"\n"
    assert lock_record(path) == wanted
    files.abandon()
