"""What lies in the bucket, read by botocore and the zstd tool from the public description of the formats; nothing of
Nadi's own code is used."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import botocore.config
import botocore.session

MAGIC = b"NADIMAN1"
SKIPPABLE = 0x184D2A50


class Place(NamedTuple):
    """Where a line lies."""

    key: str
    writer: str
    segment: int
    line: int

    def __str__(self) -> str:
        return f"line {self.line} of segment {self.segment} of {self.writer} in {self.key}"


class Segment(NamedTuple):
    key: str
    facts: Dict[str, Any]  # as the manifest has them
    raw: bytes


class Bucket:
    def __init__(self, endpoint: str, bucket: str, prefix: str, access_key: str, secret_key: str) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.client = botocore.session.get_session().create_client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=access_key,
            aws_secret_access_key=secret_key, config=botocore.config.Config(s3={"addressing_style": "path"}))

    def keys(self, folder: str) -> List[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}/{folder}/")
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def segments(self) -> Iterator[Segment]:
        for key in sorted(self.keys("events")):
            yield from segments_of(key, self.get(key))


def segments_of(key: str, body: bytes) -> Iterator[Segment]:
    """An object's segments, each checked against the manifest. Raises ValueError for an object that is not one."""
    if body[-8:] != MAGIC:
        raise ValueError(f"{key}: no manifest at its end")
    length = struct.unpack("<I", body[-12:-8])[0]
    manifest = json.loads(body[-12 - length : -12])
    frame = struct.unpack("<II", body[-20 - length : -12 - length])
    if frame != (SKIPPABLE, length + 12):
        raise ValueError(f"{key}: the manifest is in no skippable frame")
    raw = subprocess.run(["zstd", "-dcq"], input=body, check=True, capture_output=True).stdout
    start = 0
    for facts in manifest["segments"]:
        part = raw[start : start + facts["raw_bytes"]]
        start += facts["raw_bytes"]
        lines = part.count(b"\n") + (1 if part and not part.endswith(b"\n") else 0)
        if hashlib.sha256(part).hexdigest() != facts["raw_sha256"] or lines != facts["lines"]:
            raise ValueError(f"{key}: segment {facts['seq']} of {facts['writer']} is not what the manifest says")
        yield Segment(key, facts, part)
    if start != len(raw):
        raise ValueError(f"{key}: {len(raw) - start} bytes more than the manifest's segments")


def make_object(host: str, writer: str, sealed_ms: int, raw: bytes) -> Tuple[str, bytes]:
    """An object of one whole segment, as a shipper would make it: its key below `events/` and its bytes."""
    frame = subprocess.run(["zstd", "-3cq"], input=raw, check=True, capture_output=True).stdout
    digest = hashlib.sha256(raw).hexdigest()
    lines = raw.count(b"\n")
    facts = {
        "writer": writer, "seq": 0, "sealed_ms": sealed_ms, "lines": lines, "raw_bytes": len(raw), "raw_sha256": digest,
        "offset": 0, "compressed_bytes": len(frame), "format": "native", "file": f"{writer}-0-{sealed_ms}-{lines}-end.jsonl",
        "end": True, "adopted": False, "replay": False,
    }
    text = json.dumps({"version": 1, "host": host, "segments": [facts]}).encode()
    body = frame + struct.pack("<II", SKIPPABLE, len(text) + 12) + text + struct.pack("<I", len(text)) + MAGIC
    name = hashlib.sha256(f"{writer}\t0\t{lines}\t{digest}\n".encode()).hexdigest()[:16]
    return f"{host}/{sealed_ms}-1-{lines}-{name}.jsonl.zst", body
