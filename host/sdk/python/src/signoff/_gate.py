"""Gate: the settings that tool calls of an agent framework share, and how one call gets approved.

What the approvers sign names the call: the action, its arguments, and in the plan the tool, the run
and the call's id. So an approval is for that call alone, and the same call, seen again after a
restart or a retry, finds the approval that it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Dict,
    Mapping,
    Optional,
    TypeVar,
    Union,
    cast,
)

from ._aio import AsyncTransport
from ._answers import Refusal, Unrequestable, refusal_of
from ._fork import ForkLock
from ._guarded import Approved, AsyncApproved
from ._transport import Transport
from .attempt import Attempt
from .client import Client
from .encode import Json, RawJson, canonical, json_text
from .errors import Invalid, SignoffError
from .execution import Execution
from .guard import Guard
from .verdict import is_identifier

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .async_client import AsyncClient
    from .attempt import CallOptions

T = TypeVar("T")
ActionOf = Union[Mapping[str, str], Callable[[str], Optional[str]]]

PLACEHOLDER = "signoff"


@dataclasses.dataclass(frozen=True)
class Call:
    """A tool call. With `run` and `id` it is the same call wherever it is seen again."""

    tool: str
    arguments: Json
    run: Optional[str] = None
    id: Optional[str] = None

    def plan(self) -> Optional[Dict[str, str]]:
        """Returns what the approval names beside action and arguments."""
        if self.id is None:
            return None
        named = {"tool": self.tool, "call": self.id}
        return named if self.run is None else {**named, "run": self.run}


class Gate:
    """The approval of tool calls: by whom, on which terms, and how a tool becomes an action.

    - `client`: a `Client` or `AsyncClient`; one with the settings of the environment if unset.
    - `agent`: the agent that requests.
    - `actions`: the action of a tool, a mapping or a function. A tool that it does not name has
      the action `prefix` and its own name. No tool is left out.
    - `evaluate`: whether the server's policy is asked first. An action that it allows runs at once
      (not with pinned keys, which trust no word of the server), a denied one never. Otherwise, and
      where the server has no policy, the action needs an approval.
    - The other options are those of `Client.approved`. With `policy`, that local policy is asked.

    The context of the approval has the tool's arguments. Raises `Invalid` for a malformed prefix,
    `TypeError` for an unknown option, `Invalid` for one that has no effect.
    """

    def __init__(
        self,
        client: Optional[Union[Client, AsyncClient]] = None,
        *,
        agent: str,
        actions: Optional[ActionOf] = None,
        prefix: str = "",
        evaluate: bool = True,
        **options: Unpack[CallOptions],
    ) -> None:
        if prefix and not is_identifier(prefix):
            raise Invalid("request-invalid", f"`prefix`: `{prefix}` is not 1 to 128 of `!` to `~`")
        self._client = client
        self._agent = agent
        self._actions = actions
        self._prefix = prefix
        self._evaluate = evaluate
        self._options: Dict[str, Any] = dict(options)
        self._lock = ForkLock()
        self._known: Dict[str, str] = {}
        self._io: Optional[Transport] = None
        self._async_io: Optional[AsyncTransport] = None
        given = {**self._options, "agent": agent, "action": PLACEHOLDER, "context": {}}
        if client is not None:
            client._attempt(**given).check()
        else:
            Attempt(**given)

    @property
    def client(self) -> Union[Client, AsyncClient]:
        """The client. Raises `Invalid` if there is none and the settings do not name a server."""
        with self._lock:
            if self._client is None:
                self._client = Client()
            return self._client

    def action_of(self, tool: str) -> str:
        """Returns the action of a tool."""
        named: Optional[str] = None
        if callable(self._actions):
            named = self._actions(tool)
        elif self._actions is not None:
            named = self._actions.get(tool)
        return self._prefix + tool if named is None else named

    def guard(self, call: Call, action: Optional[str] = None) -> Guard:
        """Returns the guard of a call; `action` replaces that of the tool.

        The first one of a machine compiles the verifier. Raises the errors of `Guard`.
        """
        client, context = self.client, RawJson(json_text(call.arguments))
        action = self.action_of(call.tool) if action is None else action
        if not is_identifier(action):
            raise Unrequestable("request-invalid", f"`{action}` is not the name of an action")
        attempt = client._attempt(
            **self._options, agent=self._agent, action=action, context=context, plan=call.plan()
        )
        key = self._key(call, action, canonical(context.text)[1])
        known = None
        if key is not None:
            with self._lock:
                known = self._known.pop(key, None)
        return Guard(client._api, attempt, key, self._evaluate, known)

    def remember(self, call: Call, approval_id: str) -> None:
        """Remembers the approval of a call for its next guard in this process."""
        digest = canonical(json_text(call.arguments))[1]
        key = self._key(call, self.action_of(call.tool), digest)
        if key is not None:
            with self._lock:
                self._known[key] = approval_id

    def run(
        self,
        call: Call,
        function: Callable[[Execution], T],
        failed: Callable[[T], bool] = lambda _: False,
    ) -> Union[T, Refusal]:
        """Runs `function` once the call is approved and claimed; its errors are its own.

        Returns the refusal if it is one that the model may be told. A result that has `failed`
        is reported so. Raises any other error of signoff: nothing has run then.
        """
        try:
            with contextlib.ExitStack() as stack:
                try:
                    execution = stack.enter_context(Approved(lambda: self.guard(call), self.io()))
                except SignoffError as error:
                    return refusal_of(error)
                return _checked(function(execution), failed)
        except ToolError as error:
            return cast(T, error.result)

    async def run_async(
        self,
        call: Call,
        function: Callable[[Execution], Awaitable[T]],
        failed: Callable[[T], bool] = lambda _: False,
    ) -> Union[T, Refusal]:
        """Awaits `function` once the call is approved and claimed; see `run`.

        If it is cancelled no outcome is reported: frameworks run synchronous tools in threads,
        which nobody can cancel, so nobody knows whether the tool completes.
        """
        try:
            async with contextlib.AsyncExitStack() as stack:
                approved = AsyncApproved(lambda: self.guard(call), self.async_io())
                try:
                    execution = await stack.enter_async_context(approved)
                except SignoffError as error:
                    return refusal_of(error)
                try:
                    return _checked(await function(execution), failed)
                except asyncio.CancelledError:
                    approved.leave_unknown()
                    raise
        except ToolError as error:
            return cast(T, error.result)

    def io(self) -> Transport:
        """Returns the connections of blocking calls."""
        client = self.client
        if isinstance(client, Client):
            return client._transport
        with self._lock:
            if self._io is None:
                self._io = Transport(client._endpoint, client._tls, client._headers)
            return self._io

    def async_io(self) -> AsyncTransport:
        """Returns the connections of calls in an event loop."""
        client = self.client
        if not isinstance(client, Client):
            return client._transport
        with self._lock:
            if self._async_io is None:
                # Frameworks run one gate in several event loops, and end them without a word.
                self._async_io = AsyncTransport(
                    client._endpoint, client._tls, client._headers, idle_max=0
                )
            return self._async_io

    def _key(self, call: Call, action: str, digest: str) -> Optional[str]:
        """Returns the idempotency key of a call: an edited or renamed call has another one."""
        if call.run is None or call.id is None:
            return None
        named = [self._agent, action, call.tool, call.run, call.id, digest]
        return "call-" + hashlib.sha256(json.dumps(named).encode()).hexdigest()


class ToolError(Exception):
    """A tool that returned a failure: the type's name is what is reported."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result


def _checked(result: T, failed: Callable[[T], bool]) -> T:
    if failed(result):
        raise ToolError(result)
    return result
