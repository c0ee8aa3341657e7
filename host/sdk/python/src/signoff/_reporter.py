"""Reports the decisions of a local policy from a thread, until the server accepts them."""

from __future__ import annotations

import logging
import threading
import time
from typing import Optional

from ._api import BACKOFF_SECONDS, BACKOFF_SECONDS_MAX, Api
from ._flow import run
from ._follower import BackgroundIo, Stopped
from ._queue import Batch, Queue
from ._transport import Transport
from .errors import SignoffError

# Limit of one report, with its retries.
REPORT_SECONDS = 30.0

_log = logging.getLogger("signoff")


class Reporter:
    """Sends the batches of a queue, the oldest first."""

    def __init__(self, api: Api, transport: Transport, queue: Queue) -> None:
        self._api, self._transport = api, transport
        self.refused = 0
        """Decisions that the server refused for good."""
        self.reset(queue)

    def reset(self, queue: Queue) -> None:
        """Makes locks and thread anew, as a forked child must."""
        self.queue = queue
        self._added = threading.Event()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="signoff-reports", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> None:
        """Records a decision, which is reported soon. Raises `OSError` if it could not."""
        self.queue.add(line)
        self._added.set()

    def stop(self, timeout: float) -> None:
        """Ends the thread, and reports what is left, at most until `timeout`."""
        deadline = time.monotonic() + timeout
        self._stop.set()
        self._added.set()
        self._transport.abort()
        if self._thread is not None:
            self._thread.join(timeout)
        while time.monotonic() < deadline:
            try:
                if self._thread is None or self._thread.is_alive() or not self._send_next(deadline):
                    break
            except (SignoffError, OSError) as error:
                _log.debug("signoff: decisions could not be reported: %s", error)
                time.sleep(min(BACKOFF_SECONDS, max(deadline - time.monotonic(), 0)))
        self.queue.close()

    def _work(self) -> None:
        io, stop, backoff = BackgroundIo(self._transport, self._stop), self._stop, BACKOFF_SECONDS
        while not stop.is_set():
            self._added.clear()
            try:
                while self._send_next(time.monotonic() + REPORT_SECONDS, io):
                    backoff = BACKOFF_SECONDS
                self._added.wait()
            except Stopped:
                return
            except Exception as error:
                _log.debug("signoff: decisions could not be reported: %s", error)
                stop.wait(backoff)
                backoff = min(2 * backoff, BACKOFF_SECONDS_MAX)

    def _send_next(self, deadline: float, io: Optional[BackgroundIo] = None) -> bool:
        """Reports the oldest batch. Returns False if there is none."""
        batch = self.queue.next_batch()
        if batch is None:
            return False
        seconds = max(deadline - time.monotonic(), 0.001)
        try:
            flow = self._api.report_decisions(batch.body(), batch.key, seconds)
            run(flow, io or self._transport)
        except SignoffError as error:
            if not _is_final(error):
                raise
            self._set_aside(batch, error)
        else:
            self.queue.accepted(batch)
        return True

    def _set_aside(self, batch: Batch, error: SignoffError) -> None:
        self.refused += len(batch.lines)
        self.queue.refused(batch)
        _log.warning(
            "signoff: the server refused the report of %d decisions (batch %s): %s",
            len(batch.lines),
            batch.key,
            error,
        )


def _is_final(error: SignoffError) -> bool:
    """Returns whether the server would refuse the same report again. Not for a token that is no
    longer valid: the process that has the next one sends the report."""
    return 400 <= error.status < 500 and error.status not in (401, 408, 429)
