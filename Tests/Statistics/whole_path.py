"""The whole path on one machine: events in objects of a folder, `nadi migrate`, `nadi reference create`, `nadi load`, SQL.

Objects are made here after the format's description and not by Nadi's code.
"""

import csv
import hashlib
import io
import json
import os
import pathlib
import secrets
import struct
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FULL = os.environ.get("NADI_TEST_FULL_SIZES") == "1"


def program():
    """Nadi as built for release, else for debugging; None if it is not built."""
    folders = [os.environ.get("NADI_TEST_RELEASE_BINARIES"), os.environ.get("NADI_TEST_BINARIES"), ROOT / ".build" / "debug"]
    for folder in folders:
        if folder and (pathlib.Path(folder) / "nadi").exists():
            return str(pathlib.Path(folder) / "nadi")
    return None


def stamp(milliseconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000)) + f".{milliseconds % 1000:03d}Z"


class Path:
    """A database of its own, dropped at the end, and a folder that stands for the bucket."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.admin = os.environ["NADI_TEST_POSTGRES"]
        self.name = "path_" + secrets.token_hex(6)
        self.uri = self.admin.rsplit("/", 1)[0] + "/" + self.name
        self.configuration = self.folder / "loader.yaml"
        self.configuration.write_text(f"database: {self.uri}\nstore:\n  url: file://{self.folder}/objects\n")
        self.writers = 0
        self._psql(self.admin, f'CREATE DATABASE "{self.name}"')
        try:
            self.nadi("migrate")
        except BaseException:
            self.close()
            raise

    def close(self):
        self._psql(self.admin, f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def nadi(self, *arguments, status=0):
        """Runs a subcommand, which must end with `status`; its standard output."""
        if "--config" not in arguments:
            arguments = [*arguments, "--config", self.configuration]
        done = subprocess.run(
            [program(), *map(str, arguments), "--sql-directory", ROOT / "sql"], capture_output=True, text=True, timeout=900)
        assert done.returncode == status, f"nadi {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @staticmethod
    def _psql(uri, script):
        done = subprocess.run(
            ["psql", "-X", "-q", "--csv", "-v", "ON_ERROR_STOP=1", uri], input=f"SET timezone = 'UTC';\n{script}", text=True,
            capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def query(self, statement):
        """Rows as dictionaries of text; a null is empty."""
        return list(csv.DictReader(io.StringIO(self._psql(self.uri, statement))))

    def write(self, events, lines_per_segment=20_000):
        """Events (dictionaries without schema and type: predictions) as one writer's segments, an object each."""
        self.writers += 1
        host = "proof"
        writer = f"{host}-{self.writers:032x}"
        sealed = int(time.time() * 1000) - 60_000
        written = 0
        parts = [events[k:k + lines_per_segment] for k in range(0, len(events), lines_per_segment)]
        for sequence, part in enumerate(parts):
            end = sequence == len(parts) - 1
            lines = [json.dumps({"schema": 1, "type": "prediction", **event}, separators=(",", ":")) + "\n" for event in part]
            written += len(lines) + 1
            none = {"buffer_full": 0, "disk_full": 0, "io_error": 0, "too_large": 0, "invalid": 0}
            lines.append(json.dumps({
                "schema": 1, "type": "writer", "time": stamp(sealed), "writer": writer, "service": "proof", "segment": sequence,
                "appended": written, "written": written, "dropped": none, "end": end, "adopted": False}) + "\n")
            self._put(host, writer, sequence, sealed, "".join(lines).encode(), len(lines), end)

    def _put(self, host, writer, sequence, sealed, raw, lines, end):
        frame = subprocess.run(["zstd", "-q", "-1", "--check", "-c"], input=raw, check=True, capture_output=True).stdout
        digest = hashlib.sha256(raw).hexdigest()
        segment = {
            "writer": writer, "seq": sequence, "sealed_ms": sealed, "lines": lines, "raw_bytes": len(raw), "raw_sha256": digest,
            "offset": 0, "compressed_bytes": len(frame), "format": "native",
            "file": f"{writer}-{sequence}-{sealed}-{lines}{'-end' if end else ''}.jsonl", "end": end, "adopted": False, "replay": True}
        manifest = json.dumps({"version": 1, "host": host, "segments": [segment]}, separators=(",", ":")).encode()
        payload = manifest + struct.pack("<I", len(manifest)) + b"NADIMAN1"
        named = hashlib.sha256(f"{writer}\t{sequence}\t{lines}\t{digest}\n".encode()).hexdigest()[:16]
        folder = self.folder / "objects" / "events" / time.strftime("dt=%Y-%m-%d/hr=%H", time.gmtime(sealed // 1000)) / host
        folder.mkdir(parents=True, exist_ok=True)
        body = frame + struct.pack("<II", 0x184D2A50, len(payload)) + payload
        (folder / f"{sealed}-1-{lines}-{named}.jsonl.zst").write_bytes(body)
