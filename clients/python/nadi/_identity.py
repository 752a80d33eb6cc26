# SPDX-License-Identifier: Apache-2.0
"""Times as text and names that no other process has."""

from __future__ import annotations

import re
import time as _time
from datetime import datetime, timezone
from typing import Tuple, Union

#: What callers may give as a time: an aware datetime, seconds since the epoch, or RFC 3339 text.
TimeLike = Union[datetime, float, int, str]

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_NOT_HOST = re.compile(r"[^A-Za-z0-9.-]")
#: Year 1 and year 9999 in milliseconds since the epoch: what RFC 3339's four digits can say.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999

_second: Tuple[int, str] = (-1, "")


def now_ms() -> int:
    """Milliseconds since the epoch, by the system's clock."""
    return _time.time_ns() // 1_000_000


def rfc3339(ms: int) -> str:
    """``ms`` milliseconds since the epoch as ``2026-11-23T10:15:30.123Z``."""
    global _second
    second, rest = divmod(ms, 1000)
    cached = _second
    if cached[0] != second:
        text = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        cached = (second, text if second >= 0 else text.rjust(19, "0"))
        _second = cached
    return f"{cached[1]}.{rest:03d}Z"


def milliseconds(when: TimeLike) -> int:
    """``when`` as milliseconds since the epoch.

    Raises ``ValueError`` for a datetime without a zone, text that is not RFC 3339 and times outside years 1 to 9999.
    """
    if isinstance(when, str):
        match = _RFC3339.match(when)
        if match is None:
            raise ValueError(f"time {when[:64]!r} is not RFC 3339 with a zone; write 2026-11-23T10:15:30.123Z")
        day, clock, fraction, zone = match.groups()
        zone = "+00:00" if zone in "Zz" else zone
        moment = datetime.fromisoformat(f"{day}T{clock}{zone}")
        ms = int(moment.timestamp()) * 1000 + int(((fraction or "") + "000")[:3])
    elif isinstance(when, datetime):
        if when.tzinfo is None:
            raise ValueError("time is a datetime without a zone; use datetime.now(timezone.utc)")
        whole = when.replace(microsecond=0)
        ms = int(whole.timestamp()) * 1000 + when.microsecond // 1000
    elif isinstance(when, bool):
        raise ValueError("time is a bool; give a datetime, seconds since the epoch or RFC 3339 text")
    else:
        try:
            ms = int(float(when) * 1000 // 1)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"time is a {type(when).__name__}; give a datetime, seconds since the epoch or RFC 3339 text"
            ) from None
    if not _FIRST_MS <= ms <= _LAST_MS:
        raise ValueError("time is outside years 1 to 9999; seconds since the epoch are wanted, not milliseconds")
    return ms


def uuid7_hex(ms: int, bits: int) -> str:
    """A UUIDv7 as 32 hex digits, from a time in milliseconds since the epoch and 74 random bits."""
    variant = 0x8000 | (bits >> 48) & 0x3FFF
    return f"{ms & 0xFFFFFFFFFFFF:012x}7{bits >> 62:03x}{variant:04x}{bits & 0xFFFFFFFFFFFF:012x}"


def host_label(host: str) -> str:
    """``host`` as it stands in file names: ``[a-z0-9.-]``, at most 64 bytes, never empty."""
    return _NOT_HOST.sub("-", host).lower()[:64] or "unknown"
