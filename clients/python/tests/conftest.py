# SPDX-License-Identifier: Apache-2.0
"""Readers of a spool, independent of the code under test."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import re
import sys
from typing import Any, Dict, List, Optional

import pytest
from jsonschema import Draft202012Validator

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = HERE.parent.parent / "schema"
sys.path.insert(0, str(HERE.parent))

SEALED = re.compile(
    r"(?P<writer>[a-z0-9.-]{1,64}-[0-9a-f]{32})-(?P<seq>\d+)-(?P<ms>\d{13})-(?P<lines>\d+)(?P<end>-end)?\.jsonl"
)
OPEN = re.compile(r"(?P<writer>[a-z0-9.-]{1,64}-[0-9a-f]{32})-(?P<seq>\d+)\.open")
REASONS = ["buffer_full", "disk_full", "io_error", "too_large", "invalid"]


class Segment:
    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.bytes = path.read_bytes()
        match = SEALED.fullmatch(path.name)
        self.sealed = match is not None
        self.claimed_lines: Optional[int] = int(match["lines"]) if match else None
        self.end = bool(match and match["end"])
        match = match or OPEN.fullmatch(path.name)
        assert match, f"{path.name} is no segment's name"
        self.writer = match["writer"]
        self.seq = int(match["seq"])
        self.raw = self.bytes.split(b"\n")
        self.torn = self.raw.pop() != b""
        self.events: List[Dict[str, Any]] = []
        self.fragments = 0
        for line in self.raw:
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.fragments += 1


class Spool:
    """What a spool holds now; a writer may be at work in it."""

    def __init__(self, directory: pathlib.Path) -> None:
        while True:
            paths = sorted(directory.iterdir())
            try:
                segments = [Segment(path) for path in paths if path.suffix in (".jsonl", ".open")]
                break
            except FileNotFoundError:  # sealed between the listing and the reading
                continue
        self.segments = sorted(segments, key=lambda segment: (segment.writer, segment.seq))
        self.locks = [path for path in paths if path.suffix == ".lock"]
        assert len(paths) == len(self.segments) + len(self.locks), f"strange files among {paths}"

    def events(self, *types: str) -> List[Dict[str, Any]]:
        found = [event for segment in self.segments for event in segment.events]
        return [e for e in found if e["type"] in types] if types else [e for e in found if e["type"] != "writer"]

    def writers(self) -> List[str]:
        return sorted({s.writer for s in self.segments})

    def of(self, writer: str) -> List[Segment]:
        return [s for s in self.segments if s.writer == writer]


def lock_record(path: pathlib.Path) -> Dict[str, Any]:
    """The lock file's object, after checking its form."""
    block = path.read_bytes()
    assert len(block) == 4096 and block.endswith(b"\n")
    assert os.stat(path).st_blocks * 512 >= 4096
    record, end = json.JSONDecoder().raw_decode(block.decode())
    assert set(block.decode()[end:-1]) == {" "}
    assert list(record) == [
        "version", "writer", "host", "service", "pid", "started_ms", "updated_ms", "seq", "appended", "written",
        "dropped", "closed",
    ]  # fmt: skip
    assert list(record["dropped"]) == REASONS
    assert record["appended"] == record["written"] + sum(record["dropped"].values())
    return record


def lock_is_free(path: pathlib.Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def check_closed_writer(segments: List[Segment]) -> Dict[str, Any]:
    """Checks all that must hold of a cleanly closed writer; answers its last ``writer`` line."""
    assert [s.seq for s in segments] == list(range(len(segments))), "gaps in the numbers"
    total = 0
    for segment in segments:
        last = segment.events[-1]
        assert segment.sealed and not segment.torn
        assert segment.claimed_lines == segment.bytes.count(b"\n")
        assert last["type"] == "writer" and [e["type"] for e in segment.events].count("writer") == 1
        assert last["writer"] == segment.writer and last["segment"] == segment.seq
        total += segment.claimed_lines or 0
        assert last["written"] == total
        assert last["appended"] == last["written"] + sum(last["dropped"].values())
        assert last["end"] == segment.end == (segment is segments[-1])
        assert last["adopted"] is False
        keys = [
            "schema",
            "type",
            "time",
            "writer",
            "service",
            "segment",
            "appended",
            "written",
            "dropped",
            "end",
            "adopted",
        ]
        assert list(last)[:11] == keys and list(last["dropped"]) == REASONS
    return segments[-1].events[-1]


@pytest.fixture(scope="session")
def validator() -> Draft202012Validator:
    schema = json.loads((SCHEMA / "event.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture
def spool(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "spool"
