# SPDX-License-Identifier: Apache-2.0
"""Logs that real rotating handlers and logrotate leave: the shipper takes each finished file whole, and no live one."""

import gzip
import hashlib
import json
import logging
import logging.handlers
import os
import pathlib
import shutil
import struct
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
SHIPPER = pathlib.Path(os.environ.get("NADI_TEST_BINARIES", ROOT / ".build" / "debug")) / "nadi-shipper"
LOGROTATE = shutil.which("logrotate", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

pytestmark = pytest.mark.skipif(not SHIPPER.exists(), reason="nadi-shipper is not built")

CONFIGURATION = """
host: testhost
spool: {folder}/spool
state: {folder}/state
store: {{url: "file://{folder}/store"}}
bundle: {{age: 100ms}}
poll: 50ms
admin: off
streams: [{{name: app, paths: ["{folder}/log/app*"], quiet: 100ms}}]
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("spool", "state", "store", "log"):
        (tmp_path / name).mkdir()
    (tmp_path / "shipper.yaml").write_text(CONFIGURATION.format(folder=tmp_path))
    return tmp_path


class Lines:
    """Numbered JSON lines, so that no two files are alike."""

    def __init__(self):
        self.count = 0

    def __call__(self, number):
        first, self.count = self.count, self.count + number
        return [json.dumps({"ts": "2026-11-23T10:15:30.123Z", "n": n}) for n in range(first, self.count)]


def emit(handler, lines):
    handler.setFormatter(logging.Formatter("%(message)s"))
    for line in lines:
        handler.emit(logging.LogRecord("app", logging.INFO, __file__, 0, line, None, None))


def shipped(folder):
    """What the shipper stored: lines and SHA-256 of each file by its name."""
    time.sleep(0.3)
    subprocess.run([SHIPPER, "run", "--once", "--config", folder / "shipper.yaml"], check=True, timeout=60)
    found = {}
    for path in (folder / "store").rglob("*.jsonl.zst"):
        data = path.read_bytes()
        (length,) = struct.unpack("<I", data[-12:-8])
        assert data[-8:] == b"NADIMAN1"
        for segment in json.loads(data[-12 - length : -12])["segments"]:
            name = pathlib.Path(segment["file"]).name
            assert name not in found
            found[name] = (segment["lines"], segment["raw_sha256"])
    return found


def check(folder, live, finished):
    """The finished files, at least so many, are shipped as they are; the live one is not."""
    expected = {}
    for path in (folder / "log").iterdir():
        if path.name != live:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            expected[path.name] = (data.count(b"\n"), hashlib.sha256(data).hexdigest())
    assert len(expected) >= finished and (folder / "log" / live).exists()
    assert shipped(folder) == expected
    return set(expected)


def test_rotating_file_handler(folder):
    lines = Lines()
    handler = logging.handlers.RotatingFileHandler(folder / "log" / "app.log", maxBytes=500, backupCount=9)
    emit(handler, lines(40))
    handler.close()
    names = check(folder, "app.log", 3)
    assert {"app.log.1", "app.log.2", "app.log.3"} <= names


@pytest.mark.parametrize("when", ["S", "M", "H", "D", "midnight", "W0"])
def test_timed_rotating_file_handler(folder, when):
    lines = Lines()
    handler = logging.handlers.TimedRotatingFileHandler(folder / "log" / "app.log", when=when, utc=True)
    for weeks_ago in (3, 2, 1):
        emit(handler, lines(5))
        handler.rolloverAt = int(time.time()) - weeks_ago * 7 * 86400  # a period that ended then names the file
        handler.doRollover()
    emit(handler, lines(5))
    handler.close()
    check(folder, "app.log", 3)


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
@pytest.mark.parametrize(
    "options, finished",
    [
        ("", {"app.log.1", "app.log.2", "app.log.3"}),
        ("compress\ndelaycompress", {"app.log.1", "app.log.2.gz", "app.log.3.gz"}),
        ("compress", {"app.log.1.gz", "app.log.2.gz", "app.log.3.gz"}),
        ("extension .log", {"app.1.log", "app.2.log", "app.3.log"}),
        ("dateext\ndateformat -%Y%m%d-%s", None),
        ("dateext\ndateformat .%Y-%m-%d_%H-%s\ncompress", None),
        ("dateext\ndateformat -%Y%m%d-%s\nextension .log", None),
    ],
)
def test_logrotate(folder, options, finished):
    lines = Lines()
    log = folder / "log" / "app.log"
    configuration = folder / "logrotate.conf"
    configuration.write_text(f"{log} {{\nrotate 9\ncreate 0640\nnomail\n{options}\n}}\n")
    configuration.chmod(0o644)
    for round in range(3):
        with open(log, "a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines(5))
        if round and "%s" in options:
            time.sleep(1.1)  # its names are of a second each
        subprocess.run([LOGROTATE, "-f", "-s", folder / "status", configuration], check=True, timeout=60)
    with open(log, "a", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines(5))
    names = check(folder, "app.log", 3)
    assert finished is None or names == finished
    assert finished is not None or all("20" in name for name in names)
