# SPDX-License-Identifier: Apache-2.0
"""For the examples' tests: the whole way on the test servers that Tests/run starts, in a database and under a prefix of its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import subprocess
import sys
from typing import Dict, Iterator, List, Optional, Sequence

import whole_way

#: Tests/run sets them; see there.
VARIABLES = ("NADI_TEST_POSTGRES", "NADI_TEST_S3_ENDPOINT", "NADI_TEST_S3_BUCKET", "NADI_TEST_S3_ACCESS_KEY", "NADI_TEST_S3_SECRET_KEY")
FULL = os.environ.get("NADI_TEST_FULL_SIZES") == "1"


def programs() -> Optional[pathlib.Path]:
    """The folder of both programs as built for release, else for debugging."""
    folders = [os.environ.get("NADI_TEST_RELEASE_BINARIES"), os.environ.get("NADI_TEST_BINARIES"), whole_way.ROOT / ".build" / "debug"]
    for folder in map(pathlib.Path, filter(None, folders)):
        if all((folder / name).exists() for name in ("nadi", "nadi-shipper")):
            return folder
    return None


def missing(data: pathlib.Path) -> Optional[str]:
    """Why nothing can be tested here, or None."""
    unset = [name for name in VARIABLES if name not in os.environ]
    if unset:
        return f"{', '.join(unset)}: not set; Tests/run starts the servers"
    if programs() is None:
        return "nadi and nadi-shipper are not built"
    return None if data.exists() else f"{data.name} is not there; Tests/Statistics/fetch fetches it"


@contextlib.contextmanager
def database() -> Iterator[str]:
    """URI of a database of its own, dropped at the end."""
    admin, name = os.environ["NADI_TEST_POSTGRES"], "way_" + secrets.token_hex(6)
    ask = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", admin, "-c"]
    subprocess.run([*ask, f'CREATE DATABASE "{name}"'], check=True)
    try:
        yield admin.rsplit("/", 1)[0] + "/" + name
    finally:
        subprocess.run([*ask, f'DROP DATABASE "{name}" WITH (FORCE)'], check=True)


def store() -> str:
    """URL of a prefix of its own in the test servers' bucket."""
    return f"s3://{os.environ['NADI_TEST_S3_BUCKET']}/{secrets.token_hex(8)}"


def key() -> dict:
    """The bucket's key as programs read it."""
    return {
        "AWS_ACCESS_KEY_ID": os.environ["NADI_TEST_S3_ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": os.environ["NADI_TEST_S3_SECRET_KEY"]}


def given(uri: str) -> List[str]:
    """A replay's options for a database, a prefix of its own in the bucket, and the programs."""
    return ["--database", uri, "--store", store(), "--endpoint", os.environ["NADI_TEST_S3_ENDPOINT"], "--programs", str(programs())]


def replayed(script: pathlib.Path, uri: str, *options: str) -> subprocess.CompletedProcess:
    """Runs an example's command, which must succeed."""
    done = subprocess.run(
        [sys.executable, str(script), *options, *given(uri)], capture_output=True, text=True, env={**os.environ, **key()})
    assert done.returncode == 0, done.stderr
    return done


def ask(uri: str, *arguments: str, script: Optional[str] = None) -> List[Dict[str, str]]:
    """Rows of a statement, or of a file (-f), as the role of dashboards; a null is empty."""
    command = ["psql", "-X", "-q", "--csv", "-v", "ON_ERROR_STOP=1", *arguments, uri]
    environment = {**os.environ, "PGTZ": "UTC", "PGOPTIONS": "-c role=nadi_reader"}
    done = subprocess.run(command, input=script, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return whole_way.rows(done.stdout)


@contextlib.contextmanager
def way(name: str, slices: Sequence[str] = ()) -> Iterator[whole_way.WholeWay]:
    with database() as uri:
        with whole_way.WholeWay(
            name, programs(), slices, uri, store(), os.environ["NADI_TEST_S3_ENDPOINT"], environment=key()
        ) as made:
            yield made
