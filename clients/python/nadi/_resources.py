# SPDX-License-Identifier: Apache-2.0
"""What this process uses, by the standard library and /proc."""

from __future__ import annotations

import os
import sys
import threading
import time as _time
from typing import Any, Dict


class ResourceSampler:
    """Measures the process between two calls."""

    def __init__(self) -> None:
        self._at = _time.monotonic()
        self._cpu = _cpu_seconds()

    def sample(self) -> Dict[str, Any]:
        """Fields of a ``resource`` event about the time since the last call; at least a millisecond of it."""
        at, cpu = _time.monotonic(), _cpu_seconds()
        interval = max(at - self._at, 0.001)
        used = max(cpu - self._cpu, 0.0)
        self._at, self._cpu = at, cpu
        fields: Dict[str, Any] = {
            "interval_seconds": round(interval, 6),
            "cpu_seconds": round(used, 6),
            "cpu_utilization_ratio": round(used / interval / _cpu_limit(), 6),
            "threads": threading.active_count(),
        }
        try:
            with open("/proc/self/statm", "rb") as statm:
                fields["memory_rss_bytes"] = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            fields["open_fds"] = len(os.listdir("/proc/self/fd")) - 1
        except (OSError, ValueError, IndexError):
            pass  # no /proc: these fields are optional
        try:
            with open("/sys/fs/cgroup/memory.max", "rb") as limit:
                text = limit.read().strip()
            if text.isdigit():
                fields["memory_limit_bytes"] = int(text)
        except OSError:
            pass
        return fields


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _cpu_limit() -> float:
    """Cores that this process may use: its cgroup's quota, else its affinity."""
    try:
        with open("/sys/fs/cgroup/cpu.max", "r", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            return max(int(quota) / int(period), 0.001)
    except (OSError, ValueError):
        pass
    if sys.platform == "linux":
        return float(len(os.sched_getaffinity(0)) or 1)
    return float(os.cpu_count() or 1)
