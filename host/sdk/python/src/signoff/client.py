"""The blocking client of the HTTP API."""

from __future__ import annotations

import functools
import time
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    TypeVar,
    cast,
)

from ._arguments import Binding, ContextOf
from ._base import MAX_STALE_SECONDS, TIMEOUT_SECONDS, BaseClient
from ._events import SILENCE_SECONDS, EventStream
from ._flow import run
from ._functions import check_function, has_run
from ._guarded import Approved
from ._transport import Broken, OutOfTime, Transport
from .approval import Approval, Evaluation, Event, Page, Verification
from .encode import Json
from .execution import Execution

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._base import PathLike
    from .attempt import GuardOptions
    from .keys import Keys
    from .policy import Policy

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Client(BaseClient):
    """A client of one server. Any number of threads may use it.

    - `url`: `http://…`, `https://…` or `unix:PATH`; `token` is sent as `Authorization: Bearer`.
    - `ca`: a PEM file with certificate authorities, in addition to the machine's.
    - `insecure_http`: allows a token over plain HTTP to another machine.
    - `timeout`: the limit of a call in seconds, with retries, unless the call has its own.

    Unset arguments come from the environment (`SIGNOFF_SERVER`, `SIGNOFF_TOKEN`, `SIGNOFF_CA`),
    then from the file that `signoff login` writes. Nothing is sent before the first call.

    Every method raises `SignoffError`: `Unavailable` if no usable answer came within `timeout`,
    the error of its code if the server refused, `Invalid` for arguments without a JSON form. A
    changing call has an idempotency key, its own or the caller's, so a retry changes nothing twice.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        token: Optional[str] = None,
        *,
        ca: Optional[str] = None,
        insecure_http: bool = False,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """Raises `Invalid` for settings that are missing, malformed or not private."""
        super().__init__(url, token, ca=ca, insecure_http=insecure_http, timeout=timeout)
        self._transport = Transport(self._endpoint, self._tls, self._headers)

    def request(
        self,
        agent: str,
        action: str,
        context: Json,
        *,
        plan: Optional[Json] = None,
        reason: Optional[str] = None,
        expires_in_seconds: Optional[int] = None,
        threshold: Optional[int] = None,
        groups: Optional[Mapping[str, int]] = None,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Approval:
        """Requests an approval; returns it as `pending`.

        `reason` is shown to approvers, at most 4 KiB. `expires_in_seconds` is 1 to 604800, default
        3600. `threshold` and `groups` raise what the deployment requires. Raises `Denied` if the
        policy denies the action.
        """
        flow = self._api.request(
            agent,
            action,
            context,
            plan,
            reason,
            expires_in_seconds,
            threshold,
            groups,
            idempotency_key,
            timeout,
        )
        return run(flow, self._transport)

    def get(self, id: str, *, timeout: Optional[float] = None) -> Approval:
        """Returns an approval as the server shows it."""
        flow = self._api.get(id, timeout)
        return run(flow, self._transport)

    def list(
        self,
        *,
        status: Optional[str] = None,
        agent: Optional[str] = None,
        action: Optional[str] = None,
        limit: Optional[int] = None,
        cursor: Optional[str] = None,
        prefix: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Page:
        """Returns a page of approvals, newest first; `limit` is 1 to 200, default 50.

        `cursor` is the `next_cursor` of the page before. `prefix` is the begin of ids, and disables
        the other filters.
        """
        flow = self._api.list(
            {
                "status": status,
                "agent": agent,
                "action": action,
                "limit": limit,
                "cursor": cursor,
                "prefix": prefix,
            },
            timeout,
        )
        return run(flow, self._transport)

    def wait(self, id: str, timeout: Optional[float] = None) -> Approval:
        """Waits until the approval is not `pending`, and returns it, whatever its status is then.

        `timeout` is in seconds; without it the wait ends with the expiry. Raises `TimedOut` at
        `timeout`, and `Expired` if a server still shows `pending` long after the expiry.
        """
        flow = self._api.wait(id, timeout)
        return run(flow, self._transport)

    def decide(
        self,
        id: str,
        decision: str,
        signature: str,
        *,
        approver: Optional[str] = None,
        comment: Optional[str] = None,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Approval:
        """Casts a ballot: `decision` is `approved` or `rejected`."""
        flow = self._api.decide(
            id, decision, signature, approver, comment, idempotency_key, timeout
        )
        return run(flow, self._transport)

    def verify(
        self,
        id: str,
        signature: str,
        *,
        agent: Optional[str] = None,
        action: Optional[str] = None,
        context: Optional[Json] = None,
        plan: Optional[Json] = None,
        timeout: Optional[float] = None,
    ) -> Verification:
        """Asks the server whether an executor may proceed now. Changes nothing.

        This is the server's word: `Verifier.verify_approval` needs no server.
        """
        flow = self._api.verify(id, signature, agent, action, context, plan, timeout)
        return run(flow, self._transport)

    def claim(
        self,
        id: str,
        agent: str,
        action: str,
        context: Json,
        *,
        plan: Optional[Json] = None,
        lease_seconds: Optional[int] = None,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Approval:
        """Consumes the approval for one execution, whose id is `execution_id` of the result.

        Raises `Mismatch` with the `members` that differ, `Conflict`, `Expired`.
        """
        flow = self._api.claim(
            id, agent, action, context, plan, lease_seconds, idempotency_key, timeout
        )
        return run(flow, self._transport)

    def report(
        self,
        id: str,
        execution_id: str,
        outcome: str,
        detail: Optional[str] = None,
        *,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Approval:
        """Reports how an execution ended: `outcome` is `succeeded` or `failed`."""
        flow = self._api.report(id, execution_id, outcome, detail, idempotency_key, timeout)
        return run(flow, self._transport)

    def withdraw(
        self, id: str, *, idempotency_key: Optional[str] = None, timeout: Optional[float] = None
    ) -> Approval:
        """Withdraws an approval that is not claimed."""
        flow = self._api.withdraw(id, idempotency_key, timeout)
        return run(flow, self._transport)

    def extend(
        self,
        id: str,
        seconds: int,
        *,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Approval:
        """Moves the expiry of an approval without ballots to `seconds` from now."""
        flow = self._api.extend(id, seconds, idempotency_key, timeout)
        return run(flow, self._transport)

    def receipt(self, id: str, *, timeout: Optional[float] = None) -> str:
        """Returns the receipt of an approval as text, for `Verifier.verify_receipt`."""
        flow = self._api.receipt(id, timeout)
        return run(flow, self._transport)

    def keys(self, *, timeout: Optional[float] = None) -> List[Dict[str, Any]]:
        """Returns the server's keys, without secrets."""
        flow = self._api.keys(timeout)
        return run(flow, self._transport)

    def evaluate(
        self,
        agent: str,
        action: str,
        context: Json,
        *,
        plan: Optional[Json] = None,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Evaluation:
        """Returns the policy's verdict on an action, which the server records."""
        flow = self._api.evaluate(agent, action, context, plan, idempotency_key, timeout)
        return run(flow, self._transport)

    def policy(
        self,
        signers: Keys,
        *,
        audience: Optional[str] = None,
        max_stale: float = MAX_STALE_SECONDS,
        queue: Optional[PathLike] = None,
    ) -> Policy:
        """Evaluates the server's active policy in this process from now on; needs the verifier.

        - `signers`: the keys that may sign policies, of use `module`: a file or a list of entries.
        - `audience`: the own deployment; `SIGNOFF_AUDIENCE` if unset.
        - `max_stale`: seconds after which a policy that the server did not confirm again decides
          nothing here.
        - `queue`: a private folder for decisions that are not reported yet. Without it they are in
          memory, and lost with the process.

        Returns once the policy is loaded, at most after the client's `timeout`; the first load of a
        policy on a machine compiles it, which takes seconds. Whatever fails then or later, the
        server is asked. Raises `Invalid` for malformed settings, `VerifierMissing`.
        """
        local = self._local_policy(signers, audience, max_stale, queue)
        from .policy import Policy

        return Policy(local, self._transport)

    def events(self, after: Optional[int] = None) -> Iterator[Event]:
        """Yields entries of the audit log as they come, for ever; needs the role `auditor`.

        Starts after the entry `after` (0: at the first), or at the next one. Reconnects by itself;
        a refusal ends it.
        """
        stream = EventStream(after)
        while True:
            try:
                for part in self._transport.stream(stream.request(), SILENCE_SECONDS):
                    yield from stream.take(part)
                stream.end()
            except (Broken, OutOfTime):
                pass
            time.sleep(stream.pause())

    def approved(self, **options: Unpack[GuardOptions]) -> Approved:
        """Returns a context manager whose block runs once the action is approved and claimed.

        The options are those of `Attempt`; unset `keys` and `audience` are `SIGNOFF_KEYS` and
        `SIGNOFF_AUDIENCE`. On the way out, the outcome is reported: `failed` if the block raised.

        >>> with client.approved(agent="ops", action="deploy", context={"to": "prod"}) as execution:
        ...     deploy(execution.context["to"])

        Entering raises, and the block does not run: `Rejected`, `Expired`, `Withdrawn`, `Denied`,
        `TimedOut`, `Unverified`, `Mismatch`, `Invalid`, `VerifierMissing`, and others of the calls.
        """
        return Approved(self._guard(**options), self._transport)

    def guard(self, function: Callable[[Execution], T], **options: Unpack[GuardOptions]) -> T:
        """Runs `function` on an approved execution, once, and returns its result.

        Raises `TypeError` for a coroutine function or a generator function, before anything is
        sent; and if the function returns a coroutine or generator, which is closed and reported as
        `failed`.
        """
        check_function(function)
        with self.approved(**options) as execution:
            return has_run(function(execution))

    def requires_approval(
        self, *, context: Optional[ContextOf] = None, **options: Any
    ) -> Callable[[F], F]:
        """Returns a decorator: each call of the function needs an approval of its own.

        `context` computes the context from the arguments of the call. Without it, the context has
        the arguments by name, and the function runs on the values of the approved text. A parameter
        named `execution` gets the `Execution`. The other options are those of `approved`. Functions
        that `guard` refuses are refused.

        >>> @client.requires_approval(agent="billing", action="refund")
        ... def refund(customer: str, cents: int) -> None: ...
        """

        def decorate(function: F) -> F:
            check_function(function)
            binding = Binding(function, context)

            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                shown = binding.context_of(args, kwargs)
                with self.approved(context=shown, **options) as execution:
                    args, kwargs = binding.arguments(execution, args, kwargs)
                    return has_run(function(*args, **kwargs))

            return cast(F, call)

        return decorate

    def close(self) -> None:
        """Closes idle connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
