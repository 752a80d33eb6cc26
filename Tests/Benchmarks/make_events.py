"""Makes the benchmark's objects in a folder that stands for a bucket: predictions of about 330 bytes with five features and
one tag, or with --wide of about 1.3 KB with fifty features and two tags, spread over one day, in segments with their
`writer` lines, bundled as a shipper bundles them. It shares no code with Nadi: what it makes is a second reading of the
formats."""

import argparse
import datetime
import hashlib
import json
import pathlib
import struct
import subprocess
import tempfile
import time

import numpy

HOSTS = ["bench-a", "bench-b"]
REGIONS = numpy.array(["eu", "us", "ap", "sa"])
COUNTRIES = numpy.array(["DE", "FR", "US", "JP", "BR", "IN", "GB", "CN"])
TIERS = numpy.array(["free", "plus", "business"])
VERSIONS = numpy.array(["1.4.0", "1.5.0"])
LINES_PER_SEGMENT = 20_000
SEGMENTS_PER_OBJECT = 5


def uuid7(milliseconds, random):
    """The 36-character form of UUIDv7s of these times."""
    high, low = random.integers(0, 1 << 12, len(milliseconds)), random.integers(0, 1 << 62, len(milliseconds))
    return [
        f"{m >> 16:08x}-{m & 0xFFFF:04x}-7{h:03x}-{0x8000 | l >> 48:04x}-{l & 0xFFFFFFFFFFFF:012x}"
        for m, h, l in zip(milliseconds.tolist(), high.tolist(), low.tolist())
    ]


def lines_of(milliseconds, random):
    """The prediction lines of these times."""
    count = len(milliseconds)
    score = numpy.round(random.beta(0.8, 3.0, count), 4)
    columns = zip(
        uuid7(milliseconds, random),
        [stamp(m) for m in milliseconds.tolist()],
        VERSIONS[(random.random(count) < 0.3).astype(int)].tolist(),
        REGIONS[random.choice(4, count, p=[0.5, 0.3, 0.15, 0.05])].tolist(),
        numpy.round(random.lognormal(4.0, 1.1, count), 2).tolist(),
        random.integers(18, 90, count).tolist(),
        numpy.round(random.normal(1500.0, 2500.0, count), 2).tolist(),
        numpy.round(random.gamma(2.0, 0.2, count), 4).tolist(),
        COUNTRIES[random.choice(8, count, p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.06, 0.05, 0.04])].tolist(),
        score.tolist(),
        numpy.round(random.lognormal(-5.0, 0.6, count), 6).tolist(),
        (random.random(count) < 0.01).tolist(),
    )
    for identity, at, version, region, amount, age, balance, ratio, country, p, latency, failed in columns:
        head = (
            f'{{"schema":1,"type":"prediction","id":"{identity}","time":"{at}",'
            f'"model_name":"credit","model_version":"{version}","tags":{{"region":"{region}"}},'
            f'"features":{{"amount":{amount},"age":{age},"balance":{balance},"ratio":{ratio},"country":"{country}"}},'
        )
        if failed:
            yield f'{head}"latency_seconds":{latency},"status":"error","error_type":"timeout"}}\n'
        else:
            yield f'{head}"prediction":{"true" if p >= 0.5 else "false"},"score":{p},"latency_seconds":{latency},"status":"ok"}}\n'


def wide_numbers(count, random):
    """Forty-four features that are numbers, of every shape, by name."""
    makers = [
        lambda n: numpy.round(random.normal(n, 1 + n, count), 4), lambda n: numpy.round(random.lognormal(n / 4, 1, count), 3),
        lambda n: random.integers(0, 10 + 40 * n, count), lambda n: numpy.round(random.gamma(2, 0.2 * (n + 1), count), 5),
        lambda n: numpy.where(random.random(count) < 0.4, 0.0, numpy.round(random.exponential(n + 1, count), 3)),
    ]
    return {f"measure_{n:02d}_{'abcdefgh'[n % 8]}": makers[n % len(makers)](n) for n in range(44)}


def wide_lines_of(milliseconds, random):
    """The prediction lines of these times, with fifty features and two tags."""
    count = len(milliseconds)
    numbers = {name: values.tolist() for name, values in wide_numbers(count, random).items()}
    texts = {f"kind_{n}": COUNTRIES[random.integers(0, 3 + n, count)].tolist() for n in range(5)}
    flags = {"is_returning": (random.random(count) < 0.6).tolist()}
    features = numbers | texts | flags
    columns = zip(
        uuid7(milliseconds, random), [stamp(m) for m in milliseconds.tolist()],
        VERSIONS[(random.random(count) < 0.3).astype(int)].tolist(),
        REGIONS[random.choice(4, count, p=[0.5, 0.3, 0.15, 0.05])].tolist(),
        TIERS[random.choice(3, count, p=[0.6, 0.3, 0.1])].tolist(),
        numpy.round(random.beta(0.8, 3.0, count), 4).tolist(), numpy.round(random.lognormal(-5.0, 0.6, count), 6).tolist(),
        zip(*features.values()),
    )
    for identity, at, version, region, tier, p, latency, values in columns:
        row = json.dumps(dict(zip(features, values)), separators=(",", ":"))
        yield (
            f'{{"schema":1,"type":"prediction","id":"{identity}","time":"{at}","service":"credit-api","model_name":"credit",'
            f'"model_version":"{version}","task":"binary","tags":{{"region":"{region}","tier":"{tier}"}},"features":{row},'
            f'"prediction":{"true" if p >= 0.5 else "false"},"score":{p},"latency_seconds":{latency},"status":"ok"}}\n'
        )


def wide_reference(path, seed):
    """Edges of a reference of 20,000 such events: quantiles at k/50, the range, and a bin for each frequent value."""
    random = numpy.random.default_rng([seed, 1000])
    with path.open("w") as file:
        for name, values in wide_numbers(20_000, random).items():
            values = values.astype(float)
            edges = set(numpy.quantile(values, numpy.arange(51) / 50, method="lower").tolist())
            edges |= {values.min(), numpy.nextafter(values.max(), numpy.inf)}
            distinct, times = numpy.unique(values, return_counts=True)
            for value in distinct[(times > len(values) / 100) | (len(distinct) <= 50)]:
                edges |= {value, numpy.nextafter(value, numpy.inf)}
            file.write(f"{name}\t{{{','.join(repr(float(edge)) for edge in sorted(edges))}}}\n")


# Groups of labels that add up: 1 % of the predictions, the next 9 %, the rest.
LABEL_GROUPS = {"labels-1": 0.01, "labels-10": 0.1, "labels-100": 1.0}


def labels_of(lines, milliseconds, random):
    """Outcome lines for prediction lines, by group, and the newest time of each group. They carry no prediction_time: the
    id tells it, as a hint."""
    count = len(milliseconds)
    delays = numpy.minimum(random.lognormal(14.0, 1.5, count), 20 * 3_600_000).astype(numpy.int64)
    groups = numpy.searchsorted(list(LABEL_GROUPS.values()), random.random(count), side="right").tolist()
    draws = random.random(count).tolist()
    made = {name: [] for name in LABEL_GROUPS}
    newest = dict.fromkeys(LABEL_GROUPS, 0)
    names = list(LABEL_GROUPS)
    for line, at, group, draw in zip(lines, (milliseconds + delays).tolist(), groups, draws):
        identity = line[38:74]
        place = line.find('"score":')
        p = float(line[place + 8:line.index(",", place)]) if place > 0 else 0.3
        made[names[group]].append(
            f'{{"schema":1,"type":"outcome","id":"l-{identity}","time":"{stamp(at)}","model_name":"credit",'
            f'"prediction_id":"{identity}","label":{"true" if draw < p else "false"}}}\n')
        newest[names[group]] = max(newest[names[group]], at)
    return made, newest


def stamp(milliseconds):
    """RFC 3339 with milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}Z"


class Bundle:
    """One object in the making."""

    def __init__(self, root, host):
        self.root, self.host, self.body, self.segments = root, host, bytearray(), []

    def add(self, writer, sequence, sealed, lines, end):
        raw = "".join(lines).encode()
        with tempfile.NamedTemporaryFile() as file:  # from a file, so that the frame's header carries the size
            file.write(raw)
            file.flush()
            frame = subprocess.run(["zstd", "-q", "-3", "--check", "-c", file.name], check=True, capture_output=True).stdout
        self.segments.append({
            "writer": writer, "seq": sequence, "sealed_ms": sealed, "lines": len(lines), "raw_bytes": len(raw),
            "raw_sha256": hashlib.sha256(raw).hexdigest(), "offset": len(self.body), "compressed_bytes": len(frame),
            "format": "native", "file": f"{writer}-{sequence}-{sealed}-{len(lines)}{'-end' if end else ''}.jsonl",
            "end": end, "adopted": False, "replay": False,
        })
        self.body += frame

    def write(self):
        if not self.segments:
            return
        manifest = json.dumps({"version": 1, "host": self.host, "segments": self.segments}, separators=(",", ":")).encode()
        payload = manifest + struct.pack("<I", len(manifest)) + b"NADIMAN1"
        self.body += struct.pack("<II", 0x184D2A50, len(payload)) + payload
        named = "".join(f"{s['writer']}\t{s['seq']}\t{s['lines']}\t{s['raw_sha256']}\n" for s in self.segments)
        sealed = max(s["sealed_ms"] for s in self.segments)
        hour = time.strftime("dt=%Y-%m-%d/hr=%H", time.gmtime(sealed // 1000))
        name = (f"{sealed}-{len(self.segments)}-{sum(s['lines'] for s in self.segments)}"
                f"-{hashlib.sha256(named.encode()).hexdigest()[:16]}.jsonl.zst")
        path = self.root / "events" / hour / self.host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.body)
        self.body, self.segments = bytearray(), []


def writer_line(sealed, writer, service, sequence, written, end):
    """The last line of a segment."""
    none = {"buffer_full": 0, "disk_full": 0, "io_error": 0, "too_large": 0, "invalid": 0}
    return json.dumps({
        "schema": 1, "type": "writer", "time": stamp(sealed), "writer": writer, "service": service, "segment": sequence,
        "appended": written, "written": written, "dropped": none, "end": end, "adopted": False,
    }, separators=(",", ":")) + "\n"


class Labels:
    """The writer of one group of labels."""

    def __init__(self, root, host, start, random):
        self.writer = f"{host}-{uuid7(numpy.array([start]), random)[0].replace('-', '')}"
        self.host, self.bundle, self.lines, self.newest, self.written, self.sequence = host, Bundle(root, host), [], 0, 0, 0

    def add(self, lines, newest, end):
        self.lines += lines
        self.newest = max(self.newest, newest)
        if len(self.lines) < LINES_PER_SEGMENT and not end:
            return
        self.written += len(self.lines) + 1
        sealed = self.newest + 500
        line = writer_line(sealed, self.writer, f"{self.host}-labels", self.sequence, self.written, end)
        self.bundle.add(self.writer, self.sequence, sealed, self.lines + [line], end)
        self.lines = []
        self.sequence += 1
        if end or len(self.bundle.segments) == SEGMENTS_PER_OBJECT:
            self.bundle.write()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--day", type=datetime.date.fromisoformat, help="UTC; the default is the day before yesterday")
    parser.add_argument("--labels", action="store_true", help="labels of all predictions too, in three folders beside this one")
    parser.add_argument("--wide", action="store_true", help="fifty features and two tags; edges of a reference in reference.tsv")
    arguments = parser.parse_args()
    make = wide_lines_of if arguments.wide else lines_of
    if arguments.wide:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        wide_reference(arguments.folder.parent / "reference.tsv", arguments.seed)
    day = arguments.day or datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=2)
    start = int(datetime.datetime.combine(day, datetime.time(), datetime.timezone.utc).timestamp() * 1000)

    total_bytes = total_lines = 0
    for number, host in enumerate(HOSTS):
        random = numpy.random.default_rng([arguments.seed, number])
        count = arguments.events // len(HOSTS) + (number < arguments.events % len(HOSTS))
        # Fewer at night, more by day.
        times = numpy.sort(start + (random.beta(2.0, 1.6, count) * 86_399_999).astype(numpy.int64))
        writer = f"{host}-{uuid7(numpy.array([start]), random)[0].replace('-', '')}"
        written, sequence, bundle = 0, 0, Bundle(arguments.folder, host)
        labels = {name: Labels(arguments.folder.parent / name, host, start, random) for name in LABEL_GROUPS}
        for first in range(0, count, LINES_PER_SEGMENT - 1):
            part = times[first:first + LINES_PER_SEGMENT - 1]
            lines = list(make(part, random))
            end = first + LINES_PER_SEGMENT - 1 >= count
            sealed = int(part[-1]) + 500
            if arguments.labels:
                made, newest = labels_of(lines, part, random)
                for name, group in made.items():
                    labels[name].add(group, newest[name], end)
            written += len(lines) + 1
            total_bytes += sum(map(len, lines))
            lines.append(writer_line(sealed, writer, f"{host}-api", sequence, written, end))
            bundle.add(writer, sequence, sealed, lines, end)
            sequence += 1
            if len(bundle.segments) == SEGMENTS_PER_OBJECT:
                bundle.write()
        bundle.write()
        total_lines += count
    print(f"{total_lines} events of {total_bytes / total_lines:.0f} bytes on {day} in {arguments.folder}")


main()
