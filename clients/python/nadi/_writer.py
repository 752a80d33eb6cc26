# SPDX-License-Identifier: Apache-2.0
"""The public writer: events in, lines in a bounded buffer, a daemon thread that takes them to disk."""

from __future__ import annotations

import atexit
import logging
import os
import random
import socket
import sys
import threading
import time as _time
import weakref
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Union

from . import _fields
from ._encode import dumps, json_encoder
from ._files import Counts, PlaceTaken, REASONS, Settings, WriterFiles, drop_reason
from ._identity import TimeLike, host_label, milliseconds, now_ms, rfc3339, uuid7_hex
from ._resources import ResourceSampler

_log = logging.getLogger("nadi")

#: A line's limit in bytes, without its newline.
MAX_LINE_BYTES = 1_048_576
_GATHER_SECONDS = 0.03  # how long lines are gathered before a write
_COUNTS_SECONDS = 0.9  # how often changed counts go to the lock file
_RETRY_SECONDS = 1.0  # after a disk's refusal
_WRITE_BYTES = 1 << 20  # bytes per write(2), about

_TASKS = frozenset(("binary", "multiclass", "regression", "ranking", "generation", "embedding", "other"))
_ACTIONS = frozenset(("deploy", "rollback", "promote", "shadow_start", "shadow_stop", "retire"))
_ANNOTATORS = frozenset(("HUMAN", "LLM", "CODE"))

Scalar = Union[str, float, int, bool]


class EventWriter:
    """Writes events as JSON lines into ``directory``, from where the shipper takes them.

    The methods may be called from any thread, take microseconds and never wait for the disk: lines go into a bounded
    buffer, and a daemon thread writes them within 100 milliseconds. Nothing they do raises into the service, unless
    ``strict`` is set: an event that cannot be written is dropped, counted by reason (see ``counts``) and logged once
    per cause under the logger ``nadi``.

    After a fork the child is a writer of its own; each worker process may so share one object made before the fork.

    :param directory: the spool, on a local disk; made if it is missing.
    :param service: the service's name, 1 to 256 bytes; stands in every event.
    :param environment: for example ``prod``; stands in every event.
    :param host: the host's name in file names; by default the system's.
    :param seal_bytes: size in bytes at which a segment is sealed and a new one begun.
    :param seal_seconds: age in seconds at which a segment with events is sealed, and so may be shipped.
    :param on_full: what to do when the buffer or the disk is full: ``"drop"`` and count, or ``"block"`` the caller.
    :param replay: true to write events with old times on purpose; lifts the loader's lower bound on times.
    :param strict: raise ``TypeError`` or ``ValueError`` on wrong arguments instead of counting them as ``invalid``.
    :param buffer_events: lines that the buffer holds.
    :param buffer_bytes: bytes that the buffer holds.
    :param resource_seconds: write a ``resource`` event about this process every so many seconds (in a forked child from
        its first event on); 0 writes none.
    :raises ValueError: for wrong settings. A spool that cannot be written is no error: it is logged and tried again.
    """

    # Set anew in each process, by _begin_process.
    _awake: bool
    _buffered_bytes: int
    _head: str
    _lost: int

    def __init__(
        self,
        directory: Union[str, "os.PathLike[str]"],
        service: str,
        environment: Optional[str] = None,
        host: Optional[str] = None,
        seal_bytes: int = 16 * 1024 * 1024,
        seal_seconds: float = 20.0,
        on_full: str = "drop",
        replay: bool = False,
        strict: bool = False,
        buffer_events: int = 65_536,
        buffer_bytes: int = 64 * 1024 * 1024,
        resource_seconds: float = 0.0,
    ) -> None:
        if on_full not in ("drop", "block"):
            raise ValueError(f'on_full is {on_full!r}; give "drop" or "block"')
        if seal_bytes < 4096 or seal_seconds <= 0 or buffer_events < 1 or buffer_bytes < 4096 or resource_seconds < 0:
            raise ValueError("seal_bytes and buffer_bytes are at least 4096, seal_seconds and buffer_events above 0")
        self._service = _fields.name("service", service)
        self._environment = None if environment is None else _fields.name("environment", environment)
        self._settings = Settings(
            os.path.abspath(os.fspath(directory)), host_label(host or socket.gethostname()), self._service, replay
        )
        self._seal_bytes = int(seal_bytes)
        self._seal_seconds = float(seal_seconds)
        self._block = on_full == "block"
        self._strict = strict
        self._buffer_events = int(buffer_events)
        self._buffer_bytes = int(buffer_bytes)
        self._resource_seconds = float(resource_seconds)
        self._closed = False
        self._logged: Set[str] = set()
        self._begin_process()
        _writers.add(self)
        _close_with_process(self)
        with self._io:
            self._start_files()
        if self._resource_seconds:
            self._start_thread()

    # -- events ------------------------------------------------------------------------------------------------------

    def prediction(
        self,
        model_name: Optional[str] = None,
        model_version: Optional[str] = None,
        *,
        prediction: Union[Scalar, Sequence[Any], None] = None,
        score: Optional[float] = None,
        scores: Optional[Mapping[str, float]] = None,
        features: Optional[Mapping[str, Optional[Scalar]]] = None,
        latency_seconds: Optional[float] = None,
        status: str = "ok",
        error_type: Optional[str] = None,
        prediction_id: Optional[str] = None,
        time: Optional[TimeLike] = None,
        tags: Optional[Mapping[str, str]] = None,
        task: Optional[str] = None,
        model_variant: Optional[str] = None,
        **others: Any,
    ) -> str:
        """Writes one answer of a model; answers its prediction id, by which outcomes and feedback name it.

        :param prediction: the class, the number or the ranked list that the model answered.
        :param score: probability, 0 to 1: of the positive class in binary tasks, of the predicted one in multiclass.
        :param scores: probability by class.
        :param features: the model's input by name: numbers, strings, booleans, None where missing. Copied.
        :param latency_seconds: how long the answer took, in seconds.
        :param status: ``"ok"`` or ``"error"``; with ``error_type``, a fixed word such as ``"timeout"``.
        :param prediction_id: an id of your own; by default a new UUIDv7.
        :param time: when it happened; by default now.
        :param tags: at most 8 slice dimensions with few values each, for example ``{"region": "eu"}``.
        :param others: the schema's further optional fields, for example ``threshold``, ``request_id``,
            ``batch_size``, ``batch_index``, ``inference_seconds``, ``extra``.
        """
        identity = ""
        try:
            ms = now_ms() if time is None else milliseconds(time)
            identity = self._new_id(ms)
            event: Dict[str, Any] = {
                "model_name": _fields.name("model_name", model_name),
                "model_version": _fields.name("model_version", model_version),
                "status": status,
            }
            if prediction_id is not None:
                event["prediction_id"] = _fields.identifier("prediction_id", prediction_id)
            if status != "ok":
                if status != "error":
                    raise ValueError(f'status is {status!r}; give "ok" or "error"')
                if error_type is not None:
                    event["error_type"] = _fields.name("error_type", error_type)
            if prediction is not None:
                event["prediction"] = _fields.answer(prediction)
            if score is not None:
                event["score"] = _fields.probability("score", score)
            if scores is not None:
                event["scores"] = _fields.scores(scores)
            if latency_seconds is not None:
                event["latency_seconds"] = _fields.seconds("latency_seconds", latency_seconds)
            if features is not None:
                event["features"] = _fields.features(features)
            if tags is not None:
                event["tags"] = _fields.tags(tags)
            if task is not None:
                event["task"] = _one_of("task", task, _TASKS)
            if model_variant is not None:
                event["model_variant"] = _fields.name("model_variant", model_variant)
            if others:
                self._take_others(_fields.PREDICTION_FIELDS, others, event)
            self._append("prediction", ms, identity, event)
        except Exception as error:
            self._reject(error)
        return prediction_id if isinstance(prediction_id, str) else identity or self._new_id(now_ms())

    def outcome(
        self,
        prediction_id: Optional[str] = None,
        model_name: Optional[str] = None,
        *,
        label: Optional[Scalar] = None,
        value: Optional[float] = None,
        value_currency: Optional[str] = None,
        name: Optional[str] = None,
        prediction_time: Optional[TimeLike] = None,
        time: Optional[TimeLike] = None,
        tags: Optional[Mapping[str, str]] = None,
        **others: Any,
    ) -> str:
        """Writes what turned out to be true of a prediction; answers the event's id.

        :param label: the true class, number or boolean. ``label`` or ``value`` is needed.
        :param value: a number that goes with it, for example revenue, in ``value_currency`` (ISO 4217) if given.
        :param name: which outcome, where there are several; by default ``label``.
        :param prediction_time: when the prediction was made, if you know it: it makes joining cheap.
        :param others: ``label_time``, ``label_source``, ``weight``, ``revision``, ``request_id``, ``extra``, ...
        """
        identity = ""
        try:
            ms = now_ms() if time is None else milliseconds(time)
            identity = self._new_id(ms)
            event = self._about_prediction(prediction_id, model_name, prediction_time, tags)
            if name is not None:
                event["name"] = _fields.name("name", name)
            if label is not None:
                label = _fields.scalar("label", label)
                event["label"] = label
            if value is not None:
                value = _fields.number("value", value)
                event["value"] = value
            if label is None and value is None:
                raise ValueError("an outcome needs a label or a value")
            if value_currency is not None:
                if not (
                    isinstance(value_currency, str)
                    and len(value_currency) == 3
                    and value_currency.isupper()
                    and value_currency.isascii()
                ):
                    raise ValueError(f"value_currency is {value_currency!r}; give three capitals, for example EUR")
                event["value_currency"] = value_currency
            if others:
                self._take_others(_fields.OUTCOME_FIELDS, others, event)
            self._append("outcome", ms, identity, event)
        except Exception as error:
            self._reject(error)
        return identity or self._new_id(now_ms())

    def feedback(
        self,
        prediction_id: Optional[str] = None,
        model_name: Optional[str] = None,
        name: Optional[str] = None,
        *,
        score: Optional[float] = None,
        label: Optional[str] = None,
        explanation: Optional[str] = None,
        annotator_kind: Optional[str] = None,
        prediction_time: Optional[TimeLike] = None,
        time: Optional[TimeLike] = None,
        tags: Optional[Mapping[str, str]] = None,
        **others: Any,
    ) -> str:
        """Writes what somebody thought of a prediction; answers the event's id.

        :param name: the criterion, for example ``thumbs``.
        :param score: a number; ``score``, ``label`` or ``explanation`` is needed.
        :param explanation: free text, cut to 2048 bytes.
        :param annotator_kind: ``HUMAN``, ``LLM`` or ``CODE``.
        :param prediction_time: when the prediction was made, if you know it: it makes joining cheap.
        """
        identity = ""
        try:
            ms = now_ms() if time is None else milliseconds(time)
            identity = self._new_id(ms)
            event = self._about_prediction(prediction_id, model_name, prediction_time, tags)
            event["name"] = _fields.name("name", name)
            if score is not None:
                score = _fields.number("score", score)
                event["score"] = score
            if label is not None:
                event["label"] = _fields.name("label", label)
            if explanation is not None:
                if not isinstance(explanation, str):
                    raise TypeError(f"explanation is {type(explanation).__name__}, not a string")
                event["explanation"] = explanation.encode("utf-8", "replace")[:2048].decode("utf-8", "ignore")
            if score is None and label is None and explanation is None:
                raise ValueError("feedback needs a score, a label or an explanation")
            if annotator_kind is not None:
                event["annotator_kind"] = _one_of("annotator_kind", annotator_kind, _ANNOTATORS)
            if others:
                self._take_others(_fields.FEEDBACK_FIELDS, others, event)
            self._append("feedback", ms, identity, event)
        except Exception as error:
            self._reject(error)
        return identity or self._new_id(now_ms())

    def resource(
        self,
        interval_seconds: Optional[float] = None,
        *,
        gpus: Optional[Sequence[Mapping[str, Any]]] = None,
        time: Optional[TimeLike] = None,
        tags: Optional[Mapping[str, str]] = None,
        **others: Any,
    ) -> str:
        """Writes what the process used in the last ``interval_seconds``; answers the event's id.

        Without ``interval_seconds`` this process is measured since the last such call (or since the writer was made):
        CPU seconds, resident bytes, threads, open files. Sizes are in bytes, ratios from 0 to 1.

        :param gpus: a mapping each: ``index``, ``utilization_ratio``, ``memory_used_bytes``, ``memory_limit_bytes``,
            ``temperature_celsius``, ``power_watts``.
        :param others: ``cpu_utilization_ratio``, ``cpu_seconds``, ``memory_rss_bytes``, ``inflight_requests``, ...
        """
        identity = ""
        try:
            ms = now_ms() if time is None else milliseconds(time)
            identity = self._new_id(ms)
            event: Dict[str, Any]
            if interval_seconds is None:
                event = self._sampler.sample()
            else:
                length = _fields.seconds("interval_seconds", interval_seconds)
                if not length:
                    raise ValueError(f"interval_seconds is {interval_seconds!r}; give more than 0")
                event = {"interval_seconds": length}
            if gpus is not None:
                event["gpus"] = _fields.gpus(gpus)
            if tags is not None:
                event["tags"] = _fields.tags(tags)
            if others:
                self._take_others(_fields.RESOURCE_FIELDS, others, event)
            self._append("resource", ms, identity, event)
        except Exception as error:
            self._reject(error)
        return identity or self._new_id(now_ms())

    def deployment(
        self,
        model_name: Optional[str] = None,
        model_version: Optional[str] = None,
        *,
        action: str = "deploy",
        time: Optional[TimeLike] = None,
        tags: Optional[Mapping[str, str]] = None,
        **others: Any,
    ) -> str:
        """Writes that a model version came or went; answers the event's id.

        :param action: ``deploy``, ``rollback``, ``promote``, ``shadow_start``, ``shadow_stop`` or ``retire``.
        :param others: ``previous_version``, ``actor``, ``reference_id``, ``extra``.
        """
        identity = ""
        try:
            ms = now_ms() if time is None else milliseconds(time)
            identity = self._new_id(ms)
            event: Dict[str, Any] = {
                "model_name": _fields.name("model_name", model_name),
                "model_version": _fields.name("model_version", model_version),
                "action": _one_of("action", action, _ACTIONS),
            }
            if tags is not None:
                event["tags"] = _fields.tags(tags)
            if others:
                self._take_others(_fields.DEPLOYMENT_FIELDS, others, event)
            self._append("deployment", ms, identity, event)
        except Exception as error:
            self._reject(error)
        return identity or self._new_id(now_ms())

    def new_id(self, time: Optional[TimeLike] = None) -> str:
        """A new UUIDv7 whose time is ``time``, by default now: give it to ``prediction`` as ``prediction_id``."""
        return self._new_id(now_ms() if time is None else milliseconds(time))

    # -- life --------------------------------------------------------------------------------------------------------

    @property
    def name(self) -> Optional[str]:
        """This writer's name, the beginning of its files' names; None while the spool cannot be written."""
        files = self._files
        return None if files is None else files.name

    @property
    def counts(self) -> Dict[str, Any]:
        """Lines so far: ``appended``, ``written``, ``dropped`` by reason, and ``buffered`` (not yet one of these)."""
        return {**self._counts.record(), "buffered": len(self._buffer) + len(self._pending)}

    def flush(self, timeout: float = 5.0) -> bool:
        """Writes what was appended so far, now. True if every valid event since the last flush is with the kernel: no
        crash of this process can lose it then. False if one was dropped since, if the disk refuses, or if it does not
        answer for ``timeout`` seconds."""
        if not self._io.acquire(timeout=timeout):
            return False
        try:
            self._drain()
            self._wake.set()  # the thread may have planned its next round before
            with self._lock:
                # Without files the buffer was not even taken; with them, what is in it came after.
                all_written = not self._pending and (self._files is not None or not self._buffer)
                lost, self._lost = self._lost, 0
            return all_written and lost == 0
        finally:
            self._io.release()

    def close(self, timeout: float = 5.0) -> None:
        """Writes what is buffered, seals the end segment and takes the lock file away. Later events are dropped.

        Waits at most ``timeout`` seconds for a full or stalled disk; then the files are left for the shipper to adopt.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        _writers.discard(self)
        if self._files is None and not self._buffer and not self._pending and not any(self._counts.dropped.values()):
            return  # a forked child that wrote nothing leaves nothing
        deadline = _time.monotonic() + timeout
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        if not self._io.acquire(timeout=max(0.1, deadline - _time.monotonic())):
            self._complain("close", "the disk does not answer; what is buffered is lost")
            return
        try:
            self._finish(deadline)
        finally:
            self._io.release()

    def __enter__(self) -> "EventWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- appending ---------------------------------------------------------------------------------------------------

    def _new_id(self, ms: int) -> str:
        digits = uuid7_hex(ms, self._random_bits(74))
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _about_prediction(
        self,
        prediction_id: Optional[str],
        model_name: Optional[str],
        prediction_time: Optional[TimeLike],
        tags: Optional[Mapping[str, str]],
    ) -> Dict[str, Any]:
        event: Dict[str, Any] = {
            "prediction_id": _fields.identifier("prediction_id", prediction_id),
            "model_name": _fields.name("model_name", model_name),
        }
        if prediction_time is not None:
            event["prediction_time"] = rfc3339(milliseconds(prediction_time))
        if tags is not None:
            event["tags"] = _fields.tags(tags)
        return event

    def _take_others(self, known: Dict[str, str], given: Dict[str, Any], event: Dict[str, Any]) -> None:
        unknown = _fields.others(known, given, event)
        if unknown is not None:
            if self._strict:
                raise TypeError(f"{unknown} is no field of this event; put it into extra={{...}}")
            self._complain(f"unknown {unknown}", f"{unknown} is no field of this event; it was put into extra")

    def _append(self, kind: str, ms: int, identity: str, event: Dict[str, Any]) -> None:
        head = f'{{"schema":1,"type":"{kind}","id":"{identity}","time":"{rfc3339(ms)}"{self._head}'
        line = b"%b%b\n" % (head.encode(), dumps(event)[1:])
        size = len(line)
        if size > MAX_LINE_BYTES + 1:
            self._drop("too_large", f"a line has {size - 1} bytes, more than {MAX_LINE_BYTES}; log fewer features")
            return
        while True:
            with self._lock:
                if self._closed:
                    break
                buffer = self._buffer
                if len(buffer) < self._buffer_events and self._buffered_bytes + size <= self._buffer_bytes:
                    buffer.append(line)
                    self._buffered_bytes += size
                    if self._awake:
                        return
                    self._awake = True
                    break
            if not self._block:
                self._drop("buffer_full", "the buffer is full: the disk is too slow, or the spool cannot be written")
                return
            self._start_thread()
            self._wake.set()
            _time.sleep(0.002)
        if self._closed:
            if self._strict:
                raise ValueError("the writer is closed")
            self._complain("closed", "an event came after close() and is lost")
            return
        self._start_thread()
        self._wake.set()

    def _reject(self, error: Exception) -> None:
        if self._strict:
            raise error
        self._drop("invalid", f"{error}")

    def _drop(self, reason: str, explanation: str) -> None:
        with self._lock:
            self._counts.dropped[reason] += 1
            self._lost += int(reason != "invalid")
            wake, self._awake = not self._awake, True
        if wake and not self._closed:
            self._start_thread()
            self._wake.set()
        self._complain(reason if reason != "invalid" else f"invalid {explanation}", explanation)

    def _complain(self, cause: str, explanation: str) -> None:
        if cause not in self._logged and len(self._logged) < 64:
            self._logged.add(cause)
            _log.warning("nadi: %s (spool %s; logged once)", explanation, self._settings.directory)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _begin_process(self) -> None:
        """State of a process that has written nothing yet; also a forked child's beginning."""
        self._settings.guard = threading.Lock()
        self._lock = threading.RLock()  # buffer and counts; never held around I/O
        self._io = threading.Lock()  # files
        self._starting = threading.RLock()  # the thread
        self._wake = threading.Event()
        self._awake = False  # whether the thread has been told that there is something to do
        self._buffer: List[bytes] = []
        self._buffered_bytes = 0
        self._pending: List[bytes] = []  # taken from the buffer, not yet written
        self._lost = 0  # valid events dropped since the last flush
        self._counts = Counts()
        self._files: Optional[WriterFiles] = None
        self._thread: Optional[threading.Thread] = None
        self._next_attempt = 0.0
        self._next_counts = 0.0
        self._random_bits: Callable[[int], int] = random.Random(int.from_bytes(os.urandom(32), "big")).getrandbits
        self._sampler = ResourceSampler()
        source = f"{self._service}/{self._settings.host}-{os.getpid()}"
        source = source.encode("utf-8")[-_fields.MAX_NAME_BYTES :].decode("utf-8", "ignore")
        fields = {"source": source, "service": self._service}
        if self._environment is not None:
            fields["environment"] = self._environment
        self._head = "," + json_encoder()(fields).decode()[1:-1] + ","

    def _start_thread(self) -> None:
        thread = self._thread
        if thread is not None and thread.is_alive():
            return
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                return
            thread = threading.Thread(target=self._run, name="nadi-writer", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down, or there are no threads left: write at once
                self.flush()
                return
            self._thread = thread
            _close_with_process(self)

    def _run(self) -> None:
        next_resource = _time.monotonic() + self._resource_seconds
        while not self._closed:
            timeout = self._seconds_to_next()
            if self._resource_seconds:
                timeout = min(timeout, max(0.0, next_resource - _time.monotonic()))
            if self._wake.wait(timeout) and not self._closed:
                self._wake.clear()
                _time.sleep(_GATHER_SECONDS)
            if self._closed:
                return
            try:
                if self._resource_seconds and _time.monotonic() >= next_resource:
                    next_resource = _time.monotonic() + self._resource_seconds
                    self.resource()
                with self._io:
                    if not self._closed:
                        self._work()
            except Exception as error:  # must not end the thread
                self._complain(f"work {error}", f"could not write: {error}")
                _time.sleep(_RETRY_SECONDS)

    def _seconds_to_next(self) -> float:
        now = _time.monotonic()
        files = self._files
        if files is None or self._pending:
            return max(0.0, self._next_attempt - now) if self._buffer or self._pending else 60.0
        wait = 60.0
        if files.lines:
            wait = max(files.opened_at + self._seal_seconds, self._next_attempt) - now
        if files.counts_changed:
            wait = min(wait, self._next_counts - now)
        return max(0.0, wait)

    def _work(self) -> None:
        """One round: write, seal what is old, record the counts."""
        self._drain()
        files = self._files
        if files is None:
            return
        now = _time.monotonic()
        if files.lines and now >= files.opened_at + self._seal_seconds and now >= self._next_attempt:
            self._seal()
        files = self._files
        if files is not None and now >= self._next_counts:
            files.record_counts()
            self._next_counts = now + _COUNTS_SECONDS

    # -- files (the caller holds _io) --------------------------------------------------------------------------------

    def _start_files(self) -> bool:
        if self._files is not None:
            return True
        now = _time.monotonic()
        if now < self._next_attempt:
            return False
        try:
            self._files = WriterFiles(self._settings, self._counts)
        except OSError as error:
            self._next_attempt = now + _RETRY_SECONDS
            self._complain("start", f"cannot write in the spool: {error}; events are buffered and this is tried again")
            return False
        self._next_counts = now + _COUNTS_SECONDS
        return True

    def _become_new(self, cause: PlaceTaken) -> None:
        """Lets this writer's files be and begins anew with all lines since the last seal."""
        old = self._files
        if old is None:
            return
        self._complain("taken", f"{cause}: beginning a new writer, which writes again what was not sealed")
        try:
            old.seal(end=True, lock=False)  # if only the lock file was taken away, the old writer may end in order
        except (OSError, PlaceTaken):
            pass
        old.record_counts()
        old.abandon()
        with self._lock:
            counts = Counts()
            for reason in REASONS:  # what the old lock file does not tell
                counts.dropped[reason] = self._counts.dropped[reason] - old.recorded_dropped[reason]
            self._counts = counts
        self._files = None
        self._pending = old.held + self._pending
        self._next_attempt = 0.0
        self._start_files()

    def _drain(self) -> None:
        """Writes the buffer. In drop mode what the disk refuses is counted and gone, else it stays pending."""
        if not self._start_files():
            return
        if not self._pending or self._write_pending():
            with self._lock:
                self._awake = False
                self._pending = self._buffer
                self._buffer = []
                self._buffered_bytes = 0
            self._write_pending()

    def _write_pending(self) -> bool:
        """Whether nothing is pending any more."""
        moves = 0
        while self._pending and self._files is not None:
            files = self._files
            count = self._batch(files)
            try:
                done, error = files.write(self._pending[:count])
            except PlaceTaken as taken:
                moves += 1
                if moves > 3:
                    self._next_attempt = _time.monotonic() + _RETRY_SECONDS
                    self._complain("moves", f"cannot keep a place in the spool: {taken}")
                    break
                self._become_new(taken)
                continue
            del self._pending[:done]
            if error is not None:
                reason = drop_reason(error)
                if self._block:
                    self._next_attempt = _time.monotonic() + 0.1
                    self._complain(reason, f"{error}; the service waits until there is room")
                    break
                with self._lock:
                    self._counts.dropped[reason] += len(self._pending)
                    self._lost += len(self._pending)
                self._pending = []
                self._complain(reason, f"{error}; events are dropped and counted")
            elif files.size >= self._seal_bytes and _time.monotonic() >= self._next_attempt:
                self._seal()
        return not self._pending

    def _batch(self, files: WriterFiles) -> int:
        """How many pending lines the next write takes: about a mebibyte, and no more than the segment has room for."""
        room = min(_WRITE_BYTES, max(1, self._seal_bytes - files.size))
        size = count = 0
        for line in self._pending:
            size += len(line)
            count += 1
            if size >= room:
                break
        return count

    def _seal(self) -> None:
        files = self._files
        if files is None:
            return
        try:
            files.seal(end=False)
        except PlaceTaken as taken:
            self._become_new(taken)
            if self._pending and self._files is not None:
                self._awake = True
                self._wake.set()
        except OSError as error:
            self._next_attempt = _time.monotonic() + _RETRY_SECONDS
            self._complain("seal", f"cannot seal a segment yet: {error}")

    def _finish(self, deadline: float) -> None:
        self._next_attempt = 0.0
        while True:
            self._drain()
            if self._files is not None and not self._pending:
                try:
                    self._files.finish()
                    return
                except PlaceTaken as taken:
                    self._become_new(taken)
                except OSError as error:
                    self._complain("seal", f"cannot seal a segment yet: {error}")
            if _time.monotonic() >= deadline:
                break
            _time.sleep(0.1)
            self._next_attempt = 0.0
        lost = len(self._pending) + len(self._buffer)
        with self._lock:
            self._counts.dropped["disk_full"] += lost
            self._pending, self._buffer = [], []
        self._complain("close", f"the spool cannot be written: {lost} events are lost, its files will be adopted")
        if self._files is not None:
            self._files.record_counts()
            self._files.abandon()

    # -- forks -------------------------------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        """The child's side: close the copies, never unlock, and know nothing."""
        files = self._files
        if files is not None:
            files.settings.guard = threading.Lock()
            files.abandon()
        self._begin_process()


def _one_of(field: str, value: Any, allowed: "frozenset[str]") -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{field} is {value!r}; give one of {', '.join(sorted(allowed))}")
    return value


_writers: "weakref.WeakSet[EventWriter]" = weakref.WeakSet()
_guarded: List[threading.Lock] = []


def _close_with_process(writer: EventWriter) -> None:
    """Sees to it that a process that multiprocessing began closes its writer: such a process runs no atexit."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(writer, _close_all, exitpriority=100)


def _close_all() -> None:
    for writer in list(_writers):
        try:
            writer.close()
        except Exception as error:  # one writer's trouble must not keep the others open
            _log.warning("nadi: close: %s", error)


def _before_fork() -> None:
    for writer in list(_writers):
        guard = writer._settings.guard
        if guard.acquire(timeout=1.0):
            _guarded.append(guard)


def _after_fork_in_parent() -> None:
    while _guarded:
        _guarded.pop().release()


def _after_fork_in_child() -> None:
    del _guarded[:]
    for writer in list(_writers):
        writer._after_fork()


atexit.register(_close_all)
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
