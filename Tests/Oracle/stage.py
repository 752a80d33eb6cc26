"""Everything that a run needs of its own: servers, database, configurations, programs, and what was said to it."""

from __future__ import annotations

import itertools
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Dict, List, Optional, Sequence, Tuple

from durability import judge_trace

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent

SEAL_SECONDS = 0.25
#: Three seal ages, and a little for a machine that is busy.
DEAD_SECONDS = 0.9
LEASE_SECONDS = 3
#: How long events fall into an hour before the next one's turn comes.
EPOCH_SECONDS = 4


class StageError(Exception):
    """Something around the programs under test failed, so that nothing can be judged."""


class Process:
    """A program that was started, and whether it came by its named point."""

    def __init__(self, hit: pathlib.Path, trace: Optional[pathlib.Path], child: "subprocess.Popen[bytes]") -> None:
        self._hit, self._trace, self._child = hit, trace, child
        self.send_signal, self.wait = child.send_signal, child.wait

    def end(self, seconds: float) -> Optional[int]:
        """The status of a process that ends by itself; None if it does not."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> int:
        self._child.kill()
        return self._child.wait()

    def was_hit(self) -> bool:
        """Whether the point was reached; asked once."""
        if not self._hit.exists():
            return False
        self._hit.unlink()
        return True


    def steps(self) -> List[str]:
        """What it did too early, once it has ended; asked once."""
        if self._trace is None or not self._trace.exists():
            return []
        findings = judge_trace(self._trace, ended_in_order=self._child.returncode == 0)
        if not findings:
            self._trace.unlink()
        return findings


class Life:
    """One process that writes, and what it said."""

    def __init__(self, number: int, host: str, client: str, plan: str) -> None:
        self.number, self.host, self.client, self.plan = number, host, client, plan
        self.pids: List[int] = []
        self.end = "lives"

    def __str__(self) -> str:
        pids = ",".join(map(str, self.pids)) or "?"
        return f"writer {self.number} ({self.client}, {self.host}, pid {pids}, plan {self.plan}, end: {self.end})"


class Said:
    """What writers' parents read from their pipes: every event that was to be flushed, and whether `flush` returned."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.events: Dict[str, Tuple[Tuple[str, ...], int]] = {}  # id: the words that were said, and the life's number
        self.flushed: set[str] = set()
        self.order: Dict[int, List[str]] = {}  # ids by life
        self.lives: List[Life] = []

    def begin(self, host: str, client: str, plan: str) -> Life:
        with self.lock:
            life = Life(len(self.lives), host, client, plan)
            self.lives.append(life)
            self.order[life.number] = []
            return life

    def listen(self, life: Life, pipe: int) -> None:
        """Reads to the pipe's end: until the last process that holds it is gone."""
        open_: Dict[str, List[str]] = {}
        with os.fdopen(pipe, "rb") as lines:
            for raw in lines:
                if not raw.endswith(b"\n"):
                    break  # torn by the kill: not said
                words = raw.decode().split()
                with self.lock:
                    if words[0] in ("p", "o"):
                        self.events[words[2]] = ((words[0], *words[3:]), life.number)
                        self.order[life.number].append(words[2])
                        open_.setdefault(words[1], []).append(words[2])
                    else:
                        if words[0] == "ok":
                            self.flushed.update(open_.get(words[1], []))
                        open_[words[1]] = []
                    pid = int(words[1].split(".")[0])
                    if pid not in life.pids:
                        life.pids.append(pid)


class Stage:
    def __init__(self, seed: int, binaries: pathlib.Path, hosts: int) -> None:
        self.seed = seed
        self.binaries = binaries
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nadi-oracle-"))
        self.hosts = [f"host{number}" for number in range(hosts)]
        self.bucket, self.prefix, self.database = "oracle", "fleet", "nadi_oracle"
        self._started = itertools.count()
        self.said = Said()
        self.faults: List[str] = []
        self._faults_lock = threading.Lock()
        self.interposer = self.folder / "kill_points.so"
        self.store: Dict[str, str] = {}
        self.postgres: Dict[str, str] = {}
        now = int(time.time() * 1000)
        self._this_hour = now - now % 3_600_000
        self._began = time.monotonic()
        #: Hours that events fell into.
        self.hours: List[int] = []

    # -- beginning and end ---------------------------------------------------------------------------------------------

    def hour(self, generator: random.Random) -> int:
        """One of the three hours that events fall into now. They change, so that each has few objects: joins stay small,
        and no longer touch what is over."""
        epoch = int((time.monotonic() - self._began) / EPOCH_SECONDS) + generator.randrange(3)
        hour = self._this_hour - (1 + epoch % 800) * 3_600_000
        if hour not in self.hours:
            self.hours.append(hour)
        return hour

    def open(self) -> None:
        self.folder.chmod(0o711)
        compiler = shutil.which("cc") or shutil.which("clang")
        if compiler is None:
            raise StageError("there is no C compiler (cc or clang); deploy/install installs one")
        self._must([compiler, "-shared", "-fPIC", "-O1", "-o", str(self.interposer), str(HERE / "kill_points.c"), "-ldl"])
        self.start_postgres()
        self.start_store()
        for host in self.hosts:
            for name in ("spool", "state"):
                (self.folder / host / name).mkdir(parents=True)
            self._write_shipper(host)
        self.make_database(self.database)
        self._must_run("migrate", "loader.yaml")
        self.sql("CREATE ROLE oracle_loader LOGIN PASSWORD 'oracle' IN ROLE nadi_loader", database=self.database)
        self.write_loader("loader.yaml", self.database, "oracle_loader:oracle")
        self.write_loader("joining.yaml", self.database, "oracle_loader:oracle", joins="share: 0, hours_per_run: 3")

    def close(self, keep: bool) -> None:
        subprocess.run([str(ROOT / "deploy/servers"), "stop", str(self.folder)], capture_output=True, check=False)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def fault(self, text: str) -> None:
        """Something that a product must never do was seen while it ran."""
        with self._faults_lock:
            self.faults.append(text)

    def _must(self, command: Sequence[str]) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise StageError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    # -- servers -------------------------------------------------------------------------------------------------------

    def _server(self, *words: str) -> Dict[str, str]:
        text = self._must([str(ROOT / "deploy/servers"), *words])
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def start_postgres(self) -> None:
        for attempt in range(40):
            try:
                self.postgres = self._server("start", "postgres", str(self.folder), "0")
                return
            except StageError:  # those whom the killed server had served hold its memory until they notice
                if attempt == 39:
                    raise
                time.sleep(0.25)

    def start_store(self) -> None:
        self.store = self._server("start", "seaweedfs", str(self.folder), "0", self.bucket)

    def stop_store(self) -> None:
        self._must([str(ROOT / "deploy/servers"), "stop", str(self.folder), "seaweedfs"])

    def uri(self, database: str, user: Optional[str] = None) -> str:
        uri = self.postgres["POSTGRES_URI"].rsplit("/", 1)[0] + "/" + database
        return uri if user is None else "postgresql://" + user + "@" + uri.split("@", 1)[1]

    def sql(self, statement: str, database: Optional[str] = None) -> List[List[str]]:
        """Rows as text, asked by psql as the superuser."""
        done = subprocess.run(
            ["psql", "-X", "-qAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", statement,
             self.uri(database or self.database)],
            capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise StageError(f"psql: {done.stderr.strip()}: {statement[:200]}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def make_database(self, name: str) -> None:
        self.sql(f"CREATE DATABASE {name}", database="postgres")
        self.write_loader("loader.yaml" if name == self.database else f"{name}.yaml", name)

    # -- programs ------------------------------------------------------------------------------------------------------

    def _write_shipper(self, host: str) -> None:
        (self.folder / host / "shipper.yaml").write_text(f"""\
host: {host}
spool: [{self.folder / host / "spool"}]
state: {self.folder / host / "state"}
store:
  url: s3://{self.bucket}/{self.prefix}
  region: us-east-1
  endpoint: {self.store["S3_ENDPOINT"]}
bundle: {{size: 64KiB, age: 300ms}}
poll: 50ms
dead_after: {int(DEAD_SECONDS * 1000)}ms
report_every: 500ms
stop_within: 5s
retry: {{first: 20ms, longest: 500ms}}
admin: off
""")

    def write_loader(
        self, name: str, database: str, user: Optional[str] = None, joins: str = "hours_per_run: 0"
    ) -> None:
        """By default it joins only when it is told to, so that a load is short."""
        (self.folder / name).write_text(f"""\
database: {self.uri(database, user)}
store:
  url: s3://{self.bucket}/{self.prefix}
  region: us-east-1
  endpoint: {self.store["S3_ENDPOINT"]}
lease: {LEASE_SECONDS}s
batch: {{objects: 8}}
join: {{{joins}}}
parallelism: 2
""")

    def start(
        self, command: Sequence[str], log: str, role: str = "loader", point: Optional[str] = None, at: int = 1,
        output: Optional[int] = None, stops: bool = False,
    ) -> Process:
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
        key = {"shipper": "S3_SHIPPER", "shipper-head": "S3", "loader": "S3_LOADER", "writer": "S3_LOADER"}[role]
        environment["AWS_ACCESS_KEY_ID"] = self.store[f"{key}_ACCESS_KEY"]
        environment["AWS_SECRET_ACCESS_KEY"] = self.store[f"{key}_SECRET_KEY"]
        number = next(self._started)
        hit, trace = self.folder / f"hit-{number}", None
        if role != "loader":
            trace = self.folder / f"trace-{number}"
            environment.update(LD_PRELOAD=str(self.interposer), NADI_KILL_TRACE=str(trace))
        if point is not None:
            environment.update(
                LD_PRELOAD=str(self.interposer), NADI_KILL_POINT=point, NADI_KILL_AT=str(at), NADI_KILL_LOG=str(hit),
                NADI_KILL_ACTION="stop" if stops else "kill")
        with open(self.folder / log, "ab") as file:
            file.write(f"-- {' '.join(command[:3])} {point or ''}:{at}\n".encode())
            file.flush()
            return Process(hit, trace, subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file if output is None else output, stderr=file,
                env=environment, cwd="/"))

    def nadi(self, *arguments: str, configuration: str = "loader.yaml") -> List[str]:
        return [str(self.binaries / "nadi"), *arguments, "--config", str(self.folder / configuration)]

    def shipper(self, host: str, *arguments: str) -> List[str]:
        return [str(self.binaries / "nadi-shipper"), "run", *arguments, "--config", str(self.folder / host / "shipper.yaml")]

    def run(self, command: Sequence[str], log: str, timeout: float = 300, role: str = "loader") -> Tuple[int, str]:
        """Runs a program to its end: its status and what it said."""
        before = (self.folder / log).stat().st_size if (self.folder / log).exists() else 0
        process = self.start(command, log, role=role)
        status = process.end(timeout)
        if status is None:
            status = process.kill()
            self.fault(f"{' '.join(command[:2])} did not end within {timeout:.0f} seconds")
        with open(self.folder / log, "rb") as file:
            file.seek(before)
            return status, file.read().decode(errors="replace")

    def _must_run(self, verb: str, configuration: str) -> None:
        status, text = self.run(self.nadi(verb, configuration=configuration), "setup.log")
        if status != 0:
            raise StageError(f"nadi {verb}: {text}")

    def migrate(self, database: str) -> None:
        self._must_run("migrate", f"{database}.yaml")


def seeded(seed: int, name: str) -> random.Random:
    """A generator of its own for each thread, so that one does not disturb the others."""
    return random.Random(f"{seed}/{name}")


def signalled(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def binaries() -> pathlib.Path:
    """The programs: release ones where there are any."""
    for name in ("NADI_TEST_RELEASE_BINARIES", "NADI_TEST_BINARIES"):
        if os.environ.get(name):
            return pathlib.Path(os.environ[name]).resolve()
    for kind in ("release", "debug"):
        if (ROOT / ".build" / kind / "nadi-shipper").exists():
            return ROOT / ".build" / kind
    raise StageError("the programs are not built: swift build, or set NADI_TEST_BINARIES")


PYTHON = sys.executable
