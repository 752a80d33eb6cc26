# SPDX-License-Identifier: Apache-2.0
"""One writer's lock file and segments on disk, as clients/schema/README.md describes them, byte for byte.

Nothing here is safe for two threads at once: the caller holds one lock around every call but ``Counts``.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time as _time
from typing import Any, Dict, List, Optional, Tuple

from ._identity import now_ms, rfc3339, uuid7_hex

#: The reasons for which a line is dropped, in the order in which they are written.
REASONS = ("buffer_full", "disk_full", "io_error", "too_large", "invalid")
LOCK_BYTES = 4096
_FILE_MODE = 0o640  # set after each creation: the shipper's group must read, whatever the umask
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: A clock that was set back by less does no harm: loaders take events up to 10 minutes after the seal.
_HARMLESS_MS = 5 * 60_000
#: A clock that was set back by more was wrong before, and so are the events' times.
_NONSENSE_MS = 86_400_000


def drop_reason(error: OSError) -> str:
    """The reason under which lines are counted that ``error`` kept from the disk."""
    return "disk_full" if error.errno in _DISK_FULL else "io_error"


class PlaceTaken(Exception):
    """The open segment or the lock file is no longer this writer's: it must become a new one."""


class BytesInDoubt(PlaceTaken):
    """The open segment's fsync failed: its bytes may be gone, and a later fsync would not tell. Never seal it."""


class Counts:
    """Lines of every kind, over a writer's life: ``appended`` is always ``written`` plus all of ``dropped``."""

    __slots__ = ("written", "dropped")

    def __init__(self) -> None:
        self.written = 0
        self.dropped: Dict[str, int] = dict.fromkeys(REASONS, 0)

    def record(self, more_written: int = 0) -> Dict[str, Any]:
        """The three counts as they stand in the lock file and in ``writer`` lines."""
        dropped = dict(self.dropped)
        written = self.written + more_written
        return {"appended": written + sum(dropped.values()), "written": written, "dropped": dropped}


class Settings:
    """What does not change when a process becomes a new writer. ``guard`` is held while descriptors change hands."""

    __slots__ = ("directory", "host", "service", "replay", "guard")

    def __init__(self, directory: str, host: str, service: str, replay: bool) -> None:
        self.directory = directory
        self.host = host
        self.service = service
        self.replay = replay
        self.guard = threading.Lock()


class WriterFiles:
    """The files of one writer, from its lock file's creation to its end segment.

    Creating one makes the directory and the lock file, takes the lock and syncs both, or raises ``OSError``.
    """

    def __init__(self, settings: Settings, counts: Counts) -> None:
        started = now_ms()
        self.settings = settings
        self.counts = counts
        self.name = f"{settings.host}-{uuid7_hex(started, int.from_bytes(os.urandom(10), 'big') >> 6)}"
        self.sequence = 0
        self.size = 0  # bytes in the open segment
        self.lines = 0  # lines in the open segment, a fragment at its end included
        self.opened_at = 0.0  # monotonic seconds
        self._opened_ms = 0  # the same since the epoch
        self.held: List[bytes] = []  # event lines since the last seal
        self.lock_fd = -1
        self.segment_fd = -1
        # A service may close descriptors that it does not know, as daemons do, and get the numbers for files of its own.
        self._identities: Dict[int, Tuple[int, int]] = {}
        self.recorded: Optional[Tuple[int, int]] = None  # written and dropped as the lock file has them
        self.recorded_dropped: Dict[str, int] = dict.fromkeys(REASONS, 0)
        self._torn = False
        self.owes_newline = False  # a short write left out no more than a line's newline
        self._sealing: Optional[Tuple[str, bool]] = None  # sealed name, and whether it ends, once its line stands
        self._started_ms = started
        self._lock_path = os.path.join(settings.directory, self.name + ".lock")
        self._create_lock()

    # -- starting ------------------------------------------------------------------------------------------------------

    def _create_lock(self) -> None:
        _make_directory(self.settings.directory)
        with self.settings.guard:
            self.lock_fd = os.open(self._lock_path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, _FILE_MODE)
            self._note(self.lock_fd)
        try:
            os.fchmod(self.lock_fd, _FILE_MODE)
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX)
            self._write_lock(closed=False)
            os.fsync(self.lock_fd)
            self._sync_directory()
        except OSError:
            self._unlink_lock()
            self.abandon()
            raise

    def _write_lock(self, closed: bool) -> None:
        counts = self.counts.record()
        record = {
            "version": 1,
            "writer": self.name,
            "host": self.settings.host,
            "service": self.settings.service,
            "pid": os.getpid(),
            "started_ms": self._started_ms,
            "updated_ms": now_ms(),
            "seq": self.sequence,
            **counts,
            "closed": closed,
        }
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        block = text.ljust(LOCK_BYTES - 1, b" ") + b"\n"
        if self._status(self.lock_fd) is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self._lock_path)
        if os.pwrite(self.lock_fd, block, 0) != LOCK_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._lock_path)
        self.recorded = (counts["written"], counts["appended"])
        self.recorded_dropped = counts["dropped"]

    def record_counts(self) -> None:
        """Rewrites the lock file in place if the counts have changed since. An error is left for the next time."""
        counts = self.counts.record()
        if self.recorded != (counts["written"], counts["appended"]):
            try:
                self._write_lock(closed=False)
            except OSError:
                pass

    @property
    def counts_changed(self) -> bool:
        """Whether the lock file is behind the counts."""
        counts = self.counts.record()
        return self.recorded != (counts["written"], counts["appended"])

    # -- appending -----------------------------------------------------------------------------------------------------

    @property
    def _open_path(self) -> str:
        return os.path.join(self.settings.directory, f"{self.name}-{self.sequence}.open")

    def _number_taken(self) -> bool:
        prefix = f"{self.name}-{self.sequence}-"
        with os.scandir(self.settings.directory) as entries:
            return any(entry.name.startswith(prefix) for entry in entries)

    def _open_segment(self) -> None:
        try:
            if self._number_taken():
                raise PlaceTaken(f"segment {self.sequence} of {self.name} exists already")
            with self.settings.guard:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
                self.segment_fd = os.open(self._open_path, flags, _FILE_MODE)
                self._note(self.segment_fd)
            os.fchmod(self.segment_fd, _FILE_MODE)
        except (FileExistsError, FileNotFoundError) as error:
            raise PlaceTaken(str(error)) from error
        self.size = self.lines = 0
        self.opened_at = _time.monotonic()
        self._opened_ms = now_ms()
        self._torn = self.owes_newline = False

    def check_place(self, lock: bool = True) -> None:
        """Raises ``PlaceTaken`` unless the open segment and (if asked) the lock file stand where they were made."""
        places = [(self.lock_fd, self._lock_path)] if lock else []
        if self.segment_fd >= 0:
            places.append((self.segment_fd, self._open_path))
        for descriptor, path in places:
            here = self._status(descriptor)
            if here is None:
                raise PlaceTaken(f"the service closed the descriptor of {path}")
            try:
                there = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                raise PlaceTaken(f"{path} is gone") from None
            if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino) or here.st_nlink == 0:
                raise PlaceTaken(f"{path} is another file now")

    def write(self, lines: List[bytes]) -> Tuple[int, Optional[OSError]]:
        """Appends ``lines``, each with its newline; gives how many are in the file, and the error that kept the rest.

        Raises ``PlaceTaken`` before anything is written.
        """
        try:
            self.check_place()
            if self.segment_fd < 0:
                self._open_segment()
        except OSError as failure:
            return 0, failure
        done, error = self._append(lines)
        self.held.extend(lines[:done])
        return done, error

    def _append(self, lines: List[bytes]) -> Tuple[int, Optional[OSError]]:
        blob = b"".join([b"\n", *lines]) if self._torn else b"".join(lines)
        start = 1 if self._torn else 0
        view = memoryview(blob)
        end = 0
        error: Optional[OSError] = None
        while end < len(blob):
            try:
                count = os.write(self.segment_fd, view[end:])
                if count <= 0:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            except OSError as failure:
                error = failure
                break
            end += count
        self.size += end
        if end == 0:
            return 0, error
        done = blob.count(b"\n", start, end)
        self._torn = end > start and blob[end - 1] != 0x0A
        begun = done + (1 if self._torn else 0)
        self.lines += begun
        self.counts.written += begun
        # Written again, the event would be there twice.
        self.owes_newline = self._torn and blob[end] == 0x0A
        return done + (1 if self.owes_newline else 0), error

    # -- sealing -------------------------------------------------------------------------------------------------------

    @property
    def is_sealing(self) -> bool:
        """Whether the open segment's ``writer`` line stands already: nothing may follow it but ``seal``."""
        return self._sealing is not None

    def seal(self, end: bool, lock: bool = True) -> None:
        """Seals the open segment; at the end, also one that holds nothing but its ``writer`` line.

        ``lock`` false does so without a lock file in place. Raises ``PlaceTaken``, and ``OSError`` if the disk
        refuses: the segment stays open then and may be sealed later. Raises ``BytesInDoubt`` if fsync failed.
        """
        if self._sealing is not None:  # its line stands since an earlier try
            _, is_end = self._sealing
            self._finish_seal(lock)
            if is_end or not end:
                return
        self.check_place(lock)
        if self.segment_fd < 0:
            if not end:
                return
            self._open_segment()
        self._append_writer_line(end)
        self._finish_seal(lock)

    def _seal_time(self) -> int:
        """Now; or, where the clock was set back since the segment was opened, what that clock would say by now: the
        events' times are of that clock, and would lie in the future of a seal by the other."""
        now = now_ms()
        kept = self._opened_ms + int((_time.monotonic() - self.opened_at) * 1000)
        return kept if _HARMLESS_MS <= kept - now <= _NONSENSE_MS else now

    def _append_writer_line(self, end: bool) -> None:
        sealed = self._seal_time()
        record: Dict[str, Any] = {
            "schema": 1,
            "type": "writer",
            "time": rfc3339(sealed),
            "writer": self.name,
            "service": self.settings.service,
            "segment": self.sequence,
            **self.counts.record(more_written=1),
            "end": end,
            "adopted": False,
        }
        if self.settings.replay:
            record["replay"] = True
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
        done, error = self._append([line])
        if error is not None or done != 1:
            raise error or OSError(errno.EIO, os.strerror(errno.EIO), self._open_path)
        self._sealing = f"{self.name}-{self.sequence}-{sealed}-{self.lines}{'-end' if end else ''}.jsonl", end

    def _finish_seal(self, lock: bool) -> None:
        """What follows the ``writer`` line."""
        assert self._sealing is not None
        if self._status(self.segment_fd) is None:
            raise PlaceTaken(f"the service closed the descriptor of {self._open_path}")
        try:
            os.fsync(self.segment_fd)
        except OSError as failure:
            raise BytesInDoubt(f"fsync of {self._open_path}: {failure}") from failure
        self.check_place(lock)
        if self._number_taken():
            raise PlaceTaken(f"segment {self.sequence} of {self.name} exists already")
        try:
            os.rename(self._open_path, os.path.join(self.settings.directory, self._sealing[0]))
        except FileNotFoundError as failure:
            raise PlaceTaken(str(failure)) from failure
        self._sealing = None
        self._close_segment()
        self.held = []
        self.sequence += 1
        self.size = self.lines = 0
        try:
            self._sync_directory()
            self._write_lock(closed=False)
        except OSError:
            pass

    def finish(self) -> None:
        """Seals the end segment and takes the lock file away. Raises as ``seal`` does, and then leaves all in place."""
        self.seal(end=True)
        try:
            self._write_lock(closed=True)
        except OSError:
            pass
        self._unlink_lock()
        try:
            self._sync_directory()
        except OSError:
            pass
        self.abandon()

    # -- letting go ----------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Closes the descriptors, leaves the files to the shipper. Never unlocks: a fork's parent has the lock too."""
        self._close_segment()
        with self.settings.guard:
            descriptor, self.lock_fd = self.lock_fd, -1
            self._close(descriptor)

    def _close_segment(self) -> None:
        with self.settings.guard:
            descriptor, self.segment_fd = self.segment_fd, -1
            self._close(descriptor)

    # -- descriptors ---------------------------------------------------------------------------------------------------

    def _note(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self._identities[descriptor] = status.st_dev, status.st_ino

    def _status(self, descriptor: int) -> Optional[os.stat_result]:
        """What the number stands for now; None where that is not the file it was opened for."""
        try:
            status = os.fstat(descriptor)
        except OSError:
            return None
        return status if self._identities.get(descriptor) == (status.st_dev, status.st_ino) else None

    def is_left_in_place(self) -> bool:
        """Whether the service closed the open segment's descriptor while the file stands where it was made: its lines
        are safe there, and the shipper will adopt them."""
        try:
            there = os.stat(self._open_path)
        except OSError:
            return False
        is_same = self._identities.get(self.segment_fd) == (there.st_dev, there.st_ino)
        return is_same and self._status(self.segment_fd) is None

    def _close(self, descriptor: int) -> None:
        """Closes it if it is still this writer's file."""
        if descriptor >= 0 and self._status(descriptor) is not None:
            try:
                os.close(descriptor)
            except OSError:
                pass
        self._identities.pop(descriptor, None)

    def _unlink_lock(self) -> None:
        try:
            os.unlink(self._lock_path)
        except OSError:
            pass

    def _sync_directory(self) -> None:
        descriptor = os.open(self.settings.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _make_directory(path: str) -> None:
    """Makes the spool where it is missing: for a group that it shares with the shipper, whatever the umask."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for place, each in reversed(list(enumerate(missing))):
        mode = 0o750 if place else 0o2770
        try:
            os.mkdir(each, mode)
            os.chmod(each, mode)
        except FileExistsError:  # another process was faster
            if not os.path.isdir(each):
                raise

