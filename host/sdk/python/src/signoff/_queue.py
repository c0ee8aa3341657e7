"""Decisions of a local policy that the server does not have yet: on disk, or in memory."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import stat
import threading
import time
from typing import Dict, Iterator, List, NamedTuple, Optional, Protocol

from .errors import Invalid

try:
    import fcntl
except ImportError:  # Windows.
    fcntl = None  # type: ignore[assignment]

BATCH_MAX = 256
# Without a disk, decisions are made only while there is room for their records.
MEMORY_MAX = 65_536
OPEN = "open"
LOCK = "lock"
REFUSED = "refused"
# The folder of another process that uses the same queue.
PROCESS = "process-"


class Batch(NamedTuple):
    """Decisions that are reported together. `key` is the idempotency key of the report."""

    key: str
    lines: List[bytes]

    def body(self) -> bytes:
        """Returns the body of the report: the same bytes each time."""
        return b'{"decisions":[' + b",".join(self.lines) + b"]}"


class Queue(Protocol):
    """Any number of threads may add; one thread reports."""

    recorded: str

    def add(self, line: bytes) -> None:
        """Records a decision. Raises `OSError` if it could not."""

    def next_batch(self) -> Optional[Batch]:
        """Returns the oldest decisions, the same batch until it is accepted or refused."""

    def accepted(self, batch: Batch) -> None: ...

    def refused(self, batch: Batch) -> None: ...

    def pending(self) -> int:
        """Returns the number of decisions that may still be reported."""

    def close(self) -> None: ...

    def leave_to_parent(self) -> None:
        """Forgets the decisions in a forked child: they are the parent's."""


def open_queue(folder: Optional[str]) -> Queue:
    """Returns the queue in a folder, or one in memory.

    Raises `Invalid` with `request-invalid` for a folder that cannot be used or is not private.
    """
    if folder is None:
        return MemoryQueue()
    if fcntl is None:
        raise Invalid(
            "request-invalid", "a queue on disk needs file locks, which this system lacks"
        )
    try:
        return DiskQueue(pathlib.Path(folder))
    except OSError as error:
        raise Invalid("request-invalid", f"queue `{folder}`: {error.strerror}") from None


class MemoryQueue:
    """Decisions that are lost with the process."""

    recorded = "memory"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: List[bytes] = []
        self._sent: Optional[Batch] = None

    def add(self, line: bytes) -> None:
        with self._lock:
            if len(self._lines) >= MEMORY_MAX:
                raise OSError(0, f"{MEMORY_MAX} decisions are not reported yet")
            self._lines.append(line)

    def next_batch(self) -> Optional[Batch]:
        with self._lock:
            if self._sent is None and self._lines:
                self._sent = Batch(_new_key(), self._lines[:BATCH_MAX])
                del self._lines[:BATCH_MAX]
            return self._sent

    def accepted(self, batch: Batch) -> None:
        with self._lock:
            self._sent = None

    refused = accepted

    def pending(self) -> int:
        with self._lock:
            return len(self._lines) + len(self._sent.lines if self._sent else ())

    def close(self) -> None:
        pass

    leave_to_parent = close


class DiskQueue:
    """Decisions in files: they survive the process, and the next one reports them.

    A decision is a line of the file `open`, which is on disk when `add` returns. Sealed, the file
    is a batch, and its name the idempotency key of its report. The folder is locked; a second
    process uses a folder of its own inside it, which the next process that starts takes over.
    """

    recorded = "disk"

    def __init__(self, folder: pathlib.Path) -> None:
        _make_private(folder)
        self._root = folder
        lock = _locked(folder)
        if lock is None:
            folder, lock = _folder_of_process(folder)
        self._folder, self._is_closed = folder, False
        self._lock_file: Optional[int] = lock
        self._writes, self._syncs = threading.Lock(), threading.Lock()
        self._file: Optional[int] = None
        self._size = self._lines = self._written = self._synced = 0
        self._sealed: Dict[str, int] = {}
        for other in sorted(self._root.glob(PROCESS + "*")):
            if other != folder:
                with contextlib.suppress(FileNotFoundError):  # Taken over by another process.
                    _take_over(other, folder)
        for found in sorted(_files(folder)):
            if found.name == OPEN:
                found = found.rename(folder / _new_key())
            self._sealed[found.name] = len(_complete_lines(found))

    def add(self, line: bytes) -> None:
        """Writes a line. Threads that wait for the disk at the same time wait together."""
        mine = self._write(line + b"\n")
        while mine is None:
            self._seal(BATCH_MAX)
            mine = self._write(line + b"\n")
        with self._syncs:
            if self._synced < mine:
                with self._writes:
                    file, reached = self._file, self._written
                if file is None:
                    raise OSError(0, "the queue is closed")
                os.fsync(file)
                self._synced = reached

    def next_batch(self) -> Optional[Batch]:
        if not self._sealed:
            self._seal(1)
        with self._writes:
            keys = sorted(self._sealed)
        for key in keys:
            lines = _complete_lines(self._folder / key)
            if lines:
                return Batch(key, lines)
            self._remove(key)  # A write that was cut short, so the decision was not returned.
        return None

    def accepted(self, batch: Batch) -> None:
        self._remove(batch.key)

    def refused(self, batch: Batch) -> None:
        """Moves the file to the folder `refused`, from where a person may move it back."""
        aside = self._folder / REFUSED
        aside.mkdir(mode=0o700, exist_ok=True)
        os.replace(self._folder / batch.key, aside / batch.key)
        self._forget(batch.key)

    def pending(self) -> int:
        with self._writes:
            return self._lines + sum(self._sealed.values())

    def close(self) -> None:
        """Closes the files and unlocks the folder. An empty folder of this process is removed."""
        with self._syncs, self._writes:
            if self._is_closed:
                return
            self._is_closed = True
            file, self._file = self._file, None
            if file is not None:
                os.close(file)
            if self._folder != self._root and not any(_files(self._folder)):
                _remove_folder(self._folder)
            lock, self._lock_file = self._lock_file, None
            if lock is not None:
                os.close(lock)

    def leave_to_parent(self) -> None:
        """Closes the files of a forked child, whose parent has the same ones and the lock.

        The fork may come between any two steps of another thread. A file is therefore forgotten
        before it is closed: the number of a closed one may be another file's by now.
        """
        for file in (self._file, self._lock_file):
            if file is not None:
                os.close(file)
        self._file = self._lock_file = None
        self._is_closed = True

    def _write(self, data: bytes) -> Optional[int]:
        """Writes a line, and returns how many were written; None if the batch is full."""
        with self._writes:
            if self._is_closed:
                raise OSError(0, "the queue is closed")
            if self._lines >= BATCH_MAX:
                return None
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                self._file = os.open(self._folder / OPEN, flags, 0o600)
                _sync_folder(self._folder)
            try:
                if os.write(self._file, data) != len(data):
                    raise OSError(0, "the disk is full")
            except OSError:
                # Half a line would make the next one unreadable.
                os.ftruncate(self._file, self._size)
                raise
            self._size += len(data)
            self._lines += 1
            self._written += 1
            return self._written

    def _seal(self, least: int) -> None:
        """Makes a batch of the open file, if it has that many lines."""
        with self._syncs, self._writes:
            if self._file is None or self._lines < least:
                return
            os.fsync(self._file)
            key = _new_key()
            os.rename(self._folder / OPEN, self._folder / key)
            self._sealed[key] = self._lines
            self._synced = self._written
            file, self._file, self._size, self._lines = self._file, None, 0, 0
            os.close(file)

    def _remove(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._folder / key)
        self._forget(key)

    def _forget(self, key: str) -> None:
        with self._writes:
            self._sealed.pop(key, None)


def _new_key() -> str:
    """Returns the name of a batch; names sort by time."""
    return f"{time.time_ns() // 1_000_000:013d}-{secrets.token_hex(8)}"


def _files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    return (one for one in folder.iterdir() if one.is_file() and one.name != LOCK)


def _complete_lines(path: pathlib.Path) -> List[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def _make_private(folder: pathlib.Path) -> None:
    """Makes a folder that only this user can access. Raises `Invalid` for another's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = os.stat(folder)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        detail = f"other users can access the queue `{folder}`: run chmod 700 on it"
        raise Invalid("request-invalid", detail)


def _locked(folder: pathlib.Path) -> Optional[int]:
    """Locks a folder until the returned file is closed; None if another process has it."""
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _folder_of_process(folder: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Makes and locks the folder of this process. It gets its name once it is locked, so that no
    other process takes it over."""
    name = _new_key()
    draft = folder / f".{name}"
    draft.mkdir(mode=0o700)
    lock = _locked(draft)
    assert lock is not None
    return draft.rename(folder / f"{PROCESS}{name}"), lock


def _take_over(other: pathlib.Path, folder: pathlib.Path) -> None:
    """Moves the files of a process that has ended."""
    lock = _locked(other)
    if lock is None:
        return
    try:
        for found in sorted(_files(other)):
            name = _new_key() if found.name == OPEN else found.name
            found.rename(folder / name)
        for kept in (other / REFUSED).glob("*"):
            (folder / REFUSED).mkdir(mode=0o700, exist_ok=True)
            kept.rename(folder / REFUSED / kept.name)
        _remove_folder(other)
    finally:
        os.close(lock)


def _remove_folder(folder: pathlib.Path) -> None:
    """Removes the folder of a process, unless it has refused batches."""
    with contextlib.suppress(OSError):
        if (folder / REFUSED).exists():
            (folder / REFUSED).rmdir()
        (folder / LOCK).unlink()
        folder.rmdir()


def _sync_folder(folder: pathlib.Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
