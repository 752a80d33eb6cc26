# SPDX-License-Identifier: Apache-2.0
"""The public writer: events in, lines out to the pump."""

from __future__ import annotations

import os
import random
import re
import socket
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Union

from . import _fields
from ._encode import dumps, json_encoder
from ._files import Settings
from ._identity import TimeLike, host_label, milliseconds, now_ms, rfc3339, uuid7_hex
from ._pump import Limits, LinePump
from ._resources import ResourceSampler

#: A line's limit in bytes, without its newline.
MAX_LINE_BYTES = 1_048_576

_TASKS = frozenset(("binary", "multiclass", "regression", "ranking", "generation", "embedding", "other"))
_ACTIONS = frozenset(("deploy", "rollback", "promote", "shadow_start", "shadow_stop", "retire"))
_ANNOTATORS = frozenset(("HUMAN", "LLM", "CODE"))
_CURRENCY = re.compile("[A-Z]{3}")

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
        if resource_seconds < 0:
            raise ValueError(f"resource_seconds is {resource_seconds!r}; give 0 or more")
        self._service = _fields.name("service", service)
        self._environment = None if environment is None else _fields.name("environment", environment)
        self._host = host_label(host or socket.gethostname())
        self._strict = strict
        self._begin_process()
        settings = Settings(os.path.abspath(os.fspath(directory)), self._host, self._service, replay)
        limits = Limits(int(seal_bytes), float(seal_seconds), int(buffer_events), int(buffer_bytes), on_full == "block")
        self._pump = LinePump(settings, limits, self._begin_process, float(resource_seconds), self.resource)
        if resource_seconds:
            self._pump.start()

    def _begin_process(self) -> None:
        """What no two processes share; called again in a forked child."""
        self._random_bits: Callable[[int], int] = random.Random(int.from_bytes(os.urandom(32), "big")).getrandbits
        self._sampler = ResourceSampler()
        source = f"{self._service}/{self._host}-{os.getpid()}"
        source = source.encode("utf-8")[-_fields.MAX_NAME_BYTES :].decode("utf-8", "ignore")
        fields = {"source": source, "service": self._service}
        if self._environment is not None:
            fields["environment"] = self._environment
        self._head = "," + json_encoder()(fields).decode()[1:-1] + ","

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
        :param status: ``"ok"`` or ``"error"``.
        :param error_type: a fixed word such as ``"timeout"``; given, ``status`` is ``"error"``.
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
                "status": status if error_type is None else "error",
            }
            if prediction_id is not None:
                event["prediction_id"] = _fields.identifier("prediction_id", prediction_id)
            if status != "ok" and status != "error":
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
                if not isinstance(value_currency, str) or _CURRENCY.fullmatch(value_currency) is None:
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
                event["explanation"] = _fields.plain(explanation).encode()[:2048].decode("utf-8", "ignore")
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
        return self._pump.name

    @property
    def counts(self) -> Dict[str, Any]:
        """Lines so far: ``appended``, ``written``, ``dropped`` by reason, and ``buffered`` (not yet one of these)."""
        return self._pump.counts

    def flush(self, timeout: float = 5.0) -> bool:
        """Writes what was appended so far, now. True if every valid event since the last flush is with the kernel: no
        crash of this process can lose it then. False if one was dropped since, if the disk refuses, or if it does not
        answer for ``timeout`` seconds."""
        return self._pump.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Writes what is buffered, seals the end segment and takes the lock file away.

        Later events are dropped and counted as ``invalid``. Waits at most ``timeout`` seconds for a full or stalled disk; then the files are left for the shipper to adopt.
        Also done when the process exits.
        """
        self._pump.close(timeout)

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
            self._pump.complain(f"unknown {unknown}", f"{unknown} is no field of this event; it was put into extra")

    def _append(self, kind: str, ms: int, identity: str, event: Dict[str, Any]) -> None:
        head = f'{{"schema":1,"type":"{kind}","id":"{identity}","time":"{rfc3339(ms)}"{self._head}'
        line = b"%b%b\n" % (head.encode(), dumps(event)[1:])
        if len(line) > MAX_LINE_BYTES + 1:
            self._pump.drop(
                "too_large", f"a line has {len(line) - 1} bytes, more than {MAX_LINE_BYTES}; log fewer features"
            )
        elif not self._pump.append(line):
            if self._strict:
                raise ValueError("the writer is closed")
            self._pump.drop("invalid", "an event came after close() and is lost")

    def _reject(self, error: Exception) -> None:
        if self._strict:
            raise error
        self._pump.drop("invalid", f"{error}")


def _one_of(field: str, value: Any, allowed: "frozenset[str]") -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{field} is {value!r}; give one of {', '.join(sorted(allowed))}")
    return value
