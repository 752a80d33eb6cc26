# SPDX-License-Identifier: Apache-2.0
"""Forks, workers, crashes and full disks: each in real processes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from conftest import HERE, Spool, check_closed_writer, lock_is_free, lock_record

import nadi

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent)}


def script(body, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(body), *map(str, arguments)],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_fork(spool):
    writer = nadi.EventWriter(spool, service="s")
    parent = [writer.prediction("iris", "1") for _ in range(50)]  # some still in the buffer
    child = os.fork()
    if child == 0:
        status = 1
        try:
            writer.prediction("iris", "child")
            writer.flush()
            status = 0 if writer.name else 2
            writer.close()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    (lock,) = spool.glob("*.lock")
    assert lock.name == writer.name + ".lock" and not lock_is_free(lock)
    parent.append(writer.prediction("iris", "1"))
    name = writer.name
    writer.close()
    read = Spool(spool)
    assert len(read.writers()) == 2
    for one in read.writers():
        check_closed_writer(read.of(one))
    assert [e["id"] for s in read.of(name) for e in s.events if e["type"] == "prediction"] == parent
    assert [e["model_version"] for e in read.events()].count("child") == 1
    sources = {e["source"] for e in read.events()}
    assert len(sources) == 2


def test_a_forked_child_keeps_no_hold_on_the_parents_lock(spool):
    process = script(
        """
        import nadi, os, sys, time
        writer = nadi.EventWriter(sys.argv[1], service="s")
        writer.prediction("iris", "1")
        writer.flush()
        if os.fork() == 0:
            os.close(1); os.close(2)
            time.sleep(3)
            os._exit(0)
        print("ready", flush=True)
        time.sleep(60)
        """,
        spool,
    )
    assert process.stdout.readline() == "ready\n"
    (lock,) = spool.glob("*.lock")
    assert not lock_is_free(lock)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 1.5
    while not lock_is_free(lock) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert lock_is_free(lock)
    process.communicate()


def test_a_silent_child_leaves_nothing(spool):
    process = script(
        """
        import nadi, os, sys
        writer = nadi.EventWriter(sys.argv[1], service="s")
        if os.fork() == 0:
            sys.exit(0)
        os.wait()
        """,
        spool,
    )
    assert process.wait() == 0, process.stderr.read()
    read = Spool(spool)
    assert len(read.writers()) == 1
    check_closed_writer(read.segments)


def test_fork_while_threads_write(spool):
    writer = nadi.EventWriter(spool, service="s", seal_bytes=8192)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            writer.prediction("iris", "parent")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    children = []
    for _ in range(10):
        child = os.fork()
        if child == 0:
            try:
                writer.prediction("iris", "child")
                writer.close(timeout=60)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    results = [os.waitpid(child, 0)[1] for child in children]
    stop.set()
    for thread in threads:
        thread.join()
    writer.close(timeout=60)
    assert results == [0] * 10
    read = Spool(spool)
    assert len(read.writers()) == 11
    for name in read.writers():
        check_closed_writer(read.of(name))
    assert [e["model_version"] for e in read.events()].count("child") == 10


POOL = """
import multiprocessing, sys
import nadi
writer = None
def begin(directory):
    global writer
    writer = nadi.EventWriter(directory, service="s")
def work(number):
    writer.prediction("iris", "1", features={"number": number})
if __name__ == "__main__":
    pool = multiprocessing.get_context(sys.argv[2]).Pool(3, begin, (sys.argv[1],))
    pool.map(work, range(90), chunksize=1)
    pool.close()
    pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_pool(tmp_path, spool, method):
    program = tmp_path / "pool.py"
    program.write_text(POOL)
    subprocess.run([sys.executable, program, spool, method], env=ENVIRONMENT, check=True, timeout=60)
    read = Spool(spool)
    assert sorted(e["features"]["number"] for e in read.events()) == list(range(90))
    assert not read.locks and len(read.writers()) == 3
    for name in read.writers():
        check_closed_writer(read.of(name))


def test_a_multiprocessing_child_of_a_shared_writer_loses_nothing(spool):
    process = script(
        """
        import multiprocessing, sys
        import nadi
        writer = nadi.EventWriter(sys.argv[1], service="s")
        def work(number):
            writer.prediction("iris", "1", features={"number": number})
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=work, args=(number,)) for number in range(8)]
        for child in children: child.start()
        for child in children: child.join()
        """,
        spool,
    )
    assert process.wait() == 0, process.stderr.read()
    read = Spool(spool)
    assert sorted(e["features"]["number"] for e in read.events()) == list(range(8))
    assert len(read.writers()) == 9 and not read.locks


def test_kill_9_loses_nothing_that_was_flushed(spool):
    process = script(
        """
        import nadi, sys
        writer = nadi.EventWriter(sys.argv[1], service="s", seal_bytes=32768)
        while True:
            ids = [writer.prediction("iris", "1", features={"x": 1.5}) for _ in range(20)]
            if writer.flush():
                print("\\n".join(ids), flush=True)
        """,
        spool,
    )
    flushed = [process.stdout.readline().strip() for _ in range(2000)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    flushed += rest.splitlines()[:-1]
    read = Spool(spool)
    (lock,) = read.locks
    assert lock_is_free(lock)
    found = {e["id"] for e in read.events()}
    assert len(flushed) >= 1999 and set(flushed) <= found
    record = lock_record(lock)
    lines = sum(len(s.raw) + (1 if s.torn else 0) for s in read.segments)
    assert record["written"] <= lines and record["closed"] is False
    sealed = [s for s in read.segments if s.sealed]
    assert len(sealed) > 3
    assert sealed[-1].events[-1]["written"] == sum(s.claimed_lines for s in sealed)


def test_exit_without_close_seals(spool):
    process = script(
        """
        import nadi, sys
        for number in range(3):
            nadi.EventWriter(sys.argv[1], service="s").prediction("iris", str(number))
        """,
        spool,
    )
    assert process.wait() == 0, process.stderr.read()
    read = Spool(spool)
    assert len(read.events()) == 3 and len(read.writers()) == 3 and not read.locks
    for name in read.writers():
        check_closed_writer(read.of(name))


def test_without_orjson(spool, validator):
    process = script(
        """
        import sys
        sys.modules["orjson"] = None
        import nadi
        with nadi.EventWriter(sys.argv[1], service="s") as writer:
            writer.prediction("iris", "1", features={"x": float("nan"), "y": "é"})
        """,
        spool,
    )
    assert process.wait() == 0, process.stderr.read()
    (event,) = Spool(spool).events()
    validator.validate(event)
    assert event["features"] == {"x": None, "y": "é"}


FULL = """
    import json, nadi, resource, sys, time
    limit = int(sys.argv[2])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    writer = nadi.EventWriter(sys.argv[1], service="s", seal_seconds=3600)
    sent = 0
    slowest = 0.0
    while writer.counts["dropped"]["disk_full"] < 100 and sent < 200000:
        for _ in range(50):
            begin = time.perf_counter()
            writer.prediction("iris", "1", features={"x": 1.5})
            slowest = max(slowest, time.perf_counter() - begin)
            sent += 1
        writer.flush()
    print(json.dumps({"sent": sent, "slowest": slowest, **writer.counts}), flush=True)
    sys.stdin.readline()
    writer.close(timeout=2.0)
    print(json.dumps(writer.counts), flush=True)
"""


def check_full_disk(spool, process, make_room):
    counts = json.loads(process.stdout.readline())
    assert counts["dropped"]["disk_full"] >= 100 and counts["slowest"] < 1.0
    (lock,) = spool.glob("*.lock")
    time.sleep(1.2)
    assert lock_record(lock)["dropped"]["disk_full"] == counts["dropped"]["disk_full"]  # a full disk cannot stop it
    make_room()
    process.stdin.write("\n")
    process.stdin.flush()
    last = json.loads(process.stdout.readline())
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return counts, last


def test_a_file_size_limit_drops_and_counts(spool):
    process = script(FULL, spool, 40_000, stdin=subprocess.PIPE)
    counts, last = check_full_disk(spool, process, lambda: None)
    read = Spool(spool)
    (segment,) = read.segments
    assert not segment.sealed and len(read.locks) == 1  # left for the shipper: its end could not be written
    lines = len(segment.raw) + (1 if segment.torn else 0)
    assert lock_record(read.locks[0])["written"] == lines == last["written"]
    try:  # the line that was cut may lack no more than its newline: it is in the file then, not among the dropped
        json.loads(segment.bytes[segment.bytes.rindex(b"\n") + 1 :])
        cut = 1
    except ValueError:
        cut = 0
    assert len(read.events()) + cut + last["dropped"]["disk_full"] == counts["sent"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_tmpfs_drops_counts_and_recovers(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)], check=True)
    try:
        ballast = mount / "ballast"
        ballast.write_bytes(b"x" * 100_000)
        spool = mount / "spool"
        process = script(FULL, spool, 0, stdin=subprocess.PIPE)
        counts, last = check_full_disk(spool, process, ballast.unlink)
        read = Spool(spool)
        end = check_closed_writer(read.segments)
        assert not read.locks
        assert end["dropped"]["disk_full"] == counts["dropped"]["disk_full"]
        assert len(read.events()) + end["dropped"]["disk_full"] == counts["sent"]
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_writer_made_in_the_forkserver_is_shared(tmp_path, spool):
    (tmp_path / "shared_writer.py").write_text(
        "import os, nadi\nwriter = nadi.EventWriter(os.environ['SPOOL'], service='s')\n"
    )
    program = tmp_path / "main.py"
    program.write_text(
        textwrap.dedent(
            """
            import multiprocessing
            def work(number):
                import shared_writer
                shared_writer.writer.prediction("iris", "1", features={"number": number})
            if __name__ == "__main__":
                context = multiprocessing.get_context("forkserver")
                context.set_forkserver_preload(["shared_writer"])
                children = [context.Process(target=work, args=(number,)) for number in range(4)]
                for child in children: child.start()
                for child in children: child.join()
                assert all(child.exitcode == 0 for child in children)
            """
        )
    )
    environment = {**ENVIRONMENT, "SPOOL": str(spool), "PYTHONPATH": f"{HERE.parent}:{tmp_path}"}
    subprocess.run([sys.executable, program], env=environment, check=True, timeout=60)
    deadline = time.monotonic() + 20
    while list(spool.glob("*.lock")) and time.monotonic() < deadline:  # the forkserver ends after the program
        time.sleep(0.05)
    read = Spool(spool)
    assert sorted(e["features"]["number"] for e in read.events()) == list(range(4))
    assert not read.locks
    for name in read.writers():
        check_closed_writer(read.of(name))


def test_a_pool_whose_worker_is_killed_keeps_what_was_flushed(tmp_path, spool):
    program = tmp_path / "main.py"
    program.write_text(
        textwrap.dedent(
            """
            import concurrent.futures, multiprocessing, os, signal, sys
            import nadi
            writer = nadi.EventWriter(sys.argv[1], service="s")
            def work(number):
                writer.prediction("iris", "1", features={"number": number})
                assert writer.flush()
                if number == 7:
                    os.kill(os.getpid(), signal.SIGKILL)
                return number
            if __name__ == "__main__":
                pool = concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork"))
                futures = [pool.submit(work, number) for number in range(8)]
                done = []
                for future in futures:
                    try:
                        done.append(future.result())
                    except concurrent.futures.process.BrokenProcessPool:
                        pass
                pool.shutdown()
                print(*done, 7)
            """
        )
    )
    run = subprocess.run(
        [sys.executable, program, spool], env=ENVIRONMENT, check=True, timeout=60, stdout=subprocess.PIPE, text=True
    )
    promised = {int(number) for number in run.stdout.split()}
    read = Spool(spool)
    found = [e["features"]["number"] for e in read.events()]
    assert promised <= set(found) and len(found) == len(set(found))
    # A broken pool ends its other workers by signal: they are left for the shipper, as is the killed one.
    assert read.locks and all(lock_is_free(lock) for lock in read.locks)
    for name in read.writers():
        if not any(lock.name == f"{name}.lock" for lock in read.locks):
            check_closed_writer(read.of(name))


def test_a_service_that_closes_unknown_descriptors_loses_nothing(spool):
    process = script(
        """
        import nadi, os, sys
        writer = nadi.EventWriter(sys.argv[1], service="s", seal_seconds=3600)
        ids = [writer.prediction("iris", "1") for _ in range(5)]
        assert writer.flush()
        os.closerange(3, 1024)
        victims = [os.open(os.devnull, os.O_RDWR) for _ in range(20)]  # the numbers are the service's own now
        ids += [writer.prediction("iris", "1") for _ in range(5)]
        assert writer.flush(), writer.counts
        writer.close()
        for victim in victims: os.fstat(victim)  # none was closed under it
        print("\\n".join(ids))
        """,
        spool,
    )
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    read = Spool(spool)
    assert sorted(e["id"] for e in read.events()) == sorted(out.split())
    assert len(read.writers()) == 2 and len(read.locks) == 1 and lock_is_free(read.locks[0])
