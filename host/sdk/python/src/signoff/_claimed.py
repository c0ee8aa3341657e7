"""The approvals that this process has claimed: a server that shows one again is refused."""

from __future__ import annotations

import time
from typing import Callable, Dict

from ._fork import ForkLock
from .errors import Unverified

# The clock of a server may be behind by this.
SLACK_SECONDS = 300
# No approval lives longer.
LIFETIME_SECONDS_MAX = 604_800


class ClaimedIds:
    """Ids of approvals, each until the approval has expired. Any number of threads may use it.

    Deadlines are of a clock that nobody sets: a wall clock that jumps forgets no id. A forked
    child has a copy of the ids of then, and shares no later ones with its parent.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deadlines: Dict[str, float] = {}
        self._lock = ForkLock()

    def add(self, id: str, expires_at: float, now: float) -> None:
        """Adds an id before it is claimed. Both times are of the wall clock, in Unix seconds.

        Raises `Unverified` with `untrusted-answer` for one that is there.
        """
        lifetime = min(max(expires_at - now, 0.0), LIFETIME_SECONDS_MAX)
        with self._lock:
            passed = self._clock()
            self._deadlines = {
                known: deadline for known, deadline in self._deadlines.items() if deadline >= passed
            }
            if id in self._deadlines:
                detail = "the server shows an approval that this process has claimed before"
                raise Unverified("untrusted-answer", detail, approval_id=id)
            self._deadlines[id] = passed + lifetime + SLACK_SECONDS

    def remove(self, id: str) -> None:
        """Removes an id whose claim was refused, so that a corrected one may follow."""
        with self._lock:
            self._deadlines.pop(id, None)


CLAIMED = ClaimedIds()
