"""Claimed ids: for how long a process knows them, whatever becomes of the wall clock."""

from __future__ import annotations

import os

import pytest

import signoff
from signoff._claimed import CLAIMED, LIFETIME_SECONDS_MAX, SLACK_SECONDS, ClaimedIds

WALL = 1_800_000_000.0
HOUR = 3600.0


class Clock:
    """A monotonic clock of the test's own."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return self.passed


def is_known(ids: ClaimedIds, id: str, now: float) -> bool:
    try:
        ids.add(id, now, now)
    except signoff.Unverified as refused:
        assert (refused.code, refused.approval_id) == ("untrusted-answer", id)
        return True
    return False


@pytest.mark.parametrize(
    "remaining, kept",
    [
        (HOUR, HOUR),
        (0.0, 0.0),
        (-HOUR, 0.0),
        (LIFETIME_SECONDS_MAX + 1.0, LIFETIME_SECONDS_MAX),
        (1e12, LIFETIME_SECONDS_MAX),
    ],
)
def test_id_is_kept_for_its_remaining_lifetime_and_more(remaining: float, kept: float) -> None:
    clock = Clock()
    ids = ClaimedIds(clock)
    ids.add("a", WALL + remaining, WALL)
    clock.passed = kept + SLACK_SECONDS
    assert is_known(ids, "a", WALL + clock.passed)
    clock.passed += 1
    assert not is_known(ids, "a", WALL + clock.passed)


@pytest.mark.parametrize("jump", [-1e9, -HOUR, HOUR, 2 * HOUR, 1e9])
def test_wall_clock_that_jumps_forgets_no_id(jump: float) -> None:
    ids = ClaimedIds(Clock())
    ids.add("a", WALL + HOUR, WALL)
    ids.add("b", WALL + jump + HOUR, WALL + jump)
    assert is_known(ids, "a", WALL + jump)
    assert is_known(ids, "a", WALL)


def test_id_whose_claim_was_refused_may_be_claimed_again() -> None:
    ids = ClaimedIds()
    ids.add("a", WALL + HOUR, WALL)
    ids.remove("a")
    ids.add("a", WALL + HOUR, WALL)


def test_forked_child_knows_the_ids_of_its_parent() -> None:
    CLAIMED.add("forked", WALL + HOUR, WALL)
    with CLAIMED._lock:  # As if another thread claimed at the moment of the fork.
        child = os.fork()
        if child == 0:
            status = 2
            try:
                is_free = not CLAIMED._lock.locked()
                status = 0 if is_free and is_known(CLAIMED, "forked", WALL) else 1
            finally:
                os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    CLAIMED.remove("forked")
