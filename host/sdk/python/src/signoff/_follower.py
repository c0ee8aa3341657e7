"""The active policy of the server, followed from a thread: one long poll after the other."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional

from ._api import BACKOFF_SECONDS, BACKOFF_SECONDS_MAX, Api
from ._flow import Need, Pause, run
from ._http1 import Response
from ._policy_component import PolicyFailed, PolicyModule
from ._transport import Transport
from .approval import PolicyCopy
from .errors import Mismatch, SignoffError, Unavailable, Unverified
from .verifier import Verifier

NO_POLICY = "none"
WAIT_SECONDS_MAX = 60
FACTS_BYTES_MAX = 16 << 10
# The facts that a server provides; `claimed_by` only at a claim.
FACTS = frozenset({"requester", "claimed_by"})

_log = logging.getLogger("signoff")


class Stopped(Exception):
    """The policy was closed."""


class BackgroundIo:
    """The outside of a background thread, which a pause does not hold up once it is stopped."""

    def __init__(self, transport: Transport, stop: threading.Event) -> None:
        self._transport = transport
        self._stop = stop

    def perform(self, need: Need) -> Optional[Response]:
        if isinstance(need, Pause):
            self._stop.wait(need.seconds)
        if self._stop.is_set():
            raise Stopped
        if isinstance(need, Pause):
            return None
        try:
            return self._transport.perform(need)
        except SignoffError:
            if self._stop.is_set():
                raise Stopped from None
            raise


class Moment(NamedTuple):
    """A moment by both clocks: the monotonic one stops while the machine sleeps, and the other may
    be set back."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> Moment:
        return cls(time.monotonic(), time.time())

    def age(self) -> float:
        """Returns the seconds since, by the clock that says more."""
        now = Moment.now()
        return max(now.monotonic - self.monotonic, now.wall - self.wall)


class Facts(NamedTuple):
    """The facts of this caller's attempts: the requester, and the canonical text of all."""

    requester: str
    text: str


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A policy that may be evaluated here."""

    module: PolicyModule
    facts: Optional[Facts]
    """None if they depend on the agent."""


class Follower:
    """Which policy is active, as the server last said. Any number of threads may read it."""

    def __init__(
        self,
        api: Api,
        transport: Transport,
        verifier: Verifier,
        signers: List[Dict[str, Any]],
        audience: str,
        max_stale: float,
    ) -> None:
        self._api, self._transport, self._verifier = api, transport, verifier
        self._signers, self._audience, self._max_stale = signers, audience, max_stale
        self._wait_seconds = min(int(max_stale / 3), WAIT_SECONDS_MAX)
        self._loaded: Optional[Loaded] = None
        self._unwanted = ""
        self._asked_at = Moment(float("-inf"), float("-inf"))
        self._tried = False
        self.reset()

    def reset(self) -> None:
        """Makes the locks anew, as a forked child must. What was followed stays."""
        self._changed = threading.Condition()
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._work, name="signoff-policy", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread. Nothing is evaluated any more."""
        self._stop.set()
        with self._changed:
            self._loaded = None
            self._changed.notify_all()

    def current(self) -> Optional[Loaded]:
        """Returns the active policy; None if there is none here, or the answer is too old."""
        if self._asked_at.age() > self._max_stale:
            return None
        return self._loaded

    def wait_until(self, digest: Optional[str], timeout: Optional[float]) -> bool:
        """Waits until the policy with this digest is followed; with None, until there is none."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_at(digest), timeout)

    def wait_for_first(self, timeout: float) -> None:
        """Waits until the first poll was answered and its policy loaded, or either failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._tried, timeout)

    def _is_at(self, digest: Optional[str]) -> bool:
        if digest is None:
            return self._unwanted == NO_POLICY
        current = self.current()
        return current is not None and current.module.digest == digest

    def _work(self) -> None:
        io, stop, backoff = BackgroundIo(self._transport, self._stop), self._stop, BACKOFF_SECONDS
        while not stop.is_set():
            sent = Moment.now()
            try:
                changed = self._poll(io, sent)
                pause, backoff = 0.0 if changed else self._max_stale / 3, BACKOFF_SECONDS
            except Stopped:
                return
            except SignoffError as error:
                _log.debug("signoff: the policy could not be fetched: %s", error)
                if error.status and error.code not in ("rate-limited", "store-unavailable"):
                    self._set(None, "")  # The server answered that it has no usable policy.
                pause, backoff = backoff, min(2 * backoff, BACKOFF_SECONDS_MAX)
            except Exception:
                _log.exception("signoff: the policy cannot be followed")
                self._set(None, "")
                pause = BACKOFF_SECONDS_MAX
            self._note_tried()
            stop.wait(max(0.0, sent.monotonic + pause - time.monotonic()))

    def _poll(self, io: BackgroundIo, sent: Moment) -> bool:
        """Asks once, and loads another policy. Returns whether there is one."""
        seconds = self._wait_seconds if self._unwanted else 0
        flow = self._api.policy(seconds, self._unwanted, self._max_stale)
        copy = run(flow, io)
        unwanted = copy.digest or NO_POLICY
        if unwanted == self._unwanted:
            loaded = self._loaded
            if loaded is not None:
                loaded = dataclasses.replace(loaded, facts=self._facts(copy))
            self._set(loaded, unwanted, sent)
            return False
        self._set(None, "")  # Until the new policy is loaded, there is none.
        loaded = None
        try:
            if copy.digest is not None:
                loaded = self._load(copy, io)
        except (PolicyFailed, Unverified, Mismatch) as error:
            _log.warning("signoff: policy %s is not evaluated here: %s", copy.digest, error)
        except SignoffError as error:
            if isinstance(error, Unavailable) or error.status:
                raise
            _log.warning("signoff: policy %s is not evaluated here: %s", copy.digest, error)
        self._set(loaded, unwanted, sent)
        return True

    def _load(self, copy: PolicyCopy, io: BackgroundIo) -> Loaded:
        """Verifies the manifest, then the bytes; compiles them, which takes seconds at first."""
        facts = self._facts(copy)
        manifest = self._verifier.call(
            "manifest.verify",
            {
                "manifest": copy.manifest,
                "digest": copy.digest,
                "slot": "policy",
                "audience": self._audience,
                "keys": self._signers,
            },
        )
        if copy.audience != self._audience:
            raise Mismatch("audience-mismatch", "the server is of another deployment")
        if not FACTS.issuperset(manifest["facts"]):
            raise PolicyFailed("it reads facts that are not known here")
        wasm = run(self._api.policy_wasm(copy.digest or ""), io)
        if hashlib.sha256(wasm).hexdigest() != copy.digest:
            raise Unverified("untrusted-answer", "the bytes are not those of the digest")
        return Loaded(PolicyModule(wasm, manifest["limits"]), facts)

    def _facts(self, copy: PolicyCopy) -> Optional[Facts]:
        if copy.facts is None:
            return None
        requester = copy.facts.get("requester")
        if not isinstance(requester, str):
            raise Unavailable("unreachable", "policy: expected the fact `requester`")
        text = self._verifier.canonicalize(json.dumps(copy.facts))
        if len(text) > FACTS_BYTES_MAX:
            raise Unavailable("unreachable", "policy: the facts are too long")
        return Facts(requester, text)

    def _set(self, loaded: Optional[Loaded], unwanted: str, sent: Optional[Moment] = None) -> None:
        with self._changed:
            if self._stop.is_set():
                return
            self._loaded, self._unwanted = loaded, unwanted
            if sent is not None:
                self._asked_at = sent
            self._changed.notify_all()

    def _note_tried(self) -> None:
        """Ends the wait for the first poll, unless loading took so long that it is stale."""
        with self._changed:
            if self._loaded is None or self.current() is not None:
                self._tried = True
                self._changed.notify_all()
