# SPDX-License-Identifier: Apache-2.0
"""Workers that gunicorn forks, kills and reloads: each is a writer of its own, and each one's end is known."""

import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import HERE, Spool, check_closed_writer, lock_is_free

pytest.importorskip("gunicorn", reason="pip install -r Tests/requirements.txt")

APP = """
import os
import nadi
writer = nadi.EventWriter(os.environ["SPOOL"], service="s", seal_seconds=3600)
def app(environ, start_response):
    identity = writer.prediction("iris", "1", features={"pid": os.getpid()})
    assert writer.flush()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {identity}".encode()]
"""


class Server:
    """A gunicorn with three workers on a socket file, and what it has promised."""

    def __init__(self, folder, spool, *options):
        (folder / "service.py").write_text(APP)
        self.socket = str(folder / "socket")
        self.promised = {}  # event id: process
        environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}:{folder}", "SPOOL": str(spool)}
        command = [sys.executable, "-m", "gunicorn", "service:app", "--workers", "3", "--bind", f"unix:{self.socket}"]
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*command, "--graceful-timeout", "10", *options], env=environment, stdout=log, stderr=log, cwd=folder
            )

    def ask(self):
        """One request: the process that answered, or None where none did."""
        connection = http.client.HTTPConnection("localhost", timeout=10)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(10)
            connection.sock.connect(self.socket)
            connection.request("GET", "/")
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, self.log.read_text()
        except OSError:
            return None
        except http.client.HTTPException:  # the worker was killed meanwhile
            return None
        finally:
            connection.close()
        process, identity = text.split()
        self.promised[identity] = int(process)
        return int(process)

    def ask_until(self, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.ask()
            if condition():
                return
        raise AssertionError(self.log.read_text())

    def processes(self):
        return set(self.promised.values())


def adopt(folder, spool):
    """The real shipper, whose store does not answer, ends what died."""
    root = HERE.parent.parent.parent
    program = pathlib.Path(os.environ.get("NADI_TEST_BINARIES") or root / ".build" / "debug") / "nadi-shipper"
    if not program.exists():
        pytest.skip("build nadi-shipper, or use Tests/run")
    (folder / "state").mkdir()
    (folder / "shipper.yaml").write_text(
        f"host: h\nspool: {spool}\nstate: {folder}/state\nadmin: off\ndead_after: 1s\npoll: 100ms\n"
        'store: {url: "s3://bucket/x", endpoint: "http://127.0.0.1:9", addressing: path}\n'
    )
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    log = folder / "shipper.log"
    with open(log, "wb") as output:
        shipper = subprocess.Popen(
            [program, "run", "--config", folder / "shipper.yaml"], env=environment, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 30
        while list(spool.glob("[!.]*.lock")) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not list(spool.glob("[!.]*.lock")), log.read_text()
    finally:
        shipper.kill()
        shipper.wait()


@pytest.mark.parametrize("options", [(), ("--preload",), ("--preload", "--threads", "2")], ids=" ".join)
def test_workers_killed_and_reloaded(tmp_path, spool, options):
    server = Server(tmp_path, spool, *options)
    try:
        server.ask_until(lambda: len(server.processes()) == 3)
        first = server.processes()
        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        server.ask_until(lambda: len(server.processes() - first) == 1)
        before = server.processes()
        server.process.send_signal(signal.SIGHUP)  # graceful: the old workers end, three others begin
        server.ask_until(lambda: len(server.processes() - before) == 3)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0, server.log.read_text()
    finally:
        server.process.kill()
        server.process.wait()

    read = Spool(spool)
    found = {event["id"]: event["features"]["pid"] for event in read.events()}
    assert {key: found.get(key) for key in server.promised} == server.promised
    assert len(read.events()) == len(found), "no event is there twice"
    # One writer for each process, and of a master that made one before it forked.
    owners = {name: {e["features"]["pid"] for s in read.of(name) for e in s.events if e["type"] != "writer"}
              for name in read.writers()}  # fmt: skip
    with_events = {name: pids for name, pids in owners.items() if pids}
    assert all(len(pids) == 1 for pids in with_events.values())
    assert len(with_events) == len(server.processes()) == 7
    assert len(owners) - len(with_events) == (1 if "--preload" in options else 0)
    orphans = [name for name, pids in owners.items() if killed in pids]
    assert [lock.name for lock in read.locks] == [f"{orphans[0]}.lock"] and len(orphans) == 1
    assert lock_is_free(read.locks[0])
    for name in owners:
        if name not in orphans:
            check_closed_writer(read.of(name))

    adopt(tmp_path, spool)
    ended = Spool(spool).of(orphans[0])
    assert [segment.end for segment in ended] == [False, True]
    last = ended[-1].events[-1]
    assert last["adopted"] and last["found"] == len(ended[0].events)
    assert {e["id"] for e in ended[0].events} >= {key for key, pid in server.promised.items() if pid == killed}
