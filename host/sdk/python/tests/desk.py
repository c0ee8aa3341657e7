"""Approvers for tests of tool calls: they decide each request of one test as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from typing import Any, Callable, Coroutine, Dict, List, Optional

from live import AUDIENCE, Office

import signoff

Decide = Callable[[signoff.Approval], Optional[str]]


def approve(approval: signoff.Approval) -> str:
    return "approve"


def reject(approval: signoff.Approval) -> str:
    return "reject"


def leave(approval: signoff.Approval) -> None:
    return None


class Slow:
    """A tool's work in a thread, which goes on after the tool was cancelled."""

    def __init__(self) -> None:
        self.started, self._released, self.ended = (threading.Event() for _ in range(3))

    def work(self) -> str:
        self.started.set()
        self._released.wait()
        self.ended.set()
        return "completed"

    async def cancel(self, running: Coroutine[Any, Any, Any]) -> None:
        """Cancels what has started this work, and lets the work complete."""
        task = asyncio.create_task(running)
        try:
            await asyncio.to_thread(self.started.wait)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
                task.result()
                raise AssertionError("the run was not cancelled")
        finally:
            self._released.set()
        await asyncio.to_thread(self.ended.wait)


class Desk:
    """Decides requests whose action begins with `prefix`, from another thread.

    `decide` returns `approve`, `reject`, `withdraw`, or None to leave a request undecided. `seen`
    are the requests in the order in which they came.
    """

    def __init__(
        self, office: Office, prefix: Optional[str] = None, agent: str = "deployer"
    ) -> None:
        self.office = office
        self.agent = agent
        self.prefix = f"t{uuid.uuid4().hex[:8]}." if prefix is None else prefix
        self.decide: Decide = approve
        self.comment: Optional[str] = None
        self.seen: List[signoff.Approval] = []
        self._admin = signoff.Client(office.url, office.admin)
        self._ended = threading.Event()
        self._came = threading.Condition()
        self._failure: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Desk:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._admin.close()
        if self._failure is not None:
            raise self._failure

    def gate(
        self, pinned: bool = True, client: Optional[Any] = None, **options: Any
    ) -> signoff.Gate:
        """Returns a gate whose requests come to this desk; each has a client of its own."""
        if client is None:
            client = signoff.Client(self.office.url, self.office.agent)
        if pinned:
            options = {"keys": self.office.keys, "audience": AUDIENCE, **options}
        return signoff.Gate(client, agent=self.agent, prefix=self.prefix, **options)

    def await_seen(self, count: int) -> List[signoff.Approval]:
        """Returns the requests once there are that many."""
        with self._came:
            self._came.wait_for(lambda: len(self.seen) >= count or self._failure is not None)
        return self.seen

    def statuses(self) -> List[str]:
        """Returns the status, or the outcome of what was claimed, of each request."""
        found = [self._admin.get(one.id) for one in self.requested()]
        return [one.outcome or one.status for one in found]

    def requested(self) -> List[signoff.Approval]:
        """Returns all requests of this test in the order of their requests."""
        listed = self._admin.list(agent=self.agent, limit=200).items
        own = [one for one in listed if one.action.startswith(self.prefix)]
        return [self._admin.get(one.id) for one in reversed(own)]

    def _work(self) -> None:
        try:
            known: Dict[str, bool] = {}
            while not self._ended.wait(0.02):
                pending = self._admin.list(status="pending", agent=self.agent, limit=200).items
                for one in reversed(pending):
                    if one.action.startswith(self.prefix) and not known.get(one.id):
                        known[one.id] = True
                        self._take(self._admin.get(one.id))
        except BaseException as failure:
            with self._came:
                self._failure = failure
                self._came.notify_all()

    def _take(self, approval: signoff.Approval) -> None:
        with self._came:
            self.seen.append(approval)
            self._came.notify_all()
        decision = self.decide(approval)
        if decision == "withdraw":
            with contextlib.suppress(signoff.Conflict):
                self._admin.withdraw(approval.id)
        elif decision is not None:
            more = ["--comment", self.comment] if self.comment else []
            if decision == "reject" and not more:
                more = ["--comment", "too risky"]
            self.office.decide(approval.id, decision, "alice", *more)
