"""What must be true once everything has come to rest. Every finding is a sentence that names what is wrong and where."""

from __future__ import annotations

import collections
import json
import math
import time
from typing import Any, Counter, Dict, List, Optional, Set, Tuple

from bucket import Bucket, Place, Segment
from cast import moment
from stage import Said, Stage

#: At most so many findings of one kind are told in full.
MANY = 10
HOUR_MS = 3_600_000

TABLES = [
    "request_minute", "request_hour", "request_day", "feature_hour", "feature_day", "score_hour", "score_day",
    "outcome_hour", "outcome_day", "segment_hour", "segment_reject", "outcome_arrival",
]


class Archive:
    """The bucket's distinct lines."""

    def __init__(self) -> None:
        self.findings: List[str] = []
        self.segments: Dict[Tuple[str, int], Segment] = {}  # the first of each writer and number, without its bytes
        self.objects: Set[str] = set()
        self.copies = 0
        self.places: Dict[str, List[Place]] = collections.defaultdict(list)
        self.predictions: Dict[str, Tuple[str, int, int]] = {}  # id: class, eighths, time in ms
        self.outcomes: Dict[str, Tuple[str, str]] = {}  # id: prediction's id, label
        self.lines = 0
        self.torn = 0
        self.adopted: Set[str] = set()
        self.ended: Set[str] = set()
        self.writers_of_pid: Dict[int, Set[str]] = collections.defaultdict(set)

    def add(self, segment: Segment) -> None:
        facts = segment.facts
        name = (facts["writer"], facts["seq"])
        self.objects.add(segment.key)
        before = self.segments.get(name)
        if before is not None:  # as the loader judges: by writer and number
            self.copies += 1
            if before.facts["raw_sha256"] != facts["raw_sha256"]:
                self.findings.append(
                    f"segment {name[1]} of {name[0]} has one content in {before.key} and another in {segment.key}")
            return
        self.segments[name] = Segment(segment.key, facts, b"")
        if facts["end"]:
            self.ended.add(name[0])
        if facts["adopted"]:
            self.adopted.add(name[0])
        pieces = segment.raw.split(b"\n")
        if pieces[-1]:
            self.torn += 1
        self.lines += facts["lines"]
        for number, line in enumerate(pieces[:-1], 1):
            self._add_line(line, Place(segment.key, *name, number))

    def _add_line(self, line: bytes, place: Place) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            self.findings.append(f"{place} is not JSON: {line[:80]!r}")
            return
        if event["type"] == "writer":
            return
        self.places[event["id"]].append(place)
        self.writers_of_pid[int(event["source"].rsplit("-", 1)[1])].add(place.writer)
        if event["type"] == "prediction":
            self.predictions[event["id"]] = (event["prediction"], round(event["features"]["x"] * 8), milliseconds(event["time"]))
        else:
            self.outcomes[event["id"]] = (event["prediction_id"], event["label"])


def milliseconds(text: str) -> int:
    whole, fraction = text[:-1].split(".") if "." in text else (text[:-1], "0")
    seconds = int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone)
    return seconds * 1000 + int((fraction + "00")[:3])


def read_archive(bucket: Bucket) -> Archive:
    archive = Archive()
    try:
        for segment in bucket.segments():
            archive.add(segment)
    except ValueError as error:
        archive.findings.append(str(error))
    return archive


def some(findings: List[str]) -> List[str]:
    """The first ones, and how many more there are."""
    return findings[:MANY] + ([f"... and {len(findings) - MANY} more like the last"] if len(findings) > MANY else [])


# -- the bucket against what the writers said --------------------------------------------------------------------------


def judge_bucket(archive: Archive, said: Said) -> List[str]:
    findings = some(archive.findings)
    missing = [identity for identity in said.events if identity in said.flushed and identity not in archive.places]
    findings += some([f"LOST {identity}: flushed by {where_last_seen(identity, archive, said)}" for identity in missing])
    findings += some([
        f"TWICE {identity}: {' and '.join(map(str, places))}" for identity, places in archive.places.items() if len(places) > 1])
    altered: List[str] = []
    strangers: List[str] = []
    pids = {pid for life in said.lives for pid in life.pids}
    for identity, (words, number) in said.events.items():
        if words[0] == "p" and identity in archive.predictions:
            answer, eighths, time_ms = archive.predictions[identity]
            if (answer, str(eighths), str(time_ms)) != words[1:]:
                altered.append(f"ALTERED {identity}: said {words[1:]}, found {archive.predictions[identity]}")
        elif words[0] == "o" and identity in archive.outcomes and archive.outcomes[identity] != words[1:]:
            altered.append(f"ALTERED {identity}: said {words[1:]}, found {archive.outcomes[identity]}")
    for pid in archive.writers_of_pid.keys() - pids:
        # A writer may be killed before it has said anything; but then it has flushed nothing.
        strangers.append(f"process {pid} wrote events as {archive.writers_of_pid[pid]} and told nobody")
    findings += some(altered)
    if len(strangers) > len([life for life in said.lives if not life.pids]):
        findings += some(strangers)
    unended = {writer for writer, _ in archive.segments} - archive.ended
    findings += some([f"writer {writer} has no end segment" for writer in sorted(unended)])
    highest: Dict[str, int] = collections.defaultdict(lambda: -1)
    counted: Counter[str] = collections.Counter()
    for writer, number in archive.segments:
        highest[writer] = max(highest[writer], number)
        counted[writer] += 1
    findings += some([
        f"writer {writer} has {counted[writer]} segments, but the last is number {highest[writer]}"
        for writer in highest if counted[writer] != highest[writer] + 1])
    return findings


def where_last_seen(identity: str, archive: Archive, said: Said) -> str:
    words, number = said.events[identity]
    life = said.lives[number]
    order = said.order[number]
    at = order.index(identity)
    parts = [f"{life} as {words}"]
    for step, name in ((-1, "before"), (1, "after")):
        place = at + step
        while 0 <= place < len(order) and order[place] not in archive.places:
            place += step
        if 0 <= place < len(order):
            parts.append(f"the one found {name} it ({abs(place - at)} away) is {archive.places[order[place]][0]}")
    writers = sorted({writer for pid in life.pids for writer in archive.writers_of_pid.get(pid, ())})
    for writer in writers:
        numbers = sorted(number for name, number in archive.segments if name == writer)
        parts.append(f"{writer} has segments {numbers}{' and was adopted' if writer in archive.adopted else ''}")
    return "; ".join(parts)


# -- the tables against the bucket -------------------------------------------------------------------------------------


def judge_tables(archive: Archive, stage: Stage, database: Optional[str] = None) -> List[str]:
    """Counts by minute, hour, day and class, sums of the feature, and labels, as people query them."""
    minutes: Counter[str] = collections.Counter()
    classes: Counter[Tuple[str, str]] = collections.Counter()
    sums: Counter[str] = collections.Counter()
    hours: Counter[str] = collections.Counter()
    days: Counter[str] = collections.Counter()
    for answer, eighths, time_ms in archive.predictions.values():
        hour = moment(time_ms - time_ms % HOUR_MS)
        minutes[moment(time_ms - time_ms % 60_000)] += 1
        hours[hour] += 1
        days[hour[:10]] += 1
        classes[hour, answer] += 1
        sums[hour] += eighths
    labels: Counter[str] = collections.Counter()
    correct: Counter[str] = collections.Counter()
    pairs: Counter[Tuple[str, str, str]] = collections.Counter()
    for prediction, label in archive.outcomes.values():
        if prediction in archive.predictions:
            answer, _, time_ms = archive.predictions[prediction]
            hour = moment(time_ms - time_ms % HOUR_MS)
            labels[hour] += 1
            correct[hour] += answer == label
            pairs[hour, answer, label] += 1

    def text(column: str) -> str:
        return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""

    start = text("bucket_start")
    mine = "model_name = 'oracle' AND slice_key = 'all'"
    findings = []
    for table, expected in (("request_minute", minutes), ("request_hour", hours)):
        rows = stage.sql(
            f"SELECT {start}, sum(request_count), sum(prediction_count), sum(latency_count) FROM nadi.{table} "
            f"WHERE {mine} GROUP BY 1", database)
        for name, column in (("requests", 1), ("predictions", 2), ("latencies", 3)):
            findings += compare(f"{name} of {table}", expected, {row[0]: int(row[column]) for row in rows})
    rows = stage.sql(f"SELECT bucket_date, sum(prediction_count) FROM nadi.request_day WHERE {mine} GROUP BY 1", database)
    findings += compare("predictions of request_day", days, {row[0]: int(row[1]) for row in rows})
    rows = stage.sql(f"SELECT {start}, class_name, sum(prediction_count) FROM nadi.class_hour WHERE {mine} GROUP BY 1, 2", database)
    findings += compare("predictions of class_hour", classes, {(row[0], row[1]): int(row[2]) for row in rows})
    rows = stage.sql(
        f"SELECT {start}, sum(numeric_count), sum(numeric_count * mean_value) FROM nadi.feature_hour "
        f"WHERE {mine} AND feature_name = 'x' AND feature_role = 'feature' GROUP BY 1", database)
    findings += compare("values of feature x", hours, {row[0]: int(row[1]) for row in rows})
    findings += compare(
        "sum of feature x", {hour: total / 8 for hour, total in sums.items()}, {row[0]: float(row[2]) for row in rows},
        tolerance=1e-6)
    rows = stage.sql(
        f"SELECT {start}, sum(labelled_count), sum(correct_count) FROM nadi.outcome_hour WHERE {mine} GROUP BY 1", database)
    findings += compare("labels joined", labels, {row[0]: int(row[1]) for row in rows})
    findings += compare("labels joined that are right", correct, {row[0]: int(row[2]) for row in rows})
    rows = stage.sql(
        f"SELECT {start}, predicted_class, labelled_class, sum(outcome_count) FROM nadi.confusion_hour WHERE {mine} "
        "GROUP BY 1, 2, 3", database)
    findings += compare("pairs of class and label", pairs, {tuple(row[:3]): int(row[3]) for row in rows})
    rows = stage.sql("SELECT count(*), count(DISTINCT prediction_id) FROM nadi_store.outcome", database)
    findings += compare(
        "outcome rows", {"rows": len(archive.outcomes), "predictions": len(archive.outcomes)},
        {"rows": int(rows[0][0]), "predictions": int(rows[0][1])})
    return findings


def judge_ledger(archive: Archive, stage: Stage) -> List[str]:
    rows = stage.sql(
        "SELECT w.writer, g.seq, sum((g.state = 'loaded')::int), sum((g.state = 'duplicate')::int), "
        "sum((g.state NOT IN ('loaded', 'duplicate'))::int), max(g.lines) "
        "FROM nadi_store.segment g JOIN nadi_store.writer w USING (writer_id) GROUP BY 1, 2")
    findings = compare(
        "lines of the ledger's segments", {name: segment.facts["lines"] for name, segment in archive.segments.items()},
        {(row[0], int(row[1])): int(row[5]) for row in rows})
    findings += some([f"segment {row[1]} of {row[0]} is loaded {row[2]} times and in doubt {row[4]} times"
                      for row in rows if row[2] != "1" or row[4] != "0"])
    copies = sum(int(row[3]) for row in rows)
    if copies != archive.copies:
        findings.append(f"the ledger has {copies} duplicates, the bucket {archive.copies}")
    rows = stage.sql("SELECT object_key, state, coalesce(last_error, '') FROM nadi_store.object WHERE state <> 'loaded'")
    findings += some([f"object {row[0]} is {row[1]} and not loaded: {row[2]}" for row in rows])
    rejects = {row[0]: int(row[1]) for row in stage.sql(
        "SELECT reason, sum(r.lines) FROM nadi_store.segment_reject r JOIN nadi_store.segment USING (segment_id) "
        "WHERE state = 'loaded' GROUP BY 1")}
    return findings + compare("rejected lines", {"torn_tail": archive.torn} if archive.torn else {}, rejects)


def judge_spools(stage: Stage, only: Optional[str] = None) -> List[str]:
    findings = []
    for host in [only] if only else stage.hosts:
        left = sorted(path.name for path in (stage.folder / host / "spool").iterdir())
        findings += some([f"{host}'s spool still has {name}" for name in left])
    return findings


def compare(name: str, expected: Any, found: Any, tolerance: float = 0.0) -> List[str]:
    """Where two tables differ."""
    findings = []
    for key in sorted(set(expected) | set(found), key=str):
        ours, theirs = expected.get(key, 0), found.get(key, 0)
        if not math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=tolerance):
            findings.append(f"{name}: {key} should be {ours} and is {theirs}")
    return some(findings)


# -- before and after a rebuild ----------------------------------------------------------------------------------------


def dump(stage: Stage) -> Dict[str, List[List[str]]]:
    """All rows, without their checksums: these are of a sum's bits, which the order of adding decides."""
    columns = dict(stage.sql(
        "SELECT table_name, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) "
        "FROM information_schema.columns WHERE table_schema = 'nadi_store' AND column_name <> 'checksum' GROUP BY 1"))
    return {name: sorted(stage.sql(f"SELECT {columns[name]} FROM nadi_store.{name}")) for name in TABLES}


def compare_dumps(before: Dict[str, List[List[str]]], after: Dict[str, List[List[str]]]) -> List[str]:
    findings = []
    for name in TABLES:
        if len(before[name]) != len(after[name]):
            findings.append(f"{name} had {len(before[name])} rows before the rebuild and has {len(after[name])}")
            continue
        different = [(old, new) for old, new in zip(before[name], after[name]) if not same_row(old, new)]
        findings += some([f"{name} before the rebuild: {old}; after: {new}" for old, new in different])
    return findings


def same_row(old: List[str], new: List[str]) -> bool:
    return len(old) == len(new) and all(same_cell(a, b) for a, b in zip(old, new))


def same_cell(old: str, new: str) -> bool:
    """Equal, or numbers (of an array) that differ by less than 1e-9 of their size."""
    if old == new:
        return True
    olds, news = old.strip("{}").split(","), new.strip("{}").split(",")
    try:
        return len(olds) == len(news) and all(
            a == b or math.isclose(float(a), float(b), rel_tol=1e-9, abs_tol=1e-9) for a, b in zip(olds, news))
    except ValueError:
        return False
