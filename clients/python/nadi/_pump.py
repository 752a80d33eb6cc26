# SPDX-License-Identifier: Apache-2.0
"""Lines in a bounded buffer, and the daemon thread that takes them to disk."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time as _time
from typing import Any, Callable, Dict, List, Optional, Set

from ._files import REASONS, BytesInDoubt, Counts, PlaceTaken, Settings, WriterFiles, drop_reason

_log = logging.getLogger("nadi")

_GATHER_SECONDS = 0.03  # how long lines are gathered before a write
_COUNTS_SECONDS = 0.9  # how often changed counts go to the lock file
_RETRY_SECONDS = 1.0  # after a disk's refusal
_DOUBT_SECONDS = 60.0  # at most between new writers of a disk whose fsync keeps failing
_WRITE_BYTES = 1 << 20  # bytes per write(2), about


class Limits:
    """When segments are sealed, what the buffer holds, and whether a full one makes the caller wait."""

    __slots__ = ("seal_bytes", "seal_seconds", "buffer_events", "buffer_bytes", "block")

    def __init__(
        self, seal_bytes: int, seal_seconds: float, buffer_events: int, buffer_bytes: int, block: bool
    ) -> None:
        if seal_bytes < 4096 or seal_seconds <= 0 or buffer_events < 1 or buffer_bytes < 4096:
            raise ValueError("seal_bytes and buffer_bytes are at least 4096, seal_seconds and buffer_events above 0")
        self.seal_bytes = seal_bytes
        self.seal_seconds = seal_seconds
        self.buffer_events = buffer_events
        self.buffer_bytes = buffer_bytes
        self.block = block


class LinePump:
    """One process's way from finished lines to segments; after a fork the child's begins empty.

    :param on_fork: called in a forked child once this is in order.
    :param every: seconds, at least, between calls of ``work`` on the thread; 0 for none.
    """

    # Set anew in each process, by _begin_process.
    _awake: bool
    _buffered_bytes: int
    _lost: int

    def __init__(
        self,
        settings: Settings,
        limits: Limits,
        on_fork: Callable[[], None],
        every: float = 0.0,
        work: Optional[Callable[[], Any]] = None,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._on_fork = on_fork
        self._every = every
        self._extra_work = work
        self.closed = False
        self._logged: Set[str] = set()
        self._begin_process()
        _pumps.add(self)
        _close_with_process(self)
        with self._io:
            self._start_files()

    def start(self) -> None:
        """Starts the thread now rather than with the first line."""
        self._start_thread()

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
        self._doubts = 0  # failures of fsync since the last good seal
        self._last_reason = "io_error"  # why the disk last refused
        self._own_thread = 0  # the identity of the thread below

    # -- from any thread -----------------------------------------------------------------------------------------------

    @property
    def name(self) -> Optional[str]:
        """The writer's name; None while the spool cannot be written."""
        files = self._files
        return None if files is None else files.name

    @property
    def counts(self) -> Dict[str, Any]:
        """``appended``, ``written``, ``dropped`` by reason, and ``buffered``."""
        return {**self._counts.record(), "buffered": len(self._buffer) + len(self._pending)}

    def append(self, line: bytes) -> bool:
        """Buffers a line with its newline, or drops and counts it. False once closed.

        Waits for room if the limits say so; never on the thread that makes the room.
        """
        size = len(line)
        limits = self._limits
        while True:
            with self._lock:
                if self.closed:
                    return threading.get_ident() == self._own_thread  # a last sample that came too late is no loss
                buffer = self._buffer
                if len(buffer) < limits.buffer_events and self._buffered_bytes + size <= limits.buffer_bytes:
                    buffer.append(line)
                    self._buffered_bytes += size
                    if self._awake:
                        return True
                    self._awake = True
                    break
            if size > limits.buffer_bytes:
                self.drop("too_large", f"a line has {size - 1} bytes, the whole buffer {limits.buffer_bytes}")
                return True
            if not limits.block or threading.get_ident() == self._own_thread:
                self.drop("buffer_full", "the buffer is full: the disk is too slow, or the spool cannot be written")
                return True
            self._start_thread()
            self._wake.set()
            _time.sleep(0.002)
        self._start_thread()
        self._wake.set()
        return True

    def drop(self, reason: str, explanation: str) -> None:
        with self._lock:
            self._counts.dropped[reason] += 1
            self._lost += int(reason != "invalid")
            wake, self._awake = not self._awake, True
        if wake and not self.closed:
            self._start_thread()
            self._wake.set()
        self.complain(reason if reason != "invalid" else f"invalid {explanation}", explanation)

    def complain(self, cause: str, explanation: str) -> None:
        if cause not in self._logged and len(self._logged) < 64:
            self._logged.add(cause)
            _log.warning("nadi: %s (spool %s; logged once)", explanation, self._settings.directory)

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
                if self._files is not None and self._files.owes_newline:
                    all_written = False
                lost, self._lost = self._lost, 0
            return all_written and lost == 0
        finally:
            self._io.release()

    def close(self, timeout: float = 5.0) -> None:
        """Writes what is buffered, seals the end segment and takes the lock file away. Later events are dropped.

        Waits at most ``timeout`` seconds for a full or stalled disk; then the files are left for the shipper to adopt.
        """
        with self._lock:
            if self.closed:
                return
            self.closed = True
        _pumps.discard(self)
        if self._files is None and not self._buffer and not self._pending and not any(self._counts.dropped.values()):
            return  # a forked child that wrote nothing leaves nothing
        deadline = _time.monotonic() + timeout
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        if not self._io.acquire(timeout=max(0.1, deadline - _time.monotonic())):
            with self._lock:
                self._counts.dropped["io_error"] += len(self._buffer)
                self._buffer = []
                self._buffered_bytes = 0
            self.complain("close", "the disk does not answer; what is buffered is lost")
            return
        try:
            self._finish(deadline)
        finally:
            self._io.release()

    # -- the thread ------------------------------------------------------------------------------------------------

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
        self._own_thread = threading.get_ident()
        next_work = _time.monotonic() + self._every
        while not self.closed:
            timeout = self._seconds_to_next()
            if self._every:
                timeout = min(timeout, max(0.0, next_work - _time.monotonic()))
            if self._wake.wait(timeout) and not self.closed:
                self._wake.clear()
                _time.sleep(_GATHER_SECONDS)
            if self.closed:
                return
            try:
                with self._io:
                    if not self.closed:
                        self._work()
                # After the buffer was emptied: what this thread appends finds room or is dropped.
                if self._extra_work is not None and self._every and _time.monotonic() >= next_work:
                    next_work = _time.monotonic() + self._every
                    self._extra_work()
            except Exception as error:  # must not end the thread
                self.complain(f"work {error}", f"could not write: {error}")
                _time.sleep(_RETRY_SECONDS)

    def _seconds_to_next(self) -> float:
        now = _time.monotonic()
        files = self._files
        if files is None or self._pending:
            return max(0.0, self._next_attempt - now) if self._buffer or self._pending else 60.0
        wait = 60.0
        if files.lines:
            wait = max(files.opened_at + self._limits.seal_seconds, self._next_attempt) - now
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
        if files.lines and now >= files.opened_at + self._limits.seal_seconds and now >= self._next_attempt:
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
            self._last_reason = drop_reason(error)
            self.complain("start", f"cannot write in the spool: {error}; events are buffered and this is tried again")
            return False
        self._next_counts = now + _COUNTS_SECONDS
        return True

    def _become_new(self, cause: PlaceTaken) -> None:
        """Lets this writer's files be and begins anew with all lines since the last seal."""
        old = self._files
        if old is None:
            return
        self.complain("taken", f"{cause}: beginning a new writer, which writes again what was not sealed")
        self._next_attempt = 0.0
        if isinstance(cause, BytesInDoubt):
            self._doubts += 1
            self._last_reason = "io_error"
            if self._doubts > 1:  # each try leaves a copy in the spool
                self._next_attempt = _time.monotonic() + min(_DOUBT_SECONDS, 2.0 ** (self._doubts - 2))
        else:
            try:
                old.seal(end=True, lock=False)  # if only the lock file was taken away, the old writer may end in order
            except (OSError, PlaceTaken):
                pass
        old.record_counts()
        held = [] if old.is_left_in_place() else old.held
        old.abandon()
        with self._lock:
            counts = Counts()
            for reason in REASONS:  # what the old lock file does not tell
                counts.dropped[reason] = self._counts.dropped[reason] - old.recorded_dropped[reason]
            self._counts = counts
        self._files = None
        self._pending = held + self._pending
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
        while self._files is not None and (self._pending or self._files.owes_newline):
            files = self._files
            if files.is_sealing:  # its last line stands: nothing may follow it
                if _time.monotonic() < self._next_attempt or not self._seal():
                    break
                continue
            count = self._batch(files)
            try:
                done, error = files.write(self._pending[:count])
            except PlaceTaken as taken:
                moves += 1
                if moves > 3:
                    self._next_attempt = _time.monotonic() + _RETRY_SECONDS
                    self.complain("moves", f"cannot keep a place in the spool: {taken}")
                    break
                self._become_new(taken)
                continue
            del self._pending[:done]
            if error is not None:
                reason = self._last_reason = drop_reason(error)
                if self._limits.block:
                    self._next_attempt = _time.monotonic() + 0.1
                    self.complain(reason, f"{error}; the service waits until there is room")
                    break
                with self._lock:
                    self._counts.dropped[reason] += len(self._pending)
                    self._lost += len(self._pending)
                self._pending = []
                if files.owes_newline:  # in the file, and whole with the next newline there; nobody is promised that
                    files.owes_newline = False
                    self._lost += 1
                self.complain(reason, f"{error}; events are dropped and counted")
            elif files.size >= self._limits.seal_bytes and _time.monotonic() >= self._next_attempt:
                self._seal()
        return not self._pending and not (self._files is not None and self._files.owes_newline)

    def _batch(self, files: WriterFiles) -> int:
        """How many pending lines the next write takes: about a mebibyte, and no more than the segment has room for."""
        room = min(_WRITE_BYTES, max(1, self._limits.seal_bytes - files.size))
        size = count = 0
        for line in self._pending:
            size += len(line)
            count += 1
            if size >= room:
                break
        return count

    def _seal(self) -> bool:
        """Whether the segment is sealed now, or a new writer is there instead."""
        files = self._files
        if files is None:
            return False
        try:
            files.seal(end=False)
            self._doubts = 0
        except PlaceTaken as taken:
            self._become_new(taken)
            if self._pending and self._files is not None:
                self._awake = True
                self._wake.set()
        except OSError as error:
            self._next_attempt = _time.monotonic() + _RETRY_SECONDS
            self._last_reason = drop_reason(error)
            self.complain("seal", f"cannot seal a segment yet: {error}")
            return False
        return self._files is not None

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
                    self._last_reason = drop_reason(error)
                    self.complain("seal", f"cannot seal a segment yet: {error}")
            if _time.monotonic() >= deadline:
                break
            _time.sleep(0.1)
            self._next_attempt = 0.0
        lost = len(self._pending) + len(self._buffer)
        with self._lock:
            self._counts.dropped[self._last_reason] += lost
            self._pending, self._buffer = [], []
        self.complain("close", f"the spool cannot be written: {lost} events are lost, its files will be adopted")
        if self._files is not None:
            self._files.record_counts()
            self._files.abandon()

    # -- forks ---------------------------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """The child's side: close the copies, never unlock, and know nothing."""
        files = self._files
        if files is not None:
            files.settings.guard = threading.Lock()
            files.abandon()
        self._begin_process()
        self._on_fork()


_pumps: Set[LinePump] = set()
_guarded: List[threading.Lock] = []


def _close_with_process(pump: LinePump) -> None:
    """Sees to it that a process that multiprocessing began closes its files: such a process runs no atexit."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(pump, _close_all, exitpriority=100)


def _close_all() -> None:
    for pump in list(_pumps):
        try:
            pump.close()
        except Exception as error:  # one writer's trouble must not keep the others open
            _log.warning("nadi: close: %s", error)


def _before_fork() -> None:
    for pump in list(_pumps):
        guard = pump._settings.guard
        if guard.acquire(timeout=1.0):
            _guarded.append(guard)


def _after_fork_in_parent() -> None:
    while _guarded:
        _guarded.pop().release()


def _after_fork_in_child() -> None:
    del _guarded[:]
    for pump in list(_pumps):
        pump.after_fork()


atexit.register(_close_all)
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
