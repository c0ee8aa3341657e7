"""The cache of compiled code. Compiled code is trusted code: only a private folder holds it."""

from __future__ import annotations

import os
import pathlib
import secrets
import stat
import sys
from typing import Optional

# Compiled code has about 2 MiB.
BYTES_MAX = 64 << 20


def read(name: str) -> Optional[bytes]:
    """Returns the file `name` of the cache; `None` if there is none, or if it is not private."""
    folder = _open_private_folder(create=False)
    if folder is None:
        return None
    try:
        file = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )
        with os.fdopen(file, "rb") as opened:
            found = os.fstat(file)
            if (
                not stat.S_ISREG(found.st_mode)
                or not _is_private(found)
                or found.st_size > BYTES_MAX
            ):
                return None
            return opened.read(BYTES_MAX)
    except OSError:
        return None
    finally:
        os.close(folder)


def write(name: str, compiled: bytes) -> None:
    """Replaces the file `name` of the cache as a whole. A failure leaves the cache as it is."""
    folder = _open_private_folder(create=True)
    if folder is None:
        return
    partial = f".{name}.{secrets.token_hex(8)}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(partial, flags, 0o600, dir_fd=folder)
        try:
            with os.fdopen(file, "wb") as opened:
                opened.write(compiled)
                opened.flush()
                os.fsync(file)
            os.replace(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(partial, dir_fd=folder)
            raise
    except OSError:
        return
    finally:
        os.close(folder)


def remove_old(prefix: str, keep: int) -> None:
    """Removes all but the newest files whose name has this prefix."""
    folder = _open_private_folder(create=False)
    if folder is None:
        return
    try:
        names = [name for name in os.listdir(folder) if name.startswith(prefix)]
        times = {name: os.stat(name, dir_fd=folder, follow_symlinks=False) for name in names}
        names.sort(key=lambda name: times[name].st_mtime, reverse=True)
        for name in names[keep:]:
            os.unlink(name, dir_fd=folder)
    except OSError:
        return  # Another process removes the same files.
    finally:
        os.close(folder)


def folder_path() -> Optional[pathlib.Path]:
    """Returns the folder: `signoff` in `$XDG_CACHE_HOME` if that is absolute, or in `~/.cache`."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        return pathlib.Path(given, "signoff")
    try:
        return pathlib.Path.home() / ".cache" / "signoff"
    except RuntimeError:  # No home.
        return None


def _open_private_folder(create: bool) -> Optional[int]:
    """Opens the folder. Files are opened relative to it, so nobody can exchange it meanwhile."""
    if sys.platform == "win32" or os.open not in os.supports_dir_fd:
        return None
    path = folder_path()
    if path is None:
        return None
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                pass
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    if not _is_private(os.fstat(folder)):
        os.close(folder)
        return None
    return folder


def _is_private(found: os.stat_result) -> bool:
    """Returns whether this user owns the file or folder, and no other has access to it."""
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077
