# SPDX-License-Identifier: Apache-2.0
"""Segments, the lock file and the counts of one process."""

import os
import shutil
import threading
import time

import pytest
from conftest import Spool, check_closed_writer, lock_is_free, lock_record

import nadi
from nadi import _files


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def test_the_life_of_a_writer(spool):
    writer = nadi.EventWriter(spool, service="iris-api", host="web1")
    (lock,) = spool.glob("*.lock")
    assert lock.name == writer.name + ".lock" and not lock_is_free(lock)
    record = lock_record(lock)
    assert (record["writer"], record["host"], record["service"]) == (writer.name, "web1", "iris-api")
    assert (record["pid"], record["seq"], record["appended"], record["closed"]) == (os.getpid(), 0, 0, False)
    assert oct(lock.stat().st_mode & 0o777) == "0o640"

    writer.prediction("iris", "1")
    appended = time.monotonic()
    wait_for(lambda: len(Spool(spool).events()) == 1)
    assert time.monotonic() - appended < 0.5  # promised: 0.1 on an idle machine
    writer.prediction("iris", "1")
    assert writer.flush()
    assert len(Spool(spool).events()) == 2
    inode = lock.stat().st_ino
    wait_for(lambda: lock_record(lock)["written"] == 2)
    writer.prediction()
    wait_for(lambda: lock_record(lock)["dropped"]["invalid"] == 1)
    assert lock.stat().st_ino == inode

    writer.close()
    read = Spool(spool)
    assert not read.locks and len(read.segments) == 1
    last = check_closed_writer(read.segments)
    assert last["written"] == 3 and last["appended"] == 4 and last["dropped"]["invalid"] == 1
    assert "replay" not in last
    writer.prediction("iris", "1")
    writer.close()
    assert len(Spool(spool).events()) == 2


def test_a_writer_without_events_still_seals_its_end(spool):
    nadi.EventWriter(spool, service="s", replay=True).close()
    read = Spool(spool)
    last = check_closed_writer(read.segments)
    assert last["written"] == 1 and last["replay"] is True


def test_rotation_by_size(spool):
    writer = nadi.EventWriter(spool, service="s", seal_bytes=8192)
    ids = [writer.prediction("iris", "1", features={"x": float(i)}) for i in range(500)]
    writer.close()
    read = Spool(spool)
    check_closed_writer(read.segments)
    assert len(read.segments) > 10
    assert all(len(s.bytes) < 8192 + 1024 for s in read.segments)
    assert [e["id"] for e in read.events()] == ids


def test_rotation_by_age(spool):
    writer = nadi.EventWriter(spool, service="s", seal_seconds=0.2)
    writer.prediction("iris", "1")
    wait_for(lambda: [s.sealed for s in Spool(spool).segments] == [True])
    (lock,) = spool.glob("*.lock")
    wait_for(lambda: lock_record(lock)["seq"] == 1)
    assert lock_record(lock)["written"] == 2
    time.sleep(0.5)
    assert len(Spool(spool).segments) == 1  # an empty segment is never sealed, nor begun
    writer.prediction("iris", "1")
    wait_for(lambda: len([s for s in Spool(spool).segments if s.sealed]) == 2)
    writer.close()
    check_closed_writer(Spool(spool).segments)


def test_flush_does_not_delay_the_seal(spool):
    writer = nadi.EventWriter(spool, service="s", seal_seconds=0.3)
    for _ in range(3):
        writer.prediction("iris", "1")
        assert writer.flush()
    wait_for(lambda: any(s.sealed for s in Spool(spool).segments), 2.0)
    writer.close()


def test_threads(spool):
    writer = nadi.EventWriter(spool, service="s", seal_bytes=65536)
    ids = []

    def work(number):
        mine = []
        for index in range(500):
            mine.append(writer.prediction("iris", "1", features={"thread": number, "index": index}))
            if index % 100 == 0:
                writer.flush()
        ids.extend(mine)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    read = Spool(spool)
    last = check_closed_writer(read.segments)
    assert sorted(e["id"] for e in read.events()) == sorted(ids) and len(set(ids)) == 4000
    assert last["written"] == 4000 + len(read.segments)


def test_a_full_buffer_drops_and_counts(spool, monkeypatch):
    writer = nadi.EventWriter(spool, service="s", buffer_events=10)
    with writer._pump._io:  # a stalled disk
        begin = time.monotonic()
        for _ in range(25):
            writer.prediction("iris", "1")
        assert time.monotonic() - begin < 1.0
        assert writer.counts["dropped"]["buffer_full"] == 15
    assert not writer.flush()  # not all of them are there
    assert writer.flush()
    writer.close()
    last = check_closed_writer(Spool(spool).segments)
    assert last["dropped"]["buffer_full"] == 15 and last["appended"] == 26


def test_flush_gives_up_on_a_stalled_disk(spool):
    writer = nadi.EventWriter(spool, service="s")
    with writer._pump._io:
        writer.prediction("iris", "1")
        begin = time.monotonic()
        assert not writer.flush(timeout=0.1)
        assert time.monotonic() - begin < 1.0
    assert writer.flush()
    writer.close()


def test_block_waits_for_the_disk(spool):
    writer = nadi.EventWriter(spool, service="s", buffer_events=10, on_full="block")
    for _ in range(1000):
        writer.prediction("iris", "1")
    writer.close()
    last = check_closed_writer(Spool(spool).segments)
    assert last["written"] == 1001 and last["appended"] == 1001


@pytest.mark.parametrize("what", ["files", "directory", "open"])
def test_a_wiped_spool_makes_a_new_writer(spool, what):
    writer = nadi.EventWriter(spool, service="s")
    first = writer.prediction("iris", "1")
    assert writer.flush()
    old = writer.name
    if what == "directory":
        shutil.rmtree(spool)
    for path in list(spool.glob("*.open" if what == "open" else "*")):
        path.unlink()
    second = writer.prediction("iris", "1")
    assert writer.flush()
    assert writer.name != old
    assert [e["id"] for e in Spool(spool).events()] == [first, second]
    writer.close()
    read = Spool(spool)
    assert check_closed_writer(read.of(writer._pump._files.name))["written"] == 3
    assert read.writers() == [writer._pump._files.name] and len(read.locks) == (1 if what == "open" else 0)


def test_without_its_lock_file_a_writer_ends_in_order_and_a_new_one_begins(spool):
    writer = nadi.EventWriter(spool, service="s")
    first = writer.prediction("iris", "1")
    assert writer.flush()
    old = writer.name
    (spool / f"{old}.lock").unlink()
    second = writer.prediction("iris", "1")
    assert writer.flush()
    writer.close()
    read = Spool(spool)
    assert len(read.writers()) == 2 and not read.locks
    for name in read.writers():
        check_closed_writer(read.of(name))
    assert [e["id"] for e in read.events()] == [first, second]  # each once


def test_a_taken_number_makes_a_new_writer(spool):
    writer = nadi.EventWriter(spool, service="s")
    first = writer.prediction("iris", "1")
    writer.flush()
    old = writer.name
    os.rename(spool / f"{old}-0.open", spool / f"{old}-0-1795428960000-1.jsonl")  # as the shipper adopts it
    second = writer.prediction("iris", "1")
    writer.close()
    read = Spool(spool)
    new = [name for name in read.writers() if name != old]
    assert len(new) == 1
    assert [e["id"] for s in read.of(new[0]) for e in s.events if e["type"] != "writer"] == [first, second]
    check_closed_writer(read.of(new[0]))


def test_a_short_write_leaves_a_fragment_that_is_counted(spool, monkeypatch):
    writer = nadi.EventWriter(spool, service="s")
    real, state = os.write, {"left": 0}

    def short(descriptor, data):
        if state["left"] == 2:
            state["left"] = 1
            return real(descriptor, bytes(data)[:25])
        if state["left"] == 1:
            state["left"] = 0
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(_files.os, "write", short)
    writer.prediction("iris", "1")
    assert writer.flush()
    state["left"] = 2
    writer.prediction("iris", "1")
    assert not writer.flush()
    writer.prediction("iris", "1")
    assert writer.flush()
    writer.close()
    (segment,) = Spool(spool).segments
    last = check_closed_writer([segment])
    assert segment.fragments == 1 and len(segment.raw) == 4
    assert last["written"] == 4 and last["dropped"]["disk_full"] == 1 and last["appended"] == 5


def test_a_spool_that_comes_late(tmp_path):
    blocker = tmp_path / "spool"
    blocker.write_text("a file where the directory should be")
    writer = nadi.EventWriter(blocker, service="s")
    identity = writer.prediction("iris", "1")
    assert not writer.flush() and writer.name is None
    blocker.unlink()
    wait_for(lambda: writer.flush())
    writer.close()
    assert [e["id"] for e in Spool(blocker).events()] == [identity]


def test_resource_events_by_themselves(spool, validator):
    writer = nadi.EventWriter(spool, service="s", resource_seconds=0.1)
    wait_for(lambda: spool.exists() and len(Spool(spool).events("resource")) >= 2)
    writer.close()
    for event in Spool(spool).events():
        validator.validate(event)
