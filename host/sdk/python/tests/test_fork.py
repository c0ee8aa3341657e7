"""A forked child never waits for a thread that only its parent has."""

from __future__ import annotations

import os
import threading

import pytest

from signoff import _component, _policy_component
from signoff._claimed import CLAIMED
from signoff._fork import ForkLock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@pytest.mark.parametrize(
    "lock",
    [ForkLock(), CLAIMED._lock, _component._lock, _policy_component._lock],
    ids=["any", "claimed", "verifier", "policy"],
)
def test_lock_that_another_thread_holds_is_free_in_a_child(lock: ForkLock) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 2 if lock.locked() else 0
        finally:
            os._exit(status)
    try:
        assert os.waitpid(child, 0)[1] == 0
        assert lock.locked()
    finally:
        done.set()
        thread.join()
