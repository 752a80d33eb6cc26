"""The threads that start the programs and have them hit, over and over, until the deck is empty."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import Callable, List, Optional

from points import Deck, aim
from stage import DEAD_SECONDS, HERE, LEASE_SECONDS, PYTHON, SEAL_SECONDS, Process, Stage, seeded, signalled


class Cast:
    def __init__(self, stage: Stage, deck: Deck) -> None:
        self.stage, self.deck = stage, deck
        self.enough = threading.Event()  # no new writers
        self.over = threading.Event()
        self._threads: List[threading.Thread] = []
        self._writers: List[threading.Thread] = []
        self._listeners: List[threading.Thread] = []

    def begin(self) -> None:
        for host in self.stage.hosts:
            self._writers.append(self._act(f"{host}-swift", lambda r, h=host: self._writer(h, "swift", r)))
            self._writers.append(self._act(f"{host}-python", lambda r, h=host: self._writer(h, "python", r)))
            self._threads.append(self._act(f"{host}-shipper", lambda r, h=host: self._shipper(h, r)))
        for number in range(2):
            self._threads.append(self._act(f"loader{number}", lambda r, n=number: self._loader(f"loader{n}", r)))
        self._threads.append(self._act("rebuild", self._rebuild))
        self._threads.append(self._act("servers", self._servers))

    def end(self) -> None:
        """Writers end first; what they wrote is then shipped by the others as long as they run."""
        self.enough.set()
        for thread in self._writers + self._listeners:
            thread.join(60)
        self.over.set()
        for thread in self._threads:
            thread.join(120)
        alive = [thread.name for thread in self._writers + self._listeners + self._threads if thread.is_alive()]
        if alive:
            self.stage.fault(f"did not end: {', '.join(alive)}")

    def _act(self, name: str, play: Callable[[random.Random], None]) -> threading.Thread:
        def run() -> None:
            try:
                play(seeded(self.stage.seed, name))
            except Exception as error:  # a thread that ends in silence would look like peace
                self.stage.fault(f"the oracle's own thread {name} failed: {type(error).__name__}: {error}")
                raise

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    # -- one process ---------------------------------------------------------------------------------------------------

    def _await(self, process: Process, point: Optional[str], name: str, seconds: float) -> Optional[int]:
        """Waits for a process that is to be hit at a named point, and counts. None: it goes on, and was not hit."""
        status = process.end(seconds)
        if point is not None:
            self._count(process, point)
        if status is not None:
            self._judge(status, point, name)
        return status

    def _count(self, process: Process, point: str) -> None:
        if process.was_hit():
            self.deck.hit(point)
        else:
            self.deck.missed(point)

    def _judge(self, status: int, point: Optional[str], name: str, good: tuple[int, ...] = (0,)) -> None:
        """Nobody may end by a signal that is not ours, or with an unexpected status."""
        if status == -signal.SIGKILL and point is not None or status in good:
            return
        self.stage.fault(f"{name} ended by itself with {signalled(status)}; see its log")

    # -- writers -------------------------------------------------------------------------------------------------------

    def _writer(self, host: str, client: str, generator: random.Random) -> None:
        while not self.enough.is_set():
            point = self.deck.take("writer")
            if point is None:
                self.enough.wait(generator.uniform(0, 1))
            self._one_writer(host, client, point, generator)

    def _one_writer(self, host: str, client: str, point: Optional[str], generator: random.Random) -> None:
        stage = self.stage
        named, at = aim(point, generator)
        life = stage.said.begin(host, client, point or "none")
        batches = generator.randint(3, 12) if point == "writer.end-unlock" else generator.randint(15, 60)
        hour = stage.hour(generator)
        spool = str(stage.folder / host / "spool")
        if client == "swift":
            command = [
                str(stage.binaries / "event-writer-probe"), spool, str(batches), "0", f"host={host}", "service=oracle",
                f"seal_age={SEAL_SECONDS}", f"judged={hour}", f"threads={generator.randint(1, 3)}"]
        else:
            forks = point is None and generator.random() < 0.5
            command = [
                PYTHON, str(HERE / "writer.py"), spool, str(batches), host, str(hour), str(SEAL_SECONDS), str(int(forks))]
        mine, theirs = os.pipe()
        process = stage.start(
            command, f"{host}-{client}.log", role="writer", point=named, at=at, output=theirs, stops=named != point)
        os.close(theirs)
        listener = threading.Thread(target=stage.said.listen, args=(life, mine), name=f"ears of {life.number}", daemon=True)
        listener.start()
        self._listeners = [thread for thread in self._listeners if thread.is_alive()] + [listener]
        # There must be dead writers to be adopted.
        is_extra = point is None and generator.random() < 0.4 and self.deck.wants("adopt")
        if point == "writer.any":
            time.sleep(generator.uniform(0.02, 1.2))
            status = process.kill()
            self.deck.hit(point) if status == -signal.SIGKILL else self.deck.missed(point)
        elif point == "writer.frozen":
            status = self._freeze(process, named, generator.uniform(0.05, 0.6), DEAD_SECONDS * generator.uniform(1.2, 2), point)
            if status is None and generator.random() < 0.5:
                time.sleep(generator.uniform(0, 0.2))
                process.kill()
            status = process.wait(60)
            self._judge(status, point, f"{life}")
        elif is_extra and process.end(generator.uniform(0.1, 0.8)) is None:
            status = process.kill()
            if status == -signal.SIGKILL:
                self.deck.extra("writer.any")
            life.plan = point = "writer.any"
        else:
            status = self._await(process, named, f"{life}", 60)
            if status is None:
                stage.fault(f"{life} did not end within 60 seconds")
                status = process.kill()
        life.end = point if status == -signal.SIGKILL and point else signalled(status)
        self._steps(process, f"{life}")

    def _steps(self, process: Process, name: str) -> None:
        findings = process.steps()
        if findings:
            self.stage.fault(f"{name} {findings[0]}" + (f", and {len(findings) - 1} more like it" if findings[1:] else ""))

    def _freeze(
        self, process: Process, named: Optional[str], after: float, seconds: float, point: str
    ) -> Optional[int]:
        """Stops a process, at its named point if it has one, and continues it. Its status, if it ended before."""
        if named is not None:
            after = 0.05
            for _ in range(100):
                if process.was_hit() or process.end(after) is not None:
                    break
        status = process.end(after)
        if status is not None:
            self.deck.missed(point)
            return status
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        self.deck.hit(point)
        return None

    # -- shippers ------------------------------------------------------------------------------------------------------

    def _shipper(self, host: str, generator: random.Random) -> None:
        while not self.over.is_set():
            self._steps(self._one_shipper(host, self.deck.take("shipper"), generator), f"a shipper of {host}")

    def _one_shipper(self, host: str, point: Optional[str], generator: random.Random) -> Process:
        named, at = aim(point, generator)
        # Some may ask for HEAD, others only list.
        role = "shipper-head" if generator.random() < 0.5 else "shipper"
        process = self.stage.start(
            self.stage.shipper(host), f"{host}-shipper.log", role=role, point=named, at=at, stops=named != point)
        name = f"the shipper of {host}"
        if point == "shipper.any":
            time.sleep(generator.uniform(0.02, 1))
            status = process.kill()
            self.deck.hit(point) if status == -signal.SIGKILL else self.deck.missed(point)
            return process
        if point == "shipper.frozen":
            if self._freeze(process, named, generator.uniform(0.1, 1), generator.uniform(0.5, 2), point) is not None:
                self.stage.fault(f"{name} ended by itself")
                return process
            time.sleep(generator.uniform(0, 0.5))
        elif named:
            if self._await(process, named, name, 5) is not None:
                return process
        else:
            self.over.wait(2)
        # It lives, and was not or could not be hit: half of them may end in order.
        if generator.random() < 0.5:
            process.kill()
            return process
        process.send_signal(signal.SIGTERM)
        status = process.end(30)
        if status is None:
            self.stage.fault(f"{name} did not end within 30 seconds of SIGTERM")
            process.kill()
        elif named and process.was_hit():  # late: its card is dealt again
            self.deck.extra(named)
        else:
            self._judge(status, None, name)
        return process

    # -- loaders -------------------------------------------------------------------------------------------------------

    def _loader(self, name: str, generator: random.Random) -> None:
        while not self.over.is_set():
            point = self.deck.take("loader")
            if point is None:
                self.over.wait(1)
            joins = point is not None and point.startswith("join") or generator.random() < 0.2
            self._one_load(["load"], name, point, generator, "joining.yaml" if joins else "loader.yaml")

    def _rebuild(self, generator: random.Random) -> None:
        while not self.over.is_set():
            if not self.stage.hours:
                self.over.wait(0.5)
                continue
            first = generator.randrange(len(self.stage.hours))
            hours = sorted(self.stage.hours[first : first + 3])
            point = self.deck.take("rebuild")
            words = ["rebuild", "--from", moment(hours[0]), "--to", moment(hours[-1] + 3_600_000)]
            if generator.random() < 0.5:
                words.append("--restart")
            self._one_load(words, "rebuild", point, generator)
            self.over.wait(generator.uniform(0, 0.5) if point else 5)

    def _one_load(
        self, words: List[str], name: str, point: Optional[str], generator: random.Random,
        configuration: str = "loader.yaml",
    ) -> None:
        named, at = aim(point, generator)
        process = self.stage.start(
            self.stage.nadi(*words, configuration=configuration), f"{name}.log", point=named, at=at, stops=named != point)
        if point == "loader.any":
            time.sleep(generator.uniform(0.01, 0.6))
            status = process.kill()
            self.deck.hit(point) if status == -signal.SIGKILL else self.deck.missed(point)
            return
        if point == "loader.frozen":
            self._freeze(process, named, generator.uniform(0.03, 0.3), LEASE_SECONDS + generator.uniform(0.3, 1), point)
        status = process.end(120)
        if named is not None and named == point:
            self._count(process, named)
        if status is None:
            self.stage.fault(f"{name} did not end within 120 seconds")
            process.kill()
        else:
            # 1: the store or the database failed, which they do; the next run goes on.
            self._judge(status, named, name, good=(0, 1))
        if status == 1:
            self.over.wait(generator.uniform(0.1, 0.5))

    # -- servers -------------------------------------------------------------------------------------------------------

    def _servers(self, generator: random.Random) -> None:
        while not self.over.is_set():
            self.over.wait(generator.uniform(0.5, 2))
            point = self.deck.take("servers")
            if point == "database.backend":
                self._kill_backend(point)
            elif point == "database.server":
                os.kill(int(self.stage.postgres["POSTGRES_PID"]), signal.SIGKILL)
                time.sleep(generator.uniform(0, 1))
                self.stage.start_postgres()
                self.deck.hit(point)
            elif point == "store.frozen":
                pid = int(self.stage.store["S3_PID"])
                os.kill(pid, signal.SIGSTOP)
                time.sleep(generator.uniform(0.5, 3))
                os.kill(pid, signal.SIGCONT)
                self.deck.hit(point)
            elif point == "store.gone":
                self.stage.stop_store()
                time.sleep(generator.uniform(0, 1.5))
                self.stage.start_store()
                self.deck.hit(point)

    def _kill_backend(self, point: str) -> None:
        """One that works for Nadi at this moment."""
        for _ in range(50):
            rows = self.stage.sql(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'nadi%' "
                "ORDER BY state = 'active' DESC, random() LIMIT 1")
            if rows:
                try:
                    os.kill(int(rows[0][0]), signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self.deck.hit(point)
                for _ in range(200):  # until recovery is over
                    try:
                        self.stage.sql("SELECT 1")
                        return
                    except Exception:
                        time.sleep(0.1)
                self.stage.fault("PostgreSQL did not recover within 20 seconds")
                return
            time.sleep(0.05)
        self.deck.missed(point)


def moment(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))
