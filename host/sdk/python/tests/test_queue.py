"""The queue of decisions: on disk before they are returned, and reported once."""

from __future__ import annotations

import os
import pathlib
import stat
import threading
from typing import List

import pytest

import signoff
from signoff._queue import BATCH_MAX, MEMORY_MAX, DiskQueue, MemoryQueue, open_queue


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "queue"


def drain(queue: DiskQueue) -> List[bytes]:
    """Accepts every batch, and returns the lines."""
    lines: List[bytes] = []
    while True:
        batch = queue.next_batch()
        if batch is None:
            return lines
        assert 1 <= len(batch.lines) <= BATCH_MAX
        lines += batch.lines
        queue.accepted(batch)


def test_line_is_on_disk_and_private(folder: pathlib.Path) -> None:
    queue = DiskQueue(folder)
    queue.add(b"{}")
    assert (folder / "open").read_bytes() == b"{}\n"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "open").stat().st_mode) == 0o600
    assert queue.pending() == 1


def test_add_returns_after_fsync(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = DiskQueue(folder)
    queue.add(b"1")

    def fail(_: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError):
        queue.add(b"2")


def test_batch_is_the_same_until_it_is_accepted(folder: pathlib.Path) -> None:
    queue = DiskQueue(folder)
    queue.add(b"1")
    first = queue.next_batch()
    assert first is not None
    queue.add(b"2")
    assert queue.next_batch() == first
    assert first.body() == b'{"decisions":[1]}'
    assert (folder / first.key).exists()
    queue.accepted(first)
    assert not (folder / first.key).exists()
    second = queue.next_batch()
    assert second is not None and second.lines == [b"2"] and second.key != first.key


def test_threads_make_full_batches(folder: pathlib.Path) -> None:
    queue = DiskQueue(folder)
    count = 2 * BATCH_MAX + 8

    def add(first: int) -> None:
        for number in range(first, count, 8):
            queue.add(str(number).encode())

    threads = [threading.Thread(target=add, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.pending() == count
    assert sorted(map(int, drain(queue))) == list(range(count))
    assert queue.pending() == 0


def test_files_of_an_earlier_process_are_reported(folder: pathlib.Path) -> None:
    first = DiskQueue(folder)
    first.add(b"1")
    batch = first.next_batch()
    first.add(b"2")
    first.close()
    second = DiskQueue(folder)
    assert second.pending() == 2
    assert second.next_batch() == batch
    assert drain(second) == [b"1", b"2"]


def test_line_that_was_cut_short_is_no_decision(folder: pathlib.Path) -> None:
    queue = DiskQueue(folder)
    queue.add(b"1")
    queue.close()
    with open(folder / "open", "ab") as file:
        file.write(b'{"id"')
    assert drain(DiskQueue(folder)) == [b"1"]


def test_failed_write_leaves_no_half_line(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = DiskQueue(folder)
    queue.add(b"1")
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:1]))
    with pytest.raises(OSError):
        queue.add(b"22")
    monkeypatch.undo()
    queue.add(b"3")
    assert drain(queue) == [b"1", b"3"]


def test_second_process_has_a_folder_of_its_own(folder: pathlib.Path) -> None:
    first, second = DiskQueue(folder), DiskQueue(folder)
    first.add(b"1")
    second.add(b"2")
    assert drain(first) == [b"1"]
    second.close()
    first.close()
    third = DiskQueue(folder)
    assert drain(third) == [b"2"]
    assert not list(folder.glob("process-*"))


def test_empty_folder_of_a_process_is_removed(folder: pathlib.Path) -> None:
    first, second = DiskQueue(folder), DiskQueue(folder)
    second.add(b"2")
    drain(second)
    second.close()
    assert not list(folder.glob("process-*"))
    first.close()


def test_running_process_keeps_its_folder(folder: pathlib.Path) -> None:
    first, second = DiskQueue(folder), DiskQueue(folder)
    second.add(b"2")
    first.close()
    third = DiskQueue(folder)
    assert third.pending() == 0
    assert drain(second) == [b"2"]


def test_refused_batch_is_kept_aside(folder: pathlib.Path) -> None:
    queue = DiskQueue(folder)
    queue.add(b"1")
    batch = queue.next_batch()
    assert batch is not None
    queue.refused(batch)
    assert queue.next_batch() is None
    assert (folder / "refused" / batch.key).read_bytes() == b"1\n"
    queue.close()
    assert DiskQueue(folder).pending() == 0


def test_folder_of_others_is_refused(folder: pathlib.Path) -> None:
    folder.mkdir(mode=0o755)
    with pytest.raises(signoff.Invalid, match="chmod 700"):
        open_queue(str(folder))
    file = folder / "file"
    file.write_text("")
    with pytest.raises(signoff.Invalid):
        open_queue(str(file))


def test_closed_queue_records_nothing(folder: pathlib.Path) -> None:
    queue = DiskQueue(folder)
    queue.close()
    with pytest.raises(OSError):
        queue.add(b"1")


def test_memory_has_a_limit() -> None:
    queue = MemoryQueue()
    for _ in range(MEMORY_MAX):
        queue.add(b"1")
    with pytest.raises(OSError):
        queue.add(b"1")
    batch = queue.next_batch()
    assert batch is not None and len(batch.lines) == BATCH_MAX
    queue.accepted(batch)
    queue.add(b"1")
    assert queue.pending() == MEMORY_MAX - BATCH_MAX + 1
