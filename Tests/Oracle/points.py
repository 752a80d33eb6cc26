"""Where and how programs are hit: every point has a row in the table that a run prints."""

from __future__ import annotations

import collections
import random
import threading
from typing import Counter, Deque, Dict, List, NamedTuple, Optional, Tuple


class Point(NamedTuple):
    actor: str  # whose process is hit
    passes: int  # it is hit at a random passage up to this one
    text: str


#: Named points are in kill_points.c; the others (any, frozen, and those of servers) are signals from outside.
POINTS: Dict[str, Point] = {
    "writer.lock-fsync": Point("writer", 1, "between making the lock file and its fsync"),
    "writer.torn-write": Point("writer", 25, "in the middle of a write"),
    "writer.write-fsync": Point("writer", 4, "between write and fsync"),
    "writer.fsync-rename": Point("writer", 4, "between fsync and rename"),
    "writer.rename-dirsync": Point("writer", 4, "between rename and the directory's fsync"),
    "writer.end-unlock": Point("writer", 1, "between the end segment and the lock file's removal"),
    "writer.any": Point("writer", 0, "anywhere"),
    "writer.frozen": Point("writer", 0, "stopped for longer than the dead age, anywhere or at a point above; then killed or left to end"),
    "shipper.half-put": Point("shipper", 3, "in the middle of a PUT"),
    "shipper.put-answer": Point("shipper", 3, "between PUT and answer"),
    "shipper.answer-proof": Point("shipper", 3, "between the answer and the proof"),
    "shipper.proof-answer": Point("shipper", 3, "between the question for proof and its answer"),
    "shipper.proof-unlink": Point("shipper", 5, "between proof and unlink"),
    "shipper.unlink-dirsync": Point("shipper", 5, "between unlink and the directory's fsync"),
    "adopt.count-rename": Point("shipper", 1, "adopting: between counting an open segment and its rename"),
    "adopt.rename-dirsync": Point("shipper", 1, "adopting: between rename and the directory's fsync"),
    "adopt.rename-end": Point("shipper", 1, "adopting: between the last segment and the end segment"),
    "adopt.end-dirsync": Point("shipper", 1, "adopting: between the end segment and the directory's fsync"),
    "adopt.end-unlock": Point("shipper", 1, "adopting: between the end segment and the lock file's removal"),
    "adopt.unlock-dirsync": Point("shipper", 1, "adopting: between that removal and the directory's fsync"),
    "shipper.any": Point("shipper", 0, "anywhere"),
    "shipper.frozen": Point("shipper", 0, "stopped for a while, anywhere or at a point above; then left to go on"),
    "loader.claim-get": Point("loader", 3, "between claim and GET"),
    "loader.get-copy": Point("loader", 3, "between GET and COPY"),
    "loader.copy-commit": Point("loader", 1, "between COPY and COMMIT"),
    "loader.commit-sent": Point("loader", 1, "at COMMIT, not waiting for what becomes of it"),
    "loader.commit-answer": Point("loader", 1, "between COMMIT and answer"),
    "loader.answer-cleanup": Point("loader", 1, "between the answer and what follows in the ledger"),
    "loader.before-commit-cut": Point("loader", 1, "connection cut before COMMIT; the loader lives"),
    "loader.after-commit-cut": Point("loader", 1, "connection cut before COMMIT's answer; the loader lives"),
    "join.copy-commit": Point("loader", 2, "joining: before an hour's swap is committed"),
    "join.commit-answer": Point("loader", 2, "joining: between an hour's swap and its answer"),
    "loader.any": Point("loader", 0, "anywhere"),
    "loader.frozen": Point("loader", 0, "stopped for longer than its lease, anywhere or at a point above; then left to go on"),
    "rebuild.copy-commit": Point("rebuild", 2, "rebuilding: before an hour's swap is committed"),
    "rebuild.commit-answer": Point("rebuild", 2, "rebuilding: between an hour's swap and its answer"),
    "rebuild.answer-cleanup": Point("rebuild", 2, "rebuilding: between two hours"),
    "database.backend": Point("servers", 0, "SIGKILL of a server process that serves Nadi: PostgreSQL recovers"),
    "database.server": Point("servers", 0, "SIGKILL of PostgreSQL, which is then started again"),
    "store.frozen": Point("servers", 0, "the S3 server stopped for a while"),
    "store.gone": Point("servers", 0, "the S3 server ended, and started again"),
}


def aim(point: Optional[str], generator: random.Random) -> Tuple[Optional[str], int]:
    """The named point that a process is to be armed with, and the passage at which it is hit.

    Half of those to be frozen are frozen at a named point of their kind."""
    if point is not None and point.endswith(".frozen") and POINTS[point].actor != "servers" and generator.random() < 0.5:
        point = generator.choice([
            name for name in POINTS if POINTS[name].actor == POINTS[point].actor and POINTS[name].passes and "cut" not in name])
    if point is None or not POINTS[point].passes:
        return None, 1
    return point, generator.randint(1, POINTS[point].passes)


class Deck:
    """What is still to be hit, shared by all threads: each point as often as any other, in random order."""

    def __init__(self, kills: int, generator: random.Random, only: Optional[str] = None) -> None:
        self._lock = threading.Lock()
        self.hits: Counter[str] = collections.Counter()
        self.misses: Counter[str] = collections.Counter()
        self._left: Dict[str, Deque[str]] = {point.actor: collections.deque() for point in POINTS.values()}
        self._flying: Counter[str] = collections.Counter()  # taken, neither hit nor missed yet
        self._names = names = [name for name in POINTS if only is None or name.startswith(only)]
        cards: List[str] = []
        while len(cards) < kills:
            round_ = generator.sample(names, len(names))
            cards += round_[: kills - len(cards)]
        for name in cards:
            self._left[POINTS[name].actor].append(name)

    def take(self, actor: str) -> Optional[str]:
        """The next point for an actor; it is then hit or missed. None when there is nothing to do for it now."""
        with self._lock:
            if not self._left[actor]:
                return None
            name = self._left[actor].popleft()
            self._flying[name] += 1
            return name

    def hit(self, name: str) -> None:
        with self._lock:
            self.hits[name] += 1
            self._flying[name] -= 1

    def extra(self, name: str) -> None:
        """A kill that no card asked for, so that others have something to do."""
        with self._lock:
            self.hits[name] += 1

    def wants(self, start: str) -> bool:
        """Whether a card whose name begins so is left, or being played."""
        with self._lock:
            waiting = [name for cards in self._left.values() for name in cards] + list(+self._flying)
            return any(name.startswith(start) for name in waiting)

    def missed(self, name: str) -> None:
        """The program never came by: it is tried again later."""
        with self._lock:
            self.misses[name] += 1
            self._flying[name] -= 1
            self._left[POINTS[name].actor].append(name)

    @property
    def is_done(self) -> bool:
        with self._lock:
            return not +self._flying and not any(self._left.values())

    @property
    def left(self) -> List[str]:
        with self._lock:
            return [name for cards in self._left.values() for name in cards]

    def table(self) -> str:
        width = max(len(name) for name in POINTS)
        rows = [f"{name:<{width}}  {self.hits[name]:>5}  {POINTS[name].text}" for name in self._names]
        return "\n".join(rows + [f"{'all':<{width}}  {sum(self.hits.values()):>5}"])
