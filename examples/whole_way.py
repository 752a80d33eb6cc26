# SPDX-License-Identifier: Apache-2.0
"""The whole way of recorded events, for the examples that replay them: files, the shipper, a bucket, loaders, PostgreSQL.

The servers are private ones of deploy/servers, on loopback, in a folder of their own, unless others are given. What is
specific to an example (its events, its table) stands in its own folder.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, Optional, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "clients" / "python"))

#: Replayed events are years old. Labels and objects of that age are no late ones here.
KEPT_DAYS = 36_500


class Failure(Exception):
    """What the user is told, on one line."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all replays share."""
    group = parser.add_argument_group("servers and programs")
    group.add_argument(
        "--database", metavar="URI",
        help="a PostgreSQL database of yours, whose user may make schemas and roles; default: a private server")
    group.add_argument(
        "--store", metavar="URL",
        help="a bucket of yours, s3://bucket/prefix, with the key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; default: a private "
        "server. Give an empty prefix of its own")
    group.add_argument("--endpoint", metavar="URL", help="where that bucket is, unless at AWS")
    group.add_argument(
        "--programs", type=pathlib.Path, metavar="DIR",
        help="a folder with nadi and nadi-shipper; default: they are built for release (the first time takes minutes)")
    group.add_argument("--keep", action="store_true", help="leave the private servers running at the end, and say how to ask them")


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.endpoint and not options.store:
        parser.error("--endpoint needs --store: which bucket is meant?")
    if options.store and not (os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_PROFILE")):
        parser.error("--store needs the key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    for name in ("nadi", "nadi-shipper"):
        if options.programs and not (options.programs / name).exists():
            parser.error(f"--programs {options.programs} has no {name}; leave the option out to have it built")


def built_programs() -> pathlib.Path:
    """Builds both programs as the README says; the folder they are in."""
    build = ["swift", "build", "-c", "release", "--static-swift-stdlib"]
    for product in ("nadi-shipper", "nadi"):
        if subprocess.run([*build, "--product", product], cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
            raise Failure(f"{product} cannot be built; swift's words stand above")
    return pathlib.Path(subprocess.run([*build, "--show-bin-path"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip())


class Progress:
    """One line on a terminal that tells how far it is; lines of their own where the output is a file."""

    def __init__(self, stream: Any = None) -> None:
        self.stream = stream or sys.stderr
        self.began = time.monotonic()
        self.live = self.stream.isatty()

    def _put(self, text: str, end: str) -> None:
        stamp = f"[{time.monotonic() - self.began:5.1f} s] "
        self.stream.write(f"\r\x1b[K{stamp}{text}{end}" if self.live else f"{stamp}{text}\n")
        self.stream.flush()

    def step(self, text: str) -> None:
        """What is happening now: replaced by the next word on a terminal, left out of a file."""
        if self.live:
            self._put(text[: shutil.get_terminal_size().columns - 12], "")

    def say(self, text: str) -> None:
        """What has happened."""
        self._put(text, "\n")


class WholeWay:
    """Servers, configurations, and the programs at work on them.

    :param name: of the example: names the host, the bucket and the folder.
    :param programs: the folder of ``nadi`` and ``nadi-shipper``.
    :param slices: tags whose values become slices.
    :param database: URI of PostgreSQL; None starts a private one.
    :param store: URL of a bucket; None starts a private server.
    :param endpoint: its address, unless at AWS.
    :param environment: variables beside this process's, such as the bucket's key.
    """

    def __init__(
        self, name: str, programs: pathlib.Path, slices: Sequence[str] = (), database: Optional[str] = None,
        store: Optional[str] = None, endpoint: Optional[str] = None, progress: Optional[Progress] = None,
        environment: Optional[Dict[str, str]] = None,
    ) -> None:  # fmt: skip
        self.name, self.programs, self.progress = name, programs, progress or Progress()
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix=f"nadi-{name}-"))
        self.spool = self.scratch / "spool"
        self.keeping = False
        self.private: Dict[str, str] = {}
        self.database = self.reader = database or ""
        self.environment = {**os.environ, **(environment or {})}
        try:
            self._start(store, endpoint)
            self._configure(slices, store or f"s3://nadi-{name}/{name}")
            self.nadi("migrate")
            if database is None:
                self._make_reader()
        except BaseException:
            self.close()
            raise

    # -- servers -------------------------------------------------------------------------------------------------------

    def _start(self, store: Optional[str], endpoint: Optional[str]) -> None:
        if not self.database:
            self.progress.step("starting PostgreSQL")
            self._server("postgres")
            self.database = self.reader = self.private["POSTGRES_URI"]
        if store is None:
            self.progress.step("starting an S3 server")
            self._server("seaweedfs", f"nadi-{self.name}")
            endpoint = self.private["S3_ENDPOINT"]
            self.environment["AWS_ACCESS_KEY_ID"] = self.private["S3_ACCESS_KEY"]
            self.environment["AWS_SECRET_ACCESS_KEY"] = self.private["S3_SECRET_KEY"]
        self.endpoint = endpoint or ""

    def _server(self, kind: str, *arguments: str) -> None:
        command = [str(ROOT / "deploy" / "servers"), "start", kind, str(self.scratch), "0", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Failure(done.stderr.strip() or f"deploy/servers cannot start {kind}")
        self.private.update(line.split("=", 1) for line in done.stdout.splitlines())

    def _make_reader(self) -> None:
        """Tables are asked by a role of their own, as dashboards ask them."""
        password = secrets.token_hex(16)
        self.query(f"ALTER ROLE nadi_reader LOGIN PASSWORD '{password}'")
        self.reader = f"postgresql://nadi_reader:{password}@{self.database.split('@', 1)[1]}"

    def close(self) -> None:
        """Stops the private servers and removes their folder, unless they are to be kept."""
        if self.keeping:
            return
        if self.private:
            subprocess.run([str(ROOT / "deploy" / "servers"), "stop", str(self.scratch)], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def __enter__(self) -> "WholeWay":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep(self) -> str:
        """Leaves the servers running; how to go on with them."""
        self.keeping = True
        return "\n".join((
            f"Ask PostgreSQL:  psql '{self.reader}'",
            f"Load again:      {self._credentials()}{self.programs}/nadi load --config {self.loader}",
            f"Stop it all:     {ROOT}/deploy/servers stop {self.scratch}; rm -r {self.scratch}",
        ))  # fmt: skip

    def _credentials(self) -> str:
        return "".join(f"{key}={self.environment[key]} " for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if self.private)

    # -- configurations ------------------------------------------------------------------------------------------------

    def _configure(self, slices: Sequence[str], store: str) -> None:
        for folder in ("spool", "state"):
            (self.scratch / folder).mkdir(exist_ok=True)
        self.shipper, self.loader = self.scratch / "shipper.yaml", self.scratch / "loader.yaml"
        # A join reads an hour's objects again: small ones, as an hour of traffic makes them, and not years in one. The
        # bucket's objects then also come to more than one loader's share.
        self.shipper.write_text(
            f"host: {self.name}\nspool: [{json.dumps(str(self.spool))}]\nstate: {json.dumps(str(self.scratch / 'state'))}\n"
            f"store:\n  url: {json.dumps(store)}\n  endpoint: {json.dumps(self.endpoint)}\n"
            "bundle:\n  size: 256KiB\nadmin: off\nlog_level: warning\n")  # fmt: skip
        self.loader.write_text(
            f"database: {json.dumps(self.database)}\nstore:\n  url: {json.dumps(store)}\n  endpoint: {json.dumps(self.endpoint)}\n"
            f"slices: {json.dumps(list(slices))}\nbatch:\n  objects: 4\n"
            f"retention:\n  label_days: {KEPT_DAYS}\n  archive_days: {KEPT_DAYS}\n")  # fmt: skip
        self.loader.chmod(0o600)

    # -- programs ------------------------------------------------------------------------------------------------------

    def _command(self, *arguments: Any) -> List[str]:
        return [str(self.programs / "nadi"), *map(str, arguments), "--config", str(self.loader), "--sql-directory", str(ROOT / "sql")]

    def nadi(self, *arguments: Any, statuses: Sequence[int] = (0,)) -> subprocess.CompletedProcess:
        """Runs a subcommand of nadi, which must end with one of the statuses."""
        done = subprocess.run(self._command(*arguments), env=self.environment, capture_output=True, text=True)
        if done.returncode not in statuses:
            raise Failure(f"nadi {arguments[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr).strip()}")
        return done

    def writer(self, service: str, seal_bytes: int = 512 * 1024) -> Any:
        """A writer for replay: old times are meant so, and it waits for the disk rather than drop."""
        import nadi

        return nadi.EventWriter(
            self.spool, service, environment="replay", host=self.name, replay=True, strict=True, on_full="block", seal_bytes=seal_bytes)

    def ship(self) -> None:
        """The shipper takes what is sealed to the bucket; nothing may stay behind."""
        command = [str(self.programs / "nadi-shipper"), "run", "--once", "--wait", "300s", "--config", str(self.shipper)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        left = [path.name for path in self.spool.iterdir() if not path.name.startswith(".")]
        if done.returncode or left:
            raise Failure(f"nadi-shipper ended with {done.returncode} and left {len(left)} files:\n{done.stderr.strip()[-2000:]}")

    def load(self, loaders: int = 2, *arguments: str) -> None:
        """Several loaders at once, until nothing is left for any."""
        running = [
            subprocess.Popen(
                self._command("load", *arguments), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(loaders)
        ]  # fmt: skip
        answers = [(process.communicate()[0], process.returncode) for process in running]
        for text, status in answers:
            if status:
                raise Failure(f"nadi load ended with {status}:\n{text.strip()[-2000:]}")

    # -- questions -----------------------------------------------------------------------------------------------------

    def psql(self, *arguments: str, script: Optional[str] = None) -> str:
        """What psql prints, as the role of dashboards if there is one."""
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments, self.reader]
        done = subprocess.run(command, input=script, capture_output=True, text=True, env={**self.environment, "PGTZ": "UTC"})
        if done.returncode:
            raise Failure(f"psql: {done.stderr.strip()}")
        return done.stdout

    def query(self, statement: str) -> List[Dict[str, str]]:
        """Rows as dictionaries of text; a null is empty."""
        return rows(self.psql("--csv", script=statement))

    def audit(self) -> str:
        """Balances what was written, stored and counted; an audit that finds something is a failure."""
        return self.nadi("audit").stdout.strip().splitlines()[0]


def rows(text: str) -> List[Dict[str, str]]:
    """psql's CSV as dictionaries."""
    return list(csv.DictReader(io.StringIO(text)))


def uuid7(milliseconds: int, name: str) -> str:
    """A UUIDv7 of a time whose random bits are the hash of a name: the same whoever makes it, and it carries its time."""
    bits = int.from_bytes(hashlib.sha256(name.encode()).digest()[:10], "big") >> 6
    variant = 0x8000 | (bits >> 48) & 0x3FFF
    return (f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{bits >> 62:03x}-{variant:04x}-"
            f"{bits & 0xFFFFFFFFFFFF:012x}")  # fmt: skip


def run(main: Any) -> None:
    """Runs a replay: a failure is one message and status 1; SIGTERM stops the private servers first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"{pathlib.Path(sys.argv[0]).stem}: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
