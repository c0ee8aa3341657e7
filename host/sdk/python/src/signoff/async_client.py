"""The asyncio client of the HTTP API."""

from __future__ import annotations

import asyncio
import functools
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    TypeVar,
    cast,
)

from ._aio import AsyncTransport
from ._arguments import Binding, ContextOf
from ._base import MAX_STALE_SECONDS, TIMEOUT_SECONDS, BaseClient
from ._events import SILENCE_SECONDS, EventStream
from ._flow import run_async
from ._functions import check_coroutine_function, has_run
from ._guarded import AsyncApproved
from ._transport import Broken, OutOfTime
from .approval import Approval, Evaluation, Event, Page, Verification
from .encode import Json
from .execution import Execution

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._base import PathLike
    from .attempt import GuardOptions
    from .keys import Keys
    from .policy import AsyncPolicy

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class AsyncClient(BaseClient):
    """A client of one server for asyncio: the methods and errors of `Client`, to be awaited.

    A cancelled call closes its connection at once. A guard that is cancelled while it waits
    withdraws its request; one that is cancelled while its function runs reports `failed`.
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
        self._transport = AsyncTransport(self._endpoint, self._tls, self._headers)

    async def request(
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
        return await run_async(flow, self._transport)

    async def get(self, id: str, *, timeout: Optional[float] = None) -> Approval:
        """Returns an approval as the server shows it."""
        flow = self._api.get(id, timeout)
        return await run_async(flow, self._transport)

    async def list(
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
        return await run_async(flow, self._transport)

    async def wait(self, id: str, timeout: Optional[float] = None) -> Approval:
        """Waits until the approval is not `pending`, and returns it, whatever its status is then.

        `timeout` is in seconds; without it the wait ends with the expiry. Raises `TimedOut` at
        `timeout`, and `Expired` if a server still shows `pending` long after the expiry.
        """
        flow = self._api.wait(id, timeout)
        return await run_async(flow, self._transport)

    async def decide(
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
        return await run_async(flow, self._transport)

    async def verify(
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
        return await run_async(flow, self._transport)

    async def claim(
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
        return await run_async(flow, self._transport)

    async def report(
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
        return await run_async(flow, self._transport)

    async def withdraw(
        self, id: str, *, idempotency_key: Optional[str] = None, timeout: Optional[float] = None
    ) -> Approval:
        """Withdraws an approval that is not claimed."""
        flow = self._api.withdraw(id, idempotency_key, timeout)
        return await run_async(flow, self._transport)

    async def extend(
        self,
        id: str,
        seconds: int,
        *,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Approval:
        """Moves the expiry of an approval without ballots to `seconds` from now."""
        flow = self._api.extend(id, seconds, idempotency_key, timeout)
        return await run_async(flow, self._transport)

    async def receipt(self, id: str, *, timeout: Optional[float] = None) -> str:
        """Returns the receipt of an approval as text, for `Verifier.verify_receipt`."""
        flow = self._api.receipt(id, timeout)
        return await run_async(flow, self._transport)

    async def keys(self, *, timeout: Optional[float] = None) -> List[Dict[str, Any]]:
        """Returns the server's keys, without secrets."""
        flow = self._api.keys(timeout)
        return await run_async(flow, self._transport)

    async def evaluate(
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
        return await run_async(flow, self._transport)

    async def policy(
        self,
        signers: Keys,
        *,
        audience: Optional[str] = None,
        max_stale: float = MAX_STALE_SECONDS,
        queue: Optional[PathLike] = None,
    ) -> AsyncPolicy:
        """Evaluates the server's active policy in this process; see `Client.policy`."""

        def open_policy() -> AsyncPolicy:
            local = self._local_policy(signers, audience, max_stale, queue)
            from .policy import AsyncPolicy

            return AsyncPolicy(local, self._transport)

        return await asyncio.to_thread(open_policy)

    async def events(self, after: Optional[int] = None) -> AsyncIterator[Event]:
        """Yields entries of the audit log as they come; see `Client.events`."""
        stream = EventStream(after)
        while True:
            try:
                async for part in self._transport.stream(stream.request(), SILENCE_SECONDS):
                    for event in stream.take(part):
                        yield event
                stream.end()
            except (Broken, OutOfTime):
                pass
            await asyncio.sleep(stream.pause())

    def approved(self, **options: Unpack[GuardOptions]) -> AsyncApproved:
        """Returns an asynchronous context manager; see `Client.approved`."""
        return AsyncApproved(self._guard(**options), self._transport)

    async def guard(
        self, function: Callable[[Execution], Awaitable[T]], **options: Unpack[GuardOptions]
    ) -> T:
        """Awaits `function` on an approved execution, once, and returns its result.

        Raises `TypeError` for what is not a coroutine function, a lambda too, before anything is
        sent; and if it returns a coroutine or generator, which is reported as `failed`.
        """
        check_coroutine_function(function)
        async with self.approved(**options) as execution:
            return has_run(await function(execution))

    def requires_approval(
        self, *, context: Optional[ContextOf] = None, **options: Any
    ) -> Callable[[F], F]:
        """Returns a decorator of coroutine functions; see `Client.requires_approval`."""

        def decorate(function: F) -> F:
            check_coroutine_function(function)
            binding = Binding(function, context)

            @functools.wraps(function)
            async def call(*args: Any, **kwargs: Any) -> Any:
                shown = binding.context_of(args, kwargs)
                async with self.approved(context=shown, **options) as execution:
                    args, kwargs = binding.arguments(execution, args, kwargs)
                    return has_run(await function(*args, **kwargs))

            return cast(F, call)

        return decorate

    async def close(self) -> None:
        """Closes idle connections."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
