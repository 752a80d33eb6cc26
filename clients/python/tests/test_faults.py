# SPDX-License-Identifier: Apache-2.0
"""Disks that fail, hurried processes and strict masks: what is held is written again, and nothing waits for itself."""

import errno
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time

import pytest
from conftest import HERE, Spool, check_closed_writer, lock_is_free, lock_record

import nadi
from nadi import _files, _pump


class FailingSync:
    """os.fsync that fails for segments a number of times; as in Linux, each failure is told once."""

    def __init__(self, monkeypatch, times):
        self.left = times
        self._real = os.fsync
        monkeypatch.setattr(_files.os, "fsync", self)

    def __call__(self, descriptor):
        if self.left and ".open" in os.readlink(f"/proc/self/fd/{descriptor}"):
            self.left -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._real(descriptor)


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def ids_of(spool, name):
    return [e["id"] for s in Spool(spool).of(name) for e in s.events if e["type"] != "writer"]


@pytest.mark.parametrize("times", [1, 2])
def test_after_a_failed_fsync_a_new_writer_writes_again_what_it_holds(spool, monkeypatch, times):
    writer = nadi.EventWriter(spool, service="s", seal_seconds=0.3)
    sealed = writer.prediction("iris", "1")
    wait_for(lambda: any(s.sealed for s in Spool(spool).segments))
    old = writer.name
    sync = FailingSync(monkeypatch, times)
    held = [writer.prediction("iris", "1") for _ in range(20)]
    wait_for(lambda: writer.name not in (old, None) and sync.left == 0)
    held.append(writer.prediction("iris", "1"))
    wait_for(lambda: writer.flush())
    last = writer.name
    writer.close()

    read = Spool(spool)
    left = [s for s in read.of(old) if not s.sealed]
    assert [s.seq for s in left] == [1], "the segment in doubt stays for the shipper"
    assert lock_is_free(spool / f"{old}.lock") and lock_record(spool / f"{old}.lock")["closed"] is False
    assert lock_record(spool / f"{old}.lock")["written"] == sum(len(s.raw) for s in read.of(old))
    assert ids_of(spool, old)[0] == sealed
    assert ids_of(spool, last) == held, "none is missing"
    check_closed_writer(read.of(last))
    assert len(read.writers()) == times + 1


def test_a_failed_fsync_at_close_loses_nothing(spool, monkeypatch):
    writer = nadi.EventWriter(spool, service="s")
    ids = [writer.prediction("iris", "1") for _ in range(5)]
    assert writer.flush()
    old = writer.name
    FailingSync(monkeypatch, 1)
    writer.close()
    read = Spool(spool)
    (new,) = [name for name in read.writers() if name != old]
    assert ids_of(spool, new) == ids
    check_closed_writer(read.of(new))


def test_a_disk_whose_fsync_always_fails_is_not_filled_with_copies(spool, monkeypatch):
    FailingSync(monkeypatch, 1 << 30)
    writer = nadi.EventWriter(spool, service="s", seal_bytes=4096)
    for _ in range(100):
        writer.prediction("iris", "1")
    time.sleep(1.5)
    assert len(Spool(spool).writers()) <= 4
    writer.close(timeout=0.1)


@pytest.mark.parametrize("closing", [False, True])
def test_a_failed_rename_is_tried_again_without_a_second_line(spool, monkeypatch, closing):
    monkeypatch.setattr(_pump, "_RETRY_SECONDS", 0.05)
    real, calls = os.rename, []

    def rename(source, target):
        calls.append(target)
        if len(calls) <= 3:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        real(source, target)

    writer = nadi.EventWriter(spool, service="s", seal_seconds=3600 if closing else 0.2)
    ids = [writer.prediction("iris", "1")]
    assert writer.flush()
    monkeypatch.setattr(_files.os, "rename", rename)
    if not closing:
        wait_for(lambda: calls)
        ids.append(writer.prediction("iris", "1"))  # belongs into the next segment
        wait_for(lambda: any(s.sealed for s in Spool(spool).segments))
    writer.close()
    read = Spool(spool)
    last = check_closed_writer(read.segments)  # one writer line in each
    assert len(calls) >= 4 and len(set(calls[:4])) == 1
    assert [e["id"] for e in read.events()] == ids and last["appended"] == last["written"]
    assert len(read.segments) == (1 if closing else 2) and not read.locks


def test_a_segment_whose_rename_failed_is_ended_at_close(spool, monkeypatch):
    real, fail = os.rename, [True]

    def rename(source, target):
        if fail[0]:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        real(source, target)

    monkeypatch.setattr(_files.os, "rename", rename)
    writer = nadi.EventWriter(spool, service="s", seal_seconds=0.1)
    first = writer.prediction("iris", "1")
    wait_for(lambda: writer._pump._files.is_sealing)
    second = writer.prediction("iris", "1")
    fail[0] = False
    writer.close()
    read = Spool(spool)
    check_closed_writer(read.segments)
    assert [[e["id"] for e in s.events[:-1]] for s in read.segments] == [[first], [second]]


def test_the_pumps_own_thread_never_waits_for_room(spool):
    writer = nadi.EventWriter(spool, service="s", buffer_events=5, on_full="block", resource_seconds=0.05)
    done = threading.Event()

    def work():
        for _ in range(20):
            writer.resource()
        done.set()

    writer._pump._extra_work = work
    assert done.wait(5.0), "the thread that makes room waits for room"
    assert writer.counts["dropped"]["buffer_full"] == 15
    writer.close()
    check_closed_writer(Spool(spool).segments)


def blocking_worker(spool, number):
    writer = nadi.EventWriter(
        spool, service="s", buffer_events=5, on_full="block", resource_seconds=0.01, seal_bytes=8192
    )
    for index in range(300):
        writer.prediction("iris", "1", features={"process": number, "index": index})
    writer.close()


def test_processes_that_block_and_sample_together(spool):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=blocking_worker, args=(spool, number)) for number in range(4)]
    for process in processes:
        process.start()
    deadline = time.monotonic() + 60
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    stuck = [process.pid for process in processes if process.is_alive()]
    for process in processes:
        process.kill()
    assert not stuck
    read = Spool(spool)
    assert len(read.writers()) == 4 and not read.locks
    for name in read.writers():
        last = check_closed_writer(read.of(name))
        assert last["appended"] - last["written"] == last["dropped"]["buffer_full"]  # resource events at most
        events = [e["features"]["index"] for s in read.of(name) for e in s.events if e["type"] == "prediction"]
        assert events == list(range(300))
    assert read.events("resource")


def test_a_line_larger_than_the_buffer_is_dropped_and_not_waited_for(spool):
    with nadi.EventWriter(spool, service="s", buffer_bytes=4096, on_full="block") as writer:
        writer.prediction("iris", "1", extra={"x": "y" * 5000})
        assert writer.counts["dropped"]["too_large"] == 1


def test_events_after_close_are_counted_as_invalid(spool):
    writer = nadi.EventWriter(spool, service="s")
    writer.close()
    writer.prediction("iris", "1")
    assert writer.counts["dropped"]["invalid"] == 1


def test_what_is_lost_at_close_is_counted_under_its_cause(tmp_path):
    blocker = tmp_path / "spool"
    blocker.write_text("a file where the directory should be")
    writer = nadi.EventWriter(blocker, service="s")
    writer.prediction("iris", "1")
    writer.close(timeout=0.1)
    assert writer.counts["dropped"]["io_error"] == 1 and writer.counts["dropped"]["disk_full"] == 0


def test_modes_do_not_depend_on_the_umask(tmp_path):
    program = """
import os, sys
os.umask(0o077)
import nadi
writer = nadi.EventWriter(sys.argv[1], service="s")
writer.prediction("iris", "1")
writer.flush()
os._exit(0)
"""
    spool = tmp_path / "var" / "spool"
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    subprocess.run([sys.executable, "-c", program, spool], env=environment, check=True, timeout=60)
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in spool.iterdir()}
    assert modes == {".lock": 0o640, ".open": 0o640}
    assert stat.S_IMODE(spool.stat().st_mode) == 0o2770
    assert stat.S_IMODE(spool.parent.stat().st_mode) == 0o750


def test_an_error_type_makes_an_error(spool):
    with nadi.EventWriter(spool, service="s") as writer:
        writer.prediction("iris", "1", error_type="timeout")
        writer.prediction("iris", "1", status="error")
    assert [(e["status"], e.get("error_type")) for e in Spool(spool).events()] == [
        ("error", "timeout"),
        ("error", None),
    ]
