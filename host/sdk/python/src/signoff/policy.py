"""Local policy: the server's active policy, evaluated in this process."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import math
import os
import secrets
import time
import weakref
from types import TracebackType
from typing import Generic, List, Optional, Tuple, Type, TypeVar

from ._api import Api
from ._flow import AsyncIo, Flow, Io, Work, run, run_async
from ._follower import Follower, Loaded
from ._fork import ForkLock
from ._policy_component import PolicyFailed
from ._queue import MemoryQueue, open_queue
from ._reporter import Reporter
from ._transport import Transport
from .encode import Json, RawJson, json_text
from .errors import Invalid, VerifierTrapped
from .keys import Keys, read_keys
from .verdict import MalformedVerdict, Verdict, is_identifier, verdict_of_server
from .verifier import EARLIEST_NOW, Verifier, clock

CLOSE_SECONDS = 10.0
AGENT = "agent:"

_log = logging.getLogger("signoff")

IoT = TypeVar("IoT")


class LocalPolicy:
    """What `Policy` and `AsyncPolicy` share. It has connections of its own, for its two threads."""

    def __init__(
        self,
        api: Api,
        transport: Transport,
        signers: Keys,
        audience: Optional[str],
        max_stale: float,
        queue: Optional[str],
    ) -> None:
        if not audience:
            raise Invalid("request-invalid", "a local policy needs `audience`, the own deployment")
        if not (max_stale > 0 and math.isfinite(max_stale)):
            raise Invalid("request-invalid", "`max_stale` must be a positive number of seconds")
        keys = [key for key in read_keys(signers) if key["use"] == "module"]
        self.api, self._transport, self._folder = api, transport, queue
        self._verifier = Verifier()
        self._follower = Follower(api, transport, self._verifier, keys, audience, max_stale)
        self._reporter = Reporter(api, transport, open_queue(queue))
        self._is_closed = self._is_child = False
        self._restarting = ForkLock()
        _alive.add(self)
        self._follower.start()
        self._reporter.start()
        self._follower.wait_for_first(api.timeout)

    @property
    def digest(self) -> Optional[str]:
        """The digest of the policy that is evaluated here now; None if there is none."""
        current = self._follower.current()
        return None if current is None else current.module.digest

    @property
    def pending(self) -> int:
        """Decisions that the server does not have yet."""
        return self._reporter.queue.pending()

    @property
    def refused(self) -> int:
        """Decisions of which the server refused the report for good. With `queue`, they are in its
        folder `refused`."""
        return self._reporter.refused

    def wait_until(self, digest: Optional[str], timeout: Optional[float]) -> bool:
        return self._follower.wait_until(digest, timeout)

    def close(self, timeout: float) -> int:
        if not self._is_closed:
            self._is_closed = True
            self._follower.stop()
            self._reporter.stop(timeout)
            self._transport.close()
        return self.pending + self.refused

    def decide(
        self,
        agent: str,
        action: str,
        context: Json,
        plan: Optional[Json] = None,
        timeout: Optional[float] = None,
    ) -> Flow[Verdict]:
        """Evaluates an attempt here, or asks the server; see `Policy.evaluate`."""
        shown = RawJson(json_text(context))
        shown_plan = None if plan is None else RawJson(json_text(plan, "plan"))
        made: List[Verdict] = []

        def decide_here() -> None:
            verdict = self._decide_here(agent, action, shown, shown_plan)
            if verdict is not None:
                made.append(verdict)

        yield Work(decide_here)
        if made:
            return made[0]
        evaluation = yield from self.api.evaluate(agent, action, shown, shown_plan, None, timeout)
        return verdict_of_server(evaluation)

    def _decide_here(
        self, agent: str, action: str, context: RawJson, plan: Optional[RawJson]
    ) -> Optional[Verdict]:
        """Returns a recorded verdict; None if the server must give it.

        Raises the verifier's `Rejection` of a context or plan.
        """
        self._restart_after_fork()
        current, now = self._follower.current(), clock()
        if current is None or now < EARLIEST_NOW:
            return None
        if not (is_identifier(agent) and is_identifier(action)):
            return None
        facts = _facts_of(current, agent)
        if facts is None:
            return None
        try:
            context_text, context_hash = self._read(context)
            plan_text, plan_hash = (None, None) if plan is None else self._read(plan)
            attempt = {"agent": agent, "action": action, "context": context_text}
            verdict = current.module.evaluate(
                {**attempt, "plan": plan_text, "facts": facts, "now": now}
            )
        except (PolicyFailed, MalformedVerdict, VerifierTrapped) as error:
            _log.info("signoff: the policy gave no verdict here: %s", error)
            return None
        if self.digest != verdict.policy:
            return None  # Meanwhile it was replaced, or is no longer fresh.
        line = {
            "id": secrets.token_hex(16),
            "agent": agent,
            "action": action,
            "context_hash": context_hash,
            "plan_hash": plan_hash,
            "decision": verdict.decision,
            "rule": verdict.rule,
            "policy": verdict.policy,
            "decided_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        }
        try:
            self._reporter.add(json.dumps(line).encode())
        except OSError as error:
            _log.warning("signoff: a decision could not be recorded here: %s", error)
            return None
        return dataclasses.replace(verdict, recorded=self._reporter.queue.recorded)

    def _read(self, text: RawJson) -> Tuple[str, str]:
        read = self._verifier.call("context.read", {"context": text.text})
        return read["canonical"], read["digest"]

    def forked(self) -> None:
        """Lets go, in a forked child, of what is the parent's: threads, locks and the queue."""
        self._transport.after_fork()
        self._reporter.queue.leave_to_parent()
        self._reporter.reset(MemoryQueue())
        self._follower.reset()
        self._is_child = not self._is_closed

    def _restart_after_fork(self) -> None:
        """Starts the threads of a child at its first evaluation, with a queue of its own."""
        if not self._is_child:
            return
        with self._restarting:
            if self._is_child:
                self._reporter.reset(open_queue(self._folder))
                self._follower.start()
                self._reporter.start()
                self._is_child = False


class _WithIo(Generic[IoT]):
    """A local policy with the outside of its client."""

    def __init__(self, local: LocalPolicy, io: IoT) -> None:
        self.local = local
        self._io = io

    @property
    def digest(self) -> Optional[str]:
        """The digest of the policy that is evaluated here now; None if there is none, and then the
        server is asked."""
        return self.local.digest

    @property
    def pending(self) -> int:
        """The number of decisions that the server does not have yet."""
        return self.local.pending

    @property
    def refused(self) -> int:
        """The number of decisions whose report the server refused for good. With `queue`, they are
        in its folder `refused`."""
        return self.local.refused

    def __repr__(self) -> str:
        return f"{type(self).__name__}(digest={self.digest!r})"


class Policy(_WithIo[Io]):
    """The server's active policy, evaluated in this process. Any number of threads may use it.

    Made by `Client.policy`. Two threads follow the server and report decisions; `close` or a
    `with` block ends them. After a fork, the child follows and reports by itself.
    """

    def evaluate(
        self,
        agent: str,
        action: str,
        context: Json,
        *,
        plan: Optional[Json] = None,
        timeout: Optional[float] = None,
    ) -> Verdict:
        """Returns the verdict on an action, once it is recorded.

        It is the server's verdict, as of `Client.evaluate`, if there is no fresh policy here, or
        its evaluation or its record fails; `timeout` is for that call.

        Raises `Invalid` for a malformed context or plan, and the errors of `Client.evaluate`.
        Nothing is allowed by default.
        """
        return run(self.local.decide(agent, action, context, plan, timeout), self._io)

    def wait_until(self, digest: Optional[str], timeout: Optional[float] = None) -> bool:
        """Waits until the policy with this digest is evaluated here; with None, until the server
        has no active policy. Returns False at `timeout`, in seconds."""
        return self.local.wait_until(digest, timeout)

    def close(self, timeout: float = CLOSE_SECONDS) -> int:
        """Reports what is left, at most for `timeout` seconds, and ends the threads.

        Returns the number of decisions that the server has not accepted. With `queue` they stay on
        disk, and the next process that opens the queue reports them. Later evaluations are the
        server's.
        """
        return self.local.close(timeout)

    def __enter__(self) -> Policy:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


class AsyncPolicy(_WithIo[AsyncIo]):
    """As `Policy`, for asyncio: made by `await AsyncClient.policy(…)`. It evaluates and waits for
    its disk in other threads, never in the event loop's."""

    async def evaluate(
        self,
        agent: str,
        action: str,
        context: Json,
        *,
        plan: Optional[Json] = None,
        timeout: Optional[float] = None,
    ) -> Verdict:
        """Returns the verdict on an action, once it is recorded; see `Policy.evaluate`."""
        return await run_async(self.local.decide(agent, action, context, plan, timeout), self._io)

    async def wait_until(self, digest: Optional[str], timeout: Optional[float] = None) -> bool:
        """Waits until a policy is followed; see `Policy.wait_until`."""
        return await asyncio.to_thread(self.local.wait_until, digest, timeout)

    async def close(self, timeout: float = CLOSE_SECONDS) -> int:
        """Reports what is left, and ends the threads; see `Policy.close`."""
        return await asyncio.to_thread(self.local.close, timeout)

    async def __aenter__(self) -> AsyncPolicy:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()


def _facts_of(current: Loaded, agent: str) -> Optional[str]:
    """Returns the facts of an agent's attempt; None if this caller does not act for the agent, as
    the server will say."""
    own = AGENT + agent.lower()
    if current.facts is None:
        return json.dumps({"requester": own})
    requester = current.facts.requester
    return None if requester.startswith(AGENT) and requester != own else current.facts.text


_alive: weakref.WeakSet[LocalPolicy] = weakref.WeakSet()


def _after_fork() -> None:
    for local in list(_alive):
        local.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
