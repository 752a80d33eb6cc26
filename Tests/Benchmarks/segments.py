"""Takes the benchmark's objects apart into a spool of sealed segments, as their writers left them."""

import json
import pathlib
import struct
import subprocess
import sys

MAGIC = b"NADIMAN1"

objects, spool = map(pathlib.Path, sys.argv[1:])
spool.mkdir(parents=True)
segments = size = 0
for path in sorted(objects.rglob("*.zst")):
    body = path.read_bytes()
    if body[-8:] != MAGIC:
        sys.exit(f"{path} has no manifest at its end")
    length = struct.unpack("<I", body[-12:-8])[0]
    raw = subprocess.run(["zstd", "-dcq"], input=body, check=True, capture_output=True).stdout
    begin = 0
    for facts in json.loads(body[-12 - length : -12])["segments"]:
        (spool / facts["file"]).write_bytes(raw[begin : begin + facts["raw_bytes"]])
        begin += facts["raw_bytes"]
        segments += 1
    size += begin
print(f"{segments} segments, {size / 2**20:.0f} MiB")
