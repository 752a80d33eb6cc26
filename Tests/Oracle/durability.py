"""Whether a power cut at any moment could have lost what must not be lost, from the order of a process's steps in a spool.

A SIGKILL loses nothing that the kernel has, so it cannot show a missing fsync. The order of the calls can: a step that
relies on an earlier one must come after that one is on the disk. Traces are written by kill_points.c.
"""

from __future__ import annotations

import collections
import pathlib
from typing import Dict, List, Set


def judge_trace(path: pathlib.Path, ended_in_order: bool) -> List[str]:
    """What was done too early."""
    findings: List[str] = []
    pending: Dict[str, List[str]] = collections.defaultdict(list)  # by thread: changes of names without fsync of the folder
    is_rooted = False  # the lock file's name is on the disk
    synced: Set[str] = set()  # files whose bytes are on the disk
    for line in path.read_text(errors="replace").splitlines():
        words = line.split(" ")
        if len(words) != 4:
            continue  # the last line of a killed process
        thread, step, name, other = words
        waiting = pending[thread]
        if step == "fsync":
            if name == ".":
                waiting.clear()
                is_rooted = True
            else:
                synced.add(name)
        elif step == "write":
            if not is_rooted:
                findings.append(f"wrote to {name} before the lock file was on the disk")
            if waiting:
                findings.append(f"wrote to {name} before the folder's fsync, after: {waiting[0]}")
            synced.discard(name)
        elif step == "rename" and name.endswith(".open"):
            if name not in synced:
                findings.append(f"renamed {name} to {other} before its fsync")
            if waiting:
                findings.append(f"renamed {name} before the folder's fsync, after: {waiting[0]}")
            waiting.append(f"rename of {name} to {other}")
        elif step == "link":
            if name not in synced:
                findings.append(f"put {name} under the name {other} before its fsync")
            if waiting:
                findings.append(f"made {other} before the folder's fsync, after: {waiting[0]}")
            waiting.append(f"making of {other}")
        elif step == "unlink" and name.endswith(".lock"):
            if waiting:
                findings.append(f"removed {name} before the folder's fsync, after: {waiting[0]}")
            waiting.append(f"removal of {name}")
        elif step == "unlink" and name.endswith(".jsonl"):
            waiting.append(f"removal of {name}")
    if ended_in_order:
        findings += [f"ended without the folder's fsync, after: {waiting[0]}" for waiting in pending.values() if waiting]
    return findings
