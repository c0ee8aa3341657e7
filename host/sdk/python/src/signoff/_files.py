"""Reads files of settings: regular ones only, so that no FIFO or device holds a call up."""

from __future__ import annotations

import os
import stat
import sys
from typing import BinaryIO, Union

from .errors import Invalid

Path = Union[str, "os.PathLike[str]"]
ROOT = 0


def read_private(path: Path, bytes_max: int) -> str:
    """Reads a file with a secret: it belongs to this user, and others cannot access it.

    Raises, in this order: `OSError`; `Invalid` with `request-invalid` for what is not a regular
    file, for another owner, for access of others; `limit-exceeded`; `request-invalid` for what is
    not UTF-8.
    """
    with _open(path) as opened:
        if sys.platform != "win32":
            found = os.fstat(opened.fileno())
            if found.st_uid != os.geteuid():
                raise _refused(f"`{path}` belongs to another user")
            if stat.S_IMODE(found.st_mode) & 0o077:
                raise _refused(f"other users can access `{path}`: run chmod 600 on it")
        return _read(opened, path, bytes_max)


def read_owned(path: Path, bytes_max: int) -> str:
    """Reads a file that belongs to this user or to root.

    Raises as `read_private` does, but not for access of others.
    """
    with _open(path) as opened:
        if sys.platform != "win32":
            owner = os.fstat(opened.fileno()).st_uid
            if owner not in (os.geteuid(), ROOT):
                raise _refused(f"`{path}` belongs to another user")
        return _read(opened, path, bytes_max)


def check_regular(path: Path) -> None:
    """Raises `OSError` for an unreadable file, and `Invalid` for one that is not regular."""
    _open(path).close()


def _open(path: Path) -> BinaryIO:
    opened = open(path, "rb", opener=_open_at_once)
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise _refused(f"`{path}` is not a regular file")
    return opened


def _open_at_once(path: str, flags: int) -> int:
    """Does not wait until a FIFO has a writer; on a regular file the flags have no effect."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _read(opened: BinaryIO, path: Path, bytes_max: int) -> str:
    data = opened.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise Invalid("limit-exceeded", f"`{path}` has more than {bytes_max} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _refused(f"`{path}` is not UTF-8") from None


def _refused(why: str) -> Invalid:
    return Invalid("request-invalid", why)
