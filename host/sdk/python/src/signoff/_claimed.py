"""The approvals that this process has claimed: a server that shows one again is refused."""

from __future__ import annotations

import threading
from typing import Dict

from .errors import Unverified

# The clock of a server may be behind by this.
SLACK_SECONDS = 300


class ClaimedIds:
    """Ids of approvals, each until the approval expires. Any number of threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expiries: Dict[str, float] = {}

    def add(self, id: str, expires_at: float, now: float) -> None:
        """Adds an id before it is claimed.

        Raises `Unverified` with `untrusted-answer` for one that is there.
        """
        with self._lock:
            expired = [known for known, expiry in self._expiries.items() if expiry < now]
            for known in expired:
                del self._expiries[known]
            if id in self._expiries:
                detail = "the server shows an approval that this process has claimed before"
                raise Unverified("untrusted-answer", detail, approval_id=id)
            self._expiries[id] = expires_at + SLACK_SECONDS

    def remove(self, id: str) -> None:
        """Removes an id whose claim was refused, so that a corrected one may follow."""
        with self._lock:
            self._expiries.pop(id, None)


CLAIMED = ClaimedIds()
