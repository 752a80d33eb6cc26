"""Kills Nadi's programs while they work, and judges from outside whether anything was lost or counted twice.

Real writers (the Swift and the Python client, two hosts), real shippers, several loaders and rebuilds work on a private
PostgreSQL and a private S3 server. They are killed with SIGKILL, some at random, most at named points between two calls
to the system; servers are killed, stopped and started as well. What must survive is what a writer's parent read from a
pipe: the ids of events for which `flush` had returned. When all has come to rest, each of them must be in the bucket
once, the tables must count what the bucket holds, by minute and class and feature sum, labels must be joined once, the
spools must be empty, the audit clean, and rebuilding everything, also into an empty database, must change nothing.

The bucket is read with botocore and the zstd tool, the tables with psql: none of Nadi's code judges itself. Where the
programs are hit stands in points.py; kill_points.c does it, preloaded, without a line of test code in the products.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import random
import sys
import time
from typing import Callable, List, Optional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import judge  # noqa: E402
from bucket import Bucket, make_object, segments_of  # noqa: E402
from cast import Cast, moment  # noqa: E402
from points import POINTS, Deck  # noqa: E402
from stage import Stage, StageError, binaries  # noqa: E402

HOUR_MS = 3_600_000


class Run:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.generator = random.Random(options.seed)
        self.stage = Stage(options.seed, binaries(), hosts=2)
        self.deck = Deck(options.kills, self.generator, options.only)
        self.began = time.monotonic()
        self.read = judge.Archive()  # the bucket as it was last read

    def say(self, text: str) -> None:
        """A sentence; on a terminal, instead of the progress line."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
        print(text, flush=True)

    def progress(self, text: str) -> None:
        with open(self.stage.folder / "progress.log", "a", encoding="utf-8") as file:
            file.write(f"{time.monotonic() - self.began:6.1f} s  {text}\n")
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{time.monotonic() - self.began:4.0f} s  {text}")
            sys.stderr.flush()

    # -- the run -------------------------------------------------------------------------------------------------------

    def play(self) -> List[str]:
        """All of it: what was found."""
        stage, deck = self.stage, self.deck
        self.progress("starting a PostgreSQL and an S3 server")
        stage.open()
        cast = Cast(stage, deck)
        cast.begin()
        deadline = time.monotonic() + 60 + 4 * self.options.kills
        while not deck.is_done and time.monotonic() < deadline:
            time.sleep(0.5)
            self.progress(f"{sum(deck.hits.values())} of {self.options.kills} kills, {len(stage.said.flushed)} events flushed")
        findings = [] if deck.is_done else [f"not hit in time: {', '.join(sorted(deck.left))}"]
        self.progress(f"missed so far: {dict(deck.misses)}")
        self.progress("letting everything settle")
        cast.end()
        findings += self.settle()
        if stage.said.flushed:
            findings += self.judge(True)
            if not self.options.only:
                findings += self.judge_rebuilds()
            if self.options.self_test and not findings + stage.faults:
                findings += SelfTest(self).run()
        else:
            findings.append("no event was flushed: nothing was tested")
        return findings + stage.faults

    def settle(self) -> List[str]:
        """Lets the programs do what is left, without disturbing them."""
        findings = []
        for host in self.stage.hosts:
            # What died last is adopted once its dead age is over; a shipper that ends in order says that it did.
            log = self.stage.folder / f"{host}-shipper.log"
            before = log.read_bytes().count(b"notice: shipping ") if log.exists() else 0
            process = self.stage.start(self.stage.shipper(host), log.name, role="shipper")
            # Before it says so, it does not listen to SIGTERM yet.
            wait_for(30, lambda: log.read_bytes().count(b"notice: shipping ") > before)
            time.sleep(0.5)
            if not wait_for(60, lambda: not judge.judge_spools(self.stage, host)):
                findings.append(f"the spool of {host} is not empty after 60 seconds")
            process.send_signal(15)
            status = process.end(30)
            if status != 0:
                findings.append(f"the last shipper of {host} ended with {status}, not 0")
                if status is None:
                    process.kill()
        return findings + self.load()

    def load(self, configuration: str = "loader.yaml") -> List[str]:
        """Twice: the second time, what an earlier loader had claimed is free for certain."""
        status, text = 0, ""
        for attempt in range(6):
            status, text = self.stage.run(
                self.stage.nadi("load", "--all", "--join-now", "--sweep-now", configuration=configuration), "settle.log")
            unfinished = self.stage.sql(
                "SELECT count(*) FROM nadi_store.object WHERE state = 'claimed'",
                None if configuration == "loader.yaml" else configuration.removesuffix(".yaml"))[0][0]
            if status == 0 and unfinished == "0":
                return []
            time.sleep(1)
        return [f"nadi load does not come to an end: status {status}, {unfinished} objects are claimed: {text[-2000:]}"]

    def bucket(self) -> Bucket:
        store = self.stage.store
        return Bucket(
            store["S3_ENDPOINT"], self.stage.bucket, self.stage.prefix, store["S3_ACCESS_KEY"], store["S3_SECRET_KEY"])

    def judge(self, tell: bool = False) -> List[str]:
        self.progress("reading the bucket and the tables")
        archive = self.read = judge.read_archive(self.bucket())
        if tell:
            said = self.stage.said
            there = sum(1 for identity in said.flushed if identity in archive.places)
            twice = sum(1 for places in archive.places.values() if len(places) > 1)
            self.say(
                f"{len(said.lives)} writers flushed {len(said.flushed)} events: {len(said.flushed) - there} lost, {twice} "
                f"twice. {len(archive.places) - there} more were found that had not been flushed. {len(archive.objects)} "
                f"objects, {len(archive.segments)} segments, {archive.copies} stored twice and counted once, "
                f"{len(archive.adopted)} writers adopted, {archive.torn} torn lines.")
        findings = judge.judge_bucket(archive, self.stage.said)
        findings += judge.judge_tables(archive, self.stage)
        findings += judge.judge_ledger(archive, self.stage)
        return findings + judge.judge_spools(self.stage) + self.audit()

    def audit(self) -> List[str]:
        status, text = self.stage.run(self.stage.nadi("audit"), "audit.log")
        return [] if status == 0 else [f"nadi audit: status {status}: {text[-3000:]}"]

    def rebuild(self) -> List[str]:
        hours = sorted(self.stage.hours)
        status, text = self.stage.run(
            self.stage.nadi("rebuild", "--restart", "--from", moment(hours[0]), "--to", moment(hours[-1] + HOUR_MS)),
            "settle.log")
        return ([] if status == 0 else [f"nadi rebuild: status {status}: {text[-2000:]}"]) + self.load()

    def judge_rebuilds(self) -> List[str]:
        self.progress("rebuilding everything")
        before = judge.dump(self.stage)
        findings = self.rebuild()
        findings += judge.compare_dumps(before, judge.dump(self.stage))
        findings += [f"after the rebuild: {text}" for text in self.audit()]
        self.progress("loading everything into an empty database")
        self.stage.make_database("nadi_again")
        self.stage.migrate("nadi_again")
        findings += self.load("nadi_again.yaml")
        return findings + [
            f"in a database loaded anew: {text}" for text in judge.judge_tables(self.read, self.stage, "nadi_again")]


class SelfTest:
    """Shows that the oracle can fail: one fault at a time, which it must name, and none once it is mended."""

    def __init__(self, run: Run) -> None:
        self.run_ = run
        self.stage = run.stage
        self.bucket = run.bucket()

    def run(self) -> List[str]:
        findings: List[str] = []
        findings += self.see("an object deleted", self.delete_object, ["LOST", "audit"])
        findings += self.see("a line duplicated under another writer", self.duplicate_line, ["TWICE"])
        findings += self.see("a row deleted", self.delete_row, ["request_minute"])
        findings += self.see("one added to a feature", self.alter_row, ["feature x"])
        findings += self.see("a flushed event that nobody wrote", self.claim_event, ["LOST"])
        findings += self.see("a label counted twice", self.repeat_label, ["labels joined"])
        return findings + [f"after the self-test: {text}" for text in self.run_.judge()]

    def see(self, name: str, spoil: Callable[[], Callable[[], None]], words: List[str]) -> List[str]:
        mend = spoil()
        findings = self.run_.judge()
        mend()
        unseen = [word for word in words if not any(word in text for text in findings)]
        self.run_.say(f"self-test: {name}: {'NOT SEEN' if unseen else 'seen: ' + findings[0][:150]}")
        return [f"self-test: {name} was not seen as {', '.join(unseen)}"] if unseen else []

    def delete_object(self) -> Callable[[], None]:
        key = self._only_place_of_a_promise()
        body = self.bucket.get(key)
        self.bucket.delete(key)
        self.run_.load()  # a whole listing notices that it is gone

        def mend() -> None:
            self.bucket.put(key, body)
            self.run_.load()

        return mend

    def _only_place_of_a_promise(self) -> str:
        """An object with a flushed event of a segment that no other object holds."""
        segments = list(self.bucket.segments())
        copies = collections.Counter((segment.facts["writer"], segment.facts["seq"]) for segment in segments)
        for segment in segments:
            lines = [line for line in segment.raw.split(b"\n")[:-1] if b'"type":"prediction"' in line]
            is_only = copies[segment.facts["writer"], segment.facts["seq"]] == 1
            if is_only and any(json.loads(line)["id"] in self.stage.said.flushed for line in lines):
                return segment.key
        raise RuntimeError("every flushed event is stored twice: run with another seed")

    def _predictions(self, key: str) -> int:
        return sum(segment.raw.count(b'"type":"prediction"') for segment in segments_of(key, self.bucket.get(key)))

    def duplicate_line(self) -> Callable[[], None]:
        key = next(key for key in self.bucket.keys("events") if self._predictions(key) > 0)
        segment = next(s for s in segments_of(key, self.bucket.get(key)) if b'"type":"prediction"' in s.raw)
        line = next(text for text in segment.raw.split(b"\n") if b'"type":"prediction"' in text)
        host = self.stage.hosts[0]
        name, body = make_object(host, f"{host}-{'0' * 12}7{'0' * 3}8{'0' * 15}", segment.facts["sealed_ms"], line + b"\n")
        copy = key.split(f"/{host}/")[0].rsplit("/host", 1)[0] + "/" + name
        self.bucket.put(copy, body)
        return lambda: self.bucket.delete(copy)

    def delete_row(self) -> Callable[[], None]:
        return self._change("nadi_store.request_minute", "DELETE FROM nadi_store.request_minute WHERE ctid = '{row}'")

    def alter_row(self) -> Callable[[], None]:
        return self._change(
            "nadi_store.feature_hour", "UPDATE nadi_store.feature_hour SET mean_high = mean_high + 0.125 WHERE ctid = '{row}'",
            "numeric_count > 0")

    def repeat_label(self) -> Callable[[], None]:
        return self._change(
            "nadi_store.outcome_hour", "UPDATE nadi_store.outcome_hour SET labelled = labelled + 1 WHERE ctid = '{row}'")

    def _change(self, table: str, statement: str, condition: str = "true") -> Callable[[], None]:
        self.stage.sql(f"CREATE TABLE public.kept AS SELECT * FROM {table}")
        row = self.stage.sql(f"SELECT ctid FROM ONLY {self._partition(table)} WHERE {condition} LIMIT 1")[0][0]
        self.stage.sql(statement.format(row=row).replace(table, self._partition(table)))

        def mend() -> None:
            self.stage.sql(f"BEGIN; DELETE FROM {table}; INSERT INTO {table} SELECT * FROM public.kept; COMMIT")
            self.stage.sql("DROP TABLE public.kept")

        return mend

    def _partition(self, table: str) -> str:
        """One that has rows, of a table in partitions."""
        return self.stage.sql(f"SELECT tableoid::regclass FROM {table} LIMIT 1")[0][0]

    def claim_event(self) -> Callable[[], None]:
        said = self.stage.said
        number = next(number for number, order in said.order.items() if order)
        identity = "00000000-0000-7000-8000-000000000000"
        said.events[identity] = (("p", "a", "0", "0"), number)
        said.order[number].append(identity)
        said.flushed.add(identity)

        def mend() -> None:
            said.flushed.discard(identity)
            del said.events[identity]
            said.order[number].remove(identity)

        return mend


def wait_for(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def parse(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="points:\n" + "\n".join(f"  {name:<24}{point.text}" for name, point in POINTS.items()))
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="how often something is hit (default: 50)")
    parser.add_argument("--seed", type=int, help="which points, when (default: a new one, printed). Times of other "
                        "processes and the machine's load are not in it: a run is alike, not the same")
    parser.add_argument("--only", metavar="NAME", help="only points whose names begin so, such as adopt or loader.commit")
    parser.add_argument("--self-test", action="store_true", help="spoil things on purpose in the end: each must be named")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs, spools and data, as after a failure")
    options = parser.parse_args(arguments)
    if options.kills < 1:
        parser.error("--kills must be at least 1")
    if options.only and not any(name.startswith(options.only) for name in POINTS):
        parser.error(f"--only: no point begins with '{options.only}'")
    if options.seed is None:
        options.seed = random.randrange(1 << 31)
    return options


def main() -> int:
    options = parse()
    try:
        run = Run(options)
    except StageError as error:
        print(f"oracle: {error}", file=sys.stderr)
        return 2
    run.say(f"oracle: seed {options.seed}, {options.kills} kills, programs in {run.stage.binaries}")
    findings: List[str] = ["it was interrupted"]
    try:
        findings = run.play()
    except StageError as error:
        findings = [f"the stage broke down: {error}"]
    finally:
        run.stage.close(keep=bool(findings) or options.keep)
    run.say(run.deck.table())
    seconds = time.monotonic() - run.began
    if findings:
        for text in findings:
            print(f"FAULT: {text}")
        print(f"oracle: {len(findings)} faults with seed {options.seed} after {seconds:.0f} s; everything is kept in {run.stage.folder}")
        return 1
    print(f"oracle: {sum(run.deck.hits.values())} kills, nothing lost, nothing twice, {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
