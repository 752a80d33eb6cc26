# SPDX-License-Identifier: Apache-2.0
"""Checks of what the service hands in, so that no line is written that the loader would reject.

Every function raises ``ValueError`` or ``TypeError`` with the field's name, the reason and the remedy.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Dict, Iterable, List, Mapping, Optional, Set

from ._encode import plain
from ._identity import milliseconds, rfc3339

MAX_NAME_BYTES = 256
MAX_TAGS = 8
MAX_FEATURES = 4096

#: Optional fields that callers may give as keyword arguments beside the named ones, and what they hold.
_TEXT, _NUMBER, _SECONDS, _COUNT, _TIME, _OBJECT = "text", "number", "seconds", "count", "time", "object"
COMMON_FIELDS: Dict[str, str] = {
    "recorded_time": _TIME,
    "service_version": _TEXT,
    "instance": _TEXT,
    "request_id": _TEXT,
    "trace_id": _TEXT,
    "span_id": _TEXT,
    "extra": _OBJECT,
}
PREDICTION_FIELDS: Dict[str, str] = {
    **COMMON_FIELDS,
    "features_schema": _TEXT,
    "threshold": _NUMBER,
    "queue_seconds": _SECONDS,
    "preprocess_seconds": _SECONDS,
    "inference_seconds": _SECONDS,
    "postprocess_seconds": _SECONDS,
    "http_status_code": _COUNT,
    "route": _TEXT,
    "batch_size": _COUNT,
    "batch_index": _COUNT,
    "entity_id_hash": _TEXT,
    "genai": _OBJECT,
}
OUTCOME_FIELDS: Dict[str, str] = {
    **COMMON_FIELDS,
    "label_time": _TIME,
    "label_source": _TEXT,
    "weight": _NUMBER,
    "revision": _COUNT,
    "entity_id_hash": _TEXT,
}
FEEDBACK_FIELDS: Dict[str, str] = {**COMMON_FIELDS, "annotator_id_hash": _TEXT, "revision": _COUNT}
RESOURCE_FIELDS: Dict[str, str] = {
    **COMMON_FIELDS,
    "model_name": _TEXT,
    "cpu_utilization_ratio": _SECONDS,
    "cpu_seconds": _SECONDS,
    "memory_rss_bytes": _COUNT,
    "memory_limit_bytes": _COUNT,
    "open_fds": _COUNT,
    "threads": _COUNT,
    "inflight_requests": _COUNT,
    "queue_depth": _COUNT,
    "disk_free_bytes": _COUNT,
}
DEPLOYMENT_FIELDS: Dict[str, str] = {
    **COMMON_FIELDS,
    "previous_version": _TEXT,
    "actor": _TEXT,
    "reference_id": _TEXT,
}
_LABEL_SOURCES = ("human", "system", "user", "delayed_join")
_SCALARS = frozenset((float, int, str, bool, type(None)))

_good_names: Set[str] = set()  # names that passed, so that they pass again at the price of one look-up


def _all_good(names: Iterable[Any]) -> bool:
    try:
        return _good_names.issuperset(names)
    except TypeError:  # something that has no hash
        return False


def name(field: str, value: Any) -> str:
    """A name or id: text of 1 to 256 bytes."""
    if type(value) is str and value in _good_names:
        return value
    text = _text(field, value)
    if len(_good_names) < 4096:
        _good_names.add(text)
    return text


def identifier(field: str, value: Any) -> str:
    """As ``name``, for values that seldom come twice."""
    if type(value) is str and 0 < len(value) <= MAX_NAME_BYTES // 4:
        return value
    return _text(field, value)


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{field} is {type(value).__name__}, not a string; give str({field})")
    text: str = plain(str.__str__(value))
    length = len(text.encode("utf-8"))
    if not 0 < length <= MAX_NAME_BYTES:
        raise ValueError(f"{field} has {length} bytes; give 1 to {MAX_NAME_BYTES}")
    return text


def number(field: str, value: Any) -> Optional[float]:
    """A number, None for one that is not finite."""
    if isinstance(value, (str, bytes, bool)):
        raise TypeError(f"{field} is {type(value).__name__}, not a number")
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{field} is {type(value).__name__}, not a number") from None
    if not math.isfinite(result):
        return None
    return value if type(value) is int and -(2**63) <= value < 2**64 else result


def seconds(field: str, value: Any) -> Optional[float]:
    """A duration, size or ratio: a number of at least 0, None for one that is not finite."""
    result = value if type(value) is float and value >= 0 and value != math.inf else number(field, value)
    if result is not None and result < 0:
        raise ValueError(f"{field} is {result!r}; give at least 0 (a clock that jumps back? use time.perf_counter())")
    return result


def probability(field: str, value: Any) -> Optional[float]:
    """A number from 0 to 1; rounding errors up to 1e-6 beside that are forgiven."""
    if type(value) is float and 0.0 <= value <= 1.0:
        return value
    result = number(field, value)
    if result is None or 0 <= result <= 1:
        return result
    if -1e-6 <= result <= 1 + 1e-6:
        return 0.0 if result < 0 else 1.0
    raise ValueError(f"{field} is {result!r}, not a probability; give 0 to 1")


def count(field: str, value: Any) -> Optional[int]:
    """A whole number of at least 0."""
    result = number(field, value)
    if result is None:
        return None
    if result != int(result) or not 0 <= result < 2**53:
        raise ValueError(f"{field} is {result!r}; give a whole number of at least 0")
    return int(result)


def tags(value: Any) -> Dict[str, str]:
    """Slice dimensions: at most 8, text to text; numbers and booleans become text."""
    if type(value) is dict and len(value) <= MAX_TAGS and _all_good(value) and _all_good(value.values()):
        return value.copy()
    if not isinstance(value, Mapping):
        raise TypeError(f"tags is {type(value).__name__}, not a mapping of text to text")
    if len(value) > MAX_TAGS:
        raise ValueError(f"tags has {len(value)} entries; give at most {MAX_TAGS}")
    result = {}
    for key, item in value.items():
        if type(item) is not str:
            item = _tag_text(key, item)
            if item is None:
                continue
        result[name("a tag's name", key)] = name("a tag", item) if 0 < len(item) <= MAX_NAME_BYTES // 4 else plain(item)
    return result


def _tag_text(key: Any, item: Any) -> Optional[str]:
    """A tag's text; None where the value is missing and the tag left out."""
    if not isinstance(item, (str, bool, int, float)):
        item = _only_scalar(plain(item))
        if isinstance(item, (list, dict)):
            raise TypeError(f"tags[{key!r}] is {type(item).__name__}, not text, a number or a boolean")
    if item is None:
        return None
    if isinstance(item, str):
        return item
    if isinstance(item, bool):
        return "true" if item else "false"
    return str(item) if isinstance(item, int) else _number_text(float(item))


def _number_text(value: float) -> Optional[str]:
    """The shortest text of a number, positional from 0.00001 up to 10**16; None for one that is not finite."""
    if not math.isfinite(value):
        return None
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or "0")
    digits = whole + fraction
    point -= len(digits) - len(digits.lstrip("0"))
    digits = digits.strip("0")
    if not digits:
        return "0"
    if not -5 < point <= 16:
        rest = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{point - 1}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits.ljust(point, "0")
    return f"{sign}{digits[:point]}.{digits[point:]}"


def _only_scalar(value: Any) -> Any:
    """The scalar of a list that holds nothing else; any other value as it is."""
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], (list, dict)):
        return value[0]
    return value


def features(value: Any) -> Dict[str, Any]:
    """The model's input by name: a copy, of scalars only."""
    if type(value) is dict:
        if _all_good(value) and _SCALARS.issuperset(map(type, value.values())):
            return value.copy()
    elif not hasattr(value, "items"):
        raise TypeError(f"features is {type(value).__name__}, not a mapping; give dict(zip(names, row))")
    if len(value) > MAX_FEATURES:
        raise ValueError(f"features has {len(value)} entries; give at most {MAX_FEATURES}")
    result = {}
    for key, item in value.items():
        if type(item) not in _SCALARS:
            item = _only_scalar(plain(item))
            if isinstance(item, (list, dict)):
                item = None
        result[name("a feature's name", key if isinstance(key, str) else str(key))] = item
    return result


def scores(value: Any) -> Dict[str, Optional[float]]:
    """Probability by class."""
    if not hasattr(value, "items"):
        raise TypeError(f"scores is {type(value).__name__}, not a mapping of classes to probabilities")
    return {
        name("a class in scores", key if isinstance(key, str) else str(key)): probability(
            f"scores[{key!r}]", _only_scalar(item)
        )
        for key, item in value.items()
    }


def scalar(field: str, value: Any) -> Any:
    """A number, text or boolean; numpy's scalars become these. None for a number that is not finite."""
    if type(value) is str or type(value) is bool:
        return value
    result = _only_scalar(plain(value))
    if isinstance(result, (list, dict)) or result is None and not isinstance(value, (int, float, Decimal)):
        raise TypeError(f"{field} is {type(value).__name__}, not a number, string or boolean")
    return result


def answer(value: Any) -> Any:
    """What the model answered: a scalar or a list."""
    if type(value) in _SCALARS:
        return value
    result = plain(value)
    if result is None or isinstance(result, dict):
        raise TypeError(f"prediction is {type(value).__name__}, not a number, string, boolean or list")
    return result


def gpus(value: Any) -> List[Dict[str, Any]]:
    """Each GPU's use: mappings with at least ``index``."""
    result = []
    for gpu in value:
        if not isinstance(gpu, Mapping) or gpu.get("index") is None:
            raise TypeError("gpus is not a list of mappings with an index each")
        fields: Dict[str, Any] = {}
        for key, item in gpu.items():
            if key in ("index", "memory_used_bytes", "memory_limit_bytes"):
                fields[key] = None if item is None else count(f"gpus.{key}", item)
            elif key in ("utilization_ratio", "power_watts"):
                fields[key] = None if item is None else seconds(f"gpus.{key}", item)
            elif key == "temperature_celsius":
                fields[key] = None if item is None else number(f"gpus.{key}", item)
            else:
                fields[key] = plain(item)
        result.append(fields)
    if len(result) > 64:
        raise ValueError(f"gpus has {len(result)} entries; give at most 64")
    return result


_GENAI_TEXT = ("provider", "request_model", "response_model", "finish_reason")
_GENAI_COUNTS = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")


def genai(value: Mapping[str, Any]) -> Dict[str, Any]:
    """Facts about a generated answer; names that the schema does not know pass as they are."""
    result: Dict[str, Any] = {}
    for key, item in value.items():
        if item is None:
            continue
        if key in _GENAI_TEXT:
            item = name(f"genai.{key}", item)
        elif key in _GENAI_COUNTS:
            item = count(f"genai.{key}", item)
        elif key == "time_to_first_chunk_seconds":
            item = seconds(f"genai.{key}", item)
        elif key == "cost_usd":
            item = number(f"genai.{key}", item)
        result[key] = item
    return result


def others(known: Dict[str, str], given: Dict[str, Any], fields: Dict[str, Any]) -> Optional[str]:
    """Puts the optional ``given`` into ``fields``, unknown ones into ``extra``; answers the first unknown name."""
    unknown = None
    for field, value in given.items():
        if value is None:
            continue
        kind = known.get(field)
        if kind is None:
            unknown = unknown or field
            extra = fields.get("extra")
            fields["extra"] = {**(extra if isinstance(extra, dict) else {}), field: plain(value)}
        elif kind is _TEXT:
            if field == "label_source" and value not in _LABEL_SOURCES:
                raise ValueError(f"label_source is {value!r}; give one of {', '.join(_LABEL_SOURCES)}")
            if field == "trace_id" or field == "span_id":
                _check_hex(field, value)
            fields[field] = identifier(field, value)
        elif kind is _NUMBER:
            fields[field] = number(field, value)
        elif kind is _SECONDS:
            fields[field] = seconds(field, value)
        elif kind is _COUNT:
            whole = count(field, value)
            if field == "http_status_code" and whole is not None and not 100 <= whole <= 599:
                raise ValueError(f"http_status_code is {whole}; give 100 to 599")
            fields[field] = whole
        elif kind is _TIME:
            fields[field] = rfc3339(milliseconds(value))
        else:
            if not isinstance(value, Mapping):
                raise TypeError(f"{field} is {type(value).__name__}, not a mapping")
            if field == "genai":
                value = genai(value)
            fields[field] = {**fields.get(field, {}), **plain(dict(value))}
    return unknown


def _check_hex(field: str, value: Any) -> None:
    length = 32 if field == "trace_id" else 16
    if not isinstance(value, str) or len(value) != length or not set(value) <= set("0123456789abcdef"):
        raise ValueError(f"{field} is not {length} lower-case hex digits")
