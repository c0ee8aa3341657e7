"""LangChain and LangGraph: a middleware that guards tools, and a resolver of interrupts.

Needs the extra `signoff[langchain]`, and Python 3.11.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Optional, Union

from ._answers import Refusal, text_of
from ._gate import Call, Gate
from ._resolver import Answer, Resolution
from .approval import Approval
from .encode import canonical, json_text
from .errors import Invalid, Mismatch
from .execution import Execution

try:
    from langchain.agents.middleware import AgentMiddleware
    from langchain.agents.middleware.types import ToolCallRequest
    from langchain_core.messages import AIMessage, ToolCall, ToolMessage
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import BaseTool
    from langgraph.types import Command, GraphOutput, Interrupt, StateSnapshot
except ImportError as error:
    raise ImportError(
        "signoff.langchain needs LangChain: install it with `pip install 'signoff[langchain]'`"
    ) from error

__all__ = ["ApprovalMiddleware", "InterruptResolver"]

Result = Union[ToolMessage, Command[Any]]


class ApprovalMiddleware(AgentMiddleware[Any, Any, Any]):
    """Guards every tool of an agent: requests, waits, claims, runs the tool, reports.

    List it last, so that it sees the calls as other middleware left them. The tools of the request
    that it passes on run once, by `invoke` or `ainvoke`, and only on the arguments that were
    approved: middleware after it cannot change the call, unless it brings a tool of its own.

    The approval is for one call of one thread: the same call, seen again after a restart, finds
    its approval if the agent has a checkpointer. A call that is not approved gives the model a
    `ToolMessage` with the status `error`. A server that is unreachable, a refused token and what
    else the model is not the reason for raises, and ends the run.
    """

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]
    ) -> Result:
        """Runs the tool once the call is approved and claimed."""
        tools: list[_Tools] = []

        def invoke(execution: Execution) -> Result:
            tools.append(_Tools(execution))
            return handler(tools[-1].bound(request))

        try:
            result = self._gate.run(_call_of(request), invoke, _is_error)
        except Mismatch as error:
            return _message(request.tool_call, _mismatch_text(tools, error))
        return self._shown(request, result)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        """Runs the tool once the call is approved and claimed."""
        tools: list[_Tools] = []

        async def invoke(execution: Execution) -> Result:
            tools.append(_Tools(execution))
            return await handler(tools[-1].bound(request))

        try:
            result = await self._gate.run_async(_call_of(request), invoke, _is_error)
        except Mismatch as error:
            return _message(request.tool_call, _mismatch_text(tools, error))
        return self._shown(request, result)

    def _shown(self, request: ToolCallRequest, result: Union[Result, Refusal]) -> Result:
        if isinstance(result, Refusal):
            return _message(request.tool_call, result.text)
        return result


class InterruptResolver:
    """Answers the interrupts of `HumanInTheLoopMiddleware`, in both of its modes.

    Each pending call becomes an approval; approved calls are answered with `approve`, others with
    `reject` and the reason. Nothing is answered with `edit`: an edited call is another call, and
    needs an approval of its own.

    With `claims`, an approval is claimed before the run resumes. Without, it is verified only, and
    `ApprovalMiddleware` with the same gate must claim it inside the tool call.

    Without `ApprovalMiddleware`, a rejected call runs if its `when` says no on resume: the
    framework asks `when` again, and ignores the decision then.
    """

    def __init__(self, gate: Gate, *, claims: bool = True) -> None:
        self._gate = gate
        self._claims = claims

    def resolve(
        self, result: object, config: RunnableConfig, *, approvals: Sequence[str] = ()
    ) -> Resolution[Command[Any]]:
        """Returns a context manager whose value resumes the run.

        `result` is that of `invoke`, in version 1 or 2, or after a restart the state that
        `get_state` returns; `config` is the one of the call. `approvals` are ids that `request`
        returned: needed once the server has dropped their idempotency keys, after 24 hours.

        >>> while result.interrupts:
        ...     with resolver.resolve(result, config) as command:
        ...         result = agent.invoke(command, config, version="v2")

        Raises `Invalid` for a config without a thread, and for an interrupt that is not of
        `HumanInTheLoopMiddleware` or whose calls cannot be both approved and rejected.
        """
        interrupts, messages = _parts(result)
        thread = _thread(config)
        if thread is None:
            raise Invalid("request-invalid", "the config has no `thread_id`")
        if not interrupts:
            raise Invalid("request-invalid", "the result has no interrupt")
        paused = [_Paused.read(one, thread, messages) for one in interrupts]
        calls = [call for one in paused for call in one.calls]

        def answer(answers: list[Answer]) -> Command[Any]:
            decisions, left = {}, list(answers)
            for one in paused:
                own, left = left[: len(one.calls)], left[len(one.calls) :]
                decisions[one.id] = one.resume([_decision(each) for each in own])
            return Command(resume=decisions)

        return Resolution(self._gate, calls, self._claims, approvals, answer)

    def request(self, result: object, config: RunnableConfig) -> tuple[Approval, ...]:
        """Requests the approvals without waiting, for a process that resolves them later."""
        return self.resolve(result, config).request()

    async def arequest(self, result: object, config: RunnableConfig) -> tuple[Approval, ...]:
        """As `request`, in an event loop."""
        return await self.resolve(result, config).request_async()


@dataclasses.dataclass(frozen=True)
class _Paused:
    """An interrupt and its calls, in the order in which it expects decisions."""

    id: str
    calls: list[Call]
    is_batched: bool

    @classmethod
    def read(cls, interrupt: Interrupt[Any], thread: str, messages: Sequence[object]) -> _Paused:
        value = interrupt.value
        if isinstance(value, Mapping) and value.get("type") == "tool_approval":
            return cls(interrupt.id, [_pending_call(value, thread, messages)], False)
        if not isinstance(value, Mapping) or not isinstance(value.get("action_requests"), list):
            detail = f"the interrupt `{interrupt.id}` is not one of HumanInTheLoopMiddleware"
            raise Invalid("request-invalid", detail)
        for config in value.get("review_configs") or []:
            if not {"approve", "reject"} <= set(config["allowed_decisions"]):
                detail = f"`{config['action_name']}` must allow the decisions approve and reject"
                raise Invalid("request-invalid", detail)
        taken: set[int] = set()
        calls = []
        for index, action in enumerate(value["action_requests"]):
            found = _find(action, messages, taken)
            # Without messages the call is named by its place in the interrupt.
            id = f"{interrupt.id}:{index}" if found is None else found
            calls.append(Call(action["name"], action["args"], thread, id))
        return cls(interrupt.id, calls, True)

    def resume(self, decisions: list[dict[str, Any]]) -> Any:
        return {"decisions": decisions} if self.is_batched else decisions[0]


def _decision(answer: Answer) -> dict[str, Any]:
    if answer.refusal is None:
        return {"type": "approve"}
    return {"type": "reject", "message": answer.refusal.text}


def _pending_call(value: Mapping[str, Any], thread: str, messages: Sequence[object]) -> Call:
    id = _call_id(value["tool_call_id"], messages)
    return Call(value["name"], value["args"], thread, id)


def _find(action: Mapping[str, Any], messages: Sequence[object], taken: set[int]) -> Optional[str]:
    """Returns the id of the first call of the last message that is this action."""
    last = next((one for one in reversed(messages) if isinstance(one, AIMessage)), None)
    for index, call in enumerate(last.tool_calls if last else []):
        if index in taken:
            continue
        if call["name"] == action["name"] and call["args"] == action["args"]:
            taken.add(index)
            return _named(last, call["id"])
    return None


def _call_of(request: ToolCallRequest) -> Call:
    """Returns the call of a request. Raises `Mismatch` if its tool is another one.

    A value that the model worded for an injected parameter is left out: no tool gets it.
    """
    call, tool = request.tool_call, request.tool
    if tool is not None and tool.name != call["name"]:
        detail = f"the call names `{call['name']}`, and its tool is `{tool.name}`"
        raise Mismatch("action-mismatch", detail)
    injected = set() if tool is None else _injected(tool)
    args = {one: call["args"][one] for one in call["args"] if one not in injected}
    id = _call_id(call["id"], _messages(request.state))
    return Call(call["name"], args, _thread(request.runtime.config), id)


def _messages(state: object) -> Sequence[object]:
    """Returns the messages of a state: a mapping, a list of messages, or an object with them."""
    if isinstance(state, Mapping):
        found = state.get("messages")
    else:
        found = state if isinstance(state, list) else getattr(state, "messages", None)
    if isinstance(found, (list, tuple)):
        return found
    return [] if found is None else [found]


def _call_id(id: Optional[str], messages: Sequence[object]) -> Optional[str]:
    """Returns the id of a call: models repeat theirs in later messages, so it names the message."""
    if not id:
        return None
    for message in reversed(messages):
        if isinstance(message, AIMessage) and any(one["id"] == id for one in message.tool_calls):
            return _named(message, id)
    return id


def _named(message: Optional[AIMessage], id: Optional[str]) -> Optional[str]:
    return f"{message.id}:{id}" if message is not None and message.id and id else id


def _thread(config: RunnableConfig) -> Optional[str]:
    thread = (config.get("configurable") or {}).get("thread_id")
    return None if thread is None else str(thread)


def _parts(result: object) -> tuple[Sequence[Interrupt[Any]], Sequence[object]]:
    """Returns interrupts and messages of a result of version 1 or 2, or of a stored state."""
    value: object
    if isinstance(result, GraphOutput):
        interrupts, value = result.interrupts, result.value
    elif isinstance(result, StateSnapshot):
        interrupts, value = result.interrupts, result.values
    elif isinstance(result, Mapping):
        interrupts, value = result.get("__interrupt__") or (), result
    else:
        raise TypeError(f"expected the result of an agent, got a {type(result).__name__}")
    return tuple(interrupts), _messages(value)


class _Tools:
    """The tools of one execution: the approved one runs once, on the approved arguments."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.refusal: Optional[Mismatch] = None
        self._has_run = False

    def bound(self, request: ToolCallRequest) -> ToolCallRequest:
        """Returns the request with the approved arguments and with tools that check them."""
        call = ToolCall(**{**request.tool_call, "args": self._approved()})
        tool = None if request.tool is None else self._bind(request.tool, request.tool.name)
        runtime = dataclasses.replace(
            request.runtime, tools=[self._bind(one, None) for one in request.runtime.tools]
        )
        return dataclasses.replace(request, tool_call=call, tool=tool, runtime=runtime)

    def _bind(self, tool: BaseTool, name: Optional[str]) -> BaseTool:
        bound = tool.model_copy()

        injected = _injected(tool)

        def invoke(input: Any, config: Any = None, **kwargs: Any) -> Any:
            return tool.invoke(self._checked(name, input, injected), config, **kwargs)

        async def ainvoke(input: Any, config: Any = None, **kwargs: Any) -> Any:
            return await tool.ainvoke(self._checked(name, input, injected), config, **kwargs)

        # A field of pydantic cannot replace a method of the class; the instance's dict can.
        bound.__dict__.update(invoke=invoke, ainvoke=ainvoke)
        for way in ("run", "arun", "_run", "_arun", "func", "coroutine"):
            function = getattr(tool, way, None)
            if callable(function):
                bound.__dict__[way] = self._refusing(function)
        return bound

    def _refusing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns what stands in place of a function that would run the tool unchecked."""

        @functools.wraps(function)
        def refuse(*_: Any, **__: Any) -> Any:
            raise self._refused("the tool was called other than by `invoke` or `ainvoke`")

        return refuse

    def _approved(self) -> dict[str, Any]:
        """Returns the approved arguments. Each caller gets its own, which it may change."""
        approved: dict[str, Any] = json.loads(self._execution.context_text)
        return approved

    def _checked(self, name: Optional[str], input: Any, injected: set[str]) -> dict[str, Any]:
        """Returns the input of the tool: the approved arguments, and those that are injected.

        Raises `Mismatch` for another tool, other arguments, or a second run.
        """
        given = input.get("args") if isinstance(input, Mapping) else None
        if name is None or not isinstance(given, Mapping):
            raise self._refused("another tool than the approved one was called")
        given, approved = dict(given), self._approved()
        own = {one: given.pop(one) for one in injected if one in given}
        if not _is_same(given, approved):
            raise self._refused("the arguments changed after the approval")
        if self._has_run and self._execution.id:
            raise self._refused("the call has run: an approval is for one run")
        self._has_run = True
        return {**input, "args": {**approved, **own}}

    def _refused(self, why: str) -> Mismatch:
        id = self._execution.approval_id
        self.refusal = Mismatch("context-mismatch", why, approval_id=id)
        return self.refusal


def _is_same(given: Mapping[str, Any], approved: Mapping[str, Any]) -> bool:
    """Returns whether arguments have the JSON text of the approved ones: `True` is not 1."""
    try:
        return canonical(json_text(given)) == canonical(json_text(approved))
    except Invalid:
        return False


def _injected(tool: BaseTool) -> set[str]:
    """Returns the parameters that the framework gives, and that a model cannot word."""
    full: Any = tool.get_input_schema()
    shown: Any = tool.tool_call_schema
    own = set(getattr(tool, "_injected_args_keys", ()))
    if isinstance(shown, dict):
        return own
    return (set(full.model_fields) - set(shown.model_fields)) | own


def _mismatch_text(tools: list[_Tools], error: Mismatch) -> str:
    """Returns what the model is told; raises an error that is the tool's own."""
    if not tools or tools[-1].refusal is not error:
        raise error
    return text_of(error)


def _is_error(result: object) -> bool:
    """Returns whether a result is or contains, also in a `Command`, a message of a failure."""
    if isinstance(result, Command):
        return _is_error(_messages(result.update))
    if isinstance(result, (list, tuple)):
        return any(_is_error(one) for one in result)
    return isinstance(result, ToolMessage) and result.status == "error"


def _message(call: ToolCall, text: str) -> ToolMessage:
    return ToolMessage(text, name=call["name"], tool_call_id=call["id"], status="error")
