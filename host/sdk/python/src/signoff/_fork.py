"""Locks that a forked child does not wait for."""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType
from typing import Optional, Type


class ForkLock:
    """A lock that is free in a forked child.

    A fork copies a lock as it is, and a thread that held it does not exist in the child, which
    would wait for ever. What the lock guards must therefore be whole between any two steps.
    """

    def __init__(self) -> None:
        self.renew()
        _alive.add(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._lock.release()


_alive: weakref.WeakSet[ForkLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_alive):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
