"""The least that shipping can cost: each segment is compressed by libzstd and hashed, and objects of 8 MiB are PUT with a
signed payload hash; nothing is proven, nothing removed, no manifest. Prints the seconds it took."""

import concurrent.futures
import ctypes
import ctypes.util
import hashlib
import os
import pathlib
import sys
import time

import botocore.config
import botocore.session

BUNDLE = 8 << 20
zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
zstd.ZSTD_compressBound.restype = zstd.ZSTD_compress.restype = ctypes.c_size_t
zstd.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
zstd.ZSTD_compress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]


def compress(path):
    """A segment's frame; ctypes and hashlib let the other threads run."""
    raw = path.read_bytes()
    hashlib.sha256(raw).digest()
    frame = ctypes.create_string_buffer(zstd.ZSTD_compressBound(len(raw)))
    return frame.raw[: zstd.ZSTD_compress(frame, len(frame), raw, len(raw), 3)]


def main():
    spool, endpoint, bucket, prefix = sys.argv[1:]
    cores = os.cpu_count() or 1
    client = botocore.session.get_session().create_client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        config=botocore.config.Config(
            s3={"addressing_style": "path", "payload_signing_enabled": True}, max_pool_connections=2 * cores,
            request_checksum_calculation="when_required"))
    paths = sorted(pathlib.Path(spool).iterdir())
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(cores) as packers, concurrent.futures.ThreadPoolExecutor(cores) as senders:
        body, sent = bytearray(), []

        def send():
            sent.append(senders.submit(client.put_object, Bucket=bucket, Key=f"{prefix}/{len(sent)}", Body=bytes(body)))
            body.clear()

        for frame in packers.map(compress, paths):
            body += frame
            if len(body) >= BUNDLE:
                send()
        if body:
            send()
        for one in sent:
            one.result()
    print(f"{time.monotonic() - began:.2f}")


main()
