# SPDX-License-Identifier: Apache-2.0
"""Python values to one line of JSON that every reader of the archive accepts.

Both encoders give the same values: non-finite numbers become null, numpy scalars become numbers, strings lose NUL
and lone surrogates (both become U+FFFD), integers beyond 64 bits become floating-point numbers.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Callable, Dict
from uuid import UUID

from ._identity import milliseconds, rfc3339

Encoder = Callable[[Dict[str, Any]], bytes]

#: Levels that a value handed in may have; the line's limit is 64.
_MAX_DEPTH = 48
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
_SURROGATE = re.compile("[\ud800-\udfff\x00]")


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` out of dict, list, str, int, float, bool and None only; what has no such form becomes None."""
    kind = type(value)
    if kind is str:
        return _SURROGATE.sub("\ufffd", value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else plain(_as_float(value))
    if kind is float:
        return value if math.isfinite(value) else None
    if depth >= _MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return {plain(key if isinstance(key, str) else str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    try:
        return plain(_default(value), depth + 1)
    except Exception:  # pandas.NA, a broken __float__, a cycle: whatever it was, the service goes on
        return None


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _default(value: Any) -> Any:
    """What json and orjson call for a value that they do not know."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (float, Decimal)):
        return float(value)
    if isinstance(value, datetime):
        return rfc3339(milliseconds(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return list(value)
    tolist = getattr(value, "tolist", None)  # numpy scalars and arrays, and what imitates them
    if tolist is not None:
        return tolist()
    item = getattr(value, "item", None)  # tensors of one element
    if item is not None:
        return item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def json_encoder() -> Encoder:
    """An encoder on the standard library's json."""
    encode = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), default=_default
    ).encode

    def dumps(fields: Dict[str, Any]) -> bytes:
        try:
            line = encode(fields).encode("utf-8")
            # An integer beyond 64 bits has 19 digits or more; so have some harmless numbers, which plain() leaves be.
            if b"\\u0000" not in line and _LONG_NUMBER not in line.translate(_DIGITS_TO_ZERO):
                return line
        except Exception:
            pass
        return encode(plain(fields)).encode("utf-8")

    return dumps


def orjson_encoder(orjson: Any) -> Encoder:
    """An encoder on orjson, which is several times as fast."""
    encode = orjson.dumps
    option = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS

    def dumps(fields: Dict[str, Any]) -> bytes:
        try:
            line: bytes = encode(fields, _default, option)
            if b"\\u0000" not in line:
                return line
        except Exception:
            pass
        clean: bytes = encode(plain(fields))
        return clean

    return dumps


try:
    import orjson as _orjson
except ImportError:
    dumps = json_encoder()
else:
    dumps = orjson_encoder(_orjson)
